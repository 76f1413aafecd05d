//! Programs that are killed, interrupted or can't write: the others finish, and soon.
//!
//! Apart from the transfers that go well: here most are fed half of their image before something
//! happens to one of the programs.

use std::time::{Duration, Instant};

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Counter, Direction, Host, Kind, LabError, Transfer, Transferring, image};
use rustix::process::Signal;

/// Starts a transfer of 8 MB to three receivers of which the first is ended by `signal` when 2 MB
/// have arrived everywhere; the others have to finish.
fn lose_one_in_the_middle(
    sender: Kind,
    receivers: &[Kind],
    signal: Signal,
) -> Result<Transferring, LabError> {
    let transfer = Transfer::new(sender, receivers).size(8_000_000).fed();
    // The default of 200 takes a stock sender minutes.
    let mut transferring = transfer
        .sender_args(&["--retries-until-drop", "12"])
        .start()?;
    transferring.feed(0, 4_000_000)?;
    transferring.wait_received(2_000_000)?;
    transferring.receivers[0].program.signal(signal)?;
    transferring.feed(4_000_000, 8_000_000)?;
    transferring.end_feed();
    Ok(transferring)
}

#[test]
fn the_others_finish_when_a_stock_receiver_is_killed_in_the_middle() -> Result<(), LabError> {
    let mut transfer = lose_one_in_the_middle(Ours, &[Stock, Stock, Ours], Signal::KILL)?;
    demand_exit(&mut transfer, 4, Duration::from_secs(30))?;
    demand_finished(&mut transfer, &[1, 2])
}

#[test]
fn the_others_finish_when_one_of_our_receivers_is_killed_in_the_middle() -> Result<(), LabError> {
    let mut transfer = lose_one_in_the_middle(Ours, &[Ours, Stock, Ours], Signal::KILL)?;
    demand_exit(&mut transfer, 4, Duration::from_secs(30))?;
    demand_finished(&mut transfer, &[1, 2])?;
    let mut transfer = lose_one_in_the_middle(Stock, &[Ours, Stock, Ours], Signal::KILL)?;
    demand_exit(&mut transfer, 0, Duration::from_secs(60))?;
    demand_finished(&mut transfer, &[1, 2])
}

/// Demands the sender's exit status, which our manual (docs/programs.md) tells.
fn demand_exit(transfer: &mut Transferring, code: i32, limit: Duration) -> Result<(), LabError> {
    let status = transfer
        .sender
        .wait(limit)
        .map_err(|e| transfer.with_logs(e))?;
    if status.code() == Some(code) {
        return Ok(());
    }
    let found = format!("the sender's exit status is {status}, not {code}");
    Err(transfer.with_logs(LabError::wrong(found)))
}

/// Demands that these receivers end well, with the whole of the file.
fn demand_finished(transfer: &mut Transferring, receivers: &[usize]) -> Result<(), LabError> {
    for &number in receivers {
        let receiver = &mut transfer.receivers[number];
        let result = receiver
            .program
            .wait_success(Duration::from_secs(30))
            .and_then(|()| image::demand_equal(&transfer.source, &receiver.file));
        result.map_err(|error| transfer.with_logs(error))?;
    }
    Ok(())
}

/// How long eight receivers take from the middle of a transfer to its end, if `killed` of them are
/// killed there.
fn finish_with_killed(
    sender: Kind,
    receiver: Kind,
    killed: usize,
    limit: Duration,
) -> Result<Duration, LabError> {
    let transfer = Transfer::new(sender, &[receiver; 8]).size(8_000_000).fed();
    let mut transfer = transfer.start()?;
    transfer.feed(0, 4_000_000)?;
    transfer.wait_received(2_000_000)?;
    for receiver in &mut transfer.receivers[..killed] {
        receiver.program.signal(Signal::KILL)?;
    }
    let begin = Instant::now();
    transfer.feed(4_000_000, 8_000_000)?;
    transfer.end_feed();
    let code = if killed > 0 && sender == Ours { 4 } else { 0 };
    demand_exit(&mut transfer, code, limit)?;
    let time = begin.elapsed();
    let living: Vec<usize> = (killed..8).collect();
    demand_finished(&mut transfer, &living)?;
    Ok(time)
}

#[test]
fn p3_three_of_eight_killed_delay_the_others_by_less_than_ten_seconds() -> Result<(), LabError> {
    let limit = Duration::from_secs(60);
    for receiver in [Ours, Stock] {
        let usual = finish_with_killed(Ours, receiver, 0, limit)?;
        let time = finish_with_killed(Ours, receiver, 3, limit)?;
        let delay = time.saturating_sub(usual);
        println!("our sender, {receiver:?} receivers: 3 of 8 killed delay the others by {delay:?}");
        assert!(delay < Duration::from_secs(10), "{delay:?}");
    }
    Ok(())
}

/// What it costs with the stock programs, to compare: they wait for minutes by default.
#[test]
fn three_of_eight_killed_delay_a_stock_sender_by_minutes() -> Result<(), LabError> {
    let limit = Duration::from_secs(400);
    let delay = finish_with_killed(Stock, Stock, 3, limit)?;
    println!("stock: 3 of 8 killed delay the others by {delay:?}");
    assert!(delay > Duration::from_secs(60), "{delay:?}");
    Ok(())
}

#[test]
fn our_sender_gives_up_in_time_when_its_only_receiver_is_killed() -> Result<(), LabError> {
    for receiver in [Ours, Stock] {
        let transfer = Transfer::new(Ours, &[receiver]).size(8_000_000).fed();
        let mut transfer = transfer
            .sender_args(&["--retries-until-drop", "12"])
            .start()?;
        transfer.feed(0, 4_000_000)?;
        transfer.wait_received(2_000_000)?;
        transfer.receivers[0].program.kill();
        // It may be gone before it has taken everything.
        let _ = transfer.feed(4_000_000, 8_000_000);
        transfer.end_feed();
        demand_exit(&mut transfer, 5, Duration::from_secs(30))?;
    }
    Ok(())
}

/// Counts the DISCONNECT messages that a host sends: the first 16 bits after the UDP header are 4.
fn disconnects(host: &Host) -> Result<Counter, LabError> {
    host.count(Direction::From, "udp dport 9001 @th,64,16 4")
}

#[test]
fn an_interrupted_receiver_disconnects_and_the_others_go_on_at_once() -> Result<(), LabError> {
    for (sender, code) in [(Ours, 4), (Stock, 0)] {
        let transfer = Transfer::new(sender, &[Ours, Stock, Ours])
            .size(8_000_000)
            .fed();
        let mut transfer = transfer.start()?;
        let disconnects = disconnects(&transfer.receivers[0].host)?;
        transfer.feed(0, 4_000_000)?;
        transfer.wait_received(2_000_000)?;
        transfer.receivers[0].program.signal(Signal::INT)?;
        let status = transfer.receivers[0].program.wait(Duration::from_secs(5))?;
        assert_eq!(
            status.code(),
            Some(130),
            "{}",
            transfer.receivers[0].program.log()
        );
        assert!(disconnects.packets()? > 0, "no DISCONNECT was sent");
        transfer.feed(4_000_000, 8_000_000)?;
        transfer.end_feed();
        // With the default of 200 retries: only a DISCONNECT can make it this fast.
        demand_exit(&mut transfer, code, Duration::from_secs(15))?;
        demand_finished(&mut transfer, &[1, 2])?;
    }
    Ok(())
}

#[test]
fn a_receiver_that_cannot_write_fails_at_once_and_the_others_finish() -> Result<(), LabError> {
    for (sender, code) in [(Ours, 4), (Stock, 0)] {
        let transfer = Transfer::new(sender, &[Ours, Stock, Ours]).size(8_000_000);
        let mut transfer = transfer.output(0, "/dev/full").start()?;
        demand_exit(&mut transfer, code, Duration::from_secs(15))?;
        demand_finished(&mut transfer, &[1, 2])?;
        let failed = &mut transfer.receivers[0].program;
        let status = failed.wait(Duration::from_secs(5))?;
        let log = failed.log();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("No space left on device"), "{log}");
        assert!(log.contains("/dev/full"), "{log}");
    }
    Ok(())
}

#[test]
fn a_receiver_whose_stdout_takes_nothing_fails_at_once() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours]).size(8_000_000).to_stdout();
    let mut transfer = transfer.output(0, "/dev/full").start()?;
    demand_exit(&mut transfer, 5, Duration::from_secs(15))?;
    let status = transfer.receivers[0].program.wait(Duration::from_secs(5))?;
    assert_eq!(
        status.code(),
        Some(1),
        "{}",
        transfer.receivers[0].program.log()
    );
    Ok(())
}

#[test]
fn an_interrupted_sender_ends_and_so_do_our_receivers() -> Result<(), LabError> {
    let mut transfer = Transfer::new(Ours, &[Ours, Ours])
        .size(8_000_000)
        .fed()
        .start()?;
    transfer.feed(0, 4_000_000)?;
    transfer.wait_received(2_000_000)?;
    transfer.sender.signal(Signal::INT)?;
    demand_exit(&mut transfer, 130, Duration::from_secs(5))?;
    Ok(())
}
