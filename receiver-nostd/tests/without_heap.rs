//! Without a heap only gzip can be decoded, and the rest is refused in words.
#![cfg(not(feature = "alloc"))]
#![allow(clippy::expect_used, reason = "a test that can't go on fails")]

mod lab;
mod streams;

use std::time::Duration;

use ironcast_receiver_nostd::decode::{Compression, Fault};
use ironcast_receiver_nostd::engine::Error;
use lab::{Machine, Network, Setup, TestDisk};
use streams::{STREAMS, Stream, stream};

#[test]
fn p2_what_can_not_be_decoded_is_not_written() {
    for &Stream {
        name,
        compression,
        bytes,
    } in STREAMS
    {
        let disk = TestDisk::with_capacity(1 << 20);
        let machines = vec![Machine::new(&Setup::default(), disk.clone())];
        let mut network = Network::new(bytes, machines);
        network.run(Duration::from_secs(60));
        let outcome = network.machines[0].outcome.expect("the run has ended");
        if compression == Compression::Gzip {
            assert!(outcome.is_ok(), "{name}");
            assert!(disk.bytes() == stream(name).content(), "{name}");
            continue;
        }
        let Err(Error::Decode { source, .. }) = outcome else {
            panic!("{name} must fail: {outcome:?}");
        };
        assert_eq!(
            (source.compression, source.fault),
            (compression, Fault::NotBuiltIn)
        );
        assert!(source.to_string().contains("built without"), "{source}");
        assert_eq!(disk.writes(), []);
    }
}
