//! The command of `--pipe`, between the file and the network.
//!
//! It has a direct handle on the file, and a pipe to the program. Success is its exit status 0, and
//! nothing else: a decompressor that dies has not written the image, whatever arrived.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A command that runs.
#[derive(Debug)]
pub struct Pipe {
    command: String,
    child: Child,
}

impl Pipe {
    /// Starts a command that writes what is to be read here. `input` is its stdin.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn reading(command: &str, input: impl Into<Stdio>) -> io::Result<(Self, ChildStdout)> {
        let mut child = shell(command).stdin(input).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or_else(no_pipe)?;
        Ok((Self::new(command, child), output))
    }

    /// Starts a command that takes what is written here. `output` is its stdout.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn writing(command: &str, output: impl Into<Stdio>) -> io::Result<(Self, ChildStdin)> {
        let mut child = shell(command)
            .stdin(Stdio::piped())
            .stdout(output)
            .spawn()?;
        let input = child.stdin.take().ok_or_else(no_pipe)?;
        Ok((Self::new(command, child), input))
    }

    fn new(command: &str, child: Child) -> Self {
        Self {
            command: command.to_owned(),
            child,
        }
    }

    /// What becomes readable when the command has ended, if the system can tell that.
    #[must_use]
    pub fn end_fd(&self) -> Option<OwnedFd> {
        pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).ok()
    }

    /// Waits for the command's end.
    ///
    /// # Errors
    /// If it did not end with status 0; the error names the command and how it ended.
    pub fn finish(&mut self) -> io::Result<()> {
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "the command of --pipe, {:?}, ended with {status}",
            self.command
        )))
    }

    /// Why the command takes nothing more, given the error that showed it.
    #[must_use]
    pub fn broken(&mut self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::BrokenPipe {
            return error;
        }
        match self.finish() {
            Ok(()) => io::Error::other(format!(
                "the command of --pipe, {:?}, ended before it had taken everything",
                self.command
            )),
            Err(error) => error,
        }
    }
}

impl Drop for Pipe {
    /// Leaves neither a process nor a zombie behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]);
    shell
}

fn no_pipe() -> io::Error {
    io::Error::other("the system made no pipe")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_the_command_makes_of_its_input_is_read() {
        let (input, mut feed) = io::pipe().unwrap();
        let (mut pipe, mut output) = Pipe::reading("tr a-z A-Z", input).unwrap();
        feed.write_all(b"image").unwrap();
        drop(feed);
        let mut read = String::new();
        output.read_to_string(&mut read).unwrap();
        assert_eq!(read, "IMAGE");
        pipe.finish().unwrap();
    }

    #[test]
    fn a_command_that_fails_is_named_with_its_status() {
        let (mut pipe, mut output) = Pipe::reading("exit 3", Stdio::null()).unwrap();
        output.read_to_end(&mut Vec::new()).unwrap();
        let error = pipe.finish().unwrap_err().to_string();
        assert!(
            error.contains("\"exit 3\"") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn one_that_stops_reading_has_failed_too() {
        let (mut pipe, mut input) = Pipe::writing("true", Stdio::null()).unwrap();
        let error = loop {
            if let Err(error) = input.write_all(&[0; 4096]) {
                break error;
            }
        };
        let error = pipe.broken(error).to_string();
        assert!(error.contains("before it had taken everything"), "{error}");
    }

    #[test]
    fn nothing_is_left_running() {
        let (pipe, _output) = Pipe::reading("exec sleep 600", Stdio::null()).unwrap();
        let process = std::path::PathBuf::from(format!("/proc/{}", pipe.child.id()));
        assert!(process.exists());
        drop(pipe);
        assert!(!process.exists());
    }
}
