//! Every sender with every receiver in every mode: ours, and the stock programs of two ages.
//!
//! Each cell compares the bytes. The result is printed as a table, and demanded of every cell in
//! which a program of ours takes part; the others are there to compare with.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ironcast_tests::Kind::{Newer, Ours, Stock};
use ironcast_tests::{Direction, Kind, LabError, Receiver, Transfer};

const KINDS: [Kind; 3] = [Ours, Stock, Newer];

/// Cells that are tried side by side: most of them wait for stock programs most of the time.
const SIDE_BY_SIDE: usize = 4;

/// Bytes that are fed to senders: what these hold back of it, for a whole slice or a whole read, is
/// less than two thirds.
const FED: u64 = 3_000_000;

/// Bytes of a block (docs/protocol.md, "Geometry").
const BLOCK: usize = 1456;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Plain,
    HalfDuplex,
    Broadcast,
    PointToPoint,
    Fec,
    AsyncFec,
    Late,
    AsyncLate,
    Loss5,
    Loss20,
    Block512,
}

const MODES: [Mode; 11] = [
    Mode::Plain,
    Mode::HalfDuplex,
    Mode::Broadcast,
    Mode::PointToPoint,
    Mode::Fec,
    Mode::AsyncFec,
    Mode::Late,
    Mode::AsyncLate,
    Mode::Loss5,
    Mode::Loss20,
    Mode::Block512,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    sender: usize,
    receiver: usize,
    receivers: usize,
    mode: Mode,
}

impl Cell {
    fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for pair in 0..KINDS.len() * KINDS.len() {
            for receivers in [1, 4] {
                cells.extend(MODES.map(|mode| Self {
                    sender: pair / KINDS.len(),
                    receiver: pair % KINDS.len(),
                    receivers,
                    mode,
                }));
            }
        }
        cells
    }

    fn sender(self) -> Kind {
        KINDS[self.sender]
    }

    fn receiver(self) -> Kind {
        KINDS[self.receiver]
    }

    fn is_ours(self) -> bool {
        self.sender() == Ours || self.receiver() == Ours
    }

    /// Why there is no such transfer, if there is none.
    fn impossible(self) -> Option<&'static str> {
        let needs_fec = matches!(self.mode, Mode::Fec | Mode::AsyncFec);
        match (self.sender(), self.receiver()) {
            // Neither answers CONNECT_REQ once the transfer has begun.
            (Stock | Newer, _) if self.mode == Mode::Late => Some("nobody let in"),
            // It never says that the stream has ended: its own receivers wait for ever.
            (Newer, _) if self.mode == Mode::AsyncLate => Some("says no end"),
            (Newer, _) if needs_fec => Some("no --fec"),
            (_, Newer) if needs_fec => Some("no FEC"),
            _ if self.mode == Mode::PointToPoint && self.receivers > 1 => Some("one only"),
            _ => None,
        }
    }

    fn transfer(self) -> Transfer {
        let receivers = vec![self.receiver(); self.receivers];
        let transfer = Transfer::new(self.sender(), &receivers).size(1_000_000);
        match self.mode {
            Mode::Plain => transfer,
            Mode::HalfDuplex => transfer.sender_args(&["--half-duplex"]),
            Mode::Broadcast => transfer.sender_args(&["--broadcast"]),
            Mode::PointToPoint => transfer.sender_args(&["--pointopoint"]),
            Mode::Block512 => transfer.sender_args(&["--blocksize", "512"]),
            Mode::Fec => transfer
                .size(FED)
                .sender_args(&["--fec", "8x8/64"])
                .loss(2)
                .fed(),
            Mode::AsyncFec => transfer
                .without_answers()
                .sender_args(&["--fec", "8x8/64", "--max-bitrate", "40m"])
                .loss(2),
            Mode::Late => transfer
                .size(4_000_000)
                .late(self.receiver())
                .sender_args(&["--streaming", "--max-bitrate", "20m"]),
            Mode::AsyncLate => transfer
                .without_answers()
                .size(4_000_000)
                .late(self.receiver())
                .sender_args(&["--streaming", "--max-bitrate", "16m"]),
            Mode::Loss5 => transfer.size(FED).loss(5).fed(),
            Mode::Loss20 => transfer.size(FED).loss(20).fed(),
        }
    }

    fn run(self) -> Result<(), LabError> {
        let mut transfer = self.transfer().start()?;
        if let Mode::Fec | Mode::Loss5 | Mode::Loss20 = self.mode {
            transfer.feed(0, FED)?;
            transfer.wait_received(1_000_000)?;
            for receiver in &transfer.receivers {
                // The end is spared: a stock receiver answers for it once and never again.
                receiver.host.set_loss(Direction::From, 0)?;
            }
            transfer.end_feed();
        }
        if !matches!(self.mode, Mode::Late | Mode::AsyncLate) {
            return transfer.demand_success();
        }
        transfer.wait_received(500_000)?;
        let mut late = transfer.start_late()?;
        // Our programs don't call it a success if somebody has not all of the image.
        let code = match self.mode {
            Mode::Late => 4,
            _ => 0,
        };
        transfer.demand_success_but(code)?;
        let joined = demand_rest(&mut late, self.receiver(), &transfer.source);
        joined.map_err(|error| transfer.with_logs(error))
    }
}

/// Demands that a receiver that came late has the end of the image, from some block on.
fn demand_rest(late: &mut Receiver, kind: Kind, source: &Path) -> Result<(), LabError> {
    let code = match kind {
        Ours => 4,
        Stock | Newer => 0,
    };
    late.program.wait_exit(code, Duration::from_secs(20))?;
    let read = |path: &Path| fs::read(path).map_err(|e| LabError::io("read", e));
    let (image, rest) = (read(source)?, read(&late.file)?);
    let before = image.len() - rest.len().min(image.len());
    let is_rest = image.ends_with(&rest) && rest.len() > 100_000;
    if is_rest && before > 0 && before.is_multiple_of(BLOCK) {
        return Ok(());
    }
    Err(LabError::wrong(format!(
        "the late receiver has {} of {} bytes, and they are not its end",
        rest.len(),
        image.len()
    )))
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Ours => "ours",
        Stock => "20120424",
        Newer => "20250223",
    }
}

fn run_all(cells: &[Cell]) -> BTreeMap<Cell, Result<(), String>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(&cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = cell.run().map_err(|error| error.to_string());
                    results.lock().unwrap().insert(cell, result);
                }
            });
        }
    });
    results.into_inner().unwrap()
}

fn print(cells: &[Cell], results: &BTreeMap<Cell, Result<(), String>>) {
    print!("{:<22}", "sender -> receivers");
    for mode in MODES {
        print!(" {:<13}", format!("{mode:?}"));
    }
    for cell in cells {
        if cell.mode == Mode::Plain {
            let (sender, receiver) = (name(cell.sender()), name(cell.receiver()));
            print!(
                "\n{:<22}",
                format!("{sender} -> {} {receiver}", cell.receivers)
            );
        }
        let text = match (cell.impossible(), results.get(cell)) {
            (Some(why), _) => why,
            (None, Some(Ok(()))) => "ok",
            (None, Some(Err(_))) if !cell.is_ours() => "not even so",
            (None, _) => "FAILED",
        };
        print!(" {text:<13}");
    }
    println!();
}

#[test]
fn every_sender_with_every_receiver_in_every_mode() {
    let cells = Cell::all();
    let possible: Vec<Cell> = cells
        .iter()
        .copied()
        .filter(|cell| cell.impossible().is_none())
        .collect();
    let results = run_all(&possible);
    print(&cells, &results);
    let failed: Vec<String> = results
        .iter()
        .filter(|(cell, _)| cell.is_ours())
        .filter_map(|(cell, result)| {
            let error = result.as_ref().err()?;
            let (sender, receiver) = (name(cell.sender()), name(cell.receiver()));
            let Cell {
                receivers, mode, ..
            } = cell;
            Some(format!(
                "{sender} -> {receivers} {receiver}, {mode:?}: {error}"
            ))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
