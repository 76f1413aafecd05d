//! A person before a virtual machine, who presses its keys and looks at its screen, by QEMU's
//! monitor (QMP).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::LabError;

/// How long QEMU may take to answer: it is at work for others too.
const ANSWER: Duration = Duration::from_secs(20);

/// A machine's keyboard and screen.
#[derive(Debug)]
pub(crate) struct Monitor {
    socket: PathBuf,
}

impl Monitor {
    /// Those of the machine `name`, whose files are in `folder`.
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
        let keys = json!({ "keys": [{ "type": "qcode", "data": key }] });
        self.execute(&json!({ "execute": "send-key", "arguments": keys }))
    }

    /// Writes what the screen shows to `file`, in a `format` such as `ppm`.
    pub(crate) fn dump_screen(&self, file: &Path, format: &str) -> Result<(), LabError> {
        let arguments = json!({ "filename": file, "format": format });
        self.execute(&json!({ "execute": "screendump", "arguments": arguments }))
    }

    fn execute(&self, command: &Value) -> Result<(), LabError> {
        let failed = |e| LabError::io(format!("{command} by {}", self.socket.display()), e);
        let stream = UnixStream::connect(&self.socket).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
        let mut answers = BufReader::new(stream.try_clone().map_err(failed)?).lines();
        let mut commands = stream;
        for command in [&json!({ "execute": "qmp_capabilities" }), command] {
            writeln!(commands, "{command}").map_err(failed)?;
            demand_done(command, &mut answers)?;
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
