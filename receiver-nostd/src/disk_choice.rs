//! Which disk is meant: the value of `disk=`, and the words that tell disks apart.
//!
//! What a person can type into a boot menu must be enough to mean one disk and no other: its kind
//! and number, its device path, or what it says of itself.

use core::fmt;

use crate::settings::number;

/// Which disk the image goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskChoice<'a> {
    /// The only disk that could be meant. If there are several, none.
    Auto,
    /// One of a kind, counted from 0 in the firmware's order.
    Kind {
        /// How it is attached.
        kind: DiskKind,
        /// Its number among those of its kind.
        index: u16,
    },
    /// By its device path, in the firmware's text form.
    Path(&'a str),
    /// The only disk that could be meant and meets conditions. If there are several, none.
    Matching(Conditions<'a>),
}

impl<'a> DiskChoice<'a> {
    /// Reads the value of `disk=`; `None` if it makes no sense.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        if value == "auto" {
            return Some(Self::Auto);
        }
        if let Some((MODEL | SERIAL | SIZE, _)) = value.split_once('=') {
            return Conditions::parse(value).map(Self::Matching);
        }
        // Only device paths have these.
        if value.contains(['/', '(']) {
            return Some(Self::Path(value));
        }
        let digits = value.find(|c: char| c.is_ascii_digit())?;
        let (kind, index) = value.split_at(digits);
        Some(Self::Kind {
            kind: DiskKind::from_name(kind)?,
            index: number(index)?,
        })
    }
}

impl fmt::Display for DiskChoice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Kind { kind, index } => write!(f, "{kind}{index}"),
            Self::Path(path) => f.write_str(path),
            Self::Matching(conditions) => f.write_str(conditions.text),
        }
    }
}

/// How a disk is attached, as far as names go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskKind {
    /// NVM Express.
    Nvme,
    /// SATA, by AHCI.
    Sata,
    /// VirtIO block device.
    Virtio,
    /// SCSI of any transport.
    Scsi,
    /// USB mass storage.
    Usb,
    /// SD card or eMMC.
    Mmc,
    /// Anything else.
    Other,
}

impl DiskKind {
    pub(crate) const NAMES: [(Self, &'static str); 7] = [
        (Self::Nvme, "nvme"),
        (Self::Sata, "sata"),
        (Self::Virtio, "virtio"),
        (Self::Scsi, "scsi"),
        (Self::Usb, "usb"),
        (Self::Mmc, "mmc"),
        (Self::Other, "disk"),
    ];

    fn from_name(name: &str) -> Option<Self> {
        Self::NAMES
            .into_iter()
            .find_map(|(kind, known)| (known == name).then_some(kind))
    }
}

impl fmt::Display for DiskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES
            .into_iter()
            .find_map(|(kind, name)| (kind == *self).then_some(name));
        f.pad(name.unwrap_or("disk"))
    }
}

const MODEL: &str = "model";
const SERIAL: &str = "serial";
const SIZE: &str = "size";

/// What a disk has to be like, such as `model=*SSD*,size=..600G`. All of it has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// As they were written.
    text: &'a str,
    model: Option<Pattern<'a>>,
    serial: Option<Pattern<'a>>,
    size: Option<SizeRange>,
}

impl<'a> Conditions<'a> {
    /// Reads conditions that commas separate, each of which stands at most once; `None` if they
    /// make no sense.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut conditions = Self {
            text,
            model: None,
            serial: None,
            size: None,
        };
        for condition in text.split(',') {
            let (name, value) = condition.split_once('=')?;
            let is_first = match name {
                MODEL => conditions.model.replace(Pattern::parse(value)?).is_none(),
                SERIAL => conditions.serial.replace(Pattern::parse(value)?).is_none(),
                SIZE => conditions.size.replace(SizeRange::parse(value)?).is_none(),
                _ => false,
            };
            if !is_first {
                return None;
            }
        }
        Some(conditions)
    }

    /// Whether a disk of `bytes` bytes meets them. A `model` or `serial` that is not known is
    /// empty, and meets no condition.
    #[must_use]
    pub fn are_met_by(&self, model: &str, serial: &str, bytes: u64) -> bool {
        self.model.is_none_or(|pattern| pattern.fits(model))
            && self.serial.is_none_or(|pattern| pattern.fits(serial))
            && self.size.is_none_or(|range| range.contains(bytes))
    }
}

/// A text to compare with. `*` stands for any characters, `?` for one, `_` for a space, which can't
/// be in a word of the settings, or for itself; case does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pattern<'a>(&'a str);

impl<'a> Pattern<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then_some(Self(text))
    }

    fn fits(self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_bytes(), text.as_bytes());
        // What follows the last `*`, and the text that this was last tried on.
        let mut retry = None;
        while let [first, others @ ..] = rest {
            match pattern {
                [b'*', after @ ..] => {
                    pattern = after;
                    retry = Some((after, rest));
                }
                [wanted, after @ ..] if stands_for(*wanted, *first) => {
                    (pattern, rest) = (after, others);
                }
                _ => {
                    let Some((after, [_, shorter @ ..])) = retry else {
                        return false;
                    };
                    (pattern, rest) = (after, shorter);
                    retry = Some((after, shorter));
                }
            }
        }
        !text.is_empty() && pattern.iter().all(|&wanted| wanted == b'*')
    }
}

fn stands_for(wanted: u8, found: u8) -> bool {
    wanted == b'?' || wanted.eq_ignore_ascii_case(&found) || (wanted == b'_' && found == b' ')
}

/// From how many bytes to how many, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SizeRange {
    least: u64,
    most: u64,
}

impl SizeRange {
    /// Reads `100G..2T`, where one side may be missing.
    fn parse(text: &str) -> Option<Self> {
        let (least, most) = text.split_once("..")?;
        let range = Self {
            least: if least.is_empty() { 0 } else { size(least)? },
            most: if most.is_empty() {
                u64::MAX
            } else {
                size(most)?
            },
        };
        let is_limit = !(least.is_empty() && most.is_empty());
        (is_limit && range.least <= range.most).then_some(range)
    }

    fn contains(self, bytes: u64) -> bool {
        (self.least..=self.most).contains(&bytes)
    }
}

/// A number of bytes, such as `512G`. Disks are sold in decimal units; programs count in both.
fn size(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 6] = [
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ];
    let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, bytes) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number::<u64>(count)?.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(text)
    }

    #[test]
    fn patterns_have_to_fit_the_whole_text() {
        let model = "Samsung SSD 980 PRO 1TB";
        for pattern in [
            "Samsung_SSD_980_PRO_1TB",
            "samsung?ssd?980?pro?1tb",
            "samsung*",
            "*1TB",
            "*SSD*",
            "*s*s*d*",
            "***",
            "Sam*ung_SSD*1TB*",
        ] {
            assert!(fits(pattern, model), "{pattern}");
        }
        for pattern in [
            "Samsung",
            "SSD",
            "*SSD",
            "SSD*",
            "?",
            "*2TB*",
            "Samsung_SSD_980_PRO_1TB?",
            "*980*980*",
            "Samsung-SSD*",
        ] {
            assert!(!fits(pattern, model), "{pattern}");
        }
        assert!(fits("WD_BLACK_SN850X", "WD_BLACK SN850X"));
        assert!(fits("*aab", "aaaaab"));
    }

    #[test]
    fn what_a_disk_does_not_tell_fits_nothing() {
        for pattern in ["*", "?", "**", "a"] {
            assert!(!fits(pattern, ""), "{pattern}");
        }
        let conditions = Conditions::parse("serial=*,size=1M..").unwrap();
        assert!(conditions.are_met_by("", "1", 1_000_000));
        assert!(!conditions.are_met_by("Model", "", 1_000_000));
    }

    #[test]
    fn a_range_includes_both_ends() {
        let range = |text| SizeRange::parse(text).unwrap();
        let decimal = range("100G..2T");
        for (bytes, is_in) in [
            (99_999_999_999, false),
            (100_000_000_000, true),
            (2_000_000_000_000, true),
            (2_000_000_000_001, false),
        ] {
            assert_eq!(decimal.contains(bytes), is_in, "{bytes}");
        }
        assert!(range("..600G").contains(0) && !range("..600G").contains(600_000_000_001));
        assert!(range("1T..").contains(u64::MAX) && !range("1T..").contains(999_999_999_999));
        assert!(range("512MiB..512MiB").contains(512 << 20));
        assert!(range("1GiB..1TiB").contains(1 << 40) && !range("1GiB..").contains(1_000_000_000));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for text in [
            "",
            "..",
            "100G",
            "100G-2T",
            "2T..100G",
            "100..2T",
            "G..",
            "-1G..",
            "+1G..",
            "1g..",
            "1GB..",
            "1.5T..",
            "1G..2T..3T",
            "1G...2T",
            "1G.. 2T",
            "99999999999T..",
        ] {
            assert_eq!(SizeRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn all_conditions_have_to_hold() {
        let text = "model=*980*,serial=S5GX,size=..600G";
        let conditions = Conditions::parse(text).unwrap();
        let gigabyte = 1_000_000_000;
        assert!(conditions.are_met_by("SSD 980", "s5gx", 512 * gigabyte));
        assert!(!conditions.are_met_by("SSD 970", "S5GX", 512 * gigabyte));
        assert!(!conditions.are_met_by("SSD 980", "S5GY", 512 * gigabyte));
        assert!(!conditions.are_met_by("SSD 980", "S5GX", 1000 * gigabyte));
        for text in [
            "model=",
            "model=a,",
            ",model=a",
            "model=a,model=b",
            "model=a,b",
            "model=a,vendor=b",
            "serial=",
            "size=..,model=a",
        ] {
            assert_eq!(Conditions::parse(text), None, "{text}");
        }
    }
}
