//! Work on many processors whose results are wanted in order.
//!
//! No worker gets ahead of the slowest by more than a few pieces, so that memory stays bounded.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Pieces in memory at once, for each worker: one that it works on, and some that wait.
const AHEAD: u64 = 4;

/// Hands out the numbers from 0 to `count` to workers, and takes their results in order.
#[derive(Debug)]
pub(crate) struct Order<T> {
    count: u64,
    /// How far a number that is handed out may be ahead of the first that is not taken.
    window: u64,
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    /// The next to be handed out.
    next: u64,
    /// The next to be taken.
    taken: u64,
    done: BTreeMap<u64, T>,
    /// Nothing more is wanted.
    is_over: bool,
}

impl<T> Order<T> {
    pub(crate) fn new(count: u64, workers: usize) -> Self {
        Self {
            count,
            window: AHEAD * workers.max(1) as u64,
            state: Mutex::new(State {
                next: 0,
                taken: 0,
                done: BTreeMap::new(),
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// A number to work on, once there is memory for it; `None` if there is none left.
    pub(crate) fn next(&self) -> Option<u64> {
        let mut state = self.lock();
        while !state.is_over && state.next < self.count {
            if state.next < state.taken + self.window {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self.wait(state);
        }
        None
    }

    /// Gives the result of a number.
    pub(crate) fn done(&self, number: u64, result: T) {
        self.lock().done.insert(number, result);
        self.changed.notify_all();
    }

    /// The next result in order, once it is there; `None` after the last.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.lock();
        while state.taken < self.count && !state.is_over {
            let number = state.taken;
            if let Some(result) = state.done.remove(&number) {
                state.taken += 1;
                self.changed.notify_all();
                return Some(result);
            }
            state = self.wait(state);
        }
        None
    }

    /// Ends it: nobody gets anything more.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nobody panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State<T>>) -> MutexGuard<'s, State<T>> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_whoever_is_slow() {
        let order = Order::new(100, 3);
        let work = &|worker: u64| {
            while let Some(number) = order.next() {
                thread::sleep(Duration::from_micros(number % 7 * 100 * worker));
                order.done(number, number * 2);
            }
        };
        thread::scope(|scope| {
            for worker in 0..3 {
                scope.spawn(move || work(worker));
            }
            let results: Vec<u64> = std::iter::from_fn(|| order.take()).collect();
            assert!(results.into_iter().eq((0..100).map(|number| number * 2)));
        });
    }

    #[test]
    fn nobody_gets_far_ahead_and_all_end_when_it_is_over() {
        let order: Order<()> = Order::new(100, 1);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let mut count = 0;
                while order.next().is_some() {
                    count += 1;
                }
                count
            });
            thread::sleep(Duration::from_millis(20));
            order.end();
            assert_eq!(worker.join().unwrap(), AHEAD);
        });
        assert_eq!(order.take(), None);
    }
}
