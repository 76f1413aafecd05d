//! Where a case is measured: a network of its own, an image, and what the receivers write to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use ironcast_tests::transfer::AFTER_CONNECTING;
use ironcast_tests::{Direction, Host, Lab, find_tool, image};
use tempfile::TempDir;

use crate::lab::case::{Case, Target};
use crate::memory_folder::MemoryFolder;
use crate::options::Options;

/// Datagrams that a link carries in one piece where nothing is lost.
const SEGMENTS: u16 = u16::MAX;

/// Everything that the contenders of a case find the same.
#[derive(Debug)]
pub struct Arena {
    /// The sender's host.
    pub sender: Host,
    /// The receivers' hosts.
    pub receivers: Vec<Host>,
    /// What is sent: random bytes, in memory.
    pub image: PathBuf,
    /// Bytes of it.
    pub size: u64,
    /// In memory: logs, and received files if they are to be there.
    memory: MemoryFolder,
    /// On the disk, for what is written there.
    disk: Option<TempDir>,
    loops: Vec<LoopDevice>,
}

impl Arena {
    /// Makes it.
    ///
    /// Fails if the system lets us make no network, files or loop devices.
    pub fn new(case: &Case, options: &Options) -> Result<Self> {
        let lab = Lab::new()?;
        let sender = lab.host("10.77.0.1")?;
        let receivers: Vec<Host> = (0..case.receivers)
            .map(|number| lab.host(&format!("10.77.0.{}", number + 2)))
            .collect::<Result<_, _>>()?;
        for host in receivers.iter().chain([&sender]) {
            // A piece that holds many datagrams would be lost as a whole.
            host.set_segments(if case.singly { 1 } else { SEGMENTS })?;
        }
        if case.loss > 0 {
            for receiver in &receivers {
                for direction in [Direction::Towards, Direction::From] {
                    receiver.set_loss_of(direction, case.loss, AFTER_CONNECTING)?;
                }
            }
        }
        let copies = if case.target == Target::Memory {
            case.receivers
        } else {
            0
        };
        let size = options.fitting(case.mebibytes, copies as u64 + 1)?;
        let memory = MemoryFolder::new()?;
        let image = memory.path().join("image");
        image::write_random(&image, size, 1)?;
        let disk = match case.target {
            Target::Memory => None,
            Target::Disk | Target::Loop => Some(disk_folder(&options.disk)?),
        };
        let loops = match (&disk, case.target) {
            (Some(disk), Target::Loop) => (0..case.receivers)
                .map(|number| LoopDevice::new(&disk.path().join(format!("disk{number}")), size))
                .collect::<Result<_>>()?,
            _ => Vec::new(),
        };
        Ok(Self {
            sender,
            receivers,
            image,
            size,
            memory,
            disk,
            loops,
        })
    }

    /// Where logs go.
    #[must_use]
    pub fn logs(&self) -> &Path {
        self.memory.path()
    }

    /// The folder that a receiver has to itself.
    #[must_use]
    pub fn folder(&self, receiver: usize) -> PathBuf {
        let disk = self.disk.as_ref().map(TempDir::path);
        let folder = disk.unwrap_or(self.memory.path());
        folder.join(format!("receiver{receiver}"))
    }

    /// What a receiver writes to.
    #[must_use]
    pub fn target(&self, receiver: usize) -> PathBuf {
        match self.loops.get(receiver) {
            Some(device) => device.name.clone(),
            None => self.folder(receiver).join("image"),
        }
    }

    /// Makes the receivers' folders anew, with nothing in them, and has the memory at hand that
    /// they need.
    ///
    /// Fails if the system refuses.
    pub fn clear(&self) -> Result<()> {
        for receiver in 0..self.receivers.len() {
            let folder = self.folder(receiver);
            let doing = || format!("cannot empty {}", folder.display());
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(doing)?;
            }
            fs::create_dir_all(&folder).with_context(doing)?;
        }
        if self.disk.is_none() {
            self.memory
                .warm(self.size * self.receivers.len() as u64)
                .context("cannot fill memory")?;
        }
        Ok(())
    }

    /// Waits until everything written to the targets is safe on the disk.
    ///
    /// Fails if the system says that it isn't.
    pub fn flush(&self) -> Result<()> {
        if self.disk.is_none() {
            return Ok(());
        }
        for receiver in 0..self.receivers.len() {
            let target = self.target(receiver);
            let file = File::options().write(true).open(&target);
            file.and_then(|file| file.sync_all())
                .with_context(|| format!("cannot flush {}", target.display()))?;
        }
        Ok(())
    }

    /// Demands that every receiver has the whole image.
    ///
    /// Fails if one does not.
    pub fn verify(&self) -> Result<()> {
        for receiver in 0..self.receivers.len() {
            let target = self.target(receiver);
            match self.loops.is_empty() {
                true => image::demand_equal(&self.image, &target)?,
                false => image::demand_starts_with(&self.image, &target)?,
            }
        }
        Ok(())
    }
}

fn disk_folder(folder: &Path) -> Result<TempDir> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    tempfile::tempdir_in(folder)
        .with_context(|| format!("cannot make a folder in {}", folder.display()))
}

/// A loop device over a file that has all its blocks, with direct I/O. It goes on drop.
#[derive(Debug)]
struct LoopDevice {
    name: PathBuf,
}

impl LoopDevice {
    fn new(file: &Path, size: u64) -> Result<Self> {
        let doing = || format!("cannot make {}", file.display());
        let handle = File::create(file).with_context(doing)?;
        rustix::fs::fallocate(&handle, rustix::fs::FallocateFlags::empty(), 0, size)
            .with_context(doing)?;
        let mut losetup = Command::new(find_tool("losetup")?);
        losetup
            .args(["--direct-io=on", "--find", "--show"])
            .arg(file);
        let output = losetup.output().context("cannot start losetup")?;
        if !output.status.success() {
            bail!(
                "no loop device (only root may make one): {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok(Self { name: name.into() })
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // Nothing can be done about it here, and the file goes all the same.
        if let Ok(losetup) = find_tool("losetup") {
            let _ = Command::new(losetup)
                .arg("--detach")
                .arg(&self.name)
                .status();
        }
    }
}
