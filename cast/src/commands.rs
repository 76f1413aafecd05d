//! The commands about cast files: `pack`, `inspect`, `verify`, `unpack`, `keygen`.
//!
//! They are the first word on a command line of the sender or the receiver, whose own command lines
//! are those of the stock programs and have no commands.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
use ironcast_hosted::{ExitStatus, JournalSettings, parse_size, report_failure, warn};
use ironcast_proto::cast::PublicKey;
use ironcast_receiver_nostd::engine::TableState;

use crate::codec::Codec;
use crate::error::Error;
use crate::inspect;
use crate::keys::{SecretKey, read_public_keys, write_key_pair};
use crate::layout::Layout;
use crate::options::CastOptions;
use crate::pack::{Packed, Settings, pack};
use crate::progress::Progress;
use crate::read::Input;
use crate::source::Source;
use crate::unpack::{is_same, unpack};
use crate::used::Unused;
use crate::verify::verify;

/// Runs the command that a program's `arguments` name, from the program's own name on; `None` if
/// they name none, and are for the program itself.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitStatus> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let word = arguments.get(1)?.to_str()?;
    let command = <Line as CommandFactory>::command();
    command
        .get_subcommands()
        .find(|one| one.get_name() == word)?;
    let line = match Line::try_parse_from(&arguments) {
        Ok(line) => line,
        Err(error) => {
            // There is nobody to tell that nobody can be told.
            let _ = error.print();
            return Some(match error.use_stderr() {
                true => ExitStatus::Usage,
                false => ExitStatus::Success,
            });
        }
    };
    Some(line.command.run().unwrap_or_else(|error| {
        report_failure(word, &error, &JournalSettings::default());
        ExitStatus::Failed
    }))
}

#[derive(Parser, Debug)]
#[command(disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Pack an image of a disk to a cast file
    Pack(Pack),
    /// Say what a cast file is
    Inspect(Inspect),
    /// Prove a cast file, and a disk or file that should have its image
    Verify(Verify),
    /// Write the image of a cast file to a disk or file
    Unpack(Unpack),
    /// Make a pair of keys to sign with and to trust, as minisign has them
    Keygen(Keygen),
}

#[derive(Parser, Debug)]
struct Pack {
    /// The image: raw, a block device, compressed (gzip, xz, zstd), or of a virtual machine (qcow2,
    /// vmdk, vhdx)
    image: PathBuf,

    /// The cast file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Write over a cast file that is there
    #[arg(long)]
    force: bool,

    /// Sign with the secret key in this file; may be given again
    #[arg(long, value_name = "KEY")]
    sign: Vec<PathBuf>,

    /// Name of the image, without blanks [default: that of its file, up to the first dot]
    #[arg(long)]
    name: Option<String>,

    /// Version of the image
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    image_version: u64,

    /// How chunks are stored: none, lz4, zstd, zstd:LEVEL
    #[arg(long, value_name = "CODEC", default_value = "zstd")]
    compress: Codec,

    /// Size of a chunk: a power of two, 64k to 16M [default: 4M with zstd, which has use for it,
    /// else 1M]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    chunk: Option<usize>,

    /// Size of a sector of the disk: 512 or 4096 [default: what its GPT is for, else that of the
    /// disk that is packed, else 512]
    #[arg(long, value_name = "BYTES")]
    sector_size: Option<u32>,

    /// Leave out what the file systems don't use, as far as partclone knows them
    #[arg(long)]
    used_only: bool,

    /// When it was made, in seconds since 1970 [default: when the image was changed last]
    #[arg(long, value_name = "SECONDS")]
    created: Option<u64>,

    /// From when on no receiver takes it, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    expires: Option<u64>,

    /// Where an image that is compressed or a virtual machine's is unpacked meanwhile, and, with
    /// --used-only, partitions are copied if need be [default: beside the cast file]
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
}

/// A cast file, and who may have signed it.
#[derive(Parser, Debug)]
struct Cast {
    /// The cast file; - for stdin
    file: PathBuf,

    /// Trust the public key in this file, and only such keys; may be given again
    #[arg(long, value_name = "KEY.pub")]
    trust: Vec<PathBuf>,
}

#[derive(Parser, Debug)]
struct Inspect {
    #[command(flatten)]
    cast: Cast,

    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Parser, Debug)]
struct Verify {
    #[command(flatten)]
    cast: Cast,

    /// The disk or file
    disk: Option<PathBuf>,
}

#[derive(Parser, Debug)]
struct Unpack {
    /// The cast file; - for stdin
    file: PathBuf,

    /// The disk or file; a file is made or written over
    target: PathBuf,

    #[command(flatten)]
    options: CastOptions,
}

#[derive(Parser, Debug)]
struct Keygen {
    /// The secret key's file
    #[arg(short, long, value_name = "FILE", default_value = "ironcast.key")]
    secret: PathBuf,

    /// The public key's file
    #[arg(short, long, value_name = "FILE", default_value = "ironcast.pub")]
    public: PathBuf,

    /// Leave the secret key open to who can read its file, instead of asking for a password
    #[arg(short = 'W', long)]
    without_password: bool,
}

impl Command {
    fn run(&self) -> Result<ExitStatus, Error> {
        match self {
            Self::Pack(command) => command.run(),
            Self::Inspect(command) => command.run(),
            Self::Verify(command) => command.run(),
            Self::Unpack(command) => command.run(),
            Self::Keygen(command) => command.run(),
        }
    }
}

impl Pack {
    fn run(&self) -> Result<ExitStatus, Error> {
        let writing = || Error::file("write", &self.output);
        self.demand_new().map_err(writing())?;
        let keys = self.sign.iter().map(|path| SecretKey::read(path, None));
        let keys: Vec<SecretKey> = keys.collect::<Result<_, Error>>()?;
        let folder = match self.output.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let scratch = self.scratch.as_deref().unwrap_or(folder);
        let source = Source::open(&self.image, scratch)?;
        let stem = source.stem();
        let layout = Layout::read(&source, self.sector_size)?;
        let unused = match self.used_only {
            true => unused(&source, &layout, scratch)?,
            false => Unused::default(),
        };
        let settings = Settings {
            name: self.name.as_deref().unwrap_or(&stem),
            version: self.image_version,
            created: self.created.unwrap_or(source.created()),
            expires: self.expires,
            layout: &layout,
            unused: &unused.ranges,
            chunk_size: u32::try_from(self.chunk_size()).unwrap_or(u32::MAX),
            codec: self.compress,
            keys: &keys,
        };
        // Under its own name there is all of it or nothing.
        let mut builder = tempfile::Builder::new();
        // Like any new file, and not only for its owner.
        let builder = builder.permissions(Permissions::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(writing())?;
        let handle = file.reopen().map_err(writing())?;
        let mut progress = Progress::new("packing", source.size());
        let packed = pack(&source, (handle, &self.output), &settings, &mut |done| {
            progress.tell(done);
        })?;
        progress.end();
        file.persist(&self.output)
            .map_err(|error| writing()(error.error))?;
        self.tell(&packed, &unused);
        Ok(ExitStatus::Success)
    }

    fn chunk_size(&self) -> usize {
        let default = match self.compress {
            Codec::Zstd(_) => 4 << 20,
            Codec::Lz4 | Codec::None => 1 << 20,
        };
        self.chunk.unwrap_or(default)
    }

    fn demand_new(&self) -> io::Result<()> {
        if self.output.exists() && !self.force {
            let text = "it is there already; --force writes over it";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(())
    }

    fn tell(&self, packed: &Packed, unused: &Unused) {
        say(&format!(
            "{}: {} bytes of {}; {} of {} chunks are zeroes",
            self.output.display(),
            packed.written,
            packed.size,
            packed.zeroes,
            packed.chunks
        ));
        if self.used_only {
            say(&format!(
                "left out: {} bytes that are not in use; {} of {} chunks are holes",
                unused.ranges.bytes(),
                packed.holes,
                packed.chunks
            ));
        }
    }
}

/// What of an image its file systems don't use. Says of each partition what came of it.
fn unused(source: &Source, layout: &Layout, scratch: &Path) -> Result<Unused, Error> {
    let unused = Unused::find(source, layout, scratch)?;
    for told in &unused.partitions {
        match told.unused {
            Ok(_) => say(&told.to_string()),
            Err(_) => warn(&told.to_string(), &JournalSettings::default()),
        }
    }
    if unused.partitions.is_empty() {
        let text = "the image has neither partitions nor a file system that is known: all of it is \
                    packed";
        warn(text, &JournalSettings::default());
    }
    Ok(unused)
}

impl Cast {
    /// Reads it up to its manifest.
    fn open<'k>(&self, keys: &'k [PublicKey]) -> Result<Input<'k, Box<dyn Read>>, Error> {
        Input::open(open(&self.file)?, &self.file, keys)
    }
}

/// Opens a cast file, or stdin.
fn open(path: &Path) -> Result<Box<dyn Read>, Error> {
    Ok(match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).map_err(Error::file("read", path))?),
    })
}

impl Inspect {
    fn run(&self) -> Result<ExitStatus, Error> {
        let keys = read_public_keys(&self.cast.trust)?;
        let input = self.cast.open(&keys)?;
        let (manifest, signed) = input.manifest()?;
        match self.json {
            true => say(&inspect::json(&manifest, signed).to_string()),
            false => say(inspect::words(&manifest, signed).trim_end()),
        }
        Ok(ExitStatus::Success)
    }
}

impl Verify {
    fn run(&self) -> Result<ExitStatus, Error> {
        let keys = read_public_keys(&self.cast.trust)?;
        let input = self.cast.open(&keys)?;
        let (manifest, signed) = input.manifest()?;
        let words = inspect::signature(signed);
        let mut progress = Progress::new("verifying", manifest.size);
        let verdict = verify(input, self.disk.as_deref(), &mut |done| progress.tell(done))?;
        progress.end();
        let what = self.disk.as_ref().unwrap_or(&self.cast.file).display();
        if verdict.is_good() {
            say(&format!(
                "{what}: all {} chunks are right",
                verdict.compared
            ));
            say(&format!("signed: {words}"));
            return Ok(ExitStatus::Success);
        }
        for chunk in &verdict.wrong {
            say(&format!("{what}: chunk {chunk} is wrong"));
        }
        let (wrong, all) = (verdict.wrong.len(), verdict.compared);
        say(&format!("{what}: {wrong} of {all} chunks are wrong"));
        Ok(ExitStatus::Failed)
    }
}

impl Unpack {
    fn run(&self) -> Result<ExitStatus, Error> {
        let settings = self.options.settings()?;
        let stream = open(&self.file)?;
        let mut progress = None;
        let done = unpack(
            stream,
            &self.file,
            &self.target,
            &settings,
            &mut |done, size| {
                let progress = progress.get_or_insert_with(|| Progress::new("unpacking", size));
                progress.tell(done);
            },
        )?;
        if let Some(progress) = progress {
            progress.end();
        }
        // What is told on stdout must not get into the image.
        let tell = match is_same(Path::new("/dev/stdout"), &self.target) {
            true => say_aside,
            false => say,
        };
        tell(&format!(
            "{}: {} bytes of {}, {}; signed: {}",
            self.target.display(),
            done.size,
            done.name,
            match done.is_verified {
                true => "read back and found equal",
                false => "not read back",
            },
            inspect::signature(done.signed)
        ));
        match done.table {
            TableState::None | TableState::Fits | TableState::Kept(None) => {}
            TableState::Moved => tell("its GPT was made right for the disk"),
            TableState::Kept(Some(odd)) => {
                let text = format!("the image's partition table was left as it was sent: {odd}");
                warn(&text, &JournalSettings::default());
            }
        }
        Ok(ExitStatus::Success)
    }
}

impl Keygen {
    fn run(&self) -> Result<ExitStatus, Error> {
        let password = self.without_password.then(String::new);
        let key = write_key_pair(&self.secret, &self.public, password)?;
        say(&format!(
            "key {}: {} signs, and {} is for who is to trust it",
            key.number,
            self.secret.display(),
            self.public.display()
        ));
        Ok(ExitStatus::Success)
    }
}

/// Prints a line; whoever has closed stdout does not want it.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The same on stderr.
fn say_aside(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
