//! What our programs say and how they end without a counterpart.
//!
//! Options that can't be, files that are not there, and nobody who answers.

use std::time::Duration;

use ironcast_tests::Kind::Ours;
use ironcast_tests::{Lab, LabError, Program};

/// Runs one of our programs by itself with `arguments`: its exit status and what it printed.
fn alone(program: Program, arguments: &[&str]) -> Result<(Option<i32>, String), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let lab = Lab::new()?;
    let host = lab.host("10.77.0.1")?;
    let mut program = program
        .args(arguments)
        .start(&host, "alone", folder.path())?;
    let status = program.wait(Duration::from_secs(10))?;
    Ok((status.code(), program.log()))
}

#[test]
fn options_that_are_not_supported_are_refused_by_name() -> Result<(), LabError> {
    let options = ["--rate-governor", "ratelimit.so"];
    let (code, log) = alone(Program::sender(Ours)?, &options)?;
    assert_eq!(code, Some(3), "{log}");
    assert!(
        log.contains("--rate-governor") && log.contains("--max-bitrate"),
        "{log}"
    );
    Ok(())
}

#[test]
fn options_that_make_no_sense_are_refused() -> Result<(), LabError> {
    let senseless: &[&[&str]] = &[
        &["--portbase", "9001"],
        &["--blocksize", "7"],
        &["--no-such-option"],
        &["--interface", "nosuch0"],
    ];
    for options in senseless {
        let (code, log) = alone(Program::sender(Ours)?, options)?;
        assert!(matches!(code, Some(1 | 2)), "{code:?}: {log}");
        assert!(log.contains(options[options.len() - 1]), "{log}");
    }
    Ok(())
}

#[test]
fn nobody_there_ends_the_wait_in_time() -> Result<(), LabError> {
    let sender = [
        "--file",
        "/dev/null",
        "--min-receivers",
        "1",
        "--start-timeout",
        "1",
    ];
    let (code, log) = alone(Program::sender(Ours)?, &sender)?;
    assert_eq!(code, Some(6), "{log}");
    let receiver = ["--file", "/dev/null", "--start-timeout", "1"];
    let (code, log) = alone(Program::receiver(Ours)?, &receiver)?;
    assert_eq!(code, Some(6), "{log}");
    Ok(())
}

#[test]
fn a_source_or_target_that_cannot_be_opened_is_named() -> Result<(), LabError> {
    let (code, log) = alone(Program::sender(Ours)?, &["--file", "/nonexistent/image"])?;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("/nonexistent/image"), "{log}");
    let (code, log) = alone(Program::receiver(Ours)?, &["--file", "/nonexistent/disk"])?;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("/nonexistent/disk"), "{log}");
    Ok(())
}
