//! Keys, in minisign's files: so that they can be made, kept and used by that too.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::Signer as _;
use ironcast_proto::cast::{KeyNumber, PublicKey, Signature};
use minisign::{KeyPair, SecretKeyBox};

use crate::error::Error;

/// Bytes of a secret key before its number: what kind of key it is, how it is encrypted, and with
/// what.
const BEFORE_NUMBER: usize = 2 + 2 + 2 + 32 + 8 + 8;

/// The most bytes of a key file that are read.
const LONGEST: u64 = 4096;

/// A key that images are signed with.
pub struct SecretKey {
    number: KeyNumber,
    key: ed25519_dalek::SigningKey,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl SecretKey {
    /// Reads a key file; `password` opens it if it is encrypted, and `None` asks for it at the
    /// terminal.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Key`].
    pub fn read(path: &Path, password: Option<String>) -> Result<Self, Error> {
        let text = read_text(path)?;
        let key = |source| Error::Key {
            path: path.to_owned(),
            source,
        };
        let sealed = SecretKeyBox::from_string(&text).map_err(key)?;
        let opened = match sealed.clone().into_unencrypted_secret_key() {
            Ok(opened) => opened,
            Err(_) => sealed.into_secret_key(password).map_err(key)?,
        };
        Self::from_bytes(&opened.to_bytes()).ok_or_else(|| {
            let kind = minisign::ErrorKind::Misc;
            key(minisign::PError::new(kind, "it is of another kind"))
        })
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(BEFORE_NUMBER..)?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (seed, _) = rest.split_first_chunk::<32>()?;
        Some(Self {
            number: KeyNumber(*number),
            key: ed25519_dalek::SigningKey::from_bytes(seed),
        })
    }

    /// Signs head and manifest.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature {
            key: self.number,
            bytes: self.key.sign(message).to_bytes(),
        }
    }

    /// The key that its signatures are checked by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey {
            number: self.number,
            key: self.key.verifying_key().to_bytes(),
        }
    }
}

/// Makes a pair of keys, and writes them to new files. An empty password leaves the secret one
/// open to who can read it; `None` asks for one at the terminal.
///
/// # Errors
/// [`Error::File`] if there is such a file already, above all; [`Error::Key`].
pub fn write_key_pair(
    secret: &Path,
    public: &Path,
    password: Option<String>,
) -> Result<PublicKey, Error> {
    let key = |source| Error::Key {
        path: secret.to_owned(),
        source,
    };
    let (mut sealed, mut open) = (Vec::new(), Vec::new());
    match password.as_deref() {
        Some("") => {
            let KeyPair { pk, sk } = KeyPair::generate_unencrypted_keypair().map_err(key)?;
            sealed.extend(sk.to_box(None).map_err(key)?.to_bytes());
            open.extend(pk.to_box().map_err(key)?.to_bytes());
        }
        _ => {
            let pair = KeyPair::generate_and_write_encrypted_keypair(
                &mut open,
                &mut sealed,
                None,
                password,
            );
            pair.map_err(key)?;
        }
    }
    write_new(secret, 0o600, &sealed)?;
    write_new(public, 0o644, &open)?;
    read_public_key(public)
}

fn write_new(path: &Path, mode: u32, text: &[u8]) -> Result<(), Error> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    let file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            io::Error::other("it is there already, and a key is never written over")
        }
        _ => error,
    });
    file.and_then(|mut file| file.write_all(text))
        .map_err(Error::file("write", path))
}

/// The beginning of a file, in which all of a key is; of what is no text, something that is no key.
fn read_text(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
        .map_err(Error::file("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads a public key file.
///
/// # Errors
/// [`Error::File`], [`Error::PublicKey`].
pub fn read_public_key(path: &Path) -> Result<PublicKey, Error> {
    let text = read_text(path)?;
    let key = minisign::PublicKeyBox::from_string(&text)
        .and_then(minisign::PublicKeyBox::into_public_key);
    let key = key.map_err(|_| Error::PublicKey(path.to_owned()))?;
    PublicKey::from_bytes(&key.to_bytes()).ok_or_else(|| Error::PublicKey(path.to_owned()))
}

/// The keys in these files, in their order.
pub(crate) fn read_public_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, Error> {
    paths.iter().map(|path| read_public_key(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_pair_fits_whether_it_is_encrypted_or_not() {
        let folder = tempfile::tempdir().unwrap();
        for password in ["", "of a lab"] {
            let secret = folder.path().join(format!("secret{password}"));
            let public = folder.path().join(format!("public{password}"));
            let key = write_key_pair(&secret, &public, Some(password.to_owned())).unwrap();
            let read = SecretKey::read(&secret, Some(password.to_owned())).unwrap();
            assert_eq!(
                (read.public(), read_public_key(&public).unwrap()),
                (key, key)
            );
            let signature = read.sign(b"message");
            assert!(key.has_signed(b"message", &signature));
            assert!(!key.has_signed(b"massage", &signature));
            let mode = fs::metadata(&secret).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, Permissions::from_mode(0o600).mode());
            // It is never written over.
            assert!(write_key_pair(&secret, &public, Some(String::new())).is_err());
        }
        let secret = folder.path().join("secretof a lab");
        let wrong = SecretKey::read(&secret, Some("another".to_owned()));
        assert!(matches!(wrong, Err(Error::Key { .. })), "{wrong:?}");
        let public = folder.path().join("public");
        assert!(matches!(read_public_key(&secret), Err(Error::PublicKey(_))));
        assert!(SecretKey::read(&public, Some(String::new())).is_err());
    }
}
