//! A server for machines that boot over the network, in a host of the lab: `dnsmasq` giving out
//! addresses and files by TFTP, and files by HTTP.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::INTERFACE;
use crate::{Host, LabError, Running};

/// How long a server may take to start.
const START: Duration = Duration::from_secs(10);

/// What the PXE server serves.
#[derive(Debug, Clone)]
pub struct PxeSettings {
    /// The file that a machine starts, by its name in the TFTP folder. Default `ironcast.efi`.
    pub boot_file: String,
    /// Files that are copied into the TFTP folder: name there (may hold a folder), and source.
    pub files: Vec<(String, PathBuf)>,
    /// Texts that are written into the TFTP folder: name there (may hold a folder), and contents.
    pub texts: Vec<(String, String)>,
    /// More options for dnsmasq. Default: none.
    pub options: Vec<String>,
}

impl Default for PxeSettings {
    fn default() -> Self {
        Self {
            boot_file: "ironcast.efi".to_owned(),
            files: Vec::new(),
            texts: Vec::new(),
            options: Vec::new(),
        }
    }
}

impl PxeSettings {
    /// Serves `efi` as `ironcast.efi`, with `conf` as its `ironcast.conf`.
    #[must_use]
    pub fn ironcast(efi: &Path, conf: &str) -> Self {
        Self::default()
            .file("ironcast.efi", efi)
            .text("ironcast.conf", conf)
    }

    /// Serves machines with 64-bit Arm processors `efi` as `ironcast-aa64.efi`.
    #[must_use]
    pub fn ironcast_for_arm(self, efi: &Path) -> Self {
        self.file("ironcast-aa64.efi", efi)
            .option("--dhcp-match=set:arm64,option:client-arch,11")
            .option("--dhcp-boot=tag:arm64,ironcast-aa64.efi")
    }

    /// Names `url` to PCs that boot by HTTP.
    #[must_use]
    pub fn http(self, url: &str) -> Self {
        let settings = self
            .option("--dhcp-match=set:http,option:client-arch,16")
            .option("--dhcp-option-force=tag:http,option:vendor-class,HTTPClient");
        settings.option(&format!("--dhcp-boot=tag:http,{url}"))
    }

    /// Adds a file under `name`.
    #[must_use]
    pub fn file(mut self, name: &str, source: &Path) -> Self {
        self.files.push((name.to_owned(), source.to_path_buf()));
        self
    }

    /// Adds a text under `name`.
    #[must_use]
    pub fn text(mut self, name: &str, contents: &str) -> Self {
        self.texts.push((name.to_owned(), contents.to_owned()));
        self
    }

    /// Adds an option for dnsmasq.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }
}

/// A running PXE server; it ends on drop.
#[derive(Debug)]
pub struct PxeServer {
    dnsmasq: Running,
}

impl PxeServer {
    /// Starts one in `host`, with its TFTP folder and log (`dnsmasq.log`) under `folder`. Machines
    /// get addresses .100 to .199 of the host's /24 network.
    ///
    /// # Errors
    /// [`LabError::MissingTool`] without `dnsmasq`, [`LabError::Io`] if a file can't be laid out.
    pub fn start(host: &Host, folder: &Path, settings: &PxeSettings) -> Result<Self, LabError> {
        let root = folder.join("tftp");
        lay_out(&root, settings)?;
        let [a, b, c, _] = host.address().octets();
        let mut command = host.command("dnsmasq")?;
        command
            // Debug mode keeps it in the foreground and the user as it is: in a user namespace
            // there is no other to change to.
            .args(["--no-daemon", "--conf-file=/dev/null", "--port=0"])
            // Without it each offer waits 3 s for the answer to a ping.
            .args(["--no-ping", "--dhcp-authoritative", "--log-dhcp"])
            .arg(format!("--interface={INTERFACE}"))
            .arg(format!("--dhcp-range={a}.{b}.{c}.100,{a}.{b}.{c}.199,1h"))
            .arg(format!("--dhcp-boot={}", settings.boot_file))
            .arg("--enable-tftp")
            .arg(format!("--tftp-root={}", root.display()))
            .arg(format!(
                "--dhcp-leasefile={}",
                folder.join("leases").display()
            ))
            .args(&settings.options);
        let mut dnsmasq = Running::start("dnsmasq", command, folder)?;
        dnsmasq.wait_for("TFTP root is", START)?;
        Ok(Self { dnsmasq })
    }

    /// What it has logged so far: every DHCP message and every file given out.
    #[must_use]
    pub fn log(&self) -> String {
        self.dnsmasq.log()
    }

    /// The files that it has given out by TFTP, each once.
    #[must_use]
    pub fn given_out(&self) -> BTreeSet<PathBuf> {
        files_sent(&self.log())
    }
}

/// The paths in lines such as `dnsmasq-tftp: sent /srv/tftp/ironcast.efi to 10.77.0.135`.
fn files_sent(log: &str) -> BTreeSet<PathBuf> {
    let sent = log.lines().filter_map(|line| line.split_once(": sent "));
    sent.filter_map(|(_, rest)| Some(rest.rsplit_once(" to ")?.0.into()))
        .collect()
}

/// Starts a server in `host` that gives out what is in `folder` by HTTP, with its log (`http.log`)
/// in `logs`.
///
/// # Errors
/// [`LabError::MissingTool`] without Python, or if it doesn't start.
pub fn serve_by_http(host: &Host, folder: &Path, logs: &Path) -> Result<Running, LabError> {
    let mut command = host.command("python3")?;
    command.args(["-u", "-m", "http.server", "80", "--directory"]);
    command.arg(folder);
    let mut server = Running::start("http", command, logs)?;
    server.wait_for("Serving HTTP", START)?;
    Ok(server)
}

fn lay_out(root: &Path, settings: &PxeSettings) -> Result<(), LabError> {
    let place = |name: &str| {
        let path = root.join(name);
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder)
            .map_err(|e| LabError::io(format!("make {}", folder.display()), e))?;
        Ok::<_, LabError>(path)
    };
    fs::create_dir_all(root).map_err(|e| LabError::io(format!("make {}", root.display()), e))?;
    for (name, source) in &settings.files {
        let path = place(name)?;
        fs::copy(source, &path).map_err(|e| {
            let doing = format!("copy {} to {}", source.display(), path.display());
            LabError::io(doing, e)
        })?;
    }
    for (name, contents) in &settings.texts {
        let path = place(name)?;
        fs::write(&path, contents)
            .map_err(|e| LabError::io(format!("write {}", path.display()), e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_was_sent_counts_once() {
        let log = "dnsmasq-tftp: error 8 User aborted the transfer received from 10.77.0.135\n\
             dnsmasq-tftp: sent /t/a to b.efi to 10.77.0.135\n\
             dnsmasq-tftp: sent /t/a to b.efi to 10.77.0.135\n\
             dnsmasq-tftp: file /t/none not found for 10.77.0.135\n";
        let expected: Vec<PathBuf> = files_sent(log).into_iter().collect();
        assert_eq!(expected, [PathBuf::from("/t/a to b.efi")]);
    }
}
