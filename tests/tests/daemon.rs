//! The sender as a daemon: one transfer after the other, until somebody ends it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ironcast_tests::Kind::{Ours, Stock};
use ironcast_tests::{Host, Lab, LabError, Program, Running, Transfer, image};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(30);

/// A lab with a server, and a folder with the image `source` in it.
struct Room {
    lab: Lab,
    server: Host,
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Result<Self, LabError> {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        image::write_random(&folder.path().join("source"), 2_000_001, 1)?;
        let lab = Lab::new()?;
        Ok(Self {
            server: lab.host("10.77.0.1")?,
            lab,
            folder,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A sender of the image that starts with one receiver.
    fn sender(&self) -> Result<Program, LabError> {
        let sender = Program::sender(Ours)?.file(&self.path("source"));
        Ok(sender.args(&["--min-receivers", "1"]))
    }

    fn daemon(&self, mode: &str) -> Result<Program, LabError> {
        let daemon = self.sender()?.args(&[mode, "--pid-file"]);
        Ok(daemon.arg(self.path("pid")))
    }

    fn start(&self, program: Program, name: &str) -> Result<Running, LabError> {
        program.start(&self.server, name, self.folder.path())
    }

    /// Runs a program of which nothing but failure is expected; its status and what it said.
    fn failure(&self, program: Program, name: &str) -> Result<(Option<i32>, String), LabError> {
        let mut program = self.start(program, name)?;
        Ok((program.wait(LIMIT)?.code(), program.log()))
    }

    /// Receives the image from the daemon, once by each kind of receiver.
    fn demand_served(&self, address: &str) -> Result<(), LabError> {
        let host = self.lab.host(address)?;
        for kind in [Ours, Stock, Ours] {
            let file = self.path(&format!("{address}-{kind:?}"));
            let receiver = Program::receiver(kind)?.file(&file);
            let name = format!("receiver-{address}-{kind:?}");
            let mut receiver = receiver.start(&host, &name, self.folder.path())?;
            receiver.wait_success(LIMIT)?;
            image::demand_equal(&self.path("source"), &file)?;
            fs::remove_file(&file).unwrap();
        }
        Ok(())
    }

    /// The number in the pid file.
    fn pid(&self) -> String {
        let text = fs::read_to_string(self.path("pid")).unwrap();
        text.trim().to_owned()
    }

    /// Runs `killer` with the daemon's pid file.
    fn kill_by(&self, killer: Program) -> Result<Running, LabError> {
        let killer = killer.args(&["--kill", "--pid-file"]);
        self.start(killer.arg(self.path("pid")), "kill")
    }

    fn kill(&self) -> Result<(), LabError> {
        let process = Path::new("/proc").join(self.pid());
        self.kill_by(Program::sender(Ours)?)?.wait_success(LIMIT)?;
        wait_until("the daemon ends", || {
            // A zombie of ours has no memory map any more.
            fs::read(process.join("maps"))
                .unwrap_or_default()
                .is_empty()
        });
        assert!(!self.path("pid").exists());
        Ok(())
    }
}

impl Drop for Room {
    /// A daemon does not end with the test that started it.
    fn drop(&mut self) {
        if let Ok(Ok(mut killer)) = Program::sender(Ours).map(|sender| self.kill_by(sender)) {
            let _ = killer.wait(LIMIT);
        }
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_serves_until_it_is_ended() -> Result<(), LabError> {
    for mode in ["-D", "-DD"] {
        let room = Room::new()?;
        let mut daemon = room.start(room.daemon(mode)?, "daemon")?;
        if mode == "-DD" {
            // It has gone to the background, and is ready.
            daemon.wait_success(LIMIT)?;
        } else {
            daemon.wait_for("UDP sender for", LIMIT)?;
        }
        room.demand_served("10.77.0.2")?;
        assert!(Path::new("/proc").join(room.pid()).exists());
        room.kill()?;
    }
    Ok(())
}

#[test]
fn a_second_daemon_leaves_the_first_its_pid_file() -> Result<(), LabError> {
    let room = Room::new()?;
    room.start(room.daemon("-DD")?, "daemon")?
        .wait_success(LIMIT)?;
    let pid = room.pid();
    for mode in ["-D", "-DD"] {
        // At another port, so that the file alone is in its way.
        let second = room.daemon(mode)?.args(&["--portbase", "9100"]);
        let (status, log) = room.failure(second, "second")?;
        assert_eq!(status, Some(1), "{log}");
        assert!(log.contains(&format!("process {pid} ")), "{log}");
    }
    assert_eq!(room.pid(), pid);
    room.demand_served("10.77.0.2")?;
    room.kill()
}

#[test]
fn a_new_version_of_the_program_ends_the_old_ones_daemon() -> Result<(), LabError> {
    let room = Room::new()?;
    let installed = room.path("installed");
    let path = Program::sender(Ours)?.path().to_owned();
    fs::copy(&path, &installed).unwrap();
    let daemon = room.daemon("-DD")?.with_path(&installed);
    room.start(daemon, "daemon")?.wait_success(LIMIT)?;
    fs::remove_file(&installed).unwrap();
    fs::copy(&path, &installed).unwrap();
    room.kill()
}

#[test]
fn a_process_that_got_the_number_of_a_daemon_is_let_alone() -> Result<(), LabError> {
    let room = Room::new()?;
    let mut stranger = room.start(room.sender()?, "stranger")?;
    stranger.wait_for("UDP sender for", LIMIT)?;
    fs::write(room.path("pid"), format!("{}\n", stranger.id())).unwrap();
    let mut killer = room.kill_by(Program::sender(Ours)?)?;
    assert_eq!(killer.wait(LIMIT)?.code(), Some(1));
    assert!(killer.log().contains("it has ended"), "{}", killer.log());
    assert!(stranger.is_running());
    Ok(())
}

#[test]
fn in_the_background_too_it_says_what_does_not_work() -> Result<(), LabError> {
    let room = Room::new()?;
    let in_use = room.start(room.sender()?.args(&["--portbase", "9100"]), "other")?;
    for (name, args, words) in [
        (
            "file",
            ["--file", "/nonexistent/x"],
            "can't open /nonexistent/x",
        ),
        ("pid", ["--pid-file", "/nonexistent/x"], "pid file"),
        ("log", ["--log", "/nonexistent/x"], "log file"),
        ("interface", ["--interface", "no-such-one"], "no-such-one"),
        ("port", ["--portbase", "9100"], "9101"),
    ] {
        let (status, log) = room.failure(room.daemon("-DD")?.args(&args), name)?;
        assert_eq!(status, Some(1), "{name}: {log}");
        assert!(log.contains(words), "{name}: {log}");
    }
    assert!(!room.path("pid").exists());
    drop(in_use);
    Ok(())
}

#[test]
fn an_image_on_stdin_is_sent_again_if_it_can_be_read_again() -> Result<(), LabError> {
    let room = Room::new()?;
    let source = File::open(room.path("source")).unwrap();
    let daemon = Program::sender(Ours)?.args(&["-D", "--min-receivers", "1", "--pid-file"]);
    let daemon = daemon.arg(room.path("pid")).stdin(source);
    let mut daemon = room.start(daemon, "daemon")?;
    daemon.wait_for("UDP sender for", LIMIT)?;
    room.demand_served("10.77.0.2")?;
    room.kill()
}

#[test]
fn an_image_from_a_pipe_is_sent_once() -> Result<(), LabError> {
    let room = Room::new()?;
    let (reader, mut writer) = std::io::pipe().unwrap();
    let daemon = Program::sender(Ours)?.args(&["-D", "--min-receivers", "1"]);
    let mut daemon = room.start(daemon.stdin(reader), "daemon")?;
    daemon.wait_for("UDP sender for", LIMIT)?;
    std::io::copy(&mut File::open(room.path("source")).unwrap(), &mut writer).unwrap();
    drop(writer);
    let host = room.lab.host("10.77.0.2")?;
    let receiver = Program::receiver(Ours)?.file(&room.path("received"));
    let mut receiver = receiver.start(&host, "receiver", room.folder.path())?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("source"), &room.path("received"))?;
    daemon.wait_success(LIMIT)?;
    assert!(daemon.log().contains("--file"), "{}", daemon.log());
    let (status, log) = room.failure(
        Program::sender(Ours)?.args(&["-DD", "--min-receivers", "1"]),
        "background",
    )?;
    assert_eq!(status, Some(2), "{log}");
    assert!(log.contains("needs --file"), "{log}");
    Ok(())
}

#[test]
fn a_fifo_without_a_writer_holds_nobody() -> Result<(), LabError> {
    let room = Room::new()?;
    let fifo = room.path("fifo");
    room.server.run("mkfifo", &[&fifo.to_string_lossy()])?;
    let command = [&["--pipe", "cat"][..], &[]];
    for pipe in command {
        let sender = || Ok::<_, LabError>(Program::sender(Ours)?.file(&fifo).args(pipe));
        let late = sender()?.args(&["--start-timeout", "0.5"]);
        let (status, log) = room.failure(late, "late")?;
        assert_eq!(status, Some(6), "{log}");
        let mut stopped = room.start(sender()?, "stopped")?;
        stopped.wait_for("UDP sender for", LIMIT)?;
        stopped.signal(Signal::TERM)?;
        let status = stopped.wait(LIMIT)?;
        assert_eq!(status.code(), Some(143), "{}", stopped.log());
    }
    Ok(())
}

#[test]
fn the_next_transfer_gets_all_of_a_fifo_of_which_the_last_took_nothing() -> Result<(), LabError> {
    let room = Room::new()?;
    let fifo = room.path("fifo");
    room.server.run("mkfifo", &[&fifo.to_string_lossy()])?;
    let daemon = Program::sender(Ours)?.file(&fifo).args(&["-D", "-C", "1"]);
    let mut daemon = room.start(daemon.args(&["--start-timeout", "1"]), "daemon")?;
    daemon.wait_for("did not start", LIMIT)?;
    let mut cat = room.server.command("sh")?;
    let script = format!("cat {} > {}", room.path("source").display(), fifo.display());
    cat.args(["-c", &script]);
    let host = room.lab.host("10.77.0.2")?;
    let receiver = Program::receiver(Ours)?.file(&room.path("received"));
    let mut receiver = receiver.start(&host, "receiver", room.folder.path())?;
    daemon.wait_for("Starting transfer", LIMIT)?;
    let mut cat = Running::start_with("cat", cat, room.folder.path(), Stdio::null(), None)?;
    cat.wait_success(LIMIT)?;
    receiver.wait_success(LIMIT)?;
    image::demand_equal(&room.path("source"), &room.path("received"))
}

#[test]
fn one_that_is_told_to_end_sends_on_without_haste() -> Result<(), LabError> {
    let transfer = Transfer::new(Ours, &[Ours]).size(8_000_000).fed();
    let mut transfer = transfer.sender_args(&["--daemon-mode"]).start()?;
    transfer.feed(0, 4_000_000)?;
    transfer.wait_received(2_000_000)?;
    transfer.sender.signal(Signal::TERM)?;
    let idle = Duration::from_secs(2);
    std::thread::sleep(Duration::from_millis(200));
    let before = transfer.sender.processor_time()?;
    std::thread::sleep(idle);
    let busy = transfer.sender.processor_time()? - before;
    assert!(busy < idle / 20, "with nothing to send it took {busy:?}");
    transfer.feed(4_000_000, 8_000_000)?;
    transfer.end_feed();
    transfer.demand_success()
}
