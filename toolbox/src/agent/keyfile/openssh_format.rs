//! OpenSSH's private key format (`openssh-key-v1`): the container around a key pair.
//!
//! Contract: one key, decrypted if need be, its checks made: the two check words, the padding, the public half outside
//! against the one inside. The format is OpenSSH's PROTOCOL.key. Ciphers and key derivation are ssh-key's; its reader of
//! the container is not used, for the reason that [`private_wire`](crate::agent::private_wire) gives, and because it does not
//! tell a cipher it does not know from damage.

use secrecy::{ExposeSecret as _, SecretString};
use ssh_key::cipher::Tag;
use ssh_key::encoding::Decode as _;
use ssh_key::public::KeyData;
use ssh_key::{Cipher, Kdf, PrivateKey};
use zeroize::Zeroizing;

use super::KeyError;
use super::pem::Form;
use crate::agent::private_wire::{take_keypair, take_string};

const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The container's fields.
struct Container<'a> {
    cipher: Cipher,
    kdf: Kdf,
    public: &'a [u8],
    section: &'a [u8],
    tag: Option<Tag>,
}

/// The key in the container.
///
/// # Errors
/// [`KeyError`].
pub(super) fn decode(bytes: &[u8], passphrase: Option<&SecretString>) -> Result<PrivateKey, KeyError> {
    let container = Container::read(bytes)?;
    let encrypted = container.cipher != Cipher::None;
    let section = match encrypted {
        false => container.section.to_vec().into(),
        true => container.decrypt(passphrase.ok_or(KeyError::Encrypted)?)?,
    };
    let mut reader = section.as_slice();
    match reader.split_first_chunk::<8>() {
        Some((words, rest)) if words[..4] == words[4..] => reader = rest,
        Some(_) if encrypted => return Err(KeyError::WrongPassphrase),
        _ => return Err(damaged("its check words differ")),
    }
    read_section(reader, container.public)
}

impl<'a> Container<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, KeyError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not begin as one"))?;
        let cut = || damaged("it ends too early");
        let cipher = cipher(take_string(&mut rest).ok_or_else(cut)?)?;
        let kdf = Kdf::decode(&mut rest).map_err(|_| damaged("its key derivation is not bcrypt"))?;
        let (count, mut rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        if *count != [0, 0, 0, 1] {
            return Err(damaged("it does not hold one key"));
        }
        let public = take_string(&mut rest).ok_or_else(cut)?;
        let section = take_string(&mut rest).ok_or_else(cut)?;
        Ok(Self { cipher, kdf, public, section, tag: tag(cipher, rest)? })
    }

    fn decrypt(&self, passphrase: &SecretString) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if self.section.is_empty() || !self.section.len().is_multiple_of(self.cipher.block_size()) {
            return Err(damaged("its length is not a whole number of blocks"));
        }
        let derived = self.kdf.derive_key_and_iv(self.cipher, passphrase.expose_secret());
        let (key, iv) = derived.map_err(|_| match passphrase.expose_secret().is_empty() {
            true => KeyError::WrongPassphrase,
            false => damaged("its key derivation has impossible parameters"),
        })?;
        let mut plain = Zeroizing::new(self.section.to_vec());
        let done = self.cipher.decrypt(&key, &iv, &mut plain, self.tag);
        done.map(|()| plain).map_err(|_| KeyError::WrongPassphrase)
    }
}

fn cipher(name: &[u8]) -> Result<Cipher, KeyError> {
    let name = String::from_utf8_lossy(name);
    match Cipher::new(&name) {
        // Known by name only: ssh-key is built without it.
        Ok(Cipher::TdesCbc) | Err(_) => Err(KeyError::UnsupportedCipher(name.escape_default().to_string())),
        Ok(cipher) => Ok(cipher),
    }
}

fn tag(cipher: Cipher, rest: &[u8]) -> Result<Option<Tag>, KeyError> {
    match (cipher.has_tag(), <[u8; 16]>::try_from(rest)) {
        (true, Ok(tag)) => Ok(Some(tag.into())),
        (false, _) if rest.is_empty() => Ok(None),
        _ => Err(damaged("its end is not where it should be")),
    }
}

/// The decrypted section behind its check words: key pair, comment, padding.
fn read_section(mut reader: &[u8], public: &[u8]) -> Result<PrivateKey, KeyError> {
    let pair = take_keypair(&mut reader).ok_or_else(|| damaged("its key cannot be read"))?;
    let comment = take_string(&mut reader).ok_or_else(|| damaged("it has no comment"))?;
    if reader.iter().zip(1_u8..).any(|(byte, expected)| *byte != expected) || reader.len() > 16 {
        return Err(damaged("its padding is wrong"));
    }
    let outside = KeyData::decode(&mut &*public).ok();
    if outside.is_none() || outside != KeyData::try_from(&pair).ok() {
        return Err(damaged("its public half is another key's"));
    }
    PrivateKey::new(pair, comment).map_err(|_| damaged("its key cannot be read"))
}

fn damaged(reason: &str) -> KeyError {
    KeyError::Damaged { form: Form::OpenSsh.name(), reason: reason.to_owned() }
}
