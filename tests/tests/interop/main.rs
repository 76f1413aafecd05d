//! Our sender and receiver with the stock ones, in every combination.
//!
//! Each check runs over [`PAIRS`]: whatever a stock program does with a stock program, it has to do
//! with ours, on either side.

mod alone;
mod failing;

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Direction, Kind, LabError, Transfer, Transferring};

/// Senders and receivers that every check is run with: all combinations where at least one end is
/// ours, and both kinds of receiver at once.
const PAIRS: &[(Kind, &[Kind])] = &[
    (Ours, &[Stock]),
    (Stock, &[Ours]),
    (Ours, &[Ours]),
    (Ours, &[Stock, Ours]),
    (Stock, &[Stock, Ours]),
];

/// Bytes of a block unless `--blocksize` says otherwise (docs/protocol.md, "Geometry").
const BLOCK: u64 = 1456;

/// Each sender with the bytes of a slice in full duplex; ours if Linux's usual buffer of 212,992
/// bytes is the least among the receivers (docs/protocol.md, "Slice size").
const SLICES: [(Kind, u64); 2] = [(Ours, 46 * BLOCK), (Stock, 112 * BLOCK)];

/// Runs a transfer with every one of [`PAIRS`]; `change` says what is special about it.
fn every_pair(change: impl Fn(Transfer) -> Transfer) -> Result<Vec<Transferring>, LabError> {
    PAIRS
        .iter()
        .map(|(sender, receivers)| {
            let transfer = change(Transfer::new(*sender, receivers));
            transfer.run().map_err(|error| {
                LabError::wrong(format!("{sender:?} sender, {receivers:?}: {error}"))
            })
        })
        .collect()
}

#[test]
fn ours_to_one_stock_receiver() -> Result<(), LabError> {
    Transfer::new(Ours, &[Stock])
        .size(10_000_000)
        .run()
        .map(drop)
}

#[test]
fn ours_to_four_stock_receivers() -> Result<(), LabError> {
    Transfer::new(Ours, &[Stock; 4])
        .size(10_000_000)
        .run()
        .map(drop)
}

#[test]
fn stock_to_one_of_our_receivers() -> Result<(), LabError> {
    Transfer::new(Stock, &[Ours])
        .size(10_000_000)
        .run()
        .map(drop)
}

#[test]
fn stock_to_four_of_our_receivers() -> Result<(), LabError> {
    Transfer::new(Stock, &[Ours; 4])
        .size(10_000_000)
        .run()
        .map(drop)
}

#[test]
fn both_kinds_of_receiver_at_once() -> Result<(), LabError> {
    for sender in [Ours, Stock] {
        let receivers = [Ours, Stock, Ours, Stock];
        Transfer::new(sender, &receivers).size(10_000_000).run()?;
    }
    Ok(())
}

/// Which addresses the blocks of a transfer of 1,000,000 bytes (687 blocks) to two receivers went
/// to: towards the first receiver, by `nft`'s words for the destination.
fn blocks_sent_to(
    transfer: Transfer,
    destinations: &[&str],
) -> Result<(Transferring, Vec<u64>), LabError> {
    let mut transferring = transfer.fed().start()?;
    let host = &transferring.receivers[0].host;
    let counters: Result<Vec<_>, LabError> = destinations
        .iter()
        .map(|to| {
            host.count(
                Direction::Towards,
                &format!("{to} udp dport 9000 udp length > 500"),
            )
        })
        .collect();
    let counters = counters?;
    transferring.feed(0, 1_000_000)?;
    transferring.end_feed();
    transferring.demand_success()?;
    let counts: Result<Vec<u64>, LabError> = counters.iter().map(|c| c.packets()).collect();
    let counts = counts.map_err(|error| transferring.with_logs(error))?;
    Ok((transferring, counts))
}

/// Any multicast group, the network's broadcast address, the first receiver's own.
const DESTINATIONS: &[&str] = &[
    "ip daddr 224.0.0.0/4",
    "ip daddr 10.77.0.255",
    "ip daddr 10.77.0.2",
];

/// Demands that all blocks went to the destination at `index` of [`DESTINATIONS`], none elsewhere.
fn demand_destination(transfer: &Transfer, index: usize) -> Result<(), LabError> {
    let (transferring, counts) = blocks_sent_to(transfer.clone(), DESTINATIONS)?;
    let right = counts[index] >= 687;
    let elsewhere = counts.iter().sum::<u64>() - counts[index];
    if right && elsewhere == 0 {
        return Ok(());
    }
    let found = format!("blocks went to {counts:?} of {DESTINATIONS:?}, not to number {index}");
    Err(transferring.with_logs(LabError::wrong(found)))
}

#[test]
fn multicast_goes_to_a_group() -> Result<(), LabError> {
    for (sender, receivers) in PAIRS {
        let transfer = Transfer::new(*sender, receivers);
        demand_destination(&transfer.sender_args(&["--nopointopoint"]), 0)?;
    }
    Ok(())
}

#[test]
fn multicast_goes_to_the_group_that_was_asked_for() -> Result<(), LabError> {
    for (sender, receivers) in PAIRS {
        let arguments = ["--nopointopoint", "--mcast-data-address", "239.9.8.7"];
        let transfer = Transfer::new(*sender, receivers).sender_args(&arguments);
        let (transferring, counts) = blocks_sent_to(transfer, &["ip daddr 239.9.8.7"])?;
        if counts[0] < 687 {
            let found = format!("{} blocks went to 239.9.8.7", counts[0]);
            return Err(transferring.with_logs(LabError::wrong(found)));
        }
    }
    Ok(())
}

#[test]
fn broadcast_goes_to_the_broadcast_address() -> Result<(), LabError> {
    for (sender, receivers) in PAIRS {
        let transfer = Transfer::new(*sender, receivers);
        demand_destination(&transfer.sender_args(&["--broadcast"]), 1)?;
    }
    Ok(())
}

#[test]
fn a_single_receiver_gets_the_blocks_at_its_own_address() -> Result<(), LabError> {
    for (sender, receiver) in [(Ours, Stock), (Stock, Ours), (Ours, Ours)] {
        let transfer = Transfer::new(sender, &[receiver]);
        demand_destination(&transfer, 2)?;
        demand_destination(&transfer.sender_args(&["--pointopoint"]), 2)?;
    }
    Ok(())
}

#[test]
fn a_multicast_rendezvous_address() -> Result<(), LabError> {
    let arguments = ["--mcast-rdv-address", "239.5.5.5", "--ttl", "2"];
    every_pair(|t| t.sender_args(&arguments).receiver_args(&arguments)).map(drop)
}

#[test]
fn another_port_base() -> Result<(), LabError> {
    let arguments = ["--portbase", "2232"];
    every_pair(|t| t.sender_args(&arguments).receiver_args(&arguments)).map(drop)
}

#[test]
fn full_duplex() -> Result<(), LabError> {
    every_pair(|t| t.size(5_000_000).sender_args(&["--full-duplex"])).map(drop)
}

#[test]
fn half_duplex() -> Result<(), LabError> {
    every_pair(|t| t.size(5_000_000).sender_args(&["--half-duplex"])).map(drop)
}

#[test]
fn five_percent_lost_in_full_duplex() -> Result<(), LabError> {
    five_percent_lost("--full-duplex")
}

#[test]
fn five_percent_lost_in_half_duplex() -> Result<(), LabError> {
    five_percent_lost("--half-duplex")
}

fn five_percent_lost(duplex: &str) -> Result<(), LabError> {
    for (sender, receivers) in PAIRS {
        let mut transfer = Transfer::new(*sender, receivers).size(3_000_000).loss(5);
        if sender.is_stock() && receivers.contains(&Stock) {
            // Among themselves they come to an end if a whole slice and its REQACK are lost, as in
            // a burst that a full socket takes nothing of.
            transfer = transfer.sender_args(&["--max-bitrate", "100m"]);
        }
        let mut transfer = transfer.sender_args(&[duplex]).fed().start()?;
        transfer.feed(0, 3_000_000)?;
        transfer.wait_received(1_500_000)?;
        for receiver in &transfer.receivers {
            // 1030 blocks: 5 % are 51, give or take 7.
            let lost = receiver.host.lost(Direction::Towards)?;
            assert!(lost > 15, "only {lost} packets were lost");
            // The end is spared: a stock receiver answers for it once and never again, so that our
            // sender can't tell one whose answer was lost from one that left too early.
            receiver.host.set_loss(Direction::From, 0)?;
        }
        transfer.end_feed();
        transfer.demand_success()?;
    }
    Ok(())
}

#[test]
fn twenty_percent_lost_between_our_programs() -> Result<(), LabError> {
    Transfer::new(Ours, &[Ours; 3]).loss(20).run().map(drop)
}

#[test]
fn blocks_of_512_bytes() -> Result<(), LabError> {
    blocks_of("512")
}

#[test]
fn blocks_of_1456_bytes() -> Result<(), LabError> {
    blocks_of("1456")
}

fn blocks_of(size: &str) -> Result<(), LabError> {
    // 8 bytes of UDP header and 16 of DATA's own go before a block's bytes.
    let length = size.parse::<u64>().unwrap_or(0) + 24;
    for (sender, receivers) in PAIRS {
        let transfer = Transfer::new(*sender, receivers).sender_args(&["--blocksize", size]);
        let whole = format!("udp length {length}");
        let longer = format!("udp length > {length}");
        let (transferring, counts) = blocks_sent_to(transfer, &[&whole, &longer])?;
        if counts[0] < 1_000_000 / (length - 24) || counts[1] > 0 {
            let found = format!("{} blocks of {size} bytes, {} longer", counts[0], counts[1]);
            return Err(transferring.with_logs(LabError::wrong(found)));
        }
    }
    Ok(())
}

#[test]
fn an_empty_file() -> Result<(), LabError> {
    every_pair(|t| t.size(0)).map(drop)
}

#[test]
fn a_file_of_one_byte() -> Result<(), LabError> {
    every_pair(|t| t.size(1)).map(drop)
}

#[test]
fn sizes_around_a_block() -> Result<(), LabError> {
    sizes(|_| vec![BLOCK - 1, BLOCK, BLOCK + 1])
}

#[test]
fn sizes_around_a_slice() -> Result<(), LabError> {
    sizes(|slice| vec![slice - 1, slice, slice + 1, slice - BLOCK, slice + BLOCK])
}

#[test]
fn sizes_around_two_slices() -> Result<(), LabError> {
    sizes(|slice| vec![2 * slice - 1, 2 * slice, 2 * slice + 1])
}

/// Transfers files of sizes that are chosen by the size of a slice.
fn sizes(choose: impl Fn(u64) -> Vec<u64>) -> Result<(), LabError> {
    // Two receivers of both kinds with each sender are all ends there are.
    for (sender, slice) in SLICES {
        for size in choose(slice) {
            Transfer::new(sender, &[Stock, Ours]).size(size).run()?;
        }
    }
    Ok(())
}

#[test]
fn the_greatest_slice() -> Result<(), LabError> {
    let arguments = ["--half-duplex", "--min-slice-size", "1024"];
    let arguments = [&arguments[..], &["--max-slice-size", "1024"]].concat();
    for size in [1024 * BLOCK, 1024 * BLOCK + 1] {
        Transfer::new(Stock, &[Ours])
            .size(size)
            .sender_args(&arguments)
            .run()?;
        Transfer::new(Ours, &[Stock])
            .size(size)
            .sender_args(&arguments)
            .run()?;
    }
    Ok(())
}

#[test]
fn a_hundred_receivers() -> Result<(), LabError> {
    let mut receivers = vec![Ours; 50];
    receivers.extend([Stock; 50]);
    Transfer::new(Ours, &receivers).size(4_000_000).run()?;
    Ok(())
}

#[test]
fn from_stdin_to_stdout() -> Result<(), LabError> {
    for (sender, receivers) in PAIRS {
        let transfer = Transfer::new(*sender, receivers).size(3_000_001);
        let mut transfer = transfer.fed().to_stdout().start()?;
        transfer.feed(0, 3_000_001)?;
        transfer.end_feed();
        // Nothing but the data may be on stdout.
        transfer.demand_success()?;
    }
    Ok(())
}
