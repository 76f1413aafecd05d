//! `cargo xtask demo`: the whole thing, to be watched on one computer without touching its network.
//!
//! A private network of namespaces, a PXE server, virtual machines with blank disks, and the
//! sender. The machines, which always try the network first, netboot the receiver, write what is
//! sent to their disks, restart, and boot what they got; then they netboot once more, and boot what
//! they have. Each disk is compared with the image byte for byte before the machine may restart
//! from it.

mod lines;
mod machine;
mod qmp;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, value_parser};
use ironcast_tests::{Host, Lab, PxeServer, PxeSettings, Running};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::efi::{self, Arch};
use crate::run::{command, run as run_command};
use crate::setup::{self, Purpose};
use crate::{image, paths};
use lines::Lines;
use machine::{Job, Subject};

/// How often machines and sender are looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long it may take beside the transfer: firmware, PXE and three boots, without KVM, for each.
const PATIENCE: Duration = Duration::from_secs(360);

/// The slowest transfer that is still waited for, in bytes a second.
const SLOWEST: u64 = 500_000;

/// What the machines' receiver is told. They have one disk each.
const SETTINGS: &str = "disk=auto confirm=no job=demo then=reboot\n";

/// The file with the sender's list of machines.
const RESULTS: &str = "results";

/// The server's address in the private network.
const SERVER: &str = "10.77.0.1";

/// Settings of `cargo xtask demo`.
#[derive(Args)]
pub(crate) struct Options {
    /// Send this disk image instead of the small Linux
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// What the image's system prints on its serial port when it is up
    #[arg(long, value_name = "TEXT", default_value = "login:")]
    prompt: String,
    /// How many machines
    #[arg(long, value_name = "N", default_value_t = 2)]
    #[arg(value_parser = value_parser!(u16).range(1..=64))]
    machines: u16,
    /// Each machine's memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: u32,
    /// Keep logs and disks, and say where
    #[arg(long)]
    keep: bool,
}

/// Runs the demo.
///
/// Fails unless every machine ends with the image on its disk, boots from it, and is not imaged
/// again when it netboots once more.
pub(crate) fn run(options: &Options) -> Result<()> {
    let (image, prompt) = prepare(options)?;
    let folder = tempfile::Builder::new()
        .prefix("ironcast-demo-")
        .tempdir()
        .context("cannot make a temporary folder")?;
    let job = Job {
        image: &image,
        prompt: &prompt,
        memory: options.memory,
        folder: folder.path(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("cannot catch Ctrl-C")?;
    }
    let result = perform(&job, usize::from(options.machines), &stop);
    let failed = result.is_err() && !stop.load(Ordering::Relaxed);
    if options.keep || failed {
        println!("logs and disks are in {}", folder.keep().display());
    }
    result
}

/// Installs and builds what is needed; gives the image and the prompt to wait for.
fn prepare(options: &Options) -> Result<(PathBuf, String)> {
    setup::provide(&[Purpose::Build, Purpose::Lab])?;
    let mut build = command("cargo");
    run_command(build.args([
        "build",
        "--locked",
        "--release",
        "--package",
        "ironcast-sender",
    ]))?;
    efi::build(Arch::X86_64)?;
    if let Some(image) = &options.image {
        // Absolute, since the sender runs elsewhere.
        let found = image.canonicalize();
        let found = found.with_context(|| format!("cannot find {}", image.display()))?;
        return Ok((found, options.prompt.clone()));
    }
    image::provide()?;
    Ok((paths::image(), image::PROMPT.to_owned()))
}

fn perform(job: &Job, count: usize, stop: &AtomicBool) -> Result<()> {
    let lab = Lab::new()?;
    let server = lab.host(SERVER)?;
    let _pxe = PxeServer::start(
        &server,
        job.folder,
        &PxeSettings::ironcast(&Arch::X86_64.file(), SETTINGS),
    )?;
    println!("a private network with a PXE server at {SERVER}; {count} machines with blank disks");
    let mut sender = start_sender(&server, job, count)?;
    let mut subjects = (1..=count)
        .map(|number| Subject::start(number, &lab, job))
        .collect::<Result<Vec<_>>>()?;
    watch(&mut subjects, &mut sender, job, stop)?;
    // Without it the table shows what is missing.
    let results = fs::read_to_string(job.folder.join(RESULTS)).unwrap_or_default();
    print_table(&subjects, &results);
    let failed = subjects.iter().filter(|subject| !subject.is_up()).count();
    if failed > 0 {
        bail!("{failed} of {count} machines did not come up from their disks, or not twice");
    }
    Ok(())
}

fn start_sender(server: &Host, job: &Job, count: usize) -> Result<Running> {
    let program = paths::cargo_target().join("release/ironcast-sender");
    let mut sender = server.command(program)?;
    sender.args([
        "--interface",
        "eth0",
        "--nokbd",
        "--min-receivers",
        &count.to_string(),
    ]);
    sender.arg("--file").arg(job.image);
    sender.arg("--results").arg(job.folder.join(RESULTS));
    Ok(Running::start("sender", sender, job.folder)?)
}

/// Watches until every machine is up or has failed.
fn watch(
    subjects: &mut [Subject],
    sender: &mut Running,
    job: &Job,
    stop: &AtomicBool,
) -> Result<()> {
    let limit = time_limit(job.image, subjects.len())?;
    let deadline = Instant::now() + limit;
    let mut lines = Lines::new("sender");
    while subjects.iter().any(Subject::is_running) {
        let sending = sender.is_running();
        lines.print_new(&sender.log());
        for subject in subjects.iter_mut() {
            subject.look(job);
        }
        if stop.load(Ordering::Relaxed) {
            bail!("stopped");
        }
        let late = Instant::now() > deadline;
        for subject in subjects.iter_mut().filter(|_| late) {
            subject.fail(&format!("not done after {} s", limit.as_secs()));
        }
        if !sending {
            demand_success(sender, subjects)?;
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// A sender that failed will not serve who still waits.
fn demand_success(sender: &mut Running, subjects: &[Subject]) -> Result<()> {
    let status = sender.wait(Duration::ZERO)?;
    let waiting = subjects.iter().any(Subject::is_receiving);
    if waiting && !status.success() {
        bail!("the sender failed ({status}):\n{}", sender.log());
    }
    Ok(())
}

fn time_limit(image: &Path, machines: usize) -> Result<Duration> {
    let length = image.metadata().context("cannot look at the image")?.len();
    let transfer = Duration::from_secs(length / SLOWEST);
    let machines = u32::try_from(machines).context("too many machines")?;
    Ok(transfer + PATIENCE * machines)
}

fn print_table(subjects: &[Subject], results: &str) {
    let head = [
        "",
        "disk",
        "power-on to last byte",
        "disk = image",
        "sender's list",
        "boots from its own disk",
        "and once more",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(subjects.iter().map(|subject| subject.row(results)));
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0))
        .collect();
    println!();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", line.join("  ").trim_end());
    }
}
