//! Virtual machines: QEMU with OVMF, a tap on the lab's bridge, disks on raw files.
//!
//! By default without KVM, since the tests have to pass where there is none; `IRONCAST_QEMU_ACCEL`
//! (`kvm`, or whatever `-accel` takes) overrides it. There is no graphics card: the firmware's
//! console is the serial port, which goes to a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::keyboard::Keyboard;
use crate::process::tail;
use crate::{Lab, LabError, Running, Tap};

/// Folder of Debian's package `ovmf`.
const OVMF: &str = "/usr/share/OVMF";

/// How often the serial log is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What a disk is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// virtio-blk.
    VirtioBlk,
    /// SATA, at the machine's own AHCI controller.
    Ahci,
    /// NVMe.
    Nvme,
    /// virtio-scsi, at one controller for all such disks.
    Scsi,
    /// USB mass storage whose medium can't be taken out, at one controller for all such disks.
    Usb,
}

/// The machine's network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nic {
    /// virtio-net, with the firmware's own driver (no option ROM).
    VirtioNet,
    /// Intel e1000e, with iPXE's driver out of its option ROM (Debian's package `ipxe-qemu`).
    E1000e,
}

/// What the firmware tries first. Either way it goes on to the other if that doesn't start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootOrder {
    /// The disks in their order, then the network: a blank machine netboots, an installed one
    /// starts what it got.
    DisksFirst,
    /// The network, then the disks.
    NetworkFirst,
}

#[derive(Debug, Clone)]
struct Disk {
    file: PathBuf,
    kind: DiskKind,
    /// Of QEMU's device.
    properties: String,
}

/// A machine that is being put together.
#[derive(Debug, Clone)]
pub struct MachineBuilder {
    name: String,
    memory: u32,
    mac: Option<String>,
    nic: Nic,
    disks: Vec<Disk>,
    order: BootOrder,
    reboots: bool,
    kernel: Option<(PathBuf, String)>,
    extra: Vec<String>,
}

impl MachineBuilder {
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

    /// Adds a disk on a raw file. Its serial number is `DISK0`, `DISK1` and so on. Default: none.
    #[must_use]
    pub fn disk(self, file: &Path, kind: DiskKind) -> Self {
        let serial = format!("serial=DISK{}", self.disks.len());
        self.disk_with(file, kind, &serial)
    }

    /// Adds a disk on a raw file, with properties of QEMU's device such as `serial=S5GX,model=SSD`.
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

    /// Starts an EFI file straight from the host with these load options, in place of booting.
    #[must_use]
    pub fn kernel(mut self, efi: &Path, load_options: &str) -> Self {
        self.kernel = Some((efi.to_path_buf(), load_options.to_owned()));
        self
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
    /// [`LabError::MissingTool`] or [`LabError::MissingFile`] without QEMU or OVMF,
    /// [`LabError::Failed`] if the tap can't be made.
    pub fn start(self, lab: &Lab, folder: &Path) -> Result<Machine, LabError> {
        let tap = lab.tap()?;
        let mac = self.mac.clone().unwrap_or_else(next_mac);
        let serial = folder.join(format!("{}.serial", self.name));
        // A log of an earlier run must not be taken for this one's.
        fs::write(&serial, "")
            .map_err(|e| LabError::io(format!("write {}", serial.display()), e))?;
        let mut command = lab.command("qemu-system-x86_64")?;
        command.args(self.board(&serial));
        command.args(self.firmware(folder)?);
        command.args(self.network(&tap, &mac)?);
        command.args(self.storage());
        if let Some((efi, load_options)) = &self.kernel {
            command.arg("-kernel").arg(efi);
            command.args(["-append", load_options]);
        }
        command.args(&self.extra);
        let keyboard = Keyboard::of(&self.name, folder);
        command.args(keyboard.arguments());
        let powered_on = Instant::now();
        Ok(Machine {
            keyboard,
            qemu: Running::start(&self.name, command, folder)?,
            serial,
            seen: 0,
            mac,
            tap,
            powered_on,
        })
    }

    fn board(&self, serial: &Path) -> Vec<String> {
        let accel = std::env::var("IRONCAST_QEMU_ACCEL").unwrap_or_else(|_| "tcg".to_owned());
        let mut args = words("-nodefaults -display none -monitor none -machine q35 -cpu max");
        args.extend(["-name".to_owned(), self.name.clone()]);
        args.extend(["-accel".to_owned(), accel]);
        args.extend(["-m".to_owned(), self.memory.to_string()]);
        args.extend(["-serial".to_owned(), format!("file:{}", quoted(serial))]);
        // Newer firmwares do not start the network without a source of random numbers.
        args.extend(words("-device virtio-rng-pci"));
        if !self.reboots {
            args.push("-no-reboot".to_owned());
        }
        args
    }

    fn firmware(&self, folder: &Path) -> Result<Vec<String>, LabError> {
        let [code, vars] = ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"].map(|f| Path::new(OVMF).join(f));
        for path in [&code, &vars] {
            if !path.is_file() {
                return Err(LabError::MissingFile {
                    path: path.clone(),
                    remedy: "apt-get install ovmf".to_owned(),
                });
            }
        }
        let own = folder.join(format!("{}.vars", self.name));
        fs::copy(&vars, &own).map_err(|e| LabError::io(format!("write {}", own.display()), e))?;
        let pflash = |unit: u32, file: &Path, more: &str| {
            let file = quoted(file);
            format!("if=pflash,format=raw,unit={unit},file={file}{more}")
        };
        Ok(vec![
            "-drive".to_owned(),
            pflash(0, &code, ",readonly=on"),
            "-drive".to_owned(),
            pflash(1, &own, ""),
        ])
    }

    fn network(&self, tap: &Tap, mac: &str) -> Result<Vec<String>, LabError> {
        let device = match self.nic {
            Nic::VirtioNet => "virtio-net-pci,romfile=",
            Nic::E1000e => "e1000e",
        };
        let rom = Path::new("/usr/lib/ipxe/qemu/efi-e1000e.rom");
        if self.nic == Nic::E1000e && !rom.is_file() {
            return Err(LabError::MissingFile {
                path: rom.to_path_buf(),
                remedy: "apt-get install ipxe-qemu".to_owned(),
            });
        }
        let index = self.first_boot_index()
            + match self.order {
                BootOrder::NetworkFirst => 0,
                BootOrder::DisksFirst => self.disks.len(),
            };
        let name = tap.name();
        Ok(vec![
            "-netdev".to_owned(),
            format!("tap,id=net0,ifname={name},script=no,downscript=no"),
            "-device".to_owned(),
            format!("{device},netdev=net0,mac={mac},bootindex={index}"),
        ])
    }

    /// QEMU gives the first place to a file that is started straight from the host.
    fn first_boot_index(&self) -> usize {
        usize::from(self.kernel.is_some())
    }

    fn storage(&self) -> Vec<String> {
        let first = self.first_boot_index()
            + match self.order {
                BootOrder::NetworkFirst => 1,
                BootOrder::DisksFirst => 0,
            };
        let mut args = Vec::new();
        for (kind, controller) in [
            (DiskKind::Scsi, "virtio-scsi-pci,id=scsi"),
            (DiskKind::Usb, "qemu-xhci,id=usb"),
        ] {
            if self.disks.iter().any(|disk| disk.kind == kind) {
                args.extend(["-device".to_owned(), controller.to_owned()]);
            }
        }
        for (number, disk) in self.disks.iter().enumerate() {
            let file = quoted(&disk.file);
            let device = match disk.kind {
                DiskKind::VirtioBlk => "virtio-blk-pci".to_owned(),
                DiskKind::Ahci => format!("ide-hd,bus=ide.{number}"),
                DiskKind::Nvme => "nvme".to_owned(),
                DiskKind::Scsi => "scsi-hd,bus=scsi.0".to_owned(),
                DiskKind::Usb => "usb-storage,bus=usb.0".to_owned(),
            };
            let properties = &disk.properties;
            let index = first + number;
            args.extend([
                "-drive".to_owned(),
                // The tests read the file through the host's cache: a flush all the way to the
                // host's medium would cost time and prove nothing. Zeroes stay holes.
                format!(
                    "if=none,id=disk{number},format=raw,cache=unsafe,discard=unmap,\
                     detect-zeroes=unmap,file={file}"
                ),
                "-device".to_owned(),
                format!("{device},drive=disk{number},{properties},bootindex={index}"),
            ]);
        }
        args
    }
}

/// A machine that is switched on. It is switched off on drop.
#[derive(Debug)]
pub struct Machine {
    qemu: Running,
    keyboard: Keyboard,
    serial: PathBuf,
    /// How far into the serial output the last match reached.
    seen: usize,
    mac: String,
    tap: Tap,
    powered_on: Instant,
}

impl Machine {
    /// Begins to put together a machine that is called `name` in logs.
    #[must_use]
    pub fn builder(name: &str) -> MachineBuilder {
        MachineBuilder {
            name: name.to_owned(),
            memory: 256,
            mac: None,
            nic: Nic::VirtioNet,
            disks: Vec::new(),
            order: BootOrder::DisksFirst,
            reboots: true,
            kernel: None,
            extra: Vec::new(),
        }
    }

    /// The name in logs.
    #[must_use]
    pub fn name(&self) -> &str {
        self.qemu.name()
    }

    /// Its network card's address, in lower case with colons.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.mac
    }

    /// The link between it and the lab's bridge, for losing packets on.
    #[must_use]
    pub fn tap(&self) -> &Tap {
        &self.tap
    }

    /// Presses a key at its keyboard, such as `y` or `ret`, as QEMU names them.
    ///
    /// # Errors
    /// If QEMU does not do it, such as for a key that there is not.
    pub fn press(&self, key: &str) -> Result<(), LabError> {
        self.keyboard.press(key)
    }

    /// When it was switched on.
    #[must_use]
    pub fn powered_on(&self) -> Instant {
        self.powered_on
    }

    /// Everything that came out of its serial port so far, without the terminal's control
    /// sequences.
    #[must_use]
    pub fn serial(&self) -> String {
        let bytes = fs::read(&self.serial).unwrap_or_default();
        without_controls(&String::from_utf8_lossy(&bytes))
    }

    /// Waits until its serial port has sent `text` after what earlier waits have matched, at most
    /// `timeout`.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] or, if the machine went off, [`LabError::Failed`]; both show the end
    /// of the serial log.
    pub fn wait_for_serial(&mut self, text: &str, timeout: Duration) -> Result<(), LabError> {
        self.wait_until(text, timeout, |new| {
            let at = new.find(text)?;
            Some(((), at + text.len()))
        })
    }

    /// Waits until its serial port has sent a whole line with `text` in it after what earlier waits
    /// have matched, at most `timeout`, and gives that line.
    ///
    /// # Errors
    /// The same.
    pub fn wait_for_line(&mut self, text: &str, timeout: Duration) -> Result<String, LabError> {
        self.wait_until(text, timeout, |new| line_with(new, text))
    }

    /// Waits until `find` finds something in what has not been matched yet: what, and where it
    /// ends.
    fn wait_until<T>(
        &mut self,
        text: &str,
        timeout: Duration,
        find: impl Fn(&str) -> Option<(T, usize)>,
    ) -> Result<T, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            let running = self.qemu.is_running();
            let serial = self.serial();
            if let Some((found, end)) = find(serial.get(self.seen..).unwrap_or_default()) {
                self.seen += end;
                return Ok(found);
            }
            if !running || Instant::now() >= deadline {
                return Err(self.missed(text, running, timeout, &serial));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    fn missed(&self, wanted: &str, running: bool, after: Duration, serial: &str) -> LabError {
        let name = self.name();
        if running {
            return LabError::TimedOut {
                what: format!("{name}'s serial port to send \"{wanted}\""),
                after,
                output: tail(serial),
            };
        }
        LabError::Failed {
            what: format!("{name} went off without sending \"{wanted}\""),
            output: format!("{}\n{}", tail(serial), tail(&self.qemu.log())),
        }
    }

    /// Whether it is still on.
    pub fn is_on(&mut self) -> bool {
        self.qemu.is_running()
    }

    /// Waits until it switches itself off, at most `timeout`.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] with the end of the serial log if it is still on then.
    pub fn wait_off(&mut self, timeout: Duration) -> Result<ExitStatus, LabError> {
        self.qemu.wait(timeout).map_err(|error| match error {
            LabError::TimedOut { after, .. } => LabError::TimedOut {
                what: format!("{} to switch itself off", self.name()),
                after,
                output: tail(&self.serial()),
            },
            other => other,
        })
    }

    /// Pulls the plug.
    pub fn switch_off(&mut self) {
        self.qemu.kill();
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A path as QEMU's comma-separated options take it.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn next_mac() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
}

/// The first whole line that has `wanted` in it, and where it ends.
fn line_with(text: &str, wanted: &str) -> Option<(String, usize)> {
    let at = text.find(wanted)?;
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = at + text[at..].find('\n')?;
    Some((text[start..end].trim().to_owned(), end))
}

/// Leaves out ANSI escape sequences (ESC, `[`, parameters, a final byte) and carriage returns. A
/// sequence that is cut off at the end is left out too, so that more text only ever appends.
fn without_controls(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => {
                if rest.next() == Some('[') {
                    rest.find(|c| ('\x40'..='\x7e').contains(c));
                }
            }
            '\r' => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_do_not_split_words() {
        let text = "\x1b[2J\x1b[01;01Hironcast: \x1b[0m\x1b[37mresult ok\r\nnext\x1b[3";
        assert_eq!(without_controls(text), "ironcast: result ok\nnext");
    }

    #[test]
    fn a_line_is_given_when_it_is_whole() {
        let text = "one\ntwo words\nthree";
        assert_eq!(line_with(text, "words"), Some(("two words".to_owned(), 13)));
        assert_eq!(line_with(text, "thr"), None);
    }

    #[test]
    fn machines_have_their_own_addresses() {
        assert_ne!(next_mac(), next_mac());
    }
}
