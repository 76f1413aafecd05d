//! Talks to a QEMU over its machine protocol: is the machine at its restart, and let it restart.
//!
//! A machine of the demo is held by QEMU at the moment when it restarts itself, so that its disk
//! can be compared before the new system may write to it, and then goes on as if nothing had been.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// How long QEMU may take to open its socket, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a QEMU.
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// QEMU's arguments for a socket in `folder`, and for being held at a restart.
    pub(super) fn arguments(folder: &Path, name: &str) -> [String; 4] {
        let socket = socket(folder, name);
        [
            "-qmp".to_owned(),
            format!("unix:{},server=on,wait=off", socket.display()),
            "-action".to_owned(),
            "reboot=shutdown,shutdown=pause".to_owned(),
        ]
    }

    /// Connects to the QEMU that was started with [`Qmp::arguments`] of the same `folder` and
    /// `name`.
    pub(super) fn connect(folder: &Path, name: &str) -> Result<Self> {
        let socket = socket(folder, name);
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| {
                        format!("QEMU does not open {}; see {name}.log", socket.display())
                    });
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        };
        stream
            .set_read_timeout(Some(PATIENCE))
            .context("cannot set a time limit")?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        qmp.ask("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Whether the machine has ended what it was doing and is held at its restart.
    pub(super) fn is_held(&mut self) -> Result<bool> {
        Ok(self.ask("query-status")?["status"] == "shutdown")
    }

    /// Restarts a machine that is held. At its next restart it is held again.
    pub(super) fn restart(&mut self) -> Result<()> {
        // QEMU would take its own restart for one more to be held at.
        self.tell("set-action", &json!({ "reboot": "reset" }))?;
        self.ask("system_reset")?;
        let deadline = Instant::now() + PATIENCE;
        while self.is_held()? {
            if Instant::now() > deadline {
                bail!("QEMU does not restart the machine");
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.tell("set-action", &json!({ "reboot": "shutdown" }))?;
        self.ask("cont").map(drop)
    }

    fn ask(&mut self, command: &str) -> Result<Value> {
        self.tell(command, &json!({}))
    }

    /// Sends a command and gives what it returns; events that come in between are left out.
    fn tell(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let what = || format!("QEMU does not answer {command}");
        let line = json!({ "execute": command, "arguments": arguments });
        let line = format!("{line}\n");
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .with_context(what)?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).with_context(what)? == 0 {
                bail!("QEMU ended");
            }
            let mut answer: Value = serde_json::from_str(&line).with_context(what)?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses {command}: {error}");
            }
            if answer.get("return").is_some() {
                return Ok(answer["return"].take());
            }
        }
    }
}

fn socket(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.qmp"))
}
