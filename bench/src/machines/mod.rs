//! The whole: a virtual machine from power-on to its verified disk, by `ironcast.efi` and by the
//! usual way, which is a netbooted Linux that runs the stock receiver.
//!
//! The ways take turns, so that whatever else the computer does meets all of them.

mod measure;
mod memory;
mod report;
mod stats;
mod way;

use std::time::Duration;

use anyhow::Result;
use ironcast_tests::{DiskKind, image};

use crate::options::Options;
use crate::page::Page;
use crate::table::Table;
use measure::{Run, Subject, measure};
use report::{Cell, Least};
use way::Way;

/// The sizes of the images in MiB, with how many rounds there are at most: larger ones take
/// minutes, and differ less from round to round.
const SIZES: [(u64, u32); 3] = [(64, u32::MAX), (512, 2), (2048, 1)];

/// The machine's memory in MiB, enough for every way.
const MEMORY: u32 = 512;

/// What the machine may take beside the transfer.
const PATIENCE: Duration = Duration::from_secs(150);

/// The slowest transfer and reading back that are waited for, in bytes a second.
const SLOWEST: u64 = 3_000_000;

/// Measures every way with each size of image on each kind of disk, and the least memory.
///
/// Fails only if an image can't be made; a way that does not work is told on the page.
pub fn run(options: &Options) -> Result<Page> {
    let folder = tempfile::tempdir()?;
    let disks = match options.quick {
        true => &[DiskKind::VirtioBlk][..],
        false => &[DiskKind::VirtioBlk, DiskKind::Nvme],
    };
    let most = 2 * options.mebibytes();
    let sizes = SIZES.iter().filter(|(mebibytes, _)| *mebibytes <= most);
    let mut cells = Vec::new();
    let mut raw = Table::new(report::RAW_COLUMNS);
    let file = folder.path().join("image");
    for &(mebibytes, most_rounds) in sizes {
        image::write_random(&file, mebibytes << 20, mebibytes)?;
        for &disk in disks {
            let subject = Subject {
                way: Way::Ours,
                disk,
                image: &file,
                memory: MEMORY,
                limit: PATIENCE + Duration::from_secs((mebibytes << 20) / SLOWEST),
            };
            let rounds = options.machine_rounds().min(most_rounds);
            cells.extend(measure_ways(&subject, mebibytes, rounds, &mut raw));
        }
    }
    image::write_random(&file, SIZES[0].0 << 20, 1)?;
    let least: Vec<Least> = match options.quick {
        true => Vec::new(),
        false => Way::ALL
            .map(|way| (way, memory::least(way, &file)))
            .to_vec(),
    };
    Ok(report::page(&cells, &least, raw))
}

/// Measures `rounds` times each way.
fn measure_ways(subject: &Subject, mebibytes: u64, rounds: u32, raw: &mut Table) -> Vec<Cell> {
    let mut cells = Way::ALL.map(|way| Cell::new(way, subject.disk, mebibytes));
    for round in 1..=rounds {
        for cell in &mut cells {
            let way = cell.way;
            let run = measure(&Subject { way, ..*subject });
            let row = cell.raw_row(round, run.as_ref().ok());
            eprintln!("{}", row.join(", "));
            raw.row(row);
            match run {
                Ok(run) => cell.runs.push(run),
                Err(error) => {
                    eprintln!("{error:#}");
                    cell.failures += 1;
                }
            }
        }
    }
    cells.into()
}
