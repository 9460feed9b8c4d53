//! How an agent was told to behave: what `ssh-agent`'s options say.

use std::time::Duration;

use super::askpass::Askpass;
use super::upstream::Upstream;

/// The digest of fingerprints in questions and logs (`-E`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FingerprintHash {
    /// MD5, in hexadecimal with colons.
    Md5,
    /// SHA-1, in base64.
    Sha1,
    /// SHA-256, in base64.
    #[default]
    Sha256,
    /// SHA-384, in base64.
    Sha384,
    /// SHA-512, in base64.
    Sha512,
}

/// What an agent's behaviour depends on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The lifetime of keys that are added without one (`-t`); `None` is for ever.
    pub default_lifetime: Option<Duration>,
    /// The digest of fingerprints (`-E`).
    pub fingerprint_hash: FingerprintHash,
    /// Libraries that FIDO keys and PKCS#11 tokens may name, as a list of patterns (`-P`).
    pub allowed_providers: String,
    /// Whether clients of a forwarded agent may load such libraries (`-O allow-remote-pkcs11`).
    pub allow_remote_providers: bool,
    /// Whether a FIDO key that is not for SSH only signs what looks like SSH (`-O no-restrict-websafe` says no).
    pub restrict_websafe: bool,
    /// FIDO applications that this restriction does not hold for (`-O websafe-allow=PATTERNS`).
    pub websafe_allow: String,
    /// Who asks for confirmation and PINs.
    pub askpass: Option<Askpass>,
    /// The agent behind this one.
    pub upstream: Option<Upstream>,
}

impl Default for Settings {
    /// OpenSSH's, nobody to ask, and no agent behind.
    fn default() -> Self {
        Self {
            default_lifetime: None,
            fingerprint_hash: FingerprintHash::default(),
            allowed_providers: "/usr/lib*/*,/usr/local/lib*/*".to_owned(),
            allow_remote_providers: false,
            restrict_websafe: true,
            websafe_allow: "ssh:*".to_owned(),
            askpass: None,
            upstream: None,
        }
    }
}
