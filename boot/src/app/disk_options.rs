//! What the settings say about the disk, in the engine's terms.

use alloc::format;

use ironcast_receiver_nostd::engine::{DiskOptions, Guids};
use ironcast_receiver_nostd::settings::{Guid, Settings};
use uefi::Status;

use super::failure::Failure;
use super::random;

/// What `settings` say about the disk.
pub(crate) fn disk_options(settings: &Settings<'_>) -> Result<DiskOptions, Failure> {
    let guids = match settings.guid {
        Guid::Keep => Guids::Keep,
        Guid::New => Guids::New {
            seed: random::seed().map_err(no_random_numbers)?,
        },
    };
    Ok(DiskOptions {
        verify: settings.verify,
        gpt: settings.gpt,
        guids,
        on_failure: settings.on_failure,
        may_be_empty: false,
    })
}

fn no_random_numbers(status: Status) -> Failure {
    Failure::new(
        format!(
            "guid=new, but the firmware gives no random numbers ({status}), so nothing was written"
        ),
        "set guid=keep, or look for a random number generator in the firmware's setup",
    )
}
