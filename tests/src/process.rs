//! Programs that run beside the test: logged to a file, waited for in bounded time, and killed and
//! reaped when the value that stands for them goes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::LabError;

/// How often a waiting test looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How much of a log's end an error carries, in bytes.
const TAIL: usize = 6000;

/// Waits until `child` ends, at most `timeout`; `None` if it still runs then.
///
/// # Errors
/// [`LabError::Io`] if the system can't tell.
pub fn wait_exit(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>, LabError> {
    let deadline = Instant::now() + timeout;
    loop {
        let status = child
            .try_wait()
            .map_err(|e| LabError::io(format!("wait for process {}", child.id()), e))?;
        if status.is_some() || Instant::now() >= deadline {
            return Ok(status);
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The processor time that the process with this number has taken so far.
///
/// # Errors
/// [`LabError::Io`] if it is gone, [`LabError::Wrong`] if the system doesn't tell.
pub fn processor_time(id: u32) -> Result<Duration, LabError> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).map_err(|e| LabError::io(format!("read {path}"), e))?;
    // Behind the name, which is in brackets, fields 11 and 12: hundredths of a second of the
    // program and of the system for it, on every architecture that Linux has left.
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let times = fields.split_whitespace().skip(11).take(2);
    let ticks: Result<Vec<u64>, _> = times.map(str::parse).collect();
    match ticks.as_deref() {
        Ok([own, system]) => Ok(Duration::from_millis((own + system) * 10)),
        _ => Err(LabError::wrong(format!("{path} has no times: {stat}"))),
    }
}

/// A program that runs, with its output in a log file. Killed and reaped on drop.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Running {
    /// Starts `command` with nothing on stdin, and stdout and stderr in `folder/name.log`.
    ///
    /// # Errors
    /// [`LabError::Io`] if the log can't be made or the program not be started.
    pub fn start(name: &str, command: Command, folder: &Path) -> Result<Self, LabError> {
        Self::start_with(name, command, folder, Stdio::null(), None)
    }

    /// Like [`Running::start`], with `stdin`, and with `stdout` if it is not to go to the log.
    ///
    /// # Errors
    /// [`LabError::Io`] if the log can't be made or the program not be started.
    pub fn start_with(
        name: &str,
        mut command: Command,
        folder: &Path,
        stdin: Stdio,
        stdout: Option<Stdio>,
    ) -> Result<Self, LabError> {
        let log = folder.join(format!("{name}.log"));
        let doing = |what: &str| format!("{what} {}", log.display());
        let file = File::create(&log).map_err(|e| LabError::io(doing("create"), e))?;
        let copy = file
            .try_clone()
            .map_err(|e| LabError::io(doing("open twice"), e))?;
        command
            .stdin(stdin)
            .stdout(stdout.unwrap_or_else(|| copy.into()))
            .stderr(file);
        let child = command
            .spawn()
            .map_err(|e| LabError::io(format!("start {name} ({command:?})"), e))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log,
        })
    }

    /// The name that it was started under.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Takes the pipe to its stdin, if it was started with one.
    pub fn take_stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Everything it has printed to its log so far. Carriage returns are turned into line ends,
    /// as the stock programs' progress is a single line otherwise.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\r', "\n")
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// [`LabError::Io`] if the system can't tell.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, LabError> {
        wait_exit(&mut self.child, Duration::ZERO)
    }

    /// Waits for its end, at most `timeout`.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] with the end of its log if it still runs then.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus, LabError> {
        wait_exit(&mut self.child, timeout)?.ok_or_else(|| LabError::TimedOut {
            what: format!("{} to end", self.name),
            after: timeout,
            output: tail(&self.log()),
        })
    }

    /// Waits for its end, at most `timeout`, and demands exit status 0.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] if it still runs then, [`LabError::Failed`] if it ended otherwise.
    pub fn wait_success(&mut self, timeout: Duration) -> Result<(), LabError> {
        self.wait_exit(0, timeout)
    }

    /// Waits for its end, at most `timeout`, and demands exit status `code`.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] if it still runs then, [`LabError::Failed`] if it ended otherwise.
    pub fn wait_exit(&mut self, code: i32, timeout: Duration) -> Result<(), LabError> {
        let status = self.wait(timeout)?;
        if status.code() == Some(code) {
            return Ok(());
        }
        Err(LabError::Failed {
            what: format!("{} ended with {status}", self.name),
            output: tail(&self.log()),
        })
    }

    /// Waits until its log contains `text`, at most `timeout`.
    ///
    /// # Errors
    /// [`LabError::TimedOut`] if it does not by then, [`LabError::Failed`] if it ended without.
    pub fn wait_for(&mut self, text: &str, timeout: Duration) -> Result<(), LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            // Asked before the log is read, so that a last line before the end is not missed.
            let running = self.is_running();
            let log = self.log();
            if log.contains(text) {
                return Ok(());
            }
            if !running {
                return Err(LabError::Failed {
                    what: format!("{} ended without printing {text:?}", self.name),
                    output: tail(&log),
                });
            }
            if Instant::now() >= deadline {
                return Err(LabError::TimedOut {
                    what: format!("{} to print {text:?}", self.name),
                    after: timeout,
                    output: tail(&log),
                });
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The most memory that it ever had in use, in bytes.
    ///
    /// # Errors
    /// [`LabError::Io`] if it has ended, [`LabError::Wrong`] if the system doesn't tell.
    pub fn peak_memory(&self) -> Result<u64, LabError> {
        let path = format!("/proc/{}/status", self.id());
        let status =
            fs::read_to_string(&path).map_err(|e| LabError::io(format!("read {path}"), e))?;
        let kibibytes = status.lines().find_map(|line| {
            let value = line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?;
            value.parse::<u64>().ok()
        });
        kibibytes
            .map(|kibibytes| kibibytes << 10)
            .ok_or_else(|| LabError::wrong(format!("{path} has no VmHWM in kB")))
    }

    /// The processor time that it has taken so far.
    ///
    /// # Errors
    /// As of [`processor_time`].
    pub fn processor_time(&self) -> Result<Duration, LabError> {
        processor_time(self.id())
    }

    /// How many files, sockets and the like it has open.
    ///
    /// # Errors
    /// [`LabError::Io`] if it is gone.
    pub fn open_files(&self) -> Result<usize, LabError> {
        let path = format!("/proc/{}/fd", self.id());
        let files = fs::read_dir(&path).map_err(|e| LabError::io(format!("read {path}"), e))?;
        Ok(files.count())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`LabError::Io`] if it has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<(), LabError> {
        let refused = |source| LabError::io(format!("send {signal:?} to {}", self.name), source);
        // An ended child keeps its number until it is waited for: no stranger can be hit.
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| refused(std::io::ErrorKind::NotFound.into()))?;
        kill_process(pid, signal).map_err(|e| refused(e.into()))
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only if it has been reaped already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` to its end and gives what it wrote to stdout.
///
/// # Errors
/// [`LabError::Failed`] with its stderr if its exit status is not 0.
pub(crate) fn run(command: &mut Command) -> Result<String, LabError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| LabError::io(format!("run {command:?}"), e))?;
    if !output.status.success() {
        return Err(LabError::Failed {
            what: format!("{command:?} ended with {}", output.status),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last [`TAIL`] bytes of a log, cut at a character.
pub(crate) fn tail(log: &str) -> String {
    let mut from = log.len().saturating_sub(TAIL);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    log[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_program_that_hangs_is_reported_in_time_and_killed_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let command = shell("echo hello; exec sleep 100");
        let mut running = Running::start("sleeper", command, folder.path()).unwrap();
        running.wait_for("hello", Duration::from_secs(5)).unwrap();
        let error = running.wait(Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().contains("sleeper to end in vain"));
        let id = running.id();
        drop(running);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_bad_exit_status_shows_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let command = shell("echo oh no >&2; exit 3");
        let mut running = Running::start("failing", command, folder.path()).unwrap();
        let error = running.wait_success(Duration::from_secs(5)).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.to_string().contains("oh no"), "{error}");
        let error = running.wait_for("yes", Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("without printing"), "{error}");
    }
}
