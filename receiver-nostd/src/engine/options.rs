//! What is done with the stream, and with the disk beside writing to it.

use core::fmt;

use super::wanted::Wanted;
use crate::decode::Compression;
use crate::gpt::Odd;

/// What is done with streams that are not the plain bytes of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Decompress {
    /// A stream that begins as a [`Compression`] does is decompressed, and a cast stream unpacked.
    #[default]
    Auto,
    /// Every stream is written as it comes, whatever it looks like.
    None,
    /// A cast stream is unpacked. Every other is written as it comes.
    Cast,
    /// Every stream is decompressed, and it is an error if it is not of this kind.
    Only(
        /// The kind.
        Compression,
    ),
}

impl Decompress {
    /// The words for them, in settings and on command lines: that which each has in
    /// [`Display`](fmt::Display) and is read by [`from_word`](Self::from_word).
    pub const WORDS: [&'static str; 7] = ["auto", "none", "cast", "gzip", "lzop", "lz4", "zstd"];

    /// What a word means; `None` if it is none of [`WORDS`](Self::WORDS).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "none" => Some(Self::None),
            "cast" => Some(Self::Cast),
            name => Compression::ALL
                .into_iter()
                .find(|compression| compression.name() == name)
                .map(Self::Only),
        }
    }
}

impl fmt::Display for Decompress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Cast => "cast",
            Self::Only(compression) => compression.name(),
        })
    }
}

/// How much is done for the disk. The default is what a machine wants whose disk is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// Whether what was written is read back and compared, on disks that can be read. Default yes.
    pub verify: bool,
    /// What becomes of the image's partition table on a disk of another size. Default
    /// [`Gpt::Move`].
    pub gpt: Gpt,
    /// Whose GUIDs the disk gets. Default [`Guids::Keep`].
    pub guids: Guids,
    /// What becomes of the disk when the transfer fails. Default [`OnFailure::Clear`].
    pub on_failure: OnFailure,
    /// Whether an image of no bytes is one, and leaves the disk as it is. Default no: whoever has
    /// a disk to be written expects that it was.
    pub may_be_empty: bool,
}

impl DiskOptions {
    /// Nothing is done: the bytes go to the disk as they are sent, and stay there.
    pub const AS_SENT: Self = Self {
        verify: false,
        gpt: Gpt::Keep,
        guids: Guids::Keep,
        on_failure: OnFailure::Keep,
        may_be_empty: true,
    };
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            verify: true,
            gpt: Gpt::Move,
            guids: Guids::Keep,
            on_failure: OnFailure::Clear,
            may_be_empty: false,
        }
    }
}

/// What becomes of a GUID partition table whose disk had another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gpt {
    /// It is made right for the disk, and its copy is moved to the disk's end. Only on disks that
    /// can be read and whose start is held back.
    #[default]
    Move,
    /// It is left as it was sent.
    Keep,
}

/// Whose GUIDs the disk and its partitions get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guids {
    /// Those of the image.
    #[default]
    Keep,
    /// New ones, whatever [`Gpt`] says. An image whose table can't be given any is an error.
    New {
        /// Random bytes, from which the GUIDs are made. Machines with the same have the same GUIDs.
        seed: [u8; 32],
    },
}

/// What becomes of a disk that has got a part of an image, or one that is not what was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Its first and last MiB are overwritten by zeros, as far as its capacity is known: no
    /// machine starts it or takes it for a whole one.
    #[default]
    Clear,
    /// It is left as it is, for somebody to look into.
    Keep,
}

/// What is asked of a cast stream, and how it is put on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CastOptions<'o> {
    /// What it has to be.
    pub wanted: Wanted<'o>,
    /// What is done with chunks of zeroes. Default [`Zeroes::Write`].
    pub zero: Zeroes,
    /// What is done with holes. Default [`Holes::Keep`].
    pub holes: Holes,
    /// Whether chunks that the disk already has are left alone, on disks that can be read. The
    /// first one is always written. Default no.
    pub delta: bool,
    /// How much is done for the disk, if that is not the same as for other streams. Default: it is
    /// the same.
    pub disk: Option<DiskOptions>,
}

/// What is done with chunks of zeroes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zeroes {
    /// They are written.
    #[default]
    Write,
    /// They are not: the disk is known to be blank. Reading back shows whether it was.
    Skip,
}

/// What is done where an image has no use for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holes {
    /// Whatever is there stays.
    #[default]
    Keep,
    /// It becomes zeroes.
    Zero,
}

/// What became of the image's GUID partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// It has none for sectors of this disk's size.
    None,
    /// It is as it was sent: since it is odd, if it says in what way; else since that was wanted,
    /// or since the disk can't be read.
    Kept(Option<Odd>),
    /// Its copy was at the end of this disk already; if the GUIDs are not new, it is as it was
    /// sent.
    Fits,
    /// Its copy is at the end of this disk now.
    Moved,
}

/// What a transfer that failed left on the disk. `E` is the reason why it could not be cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover<E> {
    /// Nothing was written: the disk is as it was.
    Untouched,
    /// A part of the image, or all of it but not proved.
    Part,
    /// Zeros in its first and last MiB, and between them a part of the image.
    Cleared,
    /// The same as [`Part`](Self::Part): its first or last MiB could not be cleared.
    NotCleared(E),
}
