//! The settings of a russh session.

use std::borrow::Cow;

use russh::client::Config;
use russh::{Preferred, SshId, cipher, compression, kex, mac};

use super::Timeouts;
use super::host_key::HostKeyPolicy;

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

/// The settings for a host about which `policy` knows what is on file. With `rsa` the server is asked which signatures
/// it takes (RFC 8308), which only such a key has a choice of.
pub(super) fn config(
    policy: &HostKeyPolicy,
    timeouts: &Timeouts,
    compression: &'static [compression::Name],
    rsa: bool,
) -> Config {
    let extensions = rsa.then_some(kex::EXTENSION_SUPPORT_AS_CLIENT);
    Config {
        client_id: SshId::Standard(Cow::Borrowed(CLIENT_ID)),
        window_size: WINDOW,
        keepalive_interval: Some(timeouts.keepalive_interval),
        keepalive_max: timeouts.keepalive_max,
        nodelay: true,
        preferred: Preferred {
            key: Cow::Owned(policy.algorithms()),
            host_key_certificates: Cow::Owned(policy.certificate_algorithms()),
            kex: KEX.iter().copied().chain(extensions).collect(),
            cipher: Cow::Borrowed(CIPHERS),
            mac: Cow::Borrowed(MACS),
            compression: Cow::Borrowed(compression),
        },
        ..Config::default()
    }
}
