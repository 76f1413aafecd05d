//! Tells a sender why this machine can't take part, while the failure is on the screen.
//!
//! Without it the server would only miss the machine: a disk that is not found, or nobody there to
//! agree, shows before a sender has been looked for.

use alloc::format;

use ironcast_proto::receiver::Notice;
use ironcast_proto::wire::MAX_CONTROL_LEN;
use ironcast_receiver_nostd::link::LinkMemory;
use ironcast_receiver_nostd::settings::Settings;

use super::clock::Clock;
use super::console::Console;
use super::failure::Failure;
use super::identity;
use super::network::{Network, join};
use super::then::{self, FAILURE_SHOWN};

/// Leaves `failure` on the screen as [`then::after_failure`] does, and tells it to the first sender
/// that is heard over `network`.
pub(crate) fn after_failure(
    failure: &Failure,
    settings: &Settings<'_>,
    mut network: Network,
    clock: &Clock,
    console: &mut Console,
) -> ! {
    let identity = identity::of_this_machine(&network, "");
    let now = clock.now();
    let mut notice = Notice::new(settings.port_base, identity, failure, now, FAILURE_SHOWN);
    let mut memory = LinkMemory::new();
    let mut link = match network.link(&mut memory, now) {
        Ok(link) => link,
        Err(error) => {
            console.warn(&format!("ironcast: {error}"));
            then::after_failure(console, clock, &mut |_| {})
        }
    };
    if let Some(group) = settings.rendezvous.filter(|group| group.is_multicast()) {
        join(&mut link, group, console);
    }
    let mut buffer = [0; MAX_CONTROL_LEN];
    let mut told = 0;
    then::after_failure(console, clock, &mut |console| {
        let now = clock.now();
        link.poll(now, &mut |from, datagram| {
            notice.handle_datagram(now, from, datagram)
        });
        notice.handle_timeout(now);
        if let Some(transmit) = notice.poll_transmit(&mut buffer) {
            // What the link has no room for is said again in a moment.
            let _ = link.send(&transmit, &buffer);
        }
        for sender in notice.told().iter().skip(told) {
            console.line(&format!("ironcast: the sender {} knows of it", sender.ip()));
        }
        told = notice.told().len();
    })
}
