//! One run of one contender: its programs, from their start to their end.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ironcast_tests::lab::INTERFACE;
use ironcast_tests::{Kind, Program, Running};
use rustix::process::Signal;

use crate::copy::copy_time;
use crate::lab::arena::Arena;
use crate::lab::case::{Case, Contender};
use crate::lab::measure::{CallCounter, Watched};
use crate::senders::sent_again;

/// How long a program may take to say its first word, and to end when all is done.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a timed run is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How often memory is looked at.
const LOOK_AT_MEMORY: Duration = Duration::from_millis(10);

/// What `uftp` is told: no limit of rate, blocks that fill a frame, buffers as large as the system
/// gives. Found by trying; the group is closed, so that it starts when all are there.
const UFTP: &[&str] = &["-I", INTERFACE, "-R", "-1", "-b", "1452", "-B", "4194304"];

/// What `uftpd` is told: to stay in the foreground, to ask no name server, the same buffers.
const UFTPD: &[&str] = &["-d", "-q", "-I", INTERFACE, "-B", "4194304"];

/// What senders say when the transfer starts: both of UDPcast's wire, and `uftp`.
const STARTING: &[&str] = &["Starting transfer", "Sending file"];

/// What `uftpd` begins with. It serves for ever, and is to be stopped.
const UFTPD_SAYS: &str = "UFTP version";

/// What a timed run has taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// From the start of the sender's program until it says that the transfer starts, with all
    /// receivers there before.
    pub before: Duration,
    /// From then to the end of the sender's program, or to when it was stopped; where something is
    /// written to a disk, until it is safe there.
    pub transfer: Duration,
    /// Whether it ended by itself.
    pub ended: bool,
    /// Processor time of the sender.
    pub sender: Duration,
    /// Processor time of all receivers.
    pub receivers: Duration,
    /// Blocks that were sent again, if the sender says so.
    pub retransmitted: Option<u64>,
}

/// What a run has taken that was looked at closely, and was slower for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// The most memory that the sender had, in bytes.
    pub sender_memory: u64,
    /// The most memory that any receiver had, in bytes.
    pub receiver_memory: u64,
    /// System calls of the sender, if they can be counted.
    pub sender_calls: Option<u64>,
    /// System calls of all receivers, if they can be counted.
    pub receiver_calls: Option<u64>,
}

/// Runs a contender once, at most `limit` long, and checks what was received.
///
/// Fails if a program fails, or a receiver has something else than was sent.
pub fn timed(case: &Case, who: Contender, arena: &Arena, limit: Duration) -> Result<Timed> {
    arena.clear()?;
    if who == Contender::Copy {
        return copied(arena);
    }
    let mut receivers = start_receivers(who, arena)?;
    let start = Instant::now();
    let mut sender = start_sender(case, who, arena, false)?;
    let mut before = None;
    while sender.ended()?.is_none() && start.elapsed() < limit {
        if before.is_none()
            && STARTING
                .iter()
                .any(|words| sender.running.log().contains(words))
        {
            before = Some(start.elapsed());
        }
        for receiver in &mut receivers {
            receiver.ended()?;
        }
        thread::sleep(LOOK_AGAIN);
    }
    let ended = sender.ended()?.is_some();
    if ended {
        arena.flush()?;
    }
    let wall = start.elapsed();
    let before = before.unwrap_or_default();
    let time = finish(&mut sender, &mut receivers, ended)?;
    if ended {
        arena.verify()?;
    }
    Ok(Timed {
        before,
        transfer: wall - before,
        ended,
        sender: time.0,
        receivers: time.1,
        retransmitted: sent_again(&sender.running.log()),
    })
}

/// Runs a contender once more and looks at its memory and its system calls; `None` if it does not
/// end within `limit`.
///
/// Fails if a program fails.
pub fn probed(
    case: &Case,
    who: Contender,
    arena: &Arena,
    limit: Duration,
) -> Result<Option<Probed>> {
    arena.clear()?;
    let mut receivers = start_receivers(who, arena)?;
    let numbers: Vec<u32> = receivers.iter().map(|one| one.running.id()).collect();
    let receiver_calls = CallCounter::attach("receivers", &numbers, arena.logs())?;
    let mut sender = start_sender(case, who, arena, true)?;
    let number = sender.running.id();
    let sender_calls = CallCounter::attach("sender", &[number], arena.logs())?;
    let start = Instant::now();
    while sender.ended()?.is_none() {
        if start.elapsed() > limit {
            finish(&mut sender, &mut receivers, false)?;
            return Ok(None);
        }
        for one in receivers.iter_mut().chain([&mut sender]) {
            one.look_at_memory();
        }
        thread::sleep(LOOK_AT_MEMORY);
    }
    finish(&mut sender, &mut receivers, true)?;
    Ok(Some(Probed {
        sender_memory: sender.memory,
        receiver_memory: receivers.iter().map(|one| one.memory).max().unwrap_or(0),
        sender_calls: sender_calls.and_then(CallCounter::calls),
        receiver_calls: receiver_calls.and_then(CallCounter::calls),
    }))
}

fn copied(arena: &Arena) -> Result<Timed> {
    Ok(Timed {
        before: Duration::ZERO,
        transfer: copy_time(&arena.image, arena.logs(), arena.receivers.len())?,
        ended: true,
        sender: Duration::ZERO,
        receivers: Duration::ZERO,
        retransmitted: None,
    })
}

/// Starts the receivers and waits until each has said a word.
fn start_receivers(who: Contender, arena: &Arena) -> Result<Vec<Watched>> {
    let mut receivers = Vec::new();
    for (number, host) in arena.receivers.iter().enumerate() {
        let name = format!("receiver{number}");
        let running = match who {
            Contender::Uftp => {
                let mut uftpd = host.command("uftpd")?;
                uftpd.args(UFTPD).arg("-D").arg(arena.folder(number));
                Running::start(&name, uftpd, arena.logs())?
            }
            Contender::Ours | Contender::StockToOurs => Program::receiver(Kind::Ours)?
                .file(&arena.target(number))
                .start(host, &name, arena.logs())?,
            _ => Program::receiver(Kind::Stock)?
                .file(&arena.target(number))
                .start(host, &name, arena.logs())?,
        };
        receivers.push(Watched::new(running));
    }
    let deadline = Instant::now() + PATIENCE;
    for receiver in &receivers {
        while receiver.running.log().is_empty() {
            if Instant::now() > deadline {
                bail!("{} says nothing", receiver.running.name());
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
    Ok(receivers)
}

/// Starts the sender; if it is to be `probed`, so that it begins to send a second later, when who
/// counts is ready.
fn start_sender(case: &Case, who: Contender, arena: &Arena, probed: bool) -> Result<Watched> {
    let name = "sender";
    if who == Contender::Uftp {
        let mut uftp = arena.sender.command("uftp")?;
        let hosts: Vec<String> = arena
            .receivers
            .iter()
            .map(|host| host.address().to_string())
            .collect();
        uftp.args(UFTP)
            .args(["-H", &hosts.join(",")])
            .arg(&arena.image);
        let running = Running::start(name, uftp, arena.logs())?;
        return Ok(Watched::new(running));
    }
    let kind = match who {
        Contender::Ours | Contender::OursToStock => Kind::Ours,
        _ => Kind::Stock,
    };
    let mut sender = Program::sender(kind)?
        .file(&arena.image)
        .args(&["--full-duplex", "--min-receivers"])
        .arg(case.receivers.to_string());
    if case.fec {
        sender = sender.args(&["--fec", "8x8/128"]);
    }
    if probed {
        sender = sender.args(&["--min-wait", "1"]);
    }
    Ok(Watched::new(sender.start(
        &arena.sender,
        name,
        arena.logs(),
    )?))
}

/// Waits for the receivers, or stops all if they are not to go on, and gives the processor times of
/// the sender and of all receivers.
fn finish(
    sender: &mut Watched,
    receivers: &mut [Watched],
    ended: bool,
) -> Result<(Duration, Duration)> {
    let stop = |one: &mut Watched| {
        // It may have ended meanwhile.
        let _ = one.running.signal(Signal::KILL);
    };
    if !ended {
        stop(sender);
    }
    let mut times = [Duration::ZERO, Duration::ZERO];
    for (role, one) in [(0, sender)]
        .into_iter()
        .chain(receivers.iter_mut().map(|one| (1, one)))
    {
        let daemon = one.running.log().contains(UFTPD_SAYS);
        if daemon || (!ended && role == 1) {
            stop(one);
        }
        let deadline = Instant::now() + PATIENCE;
        let (status, time) = loop {
            if let Some(end) = one.ended()? {
                break end;
            }
            if Instant::now() > deadline {
                bail!(
                    "{} does not end:\n{}",
                    one.running.name(),
                    one.running.log()
                );
            }
            thread::sleep(LOOK_AGAIN);
        };
        if ended && !daemon && !status.success() {
            bail!(
                "{} ended with {status}:\n{}",
                one.running.name(),
                one.running.log()
            );
        }
        times[role] += time;
    }
    let [sender, receivers] = times;
    Ok((sender, receivers))
}
