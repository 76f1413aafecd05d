//! `cargo xtask`: every task of the project as one program, so that a contributor needs to know
//! `cargo` only.
//!
//! Two commands are for everybody, `demo` and `test`; the others are their steps, for when one of
//! them is to be looked at alone. Each command first installs what it needs, or says what is
//! missing and how to get it.

#![forbid(unsafe_code)]

mod apt;
mod bench;
mod boot_loaders;
mod core_library;
mod demo;
mod dhcp_servers;
mod disk_image;
mod efi;
mod embedded;
mod fuzz;
mod hardware;
mod image;
mod licences;
mod links;
mod linux_receiver;
mod manuals;
mod newer;
mod paths;
mod run;
mod setup;
mod simulate;
mod sources;
mod style;
mod test;
mod virt_firmware;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of the Ironcast project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Images two machines over the network in QEMU and boots them, to be watched
    Demo(demo::Options),
    /// Checks everything: style, lints, licences, unit tests, interop, QEMU machines
    Test(test::Options),
    /// Installs what the other tasks need
    Setup(setup::Options),
    /// Builds the UEFI application, target/efi/ironcast.efi
    Efi(efi::Options),
    /// Builds the parts without an allocator for a microcontroller and prints their sizes
    Embedded(embedded::Options),
    /// Makes target/image/linux.img, a small Linux out of the distribution's packages
    Image(image::Options),
    /// Runs simulated transfers to which everything happens; replays one by its seed
    Simulate(simulate::Options),
    /// Boots a machine with each piece of hardware and writes docs/hardware.md
    Hardware(hardware::Options),
    /// Writes man pages and shell completions of both programs to target/manuals
    Manuals(manuals::Options),
    /// Measures the programs beside stock and UFTP, and their pieces; writes docs/benchmarks
    Bench(bench::Options),
    /// Fuzzes what reads the network and the disk
    Fuzz(fuzz::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.task {
        Task::Demo(options) => demo::run(options),
        Task::Test(options) => test::run(options),
        Task::Setup(options) => setup::run(options),
        Task::Efi(options) => efi::run(options),
        Task::Embedded(options) => embedded::run(options),
        Task::Image(options) => image::run(options),
        Task::Simulate(options) => simulate::run(options),
        Task::Hardware(options) => hardware::run(options),
        Task::Manuals(options) => manuals::run(options),
        Task::Bench(options) => bench::run(options),
        Task::Fuzz(options) => fuzz::run(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
