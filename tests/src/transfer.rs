//! One sender and its receivers on a lab of their own, each of either kind, with files compared.
//!
//! Almost every test of the programs is a transfer with one thing about it changed, so it is made
//! of defaults and of what differs. Whatever goes wrong is reported with the logs of both ends.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::tail;
use crate::{Direction, Host, Kind, Lab, LabError, Program, Running, image};

/// How long a transfer may take if nothing else is said: many times what any of them needs.
const LIMIT: Duration = Duration::from_secs(60);

/// All packets of a session but HELLO, CONNECT_REQ and CONNECT_REPLY (docs/protocol.md, "Opcodes"):
/// the first 16 bits after the UDP header are none of theirs.
pub const AFTER_CONNECTING: &str = "ip protocol udp @th,64,16 != { 0x0003, 0x0007, 0x0500 }";

/// How often a sender says HELLO, where that is needed.
const HELLOS: &[&str] = &["--rexmit-hello-interval", "300"];

/// A transfer that is being put together.
#[derive(Debug, Clone)]
pub struct Transfer {
    sender: Kind,
    receivers: Vec<Kind>,
    size: u64,
    sender_args: Vec<String>,
    receiver_args: Vec<String>,
    loss: u32,
    fed: bool,
    without_answers: bool,
    late: Option<Kind>,
    to_stdout: bool,
    outputs: Vec<(usize, PathBuf)>,
}

impl Transfer {
    /// A transfer from a sender of one kind to receivers of these kinds. It starts when all of
    /// them have connected.
    #[must_use]
    pub fn new(sender: Kind, receivers: &[Kind]) -> Self {
        Self {
            sender,
            receivers: receivers.to_vec(),
            size: 1_000_000,
            sender_args: Vec::new(),
            receiver_args: Vec::new(),
            loss: 0,
            fed: false,
            without_answers: false,
            late: None,
            to_stdout: false,
            outputs: Vec::new(),
        }
    }

    /// How many random bytes are sent. Default 1,000,000.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    /// Adds arguments to the sender's command line.
    #[must_use]
    pub fn sender_args(mut self, arguments: &[&str]) -> Self {
        self.sender_args
            .extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Adds arguments to every receiver's command line.
    #[must_use]
    pub fn receiver_args(mut self, arguments: &[&str]) -> Self {
        self.receiver_args
            .extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// Loses this much of the UDP packets towards each receiver, and as much of what it sends, in
    /// percent. Default 0. Where a stock program takes part, the packets of connecting are spared:
    /// if its CONNECT_REPLY is lost, a stock sender starts all the same, ignores that receiver's
    /// next CONNECT_REQ, and waits minutes for its answers.
    #[must_use]
    pub fn loss(mut self, percent: u32) -> Self {
        self.loss = percent;
        self
    }

    /// Lets the sender read from a pipe that the test fills by [`Transferring::feed`], so that it
    /// is known how far the transfer can have come.
    #[must_use]
    pub fn fed(mut self) -> Self {
        self.fed = true;
        self
    }

    /// Lets the sender send to whoever listens after a second, without waiting for anyone.
    #[must_use]
    pub fn without_answers(mut self) -> Self {
        self.without_answers = true;
        self
    }

    /// Has a host for one more receiver, which [`Transferring::start_late`] starts.
    #[must_use]
    pub fn late(mut self, receiver: Kind) -> Self {
        self.late = Some(receiver);
        self
    }

    /// Lets the receivers write to their stdout, which is the file, in place of taking `--file`.
    #[must_use]
    pub fn to_stdout(mut self) -> Self {
        self.to_stdout = true;
        self
    }

    /// Lets receiver number `receiver` write to `path` in place of a file of its own.
    #[must_use]
    pub fn output(mut self, receiver: usize, path: &str) -> Self {
        self.outputs.push((receiver, path.into()));
        self
    }

    /// Starts the receivers, then the sender.
    ///
    /// # Errors
    /// What making the lab or starting a program can give.
    pub fn start(self) -> Result<Transferring, LabError> {
        let folder = tempfile::tempdir().map_err(|e| LabError::io("make a folder", e))?;
        let source = folder.path().join("source");
        image::write_random(&source, self.size, self.size)?;
        let lab = Lab::new()?;
        let host = lab.host("10.77.0.1")?;
        let mut receivers = Vec::new();
        for number in 0..self.receivers.len() {
            receivers.push(self.start_receiver(&lab, number, folder.path())?);
        }
        let mut sender = Program::sender(self.sender)?;
        sender = match self.without_answers {
            true => sender.args(&["--async", "--autostart", "3"]).args(HELLOS),
            false => sender.args(&["--min-receivers", &self.receivers.len().to_string()]),
        };
        let stock_receiver = self.receivers.iter().any(|kind| kind.is_stock());
        if self.sender.is_stock() && stock_receiver && !self.without_answers {
            // Otherwise both ask once, and each perhaps a moment before the other listens.
            sender = sender.args(HELLOS);
        }
        for argument in &self.sender_args {
            sender = sender.arg(argument);
        }
        sender = match self.fed {
            true => sender.stdin(Stdio::piped()),
            false => sender.file(&source),
        };
        let mut sender = sender.start(&host, "sender", folder.path())?;
        let late = match self.late {
            Some(kind) => Some((lab.host("10.77.0.99")?, kind)),
            None => None,
        };
        Ok(Transferring {
            pipe: sender.take_stdin(),
            sender,
            sender_host: host,
            receivers,
            late,
            source,
            folder,
        })
    }

    fn start_receiver(
        &self,
        lab: &Lab,
        number: usize,
        folder: &Path,
    ) -> Result<Receiver, LabError> {
        let host = lab.host(&format!("10.77.0.{}", number + 2))?;
        if self.loss > 0 {
            let stock = self.sender.is_stock() || self.receivers.iter().any(|kind| kind.is_stock());
            let packets = match stock {
                true => AFTER_CONNECTING,
                false => "ip protocol udp",
            };
            host.set_loss_of(Direction::Towards, self.loss, packets)?;
            host.set_loss_of(Direction::From, self.loss, packets)?;
        }
        let file = self
            .outputs
            .iter()
            .find(|(receiver, _)| *receiver == number)
            .map_or_else(
                || folder.join(format!("received{number}")),
                |(_, path)| path.clone(),
            );
        let mut program = Program::receiver(self.receivers[number])?;
        program = match self.to_stdout {
            true => program.stdout(
                File::options()
                    .create(true)
                    .truncate(true)
                    .write(true)
                    .open(&file)
                    .map_err(|e| LabError::io(format!("open {}", file.display()), e))?,
            ),
            false => program.file(&file),
        };
        for argument in &self.receiver_args {
            program = program.arg(argument);
        }
        let program = program.start(&host, &format!("receiver{number}"), folder)?;
        Ok(Receiver {
            host,
            program,
            file,
        })
    }

    /// Runs it to its end: every program has to succeed within a minute, every file to be equal.
    ///
    /// # Errors
    /// What went wrong, with every log.
    pub fn run(self) -> Result<Transferring, LabError> {
        let mut transferring = self.start()?;
        transferring.demand_success()?;
        Ok(transferring)
    }
}

/// One receiver of a transfer.
#[derive(Debug)]
pub struct Receiver {
    /// Where it runs.
    pub host: Host,
    /// The program.
    pub program: Running,
    /// What it writes to.
    pub file: PathBuf,
}

/// A transfer that goes on. Its programs are killed and its files removed on drop.
#[derive(Debug)]
pub struct Transferring {
    /// The sender.
    pub sender: Running,
    /// Where the sender runs.
    pub sender_host: Host,
    /// The receivers.
    pub receivers: Vec<Receiver>,
    late: Option<(Host, Kind)>,
    /// What is sent.
    pub source: PathBuf,
    pipe: Option<ChildStdin>,
    folder: TempDir,
}

impl Transferring {
    /// The folder of the logs and files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the sender bytes `from` to `to` of the source. Blocks while its pipe is full.
    ///
    /// # Errors
    /// [`LabError::Io`] if the sender doesn't take them.
    pub fn feed(&mut self, from: u64, to: u64) -> Result<(), LabError> {
        let refused = |e| LabError::io("feed the sender", e);
        let Some(pipe) = self.pipe.as_mut() else {
            return Err(LabError::wrong("this sender is not fed"));
        };
        let mut source = File::open(&self.source).map_err(refused)?;
        source.seek(SeekFrom::Start(from)).map_err(refused)?;
        std::io::copy(&mut source.take(to - from), pipe).map_err(refused)?;
        pipe.flush().map_err(refused)
    }

    /// Tells the sender that there is no more.
    pub fn end_feed(&mut self) {
        self.pipe = None;
    }

    /// Starts the receiver that comes late.
    ///
    /// # Errors
    /// What starting a program can give.
    pub fn start_late(&mut self) -> Result<Receiver, LabError> {
        let Some((host, kind)) = self.late.take() else {
            return Err(LabError::wrong("nobody is to come late"));
        };
        let file = self.folder.path().join("received-late");
        let program = Program::receiver(kind)?.file(&file);
        let program = program.start(&host, "late", self.folder.path())?;
        Ok(Receiver {
            host,
            program,
            file,
        })
    }

    /// Waits until every receiver's file has `bytes` or more.
    ///
    /// # Errors
    /// [`LabError::Wrong`] with every log if that takes more than a minute.
    pub fn wait_received(&self, bytes: u64) -> Result<(), LabError> {
        let deadline = Instant::now() + LIMIT;
        let length = |receiver: &Receiver| fs::metadata(&receiver.file).map_or(0, |m| m.len());
        while self.receivers.iter().any(|r| length(r) < bytes) {
            if Instant::now() >= deadline {
                let stuck = LabError::wrong(format!("not all received {bytes} bytes"));
                return Err(self.with_logs(stuck));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Demands that every program succeeds and every file is equal.
    ///
    /// # Errors
    /// What went wrong, with every log.
    pub fn demand_success(&mut self) -> Result<(), LabError> {
        let all: Vec<usize> = (0..self.receivers.len()).collect();
        self.demand_success_of(&all)
    }

    /// Demands that the sender and these receivers succeed and their files are equal.
    ///
    /// # Errors
    /// What went wrong, with every log.
    pub fn demand_success_of(&mut self, receivers: &[usize]) -> Result<(), LabError> {
        let result = self.check(receivers, 0);
        result.map_err(|error| self.with_logs(error))
    }

    /// Demands that every receiver succeeds and every file is equal, and that the sender, which has
    /// to do with others too, ends with `code`.
    ///
    /// # Errors
    /// What went wrong, with every log.
    pub fn demand_success_but(&mut self, code: i32) -> Result<(), LabError> {
        let all: Vec<usize> = (0..self.receivers.len()).collect();
        let result = self.check(&all, code);
        result.map_err(|error| self.with_logs(error))
    }

    fn check(&mut self, receivers: &[usize], code: i32) -> Result<(), LabError> {
        self.sender.wait_exit(code, LIMIT)?;
        for &number in receivers {
            let receiver = &mut self.receivers[number];
            receiver.program.wait_success(LIMIT)?;
            image::demand_equal(&self.source, &receiver.file)?;
        }
        Ok(())
    }

    /// The same error with the ends of all logs.
    #[must_use]
    pub fn with_logs(&self, error: LabError) -> LabError {
        let mut text = error.to_string();
        let programs =
            std::iter::once(&self.sender).chain(self.receivers.iter().map(|r| &r.program));
        for program in programs {
            text += &format!("\n--- {}:\n{}", program.name(), tail(&program.log()));
        }
        LabError::wrong(text)
    }
}
