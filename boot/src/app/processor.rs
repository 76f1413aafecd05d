//! A second processor, which hashes while the first serves the network and the disk.
//!
//! What runs there must not call the firmware, ask for memory or show anything: firmware is made
//! for one processor. So it is one loop for a whole transfer, which gets copies of what is to be
//! hashed in memory that was set aside for it, and both sides go by atomics alone. Where there is
//! no second processor, or it does not answer, the first one hashes.

use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use ironcast_proto::time::{Duration, Instant};
use ironcast_receiver_nostd::engine::{HashOffload, UNIT_LEN, UnitValue, unit_value};
use uefi::boot::{self, EventType, ScopedProtocol, Tpl};
use uefi::proto::pi::mp::MpServices;

use super::arch;
use super::clock::Clock;
use super::firmware;
use super::memory::Pages;

/// Units that wait at most: some milliseconds of work, which the network's bursts are shorter than.
const PLACES: usize = 16;

/// How long a unit may take before the processor is given up; it takes a millisecond at the worst.
const PATIENCE: Duration = Duration::from_secs(1);

/// States of a place: nothing is in it, a unit that is to be hashed, or its value.
const FREE: u8 = 0;
const FULL: u8 = 1;
const DONE: u8 = 2;

/// What both processors see. All zeros is how it begins.
struct Shared {
    places: [Place; PLACES],
    /// Whether the second processor is to return.
    stop: AtomicBool,
    /// Whether it has returned.
    has_stopped: AtomicBool,
}

struct Place {
    state: AtomicU8,
    unit: UnsafeCell<Unit>,
    value: UnsafeCell<UnitValue>,
}

struct Unit {
    offset: u64,
    bytes: [u8; UNIT_LEN],
}

// SAFETY: while `state` is `FULL` the second processor writes `value`, which the first leaves
// alone, and both only read `unit`; otherwise only the first touches either. Each sets the state,
// with release, when it is done, and looks at it, with acquire, before it begins.
unsafe impl Sync for Place {}

/// A second processor that was found, and runs from [`start`](Self::start) until it is dropped.
pub(crate) struct Processor<'a> {
    services: ScopedProtocol<MpServices>,
    number: usize,
    shared: &'static Shared,
    state: Cell<State>,
    clock: &'a Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Runs,
    /// It did not start, or does not answer.
    Lost,
}

impl<'a> Processor<'a> {
    /// A second processor, if the firmware has one for this program.
    pub(crate) fn find(clock: &'a Clock) -> Option<Self> {
        let services = firmware::handles_of::<MpServices>()
            .into_iter()
            .filter(|_| arch::HAS_PROCESSORS)
            .find_map(firmware::open_shared::<MpServices>)?;
        let count = services.get_number_of_processors().ok()?;
        let is_usable = |&number: &usize| {
            let info = services.get_processor_info(number);
            info.is_ok_and(|info| info.is_enabled() && info.is_healthy() && !info.is_bsp())
        };
        let number = (0..count.total).find(is_usable)?;
        let memory = Pages::allocate(size_of::<Shared>()).ok()?;
        let address = memory.address().cast::<Shared>();
        // The processor may look at it for ever, if it does not stop.
        core::mem::forget(memory);
        // SAFETY: the pages are large enough, aligned to more than any type needs, zeros, which
        // are a valid `Shared`, and never freed.
        let shared = unsafe { address.as_ref() };
        Some(Self {
            services,
            number,
            shared,
            state: Cell::new(State::Idle),
            clock,
        })
    }

    /// Has it run, if it does not yet. It takes some 10 ms.
    pub(crate) fn start(&self) {
        if self.state.get() != State::Idle {
            return;
        }
        let argument = core::ptr::from_ref(self.shared).cast_mut().cast::<c_void>();
        // Only with an event does the firmware not wait for the end. It is never closed: the
        // firmware signals it some time after that.
        // SAFETY: the event has no function that the firmware could call, and no context.
        let event = unsafe { boot::create_event(EventType::empty(), Tpl::APPLICATION, None, None) };
        let started = event.and_then(|event| {
            self.services
                .startup_this_ap(self.number, hash_units, argument, Some(event), None)
        });
        self.state.set(match started {
            Ok(()) => State::Runs,
            Err(_) => State::Lost,
        });
    }

    /// The way to it for the engine.
    pub(crate) fn queue(&self) -> Queue<'_> {
        Queue {
            processor: self,
            first: 0,
            count: 0,
            since: Instant::ZERO,
        }
    }
}

impl Drop for Processor<'_> {
    /// What is started next must find all processors where firmware keeps them.
    fn drop(&mut self) {
        if self.state.get() == State::Idle {
            return;
        }
        self.shared.stop.store(true, Ordering::Release);
        let deadline = self.clock.now() + PATIENCE;
        while !self.shared.has_stopped.load(Ordering::Acquire) && self.clock.now() < deadline {
            spin_loop();
        }
    }
}

/// The units that the processor has, in their order.
pub(crate) struct Queue<'p> {
    processor: &'p Processor<'p>,
    /// The place of the oldest.
    first: usize,
    count: usize,
    /// When the oldest became that.
    since: Instant,
}

impl Queue<'_> {
    fn place(&self, number: usize) -> &'static Place {
        &self.processor.shared.places[number % PLACES]
    }

    fn is_running(&self) -> bool {
        self.processor.state.get() == State::Runs
    }
}

impl core::fmt::Debug for Queue<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Queue")
            .field("state", &self.processor.state)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl HashOffload for Queue<'_> {
    fn has_room(&self) -> bool {
        self.is_running() && self.count < PLACES
    }

    fn submit(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let place = self.place(self.first + self.count);
        if !self.has_room() || place.state.load(Ordering::Acquire) != FREE {
            return false;
        }
        // SAFETY: the state is not `FULL`, so that only this processor touches the unit, and it has
        // no other reference to it.
        let unit = unsafe { &mut *place.unit.get() };
        unit.offset = offset;
        unit.bytes.copy_from_slice(bytes);
        place.state.store(FULL, Ordering::Release);
        if self.count == 0 {
            self.since = self.processor.clock.now();
        }
        self.count += 1;
        true
    }

    fn poll(&mut self) -> Option<UnitValue> {
        if self.count == 0 {
            return None;
        }
        let place = self.place(self.first);
        let is_done = place.state.load(Ordering::Acquire) == DONE;
        let now = self.processor.clock.now();
        if !is_done && self.is_running() && now.since(self.since) < PATIENCE {
            return None;
        }
        let value = if is_done {
            // SAFETY: the state is not `FULL`, so that only this processor touches the value.
            let value = unsafe { *place.value.get() };
            place.state.store(FREE, Ordering::Release);
            value
        } else {
            // It is left alone with this place, and gets no more.
            self.processor.state.set(State::Lost);
            // SAFETY: as long as the state is `FULL`, and it stays so or becomes `DONE`, nobody
            // writes to the unit.
            let unit = unsafe { &*place.unit.get() };
            unit_value(unit.offset, &unit.bytes)
        };
        self.first = (self.first + 1) % PLACES;
        self.count -= 1;
        self.since = now;
        Some(value)
    }
}

/// What the second processor does, until it is told to return.
extern "efiapi" fn hash_units(argument: *mut c_void) {
    // SAFETY: it is what `start` gives, which is never freed.
    let shared = unsafe { &*argument.cast::<Shared>() };
    for place in shared.places.iter().cycle() {
        while place.state.load(Ordering::Acquire) != FULL {
            if shared.stop.load(Ordering::Acquire) {
                shared.has_stopped.store(true, Ordering::Release);
                return;
            }
            spin_loop();
        }
        // SAFETY: the state is `FULL`, so that nobody writes to the unit, even if the first
        // processor has lost its patience.
        let unit = unsafe { &*place.unit.get() };
        let value = unit_value(unit.offset, &unit.bytes);
        // SAFETY: the state is `FULL`, so that only this processor touches the value.
        unsafe { *place.value.get() = value };
        place.state.store(DONE, Ordering::Release);
    }
}
