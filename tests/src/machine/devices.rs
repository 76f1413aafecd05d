//! The disks and network cards that a machine can have, as devices of QEMU.

use std::path::Path;

use crate::LabError;

/// What a disk is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// virtio-blk.
    VirtioBlk,
    /// SATA, at the AHCI controller that a [`Board::Pc`](super::Board::Pc) has.
    Ahci,
    /// NVMe.
    Nvme,
    /// SCSI, at one virtio-scsi controller for all such disks.
    Scsi,
    /// SCSI, at VMware's paravirtual controller.
    Pvscsi,
    /// SAS, at an LSI SAS1068.
    MptSas,
    /// USB mass storage, at one controller for all such disks. Its medium can't be taken out
    /// unless the disk's properties say `removable=on`.
    Usb,
    /// An SD card in an SDHCI slot. It has to measure a power of two.
    SdCard,
    /// An eMMC at an SDHCI controller, which old versions of QEMU don't have. It has to measure a
    /// power of two.
    Emmc,
}

impl DiskKind {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtioBlk => "virtio-blk",
            Self::Ahci => "AHCI",
            Self::Nvme => "NVMe",
            Self::Scsi => "virtio-scsi",
            Self::Pvscsi => "VMware PVSCSI",
            Self::MptSas => "LSI SAS1068",
            Self::Usb => "USB",
            Self::SdCard => "SD card",
            Self::Emmc => "eMMC",
        }
    }

    /// QEMU's device of the disk.
    #[must_use]
    pub fn device(self) -> &'static str {
        match self {
            Self::VirtioBlk => "virtio-blk-pci",
            Self::Ahci => "ide-hd",
            Self::Nvme => "nvme",
            Self::Scsi | Self::Pvscsi | Self::MptSas => "scsi-hd",
            Self::Usb => "usb-storage",
            Self::SdCard => "sd-card",
            Self::Emmc => "emmc",
        }
    }

    /// QEMU's device of the controller that a machine needs for such disks.
    pub(super) fn controller(self) -> Option<Controller> {
        let controller = |device, id| Some(Controller { device, id });
        match self {
            Self::VirtioBlk | Self::Ahci | Self::Nvme => None,
            Self::Scsi => controller("virtio-scsi-pci", "scsi"),
            Self::Pvscsi => controller("pvscsi", "pvscsi"),
            Self::MptSas => controller("mptsas1068", "mptsas"),
            Self::Usb => Some(Controller::USB),
            Self::SdCard | Self::Emmc => controller("sdhci-pci", "sdhci"),
        }
    }

    /// The bus that disk `number` of a machine is at, as a property of its device.
    pub(super) fn bus(self, number: usize) -> String {
        match (self, self.controller()) {
            (Self::Ahci, _) => format!(",bus=ide.{number}"),
            // Its slot's bus has a name of its own.
            (Self::SdCard | Self::Emmc, _) | (_, None) => String::new(),
            (_, Some(controller)) => format!(",bus={}.0", controller.id),
        }
    }

    /// Whether it is a card, whose device in QEMU has no serial number that can be set and no place
    /// among what is booted.
    pub(super) fn is_card(self) -> bool {
        matches!(self, Self::SdCard | Self::Emmc)
    }
}

/// A controller for disks, or for what is at a USB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Controller {
    device: &'static str,
    id: &'static str,
}

impl Controller {
    /// A USB 3 controller.
    pub(super) const USB: Self = Self {
        device: "qemu-xhci",
        id: "usb",
    };

    /// For QEMU's command line.
    pub(super) fn argument(self) -> String {
        format!("{},id={}", self.device, self.id)
    }
}

/// A network card. All but [`Nic::VirtioNet`], [`Nic::UsbNet`] and [`Nic::Tulip`] have iPXE's
/// driver in their option ROM (Debian's package `ipxe-qemu`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nic {
    /// virtio-net, with the firmware's own driver (no option ROM).
    VirtioNet,
    /// Intel e1000 (82540EM).
    E1000,
    /// Intel e1000e (82574L).
    E1000e,
    /// AMD PCnet.
    Pcnet,
    /// Realtek RTL8139.
    Rtl8139,
    /// VMware VMXNET3.
    Vmxnet3,
    /// DEC Tulip (21143), for which there is no option ROM.
    Tulip,
    /// A card at a USB 3 controller, by CDC-ECM or RNDIS.
    UsbNet,
}

impl Nic {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VirtioNet => "virtio-net",
            Self::E1000 => "Intel e1000",
            Self::E1000e => "Intel e1000e",
            Self::Pcnet => "AMD PCnet",
            Self::Rtl8139 => "Realtek RTL8139",
            Self::Vmxnet3 => "VMware VMXNET3",
            Self::Tulip => "DEC Tulip",
            Self::UsbNet => "USB (CDC-ECM, RNDIS)",
        }
    }

    /// QEMU's device.
    #[must_use]
    pub fn device(self) -> &'static str {
        match self {
            Self::VirtioNet => "virtio-net-pci",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Pcnet => "pcnet",
            Self::Rtl8139 => "rtl8139",
            Self::Vmxnet3 => "vmxnet3",
            Self::Tulip => "tulip",
            Self::UsbNet => "usb-net",
        }
    }

    /// The device with its properties, after a look at whether its option ROM is there: QEMU only
    /// warns of a missing one.
    ///
    /// # Errors
    /// [`LabError::MissingFile`] if it is not.
    pub(super) fn argument(self) -> Result<String, LabError> {
        if let Some(rom) = self.rom() {
            let rom = Path::new("/usr/lib/ipxe/qemu").join(rom);
            if !rom.is_file() {
                return Err(LabError::MissingFile {
                    path: rom,
                    remedy: "apt-get install ipxe-qemu".to_owned(),
                });
            }
        }
        let more = match self {
            // It has iPXE's ROM too unless told otherwise.
            Self::VirtioNet => ",romfile=",
            Self::UsbNet => ",bus=usb.0",
            _ => "",
        };
        Ok(format!("{}{more}", self.device()))
    }

    /// The option ROM with iPXE's driver, if it has one.
    #[must_use]
    pub fn rom(self) -> Option<&'static str> {
        match self {
            Self::VirtioNet | Self::Tulip | Self::UsbNet => None,
            Self::E1000 => Some("efi-e1000.rom"),
            Self::E1000e => Some("efi-e1000e.rom"),
            Self::Pcnet => Some("efi-pcnet.rom"),
            Self::Rtl8139 => Some("efi-rtl8139.rom"),
            Self::Vmxnet3 => Some("efi-vmxnet3.rom"),
        }
    }
}
