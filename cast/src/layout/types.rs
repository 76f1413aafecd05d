//! What partitions are for, by the types that partition tables have for it.
//!
//! Only what an image of a PC may have; of others the type itself is told.

use std::fmt::Write as _;

/// Types of a GUID partition table, as RFC 9562 writes them.
const GUIDS: [(&str, &str); 29] = [
    ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "EFI system"),
    ("21686148-6449-6E6F-744E-656564454649", "BIOS boot"),
    ("E3C9E316-0B5C-4DB8-817D-F92DF00215AE", "Microsoft reserved"),
    (
        "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
        "Microsoft basic data",
    ),
    ("DE94BBA4-06D1-4D40-A16A-BFD50179D6AC", "Windows recovery"),
    (
        "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3",
        "Windows dynamic disk (table)",
    ),
    (
        "AF9B60A0-1431-4F62-BC68-3311714A69AD",
        "Windows dynamic disk",
    ),
    (
        "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D",
        "Windows storage spaces",
    ),
    ("0FC63DAF-8483-4772-8E79-3D69D8477DE4", "Linux"),
    (
        "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
        "Linux root (x86-64)",
    ),
    (
        "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
        "Linux root (64-bit Arm)",
    ),
    (
        "8484680C-9521-48C6-9C11-B0720656F69E",
        "Linux /usr (x86-64)",
    ),
    (
        "B0E01050-EE5F-4390-949A-9101B17104E9",
        "Linux /usr (64-bit Arm)",
    ),
    ("BC13C2FF-59E6-4262-A352-B275FD6F7172", "Linux /boot"),
    ("933AC7E1-2EB4-4F13-B844-0E14E2AEF915", "Linux /home"),
    ("3B8F8425-20E0-4F3B-907F-1A25A76F98E8", "Linux /srv"),
    ("4D21B016-B534-45C2-A9FB-5C16E091FD2D", "Linux /var"),
    ("7EC6F557-3BC5-4ACA-B293-16EF5DF639D1", "Linux /var/tmp"),
    ("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", "Linux swap"),
    ("E6D6D379-F507-44C2-A23C-238F2A3DF928", "Linux LVM"),
    ("A19D880F-05FC-4D3B-A006-743F0F84911E", "Linux RAID"),
    ("8DA63339-0007-60C0-C436-083AC8230908", "Linux reserved"),
    ("CA7D7CCB-63ED-4C53-861C-1742536059CC", "Linux LUKS"),
    ("FE3A2A5D-4F32-41A7-B725-ACCC3285A309", "ChromeOS kernel"),
    ("3CB8E202-3B7E-47DD-8A3C-7FF2A13CFCEC", "ChromeOS root"),
    ("48465300-0000-11AA-AA11-00306543ECAC", "Apple HFS+"),
    ("7C3457EF-0000-11AA-AA11-00306543ECAC", "Apple APFS"),
    ("516E7CB6-6ECF-11D6-8FF8-00022D09712B", "FreeBSD UFS"),
    ("516E7CB5-6ECF-11D6-8FF8-00022D09712B", "FreeBSD swap"),
];

/// Types of a master boot record.
const NUMBERS: [(u8, &str); 23] = [
    (0x01, "FAT12"),
    (0x04, "FAT16"),
    (0x05, "extended"),
    (0x06, "FAT16"),
    (0x07, "NTFS or exFAT"),
    (0x0b, "FAT32"),
    (0x0c, "FAT32"),
    (0x0e, "FAT16"),
    (0x0f, "extended"),
    (0x11, "hidden FAT12"),
    (0x16, "hidden FAT16"),
    (0x17, "hidden NTFS"),
    (0x1c, "hidden FAT32"),
    (0x27, "Windows recovery"),
    (0x42, "Windows dynamic disk"),
    (0x82, "Linux swap"),
    (0x83, "Linux"),
    (0x85, "extended"),
    (0x8e, "Linux LVM"),
    (0xa5, "FreeBSD"),
    (0xaf, "Apple HFS+"),
    (0xef, "EFI system"),
    (0xfd, "Linux RAID"),
];

/// The name of a type of a GUID partition table, in its byte order; the GUID if it has none.
pub(super) fn guid(bytes: &[u8]) -> String {
    // The first three fields are little-endian.
    const ORDER: [&[usize]; 5] = [
        &[3, 2, 1, 0],
        &[5, 4],
        &[7, 6],
        &[8, 9],
        &[10, 11, 12, 13, 14, 15],
    ];
    let mut text = String::new();
    for (number, field) in ORDER.iter().enumerate() {
        if number > 0 {
            text.push('-');
        }
        for &place in *field {
            // Memory takes it.
            let _ = write!(
                text,
                "{:02X}",
                bytes.get(place).copied().unwrap_or_default()
            );
        }
    }
    let known = GUIDS.iter().find(|(guid, _)| *guid == text);
    known.map_or(text, |(_, name)| (*name).to_owned())
}

/// The name of a type of a master boot record; the number if it has none.
pub(super) fn mbr(kind: u8) -> String {
    let known = NUMBERS.iter().find(|(number, _)| *number == kind);
    known.map_or_else(
        || format!("type {kind:02x}"),
        |(_, name)| (*name).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_by_name_or_as_they_are() {
        let esp = [
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e,
            0xc9, 0x3b,
        ];
        assert_eq!(guid(&esp), "EFI system");
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(guid(&bytes), "03020100-0504-0706-0809-0A0B0C0D0E0F");
        assert_eq!(
            (mbr(0x83), mbr(0xa9)),
            ("Linux".to_owned(), "type a9".to_owned())
        );
    }

    #[test]
    fn no_type_has_two_names() {
        for (place, (guid, _)) in GUIDS.iter().enumerate() {
            assert_eq!(guid.len(), 36);
            assert!(
                GUIDS[..place].iter().all(|(other, _)| other != guid),
                "{guid}"
            );
        }
        assert!(NUMBERS.is_sorted_by(|one, other| one.0 < other.0));
    }
}
