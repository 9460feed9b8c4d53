//! A package and everything that it needs.

use std::collections::{BTreeMap, VecDeque};

use super::{Index, Package};

/// Something that is needed is not in the archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{needed_by} needs {}, which the archive does not have", names.join(" or "))]
pub struct Unmet {
    /// The package that needs it; empty for a package that was asked for itself.
    pub needed_by: String,
    /// The alternatives.
    pub names: Vec<String>,
}

/// The packages of these names and everything that they need, by name.
///
/// Of alternatives the first is taken that the archive has, as apt does where none is installed; for a name that no
/// package has, one that provides it: one that is needed anyway, else the first by name. Nothing is left out as
/// "surely installed": a host may have an earlier version than the one that is needed.
///
/// # Errors
/// [`Unmet`].
pub fn closure<'a>(index: &'a Index, wanted: &[&str]) -> Result<BTreeMap<&'a str, &'a Package>, Unmet> {
    let mut found: BTreeMap<&str, &Package> = BTreeMap::new();
    let mut open: VecDeque<(&str, Vec<String>)> = VecDeque::new();
    open.extend(wanted.iter().map(|name| ("the bundle", vec![(*name).to_owned()])));
    while let Some((needed_by, names)) = open.pop_front() {
        let Some(package) = names.iter().find_map(|name| choose(index, &found, name)) else {
            return Err(Unmet { needed_by: needed_by.to_owned(), names });
        };
        if found.insert(&package.name, package).is_none() {
            open.extend(package.needs.iter().map(|names| (package.name.as_str(), names.clone())));
        }
    }
    Ok(found)
}

fn choose<'a>(index: &'a Index, found: &BTreeMap<&str, &'a Package>, name: &str) -> Option<&'a Package> {
    let needed_anyway = || index.providers(name).find(|package| found.contains_key(package.name.as_str()));
    index.get(name).or_else(needed_anyway).or_else(|| index.providers(name).next())
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::stanza;
    use super::*;

    fn index(packages: &[(&str, &str)]) -> Index {
        let mut index = Index::default();
        for (name, more) in packages {
            index.add(&stanza(name, "1", more), 0).unwrap();
        }
        index
    }

    #[test]
    fn everything_that_is_needed_comes_along_once() {
        let index = index(&[
            ("docker.io", "Depends: libc6 (>= 2), containerd, logger | x\nPre-Depends: init\n"),
            ("libc6", "Depends: libgcc\n"),
            ("libgcc", "Depends: libc6\n"),
            ("containerd", "Depends: missing | runc\n"),
            ("runc", ""),
            ("init", ""),
            ("rsyslog", "Provides: logger (= 1)\n"),
            ("unwanted", "Provides: logger\n"),
        ]);
        let found: Vec<&str> = closure(&index, &["docker.io"]).unwrap().into_keys().collect();
        assert_eq!(found, ["containerd", "docker.io", "init", "libc6", "libgcc", "rsyslog", "runc"]);
    }

    #[test]
    fn a_provider_that_is_needed_anyway_is_enough() {
        let index = index(&[("a", "Depends: zeta, awk\n"), ("zeta", "Provides: awk\n"), ("mawk", "Provides: awk\n")]);
        assert_eq!(closure(&index, &["a"]).unwrap().len(), 2);
    }

    #[test]
    fn what_is_missing_is_named_with_who_needs_it() {
        let index = index(&[("a", "Depends: b | c\n")]);
        let unmet = closure(&index, &["a"]).unwrap_err();
        assert_eq!(unmet.to_string(), "a needs b or c, which the archive does not have");
        assert!(closure(&index, &["z"]).unwrap_err().to_string().starts_with("the bundle needs z"));
    }
}
