//! `cargo xtask test`: everything that has to hold, in stages, the quick ones first.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use ironcast_tests::room::UNATTENDED;
use ironcast_tests::test_key;

use crate::efi::Arch;
use crate::run::{command, run as run_command};
use crate::setup;
use crate::{
    boot_loaders, dhcp_servers, efi, embedded, fuzz, image, licences, newer, paths, style,
    virt_firmware,
};

/// Settings of `cargo xtask test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these stages, separated by commas, in the usual order
    #[arg(long, value_delimiter = ',', value_name = "STAGES")]
    only: Vec<Stage>,
}

/// A stage of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// Install what is missing
    Setup,
    /// rustfmt
    Format,
    /// What neither rustfmt nor clippy checks
    Style,
    /// The licences of all crates
    Licences,
    /// clippy, for this machine and for UEFI
    Lints,
    /// rustdoc
    Docs,
    /// The programs that the end-to-end tests run
    Programs,
    /// ironcast.efi, for each architecture, and a medium with them
    Efi,
    /// The parts without an allocator, for a microcontroller
    Embedded,
    /// The bootable image
    Image,
    /// Tests of each crate by itself, and the simulated network
    Unit,
    /// Each fuzz target for a minute
    Fuzz,
    /// Tests with the stock programs and with virtual machines
    EndToEnd,
}

/// Runs the stages and prints how long each took.
pub(crate) fn run(options: &Options) -> Result<()> {
    let begin = Instant::now();
    let mut times = Vec::new();
    let mut result = Ok(());
    for &stage in Stage::value_variants() {
        if !options.only.is_empty() && !options.only.contains(&stage) {
            continue;
        }
        eprintln!("\n=== {stage:?}");
        let start = Instant::now();
        result = stage.run().with_context(|| format!("stage {stage:?}"));
        times.push((stage, start.elapsed(), result.is_ok()));
        if result.is_err() {
            break;
        }
    }
    print_times(&times, begin.elapsed());
    result
}

impl Stage {
    fn run(self) -> Result<()> {
        match self {
            Self::Setup => setup::provide(setup::EVERYTHING),
            Self::Format => format(),
            Self::Style => style::check(),
            Self::Licences => licences::check(),
            Self::Lints => lints(),
            Self::Docs => docs(),
            Self::Programs => programs(),
            Self::Efi => programs_for_firmware(),
            Self::Embedded => embedded::build(),
            Self::Image => image::provide(),
            Self::Unit => unit_tests(),
            Self::Fuzz => fuzz::run(&fuzz::Options::default()),
            Self::EndToEnd => run_command(end_to_end().arg("--no-fail-fast")),
        }
    }
}

/// Builds the programs that the end-to-end tests run.
pub(crate) fn programs() -> Result<()> {
    let mut build = cargo("build");
    build.args(["--release", "--package", "ironcast-sender"]);
    run_command(build.args(["--package", "ironcast-receiver"]))
}

/// The end-to-end tests, told where everything is that they run.
pub(crate) fn end_to_end() -> Command {
    let mut test = cargo("test");
    test.args(["--package", "ironcast-tests"]);
    test.env("IRONCAST_BIN_DIR", paths::cargo_target().join("release"));
    test.env("IRONCAST_NEWER_DIR", newer::folder());
    test.env("IRONCAST_EFI", Arch::X86_64.file());
    test.env("IRONCAST_EFI_AA64", Arch::Aarch64.file());
    test.env("IRONCAST_TRUSTING_EFI", paths::trusting_efi());
    test.env("IRONCAST_OS_IMAGE", paths::image());
    test.env("IRONCAST_MEDIUM", paths::test_medium());
    test.env("IRONCAST_LOADERS", boot_loaders::folder());
    test.env("IRONCAST_DHCP_SERVERS", dhcp_servers::folder());
    test.env("IRONCAST_VIRT_FW_VARS", virt_firmware::program());
    test
}

/// Builds the UEFI application for each architecture, and a medium that has them.
pub(crate) fn programs_for_firmware() -> Result<()> {
    efi::build_trusting(Arch::X86_64, &test_key("trusted.pub"))?;
    Arch::ALL.iter().try_for_each(|&arch| efi::build(arch))?;
    let medium = paths::test_medium();
    let conf = medium.with_extension("conf");
    let write = || {
        if let Some(folder) = conf.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&conf, UNATTENDED)
    };
    write().with_context(|| format!("cannot write {}", conf.display()))?;
    efi::make_medium(&medium, Arch::ALL, Some(&conf))
}

fn format() -> Result<()> {
    run_command(command("cargo").args(["fmt", "--all", "--check"]))?;
    let fuzz = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
    run_command(command("cargo").args(fuzz))
}

fn lints() -> Result<()> {
    let mut clippy = cargo("clippy");
    clippy.args(["--workspace", "--exclude", "ironcast-boot", "--all-targets"]);
    run_command(clippy.args(["--", "-D", "warnings"]))?;
    let mut clippy = cargo("clippy");
    clippy.args(["--package", "ironcast-receiver-nostd", "--all-targets"]);
    run_command(clippy.args(["--", "-D", "warnings"]))?;
    efi::lint()
}

fn unit_tests() -> Result<()> {
    let mut test = cargo("test");
    test.args(["--workspace", "--exclude", "ironcast-boot"]);
    run_command(test.args(["--exclude", "ironcast-tests", "--no-fail-fast"]))?;
    // As a microcontroller has it: the workspace's programs all want its feature `alloc`.
    let mut test = cargo("test");
    test.args(["--package", "ironcast-receiver-nostd", "--no-fail-fast"]);
    run_command(&mut test)
}

fn docs() -> Result<()> {
    let mut doc = cargo("doc");
    doc.args(["--workspace", "--exclude", "ironcast-boot", "--no-deps"]);
    run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    efi::document()
}

/// cargo, which takes the versions that are on record.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut cargo = command("cargo");
    cargo.args([subcommand, "--locked"]);
    cargo
}

fn print_times(times: &[(Stage, Duration, bool)], all: Duration) {
    println!("\n=== how long it took");
    for (stage, time, good) in times {
        let word = if *good { "" } else { "  FAILED" };
        println!(
            "{:<10} {:>6.0} s{word}",
            format!("{stage:?}"),
            time.as_secs_f64()
        );
    }
    println!("{:<10} {:>6.0} s", "all", all.as_secs_f64());
}
