//! The GUID partition table of an image, as far as its partitions go.
//!
//! Header and checksums are read by what the receivers read them with. Names are those of the UEFI
//! specification, chapter 5, "GUID Partition Table (GPT) Disk Layout".

use std::ops::Range;

use ironcast_receiver_nostd::gpt::{Header, MAX_ARRAY_LEN, SECTOR_SIZES};

use super::{FileSystem, Partition, types};
use crate::error::Error;
use crate::source::Source;

mod field {
    use std::ops::Range;

    /// SizeOfPartitionEntry, in the header.
    pub(super) const ENTRY_SIZE: Range<usize> = 84..88;

    pub(super) const TYPE: Range<usize> = 0..16;
    pub(super) const FIRST: Range<usize> = 32..40;
    pub(super) const LAST: Range<usize> = 40..48;
    pub(super) const NAME: Range<usize> = 56..128;
}

/// A table whose header has a right checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Table {
    header: Header,
    /// Whether it can be made right for another disk.
    is_right: bool,
}

impl Table {
    pub(super) fn sector_size(&self) -> u32 {
        self.header.sector_size()
    }

    /// Bytes that its second copy needs at the disk's end.
    pub(super) fn copy_len(&self) -> u64 {
        let array = self.header.array();
        array.end - array.start + u64::from(self.sector_size())
    }

    /// Where its partitions may begin: behind its array.
    pub(super) fn array_end(&self) -> u64 {
        self.header.array().end
    }

    /// Where its second copy is in the image, which is the last thing in it, whole and the same;
    /// `None` if it isn't, or if the table can't be made right for another disk.
    pub(super) fn copy(&self, source: &Source) -> Result<Option<Range<u64>>, Error> {
        let sector = u64::from(self.sector_size());
        let size = source.size();
        if !self.is_right || self.header.disk_len() != Some(size) {
            return Ok(None);
        }
        let last = source.bytes_at(size - sector, self.sector_size() as usize)?;
        let Ok(Some(copy)) = Header::parse(&last) else {
            return Ok(None);
        };
        let (array, other) = (self.header.array(), copy.array());
        if !self.header.is_backed_up_by(&copy) || other.end > size - sector {
            return Ok(None);
        }
        // No more than can be moved, or the table would not be right.
        let len = (array.end - array.start) as usize;
        let is_same = source.bytes_at(array.start, len)? == source.bytes_at(other.start, len)?;
        Ok(is_same.then_some(other.start..size))
    }
}

/// The table and its partitions; `None` if there is none. Of one that contradicts itself there are
/// no partitions.
pub(super) fn read(
    source: &Source,
    sector_size: Option<u32>,
) -> Result<Option<(Table, Vec<Partition>)>, Error> {
    let [_, largest] = SECTOR_SIZES;
    let start = source.bytes_at(0, 2 * largest as usize)?;
    let headers = SECTOR_SIZES.map(|size| Header::primary(&start, size).ok().flatten());
    let headers: Vec<Header> = headers.into_iter().flatten().collect();
    let is_said = |header: &&Header| sector_size.is_none_or(|said| header.sector_size() == said);
    // One may be left over from another use of the disk.
    let fits = |header: &&Header| is_said(header) && header.disk_len() == Some(source.size());
    let mut all = headers.iter();
    let found = all.find(fits).or_else(|| headers.iter().find(is_said));
    match (found, headers.first(), sector_size) {
        (Some(header), ..) => with_partitions(source, *header, &start).map(Some),
        (None, Some(header), Some(said)) => Err(Error::SectorSize {
            path: source.path().to_owned(),
            said,
            table: header.sector_size(),
        }),
        _ => Ok(None),
    }
}

fn with_partitions(
    source: &Source,
    header: Header,
    start: &[u8],
) -> Result<(Table, Vec<Partition>), Error> {
    let array = header.array();
    let len = usize::try_from(array.end - array.start).unwrap_or(usize::MAX);
    let array = source.bytes_at(array.start, len.min(MAX_ARRAY_LEN))?;
    let is_right = header
        .disk_len()
        .is_some_and(|len| header.fitted_to(len).is_ok())
        && header.check_array(&array).is_ok();
    let table = Table { header, is_right };
    let sector = header.sector_size() as usize;
    let entry_size = start
        .get(sector..)
        .and_then(|sector| sector.get(field::ENTRY_SIZE))
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_le_bytes);
    if !is_right || entry_size == 0 {
        return Ok((table, Vec::new()));
    }
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(array.chunks_exact(entry_size as usize)) {
        if let Some(range) = range(entry, sector as u64) {
            partitions.push(Partition {
                number,
                kind: types::guid(entry.get(field::TYPE).unwrap_or_default()),
                name: name(entry.get(field::NAME).unwrap_or_default()),
                contents: FileSystem::of(source, range.start)?,
                range,
                is_extended: false,
            });
        }
    }
    Ok((table, partitions))
}

/// The bytes of a partition; `None` if the entry is not used.
fn range(entry: &[u8], sector: u64) -> Option<Range<u64>> {
    let number = |field: Range<usize>| Some(u64::from_le_bytes(entry.get(field)?.try_into().ok()?));
    let kind = entry.get(field::TYPE)?;
    if kind.iter().all(|&byte| byte == 0) {
        return None;
    }
    let (first, last): (u64, u64) = (number(field::FIRST)?, number(field::LAST)?);
    let end = last.checked_add(1)?.checked_mul(sector)?;
    Some(first.checked_mul(sector)?..end)
}

/// A name of UTF-16 up to its first zero, without what would upset a terminal.
fn name(bytes: &[u8]) -> String {
    let (units, _) = bytes.as_chunks();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    let units = units.take_while(|&unit| unit != 0);
    char::decode_utf16(units)
        .map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER))
        .map(|one| match one.is_control() {
            true => char::REPLACEMENT_CHARACTER,
            false => one,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_their_zero_and_have_nothing_odd_in_them() {
        let bytes =
            |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        assert_eq!(name(&bytes("Bücher\0left over")), "Bücher");
        assert_eq!(name(&bytes("a\nb\x1b[1m")), "a\u{fffd}b\u{fffd}[1m");
        assert_eq!(name(&[0x00, 0xd8, b'x', 0, 1]), "\u{fffd}x");
        assert_eq!(name(&[]), "");
    }

    #[test]
    fn what_is_not_used_or_impossible_is_no_partition() {
        let mut entry = [0; 128];
        entry[32] = 34;
        entry[40] = 99;
        assert_eq!(range(&entry, 512), None);
        entry[0] = 1;
        assert_eq!(range(&entry, 512), Some(34 * 512..100 * 512));
        entry[40..48].fill(0xff);
        assert_eq!(range(&entry, 512), None);
        assert_eq!(range(&entry[..40], 512), None);
    }
}
