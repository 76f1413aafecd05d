//! Cast files to our hosted receiver: unpacked on the way to a file, and refused if they are not
//! what was asked for.
//!
//! The sender is the stock one: a cast file needs nothing of it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, Lab, LabError, Program, Running, image, test_key};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// Bytes of the image: not a whole number of chunks. Most of it are zeroes.
const LEN: u64 = (40 << 20) + 512;

/// A host for a sender and one for a receiver, an image, and its cast file.
struct Room {
    folder: TempDir,
    _lab: Lab,
    server: Host,
    machine: Host,
}

impl Room {
    fn new() -> Result<Self, LabError> {
        let lab = Lab::new()?;
        let room = Self {
            server: lab.host("10.77.0.1")?,
            machine: lab.host("10.77.0.2")?,
            _lab: lab,
            folder: tempfile::tempdir().unwrap(),
        };
        image::write_random(&room.path("image"), 5 << 20, 3)?;
        let file = fs::File::options().write(true).open(room.path("image"));
        file.unwrap().set_len(LEN).unwrap();
        let status = Command::new(Program::sender(Ours)?.path())
            .args(["pack", "image", "-o", "cast", "--name", "lab", "--sign"])
            .arg(test_key("trusted.key"))
            .current_dir(room.folder.path())
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
        Ok(room)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sends `sent` to a receiver of ours with these options, and waits for both.
    fn transfer(&self, sent: &str, options: &[&str]) -> Result<Running, LabError> {
        let receiver = Program::receiver(Ours)?.file(&self.path("out"));
        let receiver = receiver.args(options);
        let mut receiver = receiver.start(&self.machine, "receiver", self.folder.path())?;
        let sender = Program::sender(Stock)?.file(&self.path(sent));
        let sender = sender.args(&["--min-receivers", "1"]);
        let mut sender = sender.start(&self.server, "sender", self.folder.path())?;
        receiver.wait(LIMIT)?;
        sender.wait(LIMIT)?;
        Ok(receiver)
    }
}

fn demand_words(receiver: &Running, words: &[&str]) {
    let log = receiver.log();
    for word in words {
        assert!(log.contains(word), "{word} is not in {log}");
    }
}

fn key() -> String {
    test_key("trusted.pub").display().to_string()
}

#[test]
fn p1_a_cast_stream_is_unpacked_and_proved_without_its_zeroes() -> Result<(), LabError> {
    let room = Room::new()?;
    let mut receiver = room.transfer("cast", &["--trust", &key(), "--image", "lab"])?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("image"), &room.path("out"))?;
    let words = [
        "The image is signed by",
        "lab, version 1",
        "read back and found equal",
    ];
    demand_words(&receiver, &words);
    let taken = fs::metadata(room.path("out")).unwrap().blocks() * 512;
    assert!(taken < 12 << 20, "{taken} bytes taken");
    Ok(())
}

#[test]
fn a_cast_file_can_be_kept_as_it_is() -> Result<(), LabError> {
    let room = Room::new()?;
    let mut receiver = room.transfer("cast", &["--decompress", "none"])?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("cast"), &room.path("out"))
}

#[test]
fn p2_what_was_not_asked_for_leaves_the_file_as_it_was() -> Result<(), LabError> {
    let room = Room::new()?;
    let other = room.path("other.pub");
    let status = Command::new(Program::sender(Ours)?.path())
        .args(["keygen", "-W", "-s", "other.key", "-p", "other.pub"])
        .current_dir(room.folder.path())
        .status();
    assert!(status.unwrap().success());
    let other = other.display().to_string();
    for (sent, options, reason) in [
        ("cast", ["--trust", &other], "by a key that is trusted here"),
        ("cast", ["--image", "office"], "and \"office\" is wanted"),
        ("cast", ["--image-min-version", "2"], "2 or later is wanted"),
        ("image", ["--trust", &key()], "the stream is no cast stream"),
    ] {
        fs::write(room.path("out"), "old").unwrap();
        let mut receiver = room.transfer(sent, &options)?;
        receiver.wait_exit(1, LIMIT)?;
        demand_words(&receiver, &["nothing was written to", reason]);
        assert_eq!(fs::read(room.path("out")).unwrap(), b"old", "{reason}");
    }
    Ok(())
}

#[test]
fn p1_a_damaged_chunk_is_named_and_never_a_success() -> Result<(), LabError> {
    let room = Room::new()?;
    let mut bytes = fs::read(room.path("cast")).unwrap();
    let place = bytes.len() - 1000;
    bytes[place] ^= 1;
    fs::write(room.path("damaged"), bytes).unwrap();
    let mut receiver = room.transfer("damaged", &[])?;
    receiver.wait_exit(1, LIMIT)?;
    demand_words(&receiver, &["has no complete image", "chunk 4"]);
    let out: &Path = &room.path("out");
    assert!(fs::read(out).unwrap() != fs::read(room.path("image")).unwrap());
    Ok(())
}
