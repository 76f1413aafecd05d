//! Cast files by the command line: packed, looked into, proved, carried by stock programs,
//! unpacked; and what is said of those that are not right.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Lab, LabError, Program, image};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// Bytes of the image: not a whole number of chunks.
const LEN: u64 = (9 << 20) + 512;

/// A folder with an image, half of it zeroes, and its cast file, signed.
struct Folder(TempDir);

impl Folder {
    fn new() -> Result<Self, LabError> {
        let folder = Self(tempfile::tempdir().unwrap());
        image::write_random(&folder.path("image.raw"), LEN / 2, 1)?;
        let file = fs::File::options()
            .write(true)
            .open(folder.path("image.raw"));
        file.unwrap().set_len(LEN).unwrap();
        good(&folder.sender("keygen -W -s lab.key -p lab.pub"));
        good(&folder.sender("keygen -W -s other.key -p other.pub"));
        good(&folder.sender("pack image.raw -o image.cast --sign lab.key --chunk 1M"));
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sender(&self, words: &str) -> Output {
        self.run(Program::sender(Ours).unwrap().path(), words)
    }

    fn receiver(&self, words: &str) -> Output {
        self.run(Program::receiver(Ours).unwrap().path(), words)
    }

    fn run(&self, program: &Path, words: &str) -> Output {
        self.command(program, words).output().unwrap()
    }

    fn command(&self, program: &Path, words: &str) -> Command {
        let mut command = Command::new(program);
        command.args(words.split(' ')).current_dir(self.0.path());
        command
    }
}

fn good(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn bad(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    errors + &String::from_utf8_lossy(&output.stdout)
}

#[test]
fn p1_stock_programs_carry_a_cast_file_and_what_unpacks_it_proves_it() -> Result<(), LabError> {
    let folder = Folder::new()?;
    let lab = Lab::new()?;
    let server = lab.host("10.77.0.1")?;
    let unpack = Program::receiver(Ours)?;
    let mut receivers = Vec::new();
    for (number, kind) in [Stock, Stock, Ours].into_iter().enumerate() {
        let host = lab.host(&format!("10.77.0.{}", number + 2))?;
        let target = folder.path(&format!("out{number}"));
        let pipe = format!(
            "{} unpack --trust {} - {}",
            unpack.path().display(),
            folder.path("lab.pub").display(),
            target.display()
        );
        let receiver = Program::receiver(kind)?.args(&["--pipe", &pipe]);
        let name = format!("receiver{number}");
        receivers.push((receiver.start(&host, &name, folder.0.path())?, target, host));
    }
    let sender = Program::sender(Stock)?.file(&folder.path("image.cast"));
    let sender = sender.args(&["--min-receivers", "3"]);
    let mut sender = sender.start(&server, "sender", folder.0.path())?;
    sender.wait_success(LIMIT)?;
    for (receiver, target, _) in &mut receivers {
        receiver.wait_success(LIMIT)?;
        image::demand_equal(&folder.path("image.raw"), target)?;
    }
    Ok(())
}

#[test]
fn a_cast_file_says_what_it_is() -> Result<(), LabError> {
    let folder = Folder::new()?;
    let words = good(&folder.sender("inspect image.cast --trust lab.pub"));
    for word in [
        "image",
        &LEN.to_string(),
        "10 of 1048576",
        "zstd",
        "by the trusted key",
    ] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&good(&folder.receiver("inspect --json image.cast"))).unwrap();
    assert_eq!(json["size"], LEN);
    assert_eq!(json["signed_by"], serde_json::Value::Null);
    Ok(())
}

#[test]
fn a_disk_is_proved_by_its_cast_file_and_wrong_chunks_are_named() -> Result<(), LabError> {
    let folder = Folder::new()?;
    let words = good(&folder.sender("verify image.cast image.raw --trust lab.pub"));
    assert!(words.contains("all 10 chunks are right"), "{words}");
    let mut bytes = fs::read(folder.path("image.raw")).unwrap();
    // One in the data, one in the zeroes.
    bytes[3 << 20] ^= 1;
    bytes[8 << 20] ^= 1;
    fs::write(folder.path("other"), &bytes).unwrap();
    let words = bad(&folder.receiver("verify image.cast other"));
    for word in ["chunk 3 is wrong", "chunk 8 is wrong", "2 of 10"] {
        assert!(words.contains(word), "{word} is not in {words}");
    }
    Ok(())
}

#[test]
fn what_is_not_right_is_refused_with_its_reason_and_nothing_of_it_is_written()
-> Result<(), LabError> {
    let folder = Folder::new()?;
    let cast = fs::read(folder.path("image.cast")).unwrap();
    fs::write(folder.path("cut"), &cast[..cast.len() - 1]).unwrap();
    fs::write(folder.path("head"), &cast[..100]).unwrap();
    fs::write(folder.path("more"), [&cast[..], b"more"].concat()).unwrap();
    let mut changed = cast.clone();
    changed[20] ^= 1;
    fs::write(folder.path("changed"), &changed).unwrap();
    let mut table = cast.clone();
    table[380] ^= 1;
    fs::write(folder.path("table"), &table).unwrap();
    for (words, reason, is_written) in [
        ("unpack image.raw out", "no cast stream", false),
        ("unpack nothing out", "No such file", false),
        ("unpack head out", "ends before its first chunk", false),
        (
            "unpack --trust other.pub image.cast out",
            "a key that is trusted here",
            false,
        ),
        (
            "unpack --trust lab.pub changed out",
            "changed after it was signed",
            false,
        ),
        (
            "unpack --trust image.raw image.cast out",
            "is no public key",
            false,
        ),
        ("unpack table out", "its table of chunks", false),
        ("unpack cut out", "ends before or in chunk 4", true),
        ("unpack more out", "follows its last chunk", true),
    ] {
        let errors = bad(&folder.receiver(words));
        assert!(errors.contains(reason), "{words}: {errors}");
        assert_eq!(folder.path("out").exists(), is_written, "{words}");
    }
    Ok(())
}

#[test]
fn p2_an_image_that_has_expired_and_its_own_file_are_not_written() -> Result<(), LabError> {
    let folder = Folder::new()?;
    good(&folder.sender("pack image.raw -o old.cast --created 1000 --expires 2000"));
    let before = fs::read(folder.path("image.cast")).unwrap();
    for (words, reason) in [
        ("unpack old.cast out", "the image has expired"),
        ("unpack image.cast image.cast", "the image is read from it"),
    ] {
        let errors = bad(&folder.receiver(words));
        assert!(errors.contains(reason), "{words}: {errors}");
    }
    assert!(!folder.path("out").exists());
    assert!(fs::read(folder.path("image.cast")).unwrap() == before);
    Ok(())
}

#[test]
fn p2_stdin_and_stdout_may_be_what_is_named_too() -> Result<(), LabError> {
    let folder = Folder::new()?;
    let program = Program::receiver(Ours)?;
    let (cast, out) = (folder.path("image.cast"), folder.path("out"));
    let before = fs::read(&cast).unwrap();
    let mut receiver = folder.command(program.path(), "unpack - image.cast");
    let errors = bad(&receiver
        .stdin(fs::File::open(&cast).unwrap())
        .output()
        .unwrap());
    assert!(errors.contains("the image is read from it"), "{errors}");
    assert!(fs::read(&cast).unwrap() == before);
    let mut receiver = folder.command(program.path(), "unpack image.cast /dev/stdout");
    receiver.stdout(fs::File::create(&out).unwrap());
    assert!(receiver.output().unwrap().status.success());
    let image = fs::read(folder.path("image.raw")).unwrap();
    assert!(fs::read(out).unwrap() == image, "something else is in it");
    Ok(())
}

/// A loop device, given back at the end.
struct Loop(String);

impl Loop {
    /// `None` for whoever is not root.
    fn new(file: &Path, sector: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: it needs root, for a loop device");
            return None;
        }
        let mut losetup = Command::new("/usr/sbin/losetup");
        losetup.args(["--show", "--find", "--sector-size", sector]);
        let output = losetup.arg(file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let name = String::from_utf8(output.stdout).unwrap();
        Some(Self(name.trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let mut losetup = Command::new("/usr/sbin/losetup");
        let _ = losetup.args(["--detach", &self.0]).status();
    }
}

#[test]
fn p2_unpack_writes_to_no_disk_that_is_in_use_or_of_other_sectors() -> Result<(), LabError> {
    let folder = Folder::new()?;
    image::write_random(&folder.path("disk"), LEN.next_multiple_of(4096), 2)?;
    let before = fs::read(folder.path("disk")).unwrap();
    let Some(coarse) = Loop::new(&folder.path("disk"), "4096") else {
        return Ok(());
    };
    let errors = bad(&folder.receiver(&format!("unpack image.cast {}", coarse.0)));
    assert!(errors.contains("sectors of 512 bytes"), "{errors}");
    drop(coarse);
    let disk = Loop::new(&folder.path("disk"), "512").unwrap();
    // As whoever mounts it has it.
    let taken = std::os::unix::fs::OpenOptionsExt::custom_flags(
        fs::File::options().read(true),
        rustix::fs::OFlags::EXCL.bits().cast_signed(),
    )
    .open(&disk.0)
    .unwrap();
    let errors = bad(&folder.receiver(&format!("unpack image.cast {}", disk.0)));
    assert!(errors.contains("busy"), "{errors}");
    assert!(fs::read(folder.path("disk")).unwrap() == before);
    drop(taken);
    good(&folder.receiver(&format!("unpack image.cast {}", disk.0)));
    good(&folder.receiver(&format!("verify image.cast {}", disk.0)));
    Ok(())
}

#[test]
fn p1_unpack_fails_where_a_smaller_disk_would_lack_something() -> Result<(), LabError> {
    let folder = Folder::new()?;
    // Key 9 of the manifest says that it fits on a disk of 1 MiB.
    let mut cast = fs::read(folder.path("image.cast")).unwrap();
    let [_, low @ ..] = (LEN as u32).to_be_bytes();
    let key = [&[9, 0x1a, 0][..], &low].concat();
    let place = cast.windows(key.len()).position(|bytes| bytes == key);
    cast[place.unwrap() + 2..][..4].copy_from_slice(&(1_u32 << 20).to_be_bytes());
    fs::write(folder.path("wrong.cast"), &cast).unwrap();
    fs::write(folder.path("disk"), vec![7; 1 << 20]).unwrap();
    let Some(disk) = Loop::new(&folder.path("disk"), "512") else {
        return Ok(());
    };
    let errors = bad(&folder.receiver(&format!("unpack wrong.cast {}", disk.0)));
    assert!(errors.contains("the disk is full"), "{errors}");
    Ok(())
}

fn sgdisk(words: &str, disk: &Path) -> String {
    let mut sgdisk = Command::new("/usr/sbin/sgdisk");
    good(&sgdisk.args(words.split(' ')).arg(disk).output().unwrap())
}

#[test]
fn p8_unpack_makes_a_gpt_right_for_larger_disks_and_for_the_smallest() -> Result<(), LabError> {
    const SIZE: u64 = 16 << 20;
    let folder = Folder::new()?;
    let image = fs::File::create(folder.path("gpt.raw")).unwrap();
    image.set_len(SIZE).unwrap();
    sgdisk("-n1:0:+4M -n2:0:+3M", &folder.path("gpt.raw"));
    good(&folder.sender("pack gpt.raw -o gpt.cast"));
    let json = good(&folder.sender("inspect --json gpt.cast"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let least = json["least_disk"].as_u64().unwrap();
    for size in [least, least + 512, SIZE - 512, SIZE, SIZE + 512, 2 * SIZE] {
        fs::write(folder.path("disk"), vec![7; size as usize]).unwrap();
        let Some(disk) = Loop::new(&folder.path("disk"), "512") else {
            return Ok(());
        };
        let words = good(&folder.receiver(&format!("unpack gpt.cast {}", disk.0)));
        assert!(words.contains("read back and found equal"), "{words}");
        let is_moved = words.contains("its GPT was made right");
        assert_eq!(is_moved, size != SIZE, "{size}: {words}");
        let said = sgdisk("--verify", Path::new(&disk.0));
        assert!(said.contains("No problems found"), "{size}: {said}");
    }
    fs::write(folder.path("disk"), vec![7; least as usize - 512]).unwrap();
    let Some(disk) = Loop::new(&folder.path("disk"), "512") else {
        return Ok(());
    };
    let errors = bad(&folder.receiver(&format!("unpack gpt.cast {}", disk.0)));
    assert!(errors.contains("for a disk of at least"), "{errors}");
    drop(disk);
    let kept = fs::read(folder.path("disk")).unwrap();
    assert!(kept.iter().all(|&byte| byte == 7));
    Ok(())
}

#[test]
fn p2_a_disk_whose_image_breaks_off_starts_no_more() -> Result<(), LabError> {
    let folder = Folder::new()?;
    let cast = fs::read(folder.path("image.cast")).unwrap();
    fs::write(folder.path("cut"), &cast[..cast.len() - 1]).unwrap();
    fs::write(folder.path("disk"), vec![7; LEN as usize]).unwrap();
    let Some(disk) = Loop::new(&folder.path("disk"), "512") else {
        return Ok(());
    };
    let errors = bad(&folder.receiver(&format!("unpack cut {}", disk.0)));
    assert!(errors.contains("has no complete image"), "{errors}");
    drop(disk);
    let left = fs::read(folder.path("disk")).unwrap();
    assert!(left[..1 << 20].iter().all(|&byte| byte == 0));
    Ok(())
}

#[test]
fn nothing_is_packed_by_halves_or_over_something_else() -> Result<(), LabError> {
    let folder = Folder::new()?;
    fs::write(folder.path("odd"), [1; 513]).unwrap();
    fs::write(folder.path("empty"), []).unwrap();
    for (words, reason) in [
        ("pack image.raw -o image.cast", "--force"),
        ("pack odd -o new", "--sector-size"),
        ("pack empty -o new", "empty is empty"),
        ("pack nothing -o new", "No such file"),
        ("pack image.cast -o new", "it is a cast file already"),
        ("pack image.raw -o new --sign lab.pub", "lab.pub"),
        ("pack image.raw -o new --chunk 1000", "key 8"),
        ("pack image.raw -o no/where", "No such file"),
        ("keygen -W -s lab.key -p lab.pub", "never written over"),
    ] {
        let errors = bad(&folder.sender(words));
        assert!(errors.contains(reason), "{words}: {errors}");
        assert!(!folder.path("new").exists(), "{words}");
    }
    let usage = folder.sender("pack image.raw -o new --compress bzip2");
    assert_eq!(usage.status.code(), Some(2));
    let before = fs::read(folder.path("image.cast")).unwrap();
    good(&folder.sender("pack image.raw -o image.cast --force --sign lab.key --chunk 1M"));
    assert!(fs::read(folder.path("image.cast")).unwrap() == before);
    Ok(())
}
