//! The hardware that machines can have in QEMU, one piece after the other: each gets an image, or
//! it is found out why not.
//!
//! What was seen is a table, which docs/hardware.md has to have: `table.rs`. A piece that the
//! firmware has no driver for is no fault, as long as the program says just that and leaves the
//! disk alone; whatever else goes wrong is.

mod cells;
mod table;

use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use ironcast_tests::room::{Room, TURN, UNATTENDED, demand_refusal};
use ironcast_tests::{DiskKind, LabError, Machine, Nic, gate, image};

use cells::{Cell, DISK, FIRST_CARD, SECOND_CARD};
use table::{Outcome, Row};

#[test]
fn every_piece_of_hardware_is_as_documented() -> Result<(), LabError> {
    let rows = run_all(&Cell::all())?;
    println!("{}", table::text(&rows));
    table::compare_or_write(&rows)
}

/// Runs the cells, as many at once as there are places for machines. Every failure is told, not
/// only the first.
fn run_all(cells: &[Cell]) -> Result<Vec<Row>, LabError> {
    let waiting = Mutex::new(cells.iter().enumerate());
    let worker = || {
        let mut done = Vec::new();
        loop {
            let next = waiting.lock().ok().and_then(|mut cells| cells.next());
            let Some((number, cell)) = next else {
                return done;
            };
            done.push((number, run(cell)));
        }
    };
    let mut outcomes: Vec<_> = thread::scope(|scope| {
        // A network dies with the thread that made it, so a cell is one worker's from end to end.
        let workers: Vec<_> = (0..gate::places()).map(|_| scope.spawn(worker)).collect();
        let done = workers.into_iter().flat_map(|worker| worker.join());
        done.flatten().collect()
    });
    outcomes.sort_by_key(|(number, _)| *number);
    let mut rows = Vec::new();
    let mut failures = String::new();
    for (cell, (_, outcome)) in cells.iter().zip(outcomes) {
        match outcome {
            Ok(outcome) => rows.push(Row::new(*cell, outcome)),
            Err(error) => failures += &format!("\n=== {cell:?}:\n{error}\n"),
        }
    }
    match rows.len() == cells.len() {
        true => Ok(rows),
        false => Err(LabError::wrong(failures)),
    }
}

fn run(cell: &Cell) -> Result<Outcome, LabError> {
    let start = Instant::now();
    let outcome = cell.run();
    let word = match &outcome {
        Ok(outcome) => outcome.to_string(),
        Err(_) => "FAILED".to_owned(),
    };
    println!("{cell:?}: {word}, {:.1} s", start.elapsed().as_secs_f64());
    outcome
}

#[test]
fn a_network_card_that_is_not_there_is_refused_with_a_list_of_those_that_are()
-> Result<(), LabError> {
    let _places = gate::take(1, TURN)?;
    let room = Room::new(&format!("nic=52-54-00-FF-FF-FF {UNATTENDED}"))?;
    let other = room.beside()?;
    let disk = room.disk("disk", DISK)?;
    let machine = Machine::builder("machine").mac(FIRST_CARD);
    let machine = machine.second_card(&other.lab, Nic::VirtioNet, SECOND_CARD);
    let mut machine = room.start(machine.disk(&disk, DiskKind::VirtioBlk))?;
    let mut check = || {
        // The program writes addresses with hyphens.
        let [first, second] = [FIRST_CARD, SECOND_CARD].map(|card| card.replace(':', "-"));
        let words = format!(
            "nic=52-54-00-ff-ff-ff: the firmware drives only {first} and {second}, so nothing was \
             written"
        );
        demand_refusal(&mut machine, &words)?;
        machine.switch_off();
        image::demand_untouched(&disk)
    };
    check().map_err(|error| room.explain(error, &[&machine], &[]))
}
