//! The page of the machines: medians, plots, and whether the goals are reached.

use std::fmt::Write as _;

use ironcast_tests::DiskKind;

use super::{MEMORY, Run, Way};
use crate::median::median;
use crate::options::Part;
use crate::page::Page;
use crate::plot::{self, Series, Shape, short};
use crate::table::Table;

/// A way's least memory in MiB, if there is one.
pub type Least = (Way, Option<u32>);

/// The columns of the raw figures. Times are seconds: up to `verified` since power-on, from
/// `started` on what our receiver tells of itself.
pub const RAW_COLUMNS: [&str; 19] = [
    "MiB",
    "disk",
    "way",
    "round",
    "handed over",
    "first byte",
    "written",
    "verified",
    "payload",
    "sent again",
    "started",
    "arrived",
    "flushed",
    "ready",
    "nic",
    "copy",
    "hash",
    "disk driver",
    "idle",
];

/// What our receiver tells of itself, in the order of the raw figures' last columns.
const STATS: [&str; 9] = [
    "started", "arrived", "flushed", "ready", "nic", "copy", "hash", "disk", "idle",
];

/// The size of the image in MiB that the goals are about.
const GOAL_SIZE: u64 = 64;

/// What was measured of a way with one size of image and one kind of disk.
#[derive(Debug)]
pub struct Cell {
    /// The way.
    pub way: Way,
    disk: DiskKind,
    mebibytes: u64,
    /// What went well.
    pub runs: Vec<Run>,
    /// How often it did not.
    pub failures: u32,
}

/// A figure of a run.
type Figure = fn(&Run) -> f64;

impl Cell {
    /// One without runs.
    pub fn new(way: Way, disk: DiskKind, mebibytes: u64) -> Self {
        Self {
            way,
            disk,
            mebibytes,
            runs: Vec::new(),
            failures: 0,
        }
    }

    /// The row of raw figures of a run, or of one that failed.
    pub fn raw_row(&self, round: u32, run: Option<&Run>) -> Vec<String> {
        let mut row = vec![
            self.mebibytes.to_string(),
            self.disk.name().to_owned(),
            self.way.name().to_owned(),
            round.to_string(),
        ];
        let Some(run) = run else {
            row.push("failed".to_owned());
            return row;
        };
        let times = &run.times;
        for time in [times.handed_over, times.first_byte, times.written] {
            row.push(format!("{time:.3}"));
        }
        row.push(
            times
                .verified
                .map_or(String::new(), |time| format!("{time:.3}")),
        );
        row.push(run.payload.to_string());
        row.push(run.sent_again.to_string());
        if let Some(stats) = &run.stats {
            let seconds = STATS.map(|name| stats.seconds(name));
            row.extend(seconds.map(|time| time.map_or(String::new(), |time| format!("{time:.3}"))));
        }
        row
    }

    /// The median of a figure.
    fn median(&self, figure: Figure) -> f64 {
        median(self.runs.iter().map(figure)).unwrap_or(f64::NAN)
    }

    /// The median, with the least and the most.
    fn spread(&self, figure: Figure) -> String {
        let mut values: Vec<f64> = self.runs.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        let median = short(self.median(figure));
        match values.as_slice() {
            [first, .., last] => format!("{median} ({}–{})", short(*first), short(*last)),
            _ => median,
        }
    }

    /// From the start of the transfer to the last byte on the disk, in MB/s.
    fn rate(&self) -> f64 {
        (self.mebibytes << 20) as f64 / 1e6 / self.median(transfer)
    }

    /// From power-on to the last byte on the disk, in seconds.
    fn whole(&self) -> f64 {
        self.median(from_power_on)
    }

    fn is_for_goals(&self, way: Way) -> bool {
        self.way == way && self.mebibytes == GOAL_SIZE
    }

    fn place(&self) -> String {
        format!("{} MiB, {}", self.mebibytes, self.disk.name())
    }
}

fn transfer(run: &Run) -> f64 {
    run.times.written - run.times.first_byte
}

fn from_hand_over(run: &Run) -> f64 {
    run.times.written - run.times.handed_over
}

fn from_power_on(run: &Run) -> f64 {
    run.times.written
}

/// The page.
pub fn page(cells: &[Cell], least: &[Least], raw: Table) -> Page {
    let (name, title) = Part::Machines.names();
    let mut page = Page::new(name, title, raw);
    page.text(introduction());
    page.text(goals(cells, least));
    page.text("## Times and rates\n\nSeconds, medians with the least and the most of all rounds.");
    page.table(times(cells));
    page.text(
        "## Where the time of `ironcast.efi` goes\n\nSeconds, medians: moments since its entry, \
         then what took the time from the start of the transfer until it was ready.",
    );
    page.table(own_times(cells));
    page.text("## Payload and memory");
    page.table(needs(cells, least));
    for (name, title, unit, value) in [
        (
            "power-on",
            "From power-on to the last byte on the disk",
            "s",
            Cell::whole as fn(&Cell) -> f64,
        ),
        ("rate", "Rate of receiving and writing", "MB/s", Cell::rate),
    ] {
        page.plot(name, title, plot(cells, title, unit, value));
    }
    page
}

fn introduction() -> String {
    format!(
        "The same virtual machine each time (QEMU, q35, one processor, {MEMORY} MiB of memory, \
         OVMF, virtio-net on a tap that queues 64 frames as a network card does), netbooted by PXE \
         from the same server, with a sender that waits for it:\n\n\
         - **ironcast.efi**, all settings at their defaults, and `ironcast-sender`.\n\
         - **Linux**: the distribution's kernel with an initramfs of BusyBox, four drivers and \
           the stock `udp-receiver --file DISK`, loaded by GRUB over TFTP (iPXE takes longer); \
           the stock `udp-sender`.\n\
         - **Linux, tuned**: the same as one EFI file, without a boot loader; the receiver with \
           `--rcvbuf 8m --nosync` and `net.core.rmem_max` of 8 MiB, the sender with \
           `--full-duplex`.\n\n\
         *Hand-over* is when the firmware starts the file that it has loaded; *first byte*, when \
         the sender starts the transfer; *on the disk*, when the last byte is written (and, of \
         `ironcast.efi`, the disk flushed); *verified*, when it was read back too, which only \
         `ironcast.efi` does; *sent again*, how many blocks the sender sent once more. Afterwards \
         every disk was compared with the image."
    )
}

/// What is compared between ways, with the factor that is the goal.
const SPEED_GOALS: [(&str, f64, Comparison); 3] = [
    ("rate of receiving and writing, times higher", 2.5, by_rate),
    (
        "from hand-over to the disk, times faster",
        4.0,
        by_hand_over,
    ),
    ("from power-on to the disk, times faster", 1.5, by_power_on),
];

/// How many times better the first is than the second.
type Comparison = fn(&Cell, &Cell) -> f64;

fn by_rate(ours: &Cell, other: &Cell) -> f64 {
    ours.rate() / other.rate()
}

fn by_hand_over(ours: &Cell, other: &Cell) -> f64 {
    other.median(from_hand_over) / ours.median(from_hand_over)
}

fn by_power_on(ours: &Cell, other: &Cell) -> f64 {
    other.whole() / ours.whole()
}

/// The goals, each with its figures and whether it is reached.
fn goals(cells: &[Cell], least: &[Least]) -> String {
    let mut text = format!(
        "## Goals\n\nWith {GOAL_SIZE} MiB, against Linux; what it is against Linux, tuned, is told \
         too.\n"
    );
    for ours in cells.iter().filter(|cell| cell.is_for_goals(Way::Ours)) {
        let rival = |way| {
            let mut others = cells.iter().filter(move |cell| cell.is_for_goals(way));
            others.find(|cell| cell.disk == ours.disk)
        };
        let Some(linux) = rival(Way::Linux) else {
            continue;
        };
        for (what, goal, compare) in SPEED_GOALS {
            let what = format!("{}: {what}", ours.disk.name());
            let tuned = rival(Way::TunedLinux).map(|tuned| compare(ours, tuned));
            judge(&mut text, &what, goal, compare(ours, linux), tuned);
        }
    }
    let payload = |way| {
        let cell = cells.iter().find(|cell| cell.way == way)?;
        Some(cell.median(|run| run.payload as f64))
    };
    let memory = |way| Some(f64::from(least.iter().find(|(one, _)| *one == way)?.1?));
    compare(&mut text, "boot payload, times smaller", 40.0, payload);
    compare(&mut text, "least memory, times less", 4.0, memory);
    text
}

/// Judges a goal about something of which less is better, if it was measured.
fn compare(text: &mut String, what: &str, goal: f64, value: impl Fn(Way) -> Option<f64>) {
    let (Some(ours), Some(linux)) = (value(Way::Ours), value(Way::Linux)) else {
        return;
    };
    let tuned = value(Way::TunedLinux).map(|tuned| tuned / ours);
    judge(text, what, goal, linux / ours, tuned);
}

fn judge(text: &mut String, what: &str, goal: f64, found: f64, tuned: Option<f64>) {
    let word = if found >= goal {
        "reached"
    } else {
        "NOT reached"
    };
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "\n- {word}: {what}: {found:.2}, and at least {goal} is the goal"
    );
    if let Some(tuned) = tuned {
        let _ = write!(text, "; against Linux, tuned: {tuned:.2}");
    }
}

fn times(cells: &[Cell]) -> Table {
    let mut table = Table::new([
        "image, disk",
        "way",
        "rounds",
        "failed",
        "hand-over",
        "first byte",
        "on the disk",
        "from hand-over",
        "MB/s",
        "sent again",
        "verified",
    ]);
    for cell in cells {
        let verified = match cell.way {
            Way::Ours => cell.spread(|run| run.times.verified.unwrap_or(f64::NAN)),
            Way::Linux | Way::TunedLinux => String::new(),
        };
        table.row([
            cell.place(),
            cell.way.name().to_owned(),
            cell.runs.len().to_string(),
            cell.failures.to_string(),
            cell.spread(|run| run.times.handed_over),
            cell.spread(|run| run.times.first_byte),
            cell.spread(from_power_on),
            cell.spread(from_hand_over),
            short(cell.rate()),
            cell.spread(|run| run.sent_again as f64),
            verified,
        ]);
    }
    table
}

fn own_times(cells: &[Cell]) -> Table {
    let columns = ["image, disk"].into_iter().chain(STATS);
    let mut table = Table::new(columns);
    for cell in cells.iter().filter(|cell| cell.way == Way::Ours) {
        let seconds = STATS.map(|name| {
            let of = |run: &Run| run.stats.as_ref()?.seconds(name);
            short(median(cell.runs.iter().filter_map(of)).unwrap_or(f64::NAN))
        });
        table.row([cell.place()].into_iter().chain(seconds));
    }
    table
}

fn needs(cells: &[Cell], least: &[Least]) -> Table {
    let mut table = Table::new(["way", "boot payload, bytes", "least memory, MiB"]);
    for way in Way::ALL {
        let cell = cells.iter().find(|cell| cell.way == way);
        let payload = cell
            .and_then(|cell| cell.runs.first())
            .map(|run| run.payload);
        let memory = least.iter().find(|(one, _)| *one == way);
        let memory = match memory {
            None => "not measured".to_owned(),
            Some((_, None)) => "more than was tried".to_owned(),
            Some((_, Some(mebibytes))) => mebibytes.to_string(),
        };
        let payload = payload.map_or(String::new(), |bytes| bytes.to_string());
        table.row([way.name().to_owned(), payload, memory]);
    }
    table
}

fn plot(cells: &[Cell], title: &str, unit: &str, value: fn(&Cell) -> f64) -> String {
    let of = |way| cells.iter().filter(move |cell: &&Cell| cell.way == way);
    let places: Vec<String> = of(Way::Ours).map(Cell::place).collect();
    let series = Way::ALL.map(|way| Series {
        name: way.name().to_owned(),
        values: of(way)
            .map(|cell| Some(value(cell)).filter(|value| value.is_finite()))
            .collect(),
    });
    plot::draw(Shape::Bars, title, unit, &places, &series)
}

#[cfg(test)]
mod tests {
    use super::super::measure::Times;
    use super::*;

    fn cell(way: Way, seconds: &[f64], payload: u64) -> Cell {
        let mut cell = Cell::new(way, DiskKind::VirtioBlk, GOAL_SIZE);
        cell.runs = seconds
            .iter()
            .map(|&time| Run {
                times: Times {
                    handed_over: 8.0,
                    first_byte: 8.0 + time / 2.0,
                    written: 8.0 + time,
                    verified: None,
                },
                stats: None,
                sent_again: 0,
                payload,
            })
            .collect();
        cell
    }

    #[test]
    fn goals_are_judged_by_medians() {
        let cells = [
            cell(Way::Ours, &[2.0, 1.0, 100.0], 100),
            cell(Way::Linux, &[20.0], 3999),
            cell(Way::TunedLinux, &[4.0], 1000),
        ];
        let text = goals(&cells, &[(Way::Ours, Some(64)), (Way::Linux, Some(256))]);
        for part in [
            "- reached: virtio-blk: rate of receiving and writing, times higher: 10.00, and at \
             least 2.5 is the goal; against Linux, tuned: 2.00",
            "- reached: virtio-blk: from power-on to the disk, times faster: 2.80",
            "- NOT reached: boot payload, times smaller: 39.99",
            "- reached: least memory, times less: 4.00",
        ] {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    }

    #[test]
    fn a_spread_has_both_ends() {
        assert_eq!(
            cell(Way::Ours, &[2.0, 1.0, 3.0], 1).spread(from_hand_over),
            "2.00 (1.00–3.00)"
        );
        assert_eq!(cell(Way::Ours, &[2.0], 1).spread(from_hand_over), "2.00");
    }
}
