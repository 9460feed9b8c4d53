//! A release of an archive: which files it has, with their sizes and hashes.

use std::collections::BTreeMap;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::is_safe_path;
use super::stanza::{Stanza, stanzas};

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// From the release's directory.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

/// A `Release` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Such as `Debian`; may be empty.
    pub origin: String,
    /// Such as `bookworm`.
    pub codename: String,
    /// Such as `stable`.
    pub suite: String,
    /// Such as `amd64`.
    pub architectures: Vec<String>,
    /// Seconds of the Unix epoch after which it must not be used any more.
    pub valid_until: Option<i64>,
    /// Files can be fetched by their hash.
    pub by_hash: bool,
    /// Packages for all architectures are listed among those of each.
    pub lists_all: bool,
    files: BTreeMap<String, File>,
}

/// A `Release` file is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// No hashes that count today.
    #[error("it lists no files with SHA-256")]
    NoFiles,
    /// A line of the list.
    #[error("it has a line that names no file: {line:?}")]
    Line {
        /// The line.
        line: String,
    },
    /// A date.
    #[error("Valid-Until is no date: {text:?}")]
    Date {
        /// What stands there.
        text: String,
    },
}

impl Release {
    /// Reads the signed text.
    ///
    /// # Errors
    /// [`ReleaseError`].
    pub fn read(text: &str) -> Result<Self, ReleaseError> {
        let text = text.replace("\r\n", "\n");
        let stanza = stanzas(&text).next().ok_or(ReleaseError::Empty)?;
        let words = |field| stanza.field(field).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
        let word = |field| stanza.field(field).unwrap_or_default().to_owned();
        let architectures: Vec<String> = words("Architectures");
        let separate = architectures.iter().any(|architecture| architecture == "all");
        Ok(Self {
            origin: word("Origin"),
            codename: word("Codename"),
            suite: word("Suite"),
            valid_until: stanza.field("Valid-Until").map(date).transpose()?,
            by_hash: word("Acquire-By-Hash") == "yes",
            lists_all: !separate || word("No-Support-for-Architecture-all").contains("Packages"),
            architectures,
            files: files(&stanza)?,
        })
    }

    /// The file of this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// The list of packages of a component and an architecture, in the smallest form that there is.
    pub fn packages(&self, component: &str, architecture: &str) -> Option<&File> {
        let path = format!("{component}/binary-{architecture}/Packages");
        [".xz", ".gz", ""].iter().find_map(|ending| self.file(&format!("{path}{ending}")))
    }
}

fn files(stanza: &Stanza<'_>) -> Result<BTreeMap<String, File>, ReleaseError> {
    let list = stanza.field("SHA256").ok_or(ReleaseError::NoFiles)?;
    let lines = list.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| file(line).ok_or_else(|| ReleaseError::Line { line: line.trim().to_owned() })).collect()
}

fn file(line: &str) -> Option<(String, File)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [sha256, size, path] = words[..] else { return None };
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|c| c.is_ascii_hexdigit());
    let (size, path) = (size.parse().ok()?, path.to_owned());
    let file = File { path: path.clone(), size, sha256: sha256.to_ascii_lowercase() };
    (is_hash && is_safe_path(&path)).then_some((path, file))
}

/// `Sat, 11 Jul 2026 10:16:37 UTC`
fn date(text: &str) -> Result<i64, ReleaseError> {
    let parsed = OffsetDateTime::parse(&text.replace("UTC", "GMT"), &Rfc2822);
    parsed.map(OffsetDateTime::unix_timestamp).map_err(|_| ReleaseError::Date { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(list: &str) -> String {
        format!(
            "Origin: Debian\r\nSuite: stable\r\nCodename: bookworm\r\nArchitectures: all amd64\r\n\
             Valid-Until: Sat, 01 Jan 2000 00:00:10 UTC\r\nAcquire-By-Hash: yes\r\nSHA256:\r\n{list}"
        )
    }

    #[test]
    fn a_release_says_what_it_is_and_what_it_has() {
        let hash = "0a".repeat(32);
        let list = format!(" {hash} 12 main/binary-amd64/Packages.gz\r\n {hash} 9 main/binary-amd64/Packages.xz\r\n");
        let release = Release::read(&text(&list)).unwrap();
        assert_eq!((release.codename.as_str(), release.suite.as_str()), ("bookworm", "stable"));
        assert_eq!(release.architectures, ["all", "amd64"]);
        assert_eq!(release.valid_until, Some(946_684_810));
        assert_eq!(release.packages("main", "amd64").unwrap().size, 9);
        assert_eq!(release.packages("main", "arm64"), None);
        assert!(release.by_hash && !release.lists_all);
        let without = text(&list).replace("all amd64", "amd64");
        assert!(Release::read(&without).unwrap().lists_all, "nothing else can have them");
    }

    #[test]
    fn lists_that_are_none_are_refused() {
        let hash = "0a".repeat(32);
        for list in [format!(" {hash} 12 ../x\n"), format!(" {hash} x main\n"), " 00 1 main\n".to_owned()] {
            assert!(matches!(Release::read(&text(&list)), Err(ReleaseError::Line { .. })), "{list}");
        }
        assert_eq!(Release::read("Origin: x\n"), Err(ReleaseError::NoFiles));
        assert_eq!(Release::read(""), Err(ReleaseError::Empty));
        let late = text("").replace("Jan", "Foo");
        assert!(matches!(Release::read(&late), Err(ReleaseError::Date { .. })));
    }
}
