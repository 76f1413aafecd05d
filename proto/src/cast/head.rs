//! The first bytes of a cast stream: what it is, in which version, and how long its manifest is.
//!
//! They are read before anything else can be believed, and say no more than what is needed to go
//! on.

use super::error::CastError;

/// What every cast stream begins with (docs/cast-format.md, 2).
pub const MAGIC: [u8; 8] = *b"\x89CAST\r\n\x1a";

/// The version of the format that this is.
pub const VERSION: u16 = 1;

/// Bytes of a [`Head`].
pub const HEAD_LEN: usize = 16;

/// The most bytes of a manifest.
pub const MAX_MANIFEST_LEN: usize = 65_536;

/// The first bytes of a cast stream (docs/cast-format.md, 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the manifest: 1 to [`MAX_MANIFEST_LEN`].
    pub manifest_len: u32,
}

impl Head {
    /// Reads it.
    ///
    /// # Errors
    /// [`CastError::Magic`], [`CastError::Version`], [`CastError::Reserved`] or
    /// [`CastError::ManifestLength`].
    pub fn decode(bytes: &[u8; HEAD_LEN]) -> Result<Self, CastError> {
        let [magic @ .., v0, v1, r0, r1, l0, l1, l2, l3] = *bytes;
        if magic != MAGIC {
            return Err(CastError::Magic);
        }
        match u16::from_le_bytes([v0, v1]) {
            VERSION => {}
            other => return Err(CastError::Version(other)),
        }
        match u16::from_le_bytes([r0, r1]) {
            0 => {}
            other => return Err(CastError::Reserved(other)),
        }
        let manifest_len = u32::from_le_bytes([l0, l1, l2, l3]);
        if manifest_len == 0 || manifest_len as usize > MAX_MANIFEST_LEN {
            return Err(CastError::ManifestLength(manifest_len));
        }
        Ok(Self { manifest_len })
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..].copy_from_slice(&self.manifest_len.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_writes_and_nothing_else() {
        for manifest_len in [1, 300, 65_536] {
            let head = Head { manifest_len };
            assert_eq!(Head::decode(&head.encode()), Ok(head));
        }
        let good = Head { manifest_len: 300 }.encode();
        let with = |at: usize, byte: u8| {
            let mut bytes = good;
            bytes[at] = byte;
            Head::decode(&bytes)
        };
        for at in 0..8 {
            assert_eq!(with(at, 0), Err(CastError::Magic));
        }
        assert_eq!(with(8, 2), Err(CastError::Version(2)));
        assert_eq!(with(9, 1), Err(CastError::Version(0x101)));
        assert_eq!(with(11, 1), Err(CastError::Reserved(0x100)));
        assert_eq!(with(14, 1), Err(CastError::ManifestLength(65_836)));
        let empty = Head { manifest_len: 0 }.encode();
        assert_eq!(Head::decode(&empty), Err(CastError::ManifestLength(0)));
    }
}
