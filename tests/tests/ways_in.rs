//! The ways in which a machine comes to start `ironcast.efi`, beside netbooting a PC.
//!
//! `qemu.rs` has what happens afterwards. Here it only has to be right that the program starts,
//! finds its settings and its network, and writes the one disk.

use std::time::Duration;

use ironcast_tests::DiskKind::{Nvme, VirtioBlk};
use ironcast_tests::Kind::Ours;
use ironcast_tests::room::{RECEIVE, Room, TURN, UNATTENDED, demand_ok, demand_written};
use ironcast_tests::{
    Architecture, Board, DiskKind, LabError, Machine, MachineBuilder, PxeSettings, gate,
    ironcast_efi,
};

/// Bytes of the disks.
const DISK: u64 = 64 << 20;

/// Images the machine's disk, which `attach` attaches, and compares it with what was sent.
fn image_disk(
    room: &Room,
    attach: impl FnOnce(&std::path::Path) -> MachineBuilder,
) -> Result<(), LabError> {
    let image = room.small_image()?;
    let disk = room.disk("disk", DISK)?;
    let mut sending = room.send(Ours, &image, 1)?;
    let mut machine = room.start(attach(&disk))?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(30))?;
        demand_written(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// One server for machines of both architectures.
fn arm_machine(kind: DiskKind) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let settings = PxeSettings::ironcast(&ironcast_efi(Architecture::X86_64)?, UNATTENDED)
        .ironcast_for_arm(&ironcast_efi(Architecture::Aarch64)?);
    let room = Room::serving(&settings)?;
    image_disk(&room, |disk| {
        let machine = Machine::builder("machine").board(Board::Arm);
        machine.memory(128).disk(disk, kind)
    })
}

#[test]
fn arm_virtio_blk() -> Result<(), LabError> {
    arm_machine(VirtioBlk)
}

#[test]
fn arm_nvme() -> Result<(), LabError> {
    arm_machine(Nvme)
}
