//! What `ironcast-sender` and `ironcast-receiver` share on a host with an operating system.
//!
//! The protocol is not here: the machines of `ironcast-proto` are sans-IO, and this crate gives
//! them what they lack: [sockets](Endpoint) on one [interface](Interface), a [clock](Clock), an
//! [operator](Console) at the keyboard, a [file or disk](Target) to write to, and the words that
//! both programs use towards people.

#![forbid(unsafe_code)]

mod batch;
mod clock;
mod console;
mod endpoint;
mod exit;
mod format;
mod getopt;
mod incomplete;
mod interface;
mod journal;
mod keyboard;
mod machine;
mod manual;
pub mod options;
mod pipe;
mod sparse;
mod standard;
mod stderr;
mod target;
mod throttle;
pub mod values;
mod wait;
mod waker;

pub use batch::Batch;
pub use clock::Clock;
pub use console::{Command, Console, ConsoleError, Operator, Signal};
pub use endpoint::{BufferSizes, Endpoint, EndpointError, Sent};
pub use exit::{ExitStatus, program_name};
pub use format::{ParseSizeError, Rate, Spaced, parse_size};
pub use getopt::GetoptError;
pub use incomplete::Incomplete;
pub use interface::{Interface, InterfaceError};
pub use journal::{Journal, JournalSettings, LogError, LogFormat, report_failure, timestamp, warn};
pub use manual::Manual;
pub use pipe::Pipe;
pub use standard::is_closed;
pub use target::{Durability, Position, Target, TargetError};
pub use wait::{Wake, wait};
pub use waker::Waker;
