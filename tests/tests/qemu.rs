//! Bare machines: they netboot `ironcast.efi` and get their disks, or refuse to touch them.
//!
//! QEMU and OVMF stand for the machines; what a machine wrote is compared byte by byte with what
//! was sent. Each test first takes a place, so that no more machines run at once than there are
//! processors.

use std::fs::{self, File};
use std::time::Duration;

use ironcast_tests::DiskKind::{Ahci, Nvme, VirtioBlk};
use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::Nic::{E1000e, VirtioNet};
use ironcast_tests::room::{
    RECEIVE, Room, SMALL, TURN, UNATTENDED, demand_ok, demand_refusal, demand_written, value,
};
use ironcast_tests::{
    Direction, DiskKind, Kind, LabError, Machine, Nic, Program, gate, image, os_image, partitions,
};

/// One machine with one disk, from power-on to switching itself off.
fn netboot(sender: Kind, disk_kind: DiskKind, nic: Nic) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.small_image()?;
    let disk = room.disk("disk", 32 << 20)?;
    let mut sending = room.send(sender, &image, 1)?;
    let mut machine = room.start(Machine::builder("machine").disk(&disk, disk_kind).nic(nic))?;
    let mut check = || {
        let line = demand_ok(&mut machine, RECEIVE)?;
        if value(&line, "bytes") != Some(&SMALL.to_string()) {
            return Err(LabError::wrong(format!("not {SMALL} bytes: {line}")));
        }
        sending.wait_success(Duration::from_secs(30))?;
        let hash = value(&line, "blake3").unwrap_or("none");
        if sender == Ours && !sending.log().contains(hash) {
            return Err(LabError::wrong(format!(
                "the sender's BLAKE3 is not {hash}"
            )));
        }
        // P5: the sender knows it too, and whose disk it is.
        if sender == Ours {
            let log = sending.log();
            let disk = value(&line, "disk").unwrap_or("none");
            let result = log.lines().find(|line| line.contains("  ok  "));
            if !result.is_some_and(|line| line.contains("QEMU") && line.contains(disk)) {
                return Err(LabError::wrong("the sender has no result of the machine"));
            }
        }
        machine.wait_off(Duration::from_secs(20))?;
        demand_written(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn our_sender_virtio_blk_virtio_net() -> Result<(), LabError> {
    netboot(Ours, VirtioBlk, VirtioNet)
}

#[test]
fn our_sender_virtio_blk_e1000e() -> Result<(), LabError> {
    netboot(Ours, VirtioBlk, E1000e)
}

#[test]
fn our_sender_ahci_virtio_net() -> Result<(), LabError> {
    netboot(Ours, Ahci, VirtioNet)
}

#[test]
fn our_sender_ahci_e1000e() -> Result<(), LabError> {
    netboot(Ours, Ahci, E1000e)
}

#[test]
fn our_sender_nvme_virtio_net() -> Result<(), LabError> {
    netboot(Ours, Nvme, VirtioNet)
}

#[test]
fn our_sender_nvme_e1000e() -> Result<(), LabError> {
    netboot(Ours, Nvme, E1000e)
}

#[test]
fn stock_sender_virtio_blk_virtio_net() -> Result<(), LabError> {
    netboot(Stock, VirtioBlk, VirtioNet)
}

#[test]
fn stock_sender_virtio_blk_e1000e() -> Result<(), LabError> {
    netboot(Stock, VirtioBlk, E1000e)
}

#[test]
fn stock_sender_ahci_virtio_net() -> Result<(), LabError> {
    netboot(Stock, Ahci, VirtioNet)
}

#[test]
fn stock_sender_ahci_e1000e() -> Result<(), LabError> {
    netboot(Stock, Ahci, E1000e)
}

#[test]
fn stock_sender_nvme_virtio_net() -> Result<(), LabError> {
    netboot(Stock, Nvme, VirtioNet)
}

#[test]
fn stock_sender_nvme_e1000e() -> Result<(), LabError> {
    netboot(Stock, Nvme, E1000e)
}

#[test]
fn a_damaged_disk_is_noticed() -> Result<(), LabError> {
    let room = Room::new(UNATTENDED)?;
    let image = room.small_image()?;
    let disk = room.path("disk");
    fs::copy(&image, &disk).unwrap();
    File::options()
        .write(true)
        .open(&disk)
        .unwrap()
        .set_len(32 << 20)
        .unwrap();
    demand_written(&image, &disk)?;
    for offset in [0, SMALL / 2, SMALL - 1, SMALL + 511] {
        let mut bytes = fs::read(&disk).unwrap();
        let offset = usize::try_from(offset).unwrap();
        bytes[offset] ^= 0x10;
        let damaged = room.path("damaged");
        fs::write(&damaged, bytes).unwrap();
        let error = demand_written(&image, &damaged).unwrap_err().to_string();
        assert!(error.contains(&format!("byte {offset}")), "{error}");
    }
    Ok(())
}

#[test]
fn a_machine_with_five_percent_loss_gets_its_disk() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.small_image()?;
    let disk = room.disk("disk", 32 << 20)?;
    let mut sending = room.send(Ours, &image, 1)?;
    let mut machine = room.start(Machine::builder("machine").disk(&disk, Nvme))?;
    // Only the transfer's packets: TFTP repeats a lost one after seconds.
    let ports = "udp dport { 9000, 9001 }";
    machine.tap().set_loss_of(Direction::Towards, 5, ports)?;
    machine.tap().set_loss_of(Direction::From, 5, ports)?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(20))?;
        let lost = machine.tap().lost(Direction::Towards)?;
        if lost < 300 {
            return Err(LabError::wrong(format!("only {lost} packets were lost")));
        }
        demand_written(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn two_machines_and_both_hosted_receivers_at_once() -> Result<(), LabError> {
    let _places = gate::take(2, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.small_image()?;
    let disks = [room.disk("disk1", 32 << 20)?, room.disk("disk2", 24 << 20)?];
    let mut first = room.start(Machine::builder("machine1").disk(&disks[0], VirtioBlk))?;
    let second = Machine::builder("machine2")
        .disk(&disks[1], Ahci)
        .nic(E1000e);
    let mut second = room.start(second)?;
    let hosts = [room.lab.host("10.77.0.2")?, room.lab.host("10.77.0.3")?];
    let files = [room.path("stock"), room.path("ours")];
    let folder = room.folder.path();
    let stock = Program::receiver(Stock)?.file(&files[0]);
    let mut stock = stock.start(&hosts[0], "receiver-stock", folder)?;
    let ours = Program::receiver(Ours)?.file(&files[1]);
    let mut ours = ours.start(&hosts[1], "receiver-ours", folder)?;
    let mut sending = room.send(Ours, &image, 4)?;
    let mut check = || {
        demand_ok(&mut first, RECEIVE)?;
        demand_ok(&mut second, RECEIVE)?;
        for program in [&mut sending, &mut stock, &mut ours] {
            program.wait_success(Duration::from_secs(30))?;
        }
        first.wait_off(Duration::from_secs(20))?;
        second.wait_off(Duration::from_secs(20))?;
        demand_written(&image, &disks[0])?;
        demand_written(&image, &disks[1])?;
        image::demand_equal(&image, &files[0])?;
        image::demand_equal(&image, &files[1])
    };
    check().map_err(|e| room.explain(e, &[&first, &second], &[&sending, &stock, &ours]))
}

#[test]
fn a_disk_that_is_too_small_is_refused_untouched() -> Result<(), LabError> {
    for (sender, code) in [(Ours, 5), (Stock, 0)] {
        let _places = gate::take(1, TURN)?;
        let room = Room::new(UNATTENDED)?;
        let image = room.path("image");
        image::write_disk_image(&image, 20 << 20, 1)?;
        let disk = room.disk("disk", (20 << 20) - 512)?;
        let mut sending = room.send(sender, &image, 1)?;
        let mut machine = room.start(Machine::builder("machine").disk(&disk, VirtioBlk))?;
        let mut check = || {
            demand_refusal(&mut machine, "nothing was written")?;
            // It left, so the sender doesn't wait for it.
            let status = sending.wait(Duration::from_secs(15))?;
            if status.code() != Some(code) {
                return Err(LabError::wrong(format!("the sender ended with {status}")));
            }
            machine.switch_off();
            image::demand_untouched(&disk)
        };
        check().map_err(|error| room.explain(error, &[&machine], &[&sending]))?;
    }
    Ok(())
}

#[test]
fn an_image_that_outgrows_the_disk_fails() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    // Random bytes: nothing in them tells how long they are.
    let image = room.small_image()?;
    let disk = room.disk("disk", 16 << 20)?;
    let mut sending = room.send(Ours, &image, 1)?;
    let mut machine = room.start(Machine::builder("machine").disk(&disk, VirtioBlk))?;
    let mut check = || {
        demand_refusal(&mut machine, "the disk is full")?;
        let status = sending.wait(Duration::from_secs(15))?;
        match status.code() {
            Some(5) => Ok(()),
            _ => Err(LabError::wrong(format!("the sender ended with {status}"))),
        }
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn two_disks_without_a_choice_are_left_untouched() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("confirm=no then=poweroff\n")?;
    let image = room.small_image()?;
    let disks = [room.disk("disk1", 32 << 20)?, room.disk("disk2", 32 << 20)?];
    let sending = room.send(Ours, &image, 1)?;
    let machine = Machine::builder("machine").disk(&disks[0], VirtioBlk);
    let mut machine = room.start(machine.disk(&disks[1], Nvme))?;
    let mut check = || {
        // It says what it found.
        machine.wait_for_line("ironcast: disk virtio0", RECEIVE)?;
        machine.wait_for_line("ironcast: disk nvme0", RECEIVE)?;
        demand_refusal(&mut machine, "disk=")?;
        machine.switch_off();
        disks
            .iter()
            .try_for_each(|disk| image::demand_untouched(disk))
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// A sender waits and there is only one disk, but nobody has said clearly that it may be written:
/// a slip of the pen, settings that were cut off, a file of zeros as a crash leaves it.
#[test]
fn p2_settings_in_doubt_leave_the_disk_untouched() -> Result<(), LabError> {
    let large = "# a comment\n".repeat(800) + UNATTENDED;
    for (conf, words) in [
        ("disk=auto confirm=no thne=poweroff\n", "unknown key"),
        (large.as_str(), "too large"),
        ("\0\0\0\0", "Press y to agree"),
    ] {
        let _places = gate::take(1, TURN)?;
        let room = Room::new(conf)?;
        let image = room.small_image()?;
        let disk = room.disk("disk", 32 << 20)?;
        let sending = room.send(Ours, &image, 1)?;
        let mut machine = room.start(Machine::builder("machine").disk(&disk, VirtioBlk))?;
        let mut check = || {
            machine.wait_for_line(words, RECEIVE)?;
            machine.switch_off();
            image::demand_untouched(&disk)
        };
        check().map_err(|error| room.explain(error, &[&machine], &[&sending]))?;
    }
    Ok(())
}

#[test]
fn of_two_disks_the_chosen_one_is_written() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=nvme0 confirm=no then=poweroff\n")?;
    let image = room.small_image()?;
    let disks = [room.disk("disk1", 32 << 20)?, room.disk("disk2", 32 << 20)?];
    let sending = room.send(Ours, &image, 1)?;
    let machine = Machine::builder("machine").disk(&disks[0], VirtioBlk);
    let mut machine = room.start(machine.disk(&disks[1], Nvme))?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        machine.wait_off(Duration::from_secs(20))?;
        image::demand_untouched(&disks[0])?;
        demand_written(&image, &disks[1])
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn a_system_boots_from_its_disk_after_the_restart() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let image = os_image()?;
    let room = Room::new("disk=auto confirm=no then=reboot\n")?;
    let length = image.metadata().unwrap().len();
    let disk = room.disk("disk", length + (16 << 20))?;
    let mut sending = room.send(Ours, &image, 1)?;
    // The imaged Linux itself doesn't start in 128 MiB.
    let machine = Machine::builder("machine")
        .memory(256)
        .disk(&disk, VirtioBlk);
    let mut machine = room.start(machine)?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_for_serial("ironcast-demo login:", Duration::from_secs(180))?;
        machine.switch_off();
        match partitions::demand_installed(&image, &disk, 512)? {
            true => partitions::demand_right_table(&disk, 512),
            false => Err(LabError::wrong("the table was not moved")),
        }
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// Sends 64 MiB to a machine of that much memory.
fn sixty_four_mebibytes(memory: u32) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.path("image");
    image::write_random(&image, 64 << 20, 5)?;
    // Not a byte more than the image.
    let disk = room.disk("disk", 64 << 20)?;
    let mut sending = room.send(Stock, &image, 1)?;
    let mut machine = room.start(Machine::builder("machine").memory(memory).disk(&disk, Ahci))?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(20))?;
        image::demand_equal(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn sixty_four_mebibytes_in_a_machine_of_64_mebibytes() -> Result<(), LabError> {
    sixty_four_mebibytes(64)
}

#[test]
fn sixty_four_mebibytes_in_a_machine_of_128_mebibytes() -> Result<(), LabError> {
    sixty_four_mebibytes(128)
}

/// Length of the large image.
const LARGE: u64 = 2 << 30;

/// Sends the large image to a machine of 128 MiB, as it is or compressed.
fn large_image(compressed: bool) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.path("image");
    image::write_with_holes(&image, LARGE, 16 << 20, 3)?;
    let disk = room.disk("disk", LARGE)?;
    let mut sent = image.clone();
    if compressed {
        sent = room.path("image.gz");
        image::compress(&["gzip", "-1"], &image, &sent)?;
    }
    let mut sending = room.send(Ours, &sent, 1)?;
    let machine = Machine::builder("machine")
        .memory(128)
        .disk(&disk, VirtioBlk);
    let mut machine = room.start(machine)?;
    let mut check = || {
        demand_ok(&mut machine, Duration::from_secs(300))?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(20))?;
        image::demand_equal(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn two_gibibytes_in_a_machine_of_128_mebibytes() -> Result<(), LabError> {
    large_image(false)
}

#[test]
fn two_gibibytes_compressed_in_a_machine_of_128_mebibytes() -> Result<(), LabError> {
    large_image(true)
}

/// Sends an image of 66 MiB, compressed by a program, to a machine of so many MiB. The disk has not
/// a byte more.
fn compressed_image(memory: u32, program: &[&str]) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let (image, sent) = (room.path("image"), room.path("sent"));
    image::write_repeated(&image, 11, 4)?;
    image::compress(program, &image, &sent)?;
    let disk = room.disk("disk", 66 << 20)?;
    let mut sending = room.send(Stock, &sent, 1)?;
    let machine = Machine::builder("machine")
        .memory(memory)
        .disk(&disk, VirtioBlk);
    let mut machine = room.start(machine)?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(20))?;
        image::demand_equal(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// Blocks of 256 KiB.
#[test]
fn lzop_in_a_machine_of_64_mebibytes() -> Result<(), LabError> {
    compressed_image(64, &["lzop", "-1"])
}

/// Blocks of 4 MiB.
#[test]
fn lz4_in_a_machine_of_64_mebibytes() -> Result<(), LabError> {
    compressed_image(64, &["lz4", "-1", "-B7", "--quiet"])
}

/// A window of 2 MiB.
#[test]
fn zstd_in_a_machine_of_128_mebibytes() -> Result<(), LabError> {
    compressed_image(128, &["zstd", "-3"])
}

/// A window of 8 MiB, and matches that are as far back as they can be.
#[test]
fn zstd_with_its_largest_usual_window_in_a_machine_of_128_mebibytes() -> Result<(), LabError> {
    compressed_image(128, &["zstd", "-3", "--long=23"])
}

#[test]
fn p2_a_window_larger_than_the_memory_leaves_the_disk_untouched() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let (image, sent) = (room.small_image()?, room.path("sent"));
    image::compress(&["zstd", "-1", "--long=27"], &image, &sent)?;
    let disk = room.disk("disk", 32 << 20)?;
    let sending = room.send(Ours, &sent, 1)?;
    let machine = Machine::builder("machine").memory(128);
    let mut machine = room.start(machine.disk(&disk, VirtioBlk))?;
    let mut check = || {
        demand_refusal(&mut machine, "MiB of memory")?;
        machine.switch_off();
        image::demand_untouched(&disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn a_compressed_image_is_written_as_it_is_where_that_was_said() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=auto confirm=no then=poweroff decompress=none\n")?;
    let (image, sent) = (room.small_image()?, room.path("sent"));
    image::compress(&["gzip", "-1"], &image, &sent)?;
    let disk = room.disk("disk", 32 << 20)?;
    let mut sending = room.send(Ours, &sent, 1)?;
    let mut machine = room.start(Machine::builder("machine").disk(&disk, VirtioBlk))?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(20))?;
        demand_written(&sent, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}
