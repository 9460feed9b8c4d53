//! SHA-256 digests, one type for each thing that is named by one.
//!
//! Contract: the text form is `sha256:` and 64 lower-case hex digits, as the OCI image-spec wants it;
//! anything else is refused. A [`DiffId`] never compares with a [`ChainId`]: mixing them up is a type
//! error. Deliberately absent: other algorithms; no engine that we meet writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

const PREFIX: &str = "sha256:";
const HEX_LENGTH: usize = 64;

/// A text that should have been a digest and is not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a digest of the form sha256:<64 lower-case hex digits>")]
pub struct DigestError(pub String);

/// The SHA-256 of some bytes whose role is not (yet) known: a blob's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// What a hasher that was fed piece by piece has come to.
    pub(crate) fn from_hasher(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// The bare 32 bytes.
    pub(crate) fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The 64 hex digits without `sha256:`, as file names carry them.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads 64 lower-case hex digits without `sha256:`; `None` for anything else.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != HEX_LENGTH || !text.bytes().all(lower) {
            return None;
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.strip_prefix(PREFIX).and_then(Self::from_hex).ok_or_else(|| DigestError(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

macro_rules! digest_of {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// The bare digest, as blobs are named by it.
            pub fn digest(&self) -> Digest {
                self.0
            }
        }

        impl From<Digest> for $name {
            fn from(digest: Digest) -> Self {
                Self(digest)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

digest_of! {
    /// The digest of one layer's uncompressed tar.
    DiffId
}
digest_of! {
    /// The digest of a stack of layers: the same layers in the same order from the bottom.
    ChainId
}
digest_of! {
    /// The digest of an image's configuration: the same on every engine and store.
    ConfigDigest
}
digest_of! {
    /// The digest of an image's OCI manifest (or index), which registries and containerd go by.
    ManifestDigest
}

impl ChainId {
    /// The chain of the bottom layer alone.
    pub fn bottom(layer: DiffId) -> Self {
        Self(layer.0)
    }

    /// The chain that results from putting a layer onto this one (OCI image-spec, config.md, Layer ChainID).
    pub fn with(self, layer: DiffId) -> Self {
        Self(Digest::of(format!("{self} {layer}").as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digest_of_nothing_is_the_known_one() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
    }

    #[test]
    fn text_and_json_round_trip() {
        let id: DiffId = EMPTY.parse().unwrap();
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("{EMPTY:?}"));
        assert_eq!(serde_json::from_str::<DiffId>(&json).unwrap(), id);
    }

    #[test]
    fn anything_but_sha256_and_64_lower_case_digits_is_refused() {
        let hex = &EMPTY[PREFIX.len()..];
        let upper = format!("sha256:{}", hex.to_uppercase());
        let md5 = format!("md5:{hex}");
        let (short, long) = (&EMPTY[..70], format!("{EMPTY}0"));
        for text in ["", "sha256:", hex, &upper, &md5, short, &long, &EMPTY.replace('e', "g")] {
            let error = text.parse::<ConfigDigest>().unwrap_err();
            assert_eq!(error, DigestError(text.to_owned()));
        }
        assert!(serde_json::from_str::<DiffId>("\"latest\"").unwrap_err().to_string().contains("latest"));
    }

    #[test]
    fn chain_of_two_layers_is_the_digest_of_both_texts() {
        let (a, b) = (DiffId::from(Digest::of(b"a")), DiffId::from(Digest::of(b"b")));
        assert_eq!(ChainId::bottom(a).digest(), a.digest());
        let expected = Digest::of(format!("{a} {b}").as_bytes());
        assert_eq!(ChainId::bottom(a).with(b).digest(), expected);
    }
}
