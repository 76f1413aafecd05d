//! Who this machine is, for the sender's list of results: what its firmware says of it.

use alloc::format;
use alloc::string::String;
use core::slice;

use ironcast_proto::receiver::{Identity, text};
use ironcast_receiver_nostd::smbios::{self, ENTRY_POINT_LEN, System};
use uefi::system;
use uefi::table::cfg::ConfigTableEntry;

use super::network::Network;

/// Bytes of the longest SMBIOS table that is looked at: real ones have a few KiB.
const LONGEST_TABLE: usize = 64 << 10;

/// What this machine is, for the person before it; empty if its firmware does not say.
pub(crate) fn description() -> String {
    let System {
        manufacturer,
        product,
        serial,
        ..
    } = smbios_table().map(smbios::system).unwrap_or_default();
    let mut description = String::from(format!("{manufacturer} {product}").trim());
    if !serial.is_empty() {
        description += &format!(", serial {serial}");
    }
    description
}

/// This machine, which takes part over `network` and writes to `disk`.
pub(crate) fn of_this_machine(network: &Network, disk: &str) -> Identity {
    let System {
        manufacturer,
        product,
        serial,
        uuid,
    } = smbios_table().map(smbios::system).unwrap_or_default();
    let product = format!("{manufacturer} {product}");
    Identity {
        mac: network.mac(),
        uuid,
        serial: text(serial),
        product: text(product.trim()),
        disk: text(disk),
        host: text(network.host()),
    }
}

/// The firmware's SMBIOS table, if it has one.
fn smbios_table() -> Option<&'static [u8]> {
    let guids = [
        ConfigTableEntry::SMBIOS3_GUID,
        ConfigTableEntry::SMBIOS_GUID,
    ];
    let entry_point = system::with_config_table(|entries| {
        let find = |guid| entries.iter().find(|entry| entry.guid == guid);
        guids.into_iter().find_map(find).map(|entry| entry.address)
    })?;
    let entry_point: *const u8 = entry_point.cast();
    if entry_point.is_null() {
        return None;
    }
    // SAFETY: the firmware put an entry point there, in memory that it reserves for as long as the
    // machine runs. Both kinds of entry point lie at a multiple of 16 bytes, so that the 31 bytes
    // of the longer one are mapped even where the entry point is the shorter.
    let entry_point = unsafe { slice::from_raw_parts(entry_point, ENTRY_POINT_LEN) };
    let place = smbios::table(entry_point)?;
    let address: *const u8 =
        core::ptr::with_exposed_provenance(usize::try_from(place.address).ok()?);
    if address.is_null() {
        return None;
    }
    // SAFETY: the entry point says that its table is there and how long it is; firmware maps all
    // memory one to one, and never moves or frees the table.
    Some(unsafe { slice::from_raw_parts(address, place.length.min(LONGEST_TABLE)) })
}
