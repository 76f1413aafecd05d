//! Cast files: how fast images are packed, how small they get, and how much sooner they are there.
//!
//! Beside programs that do a part of the same: `zstd` compresses on all processors, `b3sum` hashes,
//! partclone leaves out what a file system does not use. A transfer of the cast file is measured
//! beside one of the image as it is, between the same two hosts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Kind, Lab, Program, find_tool};

use crate::median::median;
use crate::memory_folder::MemoryFolder;
use crate::options::{Options, Part};
use crate::page::Page;
use crate::plot::short;
use crate::table::Table;

/// Where real files are taken from.
const FILES: &str = "/usr";

/// Bytes of real files in the file system, and of the file system.
const SIZES: (u64, u64) = (600 << 20, 4 << 30);

/// The same for `--quick`.
const QUICK: (u64, u64) = (40 << 20, 256 << 20);

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Measures packing, sizes, and transfers.
///
/// Fails if a program is missing or fails.
pub fn run(options: &Options) -> Result<Page> {
    let memory = MemoryFolder::new()?;
    let images = Images::make(memory, if options.quick { QUICK } else { SIZES })?;
    let mut raw = Table::new(["what", "round", "seconds", "bytes"]);
    let speeds = speeds(&images, options, &mut raw)?;
    let sizes = sizes(&images)?;
    let transfers = transfers(&images, options, &mut raw)?;
    let (name, title) = Part::Images.names();
    let mut page = Page::new(name, title, raw);
    let (data, size) = (images.data >> 20, images.size >> 20);
    page.text(format!(
        "Real files of {FILES}, {data} MiB of them: for packing one behind the other in one file, \
         and else in an ext4 file system of {size} MiB, made by `mkfs.ext4 -d`, whose file is \
         sparse."
    ));
    page.text("## Packing");
    page.text(
        "MiB/s of the image, from the system's cache to memory, on all processors. Ours hashes \
         each chunk too, before and after it is compressed.",
    );
    page.table(speeds);
    page.text("## Size");
    page.table(sizes);
    page.text("## Transfer");
    page.text(
        "To one receiver of ours, from memory to memory, by our sender or by Debian's \
         `udp-sender`; as in the other parts, from when the sender says that it starts until it \
         has ended, when the receiver has acknowledged all. The image of a cast stream is read \
         back before that.",
    );
    page.table(transfers);
    Ok(page)
}

/// What is packed and sent.
struct Images {
    memory: MemoryFolder,
    /// Bytes of the real files.
    data: u64,
    /// Bytes of the file system.
    size: u64,
}

impl Images {
    fn make(memory: MemoryFolder, (data, size): (u64, u64)) -> Result<Self> {
        let files = memory.path().join("files");
        let mut images = Self {
            memory,
            data: 0,
            size,
        };
        fs::create_dir_all(&files).context("cannot make a folder for files")?;
        images.take(Path::new(FILES), &files, data)?;
        let mut plain = File::create(images.plain()).context("cannot make the plain image")?;
        for entry in fs::read_dir(&files).context("cannot list the files")? {
            let path = entry.context("cannot list the files")?.path();
            let mut file = File::open(&path).context("cannot read a file")?;
            std::io::copy(&mut file, &mut plain).context("cannot copy a file")?;
        }
        let whole = plain.metadata().context("cannot measure the image")?.len();
        plain
            .set_len(whole / 512 * 512)
            .context("cannot cut the plain image")?;
        let file = File::create(images.system()).context("cannot make the file system")?;
        file.set_len(size).context("cannot make the file system")?;
        let mut make = Command::new(find_tool("mkfs.ext4")?);
        make.args(["-q", "-F", "-d"])
            .arg(&files)
            .arg(images.system());
        finish(&mut make)?;
        fs::remove_dir_all(&files).context("cannot remove the files")?;
        Ok(images)
    }

    /// Copies files from below `from` to `to`, until there are so many bytes; in the order of their
    /// names, so that it is the same each time.
    fn take(&mut self, from: &Path, to: &Path, wanted: u64) -> Result<()> {
        let entries = fs::read_dir(from).with_context(|| format!("list {}", from.display()))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let Ok(metadata) = fs::symlink_metadata(&path) else {
                continue;
            };
            if self.data >= wanted {
                return Ok(());
            }
            if metadata.is_dir() {
                self.take(&path, to, wanted)?;
            } else if metadata.is_file() && metadata.len() > 0 {
                let number = fs::read_dir(to).context("cannot list the files")?.count();
                fs::copy(&path, to.join(format!("{number:06}")))
                    .with_context(|| format!("cannot copy {}", path.display()))?;
                self.data += metadata.len();
            }
        }
        Ok(())
    }

    /// The files, one behind the other.
    fn plain(&self) -> PathBuf {
        self.path("plain")
    }

    /// The file system with them.
    fn system(&self) -> PathBuf {
        self.path("system")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.memory.path().join(name)
    }

    /// Packs an image.
    fn pack(&self, image: &Path, output: &Path, options: &[&str]) -> Result<Command> {
        let mut pack = Command::new(Program::sender(Ours)?.path());
        pack.arg("pack").arg(image).arg("-o").arg(output);
        pack.args(["--force", "--name", "image"]).args(options);
        Ok(pack)
    }
}

/// Runs a program to its good end.
fn finish(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{command:?}: {}: {}", output.status, words.trim());
    }
    Ok(())
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn speeds(images: &Images, options: &Options, raw: &mut Table) -> Result<Table> {
    let plain = images.plain();
    let (target, to) = (images.path("cast"), images.path("other"));
    let from = plain.display();
    let size = fs::metadata(&plain)
        .context("cannot measure the image")?
        .len();
    let pack = |codec: &str| images.pack(&plain, &target, &["--compress", codec]);
    let mut ways = [
        ("pack --compress none", pack("none")?, Some(&target)),
        ("pack --compress lz4", pack("lz4")?, Some(&target)),
        ("pack --compress zstd:3", pack("zstd:3")?, Some(&target)),
        (
            "zstd -3 -T0",
            shell(&format!("zstd -q -3 -T0 -c '{from}' > '{}'", to.display())),
            Some(&to),
        ),
        (
            "lz4 -1 (one processor)",
            shell(&format!("lz4 -q -1 -c '{from}' > '{}'", to.display())),
            Some(&to),
        ),
        ("b3sum", shell(&format!("b3sum '{from}'")), None),
    ];
    let mut times = vec![Vec::new(); ways.len()];
    let mut lengths = vec![None; ways.len()];
    for round in 1..=options.rounds() {
        for (number, (name, command, output)) in ways.iter_mut().enumerate() {
            let start = Instant::now();
            finish(command)?;
            let time = start.elapsed().as_secs_f64();
            times[number].push(time);
            let length = output.map(|path| fs::metadata(path).map(|file| file.len()));
            lengths[number] = length.transpose().context("cannot measure the output")?;
            let bytes = lengths[number].unwrap_or_default();
            eprintln!("{name:<24} {time:.2} s");
            raw.row([
                (*name).to_owned(),
                round.to_string(),
                format!("{time:.3}"),
                bytes.to_string(),
            ]);
        }
    }
    let mut table = Table::new(["", "MiB/s", "seconds", "% of the image"]);
    for (number, (name, ..)) in ways.iter().enumerate() {
        let time = median(times[number].iter().copied()).unwrap_or_default();
        let part = lengths[number].map(|length| length as f64 / size as f64 * 100.0);
        table.row([
            (*name).to_owned(),
            short(size as f64 / time / f64::from(1 << 20)),
            short(time),
            part.map_or_else(|| "-".to_owned(), short),
        ]);
    }
    for output in [&target, &to, &plain] {
        fs::remove_file(output).context("cannot remove an image")?;
    }
    Ok(table)
}

fn sizes(images: &Images) -> Result<Table> {
    let system = images.system();
    let ours = images.path("used.cast");
    let used = ["--used-only", "--compress", "zstd:3"];
    finish(&mut images.pack(&system, &ours, &used)?)?;
    let theirs = images.path("used.zst");
    let script = format!(
        "partclone.ext4 -c -s '{}' -o - -L '{}' | zstd -q -3 -c > '{}'",
        system.display(),
        images.path("partclone.log").display(),
        theirs.display()
    );
    finish(&mut shell(&script))?;
    let length = |path: &Path| -> Result<u64> {
        let metadata = fs::metadata(path);
        Ok(metadata.context("cannot measure a packed image")?.len())
    };
    let (ours, theirs) = (length(&ours)?, length(&theirs)?);
    eprintln!("used only: {ours} bytes, partclone and zstd: {theirs}");
    let mut table = Table::new(["", "bytes", "% of partclone's"]);
    for (name, bytes) in [
        ("pack --used-only --compress zstd:3", ours),
        ("partclone.ext4, zstd -3", theirs),
    ] {
        let part = bytes as f64 / theirs as f64 * 100.0;
        table.row([name.to_owned(), bytes.to_string(), format!("{part:.1}")]);
    }
    Ok(table)
}

fn transfers(images: &Images, options: &Options, raw: &mut Table) -> Result<Table> {
    let system = images.system();
    let cast = |codec: &str| -> Result<PathBuf> {
        let path = images.path(&format!("{codec}.cast"));
        finish(&mut images.pack(&system, &path, &["--compress", codec])?)?;
        Ok(path)
    };
    let (none, lz4, zstd) = (cast("none")?, cast("lz4")?, cast("zstd:3")?);
    let ways = [
        ("raw", Ours, system.clone()),
        ("cast, none", Ours, none),
        ("cast, lz4", Ours, lz4.clone()),
        ("cast, zstd:3", Ours, zstd.clone()),
        ("raw, by udp-sender", Stock, system),
        ("cast, lz4, by udp-sender", Stock, lz4),
        ("cast, zstd:3, by udp-sender", Stock, zstd),
    ];
    let mut times = vec![Vec::new(); ways.len()];
    for round in 1..=options.rounds() {
        for (number, (name, sender, path)) in ways.iter().enumerate() {
            let time = transfer(images, *sender, path).with_context(|| (*name).to_owned())?;
            eprintln!("{name:<28} {time:.2} s");
            times[number].push(time);
            let length = fs::metadata(path).map_or(0, |file| file.len());
            raw.row([
                format!("transfer, {name}"),
                round.to_string(),
                format!("{time:.3}"),
                length.to_string(),
            ]);
        }
    }
    let medians: Vec<f64> = times
        .iter()
        .map(|times| median(times.iter().copied()).unwrap_or_default())
        .collect();
    let mut table = Table::new(["", "seconds", "times as fast as raw", "MiB sent"]);
    let mut raw_time = 0.0;
    for ((name, _, path), time) in ways.iter().zip(&medians) {
        let length = fs::metadata(path).map_or(0, |file| file.len());
        if name.starts_with("raw") {
            raw_time = *time;
        }
        table.row([
            (*name).to_owned(),
            short(*time),
            short(raw_time / time),
            short(length as f64 / f64::from(1 << 20)),
        ]);
    }
    Ok(table)
}

/// Seconds that a transfer takes whose target is found to be right.
fn transfer(images: &Images, sender: Kind, image: &Path) -> Result<f64> {
    let lab = Lab::new()?;
    let (server, machine) = (lab.host("10.77.0.1")?, lab.host("10.77.0.2")?);
    let target = images.path("target");
    let folder = images.memory.path();
    images
        .memory
        .warm(images.data)
        .context("cannot fill memory")?;
    let receiver = Program::receiver(Ours)?.file(&target);
    let mut receiver = receiver.start(&machine, "receiver", folder)?;
    std::thread::sleep(Duration::from_millis(500));
    let sender = Program::sender(sender)?.file(image);
    let sender = sender.args(&["--min-receivers", "1"]);
    let mut sender = sender.start(&server, "sender", folder)?;
    sender.wait_for("Starting transfer", LIMIT)?;
    let start = Instant::now();
    sender.wait_success(LIMIT)?;
    let time = start.elapsed();
    receiver.wait_success(LIMIT)?;
    ironcast_tests::image::demand_equal(&images.system(), &target)?;
    fs::remove_file(&target).context("cannot remove the target")?;
    Ok(time.as_secs_f64())
}
