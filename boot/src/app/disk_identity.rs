//! Asks disks for model and serial number, each kind in the way that firmware offers for it.
//!
//! Drivers of SATA, SCSI and USB keep what the disk said when they found it
//! (`EFI_DISK_INFO_PROTOCOL`). Of NVMe they keep the namespace's data only, and of SCSI no serial
//! number: those are asked for with a command. Whatever fails leaves the text empty; a disk can be
//! named by its place.

use core::ffi::c_void;
use core::ptr;

use ironcast_receiver_nostd::disk_identity::{DiskIdentity, SCSI_SERIAL_PAGE};
use uefi::boot::{self, PAGE_SIZE};
use uefi::proto::device_path::DevicePath;
use uefi::proto::media::disk_info::{DiskInfo, DiskInfoInterface};
use uefi::proto::nvme::pass_thru::NvmePassThru;
use uefi::proto::nvme::{NvmeQueueType, NvmeRequestBuilder};
use uefi::proto::unsafe_protocol;
use uefi::{Handle, StatusExt};
use uefi_raw::protocol::scsi::{
    ScsiIoDataDirection, ScsiIoHostAdapterStatus, ScsiIoProtocol, ScsiIoScsiRequestPacket,
    ScsiIoTargetStatus,
};

use super::firmware;
use super::memory::Pages;

/// How long a disk may take to answer: it has answered the firmware's driver before.
const TIMEOUT: core::time::Duration = core::time::Duration::from_secs(2);

/// What the disk of `handle` is called.
pub(crate) fn of(handle: Handle) -> DiskIdentity {
    ask(handle).unwrap_or_default()
}

fn ask(handle: Handle) -> Option<DiskIdentity> {
    let info = firmware::open_shared::<DiskInfo>(handle)?;
    let mut page = Pages::allocate(PAGE_SIZE).ok()?;
    let data = page.as_mut_slice();
    match info.interface() {
        DiskInfoInterface::IDE | DiskInfoInterface::AHCI => {
            let length = info.identify(data).ok()?;
            Some(DiskIdentity::from_ata(data.get(..length)?))
        }
        DiskInfoInterface::NVME => nvme(handle),
        DiskInfoInterface::SCSI | DiskInfoInterface::USB | DiskInfoInterface::UFS => {
            let length = info.inquiry(data).ok()?;
            let mut memory = Pages::allocate(PAGE_SIZE).ok()?;
            let serial = scsi_serial_page(handle, &mut memory);
            let inquiry = data.get(..length)?;
            Some(DiskIdentity::from_scsi(inquiry, serial.unwrap_or_default()))
        }
        // What drivers of SD cards and eMMC keep is a register (CID), which is not read yet.
        DiskInfoInterface::SDMMC | DiskInfoInterface::Unknown => None,
    }
}

/// Asks the controller that the disk's path leads through.
fn nvme(handle: Handle) -> Option<DiskIdentity> {
    /// The command, which goes to the controller itself.
    const IDENTIFY: u8 = 0x06;
    /// Its first argument: the controller's data, and not those of a namespace.
    const CONTROLLER: u32 = 1;
    /// Bytes of the answer.
    const LENGTH: usize = 4096;

    let path = firmware::open_shared::<DevicePath>(handle)?;
    let controller = boot::locate_device_path::<NvmePassThru>(&mut &*path).ok()?;
    let controller = firmware::open_shared::<NvmePassThru>(controller)?;
    let request = NvmeRequestBuilder::new(controller.io_align(), IDENTIFY, NvmeQueueType::ADMIN)
        .with_timeout(TIMEOUT)
        .with_cdw10(CONTROLLER)
        .with_transfer_buffer(LENGTH)
        .ok()?
        .build();
    let response = controller.controller().execute_command(request).ok()?;
    response.transfer_buffer().map(DiskIdentity::from_nvme)
}

/// The protocol of a SCSI device, as far as it is used here.
#[derive(Debug)]
#[repr(transparent)]
#[unsafe_protocol(ScsiIoProtocol::GUID)]
struct ScsiIo(ScsiIoProtocol);

/// Asks a SCSI device for the page that has its serial number. `memory` takes the answer; `None` if
/// it is no SCSI device, or has no such page.
fn scsi_serial_page(handle: Handle, memory: &mut Pages) -> Option<&[u8]> {
    /// INQUIRY for a page of vital product data, at most [`LENGTH`] bytes of it.
    const COMMAND: [u8; 6] = [0x12, 1, SCSI_SERIAL_PAGE, 0, LENGTH, 0];
    const LENGTH: u8 = 252;
    /// Where answer, sense data and command are in the memory: any alignment is kept.
    const PART: usize = 1024;

    let device = firmware::open_shared::<ScsiIo>(handle)?;
    let (answer, rest) = memory.as_mut_slice().split_at_mut_checked(PART)?;
    let (sense, command) = rest.split_at_mut_checked(PART)?;
    command.get_mut(..COMMAND.len())?.copy_from_slice(&COMMAND);
    let mut packet = ScsiIoScsiRequestPacket {
        // In units of 100 ns.
        timeout: u64::try_from(TIMEOUT.as_nanos() / 100).ok()?,
        in_data_buffer: answer.as_mut_ptr().cast::<c_void>(),
        out_data_buffer: ptr::null_mut(),
        sense_data: sense.as_mut_ptr().cast(),
        cdb: command.as_mut_ptr().cast(),
        in_transfer_length: u32::from(LENGTH),
        out_transfer_length: 0,
        cdb_length: COMMAND.len() as u8,
        data_direction: ScsiIoDataDirection::READ,
        host_adapter_status: ScsiIoHostAdapterStatus::OK,
        target_status: ScsiIoTargetStatus::GOOD,
        sense_data_length: LENGTH,
    };
    // SAFETY: the packet's three buffers are separate parts of `memory` with room for the lengths
    // that it names, and without an event the call returns only when the device is done with them.
    let status =
        unsafe { (device.0.execute_scsi_command)(&device.0, &mut packet, ptr::null_mut()) };
    let is_good = status.to_result().is_ok()
        && packet.host_adapter_status == ScsiIoHostAdapterStatus::OK
        && packet.target_status == ScsiIoTargetStatus::GOOD;
    let length = packet.in_transfer_length.min(u32::from(LENGTH)) as usize;
    let answer = memory.as_slice().get(..length)?;
    is_good.then_some(answer)
}
