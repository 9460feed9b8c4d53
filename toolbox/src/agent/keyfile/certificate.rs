//! The certificate beside a private key: `KEY-cert.pub`, as `ssh-keygen -s` writes it.
//!
//! Contract: a certificate is taken if it certifies the very key that it lies beside. One that does not, or that cannot
//! be read, is a warning and not an error, as with ssh-add: the key by itself may be all that is wanted. Whether it is
//! still valid is the server's to judge, as its clock is the one that counts.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use ssh_key::PrivateKey;
use thiserror::Error;

use super::secret_file::LIMIT;
use crate::agent::Certificate;

/// Why a certificate is left aside.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CertificateFileError {
    /// It certifies another key.
    #[error("certificate {} does not match private key {key}", path.display())]
    Mismatch {
        /// The certificate's file.
        path: PathBuf,
        /// The private key's.
        key: String,
    },
    /// It is none, or none that logs a user in.
    #[error("{} is left aside: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Where the certificate of a key file lies, if there is one: `KEY-cert.pub`.
#[must_use]
pub fn certificate_beside(key: &Path) -> PathBuf {
    let mut path = key.as_os_str().to_owned();
    path.push("-cert.pub");
    path.into()
}

/// The certificate in a file; `None` where there is no such file.
///
/// # Errors
/// [`CertificateFileError::Unusable`].
pub(super) fn read(path: &Path) -> Option<Result<Certificate, CertificateFileError>> {
    let unusable = |reason: String| CertificateFileError::Unusable { path: path.to_owned(), reason };
    match text(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(unusable(error.to_string()))),
        Ok(text) => Some(parse(&text).map_err(unusable)),
    }
}

/// Whether it certifies `key`.
pub(super) fn fits(certificate: &Certificate, key: &PrivateKey) -> bool {
    key.public_key().to_bytes().is_ok_and(|plain| plain == certificate.plain_key())
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LIMIT as u64).read_to_string(&mut text)?;
    Ok(text)
}

fn parse(text: &str) -> Result<Certificate, String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    let certificate = Certificate::from_openssh(line.ok_or("it is empty")?).map_err(|error| error.to_string())?;
    match certificate.is_for_users() {
        true => Ok(certificate),
        false => Err("it is a host's certificate, not a user's".to_owned()),
    }
}
