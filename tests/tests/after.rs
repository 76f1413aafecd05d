//! What becomes of a machine after its imaging: it starts what it got, is not imaged again, and
//! finds the files that are its own.
//!
//! The system that is installed is GRUB, which says that it is up and restarts the machine, over
//! and over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ironcast_tests::DiskKind::{Nvme, VirtioBlk};
use ironcast_tests::room::{RECEIVE, Room, TURN, demand_ok, demand_refusal, value};
use ironcast_tests::{
    Architecture, BootOrder, LabError, Machine, MachineBuilder, PxeSettings, boot_loader, gate,
    image, ironcast_efi,
};

/// Length of the machines' disks.
const DISK: u64 = 48 << 20;

/// What the installed system says.
const UP: &str = "the installed system is up";

/// What the operator has for a machine's first boot.
const SEED: &str = "#!/bin/sh\nhostnamectl set-hostname lab-7\n";

/// How long a sender may take to end when its machine has.
const SENDER: Duration = Duration::from_secs(30);

/// A room whose machines are told `conf`, and can fetch a seed of their own.
fn room(conf: &str, mac: &str) -> Result<Room, LabError> {
    let settings = PxeSettings::ironcast(&ironcast_efi(Architecture::X86_64)?, conf)
        .text(&format!("seeds/{}", mac.replace(':', "-")), SEED)
        .option(&format!("--dhcp-host={mac},lab-7"));
    Room::serving(&settings)
}

/// Has the machines told something else from now on.
fn tell(room: &Room, conf: &str) -> Result<(), LabError> {
    let path = room.path("tftp/ironcast.conf");
    fs::write(path, conf).map_err(|e| LabError::io("change the settings", e))
}

/// An image whose EFI system partition has a system, but no loader that firmware would find without
/// being told.
fn system_image(room: &Room) -> Result<PathBuf, LabError> {
    let image = room.disk("system", 40 << 20)?;
    let (path, script) = (image.display().to_string(), room.path("grub.cfg"));
    fs::write(&script, format!("echo \"{UP}\"\nsleep 1\nreboot\n"))
        .map_err(|e| LabError::io("write GRUB's script", e))?;
    let grub = boot_loader("usr/lib/grub/x86_64-efi/monolithic/grubx64.efi")?;
    let partition = format!("{path}@@1M");
    let (grub, script) = (grub.display().to_string(), script.display().to_string());
    for command in [
        ["sgdisk", "--new=1:2048:0", "--typecode=1:ef00", &path].as_slice(),
        &["mkfs.vfat", "--offset=2048", "-F", "16", &path, "38000"],
        &["mmd", "-i", &partition, "::/EFI", "::/EFI/debian"],
        &[
            "mcopy",
            "-i",
            &partition,
            &grub,
            "::/EFI/debian/grubx64.efi",
        ],
        &["mcopy", "-i", &partition, &script, "::/EFI/debian/grub.cfg"],
    ] {
        room.server.run(command[0], &command[1..])?;
    }
    Ok(image)
}

/// A file on the EFI system partition of `disk`.
fn file_on(room: &Room, disk: &Path, name: &str) -> Result<String, LabError> {
    let partition = format!("{}@@1M", disk.display());
    let copy = room.path("copy");
    let target = copy.display().to_string();
    room.server
        .run("mcopy", &["-n", "-o", "-i", &partition, name, &target])?;
    fs::read_to_string(copy).map_err(|e| LabError::io("read a copy", e))
}

fn machine(mac: &str, disk: &Path) -> MachineBuilder {
    Machine::builder("machine")
        .mac(mac)
        .boot_order(BootOrder::NetworkFirst)
        .disk(disk, Nvme)
}

/// The only result in the sender's list.
fn result(room: &Room) -> Result<serde_json::Value, LabError> {
    match room.results()?.as_slice() {
        [result] => Ok(result.clone()),
        results => Err(LabError::wrong(format!("not one result: {results:?}"))),
    }
}

fn demand(what: &str, is_so: bool) -> Result<(), LabError> {
    match is_so {
        true => Ok(()),
        false => Err(LabError::wrong(what)),
    }
}

/// A machine that always netboots first, through four starts: imaged; its own system, by the
/// firmware's order for once; netbooted again, and its own system again, since the job is done;
/// and when the job has no name any more, imaged as ever.
#[test]
fn p2_a_job_that_is_done_is_not_done_again() -> Result<(), LabError> {
    const MAC: &str = "52:54:00:0a:0b:0c";
    let _places = gate::take(1, TURN)?;
    let room = room("confirm=no job=autumn seed=seeds/<mac> then=reboot\n", MAC)?;
    let image = system_image(&room)?;
    let disk = room.disk("disk", DISK)?;
    let mut sending = room.send_and_list(&image, &[])?;
    let mut machine = room.start(machine(MAC, &disk))?;
    let mut check = || {
        let line = demand_ok(&mut machine, RECEIVE)?;
        demand(&line, value(&line, "seed") == Some("written"))?;
        sending.wait_success(SENDER)?;
        let result = result(&room)?;
        demand("a named machine", result["host"] == "lab-7")?;
        let note = result["note"].as_str().unwrap_or_default();
        demand("a note of the seed", note.contains("seed"))?;
        machine.wait_for_line("the next start is from nvme0", RECEIVE)?;
        machine.wait_for_serial(UP, RECEIVE)?;
        let done = machine.wait_for_line("ironcast: job autumn is done", RECEIVE)?;
        let hash = value(&line, "blake3").unwrap_or("none");
        demand(&done, done.contains(hash))?;
        machine.wait_for_serial(UP, RECEIVE)?;
        demand_files(&room, &disk, hash, MAC)?;

        tell(&room, "confirm=no then=poweroff\n")?;
        sending = room.send_and_list(&image, &[])?;
        let line = demand_ok(&mut machine, RECEIVE)?;
        demand(&line, value(&line, "seed").is_none())?;
        sending.wait_success(SENDER)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// Demands what a first boot finds.
fn demand_files(room: &Room, disk: &Path, hash: &str, mac: &str) -> Result<(), LabError> {
    let seed = file_on(room, disk, "::/ironcast/seed")?;
    demand("the operator's seed", seed == SEED)?;
    let text = file_on(room, disk, "::/ironcast/machine.json")?;
    let machine: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| LabError::wrong(format!("{e}: {text}")))?;
    for (key, expected) in [
        ("mac", mac),
        ("host", "lab-7"),
        ("job", "autumn"),
        ("blake3", hash),
    ] {
        demand(&text, machine[key] == expected)?;
    }
    demand(&text, machine["product"].as_str().is_some())
}

/// What a machine remembers must not outlast the disk's contents: of two jobs the second breaks
/// off, and then the first one is offered again.
#[test]
fn p1_a_job_is_forgotten_when_another_image_is_begun() -> Result<(), LabError> {
    const MAC: &str = "52:54:00:0a:0b:0d";
    let _places = gate::take(1, TURN)?;
    let room = room("confirm=no job=autumn then=poweroff\n", MAC)?;
    let image = room.small_image()?;
    let disk = room.disk("disk", DISK)?;
    let mut sending = room.send_and_list(&image, &[])?;
    let mut first = room.start(machine(MAC, &disk))?;
    let mut second = None;
    let mut check = || {
        demand_ok(&mut first, RECEIVE)?;
        sending.wait_success(SENDER)?;
        first.wait_off(SENDER)?;

        tell(&room, "confirm=no job=winter then=poweroff\n")?;
        sending = room.send_and_list(&image, &["--max-bitrate", "4m"])?;
        let variables = room.path("machine.vars");
        let again = Machine::builder("again").mac(MAC).variables(&variables);
        let again = again.boot_order(BootOrder::NetworkFirst).disk(&disk, Nvme);
        let again = second.insert(room.start(again)?);
        again.wait_for_line("transfer started", RECEIVE)?;
        again.wait_for_line("bytes received, 2", RECEIVE)?;
        again.switch_off();
        sending.kill();

        tell(&room, "confirm=no job=autumn then=poweroff\n")?;
        sending = room.send_and_list(&image, &[])?;
        let variables = room.path("again.vars");
        let third = Machine::builder("third").mac(MAC).variables(&variables);
        let third = third.boot_order(BootOrder::NetworkFirst).disk(&disk, Nvme);
        let again = second.insert(room.start(third)?);
        demand_ok(again, RECEIVE)?;
        sending.wait_success(SENDER)
    };
    check().map_err(|error| {
        let machines: Vec<&Machine> = [Some(&first), second.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        room.explain(error, &machines, &[&sending])
    })
}

/// The disk that has had the job is replaced: that is for a person to look at, and the sender lists
/// it. Before that, an image without a byte is none.
#[test]
fn p1_p5_an_empty_image_is_none_and_a_job_whose_disk_is_gone_is_a_failure() -> Result<(), LabError>
{
    const MAC: &str = "52:54:00:0a:0b:10";
    let _places = gate::take(1, TURN)?;
    let room = room("confirm=no job=autumn then=poweroff\n", MAC)?;
    let (image, empty) = (room.small_image()?, room.disk("empty", 0)?);
    let (disk, other) = (room.disk("disk", DISK)?, room.disk("other", DISK)?);
    let mut sending = room.send_and_list(&empty, &[])?;
    let mut machines = vec![room.start(machine(MAC, &disk))?];
    let mut check = || {
        demand_refusal(&mut machines[0], "the image that was sent has no bytes")?;
        machines[0].switch_off();
        sending.wait_exit(5, SENDER)?;
        image::demand_untouched(&disk)?;

        sending = room.send_and_list(&image, &[])?;
        let second = machine(MAC, &disk).name("second");
        machines.push(room.start(second)?);
        demand_ok(&mut machines[1], RECEIVE)?;
        sending.wait_success(SENDER)?;
        machines[1].wait_off(SENDER)?;

        sending = room.send_and_list(&image, &[])?;
        let third = machine(MAC, &other).name("third");
        let third = third.variables(&room.path("second.vars"));
        machines.push(room.start(third)?);
        demand_refusal(&mut machines[2], "nvme0 can't be started")?;
        machines[2].wait_for_line("knows of it", RECEIVE)?;
        sending.wait_for("nvme0 can't be started", SENDER)?;
        image::demand_untouched(&other)
    };
    check().map_err(|error| {
        let machines: Vec<&Machine> = machines.iter().collect();
        room.explain(error, &machines, &[&sending])
    })
}

/// A machine that fails at once, for `conf`: `words` are what it and the sender's list say.
fn demand_told(conf: &str, words: &str) -> Result<(), LabError> {
    const MAC: &str = "52:54:00:0a:0b:0e";
    let _places = gate::take(1, TURN)?;
    let room = room(conf, MAC)?;
    let image = room.small_image()?;
    let disk = room.disk("disk", DISK)?;
    let mut sending = room.send_and_list(&image, &[])?;
    let mut machine = room.start(machine(MAC, &disk))?;
    let mut check = || {
        demand_refusal(&mut machine, words)?;
        machine.wait_for_line("knows of it", RECEIVE)?;
        machine.switch_off();
        image::demand_untouched(&disk)?;
        sending.wait_for(words, SENDER)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn p5_a_machine_without_the_disk_tells_the_sender() -> Result<(), LabError> {
    demand_told("disk=sata0 confirm=no\n", "disk=sata0: ")
}

#[test]
fn p5_a_machine_with_a_wrong_word_tells_the_sender() -> Result<(), LabError> {
    demand_told("disk=auto confrim=no\n", "unknown key")
}

#[test]
fn p2_a_seed_that_is_missing_leaves_the_disk_untouched() -> Result<(), LabError> {
    demand_told("confirm=no seed=seeds/none\n", "seed=seeds/none: ")
}

/// The image is good, but the machine would come up without what makes it its own.
#[test]
fn p1_a_machine_that_can_not_get_its_seed_does_not_start() -> Result<(), LabError> {
    const MAC: &str = "52:54:00:0a:0b:0f";
    let _places = gate::take(1, TURN)?;
    let room = room("confirm=no seed=seeds/<mac> then=poweroff\n", MAC)?;
    let image = room.small_image()?;
    let disk = room.disk("disk", DISK)?;
    let mut sending = room.send_and_list(&image, &[])?;
    let machine = Machine::builder("machine").mac(MAC).disk(&disk, VirtioBlk);
    let mut machine = room.start(machine)?;
    let mut check = || {
        const WORDS: &str = "the image has none that the firmware reads";
        demand_refusal(&mut machine, WORDS)?;
        sending.wait(SENDER)?;
        machine.switch_off();
        let result = result(&room)?;
        let reason = result["reason"].as_str().unwrap_or_default();
        demand(
            reason,
            result["result"] == "failed" && reason.contains(WORDS),
        )?;
        let start = fs::read(&disk).map_err(|e| LabError::io("read the disk", e))?;
        demand(
            "a cleared disk",
            start[..1 << 20].iter().all(|&byte| byte == 0),
        )
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}
