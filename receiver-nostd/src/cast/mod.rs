//! Cast streams (docs/cast-format.md): from bytes as they come to chunks that are proved.
//!
//! The format itself is `ironcast-proto`'s matter; here are the memory for it, the decoders, and
//! the rule that no byte of a chunk is given out before all of it has its hash. Firmware, the
//! hosted receiver and the programs that unpack and check files all read cast streams by this.

mod error;
mod reader;

pub use error::Error;
pub use reader::{Chunk, Reader, Step, Taken};
