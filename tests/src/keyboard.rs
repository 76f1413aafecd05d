//! A person's hand at a virtual machine: its keys are pressed through QEMU's monitor (QMP).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::LabError;

/// How long QEMU may take to answer: it is at work for others too.
const ANSWER: Duration = Duration::from_secs(20);

/// A machine's keyboard.
#[derive(Debug)]
pub(crate) struct Keyboard {
    socket: PathBuf,
}

impl Keyboard {
    /// That of the machine `name`, whose files are in `folder`.
    pub(crate) fn of(name: &str, folder: &Path) -> Self {
        Self {
            socket: folder.join(format!("{name}.qmp")),
        }
    }

    /// What QEMU has to be told for it.
    pub(crate) fn arguments(&self) -> [String; 2] {
        let socket = self.socket.display().to_string().replace(',', ",,");
        let monitor = format!("unix:{socket},server=on,wait=off");
        ["-qmp".to_owned(), monitor]
    }

    /// Presses a key and lets it go.
    pub(crate) fn press(&self, key: &str) -> Result<(), LabError> {
        let failed = |e| LabError::io(format!("press a key by {}", self.socket.display()), e);
        let stream = UnixStream::connect(&self.socket).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
        let mut answers = BufReader::new(stream.try_clone().map_err(failed)?).lines();
        let mut commands = stream;
        let keys = json!({ "keys": [{ "type": "qcode", "data": key }] });
        for command in [
            json!({ "execute": "qmp_capabilities" }),
            json!({ "execute": "send-key", "arguments": keys }),
        ] {
            writeln!(commands, "{command}").map_err(failed)?;
            demand_done(&command, &mut answers)?;
        }
        Ok(())
    }
}

/// Waits for the answer to a command, past the greeting and events.
fn demand_done(
    command: &Value,
    answers: &mut impl Iterator<Item = std::io::Result<String>>,
) -> Result<(), LabError> {
    for answer in answers {
        let answer = answer.map_err(|e| LabError::io(format!("wait for {command}"), e))?;
        let message: Value = serde_json::from_str(&answer).unwrap_or_default();
        if message.get("return").is_some() {
            return Ok(());
        }
        if message.get("error").is_some() {
            return Err(LabError::wrong(format!("QEMU refuses {command}: {answer}")));
        }
    }
    Err(LabError::wrong(format!("QEMU did not answer {command}")))
}
