//! What this machine asks of cast streams, and the keys that it trusts.
//!
//! The keys are built into the application, so that whoever signs that for Secure Boot vouches for
//! them too, and no settings from the network can take them away.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ironcast_proto::cast::PublicKey;
use ironcast_receiver_nostd::calendar;
use ironcast_receiver_nostd::engine::{CastOptions, Decompress, Holes, Wanted, Zeroes};
use ironcast_receiver_nostd::settings::Settings;
use uefi::runtime;

use super::failure::Failure;

/// The trusted keys, as `cargo xtask efi --trust` gives them: the bytes of each in hexadecimal,
/// with commas between.
const TRUSTED: Option<&str> = option_env!("IRONCAST_TRUST");

/// What is asked of cast streams, and how they are written.
#[derive(Debug)]
pub(crate) struct CastSettings {
    trusted: Vec<PublicKey>,
    image: Option<String>,
    image_min_version: Option<u64>,
    zero: Zeroes,
    holes: Holes,
    delta: bool,
}

impl CastSettings {
    /// What `settings` say about them.
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Failure> {
        let trusted = trusted()?;
        let unpacks = matches!(settings.decompress, Decompress::Auto | Decompress::Cast);
        if !trusted.is_empty() && !unpacks {
            return Err(Failure::new(
                format!(
                    "decompress={}, but here only images that a trusted key has signed are taken, \
                     and those are cast streams",
                    settings.decompress
                ),
                "leave decompress= out",
            ));
        }
        Ok(Self {
            trusted,
            image: settings.image.map(|image| image.as_str().to_owned()),
            image_min_version: settings.image_min_version,
            zero: settings.zero,
            holes: settings.holes,
            delta: settings.delta,
        })
    }

    /// The same for the engine.
    pub(crate) fn for_engine(&self) -> CastOptions<'_> {
        CastOptions {
            wanted: Wanted {
                trusted: &self.trusted,
                name: self.image.as_deref(),
                least_version: self.image_min_version,
                now: now(),
                fog_name: None,
            },
            zero: self.zero,
            holes: self.holes,
            delta: self.delta,
            disk: None,
        }
    }
}

/// The keys that are built in.
pub(crate) fn trusted() -> Result<Vec<PublicKey>, Failure> {
    let texts = TRUSTED.filter(|text| !text.is_empty());
    let keys = texts.map(|texts| texts.split(',').map(key).collect::<Option<Vec<_>>>());
    keys.unwrap_or_else(|| Some(Vec::new())).ok_or_else(|| {
        Failure::new(
            "a trusted key that is built into this program is none".to_owned(),
            "build it anew with \"cargo xtask efi --trust\"",
        )
    })
}

fn key(text: &str) -> Option<PublicKey> {
    let mut bytes = [0; PublicKey::LEN];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    PublicKey::from_bytes(&bytes)
}

/// The time in seconds since 1970, if the machine's clock tells any.
fn now() -> Option<u64> {
    let time = runtime::get_time().ok()?;
    time.is_valid().ok()?;
    let date = (time.year(), time.month(), time.day());
    let local = calendar::seconds(date, (time.hour(), time.minute(), time.second()))?;
    // UEFI: local time is UTC less so many minutes.
    let zone = i64::from(time.time_zone().unwrap_or_default()) * 60;
    local.checked_add_signed(zone)
}
