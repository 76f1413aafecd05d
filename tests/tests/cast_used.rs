//! What `pack --used-only` leaves out of real file systems, and that nothing of them is missing;
//! and images of virtual machines.
//!
//! Each file system is made over noise, so that what nobody uses is not zero. The programs of each
//! one judge what comes out again.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ironcast_tests::Kind::Ours;
use ironcast_tests::{LabError, Program, find_tool, image};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a program in the folder, and demands that it is content.
    fn run(&self, words: &str) -> String {
        let output = self.try_run(words);
        assert!(output.status.success(), "{words}: {output:?}");
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        said
    }

    fn try_run(&self, words: &str) -> Output {
        // A word may have a blank in it that does not break.
        let mut words = words.split(' ').map(|word| word.replace('\u{a0}', " "));
        let program = words.next().unwrap();
        let program = match program.as_str() {
            "ironcast-sender" => Program::sender(Ours).unwrap().path().to_owned(),
            other => find_tool(other).unwrap(),
        };
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(self.0.path())
            .env("LC_ALL", "C");
        command.output().unwrap()
    }

    fn pack(&self, words: &str) -> String {
        self.run(&format!("ironcast-sender pack {words} --force --created 1"))
    }

    fn open(&self, name: &str) -> File {
        let file = File::options().read(true).write(true).open(self.path(name));
        file.unwrap()
    }

    /// A file of noise with a file system that `words` make on it.
    fn made(&self, name: &str, mib: u64, words: &str) -> Result<(), LabError> {
        image::write_random(&self.path(name), mib * MIB, mib)?;
        self.run(words);
        Ok(())
    }

    /// A folder with files that a file system is to have.
    fn files(&self) -> Result<(), LabError> {
        fs::create_dir_all(self.path("files/below")).unwrap();
        image::write_random(&self.path("files/large"), 5 * MIB + 77, 1)?;
        for number in 0..40 {
            let path = self.path(&format!("files/below/{number}"));
            image::write_random(&path, 1000 * number, number)?;
        }
        Ok(())
    }

    /// File systems of all kinds, by the name of their file, with sizes in MiB.
    fn file_systems(&self) -> Result<[(&'static str, u64); 6], LabError> {
        self.files()?;
        self.made("fat", 40, "mkfs.vfat -F 32 fat")?;
        self.run("mcopy -s -i fat files ::/");
        self.made("ext4", 64, "mkfs.ext4 -q -F -E nodiscard -d files ext4")?;
        self.made("ntfs", 48, "mkntfs -q -F -Q ntfs")?;
        self.run("ntfscp ntfs files/large large");
        fs::write(
            self.path("proto"),
            "boot 0 0\nd--755 0 0\nlarge ---644 0 0 files/large\n$\n",
        )
        .unwrap();
        self.made("xfs", 320, "mkfs.xfs -q -f -K -p proto xfs")?;
        self.made("btrfs", 128, "mkfs.btrfs -q -f -K --rootdir files btrfs")?;
        self.made("swap", 16, "mkswap -q swap")?;
        let names = ["fat", "ext4", "ntfs", "xfs", "btrfs", "swap"];
        Ok(names.map(|name| (name, self.path(name).metadata().unwrap().len() / MIB)))
    }

    /// Demands that the file system in the file `name` is whole, by its own program, and has its
    /// files.
    fn judge(&self, kind: &str, name: &str) {
        let large = fs::read(self.path("files/large")).unwrap();
        let words = match kind {
            "fat" => {
                self.run(&format!("fsck.vfat -n {name}"));
                format!("mcopy -i {name} ::/files/large out")
            }
            "ext4" => {
                self.run(&format!("e2fsck -fn {name}"));
                format!("debugfs -R dump\u{a0}large\u{a0}out {name}")
            }
            "ntfs" => {
                self.run(&format!("ntfsfix -n {name}"));
                format!("ntfscat {name} large")
            }
            "xfs" => {
                self.run(&format!("xfs_repair -n {name}"));
                return;
            }
            "btrfs" => {
                self.run(&format!("btrfs check {name}"));
                fs::create_dir(self.path("restored")).unwrap();
                format!("btrfs restore {name} restored")
            }
            _ => {
                let said = self.run(&format!("swaplabel {name}"));
                assert!(said.contains("UUID"), "{said}");
                return;
            }
        };
        let output = self.try_run(&words);
        assert!(output.status.success(), "{kind}: {output:?}");
        let found = match kind {
            "ntfs" => output.stdout,
            "btrfs" => fs::read(self.path("restored/large")).unwrap(),
            _ => fs::read(self.path("out")).unwrap(),
        };
        let _ = fs::remove_file(self.path("out"));
        assert!(found == large, "{kind}: its file has other bytes");
    }
}

/// The part of a file, as a file of its own.
fn cut(from: &File, start: u64, len: u64, to: &Path) {
    let mut bytes = vec![0; len as usize];
    from.read_exact_at(&mut bytes, start).unwrap();
    fs::write(to, bytes).unwrap();
}

#[test]
fn file_systems_come_back_whole_without_what_they_do_not_use() -> Result<(), LabError> {
    let folder = Folder::new();
    let file_systems = folder.file_systems()?;
    let disk = File::create(folder.path("disk")).unwrap();
    disk.set_len(700 * MIB).unwrap();
    let (mut table, mut places, mut place) = ("sgdisk".to_owned(), Vec::new(), 1);
    for (number, (name, mib)) in (1..).zip(file_systems) {
        table.push_str(&format!(" -n{number}:{place}M:+{mib}M"));
        places.push((name, place, mib));
        place += mib;
    }
    folder.run(&format!("{table} disk"));
    for (name, place, _) in &places {
        let bytes = fs::read(folder.path(name)).unwrap();
        folder
            .open("disk")
            .write_all_at(&bytes, place * MIB)
            .unwrap();
    }
    // Outside of all partitions.
    folder
        .open("disk")
        .write_all_at(b"kept", MIB - 100)
        .unwrap();
    let said = folder.pack("disk -o disk.cast --used-only");
    assert_eq!(said.matches(" bytes are not in use").count(), 6, "{said}");
    assert!(!said.contains("packed whole"), "{said}");
    // What there is to keep, little of which gets shorter.
    let len = folder.path("disk.cast").metadata().unwrap().len();
    assert!(len < 40 * MIB, "{len}");
    let again = folder.pack("disk -o again.cast --used-only --chunk 4M");
    assert!(
        fs::read(folder.path("disk.cast")).unwrap() == fs::read(folder.path("again.cast")).unwrap(),
        "{again}"
    );
    folder.run("ironcast-sender unpack disk.cast out.disk");
    let unpacked = folder.open("out.disk");
    let mut kept = [0; 4];
    unpacked.read_exact_at(&mut kept, MIB - 100).unwrap();
    assert_eq!(&kept, b"kept");
    for (name, place, mib) in places {
        let out = format!("out.{name}");
        cut(&unpacked, place * MIB, mib * MIB, &folder.path(&out));
        folder.judge(name, &out);
    }
    Ok(())
}

#[test]
fn a_bare_file_system_and_logical_partitions_are_looked_into() -> Result<(), LabError> {
    let folder = Folder::new();
    folder.files()?;
    folder.made("ext4", 64, "mkfs.ext4 -q -F -E nodiscard -d files ext4")?;
    let said = folder.pack("ext4 -o bare.cast --used-only");
    assert!(said.contains("the image (ext4): "), "{said}");
    folder.run("ironcast-sender unpack bare.cast out.bare");
    folder.judge("ext4", "out.bare");
    let disk = File::create(folder.path("disk")).unwrap();
    disk.set_len(100 * MIB).unwrap();
    // An extended partition of 80 MiB at 1 MiB, in it one of Linux at 2 MiB.
    let entry = |kind: u8, first: u64, count: u64| {
        let mut entry = [0; 16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&((first * MIB / 512) as u32).to_le_bytes());
        entry[12..].copy_from_slice(&((count * MIB / 512) as u32).to_le_bytes());
        entry
    };
    for (place, entry) in [(0, entry(5, 1, 80)), (MIB, entry(0x83, 1, 64))] {
        disk.write_all_at(&entry, place + 446).unwrap();
        disk.write_all_at(&[0x55, 0xaa], place + 510).unwrap();
    }
    disk.write_all_at(&fs::read(folder.path("ext4")).unwrap(), 2 * MIB)
        .unwrap();
    let said = folder.pack("disk -o disk.cast --used-only");
    assert!(said.contains("partition 5 (ext4): "), "{said}");
    folder.run("ironcast-sender unpack disk.cast out.disk");
    cut(
        &folder.open("out.disk"),
        2 * MIB,
        64 * MIB,
        &folder.path("out.logical"),
    );
    folder.judge("ext4", "out.logical");
    Ok(())
}

/// Where a file has these bytes, at a multiple of `step`.
fn places(file: &File, bytes: &[u8], step: u64) -> Vec<u64> {
    let len = file.metadata().unwrap().len();
    let is_there = |place: &u64| {
        let mut there = vec![0; bytes.len()];
        file.read_exact_at(&mut there, *place).is_ok() && there == bytes
    };
    (0..len / step)
        .map(|number| number * step)
        .filter(is_there)
        .collect()
}

#[test]
fn what_was_not_unmounted_or_is_not_known_is_packed_whole() -> Result<(), LabError> {
    let folder = Folder::new();
    folder.files()?;
    folder.made("ext4", 16, "mkfs.ext4 -q -F -E nodiscard ext4")?;
    folder.run("debugfs -w -R feature\u{a0}+needs_recovery ext4");
    folder.made("xfs", 300, "mkfs.xfs -q -f -K xfs")?;
    let xfs = folder.open("xfs");
    for place in places(&xfs, b"\xfe\xed\xba\xbe", 512) {
        xfs.write_all_at(&[0], place + 512 + 9).unwrap();
    }
    folder.made("btrfs", 128, "mkfs.btrfs -q -f -K btrfs")?;
    folder
        .open("btrfs")
        .write_all_at(&[1], (64 << 10) + 96)
        .unwrap();
    folder.made("ntfs", 16, "mkntfs -q -F -Q ntfs")?;
    let ntfs = folder.open("ntfs");
    let journal = places(&ntfs, &[0xff; 8192], 4096)[0];
    let mut page = [0; 4096];
    page[..4].copy_from_slice(b"RSTR");
    page[24] = 0x30;
    ntfs.write_all_at(&page, journal).unwrap();
    folder.made("errors", 16, "mkfs.ext4 -q -F -E nodiscard errors")?;
    folder.run("debugfs -w -R ssv\u{a0}state\u{a0}2 errors");
    folder.made("lvm", 2, "true")?;
    folder
        .open("lvm")
        .write_all_at(b"LVM2 001", 512 + 24)
        .unwrap();
    for (name, reason) in [
        ("ext4", "it was not unmounted"),
        ("xfs", "it was not unmounted"),
        ("btrfs", "it was not unmounted"),
        ("ntfs", "Windows was not shut down"),
        ("errors", "partclone says: "),
        ("lvm", "nothing is known of what it uses"),
    ] {
        let said = folder.pack(&format!("{name} -o {name}.cast --used-only"));
        assert!(
            said.contains("is packed whole: ") && said.contains(reason),
            "{name}: {said}"
        );
        folder.run(&format!("ironcast-sender unpack {name}.cast out"));
        image::demand_equal(&folder.path(name), &folder.path("out"))?;
    }
    folder.made("noise", 1, "true")?;
    let said = folder.pack("noise -o noise.cast --used-only");
    assert!(
        said.contains("neither partitions nor a file system"),
        "{said}"
    );
    Ok(())
}

#[test]
fn images_of_virtual_machines_are_packed_as_their_disks() -> Result<(), LabError> {
    let folder = Folder::new();
    image::write_random(&folder.path("disk.raw"), 3 * MIB, 1)?;
    let raw = folder.open("disk.raw");
    raw.set_len(24 * MIB).unwrap();
    raw.write_all_at(b"the end", 24 * MIB - 7).unwrap();
    let root = |name: &str| {
        folder.pack(&format!("disk.{name} -o {name}.cast"));
        let said = folder.run(&format!("ironcast-sender inspect --json {name}.cast"));
        let about: serde_json::Value = serde_json::from_str(&said).unwrap();
        (about["root"].clone(), about["size"].clone())
    };
    let expected = root("raw");
    for format in ["qcow2", "vmdk", "vhdx"] {
        folder.run(&format!(
            "qemu-img convert -f raw -O {format} disk.raw disk.{format}"
        ));
        assert_eq!(root(format), expected, "{format}");
    }
    Ok(())
}
