//! `--pipe` at either end, beside a stock program at the other; and a pipe that nobody reads.
//!
//! The command's failure has to be the program's failure, and what goes over the wire has to be
//! what a stock program makes of the same option.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Stdio;
use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, Lab, LabError, Program, Running, Transfer, image};

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

#[test]
fn the_command_ends_with_its_sender() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let pid = folder.path().join("pid");
    let lab = Lab::new()?;
    let server = lab.host("10.77.0.1")?;
    for after_its_output in ["", "exec >&-; "] {
        let command = format!(
            "{after_its_output}echo $$ > {}; exec sleep 1000",
            pid.display()
        );
        let sender = Program::sender(Ours)?.args(&["--pipe", &command]);
        let mut sender = sender.start(&server, "sender", folder.path())?;
        while !pid.exists() {
            assert!(sender.is_running(), "{}", sender.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        sender.signal(rustix::process::Signal::TERM)?;
        assert_eq!(sender.wait(LIMIT)?.code(), Some(143), "{}", sender.log());
        let number = std::fs::read_to_string(&pid).unwrap();
        let process = std::path::Path::new("/proc").join(number.trim());
        assert!(!process.exists(), "{after_its_output}");
        std::fs::remove_file(&pid).unwrap();
    }
    Ok(())
}

/// Whether the last progress line says how far the file is; if so, it is at its end.
fn shows_position(log: &str, size: &str) -> bool {
    let mut lines = log.lines().filter(|line| line.starts_with("bytes="));
    let Some((_, position)) = lines.next_back().and_then(|line| line.rsplit_once("B/s")) else {
        return false;
    };
    assert!(
        !position.contains("of the file") || position.contains(size),
        "{log}"
    );
    position.contains("of the file")
}

#[test]
fn how_far_the_file_is_is_shown_with_a_command_or_if_asked() -> Result<(), LabError> {
    for (args, is_shown) in [
        (&[][..], false),
        (&["-x", "1"], true),
        (&["--pipe", "cat"], true),
        (&["--pipe", "cat", "-x", "0"], false),
    ] {
        let transfer = Transfer::new(Ours, &[Ours])
            .size(3_000_001)
            .sender_args(args);
        let transfer = transfer.receiver_args(args).run()?;
        for program in [&transfer.sender, &transfer.receivers[0].program] {
            let log = program.log();
            assert_eq!(
                shows_position(&log, "3 000 001"),
                is_shown,
                "{args:?}: {log}"
            );
        }
    }
    Ok(())
}

/// Starts a program whose stderr is a full pipe.
fn start_unread(
    host: &Host,
    name: &str,
    folder: &std::path::Path,
    command: &str,
) -> Result<Running, LabError> {
    // Who holds its end for reading too gets no SIGPIPE; 64 KiB fill it.
    let pipe = folder.join(format!("{name}-stderr"));
    let pipe = pipe.display();
    let fill = "head -c 65536 /dev/zero >&3";
    let script = format!("mkfifo {pipe}; exec 3<>{pipe}; {fill}; exec {command} 2>&3");
    let mut shell = host.command("bash")?;
    shell.args(["-ec", &script]);
    Running::start_with(name, shell, folder, Stdio::null(), None)
}

#[test]
fn a_full_pipe_at_stderr_holds_nobody_up() -> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let folder = folder.path();
    let (source, file) = (folder.join("source"), folder.join("file"));
    image::write_random(&source, 3_000_000, 1)?;
    let lab = Lab::new()?;
    let (server, machine) = (lab.host("10.77.0.1")?, lab.host("10.77.0.2")?);
    let (sender, receiver) = (Program::sender(Ours)?, Program::receiver(Ours)?);
    let receiver = format!("{} -k -f {}", receiver.path().display(), file.display());
    let mut receiver = start_unread(&machine, "receiver", folder, &receiver)?;
    let sender = format!(
        "{} -k -f {} -C 1 --max-bitrate 8m",
        sender.path().display(),
        source.display()
    );
    let mut sender = start_unread(&server, "sender", folder, &sender)?;
    sender.wait_success(LIMIT)?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&source, &file)
}
