//! How far a transfer is, and what it came to.

#[cfg(feature = "alloc")]
use core::fmt;

use blake3::Hash;
#[cfg(feature = "alloc")]
use ironcast_proto::cast::{Manifest, Signed};
#[cfg(doc)]
use ironcast_proto::receiver::Config;

use super::TableState;
use crate::decode::Compression;

/// How the image was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As it is.
    Raw,
    /// Compressed.
    Compressed(
        /// How.
        Compression,
    ),
    /// As a cast stream (docs/cast-format.md).
    Cast,
}

/// What a transfer that ended well did. The image is on the disk, and flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Bytes of the stream.
    pub received: u64,
    /// BLAKE3 of the stream as it was sent.
    pub hash: Hash,
    /// Bytes on the disk.
    pub written: u64,
    /// BLAKE3 of the bytes on the disk, as they were given to it, without what `table` and `guids`
    /// tell of. The same as `hash` for [`Format::Raw`]; for [`Format::Cast`], whose holes may be
    /// anything, the image's own root.
    pub disk_hash: Hash,
    /// Whether all of it was read back and found equal.
    pub verified: bool,
    /// What became of the image's GUID partition table.
    pub table: TableState,
    /// How the image was sent.
    pub format: Format,
    /// The sender's slice that the stream began with: not 0 if this receiver
    /// [joined late](Config::late_join), and what was before it is missing.
    pub first_slice: u32,
    /// Bytes that were lost and have zeroes in their place, as far as it is known how many
    /// ([`Config::ignore_lost_data`]).
    pub lost: u64,
    /// Slices that nothing was heard of: what follows them is in the wrong place
    /// ([`Config::ignore_lost_data`]).
    pub lost_slices: u32,
}

impl Report {
    /// Whether the whole stream was there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first_slice == 0 && self.lost == 0 && self.lost_slices == 0
    }
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Stream bytes that have arrived without a gap.
    pub received: u64,
    /// Bytes of the image that were given to the disk.
    pub written: u64,
    /// Whether all of them are safe on the disk, if not proved yet.
    pub is_flushed: bool,
    /// Bytes of it that were read back and found equal.
    pub verified: u64,
    /// Stream bytes that wait in memory for the disk.
    pub waiting: u64,
    /// Bytes of the whole stream, once its end has arrived.
    pub total: Option<u64>,
    /// Bytes of the disk that the image was made of, if it begins with a GPT, once that was given
    /// to the disk. The image is as long unless it was cut short.
    pub disk_len: Option<u64>,
    /// How the image is sent, once its first bytes have arrived.
    pub format: Option<Format>,
}

/// Which image it is, and who says so, in a few words for people.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'m> {
    /// What the image says of itself.
    pub manifest: Manifest<'m>,
    /// Who has signed that.
    pub signed: Signed,
}

#[cfg(feature = "alloc")]
impl fmt::Display for Provenance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { name, version, .. } = self.manifest;
        write!(f, "{name}, version {version}, ")?;
        match self.signed {
            Signed::By(key) => write!(f, "signed by {key}"),
            Signed::Unchecked { signatures: 0 } => f.write_str("unsigned"),
            Signed::Unchecked { .. } => f.write_str("signed by whomever: no key is trusted here"),
        }
    }
}
