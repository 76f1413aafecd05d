//! What comes before the table, gathered as it arrives: head, manifest, signatures.
//!
//! The manifest is believed only when all signatures have been seen, and so is given out only then.

use super::error::CastError;
use super::head::{HEAD_LEN, Head, MAX_MANIFEST_LEN};
use super::manifest::Manifest;
use super::signature::{KeyNumber, PublicKey, SIGNATURE_LEN, Signature};

/// Bytes of memory that a [`Preamble`] needs.
pub const PREAMBLE_LEN: usize = HEAD_LEN + MAX_MANIFEST_LEN;

/// Who has signed a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// This trusted key.
    By(KeyNumber),
    /// Nobody who is trusted, since nobody is: there are no trusted keys.
    Unchecked {
        /// How many signatures there are.
        signatures: u16,
    },
}

/// Head, manifest and signatures on their way in (docs/cast-format.md, 2 to 4), in memory `M` of
/// [`PREAMBLE_LEN`] bytes.
#[derive(Debug)]
pub struct Preamble<'k, M> {
    memory: M,
    /// Bytes of head and manifest that are there.
    filled: usize,
    /// Bytes of head and manifest together, once the head is there.
    len: Option<usize>,
    trusted: &'k [PublicKey],
    /// How many signatures there are, once that is known.
    signatures: Option<u16>,
    /// How many of them have been looked at.
    checked: u16,
    /// Bytes of the next one, or of their number.
    next: [u8; SIGNATURE_LEN],
    next_len: usize,
    good: Option<KeyNumber>,
}

impl<'k, M: AsRef<[u8]> + AsMut<[u8]>> Preamble<'k, M> {
    /// One of which nothing has arrived. If there are `trusted` keys, one of them has to have
    /// signed.
    ///
    /// # Errors
    /// [`CastError::Memory`].
    pub fn new(memory: M, trusted: &'k [PublicKey]) -> Result<Self, CastError> {
        if memory.as_ref().len() < PREAMBLE_LEN {
            let needed = PREAMBLE_LEN as u64;
            return Err(CastError::Memory { needed });
        }
        Ok(Self {
            memory,
            filled: 0,
            len: None,
            trusted,
            signatures: None,
            checked: 0,
            next: [0; SIGNATURE_LEN],
            next_len: 0,
            good: None,
        })
    }

    /// Takes the next bytes of the stream; how many of them it took, which are fewer only if it
    /// [is complete](Self::is_complete) then.
    ///
    /// # Errors
    /// [`CastError`], as soon as it shows.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, CastError> {
        let mut rest = bytes;
        while !rest.is_empty() && !self.is_complete() {
            let taken = match self.len {
                Some(len) if self.filled == len => self.push_signature(rest)?,
                len => self.push_manifest(rest, len.unwrap_or(HEAD_LEN))?,
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
        if self.is_complete() && !self.trusted.is_empty() && self.good.is_none() {
            return Err(CastError::NotTrusted {
                others: self.checked,
            });
        }
        if self.is_complete() {
            self.decode()?;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Takes bytes of head and manifest, of which there are `len` as far as is known.
    fn push_manifest(&mut self, bytes: &[u8], len: usize) -> Result<usize, CastError> {
        let taken = bytes.len().min(len - self.filled);
        self.memory.as_mut()[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
        self.filled += taken;
        if self.filled < len {
            return Ok(taken);
        }
        // The manifest is read when it is known to be genuine.
        if let (None, Some(head)) = (self.len, self.memory.as_ref().first_chunk()) {
            let head = Head::decode(head)?;
            self.len = Some(HEAD_LEN + head.manifest_len as usize);
        }
        Ok(taken)
    }

    fn push_signature(&mut self, bytes: &[u8]) -> Result<usize, CastError> {
        let len = match self.signatures {
            None => size_of::<u16>(),
            Some(_) => SIGNATURE_LEN,
        };
        let taken = bytes.len().min(len - self.next_len);
        self.next[self.next_len..self.next_len + taken].copy_from_slice(&bytes[..taken]);
        self.next_len += taken;
        if self.next_len == len {
            self.next_len = 0;
            match self.signatures {
                None => self.signatures = Some(u16::from_le_bytes([self.next[0], self.next[1]])),
                Some(_) => self.check_signature()?,
            }
        }
        Ok(taken)
    }

    fn check_signature(&mut self) -> Result<(), CastError> {
        self.checked += 1;
        let signature = Signature::decode(&self.next);
        if !self.trusted.iter().any(|key| key.number == signature.key) {
            return Ok(());
        }
        // Two keys may have one number by chance.
        let message = &self.memory.as_ref()[..self.filled];
        let is_good = |key: &PublicKey| key.has_signed(message, &signature);
        if !self.trusted.iter().any(is_good) {
            return Err(CastError::BadSignature(signature.key));
        }
        self.good = self.good.or(Some(signature.key));
        Ok(())
    }

    /// Whether all of it is there, and right.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.signatures == Some(self.checked)
    }

    /// The manifest and who has signed it, once all of it is [there](Self::is_complete).
    #[must_use]
    pub fn manifest(&self) -> Option<(Manifest<'_>, Signed)> {
        if !self.is_complete() {
            return None;
        }
        let signed = match self.good {
            Some(key) => Signed::By(key),
            None if self.trusted.is_empty() => Signed::Unchecked {
                signatures: self.checked,
            },
            None => return None,
        };
        Some((self.decode().ok()?, signed))
    }

    fn decode(&self) -> Result<Manifest<'_>, CastError> {
        let bytes = &self.memory.as_ref()[HEAD_LEN..self.filled];
        Ok(Manifest::decode(bytes)?)
    }
}
