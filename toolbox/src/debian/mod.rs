//! Ring 0: Debian's package archives as values: signed releases, indices, versions, what a package needs.
//!
//! Contract: nothing of an archive is believed before its release's signature was verified against a keyring
//! ([`signed_text`]); what follows is chained to it by SHA-256. Names that become paths are checked. No I/O.
//! Formats: deb-control(5), deb-version(7), <https://wiki.debian.org/DebianRepository/Format>.
//! Absent on purpose: conflicts, recommendations, restrictions on versions: apt on the host decides.

mod closure;
mod index;
mod release;
mod signature;
mod stanza;
mod version;

pub use closure::{Unmet, closure};
pub use index::{Index, IndexError, Package};
pub use release::{File, Release, ReleaseError};
pub use signature::{SignatureError, signed_text};
pub use version::compare;

/// Whether a text is a relative path that stays below its beginning and needs no quoting anywhere.
pub fn is_safe_path(path: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || "+-._~%:,=@".contains(c);
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(safe);
    path.len() <= 1024 && path.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_safe() {
        for safe in ["pool/main/d/docker.io/docker.io_20.10%2b1~deb12u1_amd64.deb", "InRelease", "a/b+c"] {
            assert!(is_safe_path(safe), "{safe}");
        }
        for unsafe_ in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a b", "a'b", "a\nb", "a\\b", "ä"] {
            assert!(!is_safe_path(unsafe_), "{unsafe_:?}");
        }
    }
}
