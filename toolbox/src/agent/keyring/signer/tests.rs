use std::path::Path;
use std::process::Command;

use ssh_key::private::{EcdsaKeypair, Ed25519Keypair};

use super::*;

const SHA1: u32 = 0;

fn generate(directory: &Path, kind: &[&str]) -> PrivateKey {
    let path = directory.join(kind.join(""));
    let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-f"]).arg(&path).arg("-t").args(kind).status();
    assert!(made.unwrap().success(), "{kind:?}");
    *crate::agent::parse(&std::fs::read(path).unwrap(), None).unwrap()
}

/// An rsa key as openssl makes it, for what ssh-keygen does not offer.
fn openssl_rsa(directory: &Path, arguments: &[&str]) -> PrivateKey {
    let path = directory.join("rsa.pem");
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-quiet", "-algorithm", "rsa"]).args(arguments).arg("-out").arg(&path);
    assert!(openssl.status().unwrap().success());
    *crate::agent::parse(&std::fs::read(path).unwrap(), None).unwrap()
}

/// The signature's algorithm, after it was verified with the public half.
#[track_caller]
fn verified(key: &PrivateKey, flags: u32) -> String {
    let data = b"what is signed";
    let blob = SealedKey::seal(key).unwrap().sign(data, flags).unwrap();
    let signature = Signature::try_from(blob.as_slice()).unwrap();
    key.public_key().key_data().verify(data, &signature).unwrap();
    assert!(key.public_key().key_data().verify(b"something else", &signature).is_err());
    signature.algorithm().to_string()
}

#[test]
fn every_type_signs_with_its_own_algorithm_whatever_the_flags() {
    let directory = tempfile::tempdir().unwrap();
    let types: [(&[&str], &str); 4] = [
        (&["ed25519"], "ssh-ed25519"),
        (&["ecdsa", "-b", "256"], "ecdsa-sha2-nistp256"),
        (&["ecdsa", "-b", "384"], "ecdsa-sha2-nistp384"),
        (&["ecdsa", "-b", "521"], "ecdsa-sha2-nistp521"),
    ];
    for (kind, algorithm) in types {
        let key = generate(directory.path(), kind);
        for flags in [SHA1, RSA_SHA2_256, RSA_SHA2_512] {
            assert_eq!(verified(&key, flags), algorithm);
        }
    }
}

#[test]
fn rsa_takes_the_hash_that_the_flags_ask_for_and_sha256_first() {
    let directory = tempfile::tempdir().unwrap();
    let key = generate(directory.path(), &["rsa", "-b", "2048"]);
    let flags = [(SHA1, "ssh-rsa"), (2, "rsa-sha2-256"), (4, "rsa-sha2-512"), (6, "rsa-sha2-256"), (9, "ssh-rsa")];
    for (flags, algorithm) in flags {
        assert_eq!(verified(&key, flags), algorithm, "{flags}");
    }
}

#[test]
fn rsa_keys_of_odd_sizes_and_exponents_sign() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = ["rsa_keygen_bits:2055", "rsa_keygen_bits:3072"];
    let exponents = ["rsa_keygen_pubexp:3", "rsa_keygen_pubexp:65539"];
    for (size, exponent) in sizes.iter().zip(exponents) {
        let key = openssl_rsa(directory.path(), &["-pkeyopt", size, "-pkeyopt", exponent]);
        assert_eq!(verified(&key, RSA_SHA2_512), "rsa-sha2-512", "{size} {exponent}");
    }
}

#[test]
fn both_ways_to_sign_give_the_same_rsa_signature() {
    // PKCS#1 v1.5 leaves no choice, so that any difference would be an error of one of them.
    let directory = tempfile::tempdir().unwrap();
    let key = generate(directory.path(), &["rsa", "-b", "2048"]);
    let sealed = SealedKey::seal(&key).unwrap();
    for flags in [RSA_SHA2_256, RSA_SHA2_512] {
        let quick = sealed.sign_by_aws_lc(b"data", flags);
        assert!(quick.is_some());
        assert_eq!(quick, sealed.sign_by_ssh_key(b"data", flags));
    }
    assert!(sealed.sign_by_aws_lc(b"data", SHA1).is_none());
}

#[test]
fn ecdsa_numbers_have_no_needless_zeros_and_are_never_negative() {
    let key = PrivateKey::from(EcdsaKeypair::random(&mut russh::keys::key::safe_rng(), EcdsaCurve::NistP521).unwrap());
    let sealed = SealedKey::seal(&key).unwrap();
    // One number in 256 is a byte short, one in two has the first bit of P-521's 66 bytes' second.
    for number in 0..300_u32 {
        let data = number.to_be_bytes();
        let signature = sealed.sign(&data, 0).unwrap();
        let signature = Signature::try_from(signature.as_slice()).expect("numbers are well-formed");
        key.public_key().key_data().verify(&data, &signature).unwrap();
    }
    for (number, wire) in
        [(&[0, 0][..], &[0, 0, 0, 0][..]), (&[0, 1], &[0, 0, 0, 1, 1]), (&[128], &[0, 0, 0, 2, 0, 128])]
    {
        let mut body = Vec::new();
        put_number(&mut body, number);
        assert_eq!(body, wire);
    }
}

#[test]
fn halves_that_do_not_belong_together_are_not_sealed() {
    let mut pair = Ed25519Keypair::from_seed(&[1; 32]);
    pair.public = Ed25519Keypair::from_seed(&[2; 32]).public;
    assert!(SealedKey::seal(&PrivateKey::new(KeypairData::Ed25519(pair), "").unwrap()).is_none());
    let directory = tempfile::tempdir().unwrap();
    let one = generate(directory.path(), &["rsa", "-b", "2048"]);
    let other = generate(directory.path(), &["rsa", "-b", "2049"]);
    let (one, other) = (one.key_data().rsa().unwrap(), other.key_data().rsa().unwrap());
    let mixed = ssh_key::private::RsaKeypair::new(one.public().clone(), other.private().clone()).unwrap();
    assert!(SealedKey::seal(&PrivateKey::new(KeypairData::Rsa(mixed), "").unwrap()).is_none());
}

/// Takes a minute without optimisation: `cargo nextest run --release --run-ignored all rsa_keys_above`.
#[test]
#[ignore = "slow without optimisation"]
fn rsa_keys_above_8192_bits_sign() {
    let directory = tempfile::tempdir().unwrap();
    let key = generate(directory.path(), &["rsa", "-b", "8200"]);
    let blob = SealedKey::seal(&key).unwrap().sign(b"data", RSA_SHA2_512).unwrap();
    let signature = Signature::try_from(blob.as_slice()).unwrap();
    assert_eq!(signature.as_bytes().len(), 1025);
}
