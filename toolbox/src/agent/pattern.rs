//! Patterns with `*` and `?`, as OpenSSH matches users, hosts and principals with them (match.c, `match_pattern`).
//!
//! Contract: case counts, `*` is any number of bytes, `?` is one, and nothing else is special. No pattern costs more
//! than the product of both lengths: who lets others choose both bounds them, by [`LONGEST_NAME`].

/// Longest name of a host or a user that is matched, in bytes: `NI_MAXHOST` of getnameinfo(3). No resolver gives more.
pub(crate) const LONGEST_NAME: usize = 1025;

/// Whether the whole of `text` fits the pattern.
pub(crate) fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    // Where to go on when a guess at the length of the last `*` was wrong.
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match (pattern.get(next), retry) {
            (Some(b'*'), _) => {
                next += 1;
                retry = Some((at, next));
            }
            (Some(wanted), _) if *wanted == b'?' || *wanted == text[at] => (at, next) = (at + 1, next + 1),
            (_, Some((start, after))) => {
                (at, next) = (start + 1, after);
                retry = Some((at, after));
            }
            (_, None) => return false,
        }
    }
    pattern[next..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_match_as_in_openssh() {
        let cases = [
            ("", "", true),
            ("", "*", true),
            ("", "?", false),
            ("a", "", false),
            ("root", "root", true),
            ("root", "Root", false),
            ("root", "r*t", true),
            ("root", "r??t", true),
            ("root", "r?t", false),
            ("root", "*", true),
            ("root", "**", true),
            ("root", "roo", false),
            ("root", "root*", true),
            ("host.example.com", "*.example.com", true),
            ("example.com", "*.example.com", false),
            ("a.b.a.c", "*a.c", true),
            ("aXbXc", "a*X?", true),
            ("a,b", "a,b", true),
            ("b", "!a", false),
        ];
        for (text, pattern, expected) in cases {
            assert_eq!(matches(text.as_bytes(), pattern.as_bytes()), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn many_stars_cost_little() {
        let (text, pattern) = ([b'a'; 4096], [&b"*a".repeat(512)[..], b"b"].concat());
        assert!(!matches(&text, &pattern));
    }

    proptest::proptest! {
        #[test]
        fn a_text_matches_itself_with_any_part_as_a_star(text in "[a-c.]{0,12}", from in 0_usize..12, to in 0_usize..12) {
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            let (from, to) = (from.min(to), from.max(to));
            let pattern = format!("{}*{}", &text[..from], &text[to..]);
            proptest::prop_assert!(matches(text.as_bytes(), pattern.as_bytes()));
        }
    }
}
