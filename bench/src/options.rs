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

    /// How often each transfer is measured [default: 3, with machines 5]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,

    /// Size of the image in MiB; less to many receivers, with loss, and where it would not fit;
    /// machines get those of 64, 512 and 2048 that are no more than twice that
    #[arg(long, value_name = "MIB", default_value_t = 1024,
          value_parser = clap::value_parser!(u64).range(16..))]
    pub size: u64,

    /// One round, small images: to see that everything works
    #[arg(long)]
    pub quick: bool,

    /// Take down how many instructions the pieces take, to judge later changes by
    #[arg(long)]
    pub record: bool,

    /// Where files on the disk are made, and go again
    #[arg(long, value_name = "FOLDER",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench"))]
    pub disk: PathBuf,

    /// Where the pages are written
    #[arg(long, value_name = "FOLDER",
          default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks"))]
    pub output: PathBuf,
}

/// A part of the benchmarks; each has a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Transfers without loss from memory to memory, to 1, 4 and 16 receivers
    Memory,
    /// Transfers to a file on the disk, and to a loop device with direct I/O
    Disk,
    /// Transfers with 1 and 5 % loss
    Loss,
    /// Ours to stock and stock to ours
    Mixed,
    /// Transfers with forward error correction
    Fec,
    /// The hot pieces of work: their time, and their instructions beside those on record
    Pieces,
    /// Cast files: packing, their size, and transfers beside raw ones
    Images,
    /// Many receivers, by simulation
    Scale,
    /// Virtual machines from power-on to their disks, against Linux with the stock receiver
    Machines,
}

impl Part {
    /// What its page's files are called, and the page's title.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Memory => ("memory", "From memory to memory"),
            Self::Disk => ("disk", "To disks"),
            Self::Loss => ("loss", "With loss"),
            Self::Mixed => ("mixed", "Ours and stock programs together"),
            Self::Fec => ("fec", "With forward error correction"),
            Self::Pieces => ("pieces", "The hot pieces of work"),
            Self::Images => ("images", "Images that say who they are"),
            Self::Scale => ("scale", "Many receivers, by simulation"),
            Self::Machines => ("machines", "A machine from power-on to its disk"),
        }
    }
}

impl Options {
    /// The parts that are asked for, in their usual order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let wanted = |part: &&Part| self.only.is_empty() || self.only.contains(part);
        Part::value_variants().iter().filter(wanted)
    }

    /// How often each transfer is measured.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        if self.quick {
            1
        } else {
            self.rounds.unwrap_or(3)
        }
    }

    /// How often each way of imaging a machine is measured.
    #[must_use]
    pub fn machine_rounds(&self) -> u32 {
        if self.quick {
            2
        } else {
            self.rounds.unwrap_or(5)
        }
    }

    /// The largest image, in MiB.
    #[must_use]
    pub fn mebibytes(&self) -> u64 {
        if self.quick { 64 } else { self.size }
    }

    /// Bytes of an image of which `copies` are to be in memory at once: `mebibytes`, or as many as
    /// take no more than half of the memory.
    ///
    /// Fails if the system does not say how much memory there is.
    pub fn fitting(&self, mebibytes: u64, copies: u64) -> Result<u64> {
        let memory = crate::computer::memory().context("the system tells of no memory")?;
        let mut size = mebibytes.max(1);
        while (size << 20) * copies > memory / 2 && size > 1 {
            size /= 2;
        }
        Ok(size << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_fits_in_memory_as_often_as_it_has_to() {
        let options = Options::parse_from(["bench", "--size", "1024"]);
        let memory = crate::computer::memory().unwrap();
        assert_eq!(options.fitting(1, 1).unwrap(), 1 << 20);
        let size = options.fitting(memory >> 20, 3).unwrap();
        assert!(size * 3 <= memory / 2 && size * 6 > memory / 2 - (6 << 20));
    }
}
