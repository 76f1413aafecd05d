//! What of an image its file systems don't use, and what therefore need not be packed.
//!
//! partclone knows the file systems; here is what it is asked about. Whatever is not certain stays:
//! a partition that can't be looked into is packed whole, and its owner is told why.

mod clean;
mod partclone;
mod place;
mod ranges;

use std::fmt;
use std::ops::Range;
use std::path::Path;

pub use ranges::Ranges;

use crate::error::Error;
use crate::layout::{FileSystem, Layout, Partition};
use crate::source::Source;

/// Bytes at each file system's start that are kept whatever it says: a boot loader may have made
/// itself at home there.
const BOOT_AREA: u64 = 64 << 10;

/// Where the header of a swap area has its last page, and its version before that.
const SWAP_INFO: u64 = 1024;

/// What was found out about an image.
#[derive(Debug, Default)]
pub struct Unused {
    /// What nobody needs.
    pub ranges: Ranges,
    /// What was found out about each partition, in the order of their numbers.
    pub partitions: Vec<Told>,
}

/// What was found out about a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number; `None` if the image has no table, and is the file system itself.
    pub number: Option<u32>,
    /// What it has, in words.
    pub contents: String,
    /// Bytes that are left out, or why there are none.
    pub unused: Result<u64, Kept>,
}

/// Why a partition is packed whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It has nothing that partclone knows.
    Unknown,
    /// It was not unmounted, in words what that means.
    Unclean(&'static str),
    /// partclone refuses it.
    Refused(
        /// What it says.
        String,
    ),
    /// It reaches over the image's end, or into another partition.
    Place,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("nothing is known of what it uses"),
            Self::Unclean(why) => f.write_str(why),
            Self::Refused(words) => write!(f, "partclone says: {words}"),
            Self::Place => f.write_str("it reaches over the image's end or into another partition"),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "partition {number} ({})", self.contents)?,
            None => write!(f, "the image ({})", self.contents)?,
        }
        match &self.unused {
            Ok(bytes) => write!(f, ": {bytes} bytes are not in use"),
            Err(kept) => write!(f, " is packed whole: {kept}"),
        }
    }
}

impl Unused {
    /// Looks into all file systems of `source`. What has to be unpacked or copied for that goes to
    /// `scratch`.
    ///
    /// # Errors
    /// [`Error::File`], and [`Error::Partclone`] if that is not installed.
    pub fn find(source: &Source, layout: &Layout, scratch: &Path) -> Result<Self, Error> {
        let mut unused = Self::default();
        for partition in layout.partitions().filter(|one| !one.is_extended) {
            let overlaps = |other: &Partition| {
                // One that holds the logical ones has their records.
                let is_around = other.is_extended
                    && other.range.start < partition.range.start
                    && partition.range.end <= other.range.end;
                other.number != partition.number
                    && !is_around
                    && other.range.start < partition.range.end
                    && partition.range.start < other.range.end
            };
            let is_odd = partition.range.end > source.size() || layout.partitions().any(overlaps);
            let found = match is_odd {
                true => Err(Kept::Place),
                false => Self::of(source, partition, scratch)?,
            };
            unused.add(Some(partition.number), partition.contents, found);
        }
        if let Some(bare) = layout.bare() {
            let whole = Partition::bare(bare, source.size());
            let found = Self::of(source, &whole, scratch)?;
            unused.add(None, Some(bare), found);
        }
        Ok(unused)
    }

    fn add(
        &mut self,
        number: Option<u32>,
        contents: Option<FileSystem>,
        found: Result<Vec<Range<u64>>, Kept>,
    ) {
        let unused = found.map(|ranges| {
            let bytes = ranges.iter().map(|range| range.end - range.start).sum();
            self.ranges.add(ranges);
            bytes
        });
        self.partitions.push(Told {
            number,
            contents: contents.map_or("unknown".to_owned(), |one| one.to_string()),
            unused,
        });
    }

    /// What a partition does not use, in places of the image.
    fn of(
        source: &Source,
        partition: &Partition,
        scratch: &Path,
    ) -> Result<Result<Vec<Range<u64>>, Kept>, Error> {
        let Range { start, end } = partition.range;
        let Some(contents) = partition.contents else {
            return Ok(Err(Kept::Unknown));
        };
        if let FileSystem::Swap { page } = contents {
            return Ok(Ok(swapped(source, &partition.range, page)?));
        }
        let Some(program) = partclone::program(contents) else {
            return Ok(Err(Kept::Unknown));
        };
        if let Err(why) = clean::check(source, start, contents)? {
            return Ok(Err(Kept::Unclean(why)));
        }
        let place = place::of(source, partition, scratch)?;
        let found = partclone::unused(program, place.path(), scratch, end - start)?;
        let kept = BOOT_AREA.min(end - start);
        Ok(found.map_err(Kept::Refused).map(|ranges| {
            let ranges = ranges.into_iter();
            ranges
                .map(|range| start + range.start.max(kept)..start + range.end)
                .filter(|range| !range.is_empty())
                .collect()
        }))
    }
}

/// The pages of a swap area behind its header.
fn swapped(source: &Source, range: &Range<u64>, page: u32) -> Result<Vec<Range<u64>>, Error> {
    let info = source.bytes_at(range.start + SWAP_INFO, 8)?;
    let last = info.get(4..).and_then(|bytes| bytes.first_chunk());
    let last = last.map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let page = u64::from(page);
    let end = range.start + page * (u64::from(last) + 1);
    let pages = range.start + page..end.min(range.end);
    Ok(match pages.is_empty() {
        true => Vec::new(),
        false => vec![pages],
    })
}
