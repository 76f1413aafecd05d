//! What is to be done, decided before anything is: whether at all, to which disk, with which files.

use ironcast_receiver_nostd::settings::Settings;

use super::clock::Clock;
use super::console::Console;
use super::disk::TargetDisk;
use super::failure::Failure;
use super::firmware::Path;
use super::first_boot::Seed;
use super::job::{self, JobDone};
use super::memory::Buffers;
use super::network_boot::NetworkBoot;
use super::nic::NicInfo;
use super::target;
use super::transfer::Transfer;

/// Where this program was started.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// What it was loaded from.
    pub(crate) boot_device: &'a Path,
    /// The machine's network cards.
    pub(crate) cards: &'a [NicInfo],
    /// The network boot that loaded it, if one did.
    pub(crate) network_boot: Option<&'a mut NetworkBoot>,
}

/// What is to be done.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a machine has one plan in its life"
)]
pub(crate) enum Plan<'a> {
    /// Nothing but to start the system that is there: the job is done.
    Start(JobDone),
    /// The image is to be received and written.
    Install(Installation<'a>),
}

/// All that is needed for a transfer, but for a network.
#[derive(Debug)]
pub(crate) struct Installation<'a> {
    pub(crate) transfer: Transfer<'a>,
    pub(crate) buffers: Buffers,
    /// The disk, which is not written yet.
    pub(crate) target: TargetDisk,
    /// The file that the system gets for its first boot.
    pub(crate) seed: Option<Seed>,
}

impl<'a> Plan<'a> {
    /// What `settings` mean in these surroundings. A person is asked, if that is wanted.
    ///
    /// # Errors
    /// If what they mean is not beyond doubt, or can't be done. Then nothing is to be written.
    pub(crate) fn make(
        settings: &Settings<'_>,
        surroundings: Surroundings<'_>,
        clock: &'a Clock,
        console: &mut Console,
    ) -> Result<Self, Failure> {
        let Surroundings {
            boot_device,
            cards,
            network_boot,
        } = surroundings;
        // A dry run wipes nothing, so that there is nothing to prevent.
        if let Some(name) = settings.job.filter(|_| !settings.dry_run)
            && let Some(done) = job::done(name, boot_device)?
        {
            return Ok(Self::Start(done));
        }
        let transfer = Transfer::new(settings, clock)?;
        let disk = target::choose(settings.disk, boot_device, console)?;
        // The one that was booted over comes first, unless `nic=` has left another.
        let mac = cards.first().map(|card| card.mac);
        let fetch = |file| Seed::fetch(file, network_boot, mac.unwrap_or_default(), clock);
        let seed = settings.seed.map(fetch).transpose()?;
        target::confirm(settings, &disk, clock, console)?;
        let target = TargetDisk::open(&disk).map_err(|error| target::unusable(&disk, &error))?;
        Ok(Self::Install(Installation {
            transfer,
            buffers: Buffers::allocate()?,
            target,
            seed,
        }))
    }
}
