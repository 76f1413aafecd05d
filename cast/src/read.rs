//! Reads a cast stream from a file, a pipe or stdin, chunk by chunk.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ironcast_proto::cast::{CastError, Manifest, PublicKey, Signed};
use ironcast_receiver_nostd::cast::{Chunk, Reader, Step};

use crate::error::Error;

/// Bytes that are read at a time.
pub(crate) const PIECE: usize = 256 << 10;

/// A cast stream whose manifest has been read and, if keys are trusted, checked.
#[derive(Debug)]
pub struct Input<'k, R> {
    name: PathBuf,
    stream: R,
    reader: Reader<'k>,
    piece: Vec<u8>,
    /// What of `piece` was not taken yet.
    rest: std::ops::Range<usize>,
}

impl<'k, R: Read> Input<'k, R> {
    /// Reads up to the manifest of a stream that is called `name` in messages. If there are
    /// `trusted` keys, one of them has to have signed it.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Cast`].
    pub fn open(stream: R, name: &Path, trusted: &'k [PublicKey]) -> Result<Self, Error> {
        let reader = Reader::new(trusted).map_err(Error::cast(name))?;
        let mut input = Self {
            name: name.to_owned(),
            stream,
            reader,
            piece: vec![0; PIECE],
            rest: 0..0,
        };
        match input.go_on()? {
            Step::Manifest => {}
            _ => input.reader.finish().map_err(Error::cast(name))?,
        }
        Ok(input)
    }

    /// What the image is, and who has signed it.
    ///
    /// # Errors
    /// None but of a stream that is damaged.
    pub fn manifest(&self) -> Result<(Manifest<'_>, Signed), Error> {
        let magic = || Error::cast(&self.name)(CastError::Magic.into());
        self.reader.manifest().ok_or_else(magic)
    }

    /// Reads the table and all chunks, and gives each, proved, to `take`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Cast`], and those of `take`.
    pub fn chunks(
        &mut self,
        take: &mut dyn FnMut(&Chunk<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.reader.accept().map_err(Error::cast(&self.name))?;
        loop {
            match self.go_on()? {
                Step::Chunk => {
                    if let Some(chunk) = self.reader.chunk() {
                        take(&chunk)?;
                    }
                }
                Step::Ended | Step::Manifest | Step::More => {
                    return self.reader.finish().map_err(Error::cast(&self.name));
                }
            }
        }
    }

    /// Goes on until there is something to do; [`Step::More`] if the stream ended before.
    fn go_on(&mut self) -> Result<Step, Error> {
        let mut has_ended = false;
        loop {
            let rest = self.piece.get(self.rest.clone()).unwrap_or_default();
            let taken = self.reader.take(rest).map_err(Error::cast(&self.name))?;
            self.rest.start += taken.consumed;
            match taken.step {
                Step::Manifest | Step::Chunk => return Ok(taken.step),
                step if !taken.has_moved && has_ended => return Ok(step),
                _ if !taken.has_moved => has_ended = self.fill()? == 0,
                _ => {}
            }
        }
    }

    fn fill(&mut self) -> Result<usize, Error> {
        let len = read_piece(&mut self.stream, &mut self.piece);
        let len = len.map_err(Error::file("read", &self.name))?;
        self.rest = 0..len;
        Ok(len)
    }
}

/// Reads as many bytes as there are at once; 0 at the end.
pub(crate) fn read_piece<R: Read>(stream: &mut R, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
