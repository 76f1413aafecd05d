//! The master boot record of an image: its partitions, and the logical ones in an extended one.
//!
//! Logical partitions are a chain of records like the first, each with one partition and the place
//! of the next record.

use std::ops::Range;

use super::{FileSystem, Partition, types};
use crate::error::Error;
use crate::source::Source;

mod field {
    use std::ops::Range;

    pub(super) const TABLE: Range<usize> = 446..510;
    pub(super) const SIGNATURE: Range<usize> = 510..512;
    pub(super) const ENTRY_LEN: usize = 16;

    pub(super) const STATUS: usize = 0;
    pub(super) const TYPE: usize = 4;
    pub(super) const FIRST: Range<usize> = 8..12;
    pub(super) const COUNT: Range<usize> = 12..16;
}

/// The type that protects a GUID partition table.
const PROTECTIVE: u8 = 0xee;

/// Types of partitions that hold the logical ones.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// Number of the first logical partition.
const FIRST_LOGICAL: u32 = 5;

/// Most logical partitions: a chain that goes on longer is a circle.
const MAX_LOGICAL: u32 = 256;

/// An entry that is used.
#[derive(Clone, Copy)]
struct Entry {
    /// From 1, in its record.
    number: u32,
    kind: u8,
    /// In sectors, from where it is counted.
    first: u64,
    count: u64,
}

impl Entry {
    fn is_extended(self) -> bool {
        EXTENDED.contains(&self.kind)
    }
}

/// The partitions; none if there is no table, or one that can't be right, as where a file system's
/// first sector has program code in its place.
pub(super) fn read(source: &Source, sector_size: u32) -> Result<Vec<Partition>, Error> {
    let sector = u64::from(sector_size);
    let mut partitions = Vec::new();
    for entry in entries(source, 0)? {
        if entry.kind == PROTECTIVE {
            continue;
        }
        if entry.first == 0 || entry.count == 0 {
            return Ok(Vec::new());
        }
        let bytes = entry.first * sector..(entry.first + entry.count) * sector;
        partitions.push(partition(source, entry.number, bytes.clone(), entry.kind)?);
        if entry.is_extended() {
            logical(source, &bytes, sector, &mut partitions)?;
        }
    }
    partitions.sort_by_key(|partition| partition.number);
    Ok(partitions)
}

/// Whether there is a table, be it one that can't be right, or only one that stands for a GPT.
pub(super) fn is_there(source: &Source) -> Result<bool, Error> {
    entries(source, 0).map(|entries| !entries.is_empty())
}

/// Follows the chain of logical partitions as long as it stays inside of the extended one.
fn logical(
    source: &Source,
    extended: &Range<u64>,
    sector: u64,
    partitions: &mut Vec<Partition>,
) -> Result<(), Error> {
    let mut place = extended.start;
    for number in FIRST_LOGICAL..FIRST_LOGICAL + MAX_LOGICAL {
        let mut next = None;
        for entry in entries(source, place)? {
            if entry.is_extended() {
                next = Some(extended.start + entry.first * sector);
                continue;
            }
            let start = place + entry.first * sector;
            let bytes = start..start + entry.count * sector;
            if start > place && bytes.end <= extended.end && !bytes.is_empty() {
                partitions.push(partition(source, number, bytes, entry.kind)?);
            }
        }
        match next.filter(|next| (place + 1..extended.end).contains(next)) {
            Some(next) => place = next,
            None => break,
        }
    }
    Ok(())
}

fn partition(
    source: &Source,
    number: u32,
    range: Range<u64>,
    kind: u8,
) -> Result<Partition, Error> {
    let is_extended = EXTENDED.contains(&kind);
    let contents = match is_extended {
        true => None,
        false => FileSystem::of(source, range.start)?,
    };
    Ok(Partition {
        number,
        range,
        kind: types::mbr(kind),
        name: String::new(),
        contents,
        is_extended,
    })
}

/// The entries of the record at `place` that are used.
fn entries(source: &Source, place: u64) -> Result<Vec<Entry>, Error> {
    let record = source.bytes_at(place, field::SIGNATURE.end)?;
    Ok(parse(&record).unwrap_or_default())
}

/// `None` if it is no record.
fn parse(record: &[u8]) -> Option<Vec<Entry>> {
    if record.get(field::SIGNATURE)? != [0x55, 0xaa] {
        return None;
    }
    let number = |entry: &[u8], field: Range<usize>| {
        Some(u32::from_le_bytes(entry.get(field)?.try_into().ok()?))
    };
    let mut entries = Vec::new();
    let table = record.get(field::TABLE)?.chunks_exact(field::ENTRY_LEN);
    for (place, entry) in (1..).zip(table) {
        if !matches!(entry.get(field::STATUS)?, 0 | 0x80) {
            return None;
        }
        let kind = *entry.get(field::TYPE)?;
        if kind != 0 {
            entries.push(Entry {
                number: place,
                kind,
                first: number(entry, field::FIRST)?.into(),
                count: number(entry, field::COUNT)?.into(),
            });
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(entries: &[(u8, u32, u32)]) -> [u8; 512] {
        let mut record = [0; 512];
        for (place, (kind, first, count)) in entries.iter().enumerate() {
            let entry = &mut record[446 + 16 * place..][..16];
            entry[4] = *kind;
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..].copy_from_slice(&count.to_le_bytes());
        }
        record[510..].copy_from_slice(&[0x55, 0xaa]);
        record
    }

    fn partitions(records: &[(u64, [u8; 512])]) -> Vec<(u32, Range<u64>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(1 << 20).unwrap();
        for (sector, record) in records {
            std::os::unix::fs::FileExt::write_all_at(&file, record, sector * 512).unwrap();
        }
        let source = Source::open(&path, folder.path()).unwrap();
        let all = read(&source, 512).unwrap().into_iter();
        all.map(|one| (one.number, one.range.start / 512..one.range.end / 512))
            .collect()
    }

    #[test]
    fn logical_partitions_are_those_of_the_chain() {
        let found = partitions(&[
            (0, record(&[(0x83, 8, 8), (0x05, 100, 200)])),
            (100, record(&[(0x07, 8, 50), (0x05, 60, 60)])),
            (160, record(&[(0x82, 8, 50)])),
        ]);
        assert_eq!(
            found,
            [(1, 8..16), (2, 100..300), (5, 108..158), (6, 168..218)]
        );
    }

    #[test]
    fn a_chain_ends_where_it_leads_back_or_out() {
        for next in [0, 60, 200, 1 << 30] {
            let found = partitions(&[
                (0, record(&[(0x0f, 100, 200)])),
                (100, record(&[(0x83, 8, 8), (0x05, 60, 60)])),
                (160, record(&[(0x83, 8, 500), (0x05, next, 60)])),
            ]);
            assert_eq!(found, [(1, 100..300), (5, 108..116)], "{next}");
        }
    }

    #[test]
    fn what_is_no_table_has_no_partitions() {
        let mut unsigned = record(&[(0x83, 8, 8)]);
        unsigned[511] = 0;
        let mut code = record(&[(0x83, 8, 8)]);
        code[446 + 48] = 0x33;
        for none in [
            unsigned,
            code,
            record(&[]),
            record(&[(0xee, 1, 100)]),
            record(&[(0x83, 0, 8)]),
            record(&[(0x83, 8, 8), (0x83, 16, 0)]),
        ] {
            assert_eq!(partitions(&[(0, none)]), []);
        }
    }
}
