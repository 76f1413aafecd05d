//! `cargo xtask bench`: builds the programs with all optimisation and measures them.
//!
//! What is measured and how is the business of the crate `ironcast-bench`; here only is seen to it
//! that everything is there.

use anyhow::Result;
use clap::Args;

use crate::efi::{self, Arch};
use crate::run::{command, run as run_command};
use crate::setup::{self, Purpose};
use crate::{boot_loaders, linux_receiver, paths, test};

/// Settings of `cargo xtask bench`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// What to measure and how; see `cargo xtask bench --help`
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTIONS"
    )]
    options: Vec<String>,
}

impl Options {
    /// Whether virtual machines are among what is measured; they need more than the rest.
    fn has_machines(&self) -> bool {
        let has = |wanted: &str| self.options.iter().any(|word| word.contains(wanted));
        !has("--help") && (!has("--only") || has("machines"))
    }
}

/// Installs what is missing, builds, and measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    setup::provide(&[Purpose::Build, Purpose::Bench])?;
    test::programs()?;
    if options.has_machines() {
        setup::provide(&[Purpose::Image, Purpose::Lab])?;
        boot_loaders::provide()?;
        linux_receiver::provide()?;
        efi::build(Arch::X86_64)?;
    }
    let mut build = test::cargo("build");
    run_command(build.args(["--release", "--package", "ironcast-bench"]))?;
    let programs = paths::cargo_target().join("release");
    let mut bench = command(programs.join("ironcast-bench"));
    bench.args(&options.options);
    run_command(bench.env("IRONCAST_BIN_DIR", programs))
}
