//! How a transfer ended, in the words of the result.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::fmt;

use ironcast_proto::cast::Signed;
use ironcast_proto::time::Duration;
use ironcast_receiver_nostd::engine::{self, DiskOptions, Guids, Leftover, Report, TableState};
use ironcast_receiver_nostd::screen::{Banner, Kind};

use super::console::Console;
use super::disk::DiskError;
use super::disks::DiskInfo;
use super::failure::Failure;

/// A transfer that went well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    /// Bytes of the stream.
    bytes: u64,
    /// From the start of the transfer until all was safe on the disk and proved, or would have
    /// been.
    time: Duration,
    /// BLAKE3 of the stream.
    pub(crate) hash: Hash,
    /// Whether that is all of the image.
    whole: bool,
    /// Who has signed it, if it is a cast stream's.
    signed: Option<Signed>,
    /// What was done for the disk beside; `None` if nothing was written, and the sender knows.
    care: Option<Care>,
}

/// A BLAKE3 hash; shown as `b3sum` prints it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash([u8; 32]);

/// What was done for the disk beside writing.
#[derive(Clone, Copy, Debug)]
struct Care {
    verified: bool,
    table: TableState,
    /// Whether its GUIDs are its own.
    new_guids: bool,
    /// Whether it has files for the first boot beside the image.
    seeded: bool,
}

impl Done {
    /// What `report` tells of a transfer with `options` that took `time`, of a cast stream that was
    /// `signed` so.
    pub(crate) fn new(
        report: &Report,
        options: DiskOptions,
        time: Duration,
        signed: Option<Signed>,
    ) -> Self {
        Self {
            bytes: report.received,
            time,
            hash: Hash(*report.hash.as_bytes()),
            whole: report.is_whole(),
            signed,
            care: Some(Care {
                verified: report.verified,
                table: report.table,
                new_guids: options.guids != Guids::Keep,
                seeded: false,
            }),
        }
    }

    /// The same with files for the first boot beside the image.
    pub(crate) fn with_a_seed(self) -> Self {
        let care = self.care.map(|care| Care {
            seeded: true,
            ..care
        });
        Self { care, ..self }
    }

    /// Whether the image is on the disk, all of it, and was not only received.
    pub(crate) fn is_installed(&self) -> bool {
        self.care.is_some() && self.whole
    }

    /// Whether the disk has what came after this machine had joined, and not all of the image.
    pub(crate) fn is_partial(&self) -> bool {
        self.care.is_some() && !self.whole
    }

    /// The same of a dry run.
    pub(crate) fn without_a_disk(self) -> Self {
        Self { care: None, ..self }
    }

    /// The word for it in the line that tells the result.
    pub(crate) fn word(&self) -> &'static str {
        match self.care {
            Some(_) if self.whole => "ok",
            Some(_) => "partial",
            None => "dry-run",
        }
    }

    /// What the line ends with: what was done for the disk.
    pub(crate) fn care(&self) -> String {
        let care = self.care.map(|care| format!(" {care}"));
        let signed = self.signed.map(|signed| match signed {
            Signed::By(key) => format!(" signed={key}"),
            Signed::Unchecked { signatures: 0 } => " signed=no".to_owned(),
            Signed::Unchecked { .. } => " signed=unchecked".to_owned(),
        });
        care.unwrap_or_default() + &signed.unwrap_or_default()
    }

    /// What the page says of it, and of the disk `name`.
    pub(crate) fn banner(&self, name: &str) -> Banner {
        let (bytes, millis, hash) = (self.bytes, self.time.as_millis(), self.hash);
        let time = format!("{}.{:03} s", millis / 1000, millis % 1000);
        let (kind, text) = match self.care {
            None => (
                Kind::DryRun,
                format!("{bytes} bytes arrived in {time}; nothing was written to {name}"),
            ),
            Some(care) => {
                let proof = match care.verified {
                    true => "read back and found equal",
                    false => "not read back",
                };
                let (kind, what) = match self.whole {
                    true => (Kind::Done, "the image"),
                    false => (Kind::Partial, "a part of the image"),
                };
                let text = format!("{name} has {what}: {bytes} bytes in {time}, {proof}");
                (kind, text)
            }
        };
        Banner {
            kind,
            text: vec![text, format!("BLAKE3 {hash}")],
        }
    }

    /// Tells what a word in the result is too short for.
    pub(crate) fn explain(&self, console: &mut Console) {
        let Some(care) = self.care else {
            return;
        };
        if !care.verified {
            console.warn(
                "ironcast: not verified: the disk was not read back, as verify=no has it, so what \
                 is on it may differ",
            );
        }
        if let TableState::Kept(Some(odd)) = care.table {
            console.warn(&format!(
                "ironcast: the image's partition table was left as it was sent: {odd}"
            ));
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, millis) = (self.bytes, self.time.as_millis());
        write!(
            f,
            "bytes={bytes} seconds={}.{:03}",
            millis / 1000,
            millis % 1000
        )
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for Care {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gpt = match self.table {
            TableState::None => "none",
            TableState::Kept(_) => "kept",
            TableState::Fits => "fits",
            TableState::Moved => "moved",
        };
        let guid = if self.new_guids { "new" } else { "kept" };
        let verify = match self.verified {
            true => "ok",
            false => "off (not verified)",
        };
        let seed = if self.seeded { " seed=written" } else { "" };
        write!(f, "gpt={gpt} guid={guid} verify={verify}{seed}")
    }
}

/// Why there is no image on `disk`, and what that has left there.
pub(crate) fn failed(
    disk: &DiskInfo,
    error: &engine::Error<DiskError>,
    leftover: Option<&Leftover<engine::Error<DiskError>>>,
) -> Failure {
    use engine::Error;
    let next = match error {
        Error::Transfer(_) => "look at the sender and the network, then restart this machine",
        Error::Empty => "look at what the sender was given",
        Error::Prepare(_) => "look at the machine's firmware and the disk, or choose another disk",
        Error::TooSmall { .. } | Error::Full { .. } => "use a larger disk or a smaller image",
        Error::SectorSize { .. } => {
            "use an image that was made on such a disk, or another disk, or set the disk to the \
             image's sectors if it can have both"
        }
        Error::Guids(_) => "set guid=keep, or make the image anew",
        Error::Refused(refusal) => refusal.next(),
        Error::Cast(_) => "look at the cast file with \"ironcast-sender verify\"",
        Error::Table(_) => "use a larger disk, or leave gpt=keep out",
        Error::Decode { source, .. } => source.next(),
        Error::DryRun(_) => "set dry-run=no to have it written",
        Error::Complete(_) => "look at the image's EFI system partition, or leave seed= out",
        Error::Write { .. }
        | Error::Stuck { .. }
        | Error::Read { .. }
        | Error::Short { .. }
        | Error::Differs { .. }
        | Error::Chunks(_)
        | Error::Seek { .. }
        | Error::Flush { .. } => "the disk may be failing: check it, or choose another",
    };
    let state = match leftover {
        _ if matches!(error, Error::TooSmall { .. } | Error::SectorSize { .. }) => "".into(),
        None | Some(Leftover::Untouched) => "; it was not written".into(),
        Some(Leftover::Part) => {
            "; its old contents are lost, and what it got was left there, as on-failure=keep has it"
                .into()
        }
        Some(Leftover::Cleared) => {
            "; its old contents are lost, and its first and last MiB were cleared, so that it does \
             not start"
                .into()
        }
        Some(Leftover::NotCleared(error)) => format!(
            "; its old contents are lost, and its first and last MiB could not be cleared \
             ({error}), so do not start it"
        ),
    };
    Failure::new(format!("{}: {error}{state}", disk.name()), next)
}
