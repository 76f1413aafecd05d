//! The cast stream: a disk image that says who it is, what disk it fits on, and whether it is
//! genuine (docs/cast-format.md).
//!
//! The stream is only a payload: UDPcast's wire carries it like any other bytes. What is here reads
//! and makes everything that comes before the image's chunks, in memory that the caller gives, and
//! says of each chunk how it is stored and what it has to hash to. To decode chunks and to write
//! them is for others.
//!
//! A reader takes bytes as they come: [`Preamble`] first, then [`Table`].

mod error;
mod head;
mod manifest;
mod preamble;
mod signature;
mod table;

pub use error::{CastError, ManifestError, Word};
pub use head::{HEAD_LEN, Head, MAGIC, MAX_MANIFEST_LEN, VERSION};
pub use manifest::{
    Chunks, Features, MAX_CHUNK_SIZE, MAX_IMAGE_SIZE, MAX_NAME_LEN, MAX_PARTITIONS_LEN,
    MIN_CHUNK_SIZE, Manifest,
};
pub use preamble::{PREAMBLE_LEN, Preamble, Signed};
pub use signature::{KeyNumber, PublicKey, SIGNATURE_LEN, Signature};
pub use table::{
    ENTRY_LEN, Entry, Kind, STORED_HASH_LEN, Table, TableMaker, hash_of_zeroes, is_zero,
};
