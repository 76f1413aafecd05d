//! Which disk of a bare machine is written: the one that was meant, and never another.
//!
//! Machines have disks of every kind. After each run all of them are looked at: the chosen one has
//! the image, the others have what they had before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use ironcast_tests::DiskKind::{Ahci, Nvme, Scsi, Usb, VirtioBlk};
use ironcast_tests::Kind::Ours;
use ironcast_tests::room::{
    RECEIVE, Room, SMALL, TURN, demand_ok, demand_refusal, demand_written, value,
};
use ironcast_tests::{
    BootOrder, LabError, Machine, MachineBuilder, Program, Running, find_tool, gate, image,
};

/// Length of most disks. The machine shows it as 32 MB.
const LENGTH: u64 = 32_000_000;

fn machine() -> MachineBuilder {
    Machine::builder("machine").boot_order(BootOrder::NetworkFirst)
}

fn run(tool: &str, arguments: &[&str], file: &Path, last: &[&str]) -> Result<(), LabError> {
    let mut command = Command::new(find_tool(tool)?);
    command.args(arguments).arg(file).args(last);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| LabError::io(format!("run {tool}"), e))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(LabError::wrong(format!("{tool}: {text}")))
        }
    }
}

/// A disk with a partition table, a FAT volume `EFI` and an ext4 volume `root`.
fn disk_with_volumes(room: &Room, name: &str) -> Result<PathBuf, LabError> {
    let disk = room.disk(name, LENGTH)?;
    let table = ["--new=1:2048:+4M", "--typecode=1:ef00", "--new=2:16384:+8M"];
    run("sgdisk", &table, &disk, &[])?;
    let fat = ["--offset=2048", "-n", "EFI", "-F", "12"];
    run("mkfs.vfat", &fat, &disk, &["4096"])?;
    let ext4 = ["-q", "-F", "-L", "root", "-E", "offset=8388608"];
    run("mkfs.ext4", &ext4, &disk, &["8M"])?;
    Ok(disk)
}

/// Demands that the machine says this line.
fn demand_line(machine: &Machine, wanted: &str) -> Result<(), LabError> {
    match machine.serial().lines().any(|line| line == wanted) {
        true => Ok(()),
        false => Err(LabError::wrong(format!("no line {wanted:?}"))),
    }
}

/// Waits for a good result on the disk `name`, and demands that its file has the image.
fn demand_on(
    machine: &mut Machine,
    sending: &mut Running,
    (name, file): (&str, &Path),
    image: &Path,
) -> Result<(), LabError> {
    let line = demand_ok(machine, RECEIVE)?;
    if value(&line, "disk") != Some(name) {
        return Err(LabError::wrong(format!("not {name}: {line}")));
    }
    sending.wait_success(Duration::from_secs(30))?;
    machine.wait_off(Duration::from_secs(20))?;
    demand_written(image, file)
}

/// The one of two alike that has the serial number, in a machine that has disks of every kind; and
/// what the machine shows of each.
#[test]
fn p2_of_disks_of_every_kind_the_one_with_the_serial_number() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=serial=s5gx-2 confirm=no then=poweroff\n")?;
    let image = room.small_image()?;
    let others = [
        room.disk("first", LENGTH)?,
        disk_with_volumes(&room, "volumes")?,
        room.disk("scsi", LENGTH)?,
        room.disk("usb", LENGTH)?,
        room.disk("virtio", LENGTH)?,
    ];
    fs::copy(&others[1], room.path("before")).map_err(|e| LabError::io("copy a disk", e))?;
    let disk = room.disk("second", LENGTH)?;
    let mut sending = room.send(Ours, &image, 1)?;
    let machine = machine()
        .disk_with(&others[0], Nvme, "serial=S5GX-1")
        .disk_with(&disk, Nvme, "serial=S5GX-2")
        .disk_with(&others[1], Ahci, "serial=WD-42,model=WDC WD10EZEX-00B")
        .disk_with(
            &others[2],
            Scsi,
            "serial=00a1,vendor=DELL,product=PERC H730",
        )
        .disk_with(&others[3], Usb, "serial=4711")
        .disk_with(&others[4], VirtioBlk, "serial=S5GX-2");
    let mut machine = room.start(machine)?;
    let mut check = || {
        demand_on(&mut machine, &mut sending, ("nvme1", &disk), &image)?;
        for other in [&others[0], &others[2], &others[3], &others[4]] {
            image::demand_untouched(other)?;
        }
        image::demand_equal(&room.path("before"), &others[1])?;
        for line in [
            "nvme0: 32 MB, sectors of 512, QEMU NVMe Ctrl, serial S5GX-1, blank at its start",
            "nvme1: 32 MB, sectors of 512, QEMU NVMe Ctrl, serial S5GX-2, blank at its start",
            "sata0: 32 MB, sectors of 512, WDC WD10EZEX-00B, serial WD-42, \
             GPT with 2 partitions: FAT \"EFI\", ext4 \"root\"",
            "scsi0: 32 MB, sectors of 512, DELL PERC H730, serial 00a1, blank at its start",
            "usb0: 32 MB, sectors of 512, QEMU QEMU HARDDISK, blank at its start",
            "virtio0: 32 MB, sectors of 512, blank at its start",
        ] {
            demand_line(&machine, &format!("ironcast: disk {line}"))?;
        }
        Ok(())
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn p2_the_one_of_a_model_and_a_size() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=model=fast_ssd*,size=40M..2T confirm=no then=poweroff\n")?;
    let image = room.small_image()?;
    let others = [room.disk("small", LENGTH)?, room.disk("slow", 48_000_000)?];
    let disk = room.disk("disk", 48_000_000)?;
    let mut sending = room.send(Ours, &image, 1)?;
    let machine = machine()
        .disk_with(&others[0], Ahci, "model=Fast SSD 32")
        .disk_with(&others[1], Ahci, "model=Slow SSD 48")
        .disk_with(&disk, Ahci, "model=Fast SSD 48");
    let mut machine = room.start(machine)?;
    let mut check = || {
        demand_on(&mut machine, &mut sending, ("sata2", &disk), &image)?;
        others
            .iter()
            .try_for_each(|disk| image::demand_untouched(disk))
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// The disk at USB would fit too, but is not counted: it is taken only by its name.
#[test]
fn p2_two_that_fit_are_left_untouched() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=size=..1G confirm=no then=poweroff\n")?;
    let image = room.small_image()?;
    let names = ["first", "second", "usb"];
    let disks: Vec<_> = names
        .iter()
        .map(|name| room.disk(name, LENGTH))
        .collect::<Result<_, _>>()?;
    let sending = room.send(Ours, &image, 1)?;
    let machine = machine()
        .disk(&disks[0], Nvme)
        .disk(&disks[1], Nvme)
        .disk(&disks[2], Usb);
    let mut machine = room.start(machine)?;
    let mut check = || {
        demand_refusal(&mut machine, "disk=size=..1G: 2 disks could be meant")?;
        for line in [
            "nvme0: 32 MB, sectors of 512, QEMU NVMe Ctrl, serial DISK0, blank at its start",
            "nvme1: 32 MB, sectors of 512, QEMU NVMe Ctrl, serial DISK1, blank at its start",
            "usb0: 32 MB, sectors of 512, QEMU QEMU HARDDISK, blank at its start",
        ] {
            demand_line(&machine, &format!("ironcast: disk {line}"))?;
        }
        machine.switch_off();
        disks
            .iter()
            .try_for_each(|disk| image::demand_untouched(disk))
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn p2_a_usb_disk_is_taken_by_its_name() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=usb0 confirm=no then=poweroff\n")?;
    let image = room.small_image()?;
    let disks = [room.disk("usb", LENGTH)?, room.disk("nvme", LENGTH)?];
    let mut sending = room.send(Ours, &image, 1)?;
    let mut machine = room.start(machine().disk(&disks[0], Usb).disk(&disks[1], Nvme))?;
    let mut check = || {
        demand_on(&mut machine, &mut sending, ("usb0", &disks[0]), &image)?;
        image::demand_untouched(&disks[1])
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn p2_nothing_is_written_before_somebody_agrees() -> Result<(), LabError> {
    for (key, agrees) in [("n", false), ("y", true)] {
        let _places = gate::take(1, TURN)?;
        let room = Room::new("disk=scsi0 confirm=ask then=poweroff\n")?;
        let image = room.small_image()?;
        let disk = room.disk("disk", LENGTH)?;
        let mut sending = room.send(Ours, &image, 1)?;
        let mut machine = room.start(machine().disk(&disk, Scsi))?;
        let mut check = || {
            machine.wait_for_line("ironcast: chosen is scsi0: 32 MB", RECEIVE)?;
            machine.wait_for_line("ALL DATA ON scsi0 WILL BE LOST", RECEIVE)?;
            machine.wait_for_line("another key to stop; 60 s left", RECEIVE)?;
            image::demand_untouched(&disk)?;
            machine.press(key)?;
            if agrees {
                return demand_on(&mut machine, &mut sending, ("scsi0", &disk), &image);
            }
            demand_refusal(&mut machine, "nobody agreed")?;
            machine.switch_off();
            image::demand_untouched(&disk)
        };
        check().map_err(|error| room.explain(error, &[&machine], &[&sending]))?;
    }
    Ok(())
}

/// Two at a USB port don't make it doubtful which one `disk=auto` means.
#[test]
fn p1_a_dry_run_writes_nothing_and_the_sender_knows() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new("disk=auto confirm=no dry-run=yes then=poweroff\n")?;
    let image = room.small_image()?;
    let disk = disk_with_volumes(&room, "disk")?;
    let usb = [room.disk("usb0", LENGTH)?, room.disk("usb1", LENGTH)?];
    let before = room.path("before");
    fs::copy(&disk, &before).map_err(|e| LabError::io("copy a disk", e))?;
    let host = room.lab.host("10.77.0.2")?;
    let file = room.path("received");
    let receiver = Program::receiver(Ours)?.file(&file);
    let mut receiver = receiver.start(&host, "receiver", room.folder.path())?;
    let mut sending = room.send(Ours, &image, 2)?;
    let machine = machine().disk(&disk, VirtioBlk);
    let mut machine = room.start(machine.disk(&usb[0], Usb).disk(&usb[1], Usb))?;
    let mut check = || {
        let line = machine.wait_for_line("ironcast: result", RECEIVE)?;
        let is_dry = line.starts_with("ironcast: result dry-run ");
        let is_whole = value(&line, "bytes") == Some(&SMALL.to_string());
        if !is_dry || !is_whole || value(&line, "disk") != Some("virtio0") {
            return Err(LabError::wrong(format!("not a dry run: {line}")));
        }
        receiver.wait_success(Duration::from_secs(30))?;
        let status = sending.wait(Duration::from_secs(30))?;
        let hash = value(&line, "blake3").unwrap_or("none");
        let log = sending.log();
        if status.code() != Some(4) || !log.contains(hash) || !log.contains("a dry run") {
            let text = format!("the sender ended with {status}, without {hash} or a reason");
            return Err(LabError::wrong(text));
        }
        machine.wait_off(Duration::from_secs(20))?;
        image::demand_equal(&image, &file)?;
        image::demand_equal(&before, &disk)?;
        usb.iter()
            .try_for_each(|disk| image::demand_untouched(disk))
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending, &receiver]))
}
