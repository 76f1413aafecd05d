//! Machines that do not get their image: the right words at the machine and in the sender's list,
//! and a disk that does not start.
//!
//! What a failing disk does is in `disks.rs`, and what goes wrong before a transfer in `after.rs`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ironcast_tests::DiskKind::VirtioBlk;
use ironcast_tests::room::{RECEIVE, Room, TURN, UNATTENDED, demand_refusal};
use ironcast_tests::{LabError, Machine, gate, image, partitions};

/// How long a sender may take to end when its machine has.
const SENDER: Duration = Duration::from_secs(60);

const MIB: usize = 1 << 20;

/// Demands that the sender lists one machine, with this result and a reason that has these words.
fn demand_listed(room: &Room, result: &str, words: &str) -> Result<(), LabError> {
    let results = room.results()?;
    let is_so = match results.as_slice() {
        [one] => {
            let reason = one["reason"].as_str().unwrap_or_default();
            one["result"] == result && reason.contains(words) && one["mac"].is_string()
        }
        _ => false,
    };
    match is_so {
        true => Ok(()),
        false => Err(LabError::wrong(format!(
            "not {result:?} with {words:?}: {results:?}"
        ))),
    }
}

/// Demands that the first `cleared` bytes of the disk are zeros, so that it does not start, and
/// that the image had begun to arrive there.
fn demand_no_start(disk: &Path, cleared: usize) -> Result<(), LabError> {
    let bytes = fs::read(disk).map_err(|e| LabError::io("read a disk", e))?;
    let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    if !is_zero(&bytes[..cleared]) {
        return Err(LabError::wrong("the disk may start"));
    }
    match is_zero(&bytes) {
        true => Err(LabError::wrong("nothing was written")),
        false => Ok(()),
    }
}

/// The plug is pulled in the middle.
#[test]
fn p1_p5_a_machine_without_power_is_lost_and_does_not_start() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.path("image");
    partitions::write_gpt_image(&image, 40 << 20, 512, 7)?;
    let disk = room.disk("disk", 48 << 20)?;
    let mut sending = room.send_and_list(&image, &["--max-bitrate", "16m"])?;
    let mut machine = room.start(Machine::builder("machine").disk(&disk, VirtioBlk))?;
    let mut check = || {
        machine.wait_for_line("transfer started", RECEIVE)?;
        // Two seconds of it.
        machine.wait_for_line("bytes received", RECEIVE)?;
        machine.wait_for_line("bytes received", RECEIVE)?;
        machine.switch_off();
        sending.wait_exit(5, SENDER)?;
        demand_listed(&room, "lost", "")?;
        demand_no_start(&disk, 8192)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

/// Sends `sent` to a machine whose `disk` can't have it: `words` are what it and the sender's list
/// say.
fn demand_failure(room: &Room, sent: &Path, disk: &Path, words: &str) -> Result<(), LabError> {
    let mut sending = room.send_and_list(sent, &[])?;
    let mut machine = room.start(Machine::builder("machine").disk(disk, VirtioBlk))?;
    let mut check = || {
        demand_refusal(&mut machine, words)?;
        sending.wait_exit(5, SENDER)?;
        machine.switch_off();
        demand_listed(room, "failed", words)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn p2_p5_a_disk_of_32_mib_for_an_image_of_40_is_refused_untouched() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.path("image");
    partitions::write_gpt_image(&image, 40 << 20, 512, 7)?;
    let disk = room.disk("disk", 32 << 20)?;
    demand_failure(&room, &image, &disk, "nothing was written")?;
    image::demand_untouched(&disk)
}

#[test]
fn p1_p5_a_damaged_gzip_is_a_failure_and_the_disk_is_cleared() -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let (image, sent) = (room.small_image()?, room.path("image.gz"));
    image::compress(&["gzip", "-1"], &image, &sent)?;
    let failed = |e| LabError::io("damage an image", e);
    let mut bytes = fs::read(&sent).map_err(failed)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&sent, bytes).map_err(failed)?;
    let disk = room.disk("disk", 32 << 20)?;
    demand_failure(&room, &sent, &disk, "decoding the stream near byte")?;
    demand_no_start(&disk, MIB)
}
