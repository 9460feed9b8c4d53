//! Private keys in armour: finds the `-----BEGIN … PRIVATE KEY-----` blocks of a text and takes the base64 off.
//!
//! Contract: what comes out is in buffers that zero themselves; nothing of the text reaches an error. Other blocks
//! (certificates, `EC PARAMETERS`) and text around the blocks are passed over, as OpenSSL does, so that a file as other
//! tools write it can be used. What the bytes mean is [`keyfile`](super)'s business.

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use super::KeyError;

/// The form of a private key, told by its BEGIN line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    OpenSsh,
    Pkcs1,
    Sec1,
    Pkcs8,
    Pkcs8Encrypted,
}

impl Form {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OpenSsh => "OpenSSH",
            Self::Pkcs1 => "PEM (PKCS#1)",
            Self::Sec1 => "PEM (SEC1)",
            Self::Pkcs8 | Self::Pkcs8Encrypted => "PKCS#8",
        }
    }

    /// The form for a BEGIN line's label; `None` for a block that holds no private key.
    fn of(label: &str) -> Result<Option<Self>, KeyError> {
        Ok(Some(match label {
            "OPENSSH PRIVATE KEY" => Self::OpenSsh,
            "RSA PRIVATE KEY" => Self::Pkcs1,
            "EC PRIVATE KEY" => Self::Sec1,
            "PRIVATE KEY" => Self::Pkcs8,
            "ENCRYPTED PRIVATE KEY" => Self::Pkcs8Encrypted,
            "DSA PRIVATE KEY" => return Err(KeyError::UnsupportedType("ssh-dss".into())),
            other if other.contains("PRIVATE KEY") => {
                return Err(KeyError::UnsupportedFormat(other.to_owned()));
            }
            _ => return Ok(None),
        }))
    }
}

/// How the body of an old PEM block is encrypted (its `DEK-Info` header).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DekInfo {
    pub(super) cipher: String,
    pub(super) iv: String,
}

/// One private key without its armour.
pub(super) struct Block {
    pub(super) form: Form,
    pub(super) dek: Option<DekInfo>,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// The private key blocks of a text, and what follows the last one's END line.
pub(super) struct Blocks<'a> {
    /// In the text's order; what is wrong with one does not hide the next.
    pub(super) blocks: Vec<Result<Block, KeyError>>,
    pub(super) after: &'a str,
}

/// All private keys of `text`.
///
/// # Errors
/// [`KeyError`] for a text without a private key (saying what it is instead), or with one that is cut off.
pub(super) fn private_keys(text: &[u8]) -> Result<Blocks<'_>, KeyError> {
    let text = as_text(text)?;
    let mut found = Blocks { blocks: Vec::new(), after: text };
    let mut rest = text;
    while let Some(armour) = next_armour(rest)? {
        rest = armour.after;
        if let Some(form) = Form::of(armour.label).transpose() {
            found.blocks.push(form.and_then(|form| unarmour(form, armour.body)));
            found.after = rest;
        }
    }
    match found.blocks.is_empty() {
        true => Err(what_else(text)),
        false => Ok(found),
    }
}

fn as_text(bytes: &[u8]) -> Result<&str, KeyError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(KeyError::Empty);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| KeyError::Binary)?;
    Ok(text.trim_start_matches('\u{feff}'))
}

struct Armour<'a> {
    label: &'a str,
    body: &'a str,
    after: &'a str,
}

/// The next block of any kind, or an error where it has no end.
fn next_armour(text: &str) -> Result<Option<Armour<'_>>, KeyError> {
    let mut begin: Option<(&str, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let line = line.trim();
        match begin {
            None => begin = label(line, "-----BEGIN ").map(|label| (label, at)),
            Some((label_seen, body)) if label(line, "-----END ") == Some(label_seen) => {
                let (body, after) = (&text[body..start], &text[at..]);
                return Ok(Some(Armour { label: label_seen, body, after }));
            }
            Some(_) => {}
        }
    }
    match begin {
        Some((label, _)) if label.contains("PRIVATE KEY") => Err(KeyError::Truncated),
        _ => Ok(None),
    }
}

fn label<'a>(line: &'a str, mark: &str) -> Option<&'a str> {
    // A whole key on one line has dashes in the middle, too.
    let label = line.strip_prefix(mark)?.strip_suffix("-----")?;
    (!label.contains("-----")).then_some(label)
}

/// Splits off the headers of old PEM (`Name: value`) and decodes the rest.
fn unarmour(form: Form, body: &str) -> Result<Block, KeyError> {
    let damaged = || KeyError::Damaged { form: form.name(), reason: "its base64 does not decode".into() };
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    let mut dek = None;
    for line in body.lines().map(str::trim) {
        match line.split_once(':') {
            Some(("DEK-Info", value)) => dek = dek_info(value),
            Some(_) => {}
            None => base64.extend(line.bytes().filter(|byte| !byte.is_ascii_whitespace())),
        }
    }
    let length = Base64::decode_in_place(&mut base64).map_err(|_| damaged())?.len();
    base64.truncate(length);
    match length {
        0 => Err(damaged()),
        _ => Ok(Block { form, dek, bytes: base64 }),
    }
}

fn dek_info(value: &str) -> Option<DekInfo> {
    let (cipher, iv) = value.trim().split_once(',')?;
    Some(DekInfo { cipher: cipher.to_owned(), iv: iv.to_owned() })
}

/// Says what a text without a private key is.
fn what_else(text: &str) -> KeyError {
    let start = text.trim_start();
    if start.starts_with("PuTTY-User-Key-File-") {
        return KeyError::Putty;
    }
    if start.starts_with("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY") {
        return KeyError::UnsupportedFormat("SSH2 ENCRYPTED PRIVATE KEY".into());
    }
    if text.contains("PRIVATE KEY-----") {
        return KeyError::LineBreaksLost;
    }
    const PUBLIC: [&str; 6] =
        ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2 PUBLIC KEY", "-----BEGIN CERTIFICATE"];
    let public_pem = start.starts_with("-----BEGIN ") && text.contains("PUBLIC KEY-----");
    match public_pem || PUBLIC.iter().any(|mark| start.starts_with(mark)) {
        true => KeyError::Public,
        false => KeyError::NoKey,
    }
}
