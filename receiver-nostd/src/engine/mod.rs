//! The receiver's engine: takes datagrams, and leaves the image on the disk.
//!
//! It puts the receiver machine of `ironcast-proto` together with the memory between network and
//! disk, the hash, the decompression and the disk writer. Like the machine it has no clock and no
//! socket, and it never works longer than one write takes: the caller looks at the network in
//! between (docs/protocol.md, "Back-pressure" and "End").

mod arrived;
mod checksums;
mod chunks;
mod clearing;
mod closing;
mod decoding;
mod device;
mod error;
mod hashing;
mod options;
mod pipeline;
mod read_back;
mod report;
mod ring;
mod table;
#[cfg(feature = "alloc")]
mod unpacker;
#[cfg(feature = "alloc")]
mod unpacking;
mod wanted;
mod writer;

use core::net::SocketAddrV4;

use heapless::Deque;
#[cfg(feature = "alloc")]
use ironcast_proto::cast::{Manifest, Signed};
use ironcast_proto::receiver::{
    self, Conclusion, Config, Failure, Identity, Receiver, Stats, Transmit,
};
use ironcast_proto::time::Instant;

pub use checksums::{UNIT_LEN, UnitValue, unit_value};
pub use chunks::BadChunks;
pub use error::{Error, MemoryError};
pub use hashing::HashOffload;
pub use options::{
    CastOptions, Decompress, DiskOptions, Gpt, Guids, Holes, Leftover, OnFailure, TableState,
    Zeroes,
};
#[cfg(feature = "alloc")]
pub use report::Provenance;
pub use report::{Format, Progress, Report};
#[cfg(feature = "alloc")]
pub use unpacker::Unpacker;
#[cfg(feature = "alloc")]
pub use unpacking::Unpacked;
pub use wanted::{Refusal, Wanted};

use crate::decode::gzip;
use crate::disk::Disk;
use arrived::Arrived;
use pipeline::Pipeline;

/// Bytes of a write to the disk, save the last. Chosen: larger ones gain little on any disk that
/// firmware drives, and this one keeps the network waiting for a millisecond and not ten.
pub const WRITE_SIZE: usize = 256 << 10;

/// Least length of [`Memory::ring`]: one write being made, and another being gathered.
pub const MIN_RING_LEN: usize = 2 * WRITE_SIZE;

/// The memory of an engine.
#[derive(Debug)]
pub struct Memory<'m> {
    /// For blocks until they are written: a multiple of [`WRITE_SIZE`], [`MIN_RING_LEN`] at least.
    /// It must hold two of the sender's slices for full speed, and one for any; 4 MiB hold the
    /// largest that have blocks of 1456 bytes. Writes of raw images come from here, at multiples of
    /// [`WRITE_SIZE`] from its start, and what is read back goes here: align it as the disk needs
    /// it.
    pub ring: &'m mut [u8],
    /// For decoded bytes, or for those of a raw image that are read back: [`WRITE_SIZE`], aligned
    /// as the disk needs it. Unused and perhaps empty with [`Decompress::None`].
    pub write_buffer: &'m mut [u8],
    /// For the decoder of gzip. Unused with [`Decompress::None`].
    pub gzip: Option<&'m mut gzip::Decoder>,
}

impl Memory<'_> {
    fn check(&self, decompress: Decompress) -> Result<(), MemoryError> {
        let ring = self.ring.len();
        if ring < MIN_RING_LEN || !ring.is_multiple_of(WRITE_SIZE) {
            return Err(MemoryError::Ring(ring));
        }
        match decompress {
            Decompress::None => Ok(()),
            _ if self.gzip.is_none() => Err(MemoryError::NoDecoder),
            _ if self.write_buffer.len() != WRITE_SIZE => {
                Err(MemoryError::WriteBuffer(self.write_buffer.len()))
            }
            _ => Ok(()),
        }
    }
}

/// Something that the caller should know or do. `E` is the disk's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<E> {
    /// What the receiver machine tells, but for [`receiver::Event::Ended`] and
    /// [`receiver::Event::Finished`]: those are the engine's own matter.
    Receiver(receiver::Event),
    /// The stream has said which image it is, and that is one that is wanted and fits:
    /// [`Engine::image`] tells.
    Image,
    /// The engine is done; nothing follows.
    Finished(Result<Report, Error<E>>),
}

/// One transfer to one disk.
///
/// Calls are of the same kinds as those of [`Receiver`], and one more: [`work`](Self::work), to be
/// called whenever nothing waits at the network, and at once again while it returns true. After
/// every input, command and work come the polls, until they return `None`.
///
/// At the end the order is: everything written, the disk flushed, read back, made to start
/// ([`DiskOptions`]) and [completed](Disk::complete), the sender told, some time to answer it
/// again, [`Event::Finished`]. A disk or a stream that fails ends the transfer at once; then the
/// disk is cleared, if that is wanted, before [`Event::Finished`]. With a disk that [keeps
/// nothing](Disk::is_dry_run) it ends as [`Error::DryRun`], whatever goes well.
#[derive(Debug)]
pub struct Engine<'m, D: Disk> {
    receiver: Receiver,
    pipeline: Pipeline<'m, D>,
    /// Stream offset up to which every byte has arrived.
    arrived: u64,
    /// The stream's length.
    total: Option<u64>,
    /// The slice that the stream began with.
    first_slice: u32,
    /// What went wrong here, until the sender has been told.
    error: Option<Error<D::Error>>,
    outcome: Outcome,
    /// The machine's events that the caller has not seen.
    events: Deque<receiver::Event, 8>,
    /// Value of [`Stats::no_room`] when there was nothing left to do for the room.
    no_room: u64,
    /// Whether a datagram has come since the last work.
    is_busy: bool,
}

/// How the machine ended.
#[derive(Debug)]
enum Outcome {
    Open,
    /// The caller is to be told.
    Ended(Result<(), Failure>),
    Told,
}

impl<'m, D: Disk> Engine<'m, D> {
    /// An engine that looks for a sender from `now` on. [`Config::capacity`] becomes the ring's
    /// length.
    ///
    /// # Errors
    /// If the memory is not what [`Memory`] asks for.
    pub fn new(
        mut config: Config,
        decompress: Decompress,
        options: DiskOptions,
        memory: Memory<'m>,
        disk: D,
        now: Instant,
    ) -> Result<Self, MemoryError> {
        memory.check(decompress)?;
        let pipeline = Pipeline::new(decompress, options, memory, disk);
        config.capacity = pipeline.capacity();
        Ok(Self {
            receiver: Receiver::new(config, now),
            pipeline,
            arrived: 0,
            total: None,
            first_slice: 0,
            error: None,
            outcome: Outcome::Open,
            events: Deque::new(),
            no_room: 0,
            is_busy: false,
        })
    }

    /// Has cast streams held to these options, and all others refused if they ask for what only a
    /// cast stream says. To be called before anything has arrived.
    pub fn set_cast_options(&mut self, options: CastOptions<'m>) {
        self.pipeline.set_cast_options(options);
    }

    /// The image and who has signed it, if it is a cast stream's and [was accepted](Event::Image).
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn image(&self) -> Option<(Manifest<'_>, Signed)> {
        self.pipeline.image()
    }

    /// Has `offload` hash what it takes.
    pub fn set_offload(&mut self, offload: &'m mut dyn HashOffload) {
        self.pipeline.set_offload(offload);
    }

    /// Takes a datagram that arrived at the receiver's port. A block in it is copied at once.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddrV4, datagram: &[u8]) {
        self.is_busy = true;
        if let Some(block) = self.receiver.handle_datagram(now, from, datagram)
            && !self.has_failed()
        {
            self.pipeline.put(block.offset, block.payload);
        }
        while let Some(repair) = self.receiver.poll_repair() {
            self.pipeline.repair(&repair);
        }
        self.take_events();
    }

    /// Does what is due at `now`. Calls that come too early are harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.receiver.handle_timeout(now);
        self.take_events();
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next; `None` once the
    /// transfer has ended. As long as a disk is to be cleared there is always something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.is_clearing() {
            true => Some(Instant::ZERO),
            false => self.receiver.poll_timeout(),
        }
    }

    /// As [`Receiver::poll_transmit`].
    #[must_use]
    pub fn poll_transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let transmit = self.receiver.poll_transmit(buffer);
        self.take_events();
        transmit
    }

    /// What the caller should know or do next.
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event<D::Error>> {
        if let Some(event) = self.events.pop_front() {
            return Some(Event::Receiver(event));
        }
        if self.pipeline.take_news() {
            return Some(Event::Image);
        }
        let Outcome::Ended(result) = self.outcome else {
            return None;
        };
        if self.is_clearing() {
            return None;
        }
        self.outcome = Outcome::Told;
        Some(Event::Finished(match result {
            Ok(()) => Ok(self.report()),
            Err(failure) => Err(self.error.take().unwrap_or(Error::Transfer(failure))),
        }))
    }

    /// Whether the disk is at work in the background: [`work`](Self::work) should be called when
    /// that is done.
    #[must_use]
    pub fn is_disk_busy(&self) -> bool {
        self.pipeline.is_busy()
    }

    /// Does one short piece of work: hashes or decodes some of what has arrived, or writes or reads
    /// [`WRITE_SIZE`] bytes at most, or flushes the disk. True if it did any, so that there may be
    /// more to do right away.
    pub fn work(&mut self, now: Instant) -> bool {
        if self.has_failed() {
            return self.pipeline.clear();
        }
        if matches!(self.outcome, Outcome::Told) || self.pipeline.is_finished() {
            return false;
        }
        let no_room = self.receiver.stats().no_room;
        let arrived = Arrived {
            upto: self.arrived,
            is_all: self.total == Some(self.arrived),
            is_pressed: no_room > self.no_room || self.receiver.is_short_of_room(),
            is_busy: core::mem::take(&mut self.is_busy),
        };
        match self.pipeline.step(arrived) {
            Ok(false) => {
                if !self.pipeline.is_busy() {
                    self.no_room = no_room;
                }
                return false;
            }
            Ok(true) => {
                self.receiver.release(self.pipeline.released());
                // A dry run gives the disk everything, and nothing stays.
                if !self.pipeline.disk().is_dry_run() {
                    self.receiver.set_written(self.pipeline.written());
                }
            }
            Err(error) => self.fail(now, error),
        }
        if self.pipeline.is_finished() {
            self.finish(now);
        }
        self.take_events();
        true
    }

    /// Whether what [`work`](Self::work) did last was to decode.
    #[must_use]
    pub fn has_decoded(&self) -> bool {
        self.pipeline.has_decoded()
    }

    /// Tells who this machine is, for the sender.
    pub fn identify(&mut self, identity: Identity) {
        self.receiver.identify(identity);
    }

    /// Whether the sender has taken note of how it ended here.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        self.receiver.is_reported()
    }

    /// Does what is left to do with the disk, and tells the sender that the image is here, unless
    /// it was not kept.
    fn finish(&mut self, now: Instant) {
        if self.pipeline.disk().is_dry_run() {
            let report = self.report();
            return self.fail(now, Error::DryRun(report));
        }
        let hash = self.pipeline.hash();
        match self.pipeline.disk().complete(&hash) {
            Ok(words) => self.explain(words),
            Err(error) => return self.fail(now, Error::Complete(error)),
        }
        self.receiver.conclude(Conclusion {
            hash: *self.pipeline.hash().as_bytes(),
            written: self.pipeline.written(),
            verified: self.pipeline.is_verified(),
        });
        self.receiver.confirm(now);
    }

    /// Says in the sender's list which image it is, and what the disk has to say.
    fn explain(&mut self, words: &'static str) {
        #[cfg(feature = "alloc")]
        if let Some((manifest, signed)) = self.pipeline.image() {
            let image = Provenance { manifest, signed };
            return match words {
                "" => self.receiver.explain(image),
                _ => self.receiver.explain(format_args!("{image}; {words}")),
            };
        }
        self.receiver.explain(words);
    }

    /// Ends the transfer, and tells the sender why.
    fn fail(&mut self, now: Instant, error: Error<D::Error>) {
        self.receiver.explain(&error);
        self.error = Some(error);
        self.receiver.abort(now);
    }

    /// Asks the sender to start the transfer now, as soon as there is one.
    pub fn go(&mut self) {
        self.receiver.go();
    }

    /// Gives the transfer up, and tells the sender. Without effect once all is done.
    pub fn abort(&mut self, now: Instant) {
        self.receiver.abort(now);
        self.take_events();
    }

    /// What a transfer that failed left on the disk; `None` as long as it is to be cleared, which
    /// is over when the failure is [told](Event::Finished).
    #[must_use]
    pub fn leftover(&self) -> Option<&Leftover<Error<D::Error>>> {
        self.pipeline.leftover()
    }

    /// How far the transfer is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            received: self.arrived,
            written: self.pipeline.written(),
            is_flushed: self.pipeline.is_flushed(),
            verified: self.pipeline.verified(),
            waiting: self.arrived.saturating_sub(self.pipeline.consumed()),
            total: self.total,
            disk_len: self.pipeline.disk_len(),
            format: self.pipeline.format(),
        }
    }

    /// As [`Receiver::is_amid_slice`].
    #[must_use]
    pub fn is_amid_slice(&self) -> bool {
        self.receiver.is_amid_slice()
    }

    /// The sender that this receiver is connected to.
    #[must_use]
    pub fn sender(&self) -> Option<SocketAddrV4> {
        self.receiver.sender()
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        self.receiver.stats()
    }

    /// The disk, such as for reading back what was written.
    pub fn disk_mut(&mut self) -> &mut D {
        self.pipeline.disk()
    }

    /// Ends the engine, and gives the disk back.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.pipeline.into_disk()
    }

    /// Takes what the machine has to say before its queue is full: that the stream has ended must
    /// not be lost for a caller who polls late.
    fn take_events(&mut self) {
        // A machine that has ended knows nothing any more.
        self.arrived = self.arrived.max(self.receiver.contiguous());
        while let Some(event) = self.receiver.poll_event() {
            match event {
                receiver::Event::Ended { bytes } => self.total = Some(bytes),
                receiver::Event::Finished(result) => self.outcome = Outcome::Ended(result),
                receiver::Event::Heard { .. }
                | receiver::Event::Other { .. }
                | receiver::Event::DataLost { .. }
                    if self.events.len() > self.events.capacity() / 2 => {}
                event => {
                    if let receiver::Event::Joined { slice } = event {
                        self.first_slice = slice;
                    }
                    let _ = self.events.push_back(event);
                }
            }
        }
    }

    /// Whether the transfer has failed, be it that the sender still has to be told.
    fn has_failed(&self) -> bool {
        self.error.is_some() || matches!(self.outcome, Outcome::Ended(Err(_)))
    }

    fn is_clearing(&self) -> bool {
        self.has_failed() && self.pipeline.leftover().is_none()
    }

    fn report(&self) -> Report {
        Report {
            received: self.total.unwrap_or(self.arrived),
            hash: self.pipeline.hash(),
            written: self.pipeline.written(),
            disk_hash: self.pipeline.disk_hash(),
            verified: self.pipeline.is_verified(),
            table: self.pipeline.table(),
            format: self.pipeline.format().unwrap_or(Format::Raw),
            first_slice: self.first_slice,
            lost: self.receiver.stats().lost_bytes,
            lost_slices: self.receiver.stats().lost_slices,
        }
    }
}
