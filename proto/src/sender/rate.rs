//! The rate that the way to the receivers bears, found out from what they lose.
//!
//! Nothing limits the rate at first. When more is lost than usual, a queue on the way or a receiver
//! may be full: the rate goes down to what went through whole. If as much is lost then, it was
//! chance and not the rate, which goes up again, and so much is taken for usual. After slices that
//! arrive well the rate rises, fast where it was fine before and slowly beyond
//! (docs/protocol.md, "Rate").

use super::pace::HEADERS;
use crate::time::{Duration, Instant};
use crate::wire::Data;

/// Blocks over which losses are counted before anything is concluded. Chosen: fewer say little
/// about a chance of a few percent.
const WINDOW_BLOCKS: u32 = 512;

/// Shares are counted in thousandths.
const WHOLE: u32 = 1000;

/// How much more than usual must be lost, in thousandths, for the rate to be at fault. Chosen: less
/// costs less than a rate that is too low.
const TOO_MUCH: u32 = 100;

/// How many times slower than before blocks must arrive for the way to be taken for broken. Chosen:
/// other traffic takes its share of a link, and seldom so much of it.
const BROKEN: u64 = 8;

/// Least rate, in bits a second. Chosen: a transfer that seems to stand still must go on.
const LEAST: u64 = 1_000_000;

/// Finds the rate.
#[derive(Debug)]
pub(super) struct RateFinder {
    /// Bits a second; `None` for no limit.
    limit: Option<u64>,
    /// The rate at which too much was lost last.
    too_fast: Option<u64>,
    /// Thousandths that are lost at any rate.
    usual: u32,
    /// The limit before the last reduction, and the thousandths that were lost then, until it is
    /// known what the reduction did.
    trial: Option<(Option<u64>, u32)>,
    /// How it was when little was lost last.
    fine: Option<Fine>,
    /// Whether too much was lost last, and the rate seemed to have no part in it.
    was_odd: bool,
    /// The first slice that was sent wholly at this limit.
    from: u32,
    window: Window,
}

/// Slices of which little was lost.
#[derive(Clone, Copy, Debug)]
struct Fine {
    /// The limit as a rate.
    limit: u64,
    /// Bits a second that arrived.
    arrived: u64,
}

/// What the slices that were settled since a time came to.
#[derive(Debug)]
struct Window {
    since: Instant,
    blocks: u32,
    lost: u32,
    /// Bits of all that was sent meanwhile.
    bits: u64,
}

/// A slice that all receivers have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    /// Its number.
    pub(super) number: u32,
    /// How many blocks it has.
    pub(super) blocks: u16,
    /// How many of them the worst receiver had lost at first.
    pub(super) lost: u16,
}

impl RateFinder {
    pub(super) fn new() -> Self {
        Self {
            limit: None,
            too_fast: None,
            usual: 0,
            trial: None,
            fine: None,
            was_odd: false,
            from: 0,
            window: Window::new(Instant::ZERO),
        }
    }

    /// Bits a second that can be sent; `None` for no limit.
    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Notes that a datagram with `len` bytes was sent.
    pub(super) fn sent(&mut self, len: usize) {
        self.window.bits += (len + HEADERS) as u64 * 8;
    }

    /// Takes in a slice of blocks of `block_size` bytes that was settled at `now`, when slice
    /// `next` was the next to be cut.
    pub(super) fn learn(&mut self, now: Instant, slice: Settled, block_size: u16, next: u32) {
        if slice.number < self.from || slice.number == 0 {
            // The first slice's time is that in which receivers joined.
            self.window = Window::new(now);
            return;
        }
        self.window.blocks += u32::from(slice.blocks);
        self.window.lost += u32::from(slice.lost);
        if self.window.blocks < WINDOW_BLOCKS {
            return;
        }
        let lost = self.window.lost * WHOLE / self.window.blocks;
        let arrived = self.window.arrived(now, block_size);
        let sent = self.window.sent(now);
        self.window = Window::new(now);
        if self.is_passing(lost, arrived) {
            return;
        }
        let before = self.rate_limit();
        self.judge(lost, arrived, sent);
        if self.rate_limit() < before {
            // What is under way was sent faster, and says nothing of the new limit.
            self.from = next;
        }
    }

    /// Whether so much was lost that says nothing of the rate before and after: at a rate that was
    /// fine just before, or while somebody was out of reach. What goes on for longer is no such
    /// thing.
    fn is_passing(&mut self, lost: u32, arrived: u64) -> bool {
        let limit = self.rate_limit();
        let is_fine = lost <= self.usual + TOO_MUCH;
        let is_odd = |fine: Fine| limit <= fine.limit || arrived < fine.arrived / BROKEN;
        let is_odd = !is_fine && self.fine.is_some_and(is_odd);
        if is_fine {
            self.fine = Some(Fine { limit, arrived });
        }
        let was_odd = core::mem::replace(&mut self.was_odd, is_odd);
        is_odd && !was_odd
    }

    /// The limit as a rate, by which it compares.
    fn rate_limit(&self) -> u64 {
        self.limit.unwrap_or(u64::MAX)
    }

    /// Sets the limit, given the thousandths `lost` and the bits a second that arrived whole and
    /// that were `sent` for it.
    fn judge(&mut self, lost: u32, arrived: u64, sent: u64) {
        // Whatever else was amiss in a trial is taken for usual too: it is not for ever.
        self.usual = self.usual.saturating_sub(1);
        let trial = self.trial.take();
        if let Some((before, lost_before)) = trial
            && lost * 10 >= lost_before * 7
        {
            self.usual = self.usual.max(lost);
            self.limit = before;
            self.too_fast = None;
            return;
        }
        if lost > self.usual + TOO_MUCH {
            self.trial = Some((self.limit, lost));
            self.too_fast = self.limit;
            let lower = arrived.max(LEAST);
            self.limit = Some(self.limit.map_or(lower, |limit| limit.min(lower)));
            return;
        }
        // What was usual once may be over.
        self.usual -= self.usual.saturating_sub(lost).div_ceil(8);
        self.rise(sent, lost <= self.usual + TOO_MUCH / 2);
    }

    /// Raises the limit, if it is what limits the bits a second that are `sent`. (Far fewer may
    /// arrive as something new, where each receiver lacks other blocks.) Only a little, unless the
    /// slices arrived well: `is_clean`.
    fn rise(&mut self, sent: u64, is_clean: bool) {
        let Some(limit) = self.limit else {
            return;
        };
        if sent < limit / 2 {
            return;
        }
        self.too_fast = self.too_fast.filter(|&too_fast| limit <= too_fast);
        // Close to where it was too fast, only small steps.
        let fine_before = self.too_fast.map_or(u64::MAX, |too_fast| too_fast / 5 * 4);
        let fast = limit.saturating_mul(3) / 2;
        let slow = limit.saturating_add(limit / 16);
        let fast = fast.min(fine_before).max(slow);
        self.limit = Some(if is_clean { fast } else { slow });
    }
}

impl Window {
    fn new(since: Instant) -> Self {
        Self {
            since,
            blocks: 0,
            lost: 0,
            bits: 0,
        }
    }

    /// Bits a second that arrived whole.
    fn arrived(&self, now: Instant, block_size: u16) -> u64 {
        let datagram = usize::from(block_size) + Data::HEADER_LEN + HEADERS;
        let bits = u64::from(self.blocks).saturating_mul(8 * datagram as u64);
        self.per_second(now, bits)
    }

    /// Bits a second that were sent.
    fn sent(&self, now: Instant) -> u64 {
        self.per_second(now, self.bits)
    }

    fn per_second(&self, now: Instant, bits: u64) -> u64 {
        let elapsed = now.since(self.since).max(Duration::from_micros(1));
        bits.saturating_mul(1_000_000) / elapsed.as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a block whose datagrams have 12,000 bits.
    const BLOCK: u16 = 1456;
    const BITS: u64 = 12_000;

    /// A way to a receiver: slices of 512 blocks sent at the limit, of which more than `capacity`
    /// bits a second and `chance` thousandths are lost, and sent again until they arrive.
    struct Way {
        finder: RateFinder,
        now: Instant,
        number: u32,
        sender: u64,
        capacity: u64,
        chance: u64,
        /// How often each block is sent, in tenths, beyond what this one's losses cost.
        copies: u64,
    }

    impl Way {
        fn new(sender: u64, capacity: u64, chance: u64) -> Self {
            Self {
                finder: RateFinder::new(),
                now: Instant::ZERO,
                number: 0,
                sender,
                capacity,
                chance,
                copies: 10,
            }
        }

        /// Sends so many slices; the limit after them.
        fn send(&mut self, slices: u32) -> u64 {
            for _ in 0..slices {
                let rate = self.rate();
                let through = rate.min(self.capacity) * (1000 - self.chance) / 1000;
                let lost = 512 - 512 * through / rate;
                let time = 512 * BITS * 100_000 * self.copies / through;
                self.now = self.now + Duration::from_micros(time);
                self.finder.window.bits += rate * time / 1_000_000;
                let slice = Settled {
                    number: self.number,
                    blocks: 512,
                    lost: u16::try_from(lost).unwrap(),
                };
                self.number += 1;
                self.finder.learn(self.now, slice, BLOCK, self.number + 1);
            }
            self.rate()
        }

        /// Two slices that are under way are lost, and nobody answers for so long.
        fn interrupt(&mut self, away: Duration) {
            self.now = self.now + away;
            for _ in 0..2 {
                self.now = self.now + Duration::from_micros(512 * BITS * 1_000_000 / self.rate());
                self.finder.window.bits += 512 * BITS;
                let slice = Settled {
                    number: self.number,
                    blocks: 512,
                    lost: 512,
                };
                self.number += 1;
                self.finder.learn(self.now, slice, BLOCK, self.number + 1);
            }
        }

        fn rate(&self) -> u64 {
            self.finder.limit().unwrap_or(u64::MAX).min(self.sender)
        }
    }

    const GIGABIT: u64 = 1_000_000_000;

    #[test]
    fn without_loss_nothing_is_limited() {
        let mut way = Way::new(GIGABIT, 10 * GIGABIT, 0);
        way.send(100);
        assert_eq!(way.finder.limit(), None);
    }

    #[test]
    fn a_slower_link_is_used_well_and_little_is_lost() {
        for capacity in [GIGABIT / 100, GIGABIT / 10, GIGABIT / 2] {
            let mut way = Way::new(5 * GIGABIT, capacity, 0);
            way.send(10);
            for _ in 0..200 {
                let rate = way.send(1);
                assert!(rate >= capacity * 8 / 10, "{rate} of {capacity}");
                assert!(rate <= capacity * 12 / 10, "{rate} of {capacity}");
            }
        }
    }

    #[test]
    fn loss_by_chance_slows_next_to_nothing() {
        for chance in [10, 50, 100, 200, 400] {
            let mut way = Way::new(GIGABIT, 10 * GIGABIT, chance);
            way.send(6);
            let slow = (0..1000).filter(|_| way.send(1) < GIGABIT);
            let slow = slow.count();
            assert!(slow <= 30, "{chance}: {slow}");
        }
    }

    #[test]
    fn p4_who_is_away_for_a_while_slows_nothing_afterwards() {
        for (chance, away) in [(0, 1), (0, 4), (50, 4)] {
            let mut way = Way::new(GIGABIT, 10 * GIGABIT, chance);
            way.send(20);
            way.interrupt(Duration::from_secs(away));
            for _ in 0..100 {
                assert!(way.send(1) >= GIGABIT / 2, "{chance}, {away} s");
            }
        }
    }

    #[test]
    fn a_link_that_becomes_far_slower_is_no_outage() {
        for capacity in [GIGABIT / 10, GIGABIT / 100, GIGABIT / 500] {
            let mut way = Way::new(5 * GIGABIT, 5 * GIGABIT, 0);
            way.send(20);
            way.capacity = capacity;
            way.send(5);
            assert!(way.send(20) <= capacity * 12 / 10);
        }
    }

    #[test]
    fn what_was_usual_once_does_not_excuse_all_that_comes() {
        let mut way = Way::new(5 * GIGABIT, 10 * GIGABIT, 400);
        way.send(20);
        way.chance = 0;
        way.send(40);
        way.capacity = 3 * GIGABIT;
        way.send(5);
        assert!(way.send(1) <= way.capacity * 12 / 10);
    }

    #[test]
    fn a_link_that_becomes_faster_is_found_out() {
        let mut way = Way::new(GIGABIT, GIGABIT / 100, 0);
        way.send(20);
        way.capacity = 10 * GIGABIT;
        assert!(way.send(100) >= GIGABIT);
    }

    #[test]
    fn p4_what_seemed_usual_for_a_while_hides_no_slow_link_for_ever() {
        let mut way = Way::new(5 * GIGABIT, 10 * GIGABIT, 0);
        way.send(20);
        for _ in 0..4 {
            way.interrupt(Duration::from_micros(1));
        }
        way.send(1);
        way.capacity = 2 * GIGABIT;
        way.send(300);
        let well = (0..100).filter(|_| way.send(1) <= way.capacity * 12 / 10);
        assert!(well.count() >= 90);
    }

    #[test]
    fn p3_many_receivers_that_each_lose_by_chance_are_not_slowed_for_ever() {
        // Of 64 receivers with a tenth lost each, some lacks almost every block at first: blocks
        // are sent 2.5 times.
        let mut way = Way::new(GIGABIT, 10 * GIGABIT, 90);
        way.copies = 25;
        way.send(20);
        assert_eq!(way.rate(), GIGABIT);
        for _ in 0..10 {
            way.chance = 400;
            way.send(1);
            way.chance = 90;
            way.send(50);
            assert!(way.rate() >= GIGABIT / 2, "{}", way.rate());
        }
    }

    #[test]
    fn p3_who_reports_loss_now_and_then_slows_the_others_by_so_much_and_no_more() {
        for (rest, chance) in [(1, 150), (1, 300), (1, 900), (2, 300), (5, 300), (20, 900)] {
            let mut way = Way::new(GIGABIT, 10 * GIGABIT, 0);
            way.send(20);
            let before = way.now;
            for _ in 0..200 {
                way.chance = chance;
                way.send(1);
                way.chance = 0;
                way.send(rest);
            }
            let time = way.now.since(before);
            let through = 1000 - chance;
            let least = (512 * BITS / 1000) * (1000 + u64::from(rest) * through) / through;
            let most = Duration::from_micros(least * 200 * 3 / 2);
            assert!(time <= most, "{rest} {chance}: {time:?} of {most:?}");
        }
    }

    #[test]
    fn a_slower_link_with_loss_by_chance_is_used_well_too() {
        let mut way = Way::new(5 * GIGABIT, GIGABIT / 10, 50);
        way.send(20);
        let mut least = u64::MAX;
        for _ in 0..100 {
            least = least.min(way.send(1));
        }
        assert!(least >= GIGABIT / 10 * 7 / 10, "{least}");
    }
}
