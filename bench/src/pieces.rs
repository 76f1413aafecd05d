//! The hot pieces of work: the time of each by criterion, and its instructions by callgrind.
//!
//! Times are of this machine and of this hour. Instructions are the same wherever the same compiler
//! has built them, so a count on record in the tree shows what a change costs, to the percent.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ironcast_bench::work::{PIECES, Piece};
use ironcast_tests::find_tool;

use crate::options::{Options, Part};
use crate::page::Page;
use crate::plot::short;
use crate::table::Table;

/// The counts on record.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// What the file says first.
const HEAD: &str = "\
# Instructions of one turn of each piece (bench/src/work), by callgrind. `cargo xtask bench --only
# pieces` compares with them, and with --record takes down new ones.
";

/// By how many percent a count may grow.
const GROWTH: f64 = 5.0;

/// Measures all pieces, and compares their instructions with those on record.
///
/// Fails if one takes too many more, when all are measured and shown.
pub fn run(options: &Options) -> Result<Page> {
    let times = times(options)?;
    let record = fs::read_to_string(RECORD).unwrap_or_default();
    let mut table = Table::new([
        "piece",
        "a turn",
        "ns",
        "MiB/s",
        "instructions",
        "for each byte",
        "on record",
        "change %",
    ]);
    let (mut new_record, mut grown) = (HEAD.to_owned(), Vec::new());
    for (piece, nanoseconds) in PIECES.iter().zip(times) {
        let count = instructions(piece)?;
        let old = recorded(&record, piece.name);
        let change = old.map(|old| (count as f64 / old as f64 - 1.0) * 100.0);
        if change.is_some_and(|change| change > GROWTH) {
            grown.push(piece.name);
        }
        // Writing to a string can't fail.
        let _ = writeln!(new_record, "{} {count}", piece.name);
        table.row([
            piece.name.to_owned(),
            piece.unit.to_owned(),
            short(nanoseconds),
            short(piece.bytes as f64 / nanoseconds * 1e9 / f64::from(1 << 20)),
            count.to_string(),
            short(count as f64 / piece.bytes as f64),
            old.map_or_else(|| "-".to_owned(), |old| old.to_string()),
            change.map_or_else(|| "-".to_owned(), |change| format!("{change:+.2}")),
        ]);
    }
    let (name, title) = Part::Pieces.names();
    let mut page = Page::new(name, title, table.clone());
    page.text(ABOUT);
    page.table(table);
    if options.record {
        fs::write(RECORD, new_record).with_context(|| format!("cannot write {RECORD}"))?;
    } else if !grown.is_empty() {
        eprintln!("{}", page.markdown(""));
        bail!(
            "more than {GROWTH} % more instructions than on record: {}; if that has to be, take \
             them down by --record",
            grown.join(", ")
        );
    }
    Ok(page)
}

/// What the columns are.
const ABOUT: &str = "\
Time is criterion's estimate for a turn. Instructions are callgrind's count for a turn, the \
difference of two runs by the turns between them, so that what is made ready before doesn't count. \
Where a piece chooses its instructions by the processor, as BLAKE3 does, callgrind shows it one \
without AVX-512. MiB/s are of the image's bytes that a turn is about.";

/// Nanoseconds of a turn of each piece, by criterion.
fn times(options: &Options) -> Result<Vec<f64>> {
    let folder = options.disk.join("criterion");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = folder
        .canonicalize()
        .context("cannot find criterion's folder")?;
    let seconds = if options.quick { "0.2" } else { "2" };
    let mut bench = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    bench.args([
        "bench",
        "--locked",
        "--package",
        "ironcast-bench",
        "--bench",
        "pieces",
    ]);
    bench.args([
        "--",
        "--noplot",
        "--warm-up-time",
        "0.5",
        "--measurement-time",
        seconds,
    ]);
    bench.current_dir(env!("CARGO_MANIFEST_DIR"));
    bench.env("CRITERION_HOME", &folder).stdout(Stdio::null());
    let status = bench.status().context("cannot start cargo bench")?;
    if !status.success() {
        bail!("cargo bench failed: {status}");
    }
    PIECES.iter().map(|piece| time(&folder, piece)).collect()
}

fn time(folder: &Path, piece: &Piece) -> Result<f64> {
    let file = folder
        .join("pieces")
        .join(piece.name)
        .join("new/estimates.json");
    let doing = || format!("cannot read {}", file.display());
    let text = fs::read_to_string(&file).with_context(doing)?;
    let estimates: serde_json::Value = serde_json::from_str(&text).with_context(doing)?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .with_context(doing)
}

/// Instructions of a turn.
fn instructions(piece: &Piece) -> Result<u64> {
    let few = collected(piece, piece.turns)?;
    let many = collected(piece, 2 * piece.turns)?;
    Ok(many.saturating_sub(few) / u64::from(piece.turns))
}

/// Instructions of a whole run of so many turns.
fn collected(piece: &Piece, turns: u32) -> Result<u64> {
    let output = Command::new(find_tool("valgrind")?)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(turns_program()?)
        .args([piece.name, &turns.to_string()])
        .output()
        .context("cannot start valgrind")?;
    let log = String::from_utf8_lossy(&output.stderr);
    counted(&log).with_context(|| format!("callgrind has counted nothing: {log}"))
}

/// The program that takes turns: beside this one.
fn turns_program() -> Result<PathBuf> {
    let own = env::current_exe().context("cannot find this program")?;
    Ok(own.with_file_name("ironcast-turns"))
}

/// The count in callgrind's last words.
fn counted(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// The count of a piece on record, if there is one.
fn recorded(record: &str, name: &str) -> Option<u64> {
    let line = record
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_callgrind_and_from_the_record() {
        assert_eq!(counted("==1== Collected : 1234\n==1==\n"), Some(1234));
        let record = format!("{HEAD}machines 10\nmachines-loss 12\n");
        assert_eq!(recorded(&record, "machines"), Some(10));
        assert_eq!(recorded(&record, "machines-loss"), Some(12));
        assert_eq!(recorded(&record, "parse"), None);
    }

    #[test]
    fn every_piece_is_on_record() {
        let record = fs::read_to_string(RECORD).unwrap();
        for piece in PIECES {
            assert!(recorded(&record, piece.name).is_some(), "{}", piece.name);
        }
    }
}
