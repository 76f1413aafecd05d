//! The smallest disk that an image fits on (docs/cast-format.md, 3.6).
//!
//! A disk is often larger than what its partitions need. What lies behind the last of them can be
//! missing if nothing is there but the second copy of a GPT, which readers put where it belongs.

use super::{Layout, Table};
use crate::error::Error;
use crate::source::Source;

/// Bytes of that disk: those of the image, if it is not certain that fewer will do.
pub(super) fn least_disk(layout: &Layout, source: &Source) -> Result<u64, Error> {
    let size = source.size();
    let (end, copy, limit) = match &layout.table {
        Table::None => return Ok(size),
        Table::Mbr => (layout.end().unwrap_or(size), 0, size),
        Table::Gpt(table) => {
            let Some(copy) = table.copy(source)? else {
                return Ok(size);
            };
            let end = layout.end().unwrap_or(0).max(table.array_end());
            (end, table.copy_len(), copy.start)
        }
    };
    let sector = u64::from(layout.sector_size).max(1);
    let least = end.next_multiple_of(sector).saturating_add(copy);
    // A copy may also lie right behind the last partition, with room that nobody needs after it.
    let is_free = least < size && end <= limit && source.is_zero(end..limit)?;
    match is_free {
        true => Ok(least),
        false => Ok(size),
    }
}
