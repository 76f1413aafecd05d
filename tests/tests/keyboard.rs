//! The key that starts a transfer, at a terminal with a shell that controls its jobs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::thread;
use std::time::Duration;

use ironcast_tests::Kind::Ours;
use ironcast_tests::{Host, Lab, LabError, Program, Running, image, processor_time};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// A key that no name of a file or host in the output has, so that it would stand there only if it
/// was shown.
const UNSEEN: &str = "~";

/// The number that the shell told on a line `job=...`.
fn job(shell: &Running) -> Option<u32> {
    let log = shell.log();
    log.lines()
        .find_map(|line| line.strip_prefix("job=")?.parse().ok())
}

#[test]
fn keys_are_the_programs_when_it_is_in_the_foreground_and_cost_nothing_before()
-> Result<(), LabError> {
    let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
    let folder = folder.path();
    let (source, file) = (folder.join("source"), folder.join("received"));
    image::write_random(&source, 1_000_000, 1)?;
    let lab = Lab::new()?;
    let (server, client) = (lab.host("10.77.0.1")?, lab.host("10.77.0.2")?);
    let sender = Program::sender(Ours)?.file(&source);
    let mut sender = sender.start(&server, "sender", folder)?;
    let mut command = client.command("script")?;
    command.args(["-qec", "bash --noprofile --norc -i", "/dev/null"]);
    let mut shell = Running::start_with("shell", command, folder, Stdio::piped(), None)?;
    let mut person = shell.take_stdin().unwrap();
    let mut press = |keys: &str| person.write_all(keys.as_bytes());
    let receiver = Program::receiver(Ours)?;
    let (receiver, file_name) = (receiver.path().display(), file.display());
    press(&format!(
        "{receiver} --interface eth0 --no-progress --file {file_name} & echo job=$!\n"
    ))
    .unwrap();
    shell.wait_for("Press any key to start receiving data", LIMIT)?;
    let job = job(&shell).unwrap();
    // Keys for whatever the shell does next.
    press("sleep 3\n").unwrap();
    thread::sleep(Duration::from_millis(500));
    press("no-such-command\n").unwrap();
    thread::sleep(Duration::from_millis(200));
    let before = processor_time(job)?;
    thread::sleep(Duration::from_secs(1));
    let busy = processor_time(job)? - before;
    assert!(busy < Duration::from_millis(100), "it took {busy:?}");
    shell.wait_for("not found", LIMIT)?;
    let log = sender.log();
    assert!(!log.contains("Starting transfer"), "{log}");
    press("fg\n").unwrap();
    thread::sleep(Duration::from_secs(1));
    press("\n").unwrap();
    shell.wait_for("Transfer complete", LIMIT)?;
    sender.wait_success(LIMIT)?;
    image::demand_equal(&source, &file)
}

/// A program at a terminal of its own, with a program of the other sort that waits for it.
struct Terminal {
    shell: Running,
    person: ChildStdin,
    other: Running,
    folder: TempDir,
    /// The network that they are on.
    hosts: [Host; 2],
}

impl Terminal {
    /// Runs a script in which `$program` is a sender or a receiver that waits for a key.
    fn start(is_sender: bool, shell: &str, script: &str) -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        let (source, file) = (folder.path().join("source"), folder.path().join("received"));
        image::write_random(&source, 1_000_000, 1)?;
        let lab = Lab::new()?;
        let (here, there) = (lab.host("10.77.0.1")?, lab.host("10.77.0.2")?);
        let (sender, receiver) = (Program::sender(Ours)?, Program::receiver(Ours)?);
        let (program, path, other) = match is_sender {
            true => (sender.path().to_owned(), &source, receiver.file(&file)),
            false => (receiver.path().to_owned(), &file, sender.file(&source)),
        };
        let mut other = other.start(&there, "other", folder.path())?;
        let program = format!("{} -i eth0 -f {}", program.display(), path.display());
        let script = script.replace("$program", &program);
        let mut command = here.command("script")?;
        command.args(["-qec", &format!("{shell} -c '{script}'"), "/dev/null"]);
        command.env("SHELL", "/bin/sh");
        let mut shell = Running::start_with("shell", command, folder.path(), Stdio::piped(), None)?;
        let person = shell.take_stdin().unwrap();
        shell.wait_for("ress any key to start", LIMIT)?;
        let connected = match is_sender {
            true => shell.wait_for("New connection", LIMIT),
            false => other.wait_for("New connection", LIMIT),
        };
        connected?;
        Ok(Self {
            shell,
            person,
            other,
            folder,
            hosts: [here, there],
        })
    }

    fn press(&mut self, key: &str) {
        self.person.write_all(key.as_bytes()).unwrap();
    }

    /// Demands that the words of `stty -a` behind `mark` in the log are those of a terminal that
    /// gives whole lines and shows them.
    fn demand_by_lines(&mut self, mark: &str) -> Result<(), LabError> {
        self.shell.wait_for(&format!("{mark} done"), LIMIT)?;
        let log = self.shell.log();
        let (_, settings) = log.split_once(mark).unwrap();
        let words: Vec<&str> = settings.split_whitespace().collect();
        for word in ["icanon", "echo"] {
            assert!(words.contains(&word), "no {word}: {log}");
        }
        Ok(())
    }
}

#[test]
fn a_key_alone_starts_it_unseen_and_the_terminal_is_as_before() -> Result<(), LabError> {
    for is_sender in [true, false] {
        let script = "$program; echo after; stty -a; echo after done";
        let mut terminal = Terminal::start(is_sender, "sh", script)?;
        terminal.press(UNSEEN);
        terminal.demand_by_lines("after")?;
        terminal.other.wait_success(LIMIT)?;
        let log = terminal.shell.log();
        let (before, _) = log.split_once("after").unwrap();
        assert!(before.contains("Transfer complete"), "{log}");
        assert!(!before.contains(UNSEEN), "{log}");
    }
    Ok(())
}

#[test]
fn whatever_signal_ends_it_the_terminal_is_as_before() -> Result<(), LabError> {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let script = "ulimit -c 0; sh -c \"echo job=\\$\\$; exec $program\"; \
                      echo after; stty -a; echo after done";
        let mut terminal = Terminal::start(true, "sh", script)?;
        let job = job(&terminal.shell).unwrap();
        let pid = Pid::from_raw(i32::try_from(job).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        terminal.demand_by_lines("after")?;
    }
    Ok(())
}

#[test]
fn while_it_is_stopped_the_terminal_is_as_before_and_then_a_key_starts_it() -> Result<(), LabError>
{
    let script = "$program; echo stopped; stty -a; echo stopped done; fg; \
                  echo after; stty -a; echo after done";
    let mut terminal = Terminal::start(true, "bash --noprofile --norc -m", script)?;
    terminal.press("\x1a");
    terminal.demand_by_lines("stopped")?;
    thread::sleep(Duration::from_secs(1));
    terminal.press(UNSEEN);
    terminal.demand_by_lines("after")?;
    terminal.other.wait_success(LIMIT)?;
    let log = terminal.shell.log();
    assert!(log.contains("Transfer complete"), "{log}");
    let folder = terminal.folder.path();
    image::demand_equal(&folder.join("source"), &folder.join("received"))
}

#[test]
fn each_transfer_of_a_daemon_at_a_terminal_is_started_by_a_key() -> Result<(), LabError> {
    let mut terminal = Terminal::start(true, "sh", "$program -D")?;
    terminal.press(UNSEEN);
    terminal.other.wait_success(LIMIT)?;
    let again = Program::receiver(Ours)?.file(&terminal.folder.path().join("again"));
    let mut again = again.start(&terminal.hosts[1], "again", terminal.folder.path())?;
    again.wait_for("Connected", LIMIT)?;
    terminal.press(UNSEEN);
    again.wait_success(LIMIT)?;
    // Ctrl-C.
    terminal.press("\x03");
    assert_eq!(terminal.shell.wait(LIMIT)?.code(), Some(130));
    Ok(())
}
