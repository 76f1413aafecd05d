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
            .args([
                "pack", "image", "-o", "cast", "--name", "lab", "--chunk", "1M", "--sign",
            ])
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
        self.transfer_by(Program::sender(Stock)?, sent, options)
    }

    /// The same by this sender.
    fn transfer_by(
        &self,
        sender: Program,
        sent: &str,
        options: &[&str],
    ) -> Result<Running, LabError> {
        let receiver = Program::receiver(Ours)?.file(&self.path("out"));
        let receiver = receiver.args(options);
        let mut receiver = receiver.start(&self.machine, "receiver", self.folder.path())?;
        let sender = sender.file(&self.path(sent));
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
        "The image is lab, version 1, signed by",
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

#[test]
fn p1_an_image_that_was_not_packed_is_cast_and_its_hashes_are_kept() -> Result<(), LabError> {
    let room = Room::new()?;
    let key = test_key("trusted.key").display().to_string();
    // Until then it may still be changing.
    std::thread::sleep(Duration::from_secs(3));
    for _ in 0..2 {
        let sender = Program::sender(Ours)?.args(&["--cast", "--sign", &key]);
        let sender = sender.args(&["--image-name", "office", "--image-version", "7"]);
        let options = ["--trust", &self::key(), "--image-min-version", "7"];
        let mut receiver = room.transfer_by(sender, "image", &options)?;
        receiver.wait_success(LIMIT)?;
        image::demand_equal(&room.path("image"), &room.path("out"))?;
        demand_words(
            &receiver,
            &["office, version 7", "read back and found equal"],
        );
        assert!(room.path("image.hashes").exists());
        fs::remove_file(room.path("out")).unwrap();
    }
    // Hashes of something else are not believed.
    let sender = Program::sender(Ours)?.args(&["--cast"]);
    let mut bytes = fs::read(room.path("image")).unwrap();
    bytes[1 << 20] ^= 1;
    fs::write(room.path("image"), bytes).unwrap();
    let mut receiver = room.transfer_by(sender, "image", &[])?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("image"), &room.path("out"))
}

/// The header is made here as FOG's server makes it, by the shell's printf.
#[test]
fn p2_a_stream_with_fogs_header_is_the_file_that_it_names() -> Result<(), LabError> {
    let room = Room::new()?;
    let script = "{ printf 'FOGMC1 %-120s\\n' d1p2.img; cat image; } > stream";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(room.folder.path());
    assert!(shell.status().unwrap().success());
    let mut receiver = room.transfer("stream", &["--fog-name", "d1p2.img"])?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("image"), &room.path("out"))?;
    // Ours writes the same, and takes the cast stream behind it for what it is.
    let sender = Program::sender(Ours)?.args(&["--fog-name", "d1p2.img"]);
    let mut receiver = room.transfer_by(sender, "image", &["--decompress", "none"])?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("stream"), &room.path("out"))?;
    let sender = Program::sender(Ours)?.args(&["--fog-name", "d1p2.img"]);
    let mut receiver = room.transfer_by(sender, "cast", &["--fog-name", "d1p2.img"])?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("image"), &room.path("out"))?;
    for (sent, reason) in [
        ("stream", "the file \"d1p2.img\" by FOG's header"),
        ("image", "no header of FOG's"),
    ] {
        fs::write(room.path("out"), "old").unwrap();
        let mut receiver = room.transfer(sent, &["--fog-name", "d1p1.img"])?;
        receiver.wait_exit(1, LIMIT)?;
        demand_words(&receiver, &["nothing was written to", reason]);
        assert_eq!(fs::read(room.path("out")).unwrap(), b"old", "{sent}");
    }
    Ok(())
}
