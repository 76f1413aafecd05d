//! The goals: what the figures of a run are judged by, with the figures beside the judgement.

use crate::lab::Summary;
use crate::lab::case::{Contender, Target};
use crate::options::Part;
use crate::page::Page;
use crate::plot::short;
use crate::table::Table;

/// The parts that have to be measured in one run to judge all goals.
pub const GOALS_OF: &[Part] = &[Part::Memory, Part::Loss, Part::Mixed, Part::Fec];

/// How many times faster than others.
const FASTER: f64 = 5.0;
/// How many times the copy's time a transfer may take.
const OVER_COPY: f64 = 2.5;
/// How many times less processor time the sender takes than stock's.
const LESS_SENDER_TIME: f64 = 8.0;
/// Which part of the rate is left at 5 % loss.
const RATE_LEFT: f64 = 0.7;
/// How many more bytes for each CPU second than stock with FEC.
const FEC_EFFICIENCY: f64 = 5.0;
/// Most memory of a program, in MiB.
const MEMORY: f64 = 64.0;

/// A goal that was judged.
#[derive(Clone, Debug)]
struct Judged {
    goal: String,
    figures: String,
    reached: bool,
}

/// The goals that these figures can be judged by.
#[must_use]
pub fn judge(all: &[Summary]) -> Page {
    let mut judged = Vec::new();
    for receivers in [1, 4] {
        faster(all, receivers, 0, &mut judged);
        near_the_copy(all, receivers, &mut judged);
        little_time(all, receivers, &mut judged);
    }
    sixteen(all, &mut judged);
    for receivers in [1, 4, 16] {
        for loss in [1, 5] {
            faster(all, receivers, loss, &mut judged);
        }
        rate_left(all, receivers, &mut judged);
    }
    mixed(all, &mut judged);
    fec(all, &mut judged);
    memory(all, &mut judged);
    let mut table = Table::new(["goal", "reached", "figures"]);
    for one in &judged {
        let word = if one.reached { "yes" } else { "**NO**" };
        table.row([one.goal.as_str(), word, one.figures.as_str()]);
    }
    let mut page = Page::new("goals", "Goals", table.clone()).of("memory,loss,mixed,fec");
    let reached = judged.iter().filter(|one| one.reached).count();
    page.text(format!(
        "Judged by the medians of one and the same run: {reached} of {} are reached. Where a rival \
         was stopped before its end, the factor is at least what is said.",
        judged.len()
    ));
    page.table(table);
    page
}

/// Looks for the figures of one contender, in memory.
fn find(
    all: &[Summary],
    who: Contender,
    receivers: usize,
    loss: u32,
    fec: bool,
) -> Option<&Summary> {
    all.iter().find(|one| {
        let case = &one.case;
        let same = (case.receivers, case.loss, case.fec) == (receivers, loss, fec);
        same && one.who == who && case.target == Target::Memory && case.singly == (loss > 0)
    })
}

/// Ours without loss over links like those with loss: what there is to be lost of.
fn find_unspoilt(all: &[Summary], receivers: usize) -> Option<&Summary> {
    all.iter().find(|one| {
        let case = &one.case;
        let same = case.receivers == receivers && case.loss == 0 && case.singly;
        same && one.who == Contender::Ours
    })
}

impl Judged {
    fn new(goal: String, value: f64, reached: bool, figures: &str) -> Self {
        let figures = format!("{} ({figures})", short(value));
        Self {
            goal,
            figures,
            reached,
        }
    }
}

/// `value` against a bound that it has to reach.
fn at_least(goal: String, value: f64, bound: f64, figures: &str) -> Judged {
    Judged::new(goal, value, value >= bound, figures)
}

/// `value` against a bound that it may not exceed.
fn at_most(goal: String, value: f64, bound: f64, figures: &str) -> Judged {
    Judged::new(goal, value, value <= bound, figures)
}

/// The rate, or 0 if it was stopped before its end. For rivals that would be flattery of ours.
fn got_through(ours: &Summary) -> f64 {
    if ours.was_stopped() { 0.0 } else { ours.rate() }
}

fn rates(first: &Summary, second: &Summary) -> String {
    format!("{} and {} MiB/s", short(first.rate()), short(second.rate()))
}

fn words(receivers: usize, loss: u32) -> String {
    let loss = if loss > 0 {
        format!(", {loss} % loss")
    } else {
        String::new()
    };
    let plural = if receivers == 1 { "" } else { "s" };
    format!("{receivers} receiver{plural}{loss}")
}

fn faster(all: &[Summary], receivers: usize, loss: u32, judged: &mut Vec<Judged>) {
    let Some(ours) = find(all, Contender::Ours, receivers, loss, false) else {
        return;
    };
    for rival in [Contender::Stock, Contender::Uftp] {
        // With loss, only stock is a measure.
        let measure = loss == 0 || rival == Contender::Stock;
        let Some(other) = find(all, rival, receivers, loss, false).filter(|_| measure) else {
            continue;
        };
        judged.push(at_least(
            format!(
                "{}: {FASTER} times as fast as {}",
                words(receivers, loss),
                rival.name()
            ),
            got_through(ours) / other.rate(),
            FASTER,
            &rates(ours, other),
        ));
    }
}

fn near_the_copy(all: &[Summary], receivers: usize, judged: &mut Vec<Judged>) {
    let ours = find(all, Contender::Ours, receivers, 0, false);
    let copy = find(all, Contender::Copy, receivers, 0, false);
    if let (Some(ours), Some(copy)) = (ours, copy) {
        judged.push(at_most(
            format!("{}: within {OVER_COPY} times the copy", words(receivers, 0)),
            ours.seconds() / copy.seconds(),
            OVER_COPY,
            &format!("{} and {} s", short(ours.seconds()), short(copy.seconds())),
        ));
    }
}

fn little_time(all: &[Summary], receivers: usize, judged: &mut Vec<Judged>) {
    let ours = find(all, Contender::Ours, receivers, 0, false);
    let stock = find(all, Contender::Stock, receivers, 0, false);
    if let (Some(ours), Some(stock)) = (ours, stock) {
        judged.push(at_least(
            format!(
                "{}: the sender takes 1/{LESS_SENDER_TIME} of udpcast's CPU time",
                words(receivers, 0)
            ),
            stock.sender_time() / ours.sender_time(),
            LESS_SENDER_TIME,
            &format!(
                "{} and {} s/GiB",
                short(ours.sender_time()),
                short(stock.sender_time())
            ),
        ));
    }
}

fn sixteen(all: &[Summary], judged: &mut Vec<Judged>) {
    let ours = find(all, Contender::Ours, 16, 0, false);
    let stock = find(all, Contender::Stock, 4, 0, false);
    if let (Some(ours), Some(stock)) = (ours, stock) {
        judged.push(at_least(
            "16 receivers: as fast as udpcast to 4".to_owned(),
            got_through(ours) / stock.rate(),
            1.0,
            &rates(ours, stock),
        ));
    }
}

fn rate_left(all: &[Summary], receivers: usize, judged: &mut Vec<Judged>) {
    let lossy = find(all, Contender::Ours, receivers, 5, false);
    let plain = find_unspoilt(all, receivers);
    if let (Some(lossy), Some(plain)) = (lossy, plain) {
        judged.push(at_least(
            format!(
                "{}: {RATE_LEFT} of the rate without, over the same links",
                words(receivers, 5)
            ),
            got_through(lossy) / plain.rate(),
            RATE_LEFT,
            &rates(lossy, plain),
        ));
    }
}

fn mixed(all: &[Summary], judged: &mut Vec<Judged>) {
    for one in all {
        if !matches!(one.who, Contender::OursToStock | Contender::StockToOurs) {
            continue;
        }
        let (receivers, loss) = (one.case.receivers, one.case.loss);
        let stock = all
            .iter()
            .find(|other| other.who == Contender::Stock && other.case == one.case);
        if let Some(stock) = stock {
            judged.push(at_least(
                format!(
                    "{}, {}: as fast as udpcast to udpcast",
                    words(receivers, loss),
                    one.who.name()
                ),
                got_through(one) / stock.rate(),
                1.0,
                &rates(one, stock),
            ));
        }
    }
}

fn fec(all: &[Summary], judged: &mut Vec<Judged>) {
    for receivers in [1, 4] {
        let ours = find(all, Contender::Ours, receivers, 0, true);
        let stock = find(all, Contender::Stock, receivers, 0, true);
        if let (Some(ours), Some(stock)) = (ours, stock) {
            judged.push(at_least(
                format!(
                    "{}, FEC 8x8/128: {FEC_EFFICIENCY} times udpcast's bytes for each CPU second \
                     of the sender",
                    words(receivers, 0)
                ),
                stock.sender_time() / ours.sender_time(),
                FEC_EFFICIENCY,
                &format!(
                    "{} and {} MiB/s",
                    short(1024.0 / ours.sender_time()),
                    short(1024.0 / stock.sender_time())
                ),
            ));
        }
    }
}

fn memory(all: &[Summary], judged: &mut Vec<Judged>) {
    let ours = |sender: bool| {
        let with_memory = all.iter().filter_map(|one| {
            let probed = one.probed?;
            let counts = match one.who {
                Contender::Ours => true,
                Contender::OursToStock => sender,
                Contender::StockToOurs => !sender,
                _ => false,
            };
            let bytes = if sender {
                probed.sender_memory
            } else {
                probed.receiver_memory
            };
            counts.then_some((bytes as f64 / f64::from(1 << 20), one))
        });
        with_memory.max_by(|one, other| one.0.total_cmp(&other.0))
    };
    for (role, most) in [("sender", ours(true)), ("receiver", ours(false))] {
        let Some((mebibytes, one)) = most else {
            continue;
        };
        judged.push(at_most(
            format!("{role}: less than {MEMORY} MiB of memory"),
            mebibytes,
            MEMORY,
            &format!(
                "MiB at most, of {:.0} MiB with {}",
                one.mebibytes(),
                one.case.words()
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lab::case::Case;
    use crate::lab::run::{Probed, Timed};

    const ALL: &[Contender] = &[Contender::Ours, Contender::Stock];

    fn summary(who: Contender, seconds: &[u64], ended: bool) -> Summary {
        let timed = |&seconds: &u64| Timed {
            before: Duration::from_secs(2),
            transfer: Duration::from_secs(seconds),
            ended,
            sender: Duration::from_secs(seconds),
            receivers: Duration::ZERO,
            retransmitted: None,
        };
        Summary {
            case: Case {
                receivers: 4,
                loss: 0,
                singly: false,
                fec: false,
                target: Target::Memory,
                mebibytes: 1,
                contenders: ALL,
            },
            who,
            size: 1 << 20,
            runs: seconds.iter().map(timed).collect(),
            failures: 0,
            probed: Some(Probed {
                sender_memory: 65 << 20,
                receiver_memory: 63 << 20,
                ..Probed::default()
            }),
        }
    }

    fn verdicts(all: &[Summary]) -> Vec<(String, bool)> {
        let page = judge(all).markdown("");
        page.lines()
            .filter(|line| line.starts_with("| ") && !line.contains("---"))
            .skip(1)
            .map(|line| (line.to_owned(), line.contains("| yes |")))
            .collect()
    }

    #[test]
    fn medians_decide_and_each_goal_shows_its_figures() {
        let ours = summary(Contender::Ours, &[9, 1, 1], true);
        let stock = summary(Contender::Stock, &[7, 6, 100], true);
        let verdicts = verdicts(&[ours, stock]);
        let reached: Vec<bool> = verdicts.iter().map(|(_, reached)| *reached).collect();
        // 7 times as fast; not 8 times less CPU time; too much memory in the sender only.
        assert_eq!(reached, [true, false, false, true], "{verdicts:?}");
        assert!(verdicts[0].0.contains("7.00 (1.00 and 0.14 MiB/s)"));
    }

    #[test]
    fn what_loss_costs_is_judged_over_the_same_links() {
        let of = |loss, singly, seconds| {
            let mut one = summary(Contender::Ours, &[seconds], true);
            (one.case.loss, one.case.singly, one.probed) = (loss, singly, None);
            one
        };
        let verdicts = verdicts(&[of(0, false, 1), of(0, true, 7), of(5, true, 10)]);
        let rate_left: Vec<&(String, bool)> = verdicts
            .iter()
            .filter(|(words, _)| words.contains("over the same links"))
            .collect();
        assert!(matches!(rate_left[..], [(_, true)]), "{verdicts:?}");
    }

    #[test]
    fn who_was_stopped_was_not_fast() {
        let ours = summary(Contender::Ours, &[1], false);
        let stock = summary(Contender::Stock, &[60], false);
        let verdicts = verdicts(&[ours, stock]);
        assert!(!verdicts[0].1, "{verdicts:?}");
    }
}
