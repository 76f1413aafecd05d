//! What became of a target that should have got an image.
//!
//! Whoever stands before a disk wants to know first whether it still is what it was.

use std::error::Error;
use std::fmt;
use std::io;

use ironcast_receiver_nostd::engine;

/// That the image is not at its target, or not all of it.
#[derive(Debug)]
pub struct Incomplete {
    /// The target's name.
    pub name: String,
    /// Bytes of the image that it was given.
    pub written: u64,
    /// Why no more.
    pub error: engine::Error<io::Error>,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            written,
            error,
        } = self;
        // A file is emptied before its first write, and a device may have kept a part of it.
        if *written == 0 && !error.is_of_disk() {
            write!(f, "nothing was written to {name}: {error}")
        } else {
            write!(f, "{name} has no complete image: {error}")
        }?;
        match error {
            engine::Error::Decode { source, .. } => write!(f, "; {}", source.next()),
            engine::Error::Refused(refusal) => write!(f, "; {}", refusal.next()),
            _ => Ok(()),
        }
    }
}

impl Error for Incomplete {}

#[cfg(test)]
mod tests {
    use ironcast_proto::receiver::Failure;

    use super::*;

    #[test]
    fn a_failed_write_is_not_called_untouched() {
        let told = |error| {
            let name = "image".to_owned();
            Incomplete {
                name,
                written: 0,
                error,
            }
            .to_string()
        };
        let silent = engine::Error::Transfer(Failure::NotStarted);
        assert!(told(silent).starts_with("nothing was written to image: "));
        let source = io::Error::from(io::ErrorKind::StorageFull);
        let (start, end) = (0, 512);
        let refused = engine::Error::Write { start, end, source };
        assert!(told(refused).starts_with("image has no complete image: "));
    }
}
