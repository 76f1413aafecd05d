//! LZ4 frames of whole chunks.
//!
//! A chunk is there at once and so is the place for its frame, so that blocks are compressed from
//! one to the other. A writer of streams would copy both.

use std::io;

use lz4_flex::block::{compress_into, get_maximum_output_size};
use twox_hash::XxHash32;

/// What a frame begins with.
const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// Version 1, blocks that need no others, and a size.
const FLAGS: u8 = 0b0110_1000;

/// The largest blocks of which a reader in firmware has room for one beside the chunk.
const BLOCK: usize = 1 << 20;

/// How a frame says so.
const BLOCK_SIZE: u8 = 6 << 4;

/// Says of a block's length that it is stored as it is.
const IS_PLAIN: u32 = 1 << 31;

/// Bytes before the first block, before each, and after the last.
const HEADER: usize = 15;
const LENGTH: usize = 4;

/// Bytes that a buffer needs for the frame of `len` bytes, while it is made.
pub(crate) fn room(len: usize) -> usize {
    let lengths = (len.div_ceil(BLOCK) + 1) * LENGTH;
    HEADER + lengths + len + get_maximum_output_size(len.min(BLOCK))
}

/// Makes a frame of `bytes` in `buffer`, which has [enough room](room); how long it is.
pub(crate) fn frame(bytes: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
    let mut end = 0;
    let put = |buffer: &mut [u8], end: &mut usize, bytes: &[u8]| {
        let place = buffer.get_mut(*end..*end + bytes.len());
        place.ok_or_else(no_room)?.copy_from_slice(bytes);
        *end += bytes.len();
        io::Result::Ok(())
    };
    let mut about = [FLAGS, BLOCK_SIZE, 0, 0, 0, 0, 0, 0, 0, 0];
    about[2..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
    // The second byte of the hash.
    let [_, check, ..] = XxHash32::oneshot(0, &about).to_le_bytes();
    put(buffer, &mut end, &MAGIC)?;
    put(buffer, &mut end, &about)?;
    put(buffer, &mut end, &[check])?;
    for block in bytes.chunks(BLOCK) {
        let place = buffer.get_mut(end + LENGTH..).ok_or_else(no_room)?;
        let len = compress_into(block, place).map_err(io::Error::other)?;
        // A block has 1 MiB at most.
        if len < block.len() {
            put(buffer, &mut end, &(len as u32).to_le_bytes())?;
            end += len;
        } else {
            put(
                buffer,
                &mut end,
                &(block.len() as u32 | IS_PLAIN).to_le_bytes(),
            )?;
            put(buffer, &mut end, block)?;
        }
    }
    put(buffer, &mut end, &[0; LENGTH])?;
    Ok(end)
}

fn no_room() -> io::Error {
    io::Error::other("there is no room for an LZ4 frame")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    /// What the reference's own program makes of a frame.
    fn decoded(frame: &[u8]) -> Vec<u8> {
        let mut command = Command::new("lz4");
        command
            .args(["-d", "-c"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let frame = frame.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&frame).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    #[test]
    fn frames_are_those_of_the_reference() {
        let text = b"sectors of an image ".repeat(130_000);
        let noise: Vec<u8> = (0..80_000_u32)
            .flat_map(|number| *blake3::hash(&number.to_le_bytes()).as_bytes())
            .collect();
        for (bytes, is_shorter) in [
            (text.clone(), true),
            (noise.clone(), false),
            (
                [&text[..BLOCK], &noise[..BLOCK], &text[..77]].concat(),
                true,
            ),
            (vec![1], false),
        ] {
            let mut buffer = vec![0xaa; room(bytes.len())];
            let len = frame(&bytes, &mut buffer).unwrap();
            assert!(decoded(&buffer[..len]) == bytes);
            assert_eq!(len < bytes.len(), is_shorter);
        }
        assert!(frame(&noise, &mut vec![0; noise.len()]).is_err());
    }
}
