//! Public keys and certificates, as people see them: a line of text, a type, a size, a fingerprint.

use base64ct::{Base64, Base64Unpadded, Encoding as _};
use sha2::Digest as _;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, PublicKey};

use crate::agent::{Certificate, FingerprintHash};

/// The public side of an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Public {
    /// The key, or the certificate, in SSH's wire form.
    pub(super) blob: Vec<u8>,
    key: KeyData,
    is_certificate: bool,
}

impl Public {
    /// Reads a blob; `None` for a type that is not known.
    pub(super) fn from_blob(blob: &[u8]) -> Option<Self> {
        let is_certificate = algorithm(blob)?.ends_with("-cert-v01@openssh.com");
        let key = match is_certificate {
            // ssh-key's reader refuses certificates with options that are not text.
            true => PublicKey::from_bytes(Certificate::from_blob(blob).ok()?.plain_key()).ok()?.key_data().clone(),
            false => PublicKey::from_bytes(blob).ok()?.key_data().clone(),
        };
        let known = !matches!(key, KeyData::Other(_));
        known.then(|| Self { blob: blob.to_vec(), key, is_certificate })
    }

    /// Reads a line `type base64 [comment]` and gives the comment too.
    pub(super) fn from_line(line: &str) -> Option<(Self, String)> {
        let mut words = line.trim().splitn(3, [' ', '\t']);
        let (algorithm, base64) = (words.next()?, words.next()?);
        let public = Self::from_blob(&Base64::decode_vec(base64).ok()?)?;
        (algorithm == self::algorithm(&public.blob)?)
            .then(|| (public, words.next().unwrap_or_default().trim().to_owned()))
    }

    /// The public side of a private key.
    pub(super) fn of(key: &PublicKey) -> Option<Self> {
        Self::from_blob(&key.to_bytes().ok()?)
    }

    /// Whether both are about one key pair.
    pub(super) fn same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// The line `type base64`.
    pub(super) fn line(&self) -> String {
        format!("{} {}", algorithm(&self.blob).unwrap_or_default(), Base64::encode_string(&self.blob))
    }

    /// `ED25519`, `RSA-CERT`: OpenSSH's short names.
    pub(super) fn kind(&self) -> String {
        let kind = match self.key.algorithm() {
            Algorithm::Rsa { .. } => "RSA",
            Algorithm::Ecdsa { .. } => "ECDSA",
            Algorithm::Ed25519 => "ED25519",
            Algorithm::SkEcdsaSha2NistP256 => "ECDSA-SK",
            Algorithm::SkEd25519 => "ED25519-SK",
            Algorithm::Dsa => "DSA",
            _ => "UNKNOWN",
        };
        format!("{kind}{}", if self.is_certificate { "-CERT" } else { "" })
    }

    /// The key's size, as ssh-add shows it.
    pub(super) fn bits(&self) -> u32 {
        match (&self.key, self.key.algorithm()) {
            (KeyData::Rsa(key), _) => key.key_size(),
            (KeyData::Ecdsa(key), _) => match key.curve() {
                ssh_key::EcdsaCurve::NistP256 => 256,
                ssh_key::EcdsaCurve::NistP384 => 384,
                ssh_key::EcdsaCurve::NistP521 => 521,
            },
            (_, Algorithm::Dsa) => 1024,
            _ => 256,
        }
    }

    /// The fingerprint of the key, which is its certificate's too.
    pub(super) fn fingerprint(&self, hash: FingerprintHash) -> String {
        let blob = PublicKey::from(self.key.clone()).to_bytes().unwrap_or_default();
        let base64 = |name: &str, digest: &[u8]| format!("{name}:{}", Base64Unpadded::encode_string(digest));
        match hash {
            FingerprintHash::Md5 => {
                let digest: Vec<String> = md5::compute(&blob).iter().map(|byte| format!("{byte:02x}")).collect();
                format!("MD5:{}", digest.join(":"))
            }
            FingerprintHash::Sha1 => base64("SHA1", &sha1::Sha1::digest(&blob)),
            FingerprintHash::Sha256 => base64("SHA256", &sha2::Sha256::digest(&blob)),
            FingerprintHash::Sha384 => base64("SHA384", &sha2::Sha384::digest(&blob)),
            FingerprintHash::Sha512 => base64("SHA512", &sha2::Sha512::digest(&blob)),
        }
    }
}

/// The first string of a blob.
fn algorithm(blob: &[u8]) -> Option<&str> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    std::str::from_utf8(rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?).ok()
}
