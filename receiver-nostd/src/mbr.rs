//! The master boot record: what it says of the disk, and the protective one before a GPT.
//!
//! It is the first sector of a disk. Its places are counted in sectors of 512 bytes here, unless
//! said otherwise: images that have nothing but it are made for such disks.

use core::ops::Range;

mod field {
    use core::ops::Range;

    pub(super) const PARTITIONS: Range<usize> = 446..510;
    pub(super) const SIGNATURE: Range<usize> = PARTITIONS.end..512;
    pub(super) const PARTITION_LEN: usize = 16;
}

mod partition_field {
    use core::ops::Range;

    pub(super) const BOOT_INDICATOR: usize = 0;
    pub(super) const OS_TYPE: usize = 4;
    pub(super) const ENDING_CHS: Range<usize> = 5..8;
    pub(super) const STARTING_LBA: Range<usize> = ENDING_CHS.end..12;
    pub(super) const SIZE_IN_LBA: Range<usize> = STARTING_LBA.end..16;
}

/// Type of the partition that keeps older programs away from a GUID partition table. Its length is
/// often more than the disk's.
const PROTECTIVE: u8 = 0xee;

/// Bytes of the disk that its partitions need; `None` if there is no table, or none with a
/// partition of its own.
///
/// File systems begin with a sector of the same signature but with program code where the table
/// would be, so a table with an impossible entry counts as none.
#[must_use]
pub fn disk_len(start: &[u8]) -> Option<u64> {
    let mut sectors = 0;
    for entry in partitions(start)? {
        let status = *entry.get(partition_field::BOOT_INDICATOR)?;
        if status != 0 && status != 0x80 {
            return None;
        }
        let kind = *entry.get(partition_field::OS_TYPE)?;
        if kind != 0 && kind != PROTECTIVE {
            let first = u64::from(u32_at(entry, partition_field::STARTING_LBA)?);
            let count = u64::from(u32_at(entry, partition_field::SIZE_IN_LBA)?);
            sectors = (first + count).max(sectors);
        }
    }
    (sectors > 0).then_some(sectors * 512)
}

/// Makes the protective partition as large as a disk of `sectors` sectors, of whatever size.
///
/// Without effect on a table that has other partitions too ("hybrid"), whose protective one covers
/// what its maker wanted it to, or none at all.
pub fn protect(start: &mut [u8], sectors: u64) {
    let Some(place) = protective(start) else {
        return;
    };
    let Some(entry) = start.get_mut(place) else {
        return;
    };
    // The partition begins in sector 1, and says "as many as can be said" on a larger disk.
    let last = sectors.saturating_sub(1);
    let size = u32::try_from(last).unwrap_or(u32::MAX);
    for (field, value) in [
        (partition_field::ENDING_CHS, &chs(last)[..]),
        (partition_field::SIZE_IN_LBA, &size.to_le_bytes()),
    ] {
        if let Some(place) = entry.get_mut(field) {
            place.copy_from_slice(value);
        }
    }
}

/// Where the entry is that protects the disk from sector 1 on, if it is the only one.
fn protective(start: &[u8]) -> Option<Range<usize>> {
    let mut used = partitions(start)?
        .enumerate()
        .filter(|(_, entry)| entry.get(partition_field::OS_TYPE) != Some(&0));
    let (number, entry) = used.next()?;
    let is_protective = entry.get(partition_field::OS_TYPE) == Some(&PROTECTIVE)
        && u32_at(entry, partition_field::STARTING_LBA) == Some(1);
    let begin = field::PARTITIONS.start + number * field::PARTITION_LEN;
    (is_protective && used.next().is_none()).then_some(begin..begin + field::PARTITION_LEN)
}

/// A sector's place in cylinders, heads and sectors, of the geometry that all take who know of
/// none; the last place that can be said for those beyond.
fn chs(lba: u64) -> [u8; 3] {
    const HEADS: u64 = 255;
    const SECTORS: u64 = 63;
    let (cylinder, rest) = (lba / (HEADS * SECTORS), lba % (HEADS * SECTORS));
    if cylinder > 1023 {
        return [0xff; 3];
    }
    let (head, sector) = (rest / SECTORS, rest % SECTORS + 1);
    // Eight bits, two bits of the cylinder and six bits, eight bits.
    [
        head as u8,
        ((cylinder >> 8) << 6) as u8 | sector as u8,
        cylinder as u8,
    ]
}

/// The four entries; `None` if there is no table.
fn partitions(start: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    if start.get(field::SIGNATURE)? != [0x55, 0xaa] {
        return None;
    }
    let table = start.get(field::PARTITIONS)?;
    Some(table.chunks_exact(field::PARTITION_LEN))
}

fn u32_at(bytes: &[u8], field: Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(field)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: usize = 446;

    /// A table as `sgdisk` makes it for a disk of 24 MiB.
    fn protective_mbr() -> [u8; 512] {
        let mut sector = [0; 512];
        sector[..8].copy_from_slice(b"bootcode");
        sector[ENTRY..ENTRY + 16].copy_from_slice(&[
            0, 0, 2, 0, 0xee, 0x0f, 0x0c, 0x03, 1, 0, 0, 0, 0xff, 0xbf, 0, 0,
        ]);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    #[test]
    fn the_protective_partition_grows_with_the_disk() {
        for (sectors, end) in [
            // 24 MiB, 32 MiB as `sgdisk` has them; 100 GB; 4 TB.
            (49_152, [0x0f, 0x0c, 0x03, 1, 0, 0, 0, 0xff, 0xbf, 0, 0]),
            (65_536, [0x14, 0x10, 0x04, 1, 0, 0, 0, 0xff, 0xff, 0, 0]),
            (
                195_312_500,
                [0xff, 0xff, 0xff, 1, 0, 0, 0, 0x73, 0x3b, 0xa4, 0x0b],
            ),
            (
                7_814_037_168,
                [0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            ),
        ] {
            let mut sector = protective_mbr();
            protect(&mut sector, sectors);
            assert_eq!(sector[ENTRY + 5..ENTRY + 16], end, "{sectors} sectors");
            let mut before = protective_mbr();
            before[ENTRY + 5..ENTRY + 16].copy_from_slice(&end);
            assert_eq!(sector, before, "nothing else changes");
        }
    }

    #[test]
    fn the_last_cylinder_that_can_be_said() {
        let last = 1024 * 255 * 63;
        assert_eq!(chs(last - 1), [254, 0xff, 0xff]);
        assert_eq!(chs(last), [0xff; 3]);
    }

    #[test]
    fn tables_with_partitions_of_their_own_are_left_alone() {
        let mut hybrid = protective_mbr();
        hybrid[ENTRY + 16 + 4] = 0x0c;
        let mut elsewhere = protective_mbr();
        elsewhere[ENTRY + 8] = 2;
        let mut unsigned = protective_mbr();
        unsigned[511] = 0;
        for sector in [hybrid, elsewhere, unsigned, [0; 512]] {
            let mut after = sector;
            protect(&mut after, 1 << 20);
            assert_eq!(after, sector);
        }
        protect(&mut [], 1);
    }
}
