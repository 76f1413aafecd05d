//! Which disk is written: the choice that must be beyond doubt before anything else happens.
//!
//! The wrong disk is the worst mistake that an imaging program can make. So there is no best guess:
//! an operator names a disk, or there is only one that can be meant.

use core::fmt;

use crate::settings::{DiskChoice, DiskKind};

/// What is known of a disk that might be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'p> {
    /// How it is attached.
    pub kind: DiskKind,
    /// Its number among those of its kind, from 0.
    pub index: u16,
    /// Its device path, in the firmware's text form.
    pub path: &'p str,
    /// Its model; empty if that is not known.
    pub model: &'p str,
    /// Its serial number; empty if that is not known.
    pub serial: &'p str,
    /// Bytes that it holds.
    pub bytes: u64,
    /// Whether it is built into the machine and its medium can't be taken out.
    pub fixed: bool,
    /// Whether it refuses to be written.
    pub read_only: bool,
    /// Whether the program was loaded from it.
    pub boot_medium: bool,
}

impl Candidate<'_> {
    /// Whether it may be taken without being named: it is fixed, can be written, and isn't the one
    /// that the program was loaded from.
    fn is_fair_game(&self) -> bool {
        self.fixed && !self.read_only && !self.boot_medium
    }
}

/// Finds the disk that is to be written, and gives its place in `disks`.
///
/// [`DiskChoice::Auto`] means the only disk that is fixed, can be written, and isn't the one that
/// the program was loaded from; [`DiskChoice::Matching`] the only one of those that meets the
/// conditions. How large the image is is not known yet, so that size decides nothing unless it was
/// asked for.
///
/// # Errors
/// Whenever there is doubt; see [`ChoiceError`].
pub fn choose(disks: &[Candidate<'_>], choice: DiskChoice<'_>) -> Result<usize, ChoiceError> {
    let fits = |disk: &Candidate<'_>| match choice {
        DiskChoice::Auto => disk.is_fair_game(),
        DiskChoice::Matching(conditions) => {
            disk.is_fair_game() && conditions.are_met_by(disk.model, disk.serial, disk.bytes)
        }
        DiskChoice::Kind { kind, index } => disk.kind == kind && disk.index == index,
        // Firmwares differ in the case of their numbers' letters.
        DiskChoice::Path(path) => disk.path.eq_ignore_ascii_case(path),
    };
    let mut fitting = disks.iter().enumerate().filter(|(_, disk)| fits(disk));
    let Some((index, disk)) = fitting.next() else {
        return Err(match choice {
            DiskChoice::Auto => ChoiceError::NoDisk,
            DiskChoice::Matching(_) => ChoiceError::NoMatch,
            _ => ChoiceError::NoSuchDisk,
        });
    };
    let others = fitting.count();
    if others > 0 {
        return Err(ChoiceError::Several { count: others + 1 });
    }
    if disk.read_only {
        return Err(ChoiceError::ReadOnly);
    }
    if disk.boot_medium {
        return Err(ChoiceError::BootMedium);
    }
    Ok(index)
}

/// Why no disk can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChoiceError {
    /// There is no disk that may be taken without being named.
    NoDisk,
    /// There is no disk of the name or path that was asked for.
    NoSuchDisk,
    /// No disk that may be taken without being named meets the conditions.
    NoMatch,
    /// More than one could be meant.
    Several {
        /// How many.
        count: usize,
    },
    /// The disk that was asked for can't be written.
    ReadOnly,
    /// The disk that was asked for is the one that the program was loaded from.
    BootMedium,
}

impl fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDisk => f.write_str("no built-in disk that can be written was found"),
            Self::NoSuchDisk => f.write_str("no disk has the name that was asked for"),
            Self::NoMatch => {
                f.write_str("no built-in disk that can be written is what was asked for")
            }
            Self::Several { count } => write!(f, "{count} disks could be meant"),
            Self::ReadOnly => f.write_str("the disk that was asked for can't be written"),
            Self::BootMedium => {
                f.write_str("the disk that was asked for is the one this program was loaded from")
            }
        }
    }
}

impl core::error::Error for ChoiceError {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    fn fixed(kind: DiskKind, index: u16) -> Candidate<'static> {
        Candidate {
            kind,
            index,
            path: "",
            model: "",
            serial: "",
            bytes: 500_000_000_000,
            fixed: true,
            read_only: false,
            boot_medium: false,
        }
    }

    fn stick() -> Candidate<'static> {
        Candidate {
            fixed: false,
            ..fixed(DiskKind::Usb, 0)
        }
    }

    fn named(name: &str) -> DiskChoice<'_> {
        DiskChoice::parse(name).unwrap()
    }

    #[test]
    fn a_single_fixed_disk_needs_no_name() {
        let cd = Candidate {
            fixed: false,
            read_only: true,
            ..fixed(DiskKind::Sata, 0)
        };
        let booted = Candidate {
            boot_medium: true,
            ..fixed(DiskKind::Sata, 1)
        };
        let disks = [cd, stick(), booted, fixed(DiskKind::Nvme, 0)];
        assert_eq!(choose(&disks, DiskChoice::Auto), Ok(3));
        assert_eq!(
            choose(&disks[..3], DiskChoice::Auto),
            Err(ChoiceError::NoDisk)
        );
        assert_eq!(choose(&[], DiskChoice::Auto), Err(ChoiceError::NoDisk));
    }

    #[test]
    fn several_fixed_disks_need_a_name() {
        let disks = [
            fixed(DiskKind::Nvme, 0),
            fixed(DiskKind::Sata, 0),
            fixed(DiskKind::Sata, 1),
            stick(),
        ];
        let several = Err(ChoiceError::Several { count: 3 });
        assert_eq!(choose(&disks, DiskChoice::Auto), several);
        assert_eq!(choose(&disks, named("sata1")), Ok(2));
        assert_eq!(choose(&disks, named("usb0")), Ok(3));
        for nothing in ["sata2", "virtio0", "PciRoot(0x0)/Pci(0x3,0x0)"] {
            let missing = Err(ChoiceError::NoSuchDisk);
            assert_eq!(choose(&disks, named(nothing)), missing, "{nothing}");
        }
    }

    #[test]
    fn a_device_path_means_one_disk_or_none() {
        let at = |path| Candidate {
            path,
            ..fixed(DiskKind::Nvme, 0)
        };
        let disks = [
            at("PciRoot(0x0)/Pci(0xA,0x0)"),
            at("PciRoot(0x0)/Pci(0xB,0x0)"),
        ];
        assert_eq!(choose(&disks, named("PciRoot(0x0)/Pci(0xb,0x0)")), Ok(1));
        let twins = [disks[0], disks[0]];
        let several = Err(ChoiceError::Several { count: 2 });
        assert_eq!(choose(&twins, named("PciRoot(0x0)/Pci(0xA,0x0)")), several);
    }

    #[test]
    fn conditions_mean_one_disk_or_none() {
        let ssd = |serial, bytes| Candidate {
            model: "Fast SSD",
            serial,
            bytes,
            ..fixed(DiskKind::Nvme, 0)
        };
        let unknown = fixed(DiskKind::Virtio, 0);
        let disks = [
            unknown,
            ssd("A1", 500_000_000_000),
            ssd("A2", 1_000_000_000_000),
        ];
        assert_eq!(choose(&disks, named("serial=a2")), Ok(2));
        assert_eq!(choose(&disks, named("size=600G..")), Ok(2));
        assert_eq!(choose(&disks, named("model=*SSD,size=..600G")), Ok(1));
        let two = Err(ChoiceError::Several { count: 2 });
        assert_eq!(choose(&disks, named("model=fast*")), two);
        assert_eq!(choose(&disks, named("size=..600G")), two);
        let none = Err(ChoiceError::NoMatch);
        assert_eq!(choose(&disks, named("serial=A")), none);
        assert_eq!(choose(&disks, named("serial=A1,size=600G..")), none);
        assert_eq!(choose(&[], named("serial=*")), none);
    }

    #[test]
    fn conditions_never_take_what_has_to_be_named() {
        let model = |disk| Candidate {
            model: "Disk",
            ..disk
        };
        let locked = Candidate {
            read_only: true,
            ..fixed(DiskKind::Sata, 0)
        };
        let booted = Candidate {
            boot_medium: true,
            ..fixed(DiskKind::Sata, 1)
        };
        let disks = [stick(), locked, booted].map(model);
        for choice in ["model=disk", "size=1M.."] {
            let none = Err(ChoiceError::NoMatch);
            assert_eq!(choose(&disks, named(choice)), none, "{choice}");
            // They do not stand in the way of one that may be taken, either.
            let [a, b, c] = disks;
            let with_one = [a, b, c, model(fixed(DiskKind::Nvme, 0))];
            assert_eq!(choose(&with_one, named(choice)), Ok(3), "{choice}");
        }
    }

    #[test]
    fn a_disk_that_must_not_be_written_is_refused_by_name_too() {
        let locked = Candidate {
            read_only: true,
            ..fixed(DiskKind::Sata, 0)
        };
        let booted = Candidate {
            boot_medium: true,
            ..stick()
        };
        let disks = [locked, booted];
        assert_eq!(choose(&disks, named("sata0")), Err(ChoiceError::ReadOnly));
        assert_eq!(choose(&disks, named("usb0")), Err(ChoiceError::BootMedium));
    }

    #[test]
    fn every_reason_has_words() {
        let reasons = [
            ChoiceError::NoDisk,
            ChoiceError::NoSuchDisk,
            ChoiceError::NoMatch,
            ChoiceError::Several { count: 2 },
            ChoiceError::ReadOnly,
            ChoiceError::BootMedium,
        ];
        for reason in reasons {
            assert!(!reason.to_string().is_empty());
        }
    }
}
