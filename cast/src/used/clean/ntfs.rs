//! The journal of NTFS, `$LogFile`, whose beginning says whether somebody still has it open.
//!
//! Windows leaves it open where it hibernates instead of shutting down, as it does by default.

use super::{Unclean, little, little16, little32};
use crate::error::Error;
use crate::source::Source;

const OPEN: Unclean = "Windows was not shut down: its journal is open; run shutdown /s /t 0";

const ODD: Unclean = "its journal can't be found";

/// Places in the first sector.
mod boot {
    pub(super) const SECTOR_SIZE: usize = 11;
    pub(super) const CLUSTER_SECTORS: usize = 13;
    pub(super) const MFT: usize = 48;
    pub(super) const RECORD_SIZE: usize = 64;
}

/// The journal's number among the files.
const JOURNAL_FILE: u64 = 2;

/// The type of an attribute that has a file's bytes.
const DATA: u32 = 0x80;

/// Where a page that says how to begin again has what.
mod restart {
    pub(super) const MAGIC: &[u8] = b"RSTR";
    pub(super) const AREA: usize = 24;
    /// In that area.
    pub(super) const CURRENT: usize = 0;
    pub(super) const CLIENTS_IN_USE: usize = 12;
    pub(super) const FLAGS: usize = 14;
    pub(super) const CLEAN: u16 = 2;
    pub(super) const NOBODY: u16 = 0xffff;
}

/// Bytes of a page of the journal.
const PAGE: usize = 4096;

/// Bytes of what was never written, or was emptied.
const EMPTY: u8 = 0xff;

pub(super) fn check(source: &Source, start: u64) -> Result<Result<(), Unclean>, Error> {
    let boot = source.bytes_at(start, 512)?;
    let Some((record, cluster)) = record(&boot) else {
        return Ok(Err(ODD));
    };
    let bytes = source.bytes_at(start.saturating_add(record), 4096)?;
    let Some(place) = journal(&bytes).and_then(|lcn| lcn.checked_mul(cluster)) else {
        return Ok(Err(ODD));
    };
    let pages = source.bytes_at(start.saturating_add(place), 2 * PAGE)?;
    if pages.iter().all(|&byte| byte == EMPTY) {
        return Ok(Ok(()));
    }
    // The later of the two counts.
    let pages = pages.chunks_exact(PAGE).filter_map(is_clean);
    Ok(match pages.max_by_key(|(sequence, _)| *sequence) {
        Some((_, true)) => Ok(()),
        Some((_, false)) => Err(OPEN),
        None => Err(ODD),
    })
}

/// Where the journal's record begins in the file system, and bytes of a cluster.
fn record(boot: &[u8]) -> Option<(u64, u64)> {
    let sector = u64::from(little16(boot, boot::SECTOR_SIZE)?);
    // Large clusters are a power of two, below zero.
    let sectors = match *boot.get(boot::CLUSTER_SECTORS)? {
        few @ 0..=128 => u64::from(few),
        many => 1_u64.checked_shl(u32::from(many.wrapping_neg()))?,
    };
    let cluster = sector.checked_mul(sectors)?;
    let size = match *boot.get(boot::RECORD_SIZE)? {
        clusters @ 0..=127 => u64::from(clusters).checked_mul(cluster)?,
        bits => 1_u64.checked_shl(u32::from(bits.wrapping_neg()))?,
    };
    let mft = little(boot, boot::MFT)?.checked_mul(cluster)?;
    Some((mft.checked_add(JOURNAL_FILE.checked_mul(size)?)?, cluster))
}

/// The cluster in which the file of a record begins.
///
/// It is early enough in a record that what the record's sectors end with does not matter.
fn journal(record: &[u8]) -> Option<u64> {
    const FIRST_ATTRIBUTE: usize = 20;
    const LENGTH: usize = 4;
    const IS_OUTSIDE: usize = 8;
    const RUNS: usize = 32;
    if !record.starts_with(b"FILE") {
        return None;
    }
    let mut place = usize::from(little16(record, FIRST_ATTRIBUTE)?);
    loop {
        let attribute = record.get(place..)?;
        let (kind, len) = (
            little32(attribute, 0)?,
            little32(attribute, LENGTH)? as usize,
        );
        if kind == DATA && *attribute.get(IS_OUTSIDE)? == 1 {
            let runs = attribute.get(usize::from(little16(attribute, RUNS)?)..)?;
            return first_cluster(runs);
        }
        if kind == u32::MAX || len == 0 {
            return None;
        }
        place = place.checked_add(len)?;
    }
}

/// Where the first of a file's runs begins: a byte with two lengths, the run's length, its place.
fn first_cluster(runs: &[u8]) -> Option<u64> {
    let (first, rest) = runs.split_first()?;
    let (length, place) = (usize::from(first & 0xf), usize::from(first >> 4));
    let bytes = rest.get(length..length + place)?;
    if bytes.is_empty() || bytes.len() > 8 {
        return None;
    }
    let mut wide = [0; 8];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(wide))
}

/// A page's number, and whether it says that nobody has the journal open; `None` if it is none.
fn is_clean(page: &[u8]) -> Option<(u64, bool)> {
    if !page.starts_with(restart::MAGIC) {
        return None;
    }
    let area = page.get(usize::from(little16(page, restart::AREA)?)..)?;
    let is_closed = little16(area, restart::CLIENTS_IN_USE)? == restart::NOBODY;
    let is_clean = little16(area, restart::FLAGS)? & restart::CLEAN != 0;
    Some((little(area, restart::CURRENT)?, is_closed || is_clean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_open_while_it_has_a_client() {
        let page = |clients: u16, flags: u16| {
            let mut page = vec![0; PAGE];
            page[..4].copy_from_slice(restart::MAGIC);
            page[24] = 0x30;
            page[0x30] = 9;
            page[0x30 + 12..0x30 + 14].copy_from_slice(&clients.to_le_bytes());
            page[0x30 + 14..0x30 + 16].copy_from_slice(&flags.to_le_bytes());
            page
        };
        assert_eq!(is_clean(&page(0, 0)), Some((9, false)));
        assert_eq!(is_clean(&page(0, 2)), Some((9, true)));
        assert_eq!(is_clean(&page(0xffff, 0)), Some((9, true)));
        assert_eq!(is_clean(&[0; PAGE]), None);
    }

    #[test]
    fn a_run_is_read() {
        assert_eq!(first_cluster(&[0x32, 1, 2, 3, 4, 5]), Some(0x05_0403));
        assert_eq!(first_cluster(&[0x32, 1, 2, 3, 4]), None);
        assert_eq!(first_cluster(&[0x02, 1, 2]), None);
        assert_eq!(first_cluster(&[]), None);
    }
}
