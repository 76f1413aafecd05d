//! Secure Boot: signs EFI files, and makes firmwares that start nothing else.
//!
//! `cargo xtask efi --sign` and the tests sign in the same way, so that what the tests show of one
//! holds for the other.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;
use crate::{LabError, find_tool, variables};

/// Who owns a key in a firmware's list. It only tells entries apart.
const OWNER: &str = "6c1a8b02-5f0e-4f0b-9d0a-1c3f4b7a9e55";

/// Signs the EFI file `efi` in place, with the private `key` and its `certificate` (both PEM), and
/// checks the signature.
///
/// # Errors
/// [`LabError::MissingTool`] without `sbsign`, [`LabError::Failed`] if it refuses, or if the
/// signature is not the certificate's. The file stays as it was then.
pub fn sign(efi: &Path, key: &Path, certificate: &Path) -> Result<(), LabError> {
    let signed = efi.with_extension("signed");
    let mut sbsign = Command::new(find_tool("sbsign")?);
    sbsign.arg("--key").arg(key).arg("--cert").arg(certificate);
    run(sbsign.arg("--output").arg(&signed).arg(efi))?;
    let mut sbverify = Command::new(find_tool("sbverify")?);
    run(sbverify.arg("--cert").arg(certificate).arg(&signed))?;
    fs::rename(&signed, efi).map_err(|e| LabError::io(format!("replace {}", efi.display()), e))
}

/// A key that signs, and its certificate.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The private key, PEM.
    pub key: PathBuf,
    /// The certificate, PEM.
    pub certificate: PathBuf,
}

impl SigningKey {
    /// Makes one, in files in `folder`.
    ///
    /// # Errors
    /// [`LabError::MissingTool`] without `openssl`, [`LabError::Failed`] if it refuses.
    pub fn make(folder: &Path) -> Result<Self, LabError> {
        let made = Self {
            key: folder.join("signing.key"),
            certificate: folder.join("signing.crt"),
        };
        let mut openssl = Command::new(find_tool("openssl")?);
        openssl.args(["req", "-new", "-x509", "-newkey", "rsa:2048", "-noenc"]);
        openssl.args(["-days", "3650", "-subj", "/CN=Ironcast test/"]);
        openssl.arg("-keyout").arg(&made.key);
        run(openssl.arg("-out").arg(&made.certificate))?;
        Ok(made)
    }

    /// Writes the variables of a firmware that starts only what is signed with this key to `file`:
    /// those in `blank`, and the certificate enrolled for everything.
    ///
    /// # Errors
    /// [`LabError::MissingFile`] without `virt-fw-vars`, [`LabError::Failed`] if it refuses.
    pub fn enrol(&self, blank: &Path, file: &Path) -> Result<(), LabError> {
        let certificate = self.certificate.as_os_str();
        let mut changes: Vec<&OsStr> = vec!["--secure-boot".as_ref()];
        for list in ["--set-pk", "--add-kek", "--add-db"] {
            changes.extend([list.as_ref(), OWNER.as_ref(), certificate]);
        }
        variables::change(blank, file, &changes)
    }
}
