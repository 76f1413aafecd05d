//! Packs an image: chunks are made by all processors, and written in order.
//!
//! The table comes before the chunks and is known after them. Its length is known before, so that
//! its place is left free.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ironcast_proto::cast::{
    Chunks, Features, HEAD_LEN, Head, Kind, MAX_MANIFEST_LEN, Manifest, SIGNATURE_LEN, TableMaker,
};

use crate::codec::Codec;
use crate::error::Error;
use crate::keys::SecretKey;
use crate::layout::Layout;
use crate::source::Source;
use crate::used::Ranges;
use crate::work::{Stored, Work};

/// How an image is to be packed.
#[derive(Debug)]
pub struct Settings<'s> {
    /// Its name.
    pub name: &'s str,
    /// Its version, which its maker counts.
    pub version: u64,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// When it expires, likewise; `None` for never.
    pub expires: Option<u64>,
    /// What is on the image.
    pub layout: &'s Layout,
    /// What of it nobody needs, which is left out.
    pub unused: &'s Ranges,
    /// Bytes of a chunk: a power of two, 64 KiB to 16 MiB.
    pub chunk_size: u32,
    /// How chunks are stored.
    pub codec: Codec,
    /// Who signs it.
    pub keys: &'s [SecretKey],
}

/// What an image was packed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Bytes of the image.
    pub size: u64,
    /// Bytes of the cast file.
    pub written: u64,
    /// Chunks of the image.
    pub chunks: u64,
    /// Those of them that are all zeroes.
    pub zeroes: u64,
    /// Those of them that are left out, since the image has no use for them.
    pub holes: u64,
    /// BLAKE3 of the table: what the image is known by.
    pub root: [u8; 32],
}

/// Packs `source` to `output`, a new file that is called `name` in messages. `progress` is told how
/// many bytes of the image are done.
///
/// The same image and settings come to the same bytes.
///
/// # Errors
/// [`Error`].
pub fn pack(
    source: &Source,
    (output, name): (File, &Path),
    settings: &Settings<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<Packed, Error> {
    let writing = || Error::file("write", name);
    let about = About::of(source, settings)?;
    let blank = TableMaker::default();
    let head_len = front(&about, settings, &blank)?.len() as u64;
    let manifest = manifest(&about, settings, &blank);
    let (chunks, table_len) = (manifest.chunks(), manifest.table_len());
    let mut place = head_len + table_len;
    let mut maker = TableMaker::default();
    let mut table = Vec::with_capacity(usize::try_from(table_len).unwrap_or_default());
    let (mut zeroes, mut holes) = (0, 0);
    let mut take = |chunk: &Stored| {
        table.extend(maker.push(&chunk.entry));
        zeroes += u64::from(chunk.entry.kind == Kind::Zero);
        holes += u64::from(chunk.entry.kind == Kind::Hole);
        progress(chunk.end);
        let bytes = chunk.bytes();
        output.write_all_at(bytes, place).map_err(writing())?;
        place += bytes.len() as u64;
        Ok(())
    };
    let work = Work::new(source, settings.unused, chunks, settings.codec);
    work.in_order(&mut take)?;
    let front = front(&about, settings, &maker)?;
    output.write_all_at(&front, 0).map_err(writing())?;
    output.write_all_at(&table, head_len).map_err(writing())?;
    output.sync_all().map_err(writing())?;
    Ok(Packed {
        size: source.size(),
        written: head_len + table_len + maker.stored(),
        chunks: chunks.count(),
        zeroes,
        holes,
        root: maker.root(),
    })
}

/// What the image is, which its manifest says beside what the settings do.
pub(crate) struct About {
    size: u64,
    least_disk: u64,
    partitions: Option<String>,
    has_holes: bool,
}

impl About {
    pub(crate) fn of(source: &Source, settings: &Settings<'_>) -> Result<Self, Error> {
        let (size, layout) = (source.size(), settings.layout);
        if size == 0 || !size.is_multiple_of(layout.sector_size().max(1).into()) {
            let path = source.path().to_owned();
            return Err(Error::Size { path, size });
        }
        Ok(Self {
            size,
            least_disk: layout.least_disk(source)?,
            partitions: layout.words(),
            has_holes: has_holes(settings, size),
        })
    }
}

impl About {
    /// How the image is cut into chunks.
    pub(crate) fn chunks(&self, settings: &Settings<'_>) -> Chunks {
        manifest(self, settings, &TableMaker::default()).chunks()
    }
}

/// Whether some chunk will be a hole, which the manifest has to name before there is a table.
fn has_holes(settings: &Settings<'_>, size: u64) -> bool {
    let chunk = u64::from(settings.chunk_size).max(1);
    let has_chunk = |range: &Range<u64>| {
        let start = range.start.next_multiple_of(chunk);
        start < range.end && (start + chunk).min(size) <= range.end
    };
    settings.unused.iter().any(has_chunk)
}

/// The manifest of an image whose table came to this.
fn manifest<'s>(about: &'s About, settings: &Settings<'s>, table: &TableMaker) -> Manifest<'s> {
    let mut uuid = [0; 16];
    let name = blake3::Hasher::new()
        .update(&table.root())
        .update(&settings.version.to_le_bytes())
        .update(settings.name.as_bytes())
        .finalize();
    uuid.copy_from_slice(&name.as_bytes()[..16]);
    // Of what is inside, by a way of our own (RFC 9562, version 8).
    uuid[6] = 0x80 | uuid[6] & 0x0f;
    uuid[8] = 0x80 | uuid[8] & 0x3f;
    Manifest {
        features: Features {
            holes: about.has_holes,
            ..settings.codec.features()
        },
        name: settings.name,
        uuid,
        version: settings.version,
        created: settings.created,
        expires: settings.expires,
        size: about.size,
        sector_size: settings.layout.sector_size(),
        chunk_size: settings.chunk_size,
        least_disk: about.least_disk,
        partitions: about.partitions.as_deref(),
        root: table.root(),
        stored: table.stored(),
    }
}

/// Everything before the table.
pub(crate) fn front(
    about: &About,
    settings: &Settings<'_>,
    table: &TableMaker,
) -> Result<Vec<u8>, Error> {
    let manifest = manifest(about, settings, table);
    let mut buffer = vec![0; MAX_MANIFEST_LEN];
    let len = manifest.encode(&mut buffer)?;
    // No more than the buffer's.
    let manifest_len = len as u32;
    let mut front = Vec::with_capacity(HEAD_LEN + len + settings.keys.len() * SIGNATURE_LEN);
    front.extend(Head { manifest_len }.encode());
    front.extend_from_slice(&buffer[..len]);
    let signed = front.len();
    let count = u16::try_from(settings.keys.len()).unwrap_or(u16::MAX);
    front.extend(count.to_le_bytes());
    for key in settings.keys.iter().take(count.into()) {
        let signature = key.sign(&front[..signed]);
        front.extend(signature.encode());
    }
    Ok(front)
}
