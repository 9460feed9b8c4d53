//! Why a package manager fails, told from its own words.

use super::family::APT_WAIT;

/// What stood in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another process kept the lock.
    #[error("the package manager was kept busy for {APT_WAIT} s: {who}")]
    Locked {
        /// Which process holds which lock.
        who: String,
    },
    /// The clock is behind the archive's signatures.
    #[error("the host's clock is wrong: the archive's index {index} is from the future there")]
    ClockBehind {
        /// Address and suite.
        index: String,
    },
    /// The clock is ahead, or the archive is stale.
    #[error("the archive's index {index} has expired by the host's clock")]
    Expired {
        /// Address and suite.
        index: String,
    },
    /// A web page where an index was expected.
    #[error("something between the host and its package archive answers in its place, as login pages of networks do")]
    Portal,
    /// A file is not what the signed index says.
    #[error("the package archive sent a file that is not the one its signed index names")]
    WrongContent,
    /// A signature that is not good.
    #[error("the package archive's signature cannot be verified with the keys that the host trusts")]
    Signature,
    /// The archive has no such release.
    #[error("the package archive has no {suite}")]
    NoRelease {
        /// Address and suite.
        suite: String,
    },
    /// The archive is out of order.
    #[error("the package archive answers {answer}")]
    ArchiveDown {
        /// Status and words of HTTP.
        answer: String,
    },
    /// The archive cannot be reached.
    #[error("the host cannot reach its package archive")]
    NoNetwork,
    /// No room.
    #[error("the host's disk is full")]
    DiskFull,
    /// A file system that cannot be written to.
    #[error("the host's file system is read-only")]
    ReadOnly,
    /// Packages that somebody holds back.
    #[error("packages on the host stand in the way: held, or of versions that do not fit")]
    Held,
    /// Packages half-installed by somebody else.
    #[error("packages on the host are broken since before")]
    Broken,
    /// No such package.
    #[error("the host's package archives offer no Docker")]
    NotOffered,
}

impl Fault {
    /// The fault that the last lines of output tell of; the one that explains others comes first.
    pub(super) fn recognise(lines: &[String]) -> Option<Self> {
        let text = lines.join("\n");
        SIGNS.iter().find_map(|(sign, make)| {
            let line = lines.iter().find(|line| sign.iter().any(|words| line.contains(words)))?;
            make(line, &text)
        })
    }

    /// The next step.
    pub fn hint(&self) -> String {
        match self {
            Self::Locked { .. } => "wait until that process has ended, and run it again".into(),
            Self::ClockBehind { .. } => {
                "set the clock on the host: timedatectl set-ntp true; or: date --set TIME".into()
            }
            Self::Expired { .. } => "see the clock on the host: date; where it is right the archive is stale: use \
                                     another mirror in /etc/apt/sources.list*"
                .into(),
            Self::Portal => "see on the host what the network wants: curl -i http://deb.debian.org/; a proxy belongs \
                             into /etc/apt/apt.conf.d"
                .into(),
            Self::WrongContent => "a mirror that is just being updated, or a cache in between: run it again later, or \
                                   use another mirror in /etc/apt/sources.list*"
                .into(),
            Self::Signature => "see which key is missing or has expired, in the lines above; the distribution's own \
                                come with its keyring package (debian-archive-keyring, ubuntu-keyring)"
                .into(),
            Self::NoRelease { .. } => {
                "is the release misspelt, or past its end of life? see /etc/apt/sources.list* on \
                                       the host"
                    .into()
            }
            Self::ArchiveDown { .. } => "run it again later, or use another mirror in /etc/apt/sources.list*".into(),
            Self::NoNetwork => {
                "check its network, its name servers and /etc/apt/sources.list*; or install Docker there by hand".into()
            }
            Self::DiskFull => "make room on the host's disk: df -h; apt-get clean".into(),
            Self::ReadOnly => "see why on the host: dmesg | grep -i 'read-only'; mount".into(),
            Self::Held => "the lines above name them; which are held: apt-mark showhold; let them go: apt-mark unhold \
                           PACKAGE"
                .into(),
            Self::Broken => "mend them on the host: apt-get --fix-broken install, and dpkg --configure -a".into(),
            Self::NotOffered => "see on the host: apt-cache policy docker.io (Ubuntu: add-apt-repository universe; \
                                 Alpine: the community repository; Debian 9 has none)"
                .into(),
        }
    }
}

type Make = fn(&str, &str) -> Option<Fault>;

/// Words of apt, dpkg, dnf and apk, and what they tell.
const SIGNS: [(&[&str], Make); 15] = [
    (&["E: waited "], |line, _| Some(Fault::Locked { who: after(line, "s: ").to_owned() })),
    (&["No space left on device", "You don't have enough free space"], |_, _| Some(Fault::DiskFull)),
    (&["Read-only file system"], |_, _| Some(Fault::ReadOnly)),
    (&["is not valid yet"], |line, _| Some(Fault::ClockBehind { index: index(line) })),
    (&["is expired (invalid since"], |line, _| Some(Fault::Expired { index: index(line) })),
    (&["NOSPLIT", "does the network require authentication"], |_, _| Some(Fault::Portal)),
    (&["NO_PUBKEY", "EXPKEYSIG", "BADSIG", "REVKEYSIG", "GPG check FAILED", "UNTRUSTED signature"], |_, _| {
        Some(Fault::Signature)
    }),
    (&["Hash Sum mismatch", "File has unexpected size", "Hashes of"], |_, _| Some(Fault::WrongContent)),
    (&["have held broken packages", "Held packages were changed"], |_, _| Some(Fault::Held)),
    (&["Unmet dependencies", "fix-broken"], |_, _| Some(Fault::Broken)),
    (&["Temporary failure resolving", "Could not resolve", "Could not connect", "Unable to connect"], |_, _| {
        Some(Fault::NoNetwork)
    }),
    (&["Network is unreachable", "onnection timed out", "temporary error (try again later)"], |_, _| {
        Some(Fault::NoNetwork)
    }),
    (&[" 500 ", " 502 ", " 503 ", " 504 "], |line, _| Some(Fault::ArchiveDown { answer: answer(line)? })),
    (&["Release' does not have", "Release' no longer has", " 404 "], |line, _| {
        Some(Fault::NoRelease { suite: quoted(line).trim_end_matches(" Release").to_owned() })
    }),
    (
        &["Unable to locate package", "no installation candidate", "No match for argument", "(no such package)"],
        |_, text| Some(if text.contains("Failed to fetch") { Fault::NoNetwork } else { Fault::NotOffered }),
    ),
];

fn after<'a>(line: &'a str, mark: &str) -> &'a str {
    line.split_once(mark).map_or(line, |(_, rest)| rest)
}

/// What stands in quotes, or else the first address.
fn quoted(line: &str) -> &str {
    let quoted = line.split('\'').nth(1).filter(|text| text.contains("://"));
    quoted.or_else(|| line.split_whitespace().find(|word| word.contains("://"))).unwrap_or("such release")
}

/// `E: Release file for URL is not valid yet (…). …` and its kin: the URL, and how far it is off.
fn index(line: &str) -> String {
    let off = line.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(off, _)| off);
    let url = quoted(line);
    if off.is_empty() { url.to_owned() } else { format!("{url} ({off})") }
}

/// Status and words of an HTTP answer: `503  Service Unavailable [IP: …]`.
fn answer(line: &str) -> Option<String> {
    let at = [" 500 ", " 502 ", " 503 ", " 504 "].iter().find_map(|status| line.find(status))?;
    let answer = line[at..].split('[').next().unwrap_or_default();
    Some(answer.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
