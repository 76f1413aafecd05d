//! Runs other programs so that a failure says which program, with what, and why.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A command for `program` in the workspace's root, with `/usr/sbin` and `/sbin` in its `PATH`,
/// which an ordinary user's leaves out on Debian.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let mut command = Command::new(program.as_ref());
    command
        .env("PATH", path)
        .current_dir(crate::paths::workspace());
    command
}

/// Runs `command` to its end, with its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", line(command)))?;
    judge(command, status, "")
}

/// Runs `command` to its end and gives what it wrote to stdout; stderr goes into the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", line(command)))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    judge(command, output.status, &complaint)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` without showing its output, which goes into the error if it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Like [`quietly`], but kills the program if it is not done within `limit`.
pub(crate) fn quietly_within(command: &mut Command, limit: Duration) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", line(command)))?;
    let ended = ironcast_tests::wait_exit(&mut child, limit);
    if !matches!(ended, Ok(Some(_))) {
        // It may have ended just now, and then there is nothing left to kill.
        let _ = child.kill();
        let _ = child.wait();
    }
    let Some(status) = ended? else {
        bail!("{} was not done in {} s", line(command), limit.as_secs());
    };
    let mut complaint = String::new();
    if let Some(mut pipe) = child.stderr.take() {
        // What can't be read or is not UTF-8 is only missing from the message.
        let _ = pipe.read_to_string(&mut complaint);
    }
    judge(command, status, &complaint)
}

/// Whether `command` can be started and ends well.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    output(command).is_ok()
}

fn judge(command: &Command, status: ExitStatus, complaint: &str) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let complaint = complaint.trim();
    if complaint.is_empty() {
        bail!("{} failed: {status}", line(command));
    }
    bail!("{} failed: {status}\n{complaint}", line(command));
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        // Writing to a string can't fail.
        let _ = write!(line, " {}", argument.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = command("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_failure_names_the_command_and_its_complaint() {
        let error = quietly(&mut shell("echo no room >&2; exit 3")).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("sh -c") && text.contains("exit status: 3"),
            "{text}"
        );
        assert!(text.ends_with("no room"), "{text}");
    }

    #[test]
    fn a_program_that_hangs_is_killed() {
        let limit = Duration::from_millis(100);
        let error = quietly_within(&mut shell("exec sleep 60"), limit).unwrap_err();
        assert!(error.to_string().contains("not done in"), "{error}");
        quietly_within(&mut shell("exit 0"), Duration::from_secs(10)).unwrap();
    }
}
