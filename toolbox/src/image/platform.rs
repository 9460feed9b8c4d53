//! What an image runs on, and which of several images a host gets.
//!
//! Contract: the words are Go's, as the OCI image-spec has them (image-index.md, `platform`). Variants of one
//! processor are ordered: a host runs what was made for its own or an older one.

use std::fmt;

/// What an image runs on, in Go's words (`linux`, `arm64`, `v8`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// The operating system.
    pub os: String,
    /// The processor.
    pub architecture: String,
    /// Its variant, where the image names one.
    pub variant: Option<String>,
}

impl Platform {
    /// How well an image of this platform fits a host: more is better, `None` is not at all. `variant` is the host's;
    /// empty where it is not known, and then images that name none go before those that do.
    pub fn fits(&self, architecture: &str, variant: &str) -> Option<u32> {
        if self.architecture != architecture {
            return None;
        }
        let own = self.variant.as_deref().and_then(number).unwrap_or_else(|| usual(architecture));
        match number(variant) {
            Some(host) => (own <= host).then_some(own),
            None => Some(u32::MAX - own.abs_diff(usual(architecture))),
        }
    }
}

/// `v7` and `v7l` are 7.
fn number(variant: &str) -> Option<u32> {
    let digits = variant.trim_start_matches('v');
    digits.chars().next().and_then(|digit| digit.to_digit(10))
}

/// What is meant where no variant is named (containerd, platforms/database.go).
fn usual(architecture: &str) -> u32 {
    match architecture {
        "arm" => 7,
        "arm64" => 8,
        _ => 1,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(architecture: &str, variant: &str) -> Platform {
        let variant = (!variant.is_empty()).then(|| variant.to_owned());
        Platform { os: "linux".into(), architecture: architecture.into(), variant }
    }

    #[test]
    fn host_gets_its_own_variant_or_the_nearest_older_one() {
        for (host, offered, best) in [
            (("arm", "v7"), &[("arm", "v5"), ("arm", "v6"), ("arm", "v7"), ("arm64", "v8")][..], Some(2)),
            (("arm", "v6"), &[("arm", "v5"), ("arm", "v7")][..], Some(0)),
            (("arm", "v6"), &[("arm", "")][..], None),
            (("arm", ""), &[("arm", "v5"), ("arm", "v7")][..], Some(1)),
            (("arm64", "v8"), &[("amd64", ""), ("arm64", "")][..], Some(1)),
            (("arm64", ""), &[("arm64", "v9"), ("arm64", "v8")][..], Some(1)),
            (("amd64", ""), &[("amd64", "v3"), ("amd64", ""), ("386", "")][..], Some(1)),
            (("riscv64", ""), &[("amd64", "")][..], None),
        ] {
            let fits = |(architecture, variant): &(&str, &str)| platform(architecture, variant).fits(host.0, host.1);
            let scored = offered.iter().enumerate().filter_map(|(n, offer)| Some((fits(offer)?, n)));
            assert_eq!(scored.max().map(|(_, n)| n), best, "{host:?} of {offered:?}");
        }
    }

    #[test]
    fn it_is_shown_as_docker_shows_it() {
        assert_eq!(platform("arm", "v7").to_string(), "linux/arm/v7");
        assert_eq!(platform("amd64", "").to_string(), "linux/amd64");
    }
}
