//! What one host passes on to another.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use crate::{DiffId, Range};

/// The most layers in one [`Request::Give`](crate::Request::Give), so that its JSON fits.
pub const MOST_GIVEN: usize = 1000;
/// The most ranges of all those layers together, so that its JSON fits.
pub const MOST_WANTED: usize = 16_000;

/// A secret of the deployer and two hosts, for one connection between these. As text base64; never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut key = [0; 32];
        let length = Base64::decode(text, &mut key).map(<[u8]>::len);
        if length == Ok(key.len()) { Ok(Self(key)) } else { Err("a key is 32 bytes as base64") }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        Base64::encode_string(&key.0)
    }
}

/// What of a layer is to be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The layer.
    pub diff_id: DiffId,
    /// Of the whole layer.
    pub size: u64,
    /// Ascending, apart from each other; none where it is only waited for.
    pub ranges: Vec<Range>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{MOST_JSON, Request, head};

    const ID: DiffId = DiffId([0xab; 32]);

    #[test]
    fn a_key_is_32_bytes_and_never_shown() {
        let text = json!("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        let key: Key = serde_json::from_value(text.clone()).unwrap();
        assert_eq!((key.0, serde_json::to_value(&key).unwrap(), format!("{key:?}")), ([7; 32], text, "Key".into()));
        for bad in ["", "BwcH", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH", "?"] {
            let said = serde_json::from_value::<Key>(json!(bad)).unwrap_err().to_string();
            assert!(bad.is_empty() || !said.contains(bad), "{said}");
        }
    }

    #[test]
    fn requests_of_two_hosts_have_this_form() {
        let (id, key) = (ID.to_string(), Key([0; 32]));
        let wanted = Wanted { diff_id: ID, size: 9, ranges: vec![(1, 3)] };
        let give = Request::Give { address: "[2001:db8::1]:7".parse().unwrap(), key, layers: vec![wanted] };
        let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let layer = json!({ "diff_id": id, "size": 9, "ranges": [[1, 3]] });
        let text = json!({ "give": { "address": "[2001:db8::1]:7", "key": key, "layers": [layer] } });
        assert_eq!(serde_json::to_value(&give).unwrap(), text);
        let layer = json!({ "diff_id": id, "size": 9 });
        let text = json!({ "take": { "address": "192.0.2.1", "port": 0, "key": key, "layers": [layer] } });
        let take: Request = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(serde_json::to_value(&take).unwrap(), text);
    }

    #[test]
    fn as_much_as_is_allowed_fits_into_a_frame() {
        let most = 1 << 40;
        let each = MOST_WANTED / MOST_GIVEN;
        let wanted = Wanted { diff_id: ID, size: most, ranges: vec![(most, most); each] };
        let address = "[2001:db8:2001:db8:2001:db8:2001:db8]:65535".parse().unwrap();
        let give = Request::Give { address, key: Key([255; 32]), layers: vec![wanted; MOST_GIVEN] };
        assert!(head(&give).unwrap().len() < MOST_JSON);
    }
}
