//! `cargo xtask fuzz`: lets a fuzzer look for inputs that break a promise of what reads the network
//! and the disk.
//!
//! It starts from the inputs kept in `fuzz/corpus`, so that a short run still comes to what long
//! ones have found. No sanitizer: the fuzzed crates forbid unsafe code, so the compiler that builds
//! everything else does, and the fuzzer is faster.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{iter, thread};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;

use crate::paths;
use crate::run::{command, quietly, run as run_command};
use crate::setup::{self, Purpose};

/// Settings of `cargo xtask fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// Which targets; those of fuzz/fuzz_targets, if none is given
    targets: Vec<String>,

    /// How long each of them runs
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,

    /// Adds to fuzz/corpus the inputs that came to code which its own don't
    #[arg(long)]
    keep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            seconds: 60,
            keep: false,
        }
    }
}

/// Runs the targets, as many side by side as there are processors.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::provide(&[Purpose::Build, Purpose::Fuzz])?;
    let known = targets()?;
    if let Some(unknown) = options.targets.iter().find(|name| !known.contains(name)) {
        bail!(
            "there is no fuzz target {unknown}; there are {}",
            known.join(", ")
        );
    }
    build()?;
    let chosen = match options.targets.is_empty() {
        true => known,
        false => options.targets.clone(),
    };
    let next = AtomicUsize::new(0);
    let lanes = thread::available_parallelism().map_or(1, usize::from);
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let lane = || iter::from_fn(|| chosen.get(next.fetch_add(1, Ordering::Relaxed)));
        let lanes: Vec<_> = (0..lanes)
            .map(|_| scope.spawn(move || lane().map(|target| fuzz(target, options)).collect()))
            .collect();
        lanes.into_iter().flat_map(join).collect()
    });
    let failures = results.into_iter().filter_map(Result::err);
    let failures: Vec<String> = failures.map(|error| format!("{error:#}")).collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn join(lane: thread::ScopedJoinHandle<'_, Vec<Result<()>>>) -> Vec<Result<()>> {
    let panicked = |_| vec![Err(anyhow!("a thread that ran a fuzzer panicked"))];
    lane.join().unwrap_or_else(panicked)
}

/// Sees to it that cargo-fuzz is there.
pub(crate) fn provide() -> Result<()> {
    if quietly(command("cargo").args(["fuzz", "--version"])).is_ok() {
        return Ok(());
    }
    run_command(command("cargo").args(["install", "--locked", "cargo-fuzz"]))
        .context("cannot install cargo-fuzz, which the fuzzing needs")
}

/// The targets' names, in order.
fn targets() -> Result<Vec<String>> {
    let folder = paths::workspace().join("fuzz").join("fuzz_targets");
    let unreadable = || format!("cannot read {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        names.extend(
            path.file_stem()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

/// Where the fuzzers and what they write are.
fn work() -> PathBuf {
    paths::cargo_target().join("fuzz")
}

fn build() -> Result<()> {
    let mut build = command("cargo");
    build
        .args(["fuzz", "build", "--sanitizer", "none", "--target-dir"])
        .arg(work());
    run_command(&mut build)
}

fn fuzz(target: &str, options: &Options) -> Result<()> {
    let kept = paths::workspace().join("fuzz").join("corpus").join(target);
    let found = work().join("corpus").join(target);
    let artifacts = work().join("artifacts").join(target);
    for folder in [&kept, &found, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let program = program()?.join(target);
    let mut fuzzer = command(&program);
    fuzzer
        .arg(format!("-max_total_time={}", options.seconds))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args([
            "-max_len=1024",
            "-timeout=10",
            "-verbosity=0",
            "-print_final_stats=1",
        ])
        .args([&found, &kept]);
    let again = || {
        let (program, artifacts) = (program.display(), artifacts.display());
        format!("target {target}; the input is in {artifacts}, run it again by: {program} INPUT")
    };
    run_command(&mut fuzzer).with_context(again)?;
    if options.keep {
        let mut merge = command(&program);
        run_command(merge.arg("-merge=1").args([&kept, &found]))?;
    }
    Ok(())
}

/// The folder of the fuzzers, which cargo-fuzz builds for a target that it names itself.
fn program() -> Result<PathBuf> {
    let version = crate::run::output(command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc -vV names no host")?;
    Ok(work().join(host).join("release"))
}
