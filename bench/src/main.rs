//! `ironcast-bench`, started by `cargo xtask bench`: measures, and writes docs/benchmarks.
//!
//! Each part measures one thing and gives one page with its tables, plots and raw figures, so that
//! a part can be run alone and leaves the other parts' pages as they are.

#![forbid(unsafe_code)]

mod computer;
mod copy;
mod options;
mod page;
mod plot;
mod table;

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
    let computer = computer::describe();
    for &part in options.parts() {
        eprintln!("\n=== {part:?}");
        let page: Page = match part {
            Part::Copy => copy::run(options),
        }
        .with_context(|| format!("part {part:?}"))?;
        println!("{}", page.markdown(&computer));
        page.write(&options.output, &computer)?;
    }
    Ok(())
}
