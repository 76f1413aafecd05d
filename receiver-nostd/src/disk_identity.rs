//! What a disk says of itself: model and serial number, out of the data that each bus defines.
//!
//! Makers pad these texts with spaces, zeros and worse. What is kept can be shown on any console
//! and compared: printable ASCII, words separated by single spaces.

use core::ops::Range;

use heapless::String;

/// A text of a disk, cut off where it is longer than any that are usual.
pub type Text = String<64>;

/// What a disk is called. What it does not tell is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskIdentity {
    /// Its model, mostly with its maker's name.
    pub model: Text,
    /// Its serial number.
    pub serial: Text,
}

mod ata_field {
    use core::ops::Range;

    pub(super) const SERIAL: Range<usize> = 20..40;
    pub(super) const MODEL: Range<usize> = 54..94;
}

mod nvme_field {
    use core::ops::Range;

    pub(super) const SERIAL: Range<usize> = 4..24;
    pub(super) const MODEL: Range<usize> = 24..64;
}

mod scsi_field {
    use core::ops::Range;

    pub(super) const VENDOR: Range<usize> = 8..16;
    pub(super) const PRODUCT: Range<usize> = 16..32;

    pub(super) const PAGE_CODE: usize = 1;
    pub(super) const PAGE_LENGTH: usize = 3;
    pub(super) const SERIAL_START: usize = 4;
}

/// Number of the SCSI page of vital product data that has the serial number.
pub const SCSI_SERIAL_PAGE: u8 = 0x80;

/// The vendor that SCSI names for every ATA disk behind a bridge.
const ATA_VENDOR: &[u8] = b"ATA     ";

impl DiskIdentity {
    /// Out of what ATA's IDENTIFY DEVICE gives, whose texts have the bytes of each word swapped.
    #[must_use]
    pub fn from_ata(data: &[u8]) -> Self {
        let words = |field: Range<usize>| {
            let pairs = data.get(field).unwrap_or_default().chunks_exact(2);
            text(pairs.flat_map(|pair| pair.iter().rev().copied()))
        };
        Self {
            model: words(ata_field::MODEL),
            serial: words(ata_field::SERIAL),
        }
    }

    /// Out of what NVMe's Identify gives for a controller. Its namespaces share it.
    #[must_use]
    pub fn from_nvme(controller: &[u8]) -> Self {
        let field =
            |field: Range<usize>| text(controller.get(field).unwrap_or_default().iter().copied());
        Self {
            model: field(nvme_field::MODEL),
            serial: field(nvme_field::SERIAL),
        }
    }

    /// Out of what SCSI's INQUIRY gives, and the page [`SCSI_SERIAL_PAGE`] if there is one: else
    /// without a byte.
    #[must_use]
    pub fn from_scsi(inquiry: &[u8], serial_page: &[u8]) -> Self {
        let vendor = inquiry.get(scsi_field::VENDOR).unwrap_or_default();
        let product = inquiry.get(scsi_field::PRODUCT).unwrap_or_default();
        let vendor = if vendor == ATA_VENDOR { b"" } else { vendor };
        let words = vendor.iter().chain(b" ").chain(product);
        Self {
            model: text(words.copied()),
            serial: text(scsi_serial(serial_page).unwrap_or_default().iter().copied()),
        }
    }
}

/// The serial number in its page; `None` if it is another page, or none.
fn scsi_serial(page: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*page.get(scsi_field::PAGE_LENGTH)?);
    let is_serial = page.get(scsi_field::PAGE_CODE) == Some(&SCSI_SERIAL_PAGE);
    let serial = page.get(scsi_field::SERIAL_START..)?.get(..length)?;
    is_serial.then_some(serial)
}

/// The words of a text, whatever separates them.
pub(crate) fn text(bytes: impl IntoIterator<Item = u8>) -> Text {
    let mut text = Text::new();
    let mut is_between = false;
    for byte in bytes {
        if !byte.is_ascii_graphic() {
            is_between = !text.is_empty();
            continue;
        }
        // What has no room is cut off, and no space is left before it.
        let needed = if is_between { 2 } else { 1 };
        if text.capacity() - text.len() < needed {
            break;
        }
        if core::mem::take(&mut is_between) {
            let _ = text.push(' ');
        }
        let _ = text.push(char::from(byte));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(data: &mut [u8], start: usize, text: &[u8]) {
        data[start..start + text.len()].copy_from_slice(text);
    }

    #[test]
    fn ata_texts_are_swapped_by_words() {
        let mut data = [0; 512];
        put(&mut data, 20, b"        DWW-2XA1 0  ");
        put(&mut data, 54, b"DW CDW01ZEXE0-BN5A 0                    ");
        let identity = DiskIdentity::from_ata(&data);
        assert_eq!(identity.serial, "WD-WX21A0");
        assert_eq!(identity.model, "WDC WD10EZEX-0NBA50");
    }

    #[test]
    fn nvme_texts_are_padded() {
        let mut data = [0; 4096];
        put(&mut data, 4, b"S5GXNX0R123456      ");
        put(&mut data, 24, b"Samsung SSD 980 PRO 1TB");
        let identity = DiskIdentity::from_nvme(&data);
        assert_eq!(identity.serial, "S5GXNX0R123456");
        assert_eq!(identity.model, "Samsung SSD 980 PRO 1TB");
    }

    #[test]
    fn scsi_has_vendor_and_product_and_a_page_for_the_serial() {
        let mut inquiry = [0; 96];
        put(&mut inquiry, 8, b"DELL    PERC H730 Mini  4.27");
        let identity = DiskIdentity::from_scsi(&inquiry, b"\0\x80\0\x06  00a1rest");
        assert_eq!(identity.model, "DELL PERC H730 Mini");
        assert_eq!(identity.serial, "00a1");
        put(&mut inquiry, 8, b"ATA     INTEL SSDSC2BB48");
        let other_page = DiskIdentity::from_scsi(&inquiry, b"\0\x83\0\x0400a1");
        assert_eq!(other_page.model, "INTEL SSDSC2BB48");
        assert_eq!(other_page.serial, "");
        let cut_off = DiskIdentity::from_scsi(&inquiry[..20], b"\0\x80\0\x0400");
        assert_eq!((cut_off.model.as_str(), cut_off.serial.as_str()), ("", ""));
    }

    #[test]
    fn a_text_is_words_of_printable_characters() {
        assert_eq!(text(*b"\0\0 a\t\xff\xffb  c \0"), "a b c");
        assert_eq!(text(*b"\x1b[2J\r\n\xc3\xa4"), "[2J");
        assert_eq!(text([b'x'; 300]).len(), 64);
        assert_eq!(text([0; 300]), "");
        let mut long = [b'x'; 65];
        long[63] = b' ';
        assert_eq!(text(long).len(), 63, "no space at the end");
    }

    #[test]
    fn what_is_cut_off_says_nothing() {
        for length in [0, 1, 19, 25, 93] {
            let data = [b'a'; 93];
            assert_eq!(DiskIdentity::from_ata(&data[..length]).model, "");
            assert_eq!(DiskIdentity::from_nvme(&data[..length.min(63)]).model, "");
        }
    }
}
