//! Cast files to bare machines: what their disks become, and what they refuse.
//!
//! The key that some of them trust is built into their `ironcast.efi`, as a school would do it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ironcast_tests::DiskKind::{Nvme, VirtioBlk};
use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::room::{
    RECEIVE, Room, TURN, UNATTENDED, demand_ok, demand_refusal, demand_written, value,
};
use ironcast_tests::{
    Direction, LabError, Machine, Program, PxeSettings, gate, image, test_key, trusting_efi,
};

/// Bytes of the image: no whole number of chunks.
const LEN: u64 = (24 << 20) + 512;

/// Bytes of it that are not zero.
const DATA: u64 = 14 << 20;

/// An image in the room's folder whose end is zeroes.
fn image_in(room: &Room) -> Result<PathBuf, LabError> {
    let path = room.path("image.raw");
    image::write_random(&path, DATA, 5)?;
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(LEN)
        .unwrap();
    Ok(path)
}

/// Packs an image with these options.
fn pack(image: &Path, options: &[&str]) -> Result<PathBuf, LabError> {
    let cast = image.with_extension("cast");
    let output = Command::new(Program::sender(Ours)?.path())
        .args(["pack", "--force", "--name", "lab"])
        .args(options)
        .arg(image)
        .arg("-o")
        .arg(&cast)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    Ok(cast)
}

/// The option that signs by the key that is trusted.
fn signed() -> [String; 2] {
    let key = test_key("trusted.key").display().to_string();
    ["--sign".to_owned(), key]
}

fn demand_value(line: &str, key: &str, expected: &str) -> Result<(), LabError> {
    match value(line, key) == Some(expected) {
        true => Ok(()),
        false => Err(LabError::wrong(format!("not {key}={expected}: {line}"))),
    }
}

/// Four machines on what may be two processors, which nobody else has meanwhile.
#[test]
fn p1_p7_four_machines_with_loss_get_a_signed_image_from_a_stock_sender() -> Result<(), LabError> {
    let _places = gate::take(gate::places(), TURN)?;
    let room = Room::serving(&PxeSettings::ironcast(&trusting_efi()?, UNATTENDED))?;
    let image = image_in(&room)?;
    let [sign, key] = signed();
    let cast = pack(&image, &[&sign, &key, "--chunk", "256k"])?;
    let kinds = [VirtioBlk, Nvme, VirtioBlk, Nvme];
    let mut machines = Vec::new();
    let mut disks = Vec::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        let disk = room.disk(&format!("disk{number}"), 32 << 20)?;
        let machine = Machine::builder(&format!("machine{number}")).disk(&disk, kind);
        let machine = room.start(machine.memory(128))?;
        let ports = "udp dport { 9000, 9001 }";
        machine.tap().set_loss_of(Direction::Towards, 5, ports)?;
        machine.tap().set_loss_of(Direction::From, 5, ports)?;
        machines.push(machine);
        disks.push(disk);
    }
    let mut sending = room.send(Stock, &cast, 4)?;
    let mut check = || {
        for machine in &mut machines {
            let line = demand_ok(machine, 2 * RECEIVE)?;
            demand_value(&line, "signed", &key_number())?;
            demand_value(&line, "verify", "ok")?;
        }
        sending.wait_success(Duration::from_secs(60))?;
        for (machine, disk) in machines.iter_mut().zip(&disks) {
            machine.wait_off(Duration::from_secs(30))?;
            demand_written(&image, disk)?;
            let lost = machine.tap().lost(Direction::Towards)?;
            assert!(lost > 100, "only {lost} packets were lost");
        }
        Ok(())
    };
    let result = check();
    let machines: Vec<&Machine> = machines.iter().collect();
    result.map_err(|error| room.explain(error, &machines, &[&sending]))
}

/// The number of the key that is trusted, as minisign has it in the file's comment.
fn key_number() -> String {
    let text = fs::read_to_string(test_key("trusted.pub")).unwrap();
    let comment = text.lines().next().unwrap_or_default();
    comment.rsplit(' ').next().unwrap_or_default().to_owned()
}

/// A machine that is told `conf` refuses what is sent, and its disk stays as it was.
fn demand_refused(room: &Room, sent: &Path, words: &str) -> Result<(), LabError> {
    let old = room.path("old");
    image::write_random(&old, 32 << 20, 9)?;
    let disk = room.path("disk");
    fs::copy(&old, &disk).unwrap();
    let machine = Machine::builder("machine").disk(&disk, VirtioBlk);
    let mut machine = room.start(machine)?;
    let sending = room.send_and_list(sent, &[])?;
    let mut check = || {
        demand_refusal(&mut machine, words)?;
        image::demand_equal(&old, &disk)
    };
    let result = check();
    result.map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn p2_a_machine_that_trusts_a_key_takes_no_other_image() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    // No settings change what is built in.
    let room = Room::serving(&PxeSettings::ironcast(&trusting_efi()?, UNATTENDED))?;
    let image = image_in(&room)?;
    demand_refused(&room, &image, "the stream is no cast stream")
}

#[test]
fn p2_a_changed_manifest_leaves_the_disk_untouched() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::serving(&PxeSettings::ironcast(&trusting_efi()?, UNATTENDED))?;
    let [sign, key] = signed();
    let cast = pack(&image_in(&room)?, &[&sign, &key])?;
    let mut bytes = fs::read(&cast).unwrap();
    let place = bytes.windows(3).position(|word| word == b"lab").unwrap();
    bytes[place] = b'L';
    fs::write(&cast, bytes).unwrap();
    demand_refused(&room, &cast, "is not good")
}

#[test]
fn p2_a_machine_takes_the_image_that_it_is_told_to_take() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let conf = format!("image=lab image-min-version=3 delta=yes {UNATTENDED}");
    let room = Room::new(&conf)?;
    let image = image_in(&room)?;
    let cast = pack(&image, &["--image-version", "2"])?;
    demand_refused(&room, &cast, "is of version 2, and 3 or later is wanted")?;
    let cast = pack(&image, &["--image-version", "3", "--compress", "lz4"])?;
    let disk = room.disk("blank", 32 << 20)?;
    let mut machine = room.start(Machine::builder("second").disk(&disk, Nvme))?;
    let mut sending = room.send_and_list(&cast, &[])?;
    let mut check = || {
        let line = demand_ok(&mut machine, RECEIVE)?;
        demand_value(&line, "signed", "no")?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_off(Duration::from_secs(20))?;
        let results = room.results()?;
        let words = results.last().unwrap()["note"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        assert!(words.starts_with("lab, version 3, unsigned"), "{words}");
        demand_written(&image, &disk)
    };
    let result = check();
    result.map_err(|error| room.explain(error, &[&machine], &[&sending]))
}
