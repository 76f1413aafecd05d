//! How a transfer goes on with ever more receivers, by simulation.
//!
//! A thousand hosts are not to be had for a benchmark. The protocol's machines are the real ones,
//! so what the simulation shows is how the protocol and our sender go about it, in a network that
//! is described in a few figures.

mod model;

use std::collections::VecDeque;
use std::iter;
use std::sync::Mutex;
use std::thread;

use anyhow::{Result, bail};
use ironcast_proto::sender::Config;

use crate::options::{Options, Part};
use crate::page::Page;
use crate::plot::{self, Series, Shape, short};
use crate::table::Table;
use model::{OddOne, Outcome, Scenario};

/// How many receivers.
const RECEIVERS: [usize; 6] = [1, 4, 16, 64, 256, 1024];

/// What differs between the curves: name, loss in percent, the odd one.
const CURVES: [(&str, f64, OddOne); 6] = [
    ("no loss", 0.0, OddOne::None),
    ("1 %", 1.0, OddOne::None),
    ("5 %", 5.0, OddOne::None),
    ("10 %", 10.0, OddOne::None),
    ("one slow", 0.0, OddOne::Slow),
    ("one dead", 0.0, OddOne::Dead),
];

/// How much longer than with one receiver is where a curve bends.
const BENT: f64 = 1.25;

/// Simulates all.
///
/// Fails if a transfer has no end.
pub fn run(options: &Options) -> Result<Page> {
    let size = options.mebibytes().min(16) << 20;
    let scenarios: Vec<Scenario> = CURVES
        .iter()
        .flat_map(|&(_, loss, odd)| {
            RECEIVERS.map(|receivers| Scenario {
                receivers,
                loss,
                odd,
                size,
            })
        })
        .collect();
    let outcomes = simulate(&scenarios)?;
    let blocks = size as f64 / f64::from(Config::default().block_size);
    let table = table(&scenarios, &outcomes, blocks);
    let (name, title) = Part::Scale.names();
    let mut page = Page::new(name, title, table.clone());
    page.text(about(size));
    page.text(where_it_bends(&outcomes, blocks));
    page.table(table);
    for (name, title, unit, value) in PLOTS {
        let svg = plot(&outcomes, title, unit, &|outcome| value(outcome, blocks));
        page.plot(name, title, svg);
    }
    Ok(page)
}

/// A value of an outcome, of an image of so many blocks.
type Value = fn(&Outcome, f64) -> f64;

/// What is drawn: file's name, title, unit, value.
const PLOTS: [(&str, &str, &str, Value); 3] = [
    ("time", "Time to completion", "s", |outcome, _| {
        outcome.time.as_secs_f64()
    }),
    (
        "datagrams",
        "Datagrams that the sender sends for each block",
        "",
        |outcome, blocks| outcome.sent as f64 / blocks,
    ),
    (
        "answers",
        "Answers of all receivers for each block",
        "",
        |outcome, blocks| outcome.answers as f64 / blocks,
    ),
];

fn table(scenarios: &[Scenario], outcomes: &[Outcome], blocks: f64) -> Table {
    let mut table = Table::new([
        "what",
        "receivers",
        "s",
        "MiB/s",
        "datagrams sent for each block",
        "answers for each block",
        "answers without room",
        "completed",
    ]);
    for (number, (scenario, outcome)) in scenarios.iter().zip(outcomes).enumerate() {
        let seconds = outcome.time.as_secs_f64();
        table.row([
            CURVES[number / RECEIVERS.len()].0.to_owned(),
            scenario.receivers.to_string(),
            short(seconds),
            short((scenario.size >> 20) as f64 / seconds),
            short(outcome.sent as f64 / blocks),
            short(outcome.answers as f64 / blocks),
            outcome.overrun.to_string(),
            outcome.completed.to_string(),
        ]);
    }
    table
}

/// A line for each curve.
fn plot(outcomes: &[Outcome], title: &str, unit: &str, value: &dyn Fn(&Outcome) -> f64) -> String {
    let series =
        CURVES
            .iter()
            .zip(outcomes.chunks(RECEIVERS.len()))
            .map(|((name, ..), outcomes)| Series {
                name: (*name).to_owned(),
                values: outcomes.iter().map(|one| Some(value(one))).collect(),
            });
    let places = RECEIVERS.map(|receivers| receivers.to_string());
    let series: Vec<Series> = series.collect();
    plot::draw(Shape::Lines, title, unit, &places, &series)
}

/// Runs the scenarios on all processors, the largest first.
fn simulate(scenarios: &[Scenario]) -> Result<Vec<Outcome>> {
    let mut order: Vec<usize> = (0..scenarios.len()).collect();
    order.sort_by_key(|&number| scenarios[number].receivers);
    let order = Mutex::new(VecDeque::from(order));
    let next = || order.lock().ok()?.pop_back();
    let work = || -> Vec<(usize, Option<Outcome>)> {
        iter::from_fn(next)
            .map(|number| (number, model::run(scenarios[number])))
            .collect()
    };
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let mut outcomes = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = threads.into_iter().filter_map(|thread| thread.join().ok());
        results.flatten().collect::<Vec<_>>()
    });
    outcomes.sort_by_key(|&(number, _)| number);
    let ended: Option<Vec<Outcome>> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
    match ended {
        Some(outcomes) if outcomes.len() == scenarios.len() => Ok(outcomes),
        _ => bail!("a simulated transfer has no end"),
    }
}

fn about(size: u64) -> String {
    format!(
        "The protocol's machines, sender and receivers, as the programs have them, in virtual \
         time, with an image of {} MiB. The sender's link has {} Gbit/s; its processor takes {} µs \
         for each answer, for {} of which there is room; the others are lost. Receivers have \
         {} MiB for blocks, tell of {} MiB that their system holds, and have a disk of {} MB/s; \
         the slow one's has {} MB/s. The dead one falls silent after a quarter of the image. Loss \
         is of datagrams to each receiver and of each answer.",
        size >> 20,
        model::LINK_RATE / 1_000_000_000,
        model::ANSWER_TIME / 1_000,
        model::ANSWER_ROOM,
        model::CAPACITY >> 20,
        model::RECEIVE_BUFFER >> 20,
        model::DISK_RATE / 1_000_000,
        model::SLOW_DISK_RATE / 1_000_000,
    )
}

/// What the answers cost, and from how many receivers on it shows in the time.
fn where_it_bends(outcomes: &[Outcome], blocks: f64) -> String {
    let plain = &outcomes[..RECEIVERS.len()];
    let first = plain[0].time.as_secs_f64();
    let bent = RECEIVERS
        .iter()
        .zip(plain)
        .find(|(_, outcome)| outcome.time.as_secs_f64() > first * BENT);
    // With one receiver there is one answer for each slice.
    let slice = blocks / plain[0].answers.max(1) as f64;
    let slice_time = first / plain[0].answers.max(1) as f64;
    let enough = slice_time * 1e9 / model::ANSWER_TIME as f64;
    let bends = bent.map_or_else(
        || "The curve without loss stays flat to the end.".to_owned(),
        |(receivers, outcome)| {
            format!(
                "At {receivers} receivers it takes {} times as long as with one.",
                short(outcome.time.as_secs_f64() / first)
            )
        },
    );
    format!(
        "UDPcast's protocol wants an answer from each receiver for each slice. Without loss there \
         is one for each {} blocks here, in {} ms, in which the sender's processor can take {:.0} \
         of them: with more receivers the answers, not the link, set the pace, whatever the \
         sender does between them. {bends}",
        short(slice),
        short(slice_time * 1e3),
        enough
    )
}
