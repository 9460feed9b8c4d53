//! The encryption of old PEM files (`Proc-Type: 4,ENCRYPTED`), as `ssh-keygen -m PEM` still writes it.
//!
//! AES-CBC in its three sizes is read. 3DES and DES are refused by name: they are long broken, and
//! `ssh-keygen -p` turns such a file into one that is read. The key derivation is OpenSSL's `EVP_BytesToKey` with MD5
//! and one round, which protects little; that is the format's fault, and writing it is no part of this module.

use secrecy::{ExposeSecret as _, SecretString};
use ssh_key::Cipher;
use zeroize::Zeroizing;

use super::KeyError;
use super::pem::DekInfo;

/// The bytes of an old PEM block in clear.
///
/// # Errors
/// [`KeyError::UnsupportedCipher`], [`KeyError::WrongPassphrase`], or [`KeyError::Damaged`] for a header that does not
/// fit its body.
pub(super) fn decrypt(dek: &DekInfo, body: &[u8], passphrase: &SecretString) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let cipher = cipher(&dek.cipher)?;
    let iv = initialisation_vector(&dek.iv)?;
    if body.is_empty() || !body.len().is_multiple_of(16) {
        return Err(damaged("its length is not a whole number of blocks"));
    }
    let (size, _) = cipher.key_and_iv_size().unwrap_or_default();
    let key = derive(passphrase, &iv[..8], size);
    let mut plain = Zeroizing::new(body.to_vec());
    cipher.decrypt(&key, &iv, &mut plain, None).map_err(|_| KeyError::WrongPassphrase)?;
    unpad(&mut plain)?;
    Ok(plain)
}

fn cipher(name: &str) -> Result<Cipher, KeyError> {
    match name {
        "AES-128-CBC" => Ok(Cipher::Aes128Cbc),
        "AES-192-CBC" => Ok(Cipher::Aes192Cbc),
        "AES-256-CBC" => Ok(Cipher::Aes256Cbc),
        other => Err(KeyError::UnsupportedCipher(other.to_owned())),
    }
}

fn initialisation_vector(hex: &str) -> Result<[u8; 16], KeyError> {
    let wrong = || damaged("its DEK-Info header holds no initialisation vector");
    let mut iv = [0; 16];
    if hex.len() != 32 || !hex.is_ascii() {
        return Err(wrong());
    }
    for (byte, digits) in iv.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(iv)
}

/// `EVP_BytesToKey` with MD5: digest after digest of (the digest before, passphrase, salt) until there is enough.
fn derive(passphrase: &SecretString, salt: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
    let mut key = Zeroizing::new(Vec::with_capacity(size + 16));
    let mut last = Zeroizing::new([0_u8; 16]);
    while key.len() < size {
        let mut digest = md5::Context::new();
        if !key.is_empty() {
            digest.consume(&last[..]);
        }
        digest.consume(passphrase.expose_secret());
        digest.consume(salt);
        *last = digest.finalize().0;
        key.extend_from_slice(&last[..]);
    }
    key.truncate(size);
    key
}

/// Takes PKCS#7's padding off; anything else there means another passphrase.
fn unpad(plain: &mut Zeroizing<Vec<u8>>) -> Result<(), KeyError> {
    let padding = plain.last().copied().unwrap_or(0);
    let keep = plain.len().checked_sub(usize::from(padding)).ok_or(KeyError::WrongPassphrase)?;
    if !(1..=16).contains(&padding) || plain[keep..].iter().any(|byte| *byte != padding) {
        return Err(KeyError::WrongPassphrase);
    }
    plain.truncate(keep);
    Ok(())
}

fn damaged(reason: &str) -> KeyError {
    KeyError::Damaged { form: "PEM", reason: reason.to_owned() }
}
