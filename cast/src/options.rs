//! What the command line asks of cast streams, and how they are to be written.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use ironcast_proto::cast::PublicKey;
use ironcast_receiver_nostd::engine::{self, DiskOptions, Wanted};

use crate::error::Error;
use crate::keys::read_public_keys;

/// Options about cast streams.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cast streams")]
pub struct CastOptions {
    /// Take only an image that the public key in this file has signed; may be given again, then any
    /// of them will do
    #[arg(long, value_name = "KEY.pub")]
    trust: Vec<PathBuf>,

    /// Take only the image of this name
    #[arg(long, value_name = "NAME")]
    image: Option<String>,

    /// Take only this version of the image, or a later one
    #[arg(long, value_name = "NUMBER")]
    image_min_version: Option<u64>,

    /// What is done where the image has zeroes. skip leaves the disk as it is, which is known to be
    /// blank
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Zeroes::Write)]
    zero: Zeroes,

    /// What is done where the image has no use for the disk
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Holes::Keep)]
    holes: Holes,

    /// Do not write what the disk already has
    #[arg(long)]
    delta: bool,

    /// Do not read the image back from the disk
    #[arg(long)]
    no_verify: bool,
}

/// The words of [`engine::Zeroes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Zeroes {
    #[default]
    Write,
    Skip,
}

/// The words of [`engine::Holes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Holes {
    #[default]
    Keep,
    Zero,
}

impl CastOptions {
    /// Whether something is asked for that only a cast stream has, so that every stream has to be
    /// one.
    #[must_use]
    pub fn is_particular(&self) -> bool {
        !self.trust.is_empty() || self.image.is_some() || self.image_min_version.is_some()
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// [`Error`] for a file that has none.
    pub fn settings(&self) -> Result<CastSettings, Error> {
        Ok(CastSettings {
            options: self.clone(),
            trusted: read_public_keys(&self.trust)?,
        })
    }
}

/// What is asked of a cast stream, and how it is written.
#[derive(Clone, Debug, Default)]
pub struct CastSettings {
    options: CastOptions,
    trusted: Vec<PublicKey>,
}

impl CastSettings {
    /// Has nothing read back.
    #[must_use]
    pub fn unproved(mut self) -> Self {
        self.options.no_verify = true;
        self
    }

    /// The same for the engine.
    #[must_use]
    pub fn for_engine(&self) -> engine::CastOptions<'_> {
        let CastOptions {
            image,
            image_min_version,
            zero,
            holes,
            delta,
            no_verify,
            ..
        } = &self.options;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        engine::CastOptions {
            wanted: Wanted {
                trusted: &self.trusted,
                name: image.as_deref(),
                least_version: *image_min_version,
                now: now.map(|now| now.as_secs()),
                fog_name: None,
            },
            zero: match zero {
                Zeroes::Write => engine::Zeroes::Write,
                Zeroes::Skip => engine::Zeroes::Skip,
            },
            holes: match holes {
                Holes::Keep => engine::Holes::Keep,
                Holes::Zero => engine::Holes::Zero,
            },
            delta: *delta,
            disk: Some(DiskOptions {
                verify: !no_verify,
                ..DiskOptions::default()
            }),
        }
    }
}
