//! The sending of an image from a host with an operating system, as `ironcast-sender` does it.
//!
//! The protocol is `ironcast_proto`'s [`Sender`](ironcast_proto::sender::Sender) machine; here are
//! the [reading](Source) of the image and the [loop](send) between it, the sockets and the machine.
//! The command line is here too, so that what starts transfers by itself can take the same options.

#![forbid(unsafe_code)]

pub mod background;
pub mod cast;
pub mod daemon;
pub mod fog;
pub mod options;
pub mod pid_file;

mod display;
mod encoder;
mod image;
mod payload;
mod reader;
mod results;
mod source;
mod stock;
mod transfer;

pub use display::Display;
pub use image::{Image, Origin, SourceError};
pub use results::{Description, MachineResult, ResultsFile, Verdict};
pub use source::{Chunking, Source};
pub use transfer::{Ending, Observer, Progress, SendError, Settings, Summary, send};
