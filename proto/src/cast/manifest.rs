//! The manifest: what an image is, how large, and what its chunks come to.
//!
//! A map of CBOR, so that later versions can say more and older readers skip it, read in place.

use minicbor::data::Type;
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder, decode, encode};

use super::error::{ManifestError, Word};
use super::table::ENTRY_LEN;

/// The most bytes of a name.
pub const MAX_NAME_LEN: usize = 128;

/// The most bytes of the partition table in words.
pub const MAX_PARTITIONS_LEN: usize = 4096;

/// The most bytes of an image: 64 PiB, so that no sum of sizes gets out of hand.
pub const MAX_IMAGE_SIZE: u64 = 1 << 56;

/// The least bytes of a chunk.
pub const MIN_CHUNK_SIZE: u32 = 64 << 10;

/// The most bytes of a chunk.
pub const MAX_CHUNK_SIZE: u32 = 16 << 20;

/// The most features that a manifest may name.
const MAX_FEATURES: u64 = 16;

/// How deep values that are not known may have others in them (docs/cast-format.md, 3.3).
const MAX_DEPTH: u32 = 8;

/// The keys of the map (docs/cast-format.md, 3).
mod key {
    pub(super) const FEATURES: u64 = 0;
    pub(super) const NAME: u64 = 1;
    pub(super) const UUID: u64 = 2;
    pub(super) const VERSION: u64 = 3;
    pub(super) const CREATED: u64 = 4;
    pub(super) const EXPIRES: u64 = 5;
    pub(super) const SIZE: u64 = 6;
    pub(super) const SECTOR_SIZE: u64 = 7;
    pub(super) const CHUNK_SIZE: u64 = 8;
    pub(super) const LEAST_DISK: u64 = 9;
    pub(super) const PARTITIONS: u64 = 10;
    pub(super) const ROOT: u64 = 11;
    pub(super) const STORED: u64 = 12;
}

/// What a reader has to know (docs/cast-format.md, 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Some chunk is stored as an LZ4 frame.
    pub lz4: bool,
    /// Some chunk is stored as a Zstandard frame.
    pub zstd: bool,
    /// Some chunk is a hole.
    pub holes: bool,
}

impl Features {
    /// Their names, in the order in which they are written.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        let all = [
            (self.holes, "holes"),
            (self.lz4, "lz4"),
            (self.zstd, "zstd"),
        ];
        all.into_iter()
            .filter_map(|(is_there, name)| is_there.then_some(name))
    }

    fn add(&mut self, name: &str) -> Result<(), ManifestError> {
        let place = match name {
            "holes" => &mut self.holes,
            "lz4" => &mut self.lz4,
            "zstd" => &mut self.zstd,
            _ => return Err(ManifestError::Feature(Word::new(name))),
        };
        *place = true;
        Ok(())
    }
}

/// What an image is (docs/cast-format.md, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest<'m> {
    /// What a reader has to know.
    pub features: Features,
    /// Name of the image: 1 to [`MAX_NAME_LEN`] bytes without control characters and white space.
    pub name: &'m str,
    /// UUID of these bytes under this name, as RFC 9562 writes it.
    pub uuid: [u8; 16],
    /// Version of the image, which its maker counts.
    pub version: u64,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it expires, in seconds since 1970; `None` for never.
    pub expires: Option<u64>,
    /// Bytes of the image: 1 to [`MAX_IMAGE_SIZE`], a multiple of the sector size.
    pub size: u64,
    /// Bytes of a sector of the disk that it was made of: 512 or 4096.
    pub sector_size: u32,
    /// Bytes of a chunk: a power of two, [`MIN_CHUNK_SIZE`] to [`MAX_CHUNK_SIZE`].
    pub chunk_size: u32,
    /// Bytes of the smallest disk that it fits on.
    pub least_disk: u64,
    /// The partition table in words, for people.
    pub partitions: Option<&'m str>,
    /// BLAKE3 of the table.
    pub root: [u8; 32],
    /// Bytes of all stored chunks together.
    pub stored: u64,
}

impl<'m> Manifest<'m> {
    /// Reads it from exactly `bytes`.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn decode(bytes: &'m [u8]) -> Result<Self, ManifestError> {
        let mut decoder = Decoder::new(bytes);
        let map = decoder.map();
        let Some(count) = at(&decoder, map)? else {
            return Err(ManifestError::Malformed(0));
        };
        let mut fields = Fields::default();
        let mut last = None;
        for _ in 0..count {
            let key = decoder.u64();
            let key = at(&decoder, key)?;
            if last.is_some_and(|last| key <= last) {
                return Err(ManifestError::Order(key));
            }
            last = Some(key);
            fields.take(key, &mut decoder)?;
        }
        if decoder.position() != bytes.len() {
            return Err(ManifestError::Trailing);
        }
        let manifest = fields.all()?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Writes it to the start of `buffer`; how many bytes it takes.
    ///
    /// # Errors
    /// [`ManifestError::Range`] for a value that no reader would take, [`ManifestError::TooLong`].
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, ManifestError> {
        self.check()?;
        let mut encoder = Encoder::new(Cursor::new(buffer));
        self.write(&mut encoder)
            .map_err(|_| ManifestError::TooLong)?;
        Ok(encoder.into_writer().position())
    }

    fn write<W: encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
    ) -> Result<(), encode::Error<W::Error>> {
        let optional = u64::from(self.expires.is_some()) + u64::from(self.partitions.is_some());
        encoder.map(11 + optional)?;
        let names = self.features.names();
        encoder
            .u64(key::FEATURES)?
            .array(names.clone().count() as u64)?;
        for name in names {
            encoder.str(name)?;
        }
        encoder.u64(key::NAME)?.str(self.name)?;
        encoder.u64(key::UUID)?.bytes(&self.uuid)?;
        encoder.u64(key::VERSION)?.u64(self.version)?;
        encoder.u64(key::CREATED)?.u64(self.created)?;
        if let Some(expires) = self.expires {
            encoder.u64(key::EXPIRES)?.u64(expires)?;
        }
        encoder.u64(key::SIZE)?.u64(self.size)?;
        encoder.u64(key::SECTOR_SIZE)?.u32(self.sector_size)?;
        encoder.u64(key::CHUNK_SIZE)?.u32(self.chunk_size)?;
        encoder.u64(key::LEAST_DISK)?.u64(self.least_disk)?;
        if let Some(partitions) = self.partitions {
            encoder.u64(key::PARTITIONS)?.str(partitions)?;
        }
        encoder.u64(key::ROOT)?.bytes(&self.root)?;
        encoder.u64(key::STORED)?;
        // As long as any, so that the manifest's length does not depend on what chunks come to.
        let [b0, b1, b2, b3, b4, b5, b6, b7] = self.stored.to_be_bytes();
        let wide = [0x1B, b0, b1, b2, b3, b4, b5, b6, b7];
        let written = encoder.writer_mut().write_all(&wide);
        written.map_err(encode::Error::write)
    }

    /// Whether every value is in its range.
    fn check(&self) -> Result<(), ManifestError> {
        let is_name = (1..=MAX_NAME_LEN).contains(&self.name.len())
            && !self
                .name
                .chars()
                .any(|one| one.is_control() || one.is_whitespace());
        let sector = u64::from(self.sector_size);
        let is_sector = matches!(self.sector_size, 512 | 4096);
        let is_size = (1..=MAX_IMAGE_SIZE).contains(&self.size)
            && is_sector
            && self.size.is_multiple_of(sector);
        let is_chunk = self.chunk_size.is_power_of_two()
            && (MIN_CHUNK_SIZE..=MAX_CHUNK_SIZE).contains(&self.chunk_size);
        let partitions = self.partitions.map_or(0, str::len);
        let checks = [
            (is_name, key::NAME),
            (is_sector, key::SECTOR_SIZE),
            (is_size, key::SIZE),
            (is_chunk, key::CHUNK_SIZE),
            (
                (sector..=self.size).contains(&self.least_disk),
                key::LEAST_DISK,
            ),
            (partitions <= MAX_PARTITIONS_LEN, key::PARTITIONS),
            (self.stored <= self.size, key::STORED),
        ];
        match checks.into_iter().find(|(is_good, _)| !is_good) {
            Some((_, key)) => Err(ManifestError::Range(key)),
            None => Ok(()),
        }
    }

    /// Bytes of the table.
    #[must_use]
    pub fn table_len(&self) -> u64 {
        self.chunks().count() * ENTRY_LEN as u64
    }

    /// How the image is cut into chunks.
    #[must_use]
    pub fn chunks(&self) -> Chunks {
        Chunks {
            image: self.size,
            size: self.chunk_size,
        }
    }
}

/// How an image is cut into chunks, which count from 0. The last one ends where the image does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    image: u64,
    size: u32,
}

impl Chunks {
    /// How many there are; at least one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.image.div_ceil(u64::from(self.size))
    }

    /// Bytes of all but perhaps the last.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Where a chunk begins in the image.
    #[must_use]
    pub fn start(&self, chunk: u64) -> u64 {
        chunk.saturating_mul(self.size.into())
    }

    /// Bytes of a chunk; 0 if there is none of this number.
    #[must_use]
    pub fn len(&self, chunk: u64) -> u32 {
        let left = self.image.saturating_sub(self.start(chunk));
        // No more than a chunk.
        left.min(self.size.into()) as u32
    }
}

/// The fields as far as they have been read.
#[derive(Default)]
struct Fields<'m> {
    features: Option<Features>,
    name: Option<&'m str>,
    uuid: Option<[u8; 16]>,
    version: Option<u64>,
    created: Option<u64>,
    expires: Option<u64>,
    size: Option<u64>,
    sector_size: Option<u32>,
    chunk_size: Option<u32>,
    least_disk: Option<u64>,
    partitions: Option<&'m str>,
    root: Option<[u8; 32]>,
    stored: Option<u64>,
}

impl<'m> Fields<'m> {
    /// Reads the value of `key`, or skips it.
    fn take(&mut self, key: u64, decoder: &mut Decoder<'m>) -> Result<(), ManifestError> {
        match key {
            key::FEATURES => self.features = Some(features(decoder)?),
            key::NAME => self.name = Some(text(decoder)?),
            key::UUID => self.uuid = Some(bytes(key, decoder)?),
            key::VERSION => self.version = Some(integer(decoder)?),
            key::CREATED => self.created = Some(integer(decoder)?),
            key::EXPIRES => self.expires = Some(integer(decoder)?),
            key::SIZE => self.size = Some(integer(decoder)?),
            key::SECTOR_SIZE => self.sector_size = Some(small(key, decoder)?),
            key::CHUNK_SIZE => self.chunk_size = Some(small(key, decoder)?),
            key::LEAST_DISK => self.least_disk = Some(integer(decoder)?),
            key::PARTITIONS => self.partitions = Some(text(decoder)?),
            key::ROOT => self.root = Some(bytes(key, decoder)?),
            key::STORED => self.stored = Some(integer(decoder)?),
            _ => {
                skip(decoder, MAX_DEPTH)?;
            }
        }
        Ok(())
    }

    fn all(self) -> Result<Manifest<'m>, ManifestError> {
        let missing = ManifestError::Missing;
        Ok(Manifest {
            features: self.features.ok_or(missing(key::FEATURES))?,
            name: self.name.ok_or(missing(key::NAME))?,
            uuid: self.uuid.ok_or(missing(key::UUID))?,
            version: self.version.ok_or(missing(key::VERSION))?,
            created: self.created.ok_or(missing(key::CREATED))?,
            expires: self.expires,
            size: self.size.ok_or(missing(key::SIZE))?,
            sector_size: self.sector_size.ok_or(missing(key::SECTOR_SIZE))?,
            chunk_size: self.chunk_size.ok_or(missing(key::CHUNK_SIZE))?,
            least_disk: self.least_disk.ok_or(missing(key::LEAST_DISK))?,
            partitions: self.partitions,
            root: self.root.ok_or(missing(key::ROOT))?,
            stored: self.stored.ok_or(missing(key::STORED))?,
        })
    }
}

/// What was read, or where it can't be.
fn at<T>(decoder: &Decoder<'_>, read: Result<T, decode::Error>) -> Result<T, ManifestError> {
    read.map_err(|error| {
        ManifestError::Malformed(error.position().unwrap_or_else(|| decoder.position()))
    })
}

/// Passes over a value, which may have others in it `depth` deep.
fn skip(decoder: &mut Decoder<'_>, depth: u32) -> Result<(), ManifestError> {
    let kind = decoder.datatype();
    let kind = at(decoder, kind)?;
    let malformed = ManifestError::Malformed(decoder.position());
    let inside = match kind {
        Type::Array => {
            let len = decoder.array();
            at(decoder, len)?.ok_or(malformed)?
        }
        Type::Map => {
            let len = decoder.map();
            at(decoder, len)?.ok_or(malformed)?.saturating_mul(2)
        }
        Type::Tag => {
            let tag = decoder.tag();
            at(decoder, tag).map(|_| 1)?
        }
        Type::ArrayIndef
        | Type::MapIndef
        | Type::BytesIndef
        | Type::StringIndef
        | Type::Break
        | Type::Unknown(_) => return Err(malformed),
        _ => {
            let skipped = decoder.skip();
            return at(decoder, skipped);
        }
    };
    let depth = depth.checked_sub(1).ok_or(malformed)?;
    // Each takes a byte at least, so that there are never more than the manifest has bytes.
    (0..inside).try_for_each(|_| skip(decoder, depth))
}

fn integer(decoder: &mut Decoder<'_>) -> Result<u64, ManifestError> {
    let value = decoder.u64();
    at(decoder, value)
}

fn small(key: u64, decoder: &mut Decoder<'_>) -> Result<u32, ManifestError> {
    u32::try_from(integer(decoder)?).map_err(|_| ManifestError::Range(key))
}

fn text<'m>(decoder: &mut Decoder<'m>) -> Result<&'m str, ManifestError> {
    let value = decoder.str();
    at(decoder, value)
}

fn bytes<const N: usize>(key: u64, decoder: &mut Decoder<'_>) -> Result<[u8; N], ManifestError> {
    let value = decoder.bytes();
    let value = at(decoder, value)?;
    value.try_into().map_err(|_| ManifestError::Range(key))
}

fn features(decoder: &mut Decoder<'_>) -> Result<Features, ManifestError> {
    let count = decoder.array();
    let count = at(decoder, count)?;
    let Some(count) = count else {
        return Err(ManifestError::Malformed(decoder.position()));
    };
    if count > MAX_FEATURES {
        return Err(ManifestError::ManyFeatures);
    }
    let mut features = Features::default();
    for _ in 0..count {
        features.add(text(decoder)?)?;
    }
    Ok(features)
}
