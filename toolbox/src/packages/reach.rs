//! What a package manager says where it cannot reach its archive, as distinct from an archive that lacks something or
//! is not signed.

/// What apt, dnf and apk say of names and connections, in lower case.
const WORDS: [&str; 18] = [
    "temporary failure resolving",
    "could not resolve",
    "something wicked happened resolving",
    "could not connect to",
    "unable to connect to",
    "cannot initiate the connection to",
    "connection timed out",
    "connection failed",
    "connection refused",
    "network is unreachable",
    "no route to host",
    // curl, under dnf
    "failed to connect to",
    "could not resolve host",
    "connection timeout",
    // libfetch, under apk
    "dns lookup error",
    "dns: transient error",
    "network error (check internet connection",
    "temporary error (try again later)",
];

/// Collects what a package manager said of archives that it did not reach.
#[derive(Debug, Default)]
pub(super) struct Unreached {
    said: Option<String>,
}

impl Unreached {
    /// Takes a line of its output in.
    pub(super) fn read(&mut self, line: &str) {
        let lower = line.to_lowercase();
        if self.said.is_none() && WORDS.iter().any(|words| lower.contains(words)) {
            self.said = Some(line.trim().to_owned());
        }
    }

    /// The first line that said so.
    pub(super) fn said(self) -> Option<String> {
        self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreached(line: &str) -> bool {
        let mut unreached = Unreached::default();
        unreached.read(line);
        unreached.said().is_some()
    }

    #[test]
    fn an_archive_out_of_reach_is_told_from_one_that_answers() {
        for line in [
            "W: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.debian.org'",
            "  Could not connect to deb.debian.org:80 (192.0.2.1), connection timed out",
            "  Cannot initiate the connection to deb.debian.org:80 (2001:db8::1). - connect (101: Network is unreachable)",
            "  Unable to connect to deb.debian.org:http:",
            "Errors during downloading metadata: Curl error (6): Couldn't resolve: Could not resolve host: x",
            "WARNING: Ignoring https://dl-cdn.alpinelinux.org/alpine/v3.20/main: DNS lookup error",
        ] {
            assert!(unreached(line), "{line}");
        }
        for line in [
            "E: The repository 'http://x bookworm Release' does not have a Release file.",
            "  404  Not Found [IP: 192.0.2.1 80]",
            "W: GPG error: http://x bookworm InRelease: The following signatures couldn't be verified: NO_PUBKEY 0E98",
            "E: Release file for http://x/InRelease is expired (invalid since 9d).",
            "E: Unable to locate package docker.io",
        ] {
            assert!(!unreached(line), "{line}");
        }
    }
}
