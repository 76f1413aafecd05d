//! What is on an image: its partition table, and what file systems its partitions have.
//!
//! For people who look into a cast file, and to know what of the image nobody needs. Nothing in an
//! image is believed: what is not as it should be counts as if it were not there, and then all of
//! the image is needed.

mod file_system;
mod gpt;
mod mbr;
mod smallest;
mod types;
mod words;

use std::ops::Range;

pub(crate) use file_system::FileSystem;

use crate::error::Error;
use crate::source::Source;

/// Bytes of a sector of most disks.
const USUAL_SECTOR: u32 = 512;

/// The partition table of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    sector_size: u32,
    table: Table,
    /// In the order of their numbers.
    partitions: Vec<Partition>,
    /// What the image has if it has no table.
    bare: Option<FileSystem>,
}

/// Which kind of table there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Table {
    /// None, or one that is not understood.
    None,
    /// A master boot record.
    Mbr,
    /// A GUID partition table.
    Gpt(gpt::Table),
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// From 1; what Linux calls it.
    pub(crate) number: u32,
    /// Its bytes in the image.
    pub(crate) range: Range<u64>,
    /// What its table says that it is for.
    kind: String,
    /// What its table calls it; empty for none.
    name: String,
    /// What it has.
    pub(crate) contents: Option<FileSystem>,
    /// Whether it only holds other partitions.
    pub(crate) is_extended: bool,
}

impl Partition {
    /// What stands for an image that is a file system itself.
    pub(crate) fn bare(contents: FileSystem, size: u64) -> Self {
        Self {
            number: 0,
            range: 0..size,
            kind: String::new(),
            name: String::new(),
            contents: Some(contents),
            is_extended: false,
        }
    }
}

impl Layout {
    /// Looks at an image. `sector_size` is what its maker says, if he does.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::SectorSize`] if its table says otherwise.
    pub fn read(source: &Source, sector_size: Option<u32>) -> Result<Self, Error> {
        if let Some((table, partitions)) = gpt::read(source, sector_size)? {
            return Ok(Self {
                sector_size: table.sector_size(),
                table: Table::Gpt(table),
                partitions,
                bare: None,
            });
        }
        let sector_size = sector_size
            .or_else(|| source.sector_size())
            .unwrap_or(USUAL_SECTOR);
        let partitions = mbr::read(source, sector_size)?;
        // Beside a table that is not right, such as for a GPT that is damaged, a file system can
        // only be what was there before.
        let (table, bare) = match (partitions.is_empty(), mbr::is_there(source)?) {
            (true, false) => (Table::None, FileSystem::of(source, 0)?),
            (true, true) => (Table::None, None),
            (false, _) => (Table::Mbr, None),
        };
        Ok(Self {
            sector_size,
            table,
            partitions,
            bare,
        })
    }

    /// Bytes of a sector of the disk that the image is of.
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// The table in words, a line for each partition; `None` if there is none.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        words::of(self)
    }

    /// Bytes of the smallest disk that the image fits on (docs/cast-format.md, 3.6).
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn least_disk(&self, source: &Source) -> Result<u64, Error> {
        smallest::least_disk(self, source)
    }

    /// The partitions, in the order of their numbers.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.iter()
    }

    /// What the image has if it has no table, and is a file system itself.
    pub(crate) fn bare(&self) -> Option<FileSystem> {
        self.bare
    }

    /// Where the last partition ends.
    fn end(&self) -> Option<u64> {
        self.partitions.iter().map(|one| one.range.end).max()
    }
}
