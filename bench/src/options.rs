//! What can be set about a run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

/// Measures the programs beside others, and their pieces, and writes docs/benchmarks.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench", version)]
pub struct Options {
    /// Only these parts, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    pub only: Vec<Part>,

    /// How often each transfer is measured
    #[arg(long, value_name = "COUNT", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,

    /// Size of the image in MiB; where it would not fit in memory, and with loss, less
    #[arg(long, value_name = "MIB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(16..))]
    pub size: u64,

    /// One round, small images: to see that everything works
    #[arg(long)]
    pub quick: bool,

    /// Where the pages are written
    #[arg(long, value_name = "FOLDER",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    pub output: PathBuf,
}

/// A part of the benchmarks; each has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// How long the machine takes to copy the image in memory
    Copy,
}

impl Options {
    /// The parts that are asked for, in their usual order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let wanted = |part: &&Part| self.only.is_empty() || self.only.contains(part);
        Part::value_variants().iter().filter(wanted)
    }

    /// How often each transfer is measured.
    pub fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// Bytes of an image of which `copies` are to be in memory at once: as many as are asked for,
    /// if they take no more than half of the memory.
    ///
    /// Fails if the system does not say how much memory there is.
    pub fn image_size(&self, copies: u64) -> Result<u64> {
        let wanted = if self.quick { 64 } else { self.size } << 20;
        let memory = crate::computer::memory().context("the system tells of no memory")?;
        let mut size = wanted;
        while size * copies > memory / 2 && size > 1 << 20 {
            size /= 2;
        }
        Ok(size)
    }
}
