//! Cast files (docs/cast-format.md): packed of images, looked into, checked, unpacked.
//!
//! The format and the reader are those of the receivers; here is what only a machine with files and
//! many processors does. The sender packs, the hosted receiver unpacks, and both call this.

#![forbid(unsafe_code)]

mod codec;
pub mod commands;
mod error;
pub mod inspect;
mod keys;
mod layout;
mod live;
mod lz4;
mod options;
mod order;
mod pack;
mod progress;
mod read;
mod source;
mod unpack;
mod used;
mod verify;
mod work;

pub use codec::{Codec, ParseCodecError};
pub use error::Error;
pub use keys::{SecretKey, read_public_key, write_key_pair};
pub use layout::Layout;
pub use live::Live;
pub use options::{CastOptions, CastSettings};
pub use pack::{Packed, Settings, pack};
pub use progress::Progress;
pub use read::Input;
pub use source::Source;
pub use unpack::{Unpacked, unpack};
pub use used::{Kept, Ranges, Told, Unused};
pub use verify::{Verdict, verify};
