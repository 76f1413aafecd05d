//! The header by which FOG's streams say which file they carry.
//!
//! `FOGMC1`, a space, the file's name filled up with spaces to 120 bytes, and a line feed.

use std::fmt;

/// Bytes of the name, the spaces behind it included.
const NAME_LEN: usize = 120;

/// The header for a file of this name.
///
/// # Errors
/// [`FogNameError`].
pub fn header(name: &str) -> Result<Vec<u8>, FogNameError> {
    let is_name = (1..=NAME_LEN).contains(&name.len())
        && !name.chars().any(char::is_control)
        && name.trim() == name;
    match is_name {
        true => Ok(format!("FOGMC1 {name}{}\n", " ".repeat(NAME_LEN - name.len())).into_bytes()),
        false => Err(FogNameError),
    }
}

/// Reads a name that a header can have.
///
/// # Errors
/// [`FogNameError`].
pub fn parse_name(name: &str) -> Result<String, FogNameError> {
    header(name).map(|_| name.to_owned())
}

/// It is no name for a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FogNameError;

impl fmt::Display for FogNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it is no name of 1 to {NAME_LEN} bytes, without spaces at its ends"
        )
    }
}

impl std::error::Error for FogNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_as_long_whatever_the_name() {
        for name in ["d1p1.img", "x", &"n".repeat(120)] {
            let header = header(name).unwrap();
            assert_eq!(header.len(), 128);
            assert!(header.starts_with(format!("FOGMC1 {name}").as_bytes()));
            assert!(header.ends_with(b"\n"));
        }
        for name in ["", " x", "x ", "a\nb", &"n".repeat(121)] {
            assert_eq!(parse_name(name), Err(FogNameError), "{name:?}");
        }
    }
}
