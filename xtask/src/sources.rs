//! Reads the machine's apt sources, in both of their formats, and keeps the distribution's own.
//!
//! The project fetches packages without touching the machine's package state. Where from and by
//! whose signature is the machine's own business: its mirror and its keyring are taken from here,
//! so that no host name stands in this tree.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

/// One entry of apt's sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// The mirrors, separated by spaces.
    pub(crate) uris: String,
    /// The suites, such as `bookworm` or `bookworm-security`.
    pub(crate) suites: Vec<String>,
    /// The components, separated by spaces.
    pub(crate) components: String,
    /// Other fields by their names, such as `Signed-By`.
    pub(crate) options: Vec<(String, String)>,
}

impl Source {
    /// The same mirror and keyring with another suite.
    pub(crate) fn with_suite(&self, suite: &str) -> Self {
        Self {
            suites: vec![suite.to_owned()],
            ..self.clone()
        }
    }

    /// The entry as a stanza of a `.sources` file.
    pub(crate) fn stanza(&self) -> String {
        let mut stanza = format!(
            "Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n",
            self.uris,
            self.suites.join(" "),
            self.components
        );
        for (name, value) in &self.options {
            stanza.push_str(&format!("{name}: {value}\n"));
        }
        stanza
    }
}

/// The machine's sources of its own release: the release itself, its updates and security fixes.
/// The release itself comes first.
///
/// Fails if there is none, as on a machine that is neither Debian's nor Ubuntu's kind.
pub(crate) fn of_this_release() -> Result<Vec<Source>> {
    let release = codename(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    let Some(release) = release else {
        bail!("/etc/os-release names no VERSION_CODENAME: this needs Debian or Ubuntu");
    };
    let own = only_release(&all(Path::new("/etc/apt")), &release);
    if own.is_empty() {
        bail!("no apt source of {release} in /etc/apt/sources.list and /etc/apt/sources.list.d");
    }
    Ok(own)
}

fn all(folder: &Path) -> Vec<Source> {
    let mut files = vec![folder.join("sources.list")];
    let parts = fs::read_dir(folder.join("sources.list.d"));
    files.extend(
        parts
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    files.sort();
    files
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(file).unwrap_or_default();
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => one_line_entries(&text),
                Some("sources") => stanzas(&text),
                _ => Vec::new(),
            }
        })
        .collect()
}

/// The entries of `sources` that belong to `release`, each with only its suites of it.
fn only_release(sources: &[Source], release: &str) -> Vec<Source> {
    let mut own: Vec<Source> = sources
        .iter()
        .filter_map(|source| {
            let suites: Vec<String> = source
                .suites
                .iter()
                .filter(|suite| {
                    ["", "-updates", "-security"]
                        .iter()
                        .any(|pocket| suite.strip_prefix(release) == Some(pocket))
                })
                .cloned()
                .collect();
            (!suites.is_empty()).then(|| Source {
                suites,
                ..source.clone()
            })
        })
        .collect();
    own.sort_by_key(|source| !source.suites.iter().any(|suite| suite == release));
    own
}

fn codename(os_release: &str) -> Option<String> {
    os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
}

/// The entries of a `.sources` file (deb822).
fn stanzas(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(from_fields(std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            // A field goes on, as a key does that is written into the file.
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    sources
}

fn from_fields(mut fields: Vec<(String, String)>) -> Option<Source> {
    let mut take = |name: &str| {
        let at = fields
            .iter()
            .position(|(field, _)| field.eq_ignore_ascii_case(name))?;
        Some(fields.remove(at).1)
    };
    let words = |value: String| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let off = take("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
    let binaries = take("Types")?.split_whitespace().any(|kind| kind == "deb");
    let (uris, suites) = (words(take("URIs")?), take("Suites")?);
    let components = words(take("Components")?);
    (binaries && !off).then(|| Source {
        uris,
        suites: suites.split_whitespace().map(str::to_owned).collect(),
        components,
        options: fields,
    })
}

/// The entries of a `.list` file: `deb [option=value ...] uri suite component ...`.
fn one_line_entries(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line_entry).collect()
}

fn one_line_entry(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uris, suite) = (words.next()?, words.next()?);
    let components: Vec<String> = words.collect();
    Some(Source {
        uris,
        suites: vec![suite],
        components: components.join(" "),
        options: options.split_whitespace().filter_map(option).collect(),
    })
}

/// An option of the one-line format by its name in the other one.
fn option(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let name = match name {
        "signed-by" => "Signed-By",
        "arch" => "Architectures",
        "trusted" => "Trusted",
        "check-valid-until" => "Check-Valid-Until",
        _ => return None,
    };
    Some((name.to_owned(), value.replace(',', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "\
# The archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .

Enabled: no
Types: deb
URIs: http://off.example
Suites: bookworm
Components: main

Types: deb
URIs: http://other.example
Suites: nodistro
Components: main
";

    #[test]
    fn stanzas_of_the_release_keep_their_mirror_and_key() {
        let own = only_release(&stanzas(STANZAS), "bookworm");
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(
            own[0].with_suite("stable-backports").stanza(),
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: stable-backports\n\
             Components: main\nSigned-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n"
        );
    }

    #[test]
    fn one_line_entries_are_understood() {
        let text = "deb-src http://m.example/ubuntu noble main\n\
                    deb [arch=amd64 signed-by=/k.gpg] http://m.example/s noble-security main # y\n\
                    deb http://m.example/ubuntu noble main universe\n# deb http://no noble main\n";
        let own = only_release(&one_line_entries(text), "noble");
        assert_eq!(own.len(), 2);
        assert_eq!(
            (own[0].suites[0].as_str(), own[0].components.as_str()),
            ("noble", "main universe")
        );
        assert_eq!(
            own[1].options[1],
            ("Signed-By".to_owned(), "/k.gpg".to_owned())
        );
    }

    #[test]
    fn the_codename_is_found_with_and_without_quotes() {
        assert_eq!(
            codename("ID=x\nVERSION_CODENAME=noble\n").as_deref(),
            Some("noble")
        );
        assert_eq!(
            codename("VERSION_CODENAME=\"jammy\"").as_deref(),
            Some("jammy")
        );
        assert_eq!(codename("ID=arch"), None);
    }
}
