//! Compressed images to our hosted receiver, from the real programs by way of a stock sender.
//!
//! They are taken as they come unless it is said otherwise, since scripts of the stock program pipe
//! them on; what is decompressed has to be right to the last byte, or a failure.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, Lab, LabError, Program, Running, image};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// Each format's word, and a program that makes it.
const FORMATS: &[(&str, &[&str])] = &[
    ("gzip", &["gzip", "-1"]),
    ("lzop", &["lzop", "-1"]),
    ("lz4", &["lz4", "-1", "-BD"]),
    ("zstd", &["zstd", "-3", "--long=23"]),
];

/// A host for a sender and one for a receiver, and an image that is compressed.
struct Room {
    folder: TempDir,
    _lab: Lab,
    server: Host,
    machine: Host,
    image: PathBuf,
    sent: PathBuf,
    file: PathBuf,
}

impl Room {
    fn new(program: &[&str]) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        let [image, sent, file] = ["image", "sent", "file"].map(|name| folder.path().join(name));
        image::write_repeated(&image, 4, 9)?;
        image::compress(program, &image, &sent)?;
        let lab = Lab::new()?;
        Ok(Self {
            server: lab.host("10.77.0.1")?,
            machine: lab.host("10.77.0.2")?,
            _lab: lab,
            folder,
            image,
            sent,
            file,
        })
    }

    /// Sends the compressed image to a receiver of ours, and waits for both ends.
    fn transfer(&self, receiver: Program) -> Result<Running, LabError> {
        let receiver = receiver.start(&self.machine, "receiver", self.folder.path())?;
        self.send_to(receiver)
    }

    fn send_to(&self, mut receiver: Running) -> Result<Running, LabError> {
        let sender = Program::sender(Stock)?.file(&self.sent);
        let sender = sender.args(&["--min-receivers", "1"]);
        let mut sender = sender.start(&self.server, "sender", self.folder.path())?;
        receiver.wait(LIMIT)?;
        sender.wait(LIMIT)?;
        Ok(receiver)
    }

    fn receiver(&self, arguments: &[&str]) -> Result<Program, LabError> {
        Ok(Program::receiver(Ours)?.args(arguments))
    }
}

fn demand_success(receiver: &mut Running) -> Result<(), LabError> {
    receiver.wait_success(LIMIT)
}

/// Demands that it failed with status 1, and that its log has these words.
fn demand_failure(receiver: &mut Running, words: &[&str]) -> Result<(), LabError> {
    let status = receiver.wait(LIMIT)?;
    let log = receiver.log();
    let is_told = words.iter().all(|word| log.contains(word));
    match status.code() == Some(1) && is_told {
        true => Ok(()),
        false => Err(LabError::wrong(format!(
            "it ended with {status}, not with 1 and {words:?}:\n{log}"
        ))),
    }
}

/// The hash that a receiver told.
fn hash(receiver: &Running) -> Option<String> {
    let log = receiver.log();
    let line = log.lines().find(|line| line.starts_with("blake3: "));
    line.map(ToOwned::to_owned)
}

#[test]
fn every_format_is_decompressed_into_a_file() -> Result<(), LabError> {
    for (word, program) in FORMATS {
        let room = Room::new(program)?;
        let receiver = room.receiver(&["--decompress", "none"])?.file(&room.file);
        let as_sent = hash(&room.transfer(receiver)?);
        assert!(as_sent.is_some());
        for how in ["auto", word] {
            let receiver = room.receiver(&["--decompress", how])?.file(&room.file);
            let mut receiver = room.transfer(receiver)?;
            demand_success(&mut receiver)?;
            image::demand_equal(&room.image, &room.file)?;
            // Both ends tell the hash of what was sent.
            assert_eq!(hash(&receiver), as_sent);
        }
    }
    Ok(())
}

#[test]
fn an_image_is_taken_as_it_comes_unless_it_is_said() -> Result<(), LabError> {
    for (_, program) in FORMATS {
        let room = Room::new(program)?;
        for arguments in [&[][..], &["--decompress", "none"]] {
            let receiver = room.receiver(arguments)?.file(&room.file);
            demand_success(&mut room.transfer(receiver)?)?;
            image::demand_equal(&room.sent, &room.file)?;
        }
    }
    Ok(())
}

#[test]
fn it_is_decompressed_to_stdout_and_for_a_command() -> Result<(), LabError> {
    let room = Room::new(&["zstd", "-3"])?;
    let stdout = File::create(&room.file).map_err(|e| LabError::io("make the file", e))?;
    let receiver = room.receiver(&["--decompress", "auto"])?.stdout(stdout);
    demand_success(&mut room.transfer(receiver)?)?;
    image::demand_equal(&room.image, &room.file)?;

    let command = ["--decompress", "zstd", "--pipe", "cat; echo -n the end"];
    let receiver = room.receiver(&command)?.file(&room.file);
    demand_success(&mut room.transfer(receiver)?)?;
    let expected = [fs::read(&room.image).unwrap(), b"the end".to_vec()].concat();
    assert!(fs::read(&room.file).unwrap() == expected);
    Ok(())
}

#[test]
fn p1_an_image_that_is_cut_off_or_damaged_is_a_failure() -> Result<(), LabError> {
    for (word, program) in FORMATS {
        let room = Room::new(program)?;
        let sent = fs::read(&room.sent).unwrap();
        let mut damaged = sent.clone();
        damaged[sent.len() / 2] ^= 4;
        let check = format!("{word} -t");
        for (bytes, words) in [
            (&sent[..sent.len() - 1], "are cut off"),
            (&sent[..sent.len() / 3], "are cut off"),
            (&damaged, "damaged"),
        ] {
            fs::write(&room.sent, bytes).unwrap();
            let receiver = room.receiver(&["--decompress", "auto"])?.file(&room.file);
            let mut receiver = room.transfer(receiver)?;
            demand_failure(&mut receiver, &[word, words, &check])?;
        }
    }
    Ok(())
}

#[test]
fn an_image_of_another_kind_than_was_said_leaves_the_file_alone() -> Result<(), LabError> {
    let room = Room::new(&["lzop", "-1"])?;
    fs::write(&room.file, "what was there before").unwrap();
    for how in ["gzip", "lz4", "zstd"] {
        let receiver = room.receiver(&["--decompress", how])?.file(&room.file);
        let words = [how, "not", "nothing was written"];
        demand_failure(&mut room.transfer(receiver)?, &words)?;
        assert_eq!(fs::read(&room.file).unwrap(), b"what was there before");
    }
    Ok(())
}

/// Where the system gives no memory, that is a failure with words, and not a crash.
#[test]
fn p6_a_window_larger_than_the_memory_is_a_failure() -> Result<(), LabError> {
    let room = Room::new(&["zstd", "-1", "--long=27"])?;
    let receiver = room.receiver(&[])?;
    let script = format!(
        "ulimit -v 262144; exec {} --nokbd --decompress auto --file {}",
        receiver.path().display(),
        room.file.display()
    );
    let mut shell = room.machine.command("sh")?;
    shell.args(["-c", &script]);
    let folder = room.folder.path();
    let receiver = Running::start_with("receiver", shell, folder, Stdio::null(), None)?;
    let words = ["zstd data need", "MiB of memory", "--long"];
    demand_failure(&mut room.send_to(receiver)?, &words)
}
