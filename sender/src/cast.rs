//! What the command line says of images that are sent as cast streams without having been packed.

use std::path::{Path, PathBuf};

use ironcast_cast::{Codec, Error, Layout, Live, Progress, Ranges, SecretKey, Settings, Source};

/// Bytes of a chunk.
const CHUNK_SIZE: u32 = 1 << 20;

/// Options about cast streams.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Cast streams")]
pub struct CastOptions {
    /// Send the image as a cast stream, which says what it is and leaves zeroes out. It is read
    /// once before for its hashes, which are kept in FILE.hashes beside it, if that may be
    #[arg(long, requires = "file", conflicts_with = "pipe")]
    pub cast: bool,

    /// Name of the image in the cast stream [default: that of its file, up to the first dot]
    #[arg(long, value_name = "NAME", requires = "cast")]
    image_name: Option<String>,

    /// Version of the image in the cast stream
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    image_version: u64,

    /// Sign the cast stream with the secret key in this file; may be given again
    #[arg(long, value_name = "KEY", requires = "cast")]
    sign: Vec<PathBuf>,
}

impl CastOptions {
    /// The cast stream of the image at `path`.
    ///
    /// # Errors
    /// [`Error`] if it can't be read, or a key can't.
    pub fn stream(&self, path: &Path) -> Result<Live, Error> {
        let keys = self.sign.iter().map(|path| SecretKey::read(path, None));
        let keys: Vec<SecretKey> = keys.collect::<Result<_, Error>>()?;
        let scratch = std::env::temp_dir();
        let source = Source::open(path, &scratch)?;
        let layout = Layout::read(&source, None)?;
        let stem = source.stem();
        let settings = Settings {
            name: self.image_name.as_deref().unwrap_or(&stem),
            version: self.image_version,
            created: source.created(),
            expires: None,
            layout: &layout,
            unused: &Ranges::default(),
            chunk_size: CHUNK_SIZE,
            codec: Codec::None,
            keys: &keys,
        };
        let mut progress = Progress::new("hashing", source.size());
        let live = Live::new(&source, &settings, &mut |done| progress.tell(done))?;
        progress.end();
        Ok(live)
    }
}
