//! Names of entries, normalised without ever touching a file system.

/// Joins a relative path onto a folder (both with `/`), resolving `.` and `..`. `None` where the result
/// is absolute or leaves the root. The root itself is the empty text.
pub(super) fn join(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// An entry's own name: like [`join`] onto the root, but any `..` is refused.
pub(super) fn entry(name: &str) -> Option<String> {
    if name.split('/').any(|part| part == "..") { None } else { join("", name) }
}

/// The folder in which an entry lies.
pub(super) fn folder(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_root() {
        for (folder, path, expected) in [
            ("", "./manifest.json", Some("manifest.json")),
            ("", "a//b/", Some("a/b")),
            ("", "./", Some("")),
            ("a", "../b/layer.tar", Some("b/layer.tar")),
            ("a/b", "./../c", Some("a/c")),
            ("a", "../../b", None),
            ("", "..", None),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(join(folder, path).as_deref(), expected, "{folder} + {path}");
        }
    }

    #[test]
    fn entry_names_have_no_parent_steps() {
        assert_eq!(entry("a/../b"), None);
        assert_eq!(entry("/a"), None);
        assert_eq!(entry("./a..b/c").as_deref(), Some("a..b/c"));
        assert_eq!(folder("a/b/c"), "a/b");
        assert_eq!(folder("c"), "");
    }
}
