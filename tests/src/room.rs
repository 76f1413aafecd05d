//! A room with machines that netboot, and what their results have to be.
//!
//! What all tests with virtual machines begin and end with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Architecture, Host, Kind, Lab, LabError, Machine, MachineBuilder, Program, PxeServer,
    PxeSettings, Running, image, ironcast_efi,
};

/// How long a test waits for its turn.
pub const TURN: Duration = Duration::from_secs(900);

/// How long a machine may take from power-on to the result of a small image: many times what it
/// takes, since the machines of other tests may take the processors.
pub const RECEIVE: Duration = Duration::from_secs(180);

/// Length of the small image, in bytes: no whole number of sectors, blocks or slices.
pub const SMALL: u64 = 20_000_001;

/// What unattended machines are told.
pub const UNATTENDED: &str = "disk=auto confirm=no then=poweroff\n";

/// The file with the sender's list.
const RESULTS: &str = "results";

/// A network with a PXE server that serves `ironcast.efi`, and a folder for logs and disks.
#[derive(Debug)]
pub struct Room {
    /// The network.
    pub lab: Lab,
    /// The host with the PXE server, where senders run.
    pub server: Host,
    pxe: PxeServer,
    /// The folder.
    pub folder: TempDir,
}

impl Room {
    /// One whose machines are PCs and are told `conf`.
    ///
    /// # Errors
    /// What making it can give.
    pub fn new(conf: &str) -> Result<Self, LabError> {
        let efi = ironcast_efi(Architecture::X86_64)?;
        Self::serving(&PxeSettings::ironcast(&efi, conf))
    }

    /// One whose server serves what `settings` have.
    ///
    /// # Errors
    /// What making it can give.
    pub fn serving(settings: &PxeSettings) -> Result<Self, LabError> {
        Self::on(Lab::new()?, settings)
    }

    /// One with another network, for machines that have a card in both. Its server gives out
    /// addresses and no files.
    ///
    /// # Errors
    /// What making it can give.
    pub fn beside(&self) -> Result<Self, LabError> {
        Self::on(self.lab.beside()?, &PxeSettings::default())
    }

    fn on(lab: Lab, settings: &PxeSettings) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        let server = lab.host("10.77.0.1")?;
        let pxe = PxeServer::start(&server, folder.path(), settings)?;
        Ok(Self {
            lab,
            server,
            pxe,
            folder,
        })
    }

    /// The PXE server.
    #[must_use]
    pub fn pxe(&self) -> &PxeServer {
        &self.pxe
    }

    /// The path of a file in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A blank disk.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn disk(&self, name: &str, length: u64) -> Result<PathBuf, LabError> {
        let disk = self.path(name);
        image::make_sparse(&disk, length)?;
        Ok(disk)
    }

    /// The small image.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn small_image(&self) -> Result<PathBuf, LabError> {
        let path = self.path("image");
        image::write_random(&path, SMALL, 42)?;
        Ok(path)
    }

    /// Switches a machine on.
    ///
    /// # Errors
    /// What starting it can give.
    pub fn start(&self, builder: MachineBuilder) -> Result<Machine, LabError> {
        builder.start(&self.lab, self.folder.path())
    }

    /// A sender of `image` that starts when `receivers` have connected.
    ///
    /// # Errors
    /// What starting a program can give.
    pub fn send(&self, kind: Kind, image: &Path, receivers: u32) -> Result<Running, LabError> {
        let sender = Program::sender(kind)?.file(image);
        let sender = sender.args(&["--min-receivers", &receivers.to_string()]);
        sender.start(&self.server, "sender", self.folder.path())
    }

    /// A sender of ours of `image` that starts when one receiver has connected, and lists what
    /// became of the machines for [`results`](Self::results). `options` are more of its options.
    ///
    /// # Errors
    /// What starting a program can give.
    pub fn send_and_list(&self, image: &Path, options: &[&str]) -> Result<Running, LabError> {
        let sender = Program::sender(Kind::Ours)?.file(image);
        let results = self.path(RESULTS);
        let sender = sender
            .args(&["--min-receivers", "1", "--results"])
            .arg(results);
        let sender = sender.args(options);
        sender.start(&self.server, "sender", self.folder.path())
    }

    /// What the sender of [`send_and_list`](Self::send_and_list) has listed.
    ///
    /// # Errors
    /// If there is no list, or it is none.
    pub fn results(&self) -> Result<Vec<Value>, LabError> {
        let text = fs::read_to_string(self.path(RESULTS))
            .map_err(|e| LabError::io("read the results", e))?;
        let wrong = |line, e| LabError::wrong(format!("{e}: {line}"));
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|e| wrong(line, e)))
            .collect()
    }

    /// The error with the end of every log.
    #[must_use]
    pub fn explain(
        &self,
        error: LabError,
        machines: &[&Machine],
        programs: &[&Running],
    ) -> LabError {
        let mut text = error.to_string();
        for machine in machines {
            text += &format!("\n--- {}:\n{}", machine.name(), machine.serial());
        }
        for program in programs {
            text += &format!("\n--- {}:\n{}", program.name(), program.log());
        }
        LabError::wrong(text + "\n--- dnsmasq:\n" + &self.pxe.log())
    }
}

/// Waits for the machine's result and demands that it is good; gives its line.
///
/// # Errors
/// If it is not, or there is none in time.
pub fn demand_ok(machine: &mut Machine, limit: Duration) -> Result<String, LabError> {
    let line = machine.wait_for_line("ironcast: result", limit)?;
    match line.contains("ironcast: result ok") {
        true => Ok(line),
        false => Err(LabError::wrong(format!("{}: {line}", machine.name()))),
    }
}

/// Waits for the machine's result and demands that it is a failure whose line has `words`.
///
/// # Errors
/// If it is not, or there is none in time.
pub fn demand_refusal(machine: &mut Machine, words: &str) -> Result<(), LabError> {
    let line = machine.wait_for_line("ironcast: result", RECEIVE)?;
    if line.contains("ironcast: result failed") && line.contains(words) {
        return Ok(());
    }
    let found = format!("not a failure with {words:?}: {line}");
    Err(LabError::wrong(found))
}

/// Demands that the disk begins with the image and that nothing was written after its last sector.
///
/// # Errors
/// If it is otherwise.
pub fn demand_written(image: &Path, disk: &Path) -> Result<(), LabError> {
    image::demand_starts_with(image, disk)?;
    let length = image
        .metadata()
        .map_err(|e| LabError::io("look at the image", e))?
        .len();
    image::demand_untouched_from(disk, length.next_multiple_of(512))
}

/// The value of `key=` in a line of words.
#[must_use]
pub fn value<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}
