//! A private key in SSH's wire form, as it stands in OpenSSH's files and in add requests.
//!
//! Contract: the bytes of a reader's first key, and the reader left behind it. ssh-key (0.7.0-rc.11) refuses an ecdsa
//! scalar of less than 32 bytes, and 0.6 any that is short; OpenSSH writes scalars without their leading zeros, so that
//! one P-256 key in 256 and every second P-521 key would be refused. The scalar is therefore padded here first.

use ssh_key::PrivateKey;
use ssh_key::encoding::Decode as _;
use ssh_key::private::KeypairData;
use zeroize::Zeroizing;

/// Longest encoding of an ecdsa key: names, point and scalar of P-521 take 250 bytes.
const LONGEST_ECDSA: usize = 512;

/// Takes a string of SSH's wire form: its length in four bytes, then its bytes.
pub(super) fn take_string<'a>(reader: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = reader.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, rest) = rest.split_at_checked(length)?;
    *reader = rest;
    Some(string)
}

/// Writes a string of SSH's wire form. Nothing here comes near the 4 GiB that its length can say.
pub(super) fn put_string(body: &mut Vec<u8>, bytes: &[u8]) {
    body.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend(bytes);
}

/// Takes a key pair; `None` for what is not one.
pub(super) fn take_keypair(reader: &mut &[u8]) -> Option<KeypairData> {
    match ecdsa_size(take_string(&mut &**reader)?) {
        Some(size) => take_ecdsa(reader, size),
        None => KeypairData::decode(reader).ok(),
    }
}

/// The private key of these bytes, which are nothing else; `None` for what is not one.
pub(super) fn private_key(mut pair: &[u8], comment: Vec<u8>) -> Option<Box<PrivateKey>> {
    let key = take_keypair(&mut pair).filter(|_| pair.is_empty())?;
    PrivateKey::new(key, comment).ok().map(Box::new)
}

/// The bytes of a scalar of the curve.
fn ecdsa_size(algorithm: &[u8]) -> Option<usize> {
    match algorithm {
        b"ecdsa-sha2-nistp256" => Some(32),
        b"ecdsa-sha2-nistp384" => Some(48),
        b"ecdsa-sha2-nistp521" => Some(66),
        _ => None,
    }
}

fn take_ecdsa(reader: &mut &[u8], size: usize) -> Option<KeypairData> {
    let mut padded = Zeroizing::new(Vec::with_capacity(LONGEST_ECDSA));
    for _ in ["algorithm", "curve", "point"] {
        let field = take_string(reader).filter(|field| field.len() <= 140)?;
        put_string(&mut padded, field);
    }
    let scalar = take_string(reader)?;
    let significant = &scalar[scalar.iter().take_while(|byte| **byte == 0).count()..];
    let zeros = size.checked_sub(significant.len())?;
    padded.extend(u32::try_from(size).ok()?.to_be_bytes());
    padded.extend(std::iter::repeat_n(0, zeros).chain(significant.iter().copied()));
    let mut rest = padded.as_slice();
    KeypairData::decode(&mut rest).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use ssh_key::private::EcdsaKeypair;

    use super::*;

    #[test]
    fn a_scalar_without_its_leading_zeros_is_read() {
        // P-256's key pairs of the scalars 1 (the generator is the point) and, spelled in full, 1 again.
        let point = concat!(
            "04",
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
        );
        let point: Vec<u8> =
            (0..point.len()).step_by(2).map(|at| u8::from_str_radix(&point[at..at + 2], 16).unwrap()).collect();
        let full = [&[0; 32][..], &[1]].concat();
        for scalar in [&[1][..], &full] {
            let mut wire = Vec::new();
            for field in [b"ecdsa-sha2-nistp256", &b"nistp256"[..], &point, scalar] {
                put_string(&mut wire, field);
            }
            wire.extend(b"behind");
            let mut reader = wire.as_slice();
            let key = take_keypair(&mut reader).unwrap();
            assert_eq!(reader, b"behind");
            let Some(EcdsaKeypair::NistP256 { private, .. }) = key.ecdsa() else { panic!("a P-256 key") };
            assert_eq!(private.as_slice(), &full[1..]);
            let key = ssh_key::PrivateKey::new(key, "").unwrap();
            assert!(crate::agent::keyring::signer::SealedKey::seal(&key).is_some());
        }
    }

    #[test]
    fn lengths_that_lie_take_nothing() {
        for bytes in [&[][..], &[0, 0, 0], &[0, 0, 0, 2, 1], &[255, 255, 255, 255, 1]] {
            assert_eq!(take_string(&mut &*bytes), None);
            assert!(take_keypair(&mut &*bytes).is_none());
        }
    }
}
