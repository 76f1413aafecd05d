//! What an operator can set, as `key=value` words: from load options, a boot menu, or a file.
//!
//! The same words wherever they come from, so that what was tried by hand can go into the file. A
//! word that is not understood is an error and never ignored: on the way to a wiped disk a slip of
//! the pen must stop the machine. The grammar is docs/settings.md.

mod address;

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

use ironcast_proto::cast::MAX_NAME_LEN;
use smoltcp::wire::EthernetAddress;

pub use address::{AddressError, AddressSource};

pub use crate::disk_choice::{Conditions, DiskChoice, DiskKind};
use crate::engine::Decompress;
pub use crate::engine::{Gpt, Holes, OnFailure, Zeroes};
pub use crate::first_boot::SeedFile;
pub use crate::job::JobName;

/// What an operator can set, with its defaults. Texts are borrowed from the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings<'a> {
    /// `disk=`: where the image goes. Default [`DiskChoice::Auto`].
    pub disk: DiskChoice<'a>,
    /// `portbase=`: the receiver's port; the sender's is the next one. Even, 2 to 65534; default
    /// 9000.
    pub port_base: u16,
    /// `rdv=`: where to ask for a sender, an address or a multicast group. Default: broadcast.
    pub rendezvous: Option<Ipv4Addr>,
    /// `ip=`: this machine's address. Default: by DHCP.
    pub ip: AddressSource,
    /// `nic=`: the network card that is used, by its Ethernet address. Default: the one that was
    /// booted from, or the first one with a link that gets an address.
    pub nic: Option<EthernetAddress>,
    /// `late-join=`: whether to take the rest of a streaming transfer that is under way. Default
    /// no.
    pub late_join: bool,
    /// `decompress=`: what is done with a compressed image. Default: it is told by its first bytes,
    /// and decompressed.
    pub decompress: Decompress,
    /// `image=`: the name of the image that is wanted, so that no other stream is taken. Default:
    /// any image, and raw streams.
    pub image: Option<ImageName<'a>>,
    /// `image-min-version=`: the least version of it. Default: any, and raw streams.
    pub image_min_version: Option<u64>,
    /// `zero=`: what is done with the zeroes of a cast stream. Default: they are written.
    pub zero: Zeroes,
    /// `holes=`: what is done with the holes of a cast stream. Default: what is there stays.
    pub holes: Holes,
    /// `delta=`: whether chunks of a cast stream that the disk has are not written again. Default
    /// no.
    pub delta: bool,
    /// `confirm=`: whether a person must agree before the disk is overwritten. Default: no.
    pub confirm: Confirm,
    /// `dry-run=`: whether everything is done but to write. Default: no.
    pub dry_run: bool,
    /// `verify=`: whether what was written is read back and compared. Default yes.
    pub verify: bool,
    /// `gpt=`: what becomes of the image's GUID partition table. Default: it is made right for the
    /// disk.
    pub gpt: Gpt,
    /// `guid=`: whose GUIDs the disk and its partitions get. Default: the image's.
    pub guid: Guid,
    /// `on-failure=`: what becomes of a disk that did not get the whole image. Default: it is
    /// cleared.
    pub on_failure: OnFailure,
    /// `job=`: the name of this imaging, so that a machine that has had it is not imaged again.
    /// Default: none, and the machine is imaged whenever it starts this program.
    pub job: Option<JobName<'a>>,
    /// `seed=`: the file that the installed system finds at its first boot. Default: none.
    pub seed: Option<SeedFile<'a>>,
    /// `stats=`: whether the machine tells where the time of the transfer went. Default: no.
    pub stats: bool,
    /// `then=`: what to do after success. Default: restart.
    pub then: Then,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            disk: DiskChoice::Auto,
            port_base: 9000,
            rendezvous: None,
            ip: AddressSource::Dhcp,
            nic: None,
            late_join: false,
            decompress: Decompress::Auto,
            image: None,
            image_min_version: None,
            zero: Zeroes::default(),
            holes: Holes::default(),
            delta: false,
            confirm: Confirm::No,
            dry_run: false,
            verify: true,
            gpt: Gpt::default(),
            guid: Guid::default(),
            on_failure: OnFailure::default(),
            job: None,
            seed: None,
            stats: false,
            then: Then::Reboot,
        }
    }
}

impl<'a> Settings<'a> {
    /// Takes in the words of one source, as load options or the text of a file. They override
    /// what an earlier source said. `#` at the beginning of a word makes the rest of its line a
    /// comment.
    ///
    /// # Errors
    /// The first word that can't be understood, or stands twice in this source; or two that
    /// contradict each other. Nothing is taken in then.
    pub fn apply(&mut self, text: &'a str) -> Result<(), Error<'a>> {
        let mut settings = *self;
        let mut seen = [false; KEYS.len()];
        for word in words(text) {
            let key = settings.set(word)?;
            if core::mem::replace(&mut seen[key as usize], true) {
                return Err(Error::Twice { word });
            }
        }
        for (one, has_one, other, has_other) in [
            (
                "gpt=keep",
                settings.gpt == Gpt::Keep,
                "guid=new",
                settings.guid == Guid::New,
            ),
            (
                "image= or image-min-version=",
                settings.image.is_some() || settings.image_min_version.is_some(),
                "decompress=, which lets no cast stream be unpacked",
                !matches!(settings.decompress, Decompress::Auto | Decompress::Cast),
            ),
            // What comes late has not all of the image.
            (
                "late-join=yes",
                settings.late_join,
                "job=",
                settings.job.is_some(),
            ),
            (
                "late-join=yes",
                settings.late_join,
                "seed=",
                settings.seed.is_some(),
            ),
        ] {
            if has_one && has_other {
                return Err(Error::Contradiction { one, other });
            }
        }
        *self = settings;
        Ok(())
    }

    fn set(&mut self, word: &'a str) -> Result<Key, Error<'a>> {
        let (name, value) = word.split_once('=').ok_or(Error::NoValue { word })?;
        let (key, _, allowed) = KEYS
            .into_iter()
            .find(|(_, key, _)| *key == name)
            .ok_or(Error::UnknownKey { word })?;
        self.set_value(key, value)
            .ok_or(Error::Value { word, allowed })?;
        Ok(key)
    }

    fn set_value(&mut self, key: Key, value: &'a str) -> Option<()> {
        match key {
            Key::Disk => self.disk = DiskChoice::parse(value)?,
            Key::PortBase => {
                let port: u16 = number(value)?;
                self.port_base = (port >= 2 && port.is_multiple_of(2)).then_some(port)?;
            }
            Key::Rendezvous => self.rendezvous = Some(value.parse().ok()?),
            Key::Ip => self.ip = value.parse().ok()?,
            Key::Nic => self.nic = Some(ethernet_address(value)?),
            Key::LateJoin => self.late_join = yes_or_no(value)?,
            Key::Decompress => self.decompress = Decompress::from_word(value)?,
            Key::Image => self.image = Some(ImageName::parse(value)?),
            Key::ImageMinVersion => self.image_min_version = Some(number(value)?),
            Key::Zero => {
                self.zero = one_of(value, [("write", Zeroes::Write), ("skip", Zeroes::Skip)])?
            }
            Key::Holes => {
                self.holes = one_of(value, [("keep", Holes::Keep), ("zero", Holes::Zero)])?
            }
            Key::Delta => self.delta = yes_or_no(value)?,
            Key::Verify => self.verify = yes_or_no(value)?,
            Key::Gpt => self.gpt = one_of(value, [("move", Gpt::Move), ("keep", Gpt::Keep)])?,
            Key::Guid => self.guid = one_of(value, [("keep", Guid::Keep), ("new", Guid::New)])?,
            Key::OnFailure => {
                self.on_failure = one_of(
                    value,
                    [("clear", OnFailure::Clear), ("keep", OnFailure::Keep)],
                )?
            }
            Key::Confirm => {
                self.confirm = one_of(value, [("ask", Confirm::Ask), ("no", Confirm::No)])?
            }
            Key::DryRun => self.dry_run = yes_or_no(value)?,
            Key::Job => self.job = Some(JobName::parse(value)?),
            Key::Seed => self.seed = Some(SeedFile::parse(value)?),
            Key::Stats => self.stats = yes_or_no(value)?,
            Key::Then => {
                self.then = one_of(
                    value,
                    [
                        ("reboot", Then::Reboot),
                        ("poweroff", Then::PowerOff),
                        ("boot", Then::Boot),
                        ("wait", Then::Wait),
                    ],
                )?
            }
        }
        Some(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Disk,
    PortBase,
    Rendezvous,
    Ip,
    Nic,
    LateJoin,
    Decompress,
    Image,
    ImageMinVersion,
    Zero,
    Holes,
    Delta,
    Confirm,
    DryRun,
    Verify,
    Gpt,
    Guid,
    OnFailure,
    Job,
    Seed,
    Stats,
    Then,
}

/// Each key, its name, and what it allows.
const KEYS: [(Key, &str, &str); 22] = [
    (
        Key::Disk,
        "disk",
        "auto, a kind and a number (nvme0, sata0, virtio0, scsi0, usb0, mmc0, disk0), a device \
         path, or conditions such as serial=S5GX2, model=*SSD*,size=100G..2T",
    ),
    (Key::PortBase, "portbase", "an even number from 2 to 65534"),
    (Key::Rendezvous, "rdv", "an IPv4 address or multicast group"),
    (
        Key::Ip,
        "ip",
        "dhcp, or address/prefix[,router] such as 10.0.0.7/24,10.0.0.1",
    ),
    (
        Key::Nic,
        "nic",
        "an Ethernet address such as 52:54:00:12:34:56 or 52-54-00-12-34-56",
    ),
    (Key::LateJoin, "late-join", "yes or no"),
    (
        Key::Decompress,
        "decompress",
        "auto, none, cast, gzip, lzop, lz4 or zstd",
    ),
    (
        Key::Image,
        "image",
        "the name of an image, of up to 128 bytes",
    ),
    (Key::ImageMinVersion, "image-min-version", "a number"),
    (Key::Zero, "zero", "write or skip"),
    (Key::Holes, "holes", "keep or zero"),
    (Key::Delta, "delta", "yes or no"),
    (Key::Confirm, "confirm", "ask or no"),
    (Key::DryRun, "dry-run", "yes or no"),
    (Key::Verify, "verify", "yes or no"),
    (Key::Gpt, "gpt", "move or keep"),
    (Key::Guid, "guid", "keep or new"),
    (Key::OnFailure, "on-failure", "clear or keep"),
    (
        Key::Job,
        "job",
        "a name of up to 64 letters, digits, dots, hyphens and underscores",
    ),
    (
        Key::Seed,
        "seed",
        "the path of a file, such as seeds/<mac>, of up to 128 printable characters",
    ),
    (Key::Stats, "stats", "yes or no"),
    (Key::Then, "then", "reboot, poweroff, boot or wait"),
];

/// The words of a source, without comments. A text without any sets nothing: not even that its
/// defaults are wanted.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(words_of_line)
}

fn words_of_line(line: &str) -> impl Iterator<Item = &str> {
    // A byte order mark and the end of a C string are no part of a word, whoever left them there.
    line.split(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\0'))
        .filter(|word| !word.is_empty())
        .take_while(|word| !word.starts_with('#'))
}

fn yes_or_no(value: &str) -> Option<bool> {
    one_of(value, [("yes", true), ("no", false)])
}

/// What a word means, of so many.
fn one_of<T: Copy, const N: usize>(word: &str, meanings: [(&str, T); N]) -> Option<T> {
    let mut meanings = meanings.into_iter();
    meanings.find_map(|(name, meaning)| (name == word).then_some(meaning))
}

/// A number in plain digits; `parse` alone takes a sign too.
pub(crate) fn number<T: FromStr>(value: &str) -> Option<T> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| value.parse().ok()).flatten()
}

/// Six pairs of hexadecimal digits, with colons or hyphens between. `parse` alone takes single
/// digits too: the length leaves room for pairs only.
fn ethernet_address(value: &str) -> Option<EthernetAddress> {
    const LENGTH: usize = "52:54:00:12:34:56".len();
    (value.len() == LENGTH)
        .then(|| value.parse().ok())
        .flatten()
}

/// A name that an image can have (docs/cast-format.md, 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageName<'a>(&'a str);

impl<'a> ImageName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let is_plain = !name.chars().any(char::is_control);
        let is_name = is_plain && (1..=MAX_NAME_LEN).contains(&name.len());
        is_name.then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// Whether a person must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// Nobody is asked.
    #[default]
    No,
    /// Nothing is written before somebody at the machine said yes.
    Ask,
}

/// Whose GUIDs the disk and its partitions get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Guid {
    /// Those of the image, which every machine has then.
    #[default]
    Keep,
    /// New ones for each machine.
    New,
}

/// What to do after success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// Restart.
    #[default]
    Reboot,
    /// Switch off.
    PowerOff,
    /// Start what was written, without a restart.
    Boot,
    /// Stay, showing the result.
    Wait,
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reboot => "reboot",
            Self::PowerOff => "poweroff",
            Self::Boot => "boot",
            Self::Wait => "wait",
        })
    }
}

/// A word that can't be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<'a> {
    /// It is not of the form `key=value`.
    NoValue {
        /// The word.
        word: &'a str,
    },
    /// Its key is not known.
    UnknownKey {
        /// The word.
        word: &'a str,
    },
    /// Its value is not one that its key allows.
    Value {
        /// The word.
        word: &'a str,
        /// What the key allows.
        allowed: &'static str,
    },
    /// Its key stands twice in one source.
    Twice {
        /// The second word.
        word: &'a str,
    },
    /// Two words can't both be followed.
    Contradiction {
        /// One of them.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue { word } => {
                let word = short(word);
                write!(f, "setting {word:?} is not of the form key=value; ")?;
                list_keys(f)
            }
            Self::UnknownKey { word } => {
                let word = short(word);
                write!(f, "setting {word:?} has an unknown key; ")?;
                list_keys(f)
            }
            Self::Value { word, allowed } => {
                let word = short(word);
                write!(
                    f,
                    "setting {word:?} has an impossible value; allowed is {allowed}"
                )
            }
            Self::Twice { word } => {
                let word = short(word);
                write!(
                    f,
                    "setting {word:?} contradicts or repeats an earlier one; give it once"
                )
            }
            Self::Contradiction { one, other } => {
                write!(
                    f,
                    "settings {one:?} and {other:?} contradict each other; leave one out"
                )
            }
        }
    }
}

/// A word as far as a person needs it to find it.
fn short(word: &str) -> &str {
    let end = word.char_indices().nth(60).map_or(word.len(), |(at, _)| at);
    word.get(..end).unwrap_or(word)
}

impl core::error::Error for Error<'_> {}

fn list_keys(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the keys are")?;
    for (_, name, _) in KEYS {
        write!(f, " {name}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    fn parsed(text: &str) -> Result<Settings<'_>, Error<'_>> {
        let mut settings = Settings::default();
        settings.apply(text)?;
        Ok(settings)
    }

    #[test]
    fn p1_what_may_be_a_part_of_an_image_is_no_job() {
        for other in ["job=autumn", "seed=a"] {
            let text = std::format!("late-join=yes {other}");
            let error = parsed(&text).unwrap_err();
            assert!(matches!(error, Error::Contradiction { .. }), "{error}");
        }
        let settings = parsed("late-join=no job=autumn seed=seeds/<mac>").unwrap();
        assert_eq!(settings.job, JobName::parse("autumn"));
        assert_eq!(settings.seed, SeedFile::parse("seeds/<mac>"));
    }

    #[test]
    fn every_key_of_a_line() {
        let settings = parsed(
            "disk=nvme1 portbase=9002 rdv=239.1.2.3 ip=10.0.0.7/24,10.0.0.1 confirm=ask \
             nic=52-54-00-AB-cd-EF \
             late-join=yes decompress=cast dry-run=yes verify=no gpt=move guid=new \
             image=lab image-min-version=3 zero=skip holes=zero delta=yes \
             on-failure=keep stats=yes then=poweroff",
        );
        let expected = Settings {
            disk: DiskChoice::Kind {
                kind: DiskKind::Nvme,
                index: 1,
            },
            port_base: 9002,
            rendezvous: Some(Ipv4Addr::new(239, 1, 2, 3)),
            ip: AddressSource::Static {
                ip: Ipv4Addr::new(10, 0, 0, 7),
                prefix: 24,
                router: Some(Ipv4Addr::new(10, 0, 0, 1)),
            },
            nic: Some(EthernetAddress([0x52, 0x54, 0x00, 0xab, 0xcd, 0xef])),
            late_join: true,
            decompress: Decompress::Cast,
            image: ImageName::parse("lab"),
            image_min_version: Some(3),
            zero: Zeroes::Skip,
            holes: Holes::Zero,
            delta: true,
            confirm: Confirm::Ask,
            dry_run: true,
            verify: false,
            gpt: Gpt::Move,
            guid: Guid::New,
            on_failure: OnFailure::Keep,
            job: None,
            seed: None,
            stats: true,
            then: Then::PowerOff,
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn a_file_has_lines_and_comments() {
        let text =
            "\u{feff}# the lab upstairs\r\n\tdisk=sata0 # not nvme0 then=boot\r\n\r\nthen=wait\0";
        let settings = parsed(text).unwrap();
        assert_eq!(settings.disk.to_string(), "sata0");
        assert_eq!(settings.then, Then::Wait);
        assert_eq!(parsed(""), Ok(Settings::default()));
    }

    #[test]
    fn what_an_editor_or_a_crash_leaves_is_no_word() {
        for text in ["", "\u{feff}", "\0\0\0\0", " \r\n\u{feff}# then=boot\n"] {
            assert_eq!(words(text).count(), 0, "{text:?}");
        }
        assert!(words("\u{feff}then=wait\0 # a#b").eq(["then=wait"]));
    }

    #[test]
    fn later_sources_override_earlier_ones() {
        let mut settings = parsed("disk=usb0 then=boot").unwrap();
        settings.apply("then=wait").unwrap();
        assert_eq!(settings.disk.to_string(), "usb0");
        assert_eq!(settings.then, Then::Wait);
    }

    #[test]
    fn a_source_with_an_error_changes_nothing() {
        let mut settings = Settings::default();
        let before = settings;
        assert!(settings.apply("then=boot disk=floppy0").is_err());
        assert_eq!(settings, before);
    }

    #[test]
    fn values_that_are_not_allowed_are_refused_with_what_is() {
        for word in [
            "disk=",
            "disk=nvme",
            "disk=floppy0",
            "disk=nvme-1",
            "disk=nvme+1",
            "disk=nvme0p1",
            "disk=serial=",
            "disk=label=abc",
            "disk=size=100G",
            "disk=model=a,model=b",
            "disk=0",
            "disk=nvme99999999999",
            "portbase=0",
            "portbase=9001",
            "portbase=65536",
            "portbase=+2",
            "rdv=host",
            "rdv=10.0.0.256",
            "ip=",
            "ip=10.0.0.7",
            "ip=10.0.0.7/33",
            "ip=10.0.0.7/0",
            "ip=10.0.0.7/24,",
            "ip=0.0.0.0/8",
            "ip=239.1.1.1/8",
            "ip=10.0.0.7/24,224.0.0.1",
            "nic=",
            "nic=any",
            "nic=52:54:00:12:34",
            "nic=52:54:00:12:34:56:78",
            "nic=52:54:00:12:34:5g",
            "nic=52:54:00:12:34-56",
            "nic=525400123456",
            "nic=52:54:0:12:34:56",
            "nic=52:54:0:12:34:056",
            "nic=+2:54:00:12:34:56",
            "decompress=",
            "decompress=yes",
            "decompress=zst",
            "confirm=yes",
            "dry-run=ask",
            "verify=ok",
            "gpt=yes",
            "guid=random",
            "on-failure=zero",
            "stats=on",
            "then=Reboot",
        ] {
            let error = parsed(word).unwrap_err();
            assert!(matches!(error, Error::Value { .. }), "{word}: {error:?}");
            let text = error.to_string();
            assert!(
                text.contains(word) && text.contains("allowed is "),
                "{text}"
            );
        }
    }

    #[test]
    fn words_that_nobody_knows_are_errors() {
        assert_eq!(
            parsed("disc=nvme0"),
            Err(Error::UnknownKey { word: "disc=nvme0" })
        );
        assert_eq!(parsed("quiet"), Err(Error::NoValue { word: "quiet" }));
        assert_eq!(
            parsed("then=wait then=wait"),
            Err(Error::Twice { word: "then=wait" })
        );
        let text = Error::UnknownKey { word: "disc=nvme0" }.to_string();
        assert!(
            text.contains("disc=nvme0") && text.contains(" disk"),
            "{text}"
        );
    }

    #[test]
    fn every_way_to_decompress_has_its_word() {
        for word in Decompress::WORDS {
            let line = std::format!("decompress={word}");
            assert_eq!(parsed(&line).unwrap().decompress.to_string(), word);
        }
        let (_, _, allowed) = KEYS[Key::Decompress as usize];
        let words: std::vec::Vec<_> = allowed.split([' ', ',']).collect();
        for word in Decompress::WORDS {
            assert!(words.contains(&word), "{word}");
        }
    }

    #[test]
    fn words_that_contradict_each_other_are_errors() {
        let error = parsed("guid=new gpt=keep").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("gpt=keep") && text.contains("guid=new"),
            "{text}"
        );
        assert!(parsed("guid=keep gpt=keep").is_ok());
    }

    #[test]
    fn device_paths_are_taken_as_they_are() {
        let path = "PciRoot(0x0)/Pci(0x4,0x0)/NVMe(0x1,00-00-00-00-00-00-00-00)";
        let word = std::format!("disk={path}");
        assert_eq!(parsed(&word).unwrap().disk, DiskChoice::Path(path));
        for (kind, name) in DiskKind::NAMES {
            assert_eq!(kind.to_string(), name);
            let choice = std::format!("{name}7");
            assert_eq!(DiskChoice::parse(&choice).unwrap().to_string(), choice);
        }
    }

    #[test]
    fn network_cards_are_named_in_every_usual_way() {
        let expected = Some(EthernetAddress([0x52, 0x54, 0x00, 0x0a, 0xbc, 0xde]));
        for value in [
            "52:54:00:0a:bc:de",
            "52-54-00-0A-BC-DE",
            "52:54:00:0A:bc:De",
        ] {
            let word = std::format!("nic={value}");
            assert_eq!(parsed(&word).unwrap().nic, expected, "{value}");
        }
        assert_eq!(parsed("then=wait").unwrap().nic, None);
    }

    #[test]
    fn conditions_are_no_device_path_whatever_is_in_them() {
        for value in ["serial=S/N(1)", "model=*SSD*,size=..600G", "size=100GiB.."] {
            let choice = DiskChoice::parse(value).unwrap();
            assert!(matches!(choice, DiskChoice::Matching(_)), "{value}");
            assert_eq!(choice.to_string(), value);
        }
    }

    #[test]
    fn the_manual_has_every_key_and_its_values() {
        let manual = include_str!("../../docs/settings.md");
        let row = |name| {
            let start = std::format!("| `{name}` |");
            manual
                .lines()
                .find(|line| line.starts_with(&start))
                .unwrap()
        };
        for (key, name, allowed) in KEYS {
            let row = row(name);
            let values = allowed.split([' ', ',']).filter(|word| match key {
                Key::Disk => *word == "auto" || word.contains('='),
                Key::Nic => word.contains([':', '-']),
                Key::PortBase | Key::Rendezvous | Key::Ip => matches!(*word, "dhcp" | "even"),
                _ => !matches!(*word, "or" | ""),
            });
            for value in values {
                assert!(row.contains(value), "{name}: {value}");
            }
        }
        for (_, name) in DiskKind::NAMES {
            assert!(manual.contains(&std::format!("`{name}`")), "{name}");
        }
        let defaults = Settings::default();
        assert_eq!(defaults.then, Then::Reboot);
        assert!(row("then").contains("| `reboot` |"));
        assert_eq!(defaults.confirm, Confirm::No);
        assert!(row("confirm").contains("| `no` |"));
        assert!(!defaults.dry_run);
        assert!(row("dry-run").contains("| `no` |"));
        assert_eq!(defaults.decompress, Decompress::Auto);
        assert!(row("decompress").contains("| `auto` |"));
        assert!(defaults.verify && row("verify").contains("| `yes` |"));
        assert_eq!(defaults.gpt, Gpt::Move);
        assert!(row("gpt").contains("| `move` |"));
        assert_eq!(defaults.guid, Guid::Keep);
        assert!(row("guid").contains("| `keep` |"));
        assert_eq!(defaults.on_failure, OnFailure::Clear);
        assert!(row("on-failure").contains("| `clear` |"));
        assert!(!defaults.stats && row("stats").contains("| `no` |"));
        assert!(row("portbase").contains(&std::format!("| `{}` |", defaults.port_base)));
    }
}
