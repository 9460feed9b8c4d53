//! Fingerprints of public keys, as `ssh-add -l` and `ssh-keygen -l` print them.
//!
//! Contract: the digest is over the plain public key; a certificate's fingerprint is that of the key it certifies.

use base64ct::{Base64Unpadded, Encoding as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::settings::FingerprintHash;

impl FingerprintHash {
    /// The fingerprint of a plain public key's blob: `SHA256:` and base64 without padding, or `MD5:` and hexadecimal
    /// with colons.
    #[must_use]
    pub fn fingerprint(self, plain_key: &[u8]) -> String {
        let (name, digest) = match self {
            Self::Md5 => return md5(plain_key),
            Self::Sha1 => ("SHA1", Sha1::digest(plain_key).to_vec()),
            Self::Sha256 => ("SHA256", Sha256::digest(plain_key).to_vec()),
            Self::Sha384 => ("SHA384", Sha384::digest(plain_key).to_vec()),
            Self::Sha512 => ("SHA512", Sha512::digest(plain_key).to_vec()),
        };
        format!("{name}:{}", Base64Unpadded::encode_string(&digest))
    }
}

fn md5(plain_key: &[u8]) -> String {
    let pairs: Vec<String> = md5::compute(plain_key).0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("MD5:{}", pairs.join(":"))
}
