//! The disks that the firmware knows: how they are called, and what tells them apart.
//!
//! Only whole disks count; partitions are the image's own business.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use ironcast_receiver_nostd::contents::{Contents, START_LEN};
use ironcast_receiver_nostd::disk_identity::DiskIdentity;
use ironcast_receiver_nostd::screen::DiskLine;
use ironcast_receiver_nostd::settings::DiskKind;
use ironcast_receiver_nostd::target::Candidate;
use uefi::proto::device_path::{DeviceSubType, DeviceType};
use uefi::proto::media::block::BlockIO;
use uefi::{Handle, Status};

use super::disk_identity;
use super::firmware::{self, Path};
use super::memory::Pages;

/// Bytes of the smallest sector that disks have. iPXE hangs something smaller at network cards,
/// which only looks like a disk.
const SMALLEST_SECTOR: u32 = 512;

/// A disk that the firmware knows.
#[derive(Clone, Debug)]
pub(crate) struct DiskInfo {
    handle: Handle,
    path: Path,
    /// Its device path, in the firmware's text form.
    path_text: String,
    /// How it is attached.
    kind: DiskKind,
    /// Its place among those of its kind, in the order of device paths: the same as long as no disk
    /// is added or moved.
    index: u16,
    /// Whether it is built in and stays so.
    fixed: bool,
    /// Bytes that it holds.
    bytes: u64,
    /// Bytes of a sector.
    sector: u32,
    removable: bool,
    read_only: bool,
    boot_medium: bool,
    /// What it is called.
    identity: DiskIdentity,
    /// What is on it now, in words.
    contents: String,
}

impl DiskInfo {
    /// The name that it is called by in settings: its kind and number.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.kind, self.index)
    }

    /// What the choice of the target goes by.
    pub(crate) fn candidate(&self) -> Candidate<'_> {
        Candidate {
            kind: self.kind,
            index: self.index,
            path: &self.path_text,
            model: &self.identity.model,
            serial: &self.identity.serial,
            bytes: self.bytes,
            fixed: self.fixed,
            read_only: self.read_only,
            boot_medium: self.boot_medium,
        }
    }

    /// Its device path, in the firmware's text form.
    pub(crate) fn path_text(&self) -> &str {
        &self.path_text
    }

    /// Its handle, for the firmware's drivers.
    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of a sector.
    pub(crate) fn sector(&self) -> u32 {
        self.sector
    }

    /// Where it is, in the words that `disk=` takes too.
    pub(crate) fn place(&self) -> String {
        let (name, bytes, path) = (self.name(), self.bytes, &self.path_text);
        format!("{name} has {bytes} bytes and is {path}")
    }

    /// What the page shows of it.
    pub(crate) fn line(&self) -> DiskLine {
        let about = self.about();
        DiskLine {
            name: self.name(),
            size: self.size(),
            about: match self.sector {
                SMALLEST_SECTOR => about,
                sector => format!("sectors of {sector}, {about}"),
            },
            place: self.path_text.clone(),
            is_chosen: false,
        }
    }

    /// Its size, as makers count it.
    fn size(&self) -> String {
        match self.bytes {
            bytes @ 0..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
            bytes => format!("{} GB", bytes / 1_000_000_000),
        }
    }

    /// What it is, without what is on it, which changes.
    pub(crate) fn title(&self) -> String {
        let (name, size, model) = (self.name(), self.size(), self.model());
        format!("{name}: {size}, {model}")
            .trim_end_matches(", ")
            .into()
    }

    /// What it says of itself, with a comma at its end if that is anything.
    fn model(&self) -> String {
        let DiskIdentity { model, serial } = &self.identity;
        let mut text = String::new();
        if !model.is_empty() {
            text += &format!("{model}, ");
        }
        if !serial.is_empty() {
            text += &format!("serial {serial}, ");
        }
        text
    }

    /// What it says of itself, and what is on it.
    fn about(&self) -> String {
        let mut about = self.model();
        for (applies, mark) in [
            (self.removable, "removable, "),
            (self.read_only, "read-only, "),
            (self.boot_medium, "booted from, "),
        ] {
            about += if applies { mark } else { "" };
        }
        about + &self.contents
    }

    /// Its place in the machine.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for DiskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size, sector, about) = (self.name(), self.size(), self.sector, self.about());
        write!(f, "{name}: {size}, sectors of {sector}, {about}")
    }
}

/// The machine's disks that have a medium, in the order of their places.
pub(crate) fn find(boot_device: &Path) -> Vec<DiskInfo> {
    let mut disks: Vec<DiskInfo> = firmware::handles_of::<BlockIO>()
        .into_iter()
        .filter_map(|handle| look_at(handle, boot_device))
        .collect();
    disks.sort_by(|a, b| a.path.cmp(&b.path));
    for place in 0..disks.len() {
        let kind = disks[place].kind;
        let before = disks[..place]
            .iter()
            .filter(|disk| disk.kind == kind)
            .count();
        disks[place].index = u16::try_from(before).unwrap_or(u16::MAX);
    }
    disks
}

fn look_at(handle: Handle, boot_device: &Path) -> Option<DiskInfo> {
    let mut block_io = firmware::open_shared::<BlockIO>(handle)?;
    let media = block_io.media();
    if media.is_logical_partition()
        || !media.is_media_present()
        || media.block_size() < SMALLEST_SECTOR
    {
        return None;
    }
    let path = Path::of(handle);
    let (kind, built_in) = kind_of(&path);
    let sectors = media.last_block().checked_add(1)?;
    Some(DiskInfo {
        handle,
        path_text: firmware::path_text(handle),
        kind,
        index: 0,
        fixed: built_in && !media.is_removable_media(),
        bytes: sectors.checked_mul(u64::from(media.block_size()))?,
        sector: media.block_size(),
        removable: media.is_removable_media(),
        read_only: media.is_read_only(),
        boot_medium: boot_device.leads_through(&path),
        path,
        identity: disk_identity::of(handle),
        contents: contents_of(&mut block_io).map_or_else(
            |status| format!("unreadable ({status})"),
            |contents| contents.to_string(),
        ),
    })
}

/// Looks at what is on a disk. A disk that fails is asked no more than twice.
fn contents_of(disk: &mut BlockIO) -> Result<Contents, Status> {
    let media = disk.media();
    let (id, sector) = (media.media_id(), media.block_size() as usize);
    let sectors = media.last_block().saturating_add(1);
    let bytes = sectors.saturating_mul(sector as u64);
    let mut memory = Pages::allocate(START_LEN).map_err(|_| Status::OUT_OF_RESOURCES)?;
    // Whole sectors, and no more than there are.
    let most = START_LEN / sector * sector;
    let length = usize::try_from(bytes).map_or(most, |bytes| bytes.min(most));
    if length == 0 {
        return Err(Status::BAD_BUFFER_SIZE);
    }
    let buffer = memory.as_mut_slice().get_mut(..length).unwrap_or_default();
    Contents::read(sector, buffer, |offset, buffer| {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > bytes {
            return Err(Status::INVALID_PARAMETER);
        }
        let read = disk.read_blocks(id, offset / sector as u64, buffer);
        read.map_err(|error| error.status())
    })
}

/// How a disk is attached, by the last step of its path that tells, and whether that is inside of
/// the machine.
fn kind_of(path: &Path) -> (DiskKind, bool) {
    let kinds = || path.nodes().iter().rev().map(|node| node.kind);
    // A disk that hangs directly at the PCI bus is a paravirtual one.
    let pci = (DeviceType::HARDWARE, DeviceSubType::HARDWARE_PCI);
    if kinds().next() == Some(pci) {
        return (DiskKind::Virtio, true);
    }
    let ram_disk = (DeviceType::MEDIA, DeviceSubType::MEDIA_RAM_DISK);
    if kinds().any(|kind| kind == ram_disk) {
        return (DiskKind::Other, false);
    }
    let messaging = || {
        let all = kinds().filter(|(major, _)| *major == DeviceType::MESSAGING);
        all.map(|(_, minor)| minor)
    };
    let (kind, built_in) = messaging()
        .find_map(messaging_kind)
        // What nobody knows may be anywhere.
        .unwrap_or((DiskKind::Other, messaging().next().is_none()));
    (kind, built_in && !messaging().any(is_network))
}

/// Whether a step of a path leads out of the machine: a disk behind it may be many machines' disk.
fn is_network(minor: DeviceSubType) -> bool {
    matches!(
        minor,
        DeviceSubType::MESSAGING_MAC_ADDRESS
            | DeviceSubType::MESSAGING_IPV4
            | DeviceSubType::MESSAGING_IPV6
            | DeviceSubType::MESSAGING_VLAN
            | DeviceSubType::MESSAGING_URI
            | DeviceSubType::MESSAGING_ISCSI
            | DeviceSubType::MESSAGING_FIBRE_CHANNEL
            | DeviceSubType::MESSAGING_FIBRE_CHANNEL_EX
            | DeviceSubType::MESSAGING_INFINIBAND
            | DeviceSubType::MESSAGING_NVME_OF_NAMESPACE
    )
}

fn messaging_kind(minor: DeviceSubType) -> Option<(DiskKind, bool)> {
    Some(match minor {
        DeviceSubType::MESSAGING_NVME_NAMESPACE => (DiskKind::Nvme, true),
        DeviceSubType::MESSAGING_SATA => (DiskKind::Sata, true),
        DeviceSubType::MESSAGING_SCSI
        | DeviceSubType::MESSAGING_SCSI_SAS_EX
        | DeviceSubType::MESSAGING_UFS => (DiskKind::Scsi, true),
        DeviceSubType::MESSAGING_EMMC => (DiskKind::Mmc, true),
        DeviceSubType::MESSAGING_SD => (DiskKind::Mmc, false),
        DeviceSubType::MESSAGING_USB
        | DeviceSubType::MESSAGING_USB_WWID
        | DeviceSubType::MESSAGING_USB_CLASS => (DiskKind::Usb, false),
        DeviceSubType::MESSAGING_ATAPI => (DiskKind::Other, true),
        DeviceSubType::MESSAGING_ISCSI => (DiskKind::Other, false),
        _ => return None,
    })
}
