//! How protocols of the firmware are found and opened, in one place.
//!
//! Most are opened beside the firmware's own drivers, which go on using them; the two that must be
//! ours alone, a disk and a network card, are opened exclusively where they are used.

use alloc::string::String;
use alloc::vec::Vec;

use ironcast_proto::time::Duration;
use uefi::boot::{self, OpenProtocolAttributes, OpenProtocolParams, ScopedProtocol, SearchType};
use uefi::proto::ProtocolPointer;
use uefi::proto::device_path::text::{AllowShortcuts, DisplayOnly};
use uefi::proto::device_path::{DevicePath, DevicePathNode, DeviceSubType, DeviceType};
use uefi::proto::loaded_image::LoadedImage;
use uefi::runtime::{self, VariableAttributes, VariableVendor};
use uefi::{CStr16, Handle, Status};

/// Sets a variable that outlasts the power, and that the installed system sees too.
///
/// # Errors
/// The firmware's word.
pub(crate) fn keep_variable(
    name: &CStr16,
    vendor: &VariableVendor,
    data: &[u8],
) -> Result<(), Status> {
    let attributes = VariableAttributes::NON_VOLATILE
        | VariableAttributes::BOOTSERVICE_ACCESS
        | VariableAttributes::RUNTIME_ACCESS;
    runtime::set_variable(name, vendor, attributes, data).map_err(|error| error.status())
}

/// Makes the firmware restart the machine after `time`; never, if that is zero.
///
/// Firmware sets it to 5 minutes before it starts a program, and means it.
pub(crate) fn set_watchdog(time: Duration) {
    /// Codes below are the firmware's own.
    const CODE: u64 = 0x1_0000;
    let seconds = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    // A firmware without a watchdog refuses, and needs no calming either.
    let _ = boot::set_watchdog_timer(seconds, CODE, None);
}

/// Lets the firmware's drivers manage every device that it has found.
///
/// Firmwares that are set to boot fast leave disks and network cards without drivers until
/// something boots from them. Every driver is asked about every device, which is slow, so each is
/// connected once and without what is below it, and what drivers find there after it: 40 ms where
/// all is connected already and an emulator runs the firmware, in place of 800.
pub(crate) fn connect_all_drivers() {
    /// Further from the mainboard than any device.
    const DEEPEST: usize = 16;
    let mut known = Vec::new();
    for _ in 0..DEEPEST {
        let mut handles = all_handles();
        handles.retain(|handle| !known.contains(handle));
        if handles.is_empty() {
            return;
        }
        // What has no place in the machine is a program or a driver.
        let is_device = |&&handle: &&Handle| open_shared::<DevicePath>(handle).is_some();
        for &handle in handles.iter().filter(is_device) {
            // What no driver wants is refused; nothing is lost by that.
            let _ = boot::connect_controller(handle, &[], None, false);
        }
        known.append(&mut handles);
    }
}

/// All handles that there are.
fn all_handles() -> Vec<Handle> {
    boot::locate_handle_buffer(SearchType::AllHandles)
        .map(|handles| handles.to_vec())
        .unwrap_or_default()
}

/// All handles that offer the protocol `P`, in the firmware's order, which says nothing.
pub(crate) fn handles_of<P: ProtocolPointer + ?Sized>() -> Vec<Handle> {
    boot::locate_handle_buffer(SearchType::ByProtocol(&P::GUID))
        .map(|handles| handles.to_vec())
        .unwrap_or_default()
}

/// Opens the protocol `P` of `handle` beside whoever uses it already; `None` if it offers none.
///
/// Not for a protocol whose driver is to be disconnected while the value lives.
pub(crate) fn open_shared<P: ProtocolPointer + ?Sized>(
    handle: Handle,
) -> Option<ScopedProtocol<P>> {
    let parameters = OpenProtocolParams {
        handle,
        agent: boot::image_handle(),
        controller: None,
    };
    // SAFETY: the firmware is not told of this use and could remove the protocol. It does so only
    // when a driver is disconnected, which only this program causes, by exclusive opens and by
    // `disconnect_controller`; the values that are opened here are dropped before those, or belong
    // to consoles and loaded files, which stay.
    let opened =
        unsafe { boot::open_protocol::<P>(parameters, OpenProtocolAttributes::GetProtocol) };
    // An interface without contents would panic on use.
    opened.ok().filter(|protocol| protocol.get().is_some())
}

/// Where a device sits: the nodes of its device path, from the mainboard to the device.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    nodes: Vec<Node>,
}

/// A step of a device path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    /// What kind of step it is.
    pub(crate) kind: (DeviceType, DeviceSubType),
    /// Which one of that kind.
    pub(crate) data: Vec<u8>,
}

impl Path {
    /// The path of `handle`; without nodes if the firmware knows none.
    pub(crate) fn of(handle: Handle) -> Self {
        open_shared::<DevicePath>(handle).map_or_else(Self::default, |path| Self {
            nodes: path.node_iter().map(Node::from).collect(),
        })
    }

    /// Its nodes.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether it leads to or through the device at `other`. Nothing leads through a device without
    /// a path.
    pub(crate) fn leads_through(&self, other: &Self) -> bool {
        !other.nodes.is_empty() && self.nodes.starts_with(&other.nodes)
    }

    /// The Ethernet address of the network card that it leads through.
    pub(crate) fn ethernet_address(&self) -> Option<[u8; 6]> {
        let is_mac = |node: &&Node| {
            node.kind == (DeviceType::MESSAGING, DeviceSubType::MESSAGING_MAC_ADDRESS)
        };
        let node = self.nodes.iter().find(is_mac)?;
        node.data.first_chunk().copied()
    }
}

impl From<&DevicePathNode> for Node {
    fn from(node: &DevicePathNode) -> Self {
        Self {
            kind: node.full_type(),
            data: node.data().to_vec(),
        }
    }
}

/// The device path of `handle` as the firmware writes it; empty if it can't.
pub(crate) fn path_text(handle: Handle) -> String {
    open_shared::<DevicePath>(handle)
        .and_then(|path| {
            path.to_string16(DisplayOnly(false), AllowShortcuts(false))
                .ok()
        })
        .map(|text| String::from(&text))
        .unwrap_or_default()
}

/// The device that this program was loaded from, if the firmware says.
pub(crate) fn boot_device() -> Option<Handle> {
    open_shared::<LoadedImage>(boot::image_handle())?.device()
}
