//! `--pipe` at either end, beside a stock program at the other.
//!
//! The command's failure has to be the program's failure, and what goes over the wire has to be
//! what a stock program makes of the same option.

use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{LabError, Transfer};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn compressed_at_one_end_and_decompressed_at_the_other() -> Result<(), LabError> {
    for (sender, receiver) in [(Ours, Stock), (Stock, Ours), (Ours, Ours)] {
        let transfer = Transfer::new(sender, &[receiver, receiver]).size(3_000_001);
        let transfer = transfer.sender_args(&["--pipe", "gzip -c"]);
        transfer.receiver_args(&["--pipe", "gzip -dc"]).run()?;
    }
    Ok(())
}

#[test]
fn our_receiver_fails_if_its_command_fails() -> Result<(), LabError> {
    for sender in [Ours, Stock] {
        // It reads everything, so that only its status tells of the failure.
        let command = "cat > /dev/null; exit 3";
        let transfer = Transfer::new(sender, &[Ours]).receiver_args(&["--pipe", command]);
        let mut transfer = transfer.start()?;
        let status = transfer.receivers[0].program.wait(LIMIT)?;
        let log = transfer.receivers[0].program.log();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(command) && log.contains('3'), "{log}");
    }
    Ok(())
}

#[test]
fn our_sender_fails_if_its_command_fails() -> Result<(), LabError> {
    for receiver in [Ours, Stock] {
        let command = "head -c 100000; exit 3";
        let transfer = Transfer::new(Ours, &[receiver]).sender_args(&["--pipe", command]);
        let mut transfer = transfer.start()?;
        let status = transfer.sender.wait(LIMIT)?;
        let log = transfer.sender.log();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(command) && log.contains('3'), "{log}");
    }
    Ok(())
}
