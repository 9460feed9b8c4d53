//! What an archive has: its `Packages` files.

use std::collections::{BTreeSet, HashMap};

use super::stanza::{Stanza, stanzas};
use super::{compare, is_safe_path};

/// A package of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it needs: `Pre-Depends` and `Depends`, each a list of alternatives.
    pub needs: Vec<Vec<String>>,
    /// Where its file is, from the archive's beginning.
    pub path: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's SHA-256, hexadecimal.
    pub sha256: String,
    /// Which of the archives it is in: the number given to [`Index::add`].
    pub archive: usize,
}

/// The latest version of each package.
#[derive(Debug, Default)]
pub struct Index {
    packages: HashMap<String, Package>,
    provided: HashMap<String, BTreeSet<String>>,
}

/// A `Packages` file is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("package {package:?}: {reason}")]
pub struct IndexError {
    /// Its name, as far as it has one.
    pub package: String,
    /// What is wrong.
    pub reason: &'static str,
}

impl Index {
    /// Takes the text of a `Packages` file in.
    ///
    /// # Errors
    /// [`IndexError`] for a package without a name, a version, a safe path, a size or a SHA-256.
    pub fn add(&mut self, text: &str, archive: usize) -> Result<(), IndexError> {
        for stanza in stanzas(text) {
            let package = package(&stanza, archive)?;
            let provides = names(stanza.field("Provides").unwrap_or_default());
            for name in provides {
                self.provided.entry(name).or_default().insert(package.name.clone());
            }
            match self.packages.get(&package.name) {
                Some(known) if compare(&known.version, &package.version).is_ge() => {}
                _ => drop(self.packages.insert(package.name.clone(), package)),
            }
        }
        Ok(())
    }

    /// The package of this name.
    pub fn get(&self, name: &str) -> Option<&Package> {
        self.packages.get(name)
    }

    /// The packages that stand for this name, in the order of their names.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = &Package> {
        self.provided.get(name).into_iter().flatten().filter_map(|provider| self.packages.get(provider))
    }
}

fn package(stanza: &Stanza<'_>, archive: usize) -> Result<Package, IndexError> {
    let text = |field| stanza.field(field).unwrap_or_default().to_owned();
    let package = Package {
        name: text("Package"),
        version: text("Version"),
        needs: [text("Pre-Depends"), text("Depends")].iter().flat_map(|list| alternatives(list)).collect(),
        path: text("Filename").trim_start_matches("./").to_owned(),
        size: text("Size").parse().unwrap_or_default(),
        sha256: text("SHA256").to_ascii_lowercase(),
        archive,
    };
    let wrong = |reason| Err(IndexError { package: package.name.clone(), reason });
    if package.name.is_empty() || package.version.is_empty() {
        return wrong("it has no name or no version");
    }
    if !is_safe_path(&package.path) {
        return wrong("its path is not one within the archive");
    }
    if package.size == 0 || package.sha256.len() != 64 || !package.sha256.bytes().all(|c| c.is_ascii_hexdigit()) {
        return wrong("it has no size or no SHA-256");
    }
    Ok(package)
}

fn alternatives(list: &str) -> Vec<Vec<String>> {
    let all = list.split(',').map(|one| one.split('|').filter_map(name).collect::<Vec<_>>());
    all.filter(|one| !one.is_empty()).collect()
}

fn names(list: &str) -> impl Iterator<Item = String> + '_ {
    list.split(',').filter_map(name)
}

/// The name in `libc6:any (>= 2.34) [amd64]`.
fn name(relation: &str) -> Option<String> {
    let name = relation.trim().split([' ', '(', '[', ':', '\t', '\n']).next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A stanza with a file.
    pub(in super::super) fn stanza(name: &str, version: &str, more: &str) -> String {
        let sha256 = "ab".repeat(32);
        format!("Package: {name}\nVersion: {version}\n{more}Filename: pool/{name}.deb\nSize: 5\nSHA256: {sha256}\n\n")
    }

    #[test]
    fn the_latest_version_counts_whichever_archive_it_is_in() {
        let mut index = Index::default();
        index.add(&stanza("a", "1.2", ""), 0).unwrap();
        index.add(&stanza("a", "1.10", "Depends: b (>= 1) | c:any, d\n"), 1).unwrap();
        index.add(&stanza("a", "1.9", ""), 2).unwrap();
        let a = index.get("a").unwrap();
        assert_eq!((a.version.as_str(), a.archive), ("1.10", 1));
        assert_eq!(a.needs, [vec!["b".to_owned(), "c".to_owned()], vec!["d".to_owned()]]);
    }

    #[test]
    fn a_package_whose_file_would_be_elsewhere_is_refused() {
        let mut index = Index::default();
        let text = stanza("a", "1", "").replace("pool/a.deb", "../../etc/passwd");
        assert!(index.add(&text, 0).unwrap_err().to_string().contains("path"));
        assert!(index.add(&stanza("a", "1", "").replace("ab", "xy"), 0).unwrap_err().to_string().contains("SHA-256"));
    }
}
