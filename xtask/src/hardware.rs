//! `cargo xtask hardware`: boots a machine with each piece of hardware and writes what was seen to
//! docs/hardware.md.
//!
//! The end-to-end tests do the same and compare.

use anyhow::Result;
use clap::Args;

use crate::run::run as run_command;
use crate::setup;
use crate::test;

/// Settings of `cargo xtask hardware`.
#[derive(Args)]
pub(crate) struct Options {}

/// Runs the test that writes the table.
pub(crate) fn run(_options: &Options) -> Result<()> {
    setup::provide(setup::EVERYTHING)?;
    test::programs()?;
    test::programs_for_firmware()?;
    let mut test = test::end_to_end();
    test.args(["--test", "hardware", "every_piece_of_hardware"]);
    test.args(["--", "--nocapture"]);
    run_command(test.env("IRONCAST_WRITE_HARDWARE", "1"))
}
