//! Puts a machine together, as a command line for QEMU.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::devices::Controller;
use super::{Board, DiskKind, Machine, Nic};
use crate::monitor::Monitor;
use crate::{Lab, LabError, Running, Tap};

/// What the firmware tries first. Either way it goes on to the other if that doesn't start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootOrder {
    /// The disks in their order, then the network: a blank machine netboots, an installed one
    /// starts what it got.
    DisksFirst,
    /// The network, then the disks.
    NetworkFirst,
    /// Only the disks, and then the firmware's own shell.
    DisksOnly,
}

#[derive(Debug, Clone)]
struct Disk {
    file: PathBuf,
    kind: DiskKind,
    /// Of QEMU's device.
    properties: String,
}

/// A network card beside the first.
#[derive(Debug, Clone)]
struct SecondCard {
    lab: Lab,
    nic: Nic,
    mac: String,
}

/// A machine that is being put together.
#[derive(Debug, Clone)]
pub struct MachineBuilder {
    name: String,
    board: Board,
    variables: Option<PathBuf>,
    memory: u32,
    mac: Option<String>,
    nic: Nic,
    second: Option<SecondCard>,
    disks: Vec<Disk>,
    order: BootOrder,
    reboots: bool,
    has_random_numbers: bool,
    kernel: Option<(PathBuf, String)>,
    extra: Vec<String>,
}

impl MachineBuilder {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            board: Board::default(),
            variables: None,
            memory: 256,
            mac: None,
            nic: Nic::VirtioNet,
            second: None,
            disks: Vec::new(),
            order: BootOrder::DisksFirst,
            reboots: true,
            has_random_numbers: true,
            kernel: None,
            extra: Vec::new(),
        }
    }

    /// What it is called in logs.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What it is built on. Default [`Board::Pc`].
    #[must_use]
    pub fn board(mut self, board: Board) -> Self {
        self.board = board;
        self
    }

    /// The firmware's variables that it begins with. Default: those of a new machine.
    #[must_use]
    pub fn variables(mut self, file: &Path) -> Self {
        self.variables = Some(file.to_path_buf());
        self
    }

    /// The machine's memory in MiB. Default 256; 64 is the least that OVMF starts with.
    #[must_use]
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.memory = mebibytes;
        self
    }

    /// The network card's address, `52:54:00:` and three bytes. By default one that no other
    /// machine of this process has.
    #[must_use]
    pub fn mac(mut self, mac: &str) -> Self {
        self.mac = Some(mac.to_owned());
        self
    }

    /// The kind of network card. Default [`Nic::VirtioNet`].
    #[must_use]
    pub fn nic(mut self, nic: Nic) -> Self {
        self.nic = nic;
        self
    }

    /// Adds a card with the address `mac` in another network: one that is
    /// [beside](Lab::beside) the one that the machine is started in. It is not booted over.
    #[must_use]
    pub fn second_card(mut self, lab: &Lab, nic: Nic, mac: &str) -> Self {
        self.second = Some(SecondCard {
            lab: lab.clone(),
            nic,
            mac: mac.to_owned(),
        });
        self
    }

    /// Adds a disk on a raw file. Its serial number is `DISK0`, `DISK1` and so on, where QEMU gives
    /// such disks one. Default: none.
    #[must_use]
    pub fn disk(self, file: &Path, kind: DiskKind) -> Self {
        let serial = match kind.is_card() {
            true => String::new(),
            false => format!("serial=DISK{}", self.disks.len()),
        };
        self.disk_with(file, kind, &serial)
    }

    /// Adds a disk on a raw file, with properties of QEMU's device such as `serial=S5GX,model=SSD`,
    /// or none.
    #[must_use]
    pub fn disk_with(mut self, file: &Path, kind: DiskKind, properties: &str) -> Self {
        self.disks.push(Disk {
            file: file.to_path_buf(),
            kind,
            properties: properties.to_owned(),
        });
        self
    }

    /// What is booted first. Default [`BootOrder::DisksFirst`].
    #[must_use]
    pub fn boot_order(mut self, order: BootOrder) -> Self {
        self.order = order;
        self
    }

    /// Whether a reset by the guest restarts the machine (the default) or ends it.
    #[must_use]
    pub fn reboots(mut self, reboots: bool) -> Self {
        self.reboots = reboots;
        self
    }

    /// Leaves out every source of random numbers, without which newer firmwares do not netboot.
    #[must_use]
    pub fn without_random_numbers(mut self) -> Self {
        self.has_random_numbers = false;
        self
    }

    /// Starts an EFI file straight from the host with these load options, in place of booting.
    #[must_use]
    pub fn kernel(mut self, efi: &Path, load_options: &str) -> Self {
        self.kernel = Some((efi.to_path_buf(), load_options.to_owned()));
        self
    }

    /// Adds a screen, at a graphics card that firmware has a driver for.
    #[must_use]
    pub fn screen(self) -> Self {
        self.arg("-device").arg("VGA")
    }

    /// Adds an argument to QEMU's command line.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.extra.push(argument.to_owned());
        self
    }

    /// Switches the machine on, on a tap of its own. Its logs go to `folder`: `NAME.serial` and
    /// `NAME.log` (QEMU's own words).
    ///
    /// # Errors
    /// [`LabError::MissingTool`] or [`LabError::MissingFile`] without QEMU or the firmware,
    /// [`LabError::Failed`] if the tap can't be made.
    pub fn start(self, lab: &Lab, folder: &Path) -> Result<Machine, LabError> {
        let tap = lab.tap()?;
        let mac = self.mac.clone().unwrap_or_else(next_mac);
        let serial = folder.join(format!("{}.serial", self.name));
        // A log of an earlier run must not be taken for this one's.
        fs::write(&serial, "")
            .map_err(|e| LabError::io(format!("write {}", serial.display()), e))?;
        let mut command = lab.command(self.board.program())?;
        command.args(self.board.arguments());
        let variables = match &self.variables {
            Some(variables) => variables.clone(),
            None => self.board.blank_variables()?,
        };
        let own = folder.join(format!("{}.vars", self.name));
        command.args(self.board.firmware(&variables, &own)?);
        command.args(self.basics(&serial));
        command.args(self.controllers());
        command.args(self.network(&tap, &mac)?);
        command.args(self.storage());
        if let Some((efi, load_options)) = &self.kernel {
            command.arg("-kernel").arg(efi);
            command.args(["-append", load_options]);
        }
        command.args(&self.extra);
        let monitor = Monitor::of(&self.name, folder);
        command.args(monitor.arguments());
        let powered_on = Instant::now();
        Ok(Machine {
            monitor,
            qemu: Running::start(&self.name, command, folder)?,
            serial,
            seen: 0,
            mac,
            tap,
            powered_on,
        })
    }

    fn basics(&self, serial: &Path) -> Vec<String> {
        let mut args = words("-nodefaults -display none -monitor none");
        args.extend(["-name".to_owned(), self.name.clone()]);
        args.extend(["-m".to_owned(), self.memory.to_string()]);
        args.extend(["-serial".to_owned(), format!("file:{}", quoted(serial))]);
        args.extend(words(match self.has_random_numbers {
            // Newer firmwares do not start the network without.
            true => "-device virtio-rng-pci",
            // A PC's: this stands after the board's own choice, and counts.
            false => "-cpu max,rdrand=off,rdseed=off",
        }));
        if !self.reboots {
            args.push("-no-reboot".to_owned());
        }
        args
    }

    /// The controllers for the disks, and for a network card at a USB; each kind once.
    fn controllers(&self) -> Vec<String> {
        let second = self.second.as_ref().map(|card| card.nic);
        let cards = [Some(self.nic), second];
        let has_usb_card = cards.contains(&Some(Nic::UsbNet));
        let mut controllers: Vec<Controller> = has_usb_card
            .then_some(Controller::USB)
            .into_iter()
            .collect();
        for controller in self.disks.iter().filter_map(|disk| disk.kind.controller()) {
            if !controllers.contains(&controller) {
                controllers.push(controller);
            }
        }
        let arguments = controllers.into_iter().map(Controller::argument);
        arguments
            .flat_map(|controller| ["-device".to_owned(), controller])
            .collect()
    }

    fn network(&self, tap: &Tap, mac: &str) -> Result<Vec<String>, LabError> {
        let index = self.first_boot_index()
            + match self.order {
                BootOrder::NetworkFirst => 0,
                BootOrder::DisksFirst | BootOrder::DisksOnly => self.disks.len(),
            };
        let boot = match self.order {
            BootOrder::DisksOnly => String::new(),
            _ => format!(",bootindex={index}"),
        };
        let mut arguments = card("net0", self.nic, tap, mac, &boot)?;
        if let Some(SecondCard { lab, nic, mac }) = &self.second {
            arguments.extend(card("net1", *nic, &lab.tap()?, mac, "")?);
        }
        Ok(arguments)
    }

    /// QEMU gives the first place to a file that is started straight from the host.
    fn first_boot_index(&self) -> usize {
        usize::from(self.kernel.is_some())
    }

    fn storage(&self) -> Vec<String> {
        let first = self.first_boot_index()
            + match self.order {
                BootOrder::NetworkFirst => 1,
                BootOrder::DisksFirst | BootOrder::DisksOnly => 0,
            };
        let mut args = Vec::new();
        for (number, disk) in self.disks.iter().enumerate() {
            let file = quoted(&disk.file);
            let (device, bus) = (disk.kind.device(), disk.kind.bus(number));
            let properties = match disk.properties.as_str() {
                "" => String::new(),
                properties => format!(",{properties}"),
            };
            let boot = match disk.kind.is_card() {
                true => String::new(),
                false => format!(",bootindex={}", first + number),
            };
            args.extend([
                "-drive".to_owned(),
                // The tests read the file through the host's cache: a flush all the way to the
                // host's medium would cost time and prove nothing. Zeroes stay holes.
                format!(
                    "if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,\
                     detect-zeroes=unmap,file={file}"
                ),
                "-device".to_owned(),
                format!("{device}{bus},drive=disk{number}{properties}{boot}"),
            ]);
        }
        args
    }
}

/// A network card on a tap for QEMU's command line.
fn card(id: &str, nic: Nic, tap: &Tap, mac: &str, boot: &str) -> Result<Vec<String>, LabError> {
    let (device, name) = (nic.argument()?, tap.name());
    Ok(vec![
        "-netdev".to_owned(),
        format!("tap,id={id},ifname={name},script=no,downscript=no"),
        "-device".to_owned(),
        format!("{device},netdev={id},mac={mac}{boot}"),
    ])
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A path as QEMU's comma-separated options take it.
pub(super) fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn next_mac() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_have_their_own_addresses() {
        assert_ne!(next_mac(), next_mac());
    }
}
