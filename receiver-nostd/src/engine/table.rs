//! Makes the partition table right for the disk, in small writes that are each proved at once.
//!
//! By then all of the image is on the disk but its start, which still is in memory: the disk starts
//! only when that is written, after all of this. The copy at the image's end is made invalid before
//! the one at the disk's end is written, since the two may overlap.

use core::ops::Range;

use super::device::Device;
use super::options::{DiskOptions, Gpt, Guids, TableState};
use super::{Error, WRITE_SIZE};
use crate::disk::Disk;
use crate::gpt::{Header, MAX_ARRAY_LEN, Odd};
use crate::image::{self, START_LEN};
use crate::mbr;

const _: () = assert!(MAX_ARRAY_LEN <= WRITE_SIZE);

/// What has to be done about a table.
#[derive(Debug)]
pub(super) enum Fitting {
    /// Nothing; this became of it.
    Done(TableState),
    /// This step is next.
    Step(Step, Plan),
}

/// The steps, in their order. Each makes one write at most.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The copy at the image's end is made invalid.
    Old,
    /// The copy's entries are written.
    BackupArray,
    /// The copy's header is written.
    BackupHeader,
    /// The entries that were written already are written anew, if they have changed.
    Array,
}

/// What the table is to become. Its entries are in the first half of the scratch memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    sent: Header,
    fitted: Header,
    has_new_guids: bool,
    /// Bytes of the image.
    written: u64,
    verify: bool,
}

/// Why there is no plan.
enum Obstacle<E> {
    Odd(Odd),
    Error(Error<E>),
}

impl<E> From<Odd> for Obstacle<E> {
    fn from(odd: Odd) -> Self {
        Self::Odd(odd)
    }
}

impl<E> From<Error<E>> for Obstacle<E> {
    fn from(error: Error<E>) -> Self {
        Self::Error(error)
    }
}

impl Fitting {
    /// Looks at the table of an image of `written` bytes whose first ones are `start`.
    pub(super) fn new<D: Disk>(
        device: &mut Device<D>,
        options: &DiskOptions,
        start: &[u8; START_LEN],
        written: u64,
        scratch: &mut [u8],
    ) -> Result<Self, Error<D::Error>> {
        let is_new = matches!(options.guids, Guids::New { .. });
        match Self::look(device, options, start, written, scratch) {
            Ok(Self::Done(TableState::None | TableState::Kept(_))) if is_new => {
                Err(Error::Guids(None))
            }
            Ok(fitting) => Ok(fitting),
            Err(Obstacle::Odd(odd)) if is_new => Err(Error::Guids(Some(odd))),
            Err(Obstacle::Odd(odd)) => {
                let odd = Some(odd).filter(|_| options.gpt == Gpt::Move);
                Ok(Self::Done(TableState::Kept(odd)))
            }
            Err(Obstacle::Error(error)) => Err(error),
        }
    }

    fn look<D: Disk>(
        device: &mut Device<D>,
        options: &DiskOptions,
        start: &[u8; START_LEN],
        written: u64,
        scratch: &mut [u8],
    ) -> Result<Self, Obstacle<D::Error>> {
        let sector_size = device
            .sector_size()
            .or_else(|| image::needed(start, None)?.sector_size);
        let sent = sector_size.map_or(Ok(None), |size| Header::primary(start, size));
        let Some(sent) = sent? else {
            return Ok(Self::Done(TableState::None));
        };
        let is_wanted = options.gpt == Gpt::Move || options.guids != Guids::Keep;
        let capacity = device
            .capacity()
            .filter(|_| is_wanted && device.can_be_read());
        let Some(capacity) = capacity else {
            return Ok(Self::Done(TableState::Kept(None)));
        };
        let mut fitted = sent.fitted_to(capacity)?;
        if fitted.array().end > written {
            return Err(Odd::ArrayPlace.into());
        }
        let (array, other) = halves(scratch);
        let array = first(array, len(&fitted.array()));
        read_array(device, &fitted, start, array)?;
        fitted.check_array(array)?;
        match options.guids {
            Guids::New { seed } => renew_guids(&mut fitted, array, &seed),
            Guids::Keep if has_backup(device, &fitted, other)? => {
                return Ok(Self::Done(TableState::Fits));
            }
            Guids::Keep => {}
        }
        let plan = Plan {
            sent,
            fitted,
            has_new_guids: options.guids != Guids::Keep,
            written,
            verify: options.verify,
        };
        Ok(Self::Step(Step::Old, plan))
    }

    /// Does the next step. The last one puts the new table into `start`.
    pub(super) fn advance<D: Disk>(
        &mut self,
        device: &mut Device<D>,
        start: &mut [u8; START_LEN],
        scratch: &mut [u8],
    ) -> Result<(), Error<D::Error>> {
        let Self::Step(step, plan) = self else {
            return Ok(());
        };
        match step {
            Step::Old => {
                plan.invalidate_old(device, scratch)?;
                *step = Step::BackupArray;
            }
            Step::BackupArray => {
                let (array, check) = halves(scratch);
                let place = plan.fitted.backup().array();
                let array = first(array, len(&place));
                device.store(place.start, array, plan.verify.then_some(check))?;
                *step = Step::BackupHeader;
            }
            Step::BackupHeader => {
                plan.write_backup_header(device, start, scratch)?;
                *step = Step::Array;
            }
            Step::Array => {
                if plan.has_new_guids {
                    plan.write_array(device, start, scratch)?;
                }
                plan.fit_start(device.capacity(), start);
                *self = Self::Done(plan.outcome());
            }
        }
        Ok(())
    }
}

impl Plan {
    fn moves(&self) -> bool {
        self.sent.alternate() != self.fitted.alternate()
    }

    fn outcome(&self) -> TableState {
        match self.has_new_guids && !self.moves() {
            true => TableState::Fits,
            false => TableState::Moved,
        }
    }

    fn sector_len(&self) -> usize {
        self.fitted.sector_size() as usize
    }

    /// Where the primary header is in the image.
    fn header_place(&self) -> Range<usize> {
        self.sector_len()..2 * self.sector_len()
    }

    /// A copy that no header names any more could still be found by programs that look for lost
    /// tables. What is no header there is left alone.
    fn invalidate_old<D: Disk>(
        &self,
        device: &mut Device<D>,
        scratch: &mut [u8],
    ) -> Result<(), Error<D::Error>> {
        let place = self.sent.alternate();
        let end = place.saturating_add(u64::from(self.sent.sector_size()));
        if !self.moves() || end > self.written {
            return Ok(());
        }
        let (sector, check) = split(halves(scratch).1, self.sector_len());
        device.read(place, sector)?;
        if Header::parse(sector) == Ok(None) {
            return Ok(());
        }
        sector.fill(0);
        device.store(place, sector, self.verify.then_some(check))
    }

    fn write_backup_header<D: Disk>(
        &self,
        device: &mut Device<D>,
        start: &[u8; START_LEN],
        scratch: &mut [u8],
    ) -> Result<(), Error<D::Error>> {
        let (sector, check) = split(halves(scratch).1, self.sector_len());
        copy(start.get(self.header_place()), Some(sector));
        self.fitted.backup().emit(sector);
        let place = self.fitted.alternate();
        device.store(place, sector, self.verify.then_some(check))
    }

    /// Entries are on the disk already, save those in `start`.
    fn write_array<D: Disk>(
        &self,
        device: &mut Device<D>,
        start: &mut [u8; START_LEN],
        scratch: &mut [u8],
    ) -> Result<(), Error<D::Error>> {
        let (array, check) = halves(scratch);
        let place = self.fitted.array();
        let array = first(array, len(&place));
        let held = held_back(&place);
        let (in_start, on_disk) = split(array, held.len());
        copy(Some(in_start), start.get_mut(held));
        if on_disk.is_empty() {
            return Ok(());
        }
        let offset = place.start + in_start.len() as u64;
        device.store(offset, on_disk, self.verify.then_some(check))
    }

    fn fit_start(&self, capacity: Option<u64>, start: &mut [u8; START_LEN]) {
        if let Some(sector) = start.get_mut(self.header_place()) {
            self.fitted.emit(sector);
        }
        if let (Some(capacity), true) = (capacity, self.moves()) {
            mbr::protect(start, capacity / u64::from(self.fitted.sector_size()));
        }
    }
}

fn renew_guids(header: &mut Header, array: &mut [u8], seed: &[u8; 32]) {
    let mut random = blake3::Hasher::new_keyed(seed).finalize_xof();
    header.renew_guids(array, || {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        bytes
    });
}

/// Reads the entries, whose first ones may be in `start`.
fn read_array<D: Disk>(
    device: &mut Device<D>,
    header: &Header,
    start: &[u8; START_LEN],
    array: &mut [u8],
) -> Result<(), Error<D::Error>> {
    let place = header.array();
    let held = held_back(&place);
    let (in_start, on_disk) = split(array, held.len());
    let offset = place.start + in_start.len() as u64;
    copy(start.get(held), Some(in_start));
    device.read(offset, on_disk)
}

/// Whether the disk's end has a copy of the table that is right.
fn has_backup<D: Disk>(
    device: &mut Device<D>,
    primary: &Header,
    memory: &mut [u8],
) -> Result<bool, Error<D::Error>> {
    let sector = first(memory, primary.sector_size() as usize);
    device.read(primary.alternate(), sector)?;
    let Ok(Some(backup)) = Header::parse(sector) else {
        return Ok(false);
    };
    let place = backup.array();
    if !primary.is_backed_up_by(&backup) || place.end > primary.alternate() {
        return Ok(false);
    }
    let array = first(memory, len(&place));
    device.read(place.start, array)?;
    Ok(primary.check_array(array).is_ok())
}

/// The part of a place on the disk that was held back from it, as a part of the image's start.
fn held_back(place: &Range<u64>) -> Range<usize> {
    let within = |offset| usize::try_from(offset).map_or(START_LEN, |offset| offset.min(START_LEN));
    within(place.start)..within(place.end)
}

/// The scratch memory's halves: one for the entries, one for what is written or read beside them.
fn halves(scratch: &mut [u8]) -> (&mut [u8], &mut [u8]) {
    split(scratch, WRITE_SIZE)
}

/// The first bytes of `memory`, or all.
fn first(memory: &mut [u8], len: usize) -> &mut [u8] {
    split(memory, len).0
}

/// The first bytes of `memory`, or all, and the rest.
fn split(memory: &mut [u8], len: usize) -> (&mut [u8], &mut [u8]) {
    memory.split_at_mut(len.min(memory.len()))
}

fn len(place: &Range<u64>) -> usize {
    usize::try_from(place.end - place.start).unwrap_or(usize::MAX)
}

/// Copies what has a place of its length.
fn copy(from: Option<&[u8]>, to: Option<&mut [u8]>) {
    if let (Some(from), Some(to)) = (from, to)
        && from.len() == to.len()
    {
        to.copy_from_slice(from);
    }
}
