//! Which names are allowed, by Compose's and the engine's rules. Pure.

/// What a project's name must be, for messages.
pub(super) const PROJECT_RULE: &str = "a project name holds only a-z, 0-9, - and _ and starts with a letter or a digit";

/// Whether a project's name is valid.
pub(super) fn is_project_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    name.bytes().all(allowed) && !name.starts_with(['-', '_']) && !name.is_empty()
}

/// A directory's name made into a project's name, as Compose does it; empty when nothing is left.
pub(super) fn normalized(directory: &str) -> String {
    let lower = directory.to_lowercase();
    let kept: String =
        lower.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_')).collect();
    kept.trim_start_matches(['-', '_']).to_owned()
}

/// Whether a service, network or volume may have this key.
pub(super) fn is_key(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Whether the engine takes this as the name of a container, network or volume.
pub(super) fn is_engine_name(name: &str) -> bool {
    is_key(name) && name.len() > 1 && name.as_bytes()[0].is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::{is_engine_name, is_key, is_project_name, normalized};

    #[test]
    fn project_names_follow_composes_rule() {
        for (name, valid) in [
            ("clock", true),
            ("0-a_b", true),
            ("", false),
            ("-a", false),
            ("_a", false),
            ("A", false),
            ("a.b", false),
            ("ä", false),
        ] {
            assert_eq!(is_project_name(name), valid, "{name}");
        }
    }

    #[test]
    fn directory_names_are_normalized_like_compose_does() {
        for (directory, name) in [("My App.v2", "myappv2"), ("_-x", "x"), ("...", ""), ("Über", "ber")] {
            assert_eq!(normalized(directory), name, "{directory}");
        }
    }

    #[test]
    fn keys_and_engine_names_differ() {
        for (name, key, engine) in [
            ("web", true, true),
            (".web", true, false),
            ("a", true, false),
            ("a b", false, false),
            ("a/b", false, false),
        ] {
            assert_eq!((is_key(name), is_engine_name(name)), (key, engine), "{name}");
        }
    }
}
