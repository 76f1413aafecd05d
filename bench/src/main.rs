//! `ironcast-bench`, started by `cargo xtask bench`: measures, and writes docs/benchmarks.
//!
//! Each part measures one thing and gives one page with its tables, plots and raw figures, so that
//! a part can be run alone and leaves the other parts' pages as they are.

#![forbid(unsafe_code)]

mod computer;
mod copy;
mod images;
mod lab;
mod machines;
mod median;
mod memory_folder;
mod options;
mod page;
mod pieces;
mod plot;
mod scale;
mod senders;
mod table;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::options::{Options, Part};
use crate::page::Page;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the parts that are asked for, and writes each one's page when it is done.
fn run(options: &Options) -> Result<()> {
    // Not only when everything has been measured.
    let output = &options.output;
    fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    tempfile::tempfile_in(output)
        .with_context(|| format!("cannot write to {}", output.display()))?;
    let computer = computer::describe();
    let publish = |page: &Page| {
        println!("{}", page.markdown(&computer));
        page.write(&options.output, &computer)
    };
    let mut transfers = Vec::new();
    for &part in options.parts() {
        eprintln!("\n=== {part:?}");
        let page = match part {
            Part::Memory | Part::Disk | Part::Loss | Part::Mixed | Part::Fec => {
                let measured = lab::run(part, options).with_context(|| format!("{part:?}"))?;
                let page = lab::page(part, &measured);
                transfers.extend(measured);
                page
            }
            Part::Images => images::run(options).with_context(|| format!("{part:?}"))?,
            Part::Pieces => pieces::run(options).with_context(|| format!("{part:?}"))?,
            Part::Machines => machines::run(options).with_context(|| format!("{part:?}"))?,
            Part::Scale => scale::run(options).with_context(|| format!("{part:?}"))?,
        };
        publish(&page)?;
    }
    if transfers.is_empty() {
        return Ok(());
    }
    let goals = lab::judge(&transfers);
    let all = lab::GOALS_OF
        .iter()
        .all(|goal| options.parts().any(|part| part == goal));
    if all {
        return publish(&goals);
    }
    // The page has all goals or stays as it is.
    println!("{}", goals.markdown(&computer));
    Ok(())
}
