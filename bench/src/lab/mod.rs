//! Transfers in a network of namespaces: ours beside stock UDPcast's and UFTP's, in turns.
//!
//! All contenders of a case find the same image, the same network and the same machine, and take
//! turns, so that what disturbs the machine disturbs them all. The time of a transfer is from when
//! the sender says that it starts, with all receivers there, until the sender's program has ended.

mod arena;
mod case;
mod goals;
mod measure;
mod run;
mod summary;

use std::time::Duration;

use anyhow::{Context, Result};

pub use case::cases;
pub use goals::{GOALS_OF, judge};
pub use summary::Summary;

use crate::options::{Options, Part};
use crate::page::Page;
use crate::plot::{self, Series, Shape, short};
use crate::table::Table;
use arena::Arena;
use case::{Case, Contender, Target};

/// How long a run may take. Who takes longer is stopped, and is not run again.
const LIMIT: Duration = Duration::from_secs(60);

/// How often a run that fails is tried again.
const ATTEMPTS: u32 = 3;

/// Measures the transfers of a part.
///
/// Fails if a program fails or something else was received than was sent.
pub fn run(part: Part, options: &Options) -> Result<Vec<Summary>> {
    let mut summaries = Vec::new();
    for case in cases(part, options) {
        eprintln!("--- {}", case.words());
        if case.target == Target::Loop && !rustix::process::geteuid().is_root() {
            eprintln!("left out: only root may make loop devices");
            continue;
        }
        let measured = measure(&case, options).with_context(|| case.words())?;
        summaries.extend(measured);
    }
    Ok(summaries)
}

/// Lets the contenders of a case take turns.
fn measure(case: &Case, options: &Options) -> Result<Vec<Summary>> {
    let arena = Arena::new(case, options)?;
    let mut summaries: Vec<Summary> = case
        .contenders
        .iter()
        .map(|&who| Summary {
            case: case.clone(),
            who,
            size: arena.size,
            runs: Vec::new(),
            failures: 0,
            probed: None,
        })
        .collect();
    for _ in 0..options.rounds() {
        for summary in &mut summaries {
            if summary.was_stopped() {
                continue;
            }
            take_turn(summary, &arena)?;
        }
    }
    // Who never got through has no figures.
    summaries.retain(|summary| !summary.runs.is_empty());
    for summary in &mut summaries {
        if summary.who != Contender::Copy && !summary.was_stopped() {
            summary.probed = match run::probed(case, summary.who, &arena, LIMIT) {
                Err(error) if summary.who == Contender::Ours => return Err(error),
                // It has its times all the same.
                probed => probed.unwrap_or(None),
            };
        }
    }
    Ok(summaries)
}

/// Runs a contender once more. A run that fails is tried again, and counted, unless it is of ours
/// alone: that ends the measurement.
fn take_turn(summary: &mut Summary, arena: &Arena) -> Result<()> {
    let who = summary.who;
    for _ in 0..ATTEMPTS {
        match run::timed(&summary.case, who, arena, LIMIT) {
            Ok(timed) => {
                eprintln!(
                    "{:<20} {:>8.2} s  CPU {:.2} s + {:.2} s{}",
                    who.name(),
                    timed.transfer.as_secs_f64(),
                    timed.sender.as_secs_f64(),
                    timed.receivers.as_secs_f64(),
                    if timed.ended { "" } else { "  stopped" },
                );
                summary.runs.push(timed);
                return Ok(());
            }
            Err(error) if who == Contender::Ours => return Err(error.context(who.name())),
            Err(error) => {
                summary.failures += 1;
                eprintln!("{:<20} failed: {error:#}", who.name());
            }
        }
    }
    Ok(())
}

/// The page of a part that measures transfers.
#[must_use]
pub fn page(part: Part, summaries: &[Summary]) -> Page {
    let (name, title) = part.names();
    let mut page = Page::new(name, title, raw(summaries));
    page.text(ABOUT);
    page.table(table(summaries));
    for (name, title, unit, value) in PLOTS {
        page.plot(name, title, plot(summaries, title, unit, *value));
    }
    page
}

/// What the columns are.
const ABOUT: &str = "\
Seconds are from when the sender says that it starts the transfer until its program has ended: the \
median of all rounds, and the shortest and the longest. What its program takes before, with all \
receivers there, has a column of its own: `udp-sender` waits two seconds by itself. A time with > \
is of a run that was stopped. Failed runs, in which a receiver was dropped for instance, are \
repeated, and only counted. CPU seconds are for each GiB of the image, of the sender and of all \
receivers together, their threads and the system's work for them included. Sent again: blocks in \
percent of those of the image, as the sender has it. Memory is the most that was seen in use at a \
look each 10 ms, without pages of mapped files (`RssAnon`): of the sender, and of the receiver \
that had most. System calls are for each MiB. Memory and calls are of a run of their own.";

type Value = fn(&Summary) -> f64;

/// What is drawn: file's name, title, unit, value.
const PLOTS: &[(&str, &str, &str, Value)] = &[
    ("rate", "Rate of the image", "MiB/s", Summary::rate),
    (
        "cpu",
        "CPU seconds of the sender for each GiB",
        "s",
        Summary::sender_time,
    ),
];

fn table(summaries: &[Summary]) -> Table {
    let mut table = Table::new([
        "what",
        "who",
        "MiB",
        "s",
        "from - to",
        "failed",
        "s before",
        "MiB/s",
        "CPU sender",
        "CPU receivers",
        "sent again %",
        "memory sender MiB",
        "memory receiver MiB",
        "calls sender",
        "calls receivers",
    ]);
    for one in summaries {
        let (least, most) = one.spread();
        let stopped = if one.was_stopped() { "> " } else { "" };
        let blocks = one.size as f64 / BLOCK;
        let again = one.runs.iter().all(|run| run.retransmitted.is_some());
        let again =
            again.then(|| one.median(|run| run.retransmitted.unwrap_or(0) as f64) / blocks * 100.0);
        let copy = one.who == Contender::Copy;
        let time = |seconds: f64| if copy { "-".to_owned() } else { short(seconds) };
        let probed = |value: &dyn Fn(run::Probed) -> Option<f64>| {
            let value = one.probed.and_then(value);
            value.map_or_else(|| "-".to_owned(), short)
        };
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let calls = |calls: Option<u64>| calls.map(|calls| calls as f64 / one.mebibytes());
        table.row([
            one.case.words(),
            one.who.name().to_owned(),
            format!("{:.0}", one.mebibytes()),
            format!("{stopped}{}", short(one.seconds())),
            format!("{} - {}", short(least), short(most)),
            one.failures.to_string(),
            time(one.before()),
            short(one.rate()),
            time(one.sender_time()),
            time(one.receivers_time()),
            again.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.2}")),
            probed(&|probed| Some(mebibytes(probed.sender_memory))),
            probed(&|probed| Some(mebibytes(probed.receiver_memory))),
            probed(&|probed| calls(probed.sender_calls)),
            probed(&|probed| calls(probed.receiver_calls)),
        ]);
    }
    table
}

/// Bytes of a block of UDPcast's.
const BLOCK: f64 = 1456.0;

/// Every timed run.
fn raw(summaries: &[Summary]) -> Table {
    let mut raw = Table::new([
        "receivers",
        "loss percent",
        "singly",
        "fec",
        "target",
        "who",
        "bytes",
        "round",
        "seconds before",
        "seconds",
        "ended",
        "sender cpu seconds",
        "receivers cpu seconds",
        "retransmitted blocks",
        "sender memory bytes",
        "receiver memory bytes",
        "sender calls",
        "receivers calls",
    ]);
    for one in summaries {
        let number = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
        for (round, run) in one.runs.iter().enumerate() {
            raw.row([
                one.case.receivers.to_string(),
                one.case.loss.to_string(),
                one.case.singly.to_string(),
                one.case.fec.to_string(),
                one.case.target.name().to_owned(),
                one.who.name().to_owned(),
                one.size.to_string(),
                (round + 1).to_string(),
                format!("{:.4}", run.before.as_secs_f64()),
                format!("{:.4}", run.transfer.as_secs_f64()),
                run.ended.to_string(),
                format!("{:.4}", run.sender.as_secs_f64()),
                format!("{:.4}", run.receivers.as_secs_f64()),
                number(run.retransmitted),
                number(one.probed.map(|probed| probed.sender_memory)),
                number(one.probed.map(|probed| probed.receiver_memory)),
                number(one.probed.and_then(|probed| probed.sender_calls)),
                number(one.probed.and_then(|probed| probed.receiver_calls)),
            ]);
        }
    }
    raw
}

/// Bars of a value of each contender in each case.
fn plot(summaries: &[Summary], title: &str, unit: &str, value: Value) -> String {
    let mut places: Vec<String> = Vec::new();
    let mut who: Vec<Contender> = Vec::new();
    for one in summaries {
        if !places.contains(&one.case.words()) {
            places.push(one.case.words());
        }
        if !who.contains(&one.who) {
            who.push(one.who);
        }
    }
    let find = |who: Contender, place: &String| {
        let mut found = summaries.iter();
        let found = found.find(|one| one.who == who && one.case.words() == *place)?;
        Some(value(found)).filter(|value| *value > 0.0)
    };
    let series = who.into_iter().map(|who| Series {
        name: who.name().to_owned(),
        values: places.iter().map(|place| find(who, place)).collect(),
    });
    plot::draw(
        Shape::Bars,
        title,
        unit,
        &places,
        &series.collect::<Vec<_>>(),
    )
}
