//! The pieces of hardware, and a machine with each.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ironcast_tests::Kind::Ours;
use ironcast_tests::room::{RECEIVE, Room, TURN, UNATTENDED, demand_written};
use ironcast_tests::{
    Board, BootOrder, DiskKind, LabError, Machine, MachineBuilder, Nic, gate, image, test_medium,
};

use crate::table::Outcome;

/// Bytes of the disks.
pub const DISK: u64 = 64 << 20;

/// The address of the card that a machine with two is booted over. It comes after the other in
/// whatever order goes by addresses.
pub const FIRST_CARD: &str = "52:54:00:ff:00:02";

/// The address of its other card.
pub const SECOND_CARD: &str = "52:54:00:ff:00:01";

/// A piece of hardware, and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A network card: the machine is booted over it, or from a USB stick if that can't be.
    Card(Nic),
    /// A disk.
    Disk {
        /// What it is attached to.
        kind: DiskKind,
        /// Bytes of its sectors.
        sector: u32,
    },
    /// A USB disk that says that its medium can be taken out.
    RemovableDisk,
    /// So much memory, in MiB.
    Memory(u32),
    /// Two network cards in two networks.
    TwoCards {
        /// Whether `nic=` names the one that the machine is not booted over.
        is_named: bool,
    },
}

impl Cell {
    /// All, in the order of the table.
    pub fn all() -> Vec<Self> {
        let cards = [
            Nic::VirtioNet,
            Nic::E1000,
            Nic::E1000e,
            Nic::Pcnet,
            Nic::Rtl8139,
            Nic::Vmxnet3,
            Nic::Tulip,
            Nic::UsbNet,
        ];
        let disk = |kind, sector| Self::Disk { kind, sector };
        let disks = [
            disk(DiskKind::VirtioBlk, 512),
            disk(DiskKind::VirtioBlk, 4096),
            // Neither QEMU's SATA disks nor its cards have other sectors.
            disk(DiskKind::Ahci, 512),
            disk(DiskKind::Nvme, 512),
            disk(DiskKind::Nvme, 4096),
            disk(DiskKind::Scsi, 512),
            disk(DiskKind::Scsi, 4096),
            disk(DiskKind::Pvscsi, 512),
            disk(DiskKind::MptSas, 512),
            disk(DiskKind::Usb, 512),
            disk(DiskKind::Usb, 4096),
            Self::RemovableDisk,
            disk(DiskKind::SdCard, 512),
            disk(DiskKind::Emmc, 512),
        ];
        let two_cards = [false, true].map(|is_named| Self::TwoCards { is_named });
        let memory = [128, 256, 1024, 4096].map(Self::Memory);
        let cards = cards.into_iter().map(Self::Card);
        cards.chain(two_cards).chain(disks).chain(memory).collect()
    }

    /// The piece and how it is used, for the table.
    pub fn words(self) -> [String; 2] {
        let (hardware, how) = match self {
            Self::Card(nic) => (
                format!("network card {} (`{}`)", nic.name(), nic.device()),
                match nic.rom() {
                    Some(_) => "option ROM: iPXE".to_owned(),
                    None => "option ROM: none".to_owned(),
                },
            ),
            Self::Disk { kind, sector } => (
                format!("disk {}", kind.name()),
                format!("sectors of {sector} bytes, `disk={}`", name_of(kind)),
            ),
            Self::RemovableDisk => (
                "disk USB, removable".to_owned(),
                "sectors of 512 bytes, `disk=usb0`".to_owned(),
            ),
            Self::Memory(mebibytes) => ("memory".to_owned(), format!("{mebibytes} MiB")),
            Self::TwoCards { is_named } => (
                "two network cards".to_owned(),
                match is_named {
                    false => "the sender is where the machine is booted from".to_owned(),
                    true => "the sender is in the other network, `nic=` names its card".to_owned(),
                },
            ),
        };
        [hardware, how]
    }

    /// Switches a machine on and sees what becomes of it.
    pub fn run(self) -> Result<Outcome, LabError> {
        if !self.is_in_this_qemu()? {
            return Ok(Outcome::NoSuchDevice);
        }
        let _place = gate::take(1, TURN)?;
        let room = Room::new(&self.settings())?;
        let other = room.beside()?;
        let disk = room.disk("disk", DISK)?;
        let machine = Machine::builder("machine").boot_order(BootOrder::NetworkFirst);
        let machine = match self {
            Self::Card(nic) => {
                let stick = room.path("stick");
                fs::copy(test_medium()?, &stick).map_err(|e| LabError::io("copy the medium", e))?;
                let machine = machine.nic(nic).disk(&disk, DiskKind::VirtioBlk);
                machine.disk(&stick, DiskKind::Usb)
            }
            Self::Disk { kind, sector: 512 } => machine.disk(&disk, kind),
            Self::Disk { kind, sector } => {
                let sectors = format!("logical_block_size={sector},physical_block_size={sector}");
                machine.disk_with(&disk, kind, &format!("serial=X,{sectors}"))
            }
            Self::RemovableDisk => machine.disk_with(&disk, DiskKind::Usb, "removable=on"),
            Self::Memory(mebibytes) => {
                let machine = machine.memory(mebibytes);
                machine.disk(&disk, DiskKind::VirtioBlk)
            }
            Self::TwoCards { .. } => {
                let machine = machine.mac(FIRST_CARD);
                let machine = machine.second_card(&other.lab, Nic::VirtioNet, SECOND_CARD);
                machine.disk(&disk, DiskKind::VirtioBlk)
            }
        };
        let senders = match self {
            Self::TwoCards { is_named: true } => &other,
            _ => &room,
        };
        image_disk(&room, senders, machine, &disk)
    }

    fn is_in_this_qemu(self) -> Result<bool, LabError> {
        let has = |device| Board::Pc.has_device(device);
        match self {
            Self::Card(nic) => has(nic.device()),
            Self::Disk { kind, .. } => has(kind.device()),
            Self::RemovableDisk | Self::Memory(_) | Self::TwoCards { .. } => Ok(true),
        }
    }

    fn settings(self) -> String {
        match self {
            Self::Disk { kind, .. } => {
                format!("disk={} confirm=no then=poweroff\n", name_of(kind))
            }
            Self::RemovableDisk => "disk=usb0 confirm=no then=poweroff\n".to_owned(),
            Self::TwoCards { is_named: true } => format!("nic={SECOND_CARD} {UNATTENDED}"),
            Self::Card(_) | Self::Memory(_) | Self::TwoCards { .. } => UNATTENDED.to_owned(),
        }
    }
}

/// What `disk=` has to say: what can be taken out has to be named.
fn name_of(kind: DiskKind) -> &'static str {
    match kind {
        DiskKind::Usb => "usb0",
        DiskKind::SdCard => "mmc0",
        _ => "auto",
    }
}

/// Whether a machine's result and all that it has said mean that its firmware has no driver for
/// what it would need: it knows no network card, or no disk at all.
fn lacks_driver(result: &str, serial: &str) -> bool {
    let no_disk = [
        "no built-in disk that can be written was found",
        "no disk has the name that was asked for",
    ];
    let has_no_disk = no_disk.iter().any(|words| result.contains(words));
    result.contains("the firmware drives no network card")
        || has_no_disk && !serial.contains("ironcast: disk ")
}

/// Images a machine's disk and compares it with what was sent from the other room.
fn image_disk(
    room: &Room,
    senders: &Room,
    machine: MachineBuilder,
    disk: &Path,
) -> Result<Outcome, LabError> {
    let image = room.small_image()?;
    let mut sending = senders.send(Ours, &image, 1)?;
    let mut machine = room.start(machine)?;
    let mut check = || {
        let line = machine.wait_for_line("ironcast: result", RECEIVE)?;
        if lacks_driver(&line, &machine.serial()) {
            machine.switch_off();
            image::demand_untouched(disk)?;
            return Ok(Outcome::NoDriver);
        }
        if !line.contains("ironcast: result ok") {
            return Err(LabError::wrong(line));
        }
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(30))?;
        demand_written(&image, disk)?;
        match machine.serial().contains("ironcast: settings of tftp://") {
            true => Ok(Outcome::Works),
            false => Ok(Outcome::WorksFromStick),
        }
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}
