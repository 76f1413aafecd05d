//! The stock programs with each other, through the same harness that judges ours.
//!
//! They show that the lab carries a transfer, and hold what else the interop tests assume of the
//! stock programs.

use ironcast_tests::Kind::Stock;
use ironcast_tests::{Direction, LabError, Transfer};

#[test]
fn one_receiver() -> Result<(), LabError> {
    Transfer::new(Stock, &[Stock]).run().map(drop)
}

#[test]
fn four_receivers() -> Result<(), LabError> {
    Transfer::new(Stock, &[Stock; 4]).run().map(drop)
}

#[test]
fn half_duplex_with_small_blocks() -> Result<(), LabError> {
    let args = ["--half-duplex", "--blocksize", "512"];
    let transfer = Transfer::new(Stock, &[Stock; 2]);
    transfer.sender_args(&args).run().map(drop)
}

#[test]
fn broadcast() -> Result<(), LabError> {
    let transfer = Transfer::new(Stock, &[Stock; 2]);
    transfer.sender_args(&["--broadcast"]).run().map(drop)
}

#[test]
fn five_percent_lost() -> Result<(), LabError> {
    let done = Transfer::new(Stock, &[Stock; 2]).loss(5).run()?;
    let lost = done.receivers[0].host.lost(Direction::Towards)?;
    assert!(lost > 0, "nothing was lost");
    Ok(())
}

#[test]
fn a_flipped_byte_fails_the_comparison() -> Result<(), LabError> {
    let mut done = Transfer::new(Stock, &[Stock]).run()?;
    let mut bytes = std::fs::read(&done.receivers[0].file).unwrap();
    bytes[123_456] ^= 1;
    std::fs::write(&done.receivers[0].file, bytes).unwrap();
    let error = done.demand_success().unwrap_err().to_string();
    assert!(error.contains("at byte 123456"), "{error}");
    assert!(error.contains("--- receiver0:"), "{error}");
    Ok(())
}
