//! What a stream has to be before anything of it is written: which image, by whom signed, for which
//! disk.
//!
//! A raw stream says nothing of itself, so it is refused as soon as anything is asked.

use core::fmt;

use ironcast_proto::cast::{Manifest, PublicKey, Word};

/// A day's seconds.
const DAY: u64 = 24 * 3600;

/// What is asked of a stream (docs/cast-format.md, 7). By default nothing but that the image of a
/// cast stream fits on the disk, and has not expired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted<'w> {
    /// Keys of which one has to have signed it, if there are any.
    pub trusted: &'w [PublicKey],
    /// The name that it has to have.
    pub name: Option<&'w str>,
    /// The least version that it may have.
    pub least_version: Option<u64>,
    /// This machine's time in seconds since 1970, if it has a clock.
    pub now: Option<u64>,
    /// The name in FOG's header, which has to come before all else then. A raw image behind it is
    /// not read back.
    pub fog_name: Option<&'w str>,
}

/// Bytes of the header by which FOG's streams say which file they carry: `FOGMC1`, a space, the
/// name filled up with spaces, a line feed.
pub(super) const FOG_HEADER_LEN: u64 = 128;

/// The name in FOG's header, if a stream begins with one.
fn fog_name(start: &[u8]) -> Option<&str> {
    let header = start.get(..FOG_HEADER_LEN as usize)?;
    let name = header.strip_prefix(b"FOGMC1 ")?.strip_suffix(b"\n")?;
    core::str::from_utf8(name)
        .ok()
        .map(|name| name.trim_end_matches(' '))
}

impl Wanted<'_> {
    /// Whether a stream has to say what it is, so that only a cast stream will do.
    #[must_use]
    pub fn is_particular(&self) -> bool {
        !self.trusted.is_empty() || self.name.is_some() || self.least_version.is_some()
    }

    /// Whether the stream that begins with `start` is of the file that is wanted, as FOG says it.
    ///
    /// # Errors
    /// [`Refusal::Fog`].
    pub fn judge_fog(&self, start: &[u8]) -> Result<(), Refusal> {
        match (self.fog_name, fog_name(start)) {
            (None, _) => Ok(()),
            (Some(wanted), Some(found)) if wanted == found => Ok(()),
            (Some(wanted), found) => Err(Refusal::Fog {
                found: found.map(Word::new),
                wanted: Word::new(wanted),
            }),
        }
    }

    /// Whether the image is what is wanted, and for a disk of `capacity` bytes with sectors of
    /// `sector_size`, as far as these are known.
    ///
    /// # Errors
    /// The first [`Refusal`].
    pub fn judge(
        &self,
        manifest: &Manifest<'_>,
        capacity: Option<u64>,
        sector_size: Option<u32>,
    ) -> Result<(), Refusal> {
        if let Some(name) = self.name
            && name != manifest.name
        {
            return Err(Refusal::Name {
                found: Word::new(manifest.name),
                wanted: Word::new(name),
            });
        }
        let found = manifest.version;
        if let Some(least) = self.least_version
            && found < least
        {
            return Err(Refusal::Version { found, least });
        }
        match (manifest.expires, self.now) {
            (Some(_), None) => return Err(Refusal::NoClock),
            // A clock that stopped must not make an old image good again.
            (Some(_), Some(now)) if now + DAY < manifest.created => return Err(Refusal::NoClock),
            (Some(at), Some(now)) if at <= now => {
                let days = (now - at) / DAY;
                return Err(Refusal::Expired { days });
            }
            _ => {}
        }
        let least = manifest.least_disk;
        match (capacity, sector_size) {
            (_, Some(disk)) if disk != manifest.sector_size => Err(Refusal::SectorSize {
                image: manifest.sector_size,
                disk,
            }),
            (Some(capacity), _) if capacity < least => Err(Refusal::TooSmall { least, capacity }),
            _ => Ok(()),
        }
    }
}

/// Why a stream is not what is wanted. Nothing of it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no cast stream, and so does not say what it is.
    Anonymous {
        /// Whether it would have to be signed.
        signed: bool,
    },
    /// It is not the file that is wanted, by FOG's header.
    Fog {
        /// The file that it is; `None` if there is no header.
        found: Option<Word>,
        /// The file that is wanted.
        wanted: Word,
    },
    /// It is a cast stream, and this program can't read any, since it has no heap.
    NotBuiltIn,
    /// It is a cast stream that was compressed as a whole, and is not to be decompressed only.
    Wrapped,
    /// It is an image of another name.
    Name {
        /// The name that it has, cut if it is long.
        found: Word,
        /// The name that is wanted, likewise.
        wanted: Word,
    },
    /// It is an older version.
    Version {
        /// The version that it has.
        found: u64,
        /// The least that is wanted.
        least: u64,
    },
    /// It has expired.
    Expired {
        /// Whole days since then.
        days: u64,
    },
    /// It expires one day, and this machine does not know which day it is.
    NoClock,
    /// The disk is too small for it.
    TooSmall {
        /// Bytes of the smallest disk that it fits on.
        least: u64,
        /// Bytes that this one holds.
        capacity: u64,
    },
    /// It is for a disk with sectors of another size.
    SectorSize {
        /// Bytes of a sector that it was made for.
        image: u32,
        /// Bytes of a sector of the disk.
        disk: u32,
    },
}

impl Refusal {
    /// What to do next.
    #[must_use]
    pub fn next(&self) -> &'static str {
        match self {
            Self::Anonymous { .. } => {
                "send an image that \"ironcast-sender pack\" has made, with --sign where keys are \
                 trusted"
            }
            Self::Fog { .. } => {
                "look at the order of the streams, and whether this receiver came too late"
            }
            Self::NotBuiltIn => "take a receiver that was built with a heap, or send a raw image",
            Self::Wrapped => "send the cast file as it is",
            Self::Name { .. } | Self::Version { .. } => {
                "look at what the sender was given, or ask for another image or version"
            }
            Self::Expired { .. } => {
                "send a newer image; if this one is new, set this machine's clock"
            }
            Self::NoClock => "set this machine's clock, or send an image that does not expire",
            Self::TooSmall { .. } => "use a larger disk or a smaller image",
            Self::SectorSize { .. } => {
                "use an image that was made of such a disk, or another disk, or set the disk to \
                 the image's sectors if it can have both"
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous { signed: true } => f.write_str(
                "the stream is no cast stream, and here only images that a trusted key has signed \
                 are taken",
            ),
            Self::Anonymous { signed: false } => f.write_str(
                "the stream is no cast stream, and does not say which image it is, as is asked \
                 here",
            ),
            Self::Fog {
                found: Some(found),
                wanted,
            } => write!(
                f,
                "the stream is the file \"{found}\" by FOG's header, and \"{wanted}\" is wanted"
            ),
            Self::Fog {
                found: None,
                wanted,
            } => write!(
                f,
                "the stream has no header of FOG's, and \"{wanted}\" is wanted"
            ),
            Self::NotBuiltIn => {
                f.write_str("the stream is a cast stream, and this receiver can't read any")
            }
            Self::Wrapped => {
                f.write_str("the stream is a cast stream that was compressed as a whole")
            }
            Self::Name { found, wanted } => {
                write!(f, "the image is \"{found}\", and \"{wanted}\" is wanted")
            }
            Self::Version { found, least } => write!(
                f,
                "the image is of version {found}, and {least} or later is wanted"
            ),
            Self::Expired { days } => write!(
                f,
                "the image has expired, {days} days ago by this machine's clock"
            ),
            Self::NoClock => f.write_str(
                "the image expires one day, and this machine's clock does not tell the day",
            ),
            Self::TooSmall { least, capacity } => write!(
                f,
                "the image is for a disk of at least {least} bytes, and this one has {capacity}"
            ),
            Self::SectorSize { image, disk } => write!(
                f,
                "the image is for sectors of {image} bytes, and this disk's have {disk}"
            ),
        }
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use ironcast_proto::cast::Features;

    use super::*;

    const MANIFEST: Manifest<'_> = Manifest {
        features: Features {
            lz4: false,
            zstd: false,
            holes: false,
        },
        name: "lab",
        uuid: [7; 16],
        version: 3,
        created: 1000,
        expires: None,
        size: 1 << 20,
        sector_size: 512,
        chunk_size: 1 << 20,
        least_disk: 1 << 19,
        partitions: None,
        root: [0; 32],
        stored: 0,
    };

    #[test]
    fn an_image_has_to_be_the_one_that_is_asked_for() {
        let judge = |wanted: Wanted<'_>| wanted.judge(&MANIFEST, Some(1 << 20), Some(512));
        assert_eq!(judge(Wanted::default()), Ok(()));
        let name = |name| Wanted {
            name: Some(name),
            ..Wanted::default()
        };
        assert_eq!(judge(name("lab")), Ok(()));
        assert!(matches!(judge(name("la")), Err(Refusal::Name { .. })));
        let version = |least| Wanted {
            least_version: Some(least),
            ..Wanted::default()
        };
        assert_eq!(judge(version(3)), Ok(()));
        let old = Refusal::Version { found: 3, least: 4 };
        assert_eq!(judge(version(4)), Err(old));
        assert!(name("x").is_particular() && version(0).is_particular());
        assert!(!Wanted::default().is_particular());
    }

    #[test]
    fn a_stream_of_fogs_has_to_be_the_file_that_is_asked_for() {
        let wanted = Wanted {
            fog_name: Some("d1p2.img"),
            ..Wanted::default()
        };
        let header = |name: &str| {
            let mut header = [b' '; 128];
            header[..7].copy_from_slice(b"FOGMC1 ");
            header[7..7 + name.len()].copy_from_slice(name.as_bytes());
            header[127] = b'\n';
            header
        };
        assert_eq!(wanted.judge_fog(&header("d1p2.img")), Ok(()));
        for name in ["d1p1.img", "d1p2.im", "d1p2.imgs", ""] {
            let refusal = wanted.judge_fog(&header(name)).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Fog { found: Some(_), .. }),
                "{name}"
            );
        }
        for start in [&header("d1p2.img")[..127], &[7; 200]] {
            let refusal = wanted.judge_fog(start).unwrap_err();
            assert!(matches!(refusal, Refusal::Fog { found: None, .. }));
        }
        assert_eq!(Wanted::default().judge_fog(&[]), Ok(()));
    }

    #[test]
    fn an_image_has_to_fit() {
        let judge = |capacity, sector| Wanted::default().judge(&MANIFEST, capacity, sector);
        assert_eq!(judge(None, None), Ok(()));
        assert_eq!(judge(Some(1 << 19), Some(512)), Ok(()));
        let (least, capacity) = (1 << 19, (1 << 19) - 512);
        let small = Refusal::TooSmall { least, capacity };
        assert_eq!(judge(Some(capacity), Some(512)), Err(small));
        let (image, disk) = (512, 4096);
        let sectors = Refusal::SectorSize { image, disk };
        assert_eq!(judge(Some(capacity), Some(4096)), Err(sectors));
    }

    #[test]
    fn an_image_that_expires_is_taken_before_that_day_only() {
        let manifest = Manifest {
            created: 5 * DAY,
            expires: Some(10 * DAY),
            ..MANIFEST
        };
        let judge = |now| {
            let wanted = Wanted {
                now,
                ..Wanted::default()
            };
            wanted.judge(&manifest, None, None)
        };
        assert_eq!(judge(Some(10 * DAY - 1)), Ok(()));
        assert_eq!(judge(Some(10 * DAY)), Err(Refusal::Expired { days: 0 }));
        assert_eq!(judge(Some(13 * DAY)), Err(Refusal::Expired { days: 3 }));
        assert_eq!(judge(None), Err(Refusal::NoClock));
        assert_eq!(judge(Some(4 * DAY)), Ok(()));
        assert_eq!(judge(Some(4 * DAY - 1)), Err(Refusal::NoClock));
    }
}
