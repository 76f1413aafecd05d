//! Reading and writing the fixed fields that every message is made of.
//!
//! Kept apart so that a codec is a table of offsets and a list of fields, and so that the two rules
//! that hold for all of them stand once: big-endian, and zero where an old peer's message ends
//! early.

use core::net::Ipv4Addr;
use core::ops::Range;

use super::{BufferTooShort, Error, Opcode};

/// Where in a message a field lies: byte offsets, end excluded.
pub(super) type Field = Range<usize>;

/// Where every message has its opcode.
pub(super) const OPCODE: Field = 0..2;

/// The field of `len` bytes that comes next after `previous`.
pub(super) const fn after(previous: &Field, len: usize) -> Field {
    previous.end..previous.end + len
}

/// The bytes of a field; zero for those behind the end of `datagram`.
pub(super) fn bytes<const N: usize>(datagram: &[u8], field: Field) -> [u8; N] {
    let mut value = [0; N];
    let there = datagram.get(field.start..).unwrap_or_default();
    for (to, from) in value.iter_mut().zip(there) {
        *to = *from;
    }
    value
}

/// A 16-bit field.
pub(super) fn u16(datagram: &[u8], field: Field) -> u16 {
    u16::from_be_bytes(bytes(datagram, field))
}

/// A 32-bit field.
pub(super) fn u32(datagram: &[u8], field: Field) -> u32 {
    u32::from_be_bytes(bytes(datagram, field))
}

/// An address field: 16 bytes wide, of which IPv4 uses the first four.
pub(super) fn address(datagram: &[u8], field: Field) -> Ipv4Addr {
    Ipv4Addr::from(bytes::<4>(datagram, field))
}

/// Checks that `datagram` is a message of kind `expected` with at least `needed` bytes.
pub(super) fn check(datagram: &[u8], expected: Opcode, needed: usize) -> Result<(), Error> {
    let opcode = Opcode::parse(datagram)?;
    if opcode != expected {
        return Err(Error::WrongOpcode {
            expected,
            got: opcode,
        });
    }
    if datagram.len() < needed {
        return Err(Error::Truncated {
            opcode: Some(opcode),
            needed,
            got: datagram.len(),
        });
    }
    Ok(())
}

/// The first `N` bytes of `buffer` as a new message of kind `opcode` whose other fields are zero.
pub(super) fn start<const N: usize>(
    buffer: &mut [u8],
    opcode: Opcode,
) -> Result<&mut [u8; N], BufferTooShort> {
    let got = buffer.len();
    let message = buffer
        .first_chunk_mut()
        .ok_or(BufferTooShort { needed: N, got })?;
    *message = [0; N];
    put(message, OPCODE, &opcode.0.to_be_bytes());
    Ok(message)
}

/// Writes a field. `value` may be shorter than the field, whose rest stays zero.
///
/// The field lies within the message: both are constants of the same codec, and each codec's tests
/// emit all of its fields.
pub(super) fn put(message: &mut [u8], field: Field, value: &[u8]) {
    for (to, from) in message[field].iter_mut().zip(value) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_the_end_read_as_zero() {
        assert_eq!(u32(&[1, 2, 3, 4, 5, 6], 2..6), 0x0304_0506);
        assert_eq!(u32(&[1, 2, 3, 4, 5], 2..6), 0x0304_0500);
        assert_eq!(u32(&[1, 2], 2..6), 0);
        assert_eq!(u16(&[], 2..4), 0);
        assert_eq!(address(&[10, 77, 0], 0..16), Ipv4Addr::new(10, 77, 0, 0));
    }

    #[test]
    fn a_short_buffer_is_left_alone() {
        let mut buffer = [0xaa; 3];
        let error = start::<4>(&mut buffer, Opcode::GO).unwrap_err();
        assert_eq!(error, BufferTooShort { needed: 4, got: 3 });
        assert_eq!(buffer, [0xaa; 3]);
    }
}
