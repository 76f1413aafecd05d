//! What receivers report of themselves, and that the sender hears it.

use ironcast_proto::receiver::Failure;
use ironcast_proto::wire::{Capabilities, ConnectReq, MAX_CONTROL_LEN, Message, Report, State};

use crate::rough;
use crate::world::{Scenario, address};

#[test]
fn p5_a_fifth_lost_and_every_last_report_arrives_and_is_acknowledged() {
    for (seed, receivers) in [1, 7, 40].into_iter().enumerate() {
        let world = Scenario::new(seed as u64, receivers, 400_000)
            .conditions(rough(20.0))
            .run();
        world.assert_all_equal();
        for receiver in 0..receivers {
            let done = (State::DONE, 400_000);
            assert_eq!(world.report(receiver), Some(done), "P5: {receiver}");
        }
        let reported = world.hosts.iter().filter(|host| host.machine.is_reported());
        assert!(reported.count() * 10 >= receivers * 9, "acknowledgements");
    }
}

#[test]
fn p5_a_machine_that_fails_says_why_and_is_heard() {
    let mut world = Scenario::new(3, 3, 400_000).conditions(rough(10.0)).build();
    world.hosts[1].fails_after = Some(100_000);
    world.run();
    assert_eq!(world.hosts[1].result, Some(Err(Failure::Aborted)));
    assert_eq!(world.report(1).map(|(state, _)| state), Some(State::FAILED));
    assert_eq!(world.outcome.map(|outcome| outcome.lost), Some(1));
}

#[test]
fn a_sender_waits_for_reports_no_longer_than_it_says() {
    let mut world = Scenario::new(4, 2, 400_000).build();
    world.run_to_start();
    // A machine that leaves and says nothing more, though it gives reports.
    let leave = emit(&Message::Disconnect);
    world.forge_at_sender(address(1), &leave);
    world.hosts[0].dies_at = Some(world.now);
    world.run();
    let finished = world.hosts[1].finished_at.expect("the other has finished");
    assert!(world.now - finished < std::time::Duration::from_secs(4));
}

#[test]
fn only_who_is_known_or_could_not_take_part_is_heard() {
    let mut world = Scenario::new(5, 1, 400_000).build();
    world.run_to_start();
    let stranger = address(77);
    let report = |state| {
        emit(&Message::Report(Report {
            state,
            message: "no disk",
            ..Report::default()
        }))
    };
    for state in [State::WAITING, State::RECEIVING, State::DONE] {
        let datagram = report(state);
        let heard = world.sender.handle_datagram(world.now, stranger, &datagram);
        assert_eq!(heard, None, "{state}");
    }
    let datagram = report(State::FAILED);
    let heard = world.sender.handle_datagram(world.now, stranger, &datagram);
    let heard = heard.expect("a machine that could not take part");
    assert_eq!((heard.number, heard.report.message), (None, "no disk"));
    let mut buffer = [0; MAX_CONTROL_LEN];
    let acknowledged = core::iter::from_fn(|| world.sender.poll_transmit(world.now, &mut buffer))
        .take(50)
        .filter(|transmit| transmit.destination == stranger)
        .count();
    assert_eq!(acknowledged, 3);
}

#[test]
fn a_stock_receiver_is_not_told_of_reports() {
    let mut world = Scenario::new(6, 1, 10_000).build();
    let mut reply_to = |capabilities| {
        let request = emit(&Message::ConnectReq(ConnectReq {
            capabilities,
            receive_buffer: 0,
        }));
        world.forge_at_sender(address(5), &request);
        let mut buffer = [0; MAX_CONTROL_LEN];
        while let Some(sent) = world.sender.poll_transmit(world.now, &mut buffer) {
            if let Ok(Message::ConnectReply(reply)) = Message::parse(&buffer[..sent.len]) {
                return reply.capabilities;
            }
        }
        panic!("no reply");
    };
    assert_eq!(reply_to(Capabilities::STOCK), Capabilities::STOCK);
    let both = Capabilities::STOCK | Capabilities::REPORTS;
    assert_eq!(reply_to(both), both);
}

fn emit(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = vec![0; message.buffer_len()];
    let len = message.emit(&mut buffer).expect("it fits");
    assert_eq!(len, buffer.len());
    buffer
}
