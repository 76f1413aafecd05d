//! Random numbers of the firmware's.
//!
//! There are no others here: what a clock and a network card tell is the same on machines that were
//! switched on together, and must not end in two disks with one GUID.

use uefi::Status;
use uefi::proto::rng::Rng;

use super::firmware;

/// 32 random bytes.
///
/// # Errors
/// The firmware's word, or [`Status::UNSUPPORTED`] if it has no generator.
pub(crate) fn seed() -> Result<[u8; 32], Status> {
    let mut last = Status::UNSUPPORTED;
    for handle in firmware::handles_of::<Rng>() {
        let Some(mut generator) = firmware::open_shared::<Rng>(handle) else {
            continue;
        };
        let mut seed = [0; 32];
        match generator.get_rng(None, &mut seed) {
            Ok(()) => return Ok(seed),
            Err(error) => last = error.status(),
        }
    }
    Err(last)
}
