//! FEC blocks, made by a thread of their own while the slice's data are being sent.
//!
//! A slice's bytes are copied for it: the image's memory goes back to its reader as soon as the
//! receivers have the slice. Few slices are in flight, so their memory is used again.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use ironcast_hosted::Waker;
use ironcast_proto::fec::{self, Layout};
use ironcast_proto::sender::{Encode, FecBlock};

use crate::source::Source;

/// Slices whose FEC blocks are kept in any case: two in flight, and the one before. Others may be
/// short enough for many to wait for room together.
const SLICES_KEPT: usize = 3;

/// Makes FEC blocks.
#[derive(Debug)]
pub struct Encoder {
    layout: Layout,
    block_size: usize,
    jobs: Sender<Job>,
    done: Receiver<Job>,
    waker: Waker,
    /// Slices that are done, oldest first.
    ready: VecDeque<Job>,
}

/// A slice and its FEC blocks.
#[derive(Debug, Default)]
struct Job {
    slice: u32,
    data: Vec<u8>,
    /// All FEC blocks, in the order of their numbers.
    blocks: Vec<u8>,
}

impl Job {
    /// Makes the FEC blocks.
    fn encode(&mut self, layout: Layout, block_size: usize) {
        let stripes = usize::from(layout.stripes());
        self.blocks
            .resize(usize::from(layout.fec_blocks()) * block_size, 0);
        for stripe in 0..stripes {
            let columns = self.data.chunks(block_size).skip(stripe).step_by(stripes);
            let blocks = self.blocks.chunks_exact_mut(block_size);
            let mut parities: Vec<&mut [u8]> = blocks.skip(stripe).step_by(stripes).collect();
            fec::encode_rows(columns, &mut parities);
        }
    }
}

impl Encoder {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no resources for it.
    pub fn start(layout: Layout, block_size: u16) -> io::Result<Self> {
        let waker = Waker::new()?;
        let (jobs, todo) = mpsc::channel::<Job>();
        let (finished, done) = mpsc::channel();
        let block_size = usize::from(block_size).max(1);
        let worker = waker.clone();
        thread::Builder::new()
            .name("fec".to_owned())
            .spawn(move || {
                for mut job in todo {
                    job.encode(layout, block_size);
                    if finished.send(job).is_err() {
                        return;
                    }
                    worker.wake();
                }
            })?;
        Ok(Self {
            layout,
            block_size,
            jobs,
            done,
            waker,
            ready: VecDeque::new(),
        })
    }

    /// Wakes when a slice is done.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Bytes of each FEC block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Takes a slice on, whose bytes `source` has. The blocks of slices that are long done go for
    /// it, unless their number `is_needed`.
    pub fn begin(&mut self, encode: &Encode, source: &Source, is_needed: impl Fn(u32) -> bool) {
        let old = (self.ready.len() + 1).saturating_sub(SLICES_KEPT);
        let mut old = self.ready.iter().take(old);
        let spare = old.position(|job| !is_needed(job.slice));
        let spare = spare.and_then(|index| self.ready.remove(index));
        let mut job = spare.unwrap_or_default();
        job.slice = encode.slice;
        job.data.clear();
        for block in blocks(&encode.range, self.block_size) {
            job.data.extend_from_slice(source.block(block));
        }
        if let Err(mpsc::SendError(mut job)) = self.jobs.send(job) {
            // The thread is gone, which is no reason to be without redundancy.
            job.encode(self.layout, self.block_size);
            self.ready.push_back(job);
        }
    }

    /// The number of a slice that has been done since.
    pub fn poll_done(&mut self) -> Option<u32> {
        let job = self.done.try_recv().ok()?;
        let slice = job.slice;
        self.ready.push_back(job);
        Some(slice)
    }

    /// An FEC block; empty if its slice is not done, or long gone.
    #[must_use]
    pub fn block(&self, block: FecBlock) -> &[u8] {
        let stripes = usize::from(self.layout.stripes());
        let number = usize::from(block.row) * stripes + usize::from(block.stripe);
        let start = number * self.block_size;
        self.ready
            .iter()
            .find(|job| job.slice == block.slice)
            .and_then(|job| job.blocks.get(start..start + self.block_size))
            .unwrap_or_default()
    }
}

/// The ranges of a slice's blocks.
fn blocks(range: &Range<u64>, block_size: usize) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range
        .clone()
        .step_by(block_size)
        .map(move |start| start..end.min(start + block_size as u64))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};
    use std::time::Duration;

    use ironcast_proto::fec::reference;
    use ironcast_proto::sender::Config;

    use super::*;
    use crate::image::Image;
    use crate::source::Chunking;

    const BLOCK: u16 = 16;

    fn wait(encoder: &mut Encoder) -> u32 {
        for _ in 0..1000 {
            if let Some(slice) = encoder.poll_done() {
                return slice;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("the encoder does nothing");
    }

    /// A source that has all of `image`.
    fn source_of(image: &[u8], layout: Layout) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(image).unwrap();
        file.rewind().unwrap();
        let config = Config {
            block_size: BLOCK,
            fec: Some(layout),
            ..Config::default()
        };
        let opened = Image {
            name: "image".to_owned(),
            file,
            command: None,
            front: Vec::new(),
            live: None,
        };
        let mut source = Source::read(opened, Chunking::for_config(&config)).unwrap();
        while source.advance().unwrap() != (image.len() as u64, true) {
            thread::sleep(Duration::from_millis(1));
        }
        source
    }

    #[test]
    fn it_makes_what_the_reference_says_also_of_short_and_empty_slices() {
        let image: Vec<u8> = (0..200_u8).map(|byte| byte.wrapping_mul(37)).collect();
        let layout = Layout::new(2, 3, 4).unwrap();
        let source = source_of(&image, layout);
        let mut encoder = Encoder::start(layout, BLOCK).unwrap();
        for (slice, range) in [(7, 0..128), (8, 128..192), (9, 192..200), (10, 200..200)] {
            let encode = Encode { slice, range };
            encoder.begin(&encode, &source, |_| false);
            assert_eq!(wait(&mut encoder), slice);
            let bytes = &image[encode.range.start as usize..encode.range.end as usize];
            for (stripe, row) in [(0, 0), (1, 0), (0, 2), (1, 2)] {
                let columns: Vec<&[u8]> = bytes.chunks(16).skip(stripe).step_by(2).collect();
                let block = FecBlock {
                    slice,
                    stripe: stripe as u16,
                    row,
                };
                let expected: Vec<u8> = (0..16)
                    .map(|at| reference::encode_byte(row as u8, &columns, at))
                    .collect();
                assert_eq!(encoder.block(block), expected, "{block:?}");
            }
        }
        let gone = FecBlock {
            slice: 1,
            stripe: 0,
            row: 0,
        };
        assert!(encoder.block(gone).is_empty());
    }

    #[test]
    fn what_is_needed_is_kept_however_many_slices_follow() {
        let layout = Layout::new(2, 3, 4).unwrap();
        let source = source_of(&[7; 128], layout);
        let mut encoder = Encoder::start(layout, BLOCK).unwrap();
        let block = |slice| FecBlock {
            slice,
            stripe: 1,
            row: 2,
        };
        for slice in 11..30_u32 {
            let encode = Encode {
                slice,
                range: 0..128,
            };
            encoder.begin(&encode, &source, |slice| slice == 11);
            assert_eq!(wait(&mut encoder), slice);
        }
        assert!(!encoder.block(block(11)).is_empty(), "it is still needed");
        assert!(encoder.block(block(12)).is_empty(), "its memory was used");
        assert!(encoder.ready.len() <= SLICES_KEPT + 1);
    }
}
