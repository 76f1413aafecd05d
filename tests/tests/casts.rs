//! Bare machines at casts that wait for nobody: without a way back, and under way when they come.
//!
//! As in the other tests with machines, what is on their disks is compared byte by byte.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use ironcast_tests::DiskKind::VirtioBlk;
use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::Nic::VirtioNet;
use ironcast_tests::room::{RECEIVE, Room, TURN, UNATTENDED, demand_ok, demand_written, value};
use ironcast_tests::{Direction, Kind, LabError, Machine, Program, gate, image};

/// The rate of a cast that goes on long enough for a machine to come late.
const RATE: &str = "24m";

/// A cast without a way back, with loss that only redundancy makes up for.
fn cast_without_answers(sender: Kind) -> Result<(), LabError> {
    // Nothing waits for this machine: no other may take its time.
    let _places = gate::take(2, TURN)?;
    let room = Room::new(UNATTENDED)?;
    let image = room.small_image()?;
    let disk = room.disk("disk", 32 << 20)?;
    let machine = Machine::builder("machine").disk(&disk, VirtioBlk);
    let mut machine = room.start(machine.nic(VirtioNet))?;
    let mut check = || {
        machine.wait_for_line("looking for a sender", RECEIVE)?;
        // Only of packets that carry blocks: who misses the only HELLO misses everything.
        let blocks = "ip protocol udp udp length > 500";
        // One of 19 is a little over 5 %. Evenly: of 72 blocks with 8 spare ones, 5 % at random
        // take more than 8 once in 90 times, and this image has some 220 such stripes.
        machine.tap().lose_one_of(Direction::Towards, 19, blocks)?;
        let sending = Program::sender(sender)?.file(&image);
        let sending = sending.args(&["--async", "--fec", "8x8/64", "--max-bitrate", "16m"]);
        let sending = sending.args(&["--autostart", "3", "--rexmit-hello-interval", "300"]);
        let mut sending = sending.start(&room.server, "sender", room.folder.path())?;
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        let lost = machine.tap().lost(Direction::Towards)?;
        if lost < 700 {
            return Err(LabError::wrong(format!("only {lost} packets were lost")));
        }
        demand_written(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[]))
}

#[test]
fn p7_our_cast_without_a_way_back_survives_five_percent_loss() -> Result<(), LabError> {
    cast_without_answers(Ours)
}

#[test]
fn p7_the_stock_cast_without_a_way_back_survives_five_percent_loss() -> Result<(), LabError> {
    cast_without_answers(Stock)
}

/// A machine that comes when a streaming cast to a hosted receiver is under way; what follows from
/// that is `check`'s.
fn come_late(
    conf: &str,
    sender_code: i32,
    check: impl FnOnce(&Room, &mut Machine, &Path, &Path) -> Result<(), LabError>,
) -> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(conf)?;
    let image = room.path("image");
    image::write_random(&image, 120_000_000, 7)?;
    let disk = room.disk("disk", 256 << 20)?;
    let host = room.lab.host("10.77.0.9")?;
    let mut hosted = Program::receiver(Ours)?.file(&room.path("hosted")).start(
        &host,
        "hosted",
        room.folder.path(),
    )?;
    let sending = Program::sender(Ours)?.file(&image);
    let sending = sending.args(&["--min-receivers", "1", "--streaming", "--max-bitrate", RATE]);
    let mut sending = sending.start(&room.server, "sender", room.folder.path())?;
    let machine = Machine::builder("machine").disk(&disk, VirtioBlk);
    let mut machine = room.start(machine.nic(VirtioNet))?;
    let result = check(&room, &mut machine, &image, &disk).and_then(|()| {
        hosted.wait_success(RECEIVE)?;
        sending.wait_exit(sender_code, RECEIVE)?;
        image::demand_equal(&image, &room.path("hosted"))
    });
    result.map_err(|error| room.explain(error, &[&machine], &[&sending, &hosted]))
}

#[test]
fn a_machine_joins_a_streaming_cast_late_if_it_may() -> Result<(), LabError> {
    let conf = format!("late-join=yes {UNATTENDED}");
    // P1: the sender does not count a machine that has not all of the image.
    come_late(&conf, 4, |_, machine, image, disk| {
        machine.wait_for_line("joined late", RECEIVE)?;
        let line = machine.wait_for_line("ironcast: result partial", RECEIVE)?;
        let bytes: u64 = value(&line, "bytes")
            .and_then(|bytes| bytes.parse().ok())
            .ok_or_else(|| LabError::wrong(format!("no bytes in {line}")))?;
        let read = |path: &Path, from: u64| -> Result<Vec<u8>, LabError> {
            let error = |e| LabError::io("read back", e);
            let mut file = File::open(path).map_err(error)?;
            file.seek(SeekFrom::Start(from)).map_err(error)?;
            let mut content = vec![0; bytes as usize];
            file.read_exact(&mut content).map_err(error)?;
            Ok(content)
        };
        let before = 120_000_000 - bytes;
        // A slice has whole blocks, how many depends on the receivers.
        let is_rest = before > 0 && before.is_multiple_of(1456);
        match is_rest && read(image, before)? == read(disk, 0)? {
            true => Ok(()),
            false => Err(LabError::wrong(format!(
                "the disk has not the last {bytes} bytes of the image"
            ))),
        }
    })
}

#[test]
fn p2_a_machine_leaves_a_cast_alone_whose_beginning_it_missed() -> Result<(), LabError> {
    come_late(UNATTENDED, 0, |_, machine, _, disk| {
        machine.wait_for_line("is in the middle of a transfer", RECEIVE)?;
        image::demand_untouched_from(disk, 0)
    })
}
