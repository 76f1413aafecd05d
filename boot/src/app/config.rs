//! Where the settings come from: the first source that has any.
//!
//! Words given with the start come first, since somebody has just typed them or written them into a
//! boot menu; then the file beside the program; then the files on the server that it was booted
//! from. Sources are not mixed, so that what a machine does can be read in one place.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use ironcast_receiver_nostd::load_options;
use ironcast_receiver_nostd::settings::{self, Confirm, Settings, Then};
use smoltcp::wire::EthernetAddress;
use uefi::boot;
use uefi::proto::loaded_image::LoadedImage;

use super::clock::Clock;
use super::console::Console;
use super::failure::Failure;
use super::network_boot::{FetchError, NetworkBoot};
use super::{files, firmware};

/// Name of the file, and on a server of the folder too.
const FILE: &str = "ironcast.conf";

/// Bytes of the largest file that is read: settings are a few lines.
const LARGEST_FILE: usize = 8191;

/// The words of a source, and its name.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    text: String,
    /// Where the words come from, for a person to find it.
    pub(crate) name: String,
}

impl Source {
    /// The first source that there is; `None` if nobody has set anything.
    ///
    /// What can't be read is told on the console and counts as not there: without settings nothing
    /// is written unless somebody at the machine agrees.
    ///
    /// # Errors
    /// If a file is too large: it was meant for this machine, so that the next source doesn't
    /// count.
    pub(crate) fn find(
        network: Option<&mut NetworkBoot>,
        clock: &Clock,
        console: &mut Console,
    ) -> Result<Option<Self>, Failure> {
        let local = match load_options() {
            None => beside_the_program(console)?,
            options => options,
        };
        match (local, network) {
            (None, Some(network)) => on_the_server(network, clock, console),
            (local, _) => Ok(local),
        }
    }

    /// The settings of `source`. Without one they are the defaults, save that a person has to agree
    /// before the disk is overwritten, and that the machine stays as it is afterwards.
    pub(crate) fn settings(source: Option<&Self>) -> Result<Settings<'_>, Failure> {
        let mut settings = Settings::default();
        let Some(source) = source else {
            settings.confirm = Confirm::Ask;
            settings.then = Then::Wait;
            return Ok(settings);
        };
        settings.apply(&source.text).map_err(|error| {
            let what = format!("the settings of {} can't be followed: {error}", source.name);
            Failure::new(what, "correct them and restart this machine")
        })?;
        Ok(settings)
    }

    /// A source of `text`; `None` if it has no words, which is as good as not being there.
    fn new(text: String, name: String) -> Option<Self> {
        let source = Self { text, name };
        (!source.words().is_empty()).then_some(source)
    }

    /// The words, in one line, for people to read.
    pub(crate) fn words(&self) -> String {
        let words = settings::words(&self.text).collect::<Vec<_>>().join(" ");
        // They come from a network, and go to terminals.
        words.replace(char::is_control, "?")
    }
}

/// The words after the program's name in a boot entry, a shell, or a boot loader's menu.
fn load_options() -> Option<Source> {
    let image = firmware::open_shared::<LoadedImage>(boot::image_handle())?;
    let bytes = image.load_options_as_bytes()?;
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|&unit| unit != 0)
        .collect();
    // UTF-16 is what everybody gives, but who makes boot entries may put bytes of ASCII there.
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    let ascii = bytes.iter().all(is_text).then(|| bytes.to_vec());
    let texts = [
        ascii.and_then(|bytes| String::from_utf8(bytes).ok()),
        String::from_utf16(&units).ok(),
    ];
    texts.iter().flatten().find_map(|text| {
        let words = load_options::settings(text)?;
        Source::new(words.to_owned(), "the load options".to_owned())
    })
}

/// The file in the folder that the program was loaded from.
fn beside_the_program(console: &mut Console) -> Result<Option<Source>, Failure> {
    let (path, contents) = files::beside_the_program(FILE, LARGEST_FILE);
    match contents {
        Ok(contents) => {
            let text = String::from_utf8_lossy(&contents).into_owned();
            Ok(Source::new(text, path))
        }
        Err(FetchError::NotThere) => Ok(None),
        Err(FetchError::TooLarge(_)) => Err(too_large(&path)),
        Err(FetchError::Failed(status)) => {
            console.warn(&format!("ironcast: {path} can't be read ({status})"));
            Ok(None)
        }
    }
}

fn too_large(path: &str) -> Failure {
    Failure::new(
        format!("{path} is too large for settings, so nothing was written"),
        "make it less than 8 KiB and restart this machine",
    )
}

/// The files on the server that the program was booted from: this machine's own, then the one for
/// all.
///
/// Most servers keep files in folders, where one name can't be both: there the file for all is
/// `ironcast.conf/default` beside the machines' own.
fn on_the_server(
    boot: &mut NetworkBoot,
    clock: &Clock,
    console: &mut Console,
) -> Result<Option<Source>, Failure> {
    let own = format!("{FILE}/{}", EthernetAddress(boot.mac()));
    for name in [own, format!("{FILE}/default"), FILE.to_owned()] {
        let Some(place) = boot.place(&name) else {
            return Ok(None);
        };
        match boot.fetch(&name, LARGEST_FILE, clock) {
            Ok(contents) => {
                let text = String::from_utf8_lossy(&contents).into_owned();
                let source = Source::new(text, place);
                if source.is_some() {
                    return Ok(source);
                }
            }
            Err(FetchError::NotThere) => {}
            Err(FetchError::TooLarge(_)) => return Err(too_large(&place)),
            Err(error) => {
                // A server that does not answer would not answer the next time either.
                console.warn(&format!("ironcast: {place}: {error}"));
                return Ok(None);
            }
        }
    }
    Ok(None)
}
