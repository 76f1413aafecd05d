//! The engine between a sender of ours and disks of every kind, over a simulated network.
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;

use std::time::Duration;

use ironcast_proto::receiver::Failure;
use ironcast_proto::sender::{self, Duplex, SliceBlocks};
use ironcast_proto::time::Instant;
use ironcast_proto::wire::State;
use ironcast_receiver_nostd::engine::{
    Decompress, Engine, Error, Format, MIN_RING_LEN, Memory, MemoryError, Report, TableState,
    WRITE_SIZE,
};
use lab::{DiskError, Fault, Machine, Network, Setup, TestDisk, Trouble, image};

const LIMIT: Duration = Duration::from_secs(120);

/// Blocks of a slice as the stock programs cut them, in bytes.
const SLICE: usize = 112 * 1456;

fn machine(disk: TestDisk) -> Machine {
    Machine::new(&Setup::default(), disk)
}

/// Sends to one machine, and gives what became of it.
fn send(image: &[u8], setup: &Setup, disk: &TestDisk) -> Network {
    let mut network = Network::new(image, vec![Machine::new(setup, disk.clone())]);
    network.run(LIMIT);
    network
}

fn outcome(network: &Network) -> Result<Report, Error<DiskError>> {
    network.machines[0].outcome.expect("the run has ended")
}

#[test]
fn p1_images_of_every_length_arrive_whole() {
    let write = WRITE_SIZE;
    for len in [
        0,
        1,
        2,
        3,
        511,
        1455,
        1456,
        1457,
        8191,
        8192,
        SLICE - 1,
        SLICE,
        SLICE + 1,
        write - 1,
        write,
        write + 1,
        9 * write,
        5_000_001,
    ] {
        let image = image(len);
        let disk = TestDisk::with_capacity(len as u64);
        let network = send(&image, &Setup::default(), &disk);
        let report = outcome(&network).expect("it ends well");
        assert!(disk.bytes() == image, "{len} bytes");
        let hash = blake3::hash(&image);
        let expected = Report {
            received: len as u64,
            hash,
            written: len as u64,
            disk_hash: hash,
            verified: true,
            table: TableState::None,
            format: Format::Raw,
            first_slice: 0,
            lost: 0,
            lost_slices: 0,
        };
        assert_eq!(report, expected);
        let reported = (State::DONE, *hash.as_bytes(), "made its own".to_owned());
        assert_eq!(network.last_report, Some(reported), "P5: {len} bytes");
        let sent = network.sender.stats();
        assert_eq!(sent.retransmitted, 0, "{len} bytes: {sent:?}");
    }
}

#[test]
fn p1_p7_whatever_the_network_does_every_disk_is_right() {
    for seed in 0..12 {
        let image = image(1_500_000 + seed as usize * 1000);
        let disks: Vec<_> = (0..3).map(|_| TestDisk::new()).collect();
        let machines = disks.iter().map(|disk| machine(disk.clone())).collect();
        let trouble = Trouble {
            loss: 2 + 2 * (seed % 10),
            duplicates: 3,
            late: 10,
        };
        let config = sender::Config {
            duplex: if seed % 2 == 0 {
                Duplex::Full
            } else {
                Duplex::Half
            },
            ..sender::Config::default()
        };
        let mut network = Network::with_sender(&image, machines, config).troubled(trouble, seed);
        network.run(LIMIT);
        for (machine, disk) in network.machines.iter().zip(&disks) {
            let report = machine.outcome.unwrap().unwrap();
            assert!(disk.bytes() == image, "seed {seed}");
            assert_eq!(report.hash, blake3::hash(&image));
        }
    }
}

#[test]
fn p1_the_sender_hears_of_success_only_after_the_flush() {
    let image = image(3 * WRITE_SIZE + 77);
    let disk = TestDisk::with_capacity(1 << 30).taking(100);
    let mut network = Network::new(&image, vec![machine(disk.clone())]);
    network.run_until(LIMIT, |network| network.outcome.is_some());
    assert_eq!(disk.flushes().last(), Some(&disk.writes().len()));
    assert!(disk.bytes() == image);
    assert_eq!(network.outcome.unwrap().completed, 1);
}

#[test]
fn p1_a_flush_that_fails_is_no_success_for_anybody() {
    let image = image(WRITE_SIZE);
    let disk = TestDisk::new().failing(Fault::Flush);
    let network = send(&image, &Setup::default(), &disk);
    let error = outcome(&network).unwrap_err();
    assert_eq!(
        error,
        Error::Flush {
            written: WRITE_SIZE as u64,
            source: DiskError
        }
    );
    let sent = network.outcome.expect("the sender knows");
    assert_eq!((sent.completed, sent.lost), (0, 1));
}

#[test]
fn p1_a_dry_run_is_no_success_for_anybody_and_holds_nobody_up() {
    for len in [0, WRITE_SIZE, 3 * WRITE_SIZE + 77] {
        let image = image(len);
        let dry = TestDisk::with_capacity(len as u64).keeping_nothing();
        let disk = TestDisk::new();
        let machines = vec![machine(dry.clone()), machine(disk.clone())];
        let mut network = Network::new(&image, machines);
        network.run(LIMIT);
        let error = network.machines[0].outcome.unwrap().unwrap_err();
        let good = network.machines[1].outcome.unwrap().expect("it ends well");
        assert_eq!(error, Error::DryRun(good), "{len} bytes");
        assert!(disk.bytes() == image, "{len} bytes");
        let sent = network.outcome.expect("the sender knows");
        assert_eq!((sent.completed, sent.lost), (1, 1), "{len} bytes");
    }
}

#[test]
fn a_disk_that_fails_ends_its_own_transfer_at_once_and_no_other() {
    let image = image(8 * WRITE_SIZE);
    let bad = TestDisk::new().failing(Fault::WriteAt(3 * WRITE_SIZE as u64 + 5));
    let good = TestDisk::new();
    let machines = vec![machine(bad), machine(good.clone())];
    let mut network = Network::new(&image, machines);
    network.run(LIMIT);
    let error = outcome(&network).unwrap_err();
    let (start, end) = (3 * WRITE_SIZE as u64, 4 * WRITE_SIZE as u64);
    assert_eq!(
        error,
        Error::Write {
            start,
            end,
            source: DiskError
        }
    );
    assert_eq!(
        error.to_string(),
        "writing bytes 786432..1048576 of the disk: medium error"
    );
    assert!(network.machines[1].outcome.unwrap().is_ok());
    assert!(good.bytes() == image);
    let sent = network.outcome.expect("the sender knows");
    assert_eq!((sent.completed, sent.lost), (1, 1));
    assert!(
        network.now < Instant::from_micros(2_000_000),
        "nobody waited"
    );
}

#[test]
fn disks_that_lie_are_caught() {
    let image = image(3 * WRITE_SIZE);
    let write = WRITE_SIZE as u64;
    let full = |start| Error::Stuck {
        start,
        end: start / write * write + write,
    };
    for (fault, piece, expected) in [
        (Fault::StuckAt(write + 1), WRITE_SIZE, full(write)),
        (Fault::StuckAt(2 * write), 1000, full(2 * write)),
        (Fault::Boast, WRITE_SIZE, full(0)),
    ] {
        let disk = TestDisk::new().failing(fault).in_pieces_of(piece);
        let network = send(&image, &Setup::default(), &disk);
        assert_eq!(outcome(&network), Err(expected), "{fault:?}");
    }
}

#[test]
fn short_writes_are_gone_on_with() {
    let image = image(2 * WRITE_SIZE + 9);
    let disk = TestDisk::with_capacity(1 << 20).in_pieces_of(100_000);
    let network = send(&image, &Setup::default(), &disk);
    assert!(outcome(&network).is_ok());
    assert!(disk.bytes() == image);
}

#[test]
fn writes_are_large_and_aligned() {
    let image = image(5 * WRITE_SIZE + 100);
    let disk = TestDisk::new();
    send(&image, &Setup::default(), &disk);
    let lens: Vec<_> = disk.writes().iter().map(|write| write.len).collect();
    assert_eq!(
        lens,
        [
            WRITE_SIZE, WRITE_SIZE, WRITE_SIZE, WRITE_SIZE, WRITE_SIZE, 100
        ]
    );
}

#[test]
fn p6_an_image_larger_than_the_disk_stops_at_its_end() {
    let image = image(5 * WRITE_SIZE + 1);
    let capacity = 5 * WRITE_SIZE as u64;
    let disk = TestDisk::with_capacity(capacity);
    let network = send(&image, &Setup::default(), &disk);
    assert_eq!(outcome(&network), Err(Error::Full { capacity }));
    let (state, _, message) = network.last_report.expect("the sender is told");
    assert_eq!(state, State::FAILED);
    assert!(message.starts_with("the disk is full"), "{message}");
    assert!(disk.bytes().len() as u64 <= capacity);
}

/// An image that begins with the table of a disk of `sectors` sectors.
fn partitioned(len: usize, sectors: u32) -> Vec<u8> {
    let mut image = image(len);
    image[446..510].fill(0);
    image[446 + 4] = 0x83;
    image[446 + 8..446 + 12].copy_from_slice(&1_u32.to_le_bytes());
    image[446 + 12..446 + 16].copy_from_slice(&(sectors - 1).to_le_bytes());
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image
}

#[test]
fn p2_a_disk_that_is_too_small_stays_untouched() {
    let image = partitioned(4 * WRITE_SIZE, 10_000);
    let disk = TestDisk::with_capacity(10_000 * 512 - 1);
    let network = send(&image, &Setup::default(), &disk);
    let error = outcome(&network).unwrap_err();
    assert!(matches!(error, Error::TooSmall { needed, .. } if needed.bytes == 5_120_000));
    assert_eq!(disk.writes(), []);
    assert!(error.to_string().contains("5120000") && error.to_string().contains("5119999"));

    let disk = TestDisk::with_capacity(10_000 * 512);
    let network = send(&image, &Setup::default(), &disk);
    assert!(
        outcome(&network).is_ok(),
        "a disk of the very size is enough"
    );
}

#[test]
fn p1_what_makes_a_disk_start_is_written_when_all_else_is_safe() {
    let image = image(3 * WRITE_SIZE);
    let disk = TestDisk::with_capacity(1 << 30);
    send(&image, &Setup::default(), &disk);
    let writes = disk.writes();
    let last = writes.last().unwrap();
    assert_eq!((last.offset, last.len), (0, 8192));
    assert_eq!(disk.flushes(), [writes.len() - 1, writes.len()]);
    assert!(disk.bytes() == image);
}

#[test]
fn a_disk_that_can_not_go_back_fails_the_transfer() {
    let image = image(WRITE_SIZE);
    let disk = TestDisk::with_capacity(1 << 30).failing(Fault::Seek);
    let network = send(&image, &Setup::default(), &disk);
    let expected = Error::Seek {
        offset: 0,
        source: DiskError,
    };
    assert_eq!(outcome(&network), Err(expected));
}

/// A disk of 4 MB/s at a wire of 120: memory is full nearly all the time. Slices of 112 blocks are
/// held back by silence before they find no room, those of 200 after.
#[test]
fn p1_a_slow_disk_is_answered_for_with_silence() {
    let image = image(6 << 20);
    let setup = Setup {
        ring: MIN_RING_LEN,
        card: 100_000,
        ..Setup::default()
    };
    for (blocks, most_writes) in [(112, 30), (200, 50)] {
        let config = sender::Config {
            slice_blocks: SliceBlocks {
                default: Some(blocks),
                ..SliceBlocks::default()
            },
            ..sender::Config::default()
        };
        let disk = TestDisk::with_capacity(1 << 30).taking(250);
        let machines = vec![Machine::new(&setup, disk.clone())];
        let mut network = Network::with_sender(&image, machines, config);
        network.run(LIMIT);
        assert!(outcome(&network).is_ok());
        assert!(disk.bytes() == image);
        let stats = network.machines[0].engine.stats();
        let was_full = stats.no_room > 0;
        assert_eq!(was_full, blocks == 200, "memory was full: {stats:?}");
        assert!(
            stats.retransmits <= stats.blocks / u64::from(blocks),
            "one RETRANSMIT for a slice at the most: {stats:?}"
        );
        let writes = disk.writes().len();
        assert!(writes < most_writes, "large writes, not {writes}");
        assert!(network.now > Instant::from_micros(1_500_000), "it was slow");
        assert!(
            network.now < Instant::from_micros(6_000_000),
            "but no slower than its disk"
        );
    }
}

#[test]
fn slices_that_nearly_fill_the_memory_get_through() {
    let image = image(4 << 20);
    let setup = Setup {
        ring: MIN_RING_LEN,
        ..Setup::default()
    };
    for blocks in [200, 275, 300, 340, 355, 357] {
        let config = sender::Config {
            slice_blocks: SliceBlocks {
                default: Some(blocks),
                ..SliceBlocks::default()
            },
            ..sender::Config::default()
        };
        let disk = TestDisk::with_capacity(1 << 30);
        let machines = vec![Machine::new(&setup, disk.clone())];
        let mut network = Network::with_sender(&image, machines, config);
        network.run(LIMIT);
        assert!(outcome(&network).is_ok(), "{blocks} blocks");
        assert!(disk.bytes() == image, "{blocks} blocks");
        assert!(disk.writes().iter().all(|write| write.offset % 4096 == 0));
    }
}

#[test]
fn p4_a_slice_larger_than_the_memory_is_refused() {
    let config = sender::Config {
        slice_blocks: SliceBlocks {
            default: Some(1024),
            ..SliceBlocks::default()
        },
        ..sender::Config::default()
    };
    let setup = Setup {
        ring: MIN_RING_LEN,
        ..Setup::default()
    };
    let disk = TestDisk::new();
    let machines = vec![Machine::new(&setup, disk.clone())];
    let mut network = Network::with_sender(&image(4 << 20), machines, config);
    network.run(LIMIT);
    let error = outcome(&network).unwrap_err();
    assert!(matches!(
        error,
        Error::Transfer(Failure::SliceTooLarge { .. })
    ));
    assert_eq!(disk.writes(), []);
}

#[test]
fn p4_a_sender_that_dies_ends_the_transfer_in_a_bounded_time() {
    let image = image(40 << 20);
    let disk = TestDisk::with_capacity(1 << 30);
    let dies = Instant::from_micros(100_000);
    let mut network = Network::new(&image, vec![machine(disk.clone())]).without_sender_from(dies);
    network.run(Duration::from_secs(62));
    let error = outcome(&network).unwrap_err();
    assert!(
        matches!(error, Error::Transfer(Failure::Silent { .. })),
        "{error}"
    );
    assert_eq!(disk.bytes()[..8192], [0; 8192], "it does not start");
}

#[test]
fn p4_p5_giving_up_ends_both_sides() {
    let image = image(40 << 20);
    let mut network = Network::new(&image, vec![machine(TestDisk::new())]);
    network.run_until(LIMIT, |network| {
        network.machines[0].engine.progress().written > 0
    });
    let now = network.now;
    network.machines[0].engine.abort(now);
    network.run(LIMIT);
    assert_eq!(outcome(&network), Err(Error::Transfer(Failure::Aborted)));
    let sent = network.outcome.expect("the sender knows");
    assert_eq!((sent.completed, sent.lost), (0, 1));
    assert!(
        !network.machines[0].engine.work(now),
        "nothing is written after the end"
    );
}

#[test]
fn progress_and_disk_are_there_to_look_at() {
    let image = image(WRITE_SIZE + 5);
    let disk = TestDisk::new();
    let mut network = send(&image, &Setup::default(), &disk);
    let engine = &mut network.machines[0].engine;
    let progress = engine.progress();
    assert_eq!(progress.received, image.len() as u64);
    assert_eq!(progress.written, image.len() as u64);
    assert_eq!(progress.total, Some(image.len() as u64));
    assert_eq!(progress.format, Some(Format::Raw));
    assert!(engine.disk_mut().bytes() == image);
    assert_eq!(engine.poll_timeout(), None);
}

#[test]
fn memory_that_does_not_do_is_refused() {
    let check = |decompress, ring: usize, buffer: usize| {
        let memory = Memory {
            ring: vec![0; ring].leak(),
            write_buffer: vec![0; buffer].leak(),
            gzip: None,
        };
        Engine::new(
            Default::default(),
            decompress,
            Default::default(),
            memory,
            TestDisk::new(),
            Instant::ZERO,
        )
        .map(|_| ())
    };
    for ring in [0, WRITE_SIZE, MIN_RING_LEN + 1] {
        assert_eq!(
            check(Decompress::None, ring, 0),
            Err(MemoryError::Ring(ring))
        );
    }
    assert_eq!(check(Decompress::None, MIN_RING_LEN, 0), Ok(()));
    let refused = check(Decompress::Auto, MIN_RING_LEN, WRITE_SIZE);
    assert_eq!(refused, Err(MemoryError::NoDecoder));
}

#[test]
fn p8_slow_disks_of_many_take_hardly_longer_than_that_of_one() {
    let image = image(4 << 20);
    let setup = Setup {
        ring: 2 * MIN_RING_LEN,
        ..Setup::default()
    };
    let time = |count| {
        // 10 MB/s; each write holds up its machine for 25 ms, in which frames are lost.
        let disk = || TestDisk::with_capacity(1 << 30).taking(100);
        let machines = (0..count).map(|_| Machine::new(&setup, disk())).collect();
        let mut network = Network::new(&image, machines);
        network.run(LIMIT);
        network.now - Instant::ZERO
    };
    let (one, many) = (time(1), time(8));
    assert!(many < one * 3 / 2, "1 in {one:?}, 8 in {many:?}");
}
