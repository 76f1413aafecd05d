//! Fetches and installs packages of the distribution by apt.
//!
//! Two ways. [`install`] changes the machine and needs root or sudo. [`PrivateApt`] has package
//! lists of its own in the user's cache and only fetches files to look into, so that an ordinary
//! user can, and the machine's package state stays as it was. Signatures are checked in both.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::paths;
use crate::run::{command, output, quietly, succeeds};
use crate::sources::Source;

/// How old package lists may be before they are fetched anew, unless a package can't be had.
const LISTS_STAY_GOOD: Duration = Duration::from_secs(24 * 3600);

/// How long another apt that holds the lock is waited for.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// What keeps apt from asking, waiting for a dead mirror, or fetching translations.
const MANNERS: &[&str] = &[
    "Acquire::Retries=3",
    "Acquire::http::Timeout=30",
    "Acquire::https::Timeout=30",
    "Acquire::Languages=none",
    "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
    "DPkg::Lock::Timeout=300",
    "Dpkg::Use-Pty=0",
];

/// Installs `packages` on the machine.
///
/// Fails with the line to type if we are neither root nor allowed to become it.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let line = format!(
        "apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    if !succeeds(command("apt-get").arg("--version")) {
        bail!(
            "no apt-get here; install what Debian has in the packages {}",
            packages.join(" ")
        );
    }
    let Some(sudo) = way_to_root() else {
        bail!("missing packages, and neither root nor sudo to install them; do: {line}");
    };
    eprintln!("installing {}", packages.join(" "));
    let ours = |words: &[&str]| {
        let mut apt = machine_apt(&sudo);
        apt.args(words);
        with_patience(&mut apt)
    };
    let mut wanted = vec!["install", "--yes", "-qq", "--no-install-recommends"];
    wanted.extend(packages);
    let fetched = newest_change(Path::new("/var/lib/apt/lists"));
    if fetched.is_some_and(is_recent) && ours(&wanted).is_ok() {
        return Ok(());
    }
    ours(&["update", "-qq"])?;
    ours(&wanted).with_context(|| format!("cannot install; try yourself: {line}"))
}

/// Unpacks a package's files below `folder`, without its scripts.
pub(crate) fn unpack(package: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    quietly(command("dpkg-deb").arg("-x").arg(package).arg(folder))
}

/// An apt with sources, lists and archives of its own.
pub(crate) struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    /// An apt named `name` that reads `sources`. Its lists are fetched if there are none yet or
    /// they are old.
    pub(crate) fn open(name: &str, sources: &[Source]) -> Result<Self> {
        let folder = paths::cache().join("apt").join(name);
        for part in ["sources.d", "lists/partial", "archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let apt = Self { folder };
        let file = apt.folder.join("sources.d/own.sources");
        let text: Vec<String> = sources.iter().map(Source::stanza).collect();
        let text = text.join("\n");
        let known = fs::read_to_string(&file).is_ok_and(|old| old == text);
        if !known {
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let fetched = newest_change(&apt.folder.join("lists"));
        if !known || !fetched.is_some_and(is_recent) {
            apt.update()?;
        }
        Ok(apt)
    }

    /// The versions of `package` that can be had, newest first; none if there is no such package.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let table = output(self.tool("apt-cache").args(["madison", package]))?;
        Ok(table
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(|version| version.trim().to_owned())
            .collect())
    }

    /// The packages that `package` depends on, alternatives left out.
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let table = output(
            self.tool("apt-cache")
                .args(["depends", "--important", package]),
        )?;
        Ok(table
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .map(|name| name.trim_matches(['<', '>']).to_owned())
            .collect())
    }

    /// Fetches `package`, which may be `name=version`, into `folder` and gives the file's path. A
    /// folder should be used for one package only.
    pub(crate) fn download(&self, package: &str, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let fetch = || {
            quietly(
                self.tool("apt-get")
                    .args(["download", package])
                    .current_dir(folder),
            )
        };
        if fetch().is_err() {
            self.update()?;
            fetch().with_context(|| format!("cannot fetch the package {package}"))?;
        }
        packages_in(folder)?
            .pop()
            .with_context(|| format!("apt-get download left no package in {}", folder.display()))
    }

    /// Fetches `packages` and whatever they need that the machine has not installed, and gives the
    /// files' paths.
    pub(crate) fn download_with_needs(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let fetch = || {
            let mut apt = self.tool("apt-get");
            apt.args([
                "install",
                "--yes",
                "--download-only",
                "--no-install-recommends",
            ]);
            quietly(apt.args(packages))
        };
        if fetch().is_err() {
            self.update()?;
            fetch().with_context(|| format!("cannot fetch the packages {}", packages.join(" ")))?;
        }
        packages_in(&self.folder.join("archives"))
    }

    fn update(&self) -> Result<()> {
        quietly(self.tool("apt-get").args(["update", "-qq"])).context("cannot fetch package lists")
    }

    fn tool(&self, program: &str) -> Command {
        let mut tool = command(program);
        let own = |option: &str, part: &str| format!("{option}={}/{part}", self.folder.display());
        let options = [
            "Dir::Etc::SourceList=/dev/null".to_owned(),
            own("Dir::Etc::SourceParts", "sources.d"),
            own("Dir::State::Lists", "lists"),
            own("Dir::Cache::Archives", "archives"),
            "Dir::Cache::pkgcache=".to_owned(),
            "Dir::Cache::srcpkgcache=".to_owned(),
            // apt's own user can't reach a folder in a home, and these files are only read.
            "APT::Sandbox::User=root".to_owned(),
            // Nobody else uses these folders, and the machine's locks need root.
            "Debug::NoLocking=1".to_owned(),
        ];
        for option in options
            .iter()
            .map(String::as_str)
            .chain(MANNERS.iter().copied())
        {
            tool.args(["-o", option]);
        }
        tool.env("LC_ALL", "C");
        tool
    }
}

/// What to put before a command to run it as root: nothing as root, sudo where it works; `None` if
/// there is no way.
fn way_to_root() -> Option<Vec<&'static str>> {
    if rustix::process::geteuid().is_root() {
        return Some(Vec::new());
    }
    if succeeds(command("sudo").args(["-n", "true"])) {
        return Some(vec!["sudo", "-n"]);
    }
    let can_ask = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    (can_ask && succeeds(command("sudo").arg("--version"))).then(|| vec!["sudo"])
}

/// The machine's own apt-get, as root.
fn machine_apt(sudo: &[&str]) -> Command {
    let mut words = sudo.to_vec();
    // sudo drops the environment, so what apt has to know is set behind it.
    words.extend([
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "LC_ALL=C",
        "apt-get",
    ]);
    let mut apt = command(words[0]);
    apt.args(&words[1..]);
    for option in MANNERS {
        apt.args(["-o", option]);
    }
    apt
}

/// Runs an apt and waits if another one holds a lock: apt itself waits for one of its locks only.
fn with_patience(apt: &mut Command) -> Result<()> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        let Err(error) = output(apt) else {
            return Ok(());
        };
        let locked = format!("{error:#}").contains("Could not get lock");
        if !locked || Instant::now() > deadline {
            return Err(error);
        }
        eprintln!("another apt is at work; waiting for it");
        thread::sleep(Duration::from_secs(5));
    }
}

fn is_recent(time: SystemTime) -> bool {
    time.elapsed().is_ok_and(|age| age < LISTS_STAY_GOOD)
}

/// When the newest package list in `folder` was written, if there is one.
fn newest_change(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
        .filter_map(|entry| entry.metadata().ok()?.modified().ok())
        .max()
}

fn packages_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let mut packages: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    packages.sort();
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_recent_only_for_a_day() {
        let now = SystemTime::now();
        assert!(is_recent(now - Duration::from_secs(60)));
        assert!(!is_recent(now - 2 * LISTS_STAY_GOOD));
    }

    #[test]
    fn a_lists_folder_without_lists_has_no_time() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lock"), "").unwrap();
        assert_eq!(newest_change(folder.path()), None);
        fs::write(folder.path().join("m_main_binary-amd64_Packages.lz4"), "").unwrap();
        assert!(newest_change(folder.path()).is_some());
    }
}
