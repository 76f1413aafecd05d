//! Disks that are not what the image was made for, and disks that fail.
//!
//! The machines' partition tables are judged by the distribution's own tools.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ironcast_tests::DiskKind::{Ahci, Nvme, Scsi, VirtioBlk};
use ironcast_tests::Kind::Ours;
use ironcast_tests::room::{
    RECEIVE, Room, TURN, UNATTENDED, demand_ok, demand_refusal, demand_written, value,
};
use ironcast_tests::{
    Architecture, DiskKind, LabError, Machine, MachineBuilder, Running, gate, image, ironcast_efi,
    partitions,
};

const MIB: u64 = 1 << 20;

/// Length of the images with a partition table.
const IMAGE: u64 = 16 * MIB;

/// What a machine's result has to say of the disk.
fn demand_words(machine: &mut Machine, words: &[(&str, &str)]) -> Result<(), LabError> {
    let line = demand_ok(machine, RECEIVE)?;
    let wrong = words
        .iter()
        .find(|(key, word)| value(&line, key) != Some(word));
    match wrong {
        None => Ok(()),
        Some((key, word)) => Err(LabError::wrong(format!("not {key}={word}: {line}"))),
    }
}

/// A machine with a disk that has sectors of `sector` bytes.
fn machine_with(name: &str, disk: &Path, kind: DiskKind, sector: u32) -> MachineBuilder {
    let properties = format!("serial=X,logical_block_size={sector},physical_block_size={sector}");
    Machine::builder(name).disk_with(disk, kind, &properties)
}

/// Demands that the sender knows whether the one machine that ended well has proved its disk.
fn demand_report(sending: &Running, is_verified: bool) -> Result<(), LabError> {
    let log = sending.log();
    let result = log.lines().find(|line| line.contains("  ok  "));
    let result = result.unwrap_or_default();
    let is_told = match is_verified {
        true => result.contains(" s, verified"),
        false => result.contains(" s, not verified"),
    };
    match is_told {
        true => Ok(()),
        false => Err(LabError::wrong(format!("the sender's result: {result}"))),
    }
}

/// A disk whose every byte is of an older system.
fn used_disk(room: &Room, name: &str, length: u64) -> Result<PathBuf, LabError> {
    let path = room.path(name);
    image::write_random(&path, length, 99)?;
    Ok(path)
}

/// Demands that from `start` to `end` the disk is as [`used_disk`] made it.
fn demand_kept(room: &Room, disk: &Path, start: u64, end: u64) -> Result<(), LabError> {
    let length = disk
        .metadata()
        .map_err(|e| LabError::io("look at a disk", e))?;
    let old = used_disk(room, "old", length.len())?;
    let part = |path: &Path| -> Result<Vec<u8>, LabError> {
        let mut bytes = vec![0; (end - start) as usize];
        let file = File::open(path).and_then(|file| file.read_exact_at(&mut bytes, start));
        file.map_err(|e| LabError::io("read a disk", e))?;
        Ok(bytes)
    };
    match part(&old)? == part(disk)? {
        true => Ok(()),
        false => Err(LabError::wrong(format!(
            "{} has changed from byte {start} to {end}",
            disk.display()
        ))),
    }
}

/// Casts an image for sectors of one size to two machines: one with a larger disk of such sectors,
/// which gets a table that is right for it, and one with the other sectors, which stays as it was.
fn cast_to_both_kinds_of_sectors(sector: u32, kind: DiskKind) -> Result<(), LabError> {
    let _places = gate::take(2, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.path("image");
    partitions::write_gpt_image(&image, IMAGE, sector, 1)?;
    let disk = used_disk(&room, "disk", 24 * MIB)?;
    let other = room.disk("other", 24 * MIB)?;
    let mut sending = room.send(Ours, &image, 2)?;
    let mut machine = room.start(machine_with("machine", &disk, kind, sector))?;
    let others = 512 + 4096 - sector;
    let mut foreign = room.start(machine_with("foreign", &other, VirtioBlk, others))?;
    let mut check = || {
        let words = [("gpt", "moved"), ("guid", "kept"), ("verify", "ok")];
        demand_words(&mut machine, &words)?;
        demand_refusal(&mut foreign, &format!("is for sectors of {sector} bytes"))?;
        foreign.switch_off();
        image::demand_untouched(&other)?;
        sending.wait(Duration::from_secs(30))?;
        demand_report(&sending, true)?;
        machine.wait_off(Duration::from_secs(20))?;
        partitions::demand_right_table(&disk, sector)?;
        if !partitions::demand_installed(&image, &disk, sector)? {
            return Err(LabError::wrong("the table was not moved"));
        }
        // The tail, up to the table's copy: 128 entries of 128 bytes, and a sector.
        let copy = 24 * MIB - 16_384 - u64::from(sector);
        demand_kept(&room, &disk, IMAGE, copy)
    };
    check().map_err(|error| room.explain(error, &[&machine, &foreign], &[&sending]))
}

#[test]
fn p1_sectors_of_512_bytes_a_larger_disk_and_a_foreign_one() -> Result<(), LabError> {
    cast_to_both_kinds_of_sectors(512, Ahci)
}

#[test]
fn p1_sectors_of_4096_bytes_a_larger_disk_and_a_foreign_one() -> Result<(), LabError> {
    cast_to_both_kinds_of_sectors(4096, Nvme)
}

/// Two machines with one cast: each gets GUIDs of its own, on disks of the image's size and of
/// another.
#[test]
fn new_guids_are_different_on_every_machine() -> Result<(), LabError> {
    let _places = gate::take(2, TURN)?;
    let room = Room::new("disk=auto confirm=no guid=new then=poweroff\n")?;
    let image = room.path("image");
    partitions::write_gpt_image(&image, IMAGE, 4096, 1)?;
    let disks = [room.disk("disk1", 24 * MIB)?, room.disk("disk2", IMAGE)?];
    let mut sending = room.send(Ours, &image, 2)?;
    let mut first = room.start(machine_with("machine1", &disks[0], Scsi, 4096))?;
    let mut second = room.start(machine_with("machine2", &disks[1], Nvme, 4096))?;
    let mut check = || {
        demand_words(
            &mut first,
            &[("gpt", "moved"), ("guid", "new"), ("verify", "ok")],
        )?;
        demand_words(
            &mut second,
            &[("gpt", "fits"), ("guid", "new"), ("verify", "ok")],
        )?;
        sending.wait_success(Duration::from_secs(30))?;
        first.wait_off(Duration::from_secs(20))?;
        second.wait_off(Duration::from_secs(20))?;
        let mut guids = Vec::new();
        for path in [&image, &disks[0], &disks[1]] {
            guids.extend(partitions::guids(path, 4096)?);
            partitions::demand_right_table(path, 4096)?;
        }
        guids.sort_unstable();
        guids.dedup();
        match guids.len() {
            9 => Ok(()),
            count => Err(LabError::wrong(format!("only {count} GUIDs are different"))),
        }
    };
    check().map_err(|error| room.explain(error, &[&first, &second], &[&sending]))
}

/// Without a generator there are no random numbers, and nothing else is taken for them.
#[test]
fn p2_new_guids_without_random_numbers_are_refused_untouched() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let disk = room.disk("disk", 24 * MIB)?;
    // Started from the host, since firmware may not netboot without them either.
    let settings = "disk=auto confirm=no guid=new then=poweroff";
    let machine = Machine::builder("machine").disk(&disk, VirtioBlk);
    let machine = machine.kernel(&ironcast_efi(Architecture::X86_64)?, settings);
    let mut machine = room.start(machine.without_random_numbers())?;
    let mut check = || {
        demand_refusal(&mut machine, "no random numbers")?;
        machine.switch_off();
        image::demand_untouched(&disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[]))
}

/// A larger disk with a table that is to be kept as sent, and not verified; and at once a machine
/// without that: an image with an MBR is as it was sent on any sectors.
#[test]
fn bytes_stay_as_sent_where_that_is_wanted() -> Result<(), LabError> {
    let keep = "disk=auto confirm=no gpt=keep verify=no then=poweroff\n";
    for (conf, words) in [
        (keep, [("gpt", "kept"), ("guid", "kept"), ("verify", "off")]),
        (
            UNATTENDED,
            [("gpt", "none"), ("guid", "kept"), ("verify", "ok")],
        ),
    ] {
        let _places = gate::take(1, TURN)?;
        let room = Room::new(conf)?;
        let image = room.path("image");
        match conf == keep {
            true => partitions::write_gpt_image(&image, IMAGE, 4096, 1)?,
            false => image::write_disk_image(&image, IMAGE, 1)?,
        }
        let disk = room.disk("disk", 24 * MIB)?;
        let mut sending = room.send(Ours, &image, 1)?;
        let mut machine = room.start(machine_with("machine", &disk, VirtioBlk, 4096))?;
        let mut check = || {
            if conf == keep {
                machine.wait_for_line("ironcast: not verified", RECEIVE)?;
            }
            demand_words(&mut machine, &words)?;
            sending.wait_success(Duration::from_secs(30))?;
            demand_report(&sending, conf != keep)?;
            machine.wait_off(Duration::from_secs(20))?;
            demand_written(&image, &disk)
        };
        check().map_err(|error| room.explain(error, &[&machine], &[&sending]))?;
    }
    Ok(())
}

/// What a disk does wrong, at sector 16384 of 512 bytes, and what a machine says of it.
struct Fault {
    iotype: &'static str,
    kind: DiskKind,
    settings: &'static str,
    words: [&'static str; 2],
}

/// The firmware's AHCI driver calls a write successful that the disk refused: only reading back
/// tells.
const FAULTS: [Fault; 3] = [
    Fault {
        iotype: "write",
        kind: VirtioBlk,
        settings: UNATTENDED,
        words: ["at sector 16384", "first and last MiB were cleared"],
    },
    Fault {
        iotype: "write",
        kind: Ahci,
        settings: "disk=auto confirm=no on-failure=keep then=poweroff\n",
        words: ["bytes 8388608..8650752 of the disk", "on-failure=keep"],
    },
    Fault {
        iotype: "read",
        kind: Nvme,
        settings: UNATTENDED,
        words: [
            "reading bytes 8388608..8650752",
            "first and last MiB were cleared",
        ],
    },
];

#[test]
fn p1_a_disk_that_fails_is_no_success_and_does_not_start() -> Result<(), LabError> {
    for fault in FAULTS {
        let _places = gate::take(1, TURN)?;
        let room = Room::new(fault.settings)?;
        let image = room.small_image()?;
        let disk = used_disk(&room, "disk", 32 * MIB)?;
        let rule = format!(
            "[inject-error]\nevent = \"none\"\niotype = \"{}\"\nerrno = \"5\"\n\
             sector = \"16384\"\n",
            fault.iotype
        );
        let faults = room.path("faults");
        fs::write(&faults, rule).map_err(|e| LabError::io("write the rule for faults", e))?;
        let faulty = format!("blkdebug:{}:{}", faults.display(), disk.display());
        let mut sending = room.send(Ours, &image, 1)?;
        let machine = Machine::builder("machine").disk(Path::new(&faulty), fault.kind);
        let mut machine = room.start(machine)?;
        let mut check = || {
            let line = demand_failure(&mut machine)?;
            if let Some(words) = fault.words.iter().find(|words| !line.contains(**words)) {
                return Err(LabError::wrong(format!("not {words:?}: {line}")));
            }
            let status = sending.wait(Duration::from_secs(15))?;
            if status.code() != Some(5) {
                return Err(LabError::wrong(format!("the sender ended with {status}")));
            }
            if !sending.log().contains(fault.words[0]) {
                return Err(LabError::wrong("the sender does not say why"));
            }
            machine.switch_off();
            demand_left(&image, &disk, fault.settings == UNATTENDED)
        };
        check().map_err(|error| room.explain(error, &[&machine], &[&sending]))?;
    }
    Ok(())
}

/// What goes wrong before the first write leaves an installed system as it was.
#[test]
fn p2_a_disk_whose_end_can_not_be_read_is_left_untouched() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.small_image()?;
    let disk = used_disk(&room, "disk", 32 * MIB)?;
    let before = room.path("before");
    fs::copy(&disk, &before).map_err(|e| LabError::io("copy a disk", e))?;
    let (faults, last) = (room.path("faults"), 32 * MIB / 512 - 1);
    let rule = format!(
        "[inject-error]\nevent = \"none\"\niotype = \"read\"\nerrno = \"5\"\nsector = \"{last}\"\n"
    );
    fs::write(&faults, rule).map_err(|e| LabError::io("write the rule for faults", e))?;
    let faulty = format!("blkdebug:{}:{}", faults.display(), disk.display());
    let mut sending = room.send(Ours, &image, 1)?;
    let machine = Machine::builder("machine").disk(Path::new(&faulty), VirtioBlk);
    let mut machine = room.start(machine)?;
    let mut check = || {
        demand_refusal(&mut machine, "before the first write: ")?;
        sending.wait_exit(5, Duration::from_secs(15))?;
        machine.switch_off();
        image::demand_equal(&before, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

fn demand_failure(machine: &mut Machine) -> Result<String, LabError> {
    let line = machine.wait_for_line("ironcast: result", RECEIVE)?;
    match line.contains("ironcast: result failed") {
        true => Ok(line),
        false => Err(LabError::wrong(format!("no failure: {line}"))),
    }
}

/// Demands that the disk has the image's middle, and does not start.
fn demand_left(image: &Path, disk: &Path, is_cleared: bool) -> Result<(), LabError> {
    let read = |path: &Path| fs::read(path).map_err(|e| LabError::io("read a disk", e));
    let (image, disk) = (read(image)?, read(disk)?);
    let mib = 1 << 20;
    let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    let ends = [&disk[..mib], &disk[disk.len() - mib..]];
    let holds = [
        (is_zero(&disk[..8192]), "it may start"),
        (
            disk[mib..8 * mib] == image[mib..8 * mib],
            "its middle is not the image's",
        ),
        (
            ends.iter().all(|end| is_zero(end)) == is_cleared,
            "its ends are otherwise",
        ),
        (
            is_cleared || disk[8192..mib] == image[8192..mib],
            "its first MiB changed",
        ),
    ];
    match holds.iter().find(|(holds, _)| !holds) {
        None => Ok(()),
        Some((_, what)) => Err(LabError::wrong(format!("the disk that failed: {what}"))),
    }
}
