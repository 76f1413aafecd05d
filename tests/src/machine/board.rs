//! What a machine is built on: QEMU's program and machine type, and the firmware for it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::builder::quoted;
use crate::process::run;
use crate::{Architecture, LabError, find_tool};

/// A mainboard with its firmware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Board {
    /// A PC (QEMU's `q35`) with OVMF.
    #[default]
    Pc,
    /// The same with a firmware that has Secure Boot. Which keys it knows is in its
    /// [variables](super::MachineBuilder::variables).
    SecureBoot,
    /// A machine with 64-bit Arm processors (QEMU's `virt`) with AAVMF. It has no AHCI controller.
    Arm,
}

/// The files of a firmware, as a Debian package has them.
struct Firmware {
    package: &'static str,
    code: &'static str,
    /// The variables that a new machine begins with.
    variables: &'static str,
}

impl Board {
    /// The architecture of its processors.
    #[must_use]
    pub fn architecture(self) -> Architecture {
        match self {
            Self::Pc | Self::SecureBoot => Architecture::X86_64,
            Self::Arm => Architecture::Aarch64,
        }
    }

    /// The QEMU that it runs in.
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Pc | Self::SecureBoot => "qemu-system-x86_64",
            Self::Arm => "qemu-system-aarch64",
        }
    }

    /// Whether its QEMU has the device `name`: not all versions have all.
    ///
    /// # Errors
    /// [`LabError::MissingTool`] without QEMU, [`LabError::Failed`] if it does not tell.
    pub fn has_device(self, name: &str) -> Result<bool, LabError> {
        let mut qemu = Command::new(find_tool(self.program())?);
        let devices = run(qemu.args(["-device", "help"]))?;
        Ok(devices.contains(&format!("\nname \"{name}\",")))
    }

    /// The machine and its processor for QEMU's command line.
    pub(super) fn arguments(self) -> Vec<String> {
        let (machine, processor) = match self {
            Self::Pc => ("q35", "max"),
            // Keys are safe from programs only in memory of system management mode.
            Self::SecureBoot => ("q35,smm=on", "max"),
            // `max` checks signed pointers, which takes an emulator half of its time.
            Self::Arm => ("virt", "cortex-a57"),
        };
        let native = env::consts::ARCH == self.architecture().name();
        let accel = env::var("IRONCAST_QEMU_ACCEL")
            .ok()
            .filter(|_| native)
            .unwrap_or_else(|| "tcg".to_owned());
        let mut arguments = vec!["-machine", machine, "-cpu", processor, "-accel", &accel];
        if self == Self::SecureBoot {
            let secure = "driver=cfi.pflash01,property=secure,value=on";
            arguments.extend(["-global", secure]);
        }
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// The variables that a new machine's firmware begins with.
    ///
    /// # Errors
    /// [`LabError::MissingFile`] if its package is not installed.
    pub fn blank_variables(self) -> Result<PathBuf, LabError> {
        let files = self.firmware_files();
        files.existing(files.variables)
    }

    /// The firmware for QEMU's command line, with its variables in a new file `own` that is a copy
    /// of `variables`.
    pub(super) fn firmware(self, variables: &Path, own: &Path) -> Result<Vec<String>, LabError> {
        let files = self.firmware_files();
        let code = files.existing(files.code)?;
        fs::copy(variables, own)
            .map_err(|e| LabError::io(format!("write {}", own.display()), e))?;
        let flash = |unit: u32, file: &Path, more: &str| {
            let file = quoted(file);
            format!("if=pflash,format=raw,unit={unit},file={file}{more}")
        };
        Ok(vec![
            "-drive".to_owned(),
            flash(0, &code, ",readonly=on"),
            "-drive".to_owned(),
            flash(1, own, ""),
        ])
    }

    fn firmware_files(self) -> Firmware {
        match self {
            Self::Pc => Firmware {
                package: "ovmf",
                code: "/usr/share/OVMF/OVMF_CODE_4M.fd",
                variables: "/usr/share/OVMF/OVMF_VARS_4M.fd",
            },
            Self::SecureBoot => Firmware {
                code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
                ..Self::Pc.firmware_files()
            },
            Self::Arm => Firmware {
                package: "qemu-efi-aarch64",
                code: "/usr/share/AAVMF/AAVMF_CODE.fd",
                variables: "/usr/share/AAVMF/AAVMF_VARS.fd",
            },
        }
    }
}

impl Firmware {
    fn existing(&self, file: &str) -> Result<PathBuf, LabError> {
        let path = PathBuf::from(file);
        if path.is_file() {
            return Ok(path);
        }
        Err(LabError::MissingFile {
            path,
            remedy: format!("apt-get install {}", self.package),
        })
    }
}
