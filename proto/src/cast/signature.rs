//! Signatures of cast streams, by keys like minisign's.
//!
//! The key itself is Ed25519 (RFC 8032); the eight bytes beside it only tell which one to try.

use core::fmt;

use ed25519_dalek::VerifyingKey;

/// Bytes of a [`Signature`] in a stream.
pub const SIGNATURE_LEN: usize = 72;

/// The eight bytes by which a key is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyNumber(pub [u8; 8]);

impl fmt::Display for KeyNumber {
    /// As minisign shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

/// A key that may be trusted (docs/cast-format.md, 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Which one it is.
    pub number: KeyNumber,
    /// Ed25519's public key.
    pub key: [u8; 32],
}

impl PublicKey {
    /// Bytes that [`from_bytes`](Self::from_bytes) takes.
    pub const LEN: usize = 42;

    /// The key of what a minisign public key file has in base64; `None` if it is none, or of
    /// another kind.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first_chunk::<2>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let key = Self {
            number: KeyNumber(*number),
            key: rest.try_into().ok()?,
        };
        let is_key = kind == b"Ed" && VerifyingKey::from_bytes(&key.key).is_ok();
        is_key.then_some(key)
    }

    /// What [`from_bytes`](Self::from_bytes) takes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..2].copy_from_slice(b"Ed");
        bytes[2..10].copy_from_slice(&self.number.0);
        bytes[10..].copy_from_slice(&self.key);
        bytes
    }

    /// Whether it has made `signature` of `message`. Signatures that different readers could take
    /// for different things are not good.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &Signature) -> bool {
        let signed = ed25519_dalek::Signature::from_bytes(&signature.bytes);
        signature.key == self.number
            && VerifyingKey::from_bytes(&self.key)
                .is_ok_and(|key| key.verify_strict(message, &signed).is_ok())
    }
}

/// A signature of a stream's head and manifest (docs/cast-format.md, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// By which key.
    pub key: KeyNumber,
    /// Ed25519's signature.
    pub bytes: [u8; 64],
}

impl Signature {
    /// Reads it.
    #[must_use]
    pub fn decode(bytes: &[u8; SIGNATURE_LEN]) -> Self {
        let mut signature = Self {
            key: KeyNumber([0; 8]),
            bytes: [0; 64],
        };
        signature.key.0.copy_from_slice(&bytes[..8]);
        signature.bytes.copy_from_slice(&bytes[8..]);
        signature
    }

    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SIGNATURE_LEN] {
        let mut bytes = [0; SIGNATURE_LEN];
        bytes[..8].copy_from_slice(&self.key.0);
        bytes[8..].copy_from_slice(&self.bytes);
        bytes
    }
}
