//! Machines with two processors, of which one only hashes: the disk is the same, and the system
//! that is started finds both.

use std::time::Duration;

use ironcast_tests::DiskKind::{Nvme, VirtioBlk};
use ironcast_tests::Kind::Ours;
use ironcast_tests::room::{RECEIVE, Room, TURN, demand_ok, demand_written, value};
use ironcast_tests::{LabError, Machine, MachineBuilder, gate, os_image};

fn machine() -> MachineBuilder {
    Machine::builder("machine").arg("-smp").arg("2")
}

fn demand(what: &str, is_so: bool) -> Result<(), LabError> {
    match is_so {
        true => Ok(()),
        false => Err(LabError::wrong(what)),
    }
}

#[test]
fn p1_a_second_processor_changes_nothing_and_the_time_is_told() -> Result<(), LabError> {
    let _places = gate::take(2, TURN)?;
    let room = Room::new("disk=auto confirm=no stats=yes then=poweroff\n")?;
    let image = room.small_image()?;
    let disk = room.disk("disk", 32 << 20)?;
    let mut sending = room.send(Ours, &image, 1)?;
    let mut machine = room.start(machine().disk(&disk, VirtioBlk))?;
    let mut check = || {
        let stats = machine.wait_for_line("ironcast: stats entry=0", RECEIVE)?;
        let line = demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        let hash = value(&line, "blake3").unwrap_or("none");
        demand("the sender's hash", sending.log().contains(hash))?;
        let keys = ["started", "first-data", "arrived", "flushed", "ready"];
        let moments = keys.map(|key| value(&stats, key).and_then(|at| at.parse::<u64>().ok()));
        let is_in_order = moments.is_sorted() && moments[0].is_some();
        demand(&format!("moments in their order: {stats}"), is_in_order)?;
        for key in ["nic", "copy", "hash", "decode", "disk", "idle"] {
            demand(&format!("{key}: {stats}"), value(&stats, key).is_some())?;
        }
        machine.wait_off(Duration::from_secs(20))?;
        demand_written(&image, &disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}

#[test]
fn the_system_that_is_started_has_both_processors() -> Result<(), LabError> {
    let _places = gate::take(2, TURN)?;
    let image = os_image()?;
    let room = Room::new("disk=auto confirm=no then=boot\n")?;
    let length = image.metadata().map_err(|e| LabError::io("look", e))?.len();
    let disk = room.disk("disk", length + (16 << 20))?;
    let mut sending = room.send(Ours, &image, 1)?;
    let mut machine = room.start(machine().memory(256).disk(&disk, Nvme))?;
    let mut check = || {
        demand_ok(&mut machine, RECEIVE)?;
        sending.wait_success(Duration::from_secs(30))?;
        machine.wait_for_serial("ironcast-demo login:", Duration::from_secs(240))?;
        machine.switch_off();
        Ok(())
    };
    check().map_err(|error| room.explain(error, &[&machine], &[&sending]))
}
