//! `cargo xtask simulate`: transfers in a simulated network to which everything happens, by seed.

use anyhow::Result;
use clap::Args;

use crate::run::{command, run as run_command};

/// Settings of `cargo xtask simulate`.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds are run, from 0 on
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    runs: u64,

    /// Only this seed, with its story
    #[arg(long, value_name = "SEED", conflicts_with = "runs")]
    seed: Option<u64>,
}

/// Runs the simulation, which the unit tests run with fewer seeds.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut test = command("cargo");
    test.args(["test", "--locked", "--package", "ironcast-proto"]);
    test.args([
        "--test",
        "simulation",
        "whatever_happens",
        "--",
        "--nocapture",
    ]);
    match options.seed {
        Some(seed) => test.env("IRONCAST_SEED", seed.to_string()),
        None => test.env("IRONCAST_RUNS", options.runs.to_string()),
    };
    run_command(&mut test)
}
