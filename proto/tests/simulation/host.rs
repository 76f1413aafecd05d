//! A simulated receiving machine: the protocol's machine, memory for blocks, and a disk.

use std::net::SocketAddrV4;
use std::time::Duration;

use ironcast_proto::receiver::{Block, Conclusion, Config, Event, Failure, Receiver};
use ironcast_proto::time::Instant;

/// Bytes that are written in one go.
const WRITE: u64 = 4096;

/// A receiving machine.
pub struct Host {
    pub machine: Receiver,
    ring: Vec<u8>,
    /// What the disk holds.
    pub disk: Vec<u8>,
    /// Time the disk takes for each write.
    pub write_time: Duration,
    /// Until when the disk is at it.
    busy_until: Instant,
    /// The length of the stream, once it has ended.
    length: Option<u64>,
    /// From when on the machine is without power.
    pub dies_at: Option<Instant>,
    /// The sender's slice that the stream began with, if this one joined late.
    pub joined: Option<u32>,
    /// Until when the machine does nothing, and what has come for it meanwhile.
    pub frozen_until: Option<Instant>,
    pub backlog: Vec<(SocketAddrV4, Vec<u8>)>,
    /// Disk bytes after which writing fails.
    pub fails_after: Option<usize>,
    pub result: Option<Result<(), Failure>>,
    /// When the result came.
    pub finished_at: Option<Instant>,
}

impl Host {
    pub fn new(config: Config, now: Instant) -> Self {
        let ring = vec![0; config.capacity as usize];
        Self {
            machine: Receiver::new(config, now),
            ring,
            disk: Vec::new(),
            write_time: Duration::ZERO,
            busy_until: now,
            length: None,
            dies_at: None,
            joined: None,
            frozen_until: None,
            backlog: Vec::new(),
            fails_after: None,
            result: None,
            finished_at: None,
        }
    }

    pub fn is_dead(&self, now: Instant) -> bool {
        self.dies_at.is_some_and(|at| at <= now)
    }

    pub fn is_frozen(&self, now: Instant) -> bool {
        self.frozen_until.is_some_and(|until| until > now)
    }

    /// Takes what has come while it was frozen, if it is not any more.
    pub fn thaw(&mut self, now: Instant) {
        if self.frozen_until.is_some() && !self.is_frozen(now) {
            self.frozen_until = None;
            for (from, bytes) in std::mem::take(&mut self.backlog) {
                self.receive(now, from, &bytes);
                self.work(now);
            }
        }
    }

    pub fn is_done(&self, now: Instant) -> bool {
        self.is_dead(now) || self.result.is_some()
    }

    pub fn receive(&mut self, now: Instant, from: SocketAddrV4, bytes: &[u8]) {
        if let Some(block) = self.machine.handle_datagram(now, from, bytes) {
            self.put(&block);
        }
        while let Some(repair) = self.machine.poll_repair() {
            repair.apply(&mut self.ring);
        }
    }

    fn put(&mut self, block: &Block<'_>) {
        let written = self.disk.len() as u64;
        let end = block.offset + block.payload.len() as u64;
        assert!(
            block.offset >= written,
            "P6: a block for memory that was written to disk"
        );
        assert!(
            end <= written + self.ring.len() as u64,
            "P6: a block past the memory's end"
        );
        let capacity = self.ring.len();
        for (offset, &byte) in (block.offset..).zip(block.payload) {
            self.ring[offset as usize % capacity] = byte;
        }
    }

    /// Goes on with what the machine can do by itself.
    pub fn work(&mut self, now: Instant) {
        while let Some(event) = self.machine.poll_event() {
            match event {
                Event::Ended { bytes } => self.length = Some(bytes),
                Event::Joined { slice } => self.joined = Some(slice),
                Event::Finished(result) => {
                    assert!(self.result.is_none(), "P5: a second result");
                    self.result = Some(result);
                    self.finished_at = Some(now);
                }
                _ => {}
            }
        }
        self.write(now);
    }

    fn write(&mut self, now: Instant) {
        loop {
            let written = self.disk.len() as u64;
            let ready = self.machine.contiguous().saturating_sub(written);
            if self.busy_until > now || self.result.is_some() {
                return;
            }
            if ready == 0 {
                if self.length == Some(written) {
                    self.machine.conclude(Conclusion {
                        written,
                        ..Conclusion::default()
                    });
                    self.machine.confirm(now);
                }
                return;
            }
            if self
                .fails_after
                .is_some_and(|limit| self.disk.len() >= limit)
            {
                self.machine.explain("the disk has had enough");
                return self.machine.abort(now);
            }
            for offset in written..written + ready.min(WRITE) {
                self.disk.push(self.ring[offset as usize % self.ring.len()]);
            }
            self.machine.release(self.disk.len() as u64);
            self.busy_until = now + self.write_time;
        }
    }

    /// When something is due next.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let disk = Some(self.busy_until).filter(|&until| until > now);
        let death = self.dies_at.filter(|&at| at > now);
        if let Some(until) = self.frozen_until {
            return [Some(until), death].into_iter().flatten().min();
        }
        [self.machine.poll_timeout(), disk, death]
            .into_iter()
            .flatten()
            .min()
    }
}
