//! The GUID partition table of an image, made right for the disk that the image goes to.
//!
//! An image has the table of the disk that it was made for, with a copy in that disk's last
//! sectors. On a larger disk the copy belongs to the end, and all that names the end has to change
//! with it: AlternateLBA, LastUsableLBA and the checksums (the protective MBR is
//! [`mbr`](crate::mbr)'s matter). Nothing here reads or writes a disk. Names are those of the UEFI
//! specification, chapter 5, "GUID Partition Table (GPT) Disk Layout".
//!
//! A table comes over the network, so nothing in it is believed: what is not as the specification
//! has it is [`Odd`], and such a table is left as it was sent.

use core::fmt;
use core::ops::Range;

/// Sector sizes that disks have, in bytes: a table is written for one of them.
pub const SECTOR_SIZES: [u32; 2] = [512, 4096];

/// Most bytes of a partition entry array that can be moved, in whole sectors: 2048 entries of 128
/// bytes. Usual are 128 entries.
pub const MAX_ARRAY_LEN: usize = 256 << 10;

/// What every header begins with.
const SIGNATURE: &[u8] = b"EFI PART";

/// The primary header's place, in sectors.
const PRIMARY_LBA: u64 = 1;

/// Least SizeOfPartitionEntry in bytes; others are this times a power of two.
const MIN_ENTRY_SIZE: u32 = 128;

mod field {
    use core::ops::Range;

    pub(super) const SIGNATURE: Range<usize> = 0..8;
    pub(super) const REVISION: Range<usize> = SIGNATURE.end..12;
    pub(super) const HEADER_SIZE: Range<usize> = REVISION.end..16;
    pub(super) const HEADER_CRC32: Range<usize> = HEADER_SIZE.end..20;
    pub(super) const RESERVED: Range<usize> = HEADER_CRC32.end..24;
    pub(super) const MY_LBA: Range<usize> = RESERVED.end..32;
    pub(super) const ALTERNATE_LBA: Range<usize> = MY_LBA.end..40;
    pub(super) const FIRST_USABLE_LBA: Range<usize> = ALTERNATE_LBA.end..48;
    pub(super) const LAST_USABLE_LBA: Range<usize> = FIRST_USABLE_LBA.end..56;
    pub(super) const DISK_GUID: Range<usize> = LAST_USABLE_LBA.end..72;
    pub(super) const PARTITION_ENTRY_LBA: Range<usize> = DISK_GUID.end..80;
    pub(super) const NUMBER_OF_PARTITION_ENTRIES: Range<usize> = PARTITION_ENTRY_LBA.end..84;
    pub(super) const SIZE_OF_PARTITION_ENTRY: Range<usize> = NUMBER_OF_PARTITION_ENTRIES.end..88;
    pub(super) const PARTITION_ENTRY_ARRAY_CRC32: Range<usize> = SIZE_OF_PARTITION_ENTRY.end..92;
    /// Where the fields of the first revision end.
    pub(super) const END: usize = PARTITION_ENTRY_ARRAY_CRC32.end;
}

mod entry_field {
    use core::ops::Range;

    pub(super) const PARTITION_TYPE_GUID: Range<usize> = 0..16;
    pub(super) const UNIQUE_PARTITION_GUID: Range<usize> = PARTITION_TYPE_GUID.end..32;
    pub(super) const STARTING_LBA: Range<usize> = UNIQUE_PARTITION_GUID.end..40;
    pub(super) const ENDING_LBA: Range<usize> = STARTING_LBA.end..48;
}

/// Why a table is left as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// The header's checksum is wrong, or its HeaderSize.
    Header,
    /// MyLBA is not 1.
    Place,
    /// SizeOfPartitionEntry is none that the specification allows.
    EntrySize(
        /// The size in bytes.
        u32,
    ),
    /// There are no entries, or more than [`MAX_ARRAY_LEN`] bytes of them.
    EntryCount(
        /// How many.
        u32,
    ),
    /// The entries lie where the headers or the partitions belong, or the image ends before them.
    ArrayPlace,
    /// FirstUsableLBA, LastUsableLBA and AlternateLBA contradict each other.
    Usable,
    /// The entries' checksum is wrong.
    Array,
    /// A partition lies outside of the room for partitions.
    Partition(
        /// Its number, from 1.
        u32,
    ),
    /// The disk has no room for the copy behind the room for partitions.
    NoRoom,
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("its header's checksum is wrong"),
            Self::Place => f.write_str("its header says to be in another sector than it is"),
            Self::EntrySize(size) => write!(f, "it has entries of {size} bytes"),
            Self::EntryCount(count) => write!(f, "it has {count} entries"),
            Self::ArrayPlace => f.write_str("its entries are where they can't be"),
            Self::Usable => f.write_str("its limits for partitions contradict each other"),
            Self::Array => f.write_str("its entries' checksum is wrong"),
            Self::Partition(number) => {
                write!(f, "partition {number} lies outside of its limits")
            }
            Self::NoRoom => f.write_str("the disk's end has no room for its copy"),
        }
    }
}

impl core::error::Error for Odd {}

/// A header with a right checksum. Places are in sectors, as logical block addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of a sector.
    sector_size: u32,
    my_lba: u64,
    alternate_lba: u64,
    first_usable_lba: u64,
    last_usable_lba: u64,
    disk_guid: [u8; 16],
    partition_entry_lba: u64,
    number_of_partition_entries: u32,
    size_of_partition_entry: u32,
    partition_entry_array_crc32: u32,
}

impl Header {
    /// The primary header in the first bytes of an image for sectors of `sector_size` bytes; `None`
    /// if nothing there looks like one.
    ///
    /// # Errors
    /// [`Odd::Header`] if something there does, but is damaged.
    pub fn primary(start: &[u8], sector_size: u32) -> Result<Option<Self>, Odd> {
        let size = sector_size as usize;
        let sector = size.checked_mul(2).and_then(|end| start.get(size..end));
        sector.map_or(Ok(None), Self::parse)
    }

    /// The header in a sector; `None` if it doesn't begin as one does.
    ///
    /// # Errors
    /// [`Odd::Header`] if it does, but its checksum is wrong or its length impossible.
    pub fn parse(sector: &[u8]) -> Result<Option<Self>, Odd> {
        if sector.get(field::SIGNATURE) != Some(SIGNATURE) {
            return Ok(None);
        }
        Self::parse_signed(sector).ok_or(Odd::Header).map(Some)
    }

    fn parse_signed(sector: &[u8]) -> Option<Self> {
        if header_crc32(sector)? != u32_at(sector, field::HEADER_CRC32)? {
            return None;
        }
        Some(Self {
            sector_size: u32::try_from(sector.len()).ok()?,
            my_lba: u64_at(sector, field::MY_LBA)?,
            alternate_lba: u64_at(sector, field::ALTERNATE_LBA)?,
            first_usable_lba: u64_at(sector, field::FIRST_USABLE_LBA)?,
            last_usable_lba: u64_at(sector, field::LAST_USABLE_LBA)?,
            disk_guid: sector.get(field::DISK_GUID)?.try_into().ok()?,
            partition_entry_lba: u64_at(sector, field::PARTITION_ENTRY_LBA)?,
            number_of_partition_entries: u32_at(sector, field::NUMBER_OF_PARTITION_ENTRIES)?,
            size_of_partition_entry: u32_at(sector, field::SIZE_OF_PARTITION_ENTRY)?,
            partition_entry_array_crc32: u32_at(sector, field::PARTITION_ENTRY_ARRAY_CRC32)?,
        })
    }

    /// Writes this header over another in a sector, and its checksum. What this program knows
    /// nothing of stays. Without effect on what is too short for a header.
    pub fn emit(&self, sector: &mut [u8]) {
        for (place, value) in [
            (field::MY_LBA, self.my_lba),
            (field::ALTERNATE_LBA, self.alternate_lba),
            (field::FIRST_USABLE_LBA, self.first_usable_lba),
            (field::LAST_USABLE_LBA, self.last_usable_lba),
            (field::PARTITION_ENTRY_LBA, self.partition_entry_lba),
        ] {
            put(sector, place, &value.to_le_bytes());
        }
        put(sector, field::DISK_GUID, &self.disk_guid);
        let crc = self.partition_entry_array_crc32.to_le_bytes();
        put(sector, field::PARTITION_ENTRY_ARRAY_CRC32, &crc);
        if let Some(crc) = header_crc32(sector) {
            put(sector, field::HEADER_CRC32, &crc.to_le_bytes());
        }
    }

    /// Bytes of a sector of the disk that it was made for.
    #[must_use]
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Bytes of the disk that it was made for; `None` if no disk is so large.
    #[must_use]
    pub fn disk_len(&self) -> Option<u64> {
        let sectors = self.alternate_lba.checked_add(1)?;
        sectors.checked_mul(u64::from(self.sector_size))
    }

    /// Where the other header is, in bytes from the disk's start.
    #[must_use]
    pub fn alternate(&self) -> u64 {
        self.offset(self.alternate_lba)
    }

    /// Where the room for partitions ends, in bytes from the disk's start.
    #[must_use]
    pub fn partitions_end(&self) -> u64 {
        self.offset(self.last_usable_lba.saturating_add(1))
    }

    /// Where the partition entry array is, in bytes from the disk's start and in whole sectors.
    #[must_use]
    pub fn array(&self) -> Range<u64> {
        let start = self.partition_entry_lba;
        let end = start.saturating_add(self.array_sectors());
        self.offset(start)..self.offset(end)
    }

    /// This header made right for a disk of `disk_len` bytes.
    ///
    /// # Errors
    /// [`Odd`] if it is not one that may be changed.
    pub fn fitted_to(&self, disk_len: u64) -> Result<Self, Odd> {
        self.check()?;
        let sectors = disk_len / u64::from(self.sector_size);
        let last = sectors.checked_sub(1).ok_or(Odd::NoRoom)?;
        let last_usable_lba = last
            .checked_sub(self.array_sectors() + 1)
            .filter(|&end| end >= self.first_usable_lba)
            .ok_or(Odd::NoRoom)?;
        if last == self.alternate_lba {
            // Whoever made it may have left room at the end.
            let fits = self.last_usable_lba <= last_usable_lba;
            return fits.then_some(*self).ok_or(Odd::Usable);
        }
        Ok(Self {
            alternate_lba: last,
            last_usable_lba,
            ..*self
        })
    }

    /// The header of the copy, for the last sector of the disk; the copy's entries end before it.
    #[must_use]
    pub fn backup(&self) -> Self {
        Self {
            my_lba: self.alternate_lba,
            alternate_lba: self.my_lba,
            partition_entry_lba: self.alternate_lba.saturating_sub(self.array_sectors()),
            ..*self
        }
    }

    /// Whether `other`, which was found at the disk's end, is a copy of this one. Its entries may
    /// be in another place than ours would be.
    #[must_use]
    pub fn is_backed_up_by(&self, other: &Self) -> bool {
        let ours = Self {
            partition_entry_lba: other.partition_entry_lba,
            ..self.backup()
        };
        ours == *other
    }

    /// Checks the partition entry array.
    ///
    /// # Errors
    /// [`Odd::Array`] or [`Odd::Partition`].
    pub fn check_array(&self, array: &[u8]) -> Result<(), Odd> {
        let entries = array.get(..self.array_len()).ok_or(Odd::Array)?;
        if crc32fast::hash(entries) != self.partition_entry_array_crc32 {
            return Err(Odd::Array);
        }
        let usable = self.first_usable_lba..=self.last_usable_lba;
        for (number, entry) in (1..).zip(entries.chunks_exact(self.entry_size())) {
            let ends = (
                u64_at(entry, entry_field::STARTING_LBA),
                u64_at(entry, entry_field::ENDING_LBA),
            );
            let (Some(first), Some(last)) = ends else {
                return Err(Odd::EntrySize(self.size_of_partition_entry));
            };
            let is_inside = usable.contains(&first) && usable.contains(&last) && first <= last;
            if is_used(entry) && !is_inside {
                return Err(Odd::Partition(number));
            }
        }
        Ok(())
    }

    /// Gives the disk and each of its partitions in `array`, which has been checked, a new GUID.
    /// `random` gives 16 random bytes at each call.
    pub fn renew_guids(&mut self, array: &mut [u8], mut random: impl FnMut() -> [u8; 16]) {
        self.disk_guid = random_guid(random());
        let (size, len) = (self.entry_size(), self.array_len());
        let Some(entries) = array.get_mut(..len) else {
            return;
        };
        for entry in entries
            .chunks_exact_mut(size)
            .filter(|entry| is_used(entry))
        {
            let guid = random_guid(random());
            put(entry, entry_field::UNIQUE_PARTITION_GUID, &guid);
        }
        self.partition_entry_array_crc32 = crc32fast::hash(entries);
    }

    /// What has to be true of a table for it to be changed.
    fn check(&self) -> Result<(), Odd> {
        if self.my_lba != PRIMARY_LBA {
            return Err(Odd::Place);
        }
        let size = self.size_of_partition_entry;
        if size < MIN_ENTRY_SIZE || !size.is_power_of_two() {
            return Err(Odd::EntrySize(size));
        }
        let count = self.number_of_partition_entries;
        let sector = u64::from(self.sector_size);
        let len = u64::from(count) * u64::from(size);
        if count == 0 || len.next_multiple_of(sector) > MAX_ARRAY_LEN as u64 {
            return Err(Odd::EntryCount(count));
        }
        let array_end = self
            .partition_entry_lba
            .saturating_add(self.array_sectors());
        if self.partition_entry_lba <= PRIMARY_LBA || array_end > self.first_usable_lba {
            return Err(Odd::ArrayPlace);
        }
        let (first, last) = (self.first_usable_lba, self.last_usable_lba);
        if first > last || last >= self.alternate_lba {
            return Err(Odd::Usable);
        }
        Ok(())
    }

    fn offset(&self, lba: u64) -> u64 {
        lba.saturating_mul(u64::from(self.sector_size))
    }

    fn entry_size(&self) -> usize {
        // Never 0, which nothing can be cut into.
        (self.size_of_partition_entry as usize).max(1)
    }

    /// Bytes of the entries. Two numbers of 32 bits have a product of 64.
    fn array_len(&self) -> usize {
        let count = u64::from(self.number_of_partition_entries);
        let len = count * u64::from(self.size_of_partition_entry);
        usize::try_from(len).unwrap_or(usize::MAX)
    }

    fn array_sectors(&self) -> u64 {
        (self.array_len() as u64).div_ceil(u64::from(self.sector_size).max(1))
    }
}

fn is_used(entry: &[u8]) -> bool {
    let kind = entry.get(entry_field::PARTITION_TYPE_GUID);
    kind.is_some_and(|kind| kind.iter().any(|&byte| byte != 0))
}

/// Makes random bytes a GUID of RFC 9562's version 4, in the byte order of a GPT, whose first three
/// fields are little-endian.
fn random_guid(mut bytes: [u8; 16]) -> [u8; 16] {
    const VERSION: usize = 7;
    const VARIANT: usize = 8;
    bytes[VERSION] = bytes[VERSION] & 0x0f | 0x40;
    bytes[VARIANT] = bytes[VARIANT] & 0x3f | 0x80;
    bytes
}

/// The checksum that a header should have, which takes its own field for zero; `None` if HeaderSize
/// is impossible.
fn header_crc32(sector: &[u8]) -> Option<u32> {
    let size = usize::try_from(u32_at(sector, field::HEADER_SIZE)?).ok()?;
    if size < field::END {
        return None;
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(sector.get(..field::HEADER_CRC32.start)?);
    crc.update(&[0; field::HEADER_CRC32.end - field::HEADER_CRC32.start]);
    crc.update(sector.get(field::HEADER_CRC32.end..size)?);
    Some(crc.finalize())
}

fn put(bytes: &mut [u8], field: Range<usize>, value: &[u8]) {
    if let Some(place) = bytes.get_mut(field)
        && place.len() == value.len()
    {
        place.copy_from_slice(value);
    }
}

fn u32_at(bytes: &[u8], field: Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], field: Range<usize>) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}
