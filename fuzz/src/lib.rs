//! What every message's fuzz target checks.
//!
//! The promises are those of `ironcast_proto::wire`: parsing never panics, what was parsed can be
//! printed and emitted in exactly `buffer_len` bytes, those bytes are the same message again, and a
//! buffer that is one byte too short is refused and left alone.

use ironcast_proto::bits::{BitSet, CAPACITY};
use ironcast_proto::wire::Opcode;

/// `bytes` with the opcode put before them, so that the fuzzer need not guess it.
#[must_use]
pub fn with_opcode(opcode: Opcode, bytes: &[u8]) -> Vec<u8> {
    [&opcode.0.to_be_bytes(), bytes].concat()
}

/// Holds one datagram against the promises of the message type `$message`.
#[macro_export]
macro_rules! check {
    ($message:ty, $datagram:expr) => {{
        let datagram: &[u8] = $datagram;
        match <$message>::parse(datagram) {
            Ok(message) => {
                assert!(!message.to_string().is_empty());
                let len = message.buffer_len();
                let mut buffer = vec![0xaa; len];
                assert_eq!(message.emit(&mut buffer), Ok(len));
                assert_eq!(<$message>::parse(&buffer), Ok(message));

                let mut short = vec![0xaa; len - 1];
                assert!(message.emit(&mut short).is_err());
                assert!(short.iter().all(|&byte| byte == 0xaa));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }};
}

/// Holds a set from the wire against the plain definition of what its functions say.
///
/// # Panics
/// If one of them says something else.
pub fn set(set: &BitSet) {
    let members: Vec<usize> = (0..CAPACITY)
        .filter(|&number| set.contains(number))
        .collect();
    assert_eq!(set.len(), members.len());
    assert_eq!(set.is_empty(), members.is_empty());
    assert!(set.iter().eq(members.iter().copied()));
    for from in 0..=CAPACITY {
        let first = members.iter().copied().find(|&member| member >= from);
        assert_eq!(set.first_from(from), first);
    }
    assert_eq!(BitSet::from_bytes(*set.as_bytes()), *set);
}
