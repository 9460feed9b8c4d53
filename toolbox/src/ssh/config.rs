//! The settings of a russh session.

use std::borrow::Cow;

use russh::client::Config;
use russh::{Preferred, SshId, cipher, compression, kex, mac};

use super::host_key::HostKeyPolicy;
use super::{SshError, Target, Timeouts};
use crate::ssh_config::{AlgorithmList, Algorithms};

/// Each list crosses the network in every login, some twice, so that they name what servers have had since OpenSSH 7.4
/// (2016), those in FIPS mode too, and not every kin of it. Post-quantum first.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// For the one cipher without authentication of its own.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM, mac::HMAC_SHA256];

/// Fastest first: AES-GCM costs about 60 % of ChaCha20's time on processors with AES instructions.
const CIPHERS: &[cipher::Name] =
    &[cipher::AES_128_GCM, cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR];

/// With russh's default of 2 MiB a download over 50 ms of distance gets 18 MiB/s, with this 120.
const WINDOW: u32 = 16 << 20;

/// For what engines answer: JSON, which shrinks to a fifth. Not before the login, and only where the host wants it too.
pub(super) const COMPRESSED: &[compression::Name] = &[compression::ZLIB_LEGACY, compression::NONE];

/// For streams that are compressed already.
pub(super) const PLAIN: &[compression::Name] = &[compression::NONE];

const CLIENT_ID: &str = concat!("SSH-2.0-toolbox_", env!("CARGO_PKG_VERSION"));

/// What can be asked for in place of the usual ones.
const ALL_CIPHERS: &[cipher::Name] = &[
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::AES_128_CBC,
    cipher::AES_192_CBC,
    cipher::AES_256_CBC,
];

/// The algorithms of a connection.
pub(super) struct Chosen {
    kex: Vec<kex::Name>,
    ciphers: Vec<cipher::Name>,
    macs: Vec<mac::Name>,
}

impl Chosen {
    /// The usual ones, changed as the target says.
    pub(super) fn of(target: &Target) -> Result<Self, SshError> {
        let Algorithms { kex, ciphers, macs, .. } = &target.algorithms;
        let strict = kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT;
        let all_kex: Vec<kex::Name> = kex::ALL_KEX_ALGORITHMS.iter().map(|name| **name).collect();
        let all_macs: Vec<mac::Name> = mac::ALL_MAC_ALGORITHMS.iter().map(|name| **name).collect();
        let usual_kex: Vec<kex::Name> = KEX.iter().copied().filter(|name| *name != strict).collect();
        let mut kex = changed("KexAlgorithms", kex.as_ref(), &usual_kex, &all_kex, target)?;
        kex.push(strict);
        Ok(Self {
            kex,
            ciphers: changed("Ciphers", ciphers.as_ref(), CIPHERS, ALL_CIPHERS, target)?,
            macs: changed("MACs", macs.as_ref(), MACS, &all_macs, target)?,
        })
    }
}

fn changed<N: AsRef<str> + Copy>(
    key: &'static str,
    list: Option<&AlgorithmList>,
    usual: &[N],
    all: &[N],
    target: &Target,
) -> Result<Vec<N>, SshError> {
    let Some(list) = list else {
        return Ok(usual.to_vec());
    };
    let names =
        |list: &[N]| list.iter().map(|name| name.as_ref().to_owned()).filter(|n| n != "none").collect::<Vec<_>>();
    let (usual, known) = (names(usual), names(all));
    let wanted = list.apply(&text(&usual), &text(&known));
    let found: Vec<N> = wanted.iter().filter_map(|n| all.iter().find(|known| known.as_ref() == *n)).copied().collect();
    if found.is_empty() { Err(none_left(key, list, target)) } else { Ok(found) }
}

fn text(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The error for a list that leaves nothing.
pub(super) fn none_left(key: &'static str, list: &AlgorithmList, target: &Target) -> SshError {
    SshError::NoAlgorithm { address: target.address.clone(), key, list: list.to_string() }
}

/// The settings for a host about which `policy` knows what is on file. With `rsa` the server is asked which signatures
/// it takes (RFC 8308), which only such a key has a choice of.
pub(super) fn config(
    policy: &HostKeyPolicy,
    chosen: &Chosen,
    timeouts: &Timeouts,
    compression: &'static [compression::Name],
    rsa: bool,
) -> Config {
    let extensions = rsa.then_some(kex::EXTENSION_SUPPORT_AS_CLIENT);
    Config {
        client_id: SshId::Standard(Cow::Borrowed(CLIENT_ID)),
        window_size: WINDOW,
        keepalive_interval: Some(timeouts.keepalive_interval).filter(|interval| !interval.is_zero()),
        keepalive_max: timeouts.keepalive_max,
        nodelay: true,
        preferred: Preferred {
            key: Cow::Owned(policy.algorithms()),
            host_key_certificates: Cow::Owned(policy.certificate_algorithms()),
            kex: chosen.kex.iter().copied().chain(extensions).collect(),
            cipher: Cow::Owned(chosen.ciphers.clone()),
            mac: Cow::Owned(chosen.macs.clone()),
            compression: Cow::Borrowed(compression),
        },
        ..Config::default()
    }
}
