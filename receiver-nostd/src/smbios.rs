//! What a machine's SMBIOS tables say of it: who made it, its serial number, its UUID.
//!
//! The tables are the firmware maker's, and often careless: what makes no sense is left out.

use core::ops::Range;

/// Type of the structure about the system.
const SYSTEM: u8 = 1;

/// Type of the structure that ends the table.
const END_OF_TABLE: u8 = 127;

/// What makers leave where a text should be.
const PLACEHOLDERS: [&str; 4] = [
    "Not Specified",
    "To Be Filled By O.E.M.",
    "Default string",
    "System Serial Number",
];

/// Where the table is, by its entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The table's physical address.
    pub address: u64,
    /// Its length in bytes at most.
    pub length: usize,
}

/// Bytes of the longest entry point.
pub const ENTRY_POINT_LEN: usize = 31;

mod entry {
    use core::ops::Range;

    pub(super) const ANCHOR_2: &[u8] = b"_SM_";
    pub(super) const LENGTH_2: Range<usize> = 0x16..0x18;
    pub(super) const ADDRESS_2: Range<usize> = 0x18..0x1c;
    pub(super) const ANCHOR_3: &[u8] = b"_SM3_";
    pub(super) const LENGTH_3: Range<usize> = 0x0c..0x10;
    pub(super) const ADDRESS_3: Range<usize> = 0x10..0x18;
}

/// Reads an entry point of SMBIOS 2 or 3; `None` if it is neither.
#[must_use]
pub fn table(entry_point: &[u8]) -> Option<Place> {
    let (length, address) = if entry_point.starts_with(entry::ANCHOR_3) {
        (entry::LENGTH_3, entry::ADDRESS_3)
    } else if entry_point.starts_with(entry::ANCHOR_2) {
        (entry::LENGTH_2, entry::ADDRESS_2)
    } else {
        return None;
    };
    Some(Place {
        address: little_endian(entry_point.get(address)?),
        length: usize::try_from(little_endian(entry_point.get(length)?)).ok()?,
    })
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// A machine as its maker describes it. Texts are empty, and the UUID zero, where it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct System<'t> {
    /// Who made it.
    pub manufacturer: &'t str,
    /// What it is called.
    pub product: &'t str,
    /// Its serial number.
    pub serial: &'t str,
    /// Its UUID, in the order in which it is written as text.
    pub uuid: [u8; 16],
}

mod field {
    use core::ops::Range;

    pub(super) const TYPE: usize = 0;
    pub(super) const LENGTH: usize = 1;
    /// Of type, length and handle.
    pub(super) const HEADER_LEN: usize = 4;
    pub(super) const MANUFACTURER: usize = 4;
    pub(super) const PRODUCT: usize = 5;
    pub(super) const SERIAL: usize = 7;
    pub(super) const UUID: Range<usize> = 8..24;
}

/// Where a UUID's numbers are, which SMBIOS writes with the lowest byte first.
const UUID_NUMBERS: [Range<usize>; 3] = [0..4, 4..6, 6..8];

/// What the table says of the machine; nothing if it has no structure about it.
#[must_use]
pub fn system(mut table: &[u8]) -> System<'_> {
    while let Some((structure, strings, rest)) = next_structure(table) {
        match structure.get(field::TYPE) {
            Some(&SYSTEM) => return describe(structure, strings),
            Some(&END_OF_TABLE) | None => break,
            Some(_) => table = rest,
        }
    }
    System::default()
}

/// The first structure of `table`, its strings, and what follows them.
fn next_structure(table: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let length = usize::from(*table.get(field::LENGTH)?);
    if length < field::HEADER_LEN {
        return None;
    }
    let (structure, behind) = table.split_at_checked(length)?;
    // Strings end with a zero each, and all of them with another.
    let end = behind.windows(2).position(|pair| pair == [0, 0])?;
    let (strings, rest) = behind.split_at_checked(end + 2)?;
    Some((structure, strings, rest))
}

fn describe<'t>(structure: &[u8], strings: &'t [u8]) -> System<'t> {
    let text = |at: usize| string(strings, structure.get(at).copied().unwrap_or(0));
    System {
        manufacturer: text(field::MANUFACTURER),
        product: text(field::PRODUCT),
        serial: text(field::SERIAL),
        uuid: uuid(structure).unwrap_or_default(),
    }
}

/// A structure's string by its number, from 1.
fn string(strings: &[u8], number: u8) -> &str {
    let Some(index) = usize::from(number).checked_sub(1) else {
        return "";
    };
    let bytes = strings.split(|&byte| byte == 0).nth(index);
    let text = bytes.and_then(|bytes| core::str::from_utf8(bytes).ok());
    let text = text.unwrap_or_default().trim();
    let is_placeholder = PLACEHOLDERS
        .iter()
        .any(|placeholder| text.eq_ignore_ascii_case(placeholder));
    if is_placeholder { "" } else { text }
}

fn uuid(structure: &[u8]) -> Option<[u8; 16]> {
    let mut uuid: [u8; 16] = structure.get(field::UUID)?.try_into().ok()?;
    if uuid == [0xff; 16] {
        return None;
    }
    for number in UUID_NUMBERS {
        uuid.get_mut(number)?.reverse();
    }
    Some(uuid)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    fn system_structure() -> Vec<u8> {
        let mut bytes = std::vec![1, 27, 0, 1, 1, 2, 0, 3];
        bytes.extend([
            0x67, 0x45, 0x23, 0x01, 0xab, 0x89, 0xef, 0xcd, 1, 2, 3, 4, 5, 6, 7, 8,
        ]);
        bytes.extend([6, 0, 0]);
        bytes.extend(b"Maker\0 Model 7 \0SN-42\0\0");
        bytes
    }

    fn table_with_system() -> Vec<u8> {
        // A structure without strings, then the one about the system, and the end.
        let mut bytes = std::vec![0, 5, 0, 0, 9, 0, 0];
        bytes.extend(system_structure());
        bytes.extend([127, 4, 0, 9, 0, 0]);
        bytes
    }

    #[test]
    fn the_system_is_described() {
        let expected = System {
            manufacturer: "Maker",
            product: "Model 7",
            serial: "SN-42",
            uuid: *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x02\x03\x04\x05\x06\x07\x08",
        };
        assert_eq!(system(&table_with_system()), expected);
    }

    #[test]
    fn what_makers_leave_out_is_not_told() {
        let mut bytes = system_structure();
        bytes.truncate(27);
        bytes[8..24].fill(0xff);
        bytes.extend(b"Default string\0\xff\xfe\0To be filled by O.E.M.\0\0");
        assert_eq!(system(&bytes), System::default());
    }

    #[test]
    fn a_table_that_is_cut_off_anywhere_does_no_harm() {
        let whole = table_with_system();
        for len in 0..whole.len() {
            let _ = system(&whole[..len]);
        }
        assert_eq!(system(&whole[..20]), System::default());
        assert_eq!(system(&[1, 0, 0, 0, 0, 0]), System::default());
        assert_eq!(system(&[127, 4, 0, 0, 0, 0, 1, 27]), System::default());
    }

    #[test]
    fn entry_points_of_both_ages_name_the_table() {
        let mut old = [0; 31];
        old[..4].copy_from_slice(b"_SM_");
        old[0x16..0x18].copy_from_slice(&[0x34, 0x12]);
        old[0x18..0x1c].copy_from_slice(&[1, 0, 0, 0x7f]);
        let place = |address, length| Some(Place { address, length });
        assert_eq!(table(&old), place(0x7f00_0001, 0x1234));
        let mut new = [0; 24];
        new[..5].copy_from_slice(b"_SM3_");
        new[0x0c..0x10].copy_from_slice(&[0x34, 0x12, 1, 0]);
        new[0x10..0x18].copy_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(table(&new), place(0x2_0000_0001, 0x1_1234));
        assert_eq!(table(b"_SM_"), None);
        assert_eq!(table(&[0; 31]), None);
    }
}
