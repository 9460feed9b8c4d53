//! The digest that names a layer, in the only form that may become a file's name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

const PREFIX: &str = "sha256:";

/// A text that should have been a DiffID and is not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a digest of the form sha256:<64 lower-case hex digits>")]
pub struct DiffIdError(pub String);

/// The SHA-256 of a layer's uncompressed tar (OCI image-spec, config.md). As text `sha256:` and 64
/// lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DiffId(pub [u8; 32]);

impl DiffId {
    /// The 64 hex digits without `sha256:`.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads 64 lower-case hex digits without `sha256:`; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes().as_chunks::<2>();
        if text.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, [high, low]) in bytes.iter_mut().zip(digits.0) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl FromStr for DiffId {
    type Err = DiffIdError;

    fn from_str(text: &str) -> Result<Self, DiffIdError> {
        text.strip_prefix(PREFIX).and_then(Self::from_hex).ok_or_else(|| DiffIdError(text.to_owned()))
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for DiffId {
    type Error = DiffIdError;

    fn try_from(text: String) -> Result<Self, DiffIdError> {
        text.parse()
    }
}

impl From<DiffId> for String {
    fn from(id: DiffId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::DiffId;

    #[test]
    fn only_sha256_and_64_lower_case_digits_are_a_diff_id() {
        let hex = "00ff17e298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let id: DiffId = format!("sha256:{hex}").parse().unwrap();
        assert_eq!((id.hex().as_str(), id.0[1]), (hex, 255));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"sha256:{hex}\""));
        let upper = format!("sha256:{}", hex.to_uppercase());
        let dots = format!("sha256:../{}", &hex[3..]);
        let wide = format!("sha256:é{}", &hex[2..]);
        for text in ["", hex, "sha256:", &upper, &dots, &wide, &format!("sha256:{hex}0")] {
            assert!(text.parse::<DiffId>().is_err(), "{text}");
        }
    }
}
