//! Proves that a disk or file has the image that a cast file is of.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use ironcast_proto::cast::{Kind, is_zero};
use ironcast_receiver_nostd::cast::Chunk;

use crate::error::Error;
use crate::read::Input;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Chunks that were compared: all but holes.
    pub compared: u64,
    /// Numbers of those that are not what they should be.
    pub wrong: Vec<u64>,
}

impl Verdict {
    /// Whether everything is as it should be.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Reads all of a cast stream, and so proves every chunk of it; and compares the disk or file at
/// `path`, if one is given. `progress` is told how many bytes of the image are done.
///
/// # Errors
/// [`Error`] if the stream is not right, or something can't be read. That the disk has something
/// else is a [`Verdict`].
pub fn verify<R: Read>(
    mut input: Input<'_, R>,
    path: Option<&Path>,
    progress: &mut dyn FnMut(u64),
) -> Result<Verdict, Error> {
    let open = |path| File::open(path).map_err(Error::file("read", path));
    let disk = path.map(|path| open(path).map(|file| (file, path)));
    let disk = disk.transpose()?;
    let mut verdict = Verdict::default();
    let mut memory = Vec::new();
    input.chunks(&mut |chunk| {
        progress(chunk.start + u64::from(chunk.len));
        if chunk.kind == Kind::Hole {
            return Ok(());
        }
        verdict.compared += 1;
        if let Some((file, path)) = &disk
            && !is_there(file, chunk, &mut memory).map_err(Error::file("read", path))?
        {
            verdict.wrong.push(chunk.number);
        }
        Ok(())
    })?;
    Ok(verdict)
}

/// Whether the file has the chunk's bytes.
fn is_there(file: &File, chunk: &Chunk<'_>, memory: &mut Vec<u8>) -> std::io::Result<bool> {
    memory.resize(chunk.len as usize, 0);
    match file.read_exact_at(memory, chunk.start) {
        // It ends before.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
        result => result?,
    }
    Ok(match chunk.kind {
        Kind::Zero => is_zero(memory),
        _ => memory == chunk.bytes,
    })
}
