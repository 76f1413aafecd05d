//! Images with a GUID partition table, and a judge of disks that have one.
//!
//! Written from the specification without a look at what is tested, so that a mistake would have to
//! be made twice.

use std::ops::Range;

use super::image;

/// A disk image that is to be made.
#[derive(Clone, Debug)]
pub struct Layout {
    pub sector: usize,
    /// Sectors of the disk.
    pub sectors: u64,
    /// First and last sector of each.
    pub partitions: Vec<(u64, u64)>,
    pub entries: u32,
    pub entry_size: u32,
}

/// What a table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub disk_guid: [u8; 16],
    pub last_usable: u64,
    pub partitions: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    pub kind: [u8; 16],
    pub guid: [u8; 16],
    pub first: u64,
    pub last: u64,
}

impl Layout {
    /// One of `len` bytes with two partitions and the usual 128 entries.
    pub fn new(sector: usize, len: usize) -> Self {
        let sectors = (len / sector) as u64;
        let middle = sectors / 2;
        Self {
            sector,
            sectors,
            partitions: vec![(64, middle), (middle + 1, sectors - 64)],
            entries: 128,
            entry_size: 128,
        }
    }

    fn array_sectors(&self) -> u64 {
        u64::from(self.entries * self.entry_size).div_ceil(self.sector as u64)
    }

    fn array(&self) -> Vec<u8> {
        let mut array = vec![0; (self.entries * self.entry_size) as usize];
        let entries = array.chunks_mut(self.entry_size as usize);
        for (number, (entry, (first, last))) in entries.zip(&self.partitions).enumerate() {
            entry[..16].fill(0xa0 + number as u8);
            entry[16..32].fill(0xb0 + number as u8);
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            entry[56..64].fill(b'n');
        }
        array
    }

    /// A header that says it is at `mine`.
    fn header(&self, mine: u64, other: u64, entries: u64) -> Vec<u8> {
        let mut header = b"EFI PART\0\0\x01\0".to_vec();
        header.extend(92_u32.to_le_bytes());
        header.extend([0; 8]);
        let usable = (
            2 + self.array_sectors(),
            self.sectors - 2 - self.array_sectors(),
        );
        for value in [mine, other, usable.0, usable.1] {
            header.extend(value.to_le_bytes());
        }
        header.extend([0xd1; 16]);
        header.extend(entries.to_le_bytes());
        header.extend(self.entries.to_le_bytes());
        header.extend(self.entry_size.to_le_bytes());
        header.extend(crc32fast::hash(&self.array()).to_le_bytes());
        let crc = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// The image, whose partitions are full of random bytes.
    pub fn image(&self) -> Vec<u8> {
        let mut image = image(self.sectors as usize * self.sector);
        let last = self.sectors - 1;
        let n = self.array_sectors();
        let size = u32::try_from(last).unwrap_or(u32::MAX);
        image[..(2 + n) as usize * self.sector].fill(0);
        image[(last - n) as usize * self.sector..].fill(0);
        image[446..462].copy_from_slice(&[0, 0, 2, 0, 0xee, 9, 9, 9, 1, 0, 0, 0, 0, 0, 0, 0]);
        image[458..462].copy_from_slice(&size.to_le_bytes());
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        for (lba, bytes) in [
            (1, self.header(1, last, 2)),
            (2, self.array()),
            (last - n, self.array()),
            (last, self.header(last, 1, last - n)),
        ] {
            let at = lba as usize * self.sector;
            image[at..at + bytes.len()].copy_from_slice(&bytes);
        }
        image
    }

    /// The bytes of a partition.
    pub fn place(&self, partition: usize) -> Range<usize> {
        let (first, last) = self.partitions[partition];
        first as usize * self.sector..(last as usize + 1) * self.sector
    }
}

/// Makes a header's checksum right again.
pub fn sign(header: &mut [u8]) {
    header[16..20].fill(0);
    let crc = crc32fast::hash(&header[..92]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
}

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut value = [0; 8];
    value[..len].copy_from_slice(&bytes[at..at + len]);
    u64::from_le_bytes(value)
}

/// What the table of a whole disk says, if all of it is right: both headers, both arrays, and the
/// protective MBR.
pub fn judge(disk: &[u8], sector: usize) -> Result<Table, String> {
    let last = (disk.len() / sector - 1) as u64;
    let size = u64::from(u32::try_from(last).unwrap_or(u32::MAX));
    if disk[510..512] != [0x55, 0xaa] || disk[450] != 0xee || number(disk, 458, 4) != size {
        return Err("protective MBR".to_owned());
    }
    let primary = judge_header(disk, sector, 1, last)?;
    let backup = judge_header(disk, sector, last, 1)?;
    if primary != backup {
        return Err(format!("{primary:?} is not {backup:?}"));
    }
    Ok(primary)
}

fn judge_header(disk: &[u8], sector: usize, mine: u64, other: u64) -> Result<Table, String> {
    let at = mine as usize * sector;
    let header = &disk[at..at + sector];
    let demand = |holds: bool, what: &str| match holds {
        true => Ok(()),
        false => Err(format!("header {mine}: {what}")),
    };
    demand(header.starts_with(b"EFI PART"), "signature")?;
    let mut signed = header.to_vec();
    sign(&mut signed);
    demand(signed == header, "checksum")?;
    demand(number(header, 24, 8) == mine, "MyLBA")?;
    demand(number(header, 32, 8) == other, "AlternateLBA")?;
    let (first, last_usable) = (number(header, 40, 8), number(header, 48, 8));
    let (lba, count) = (number(header, 72, 8), number(header, 80, 4));
    let size = number(header, 84, 4);
    let sectors = (count * size).div_ceil(sector as u64);
    let end = lba + sectors;
    demand(end <= first || lba > last_usable && end <= mine, "array")?;
    demand(last_usable < mine.max(other) - sectors, "LastUsableLBA")?;
    let array = &disk[lba as usize * sector..][..(count * size) as usize];
    demand(
        u64::from(crc32fast::hash(array)) == number(header, 88, 4),
        "array's checksum",
    )?;
    let entries = array
        .chunks(size as usize)
        .filter(|entry| entry[..16] != [0; 16]);
    let bytes = |entry: &[u8], at: usize| entry[at..at + 16].try_into().unwrap_or_default();
    let partitions: Vec<Partition> = entries
        .map(|entry| Partition {
            kind: bytes(entry, 0),
            guid: bytes(entry, 16),
            first: number(entry, 32, 8),
            last: number(entry, 40, 8),
        })
        .collect();
    let inside = |p: &Partition| first <= p.first && p.first <= p.last && p.last <= last_usable;
    demand(partitions.iter().all(inside), "a partition's place")?;
    Ok(Table {
        disk_guid: bytes(header, 56),
        last_usable,
        partitions,
    })
}
