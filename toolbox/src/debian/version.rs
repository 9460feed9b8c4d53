//! The order of versions (deb-version(7)).

use std::cmp::Ordering;

/// Which of two versions is later.
pub fn compare(a: &str, b: &str) -> Ordering {
    let ((epoch_a, a), (epoch_b, b)) = (epoch(a), epoch(b));
    let ((upstream_a, revision_a), (upstream_b, revision_b)) = (revision(a), revision(b));
    let upstream = || parts(upstream_a.as_bytes(), upstream_b.as_bytes());
    let revision = || parts(revision_a.as_bytes(), revision_b.as_bytes());
    numbers(epoch_a.as_bytes(), epoch_b.as_bytes()).then_with(upstream).then_with(revision)
}

fn epoch(version: &str) -> (&str, &str) {
    version.split_once(':').unwrap_or(("0", version))
}

fn revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// Texts and numbers in turn.
fn parts(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (text_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let (number_a, after_a) = split(rest_a, |c| c.is_ascii_digit());
        let (number_b, after_b) = split(rest_b, |c| c.is_ascii_digit());
        let order = texts(text_a, text_b).then_with(|| numbers(number_a, number_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (after_a, after_b);
    }
    Ordering::Equal
}

fn split(bytes: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|c| !belongs(c)).unwrap_or(bytes.len()))
}

/// A tilde comes before the end, letters before everything else.
fn texts(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |c: Option<&u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    };
    let both = (0..a.len().max(b.len())).map(|i| weight(a.get(i)).cmp(&weight(b.get(i))));
    both.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn numbers(a: &[u8], b: &[u8]) -> Ordering {
    let (_, a) = split(a, |c| *c == b'0');
    let (_, b) = split(b, |c| *c == b'0');
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_by_dpkg() {
        let ascending = [
            "0.9~rc1-1",
            "0.9-1",
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0",
            "1.0a",
            "1.0+b",
            "1.0.1",
            "1.2",
            "1.10",
            "1.10-1",
            "1.10-1+deb12u1",
            "1.10-1+deb12u2",
            "1.10-1.1",
            "20.10.24+dfsg1-1+b3",
            "20.10.24+dfsg1-1+deb12u1",
            "1:0.1",
            "1:0.1-0ubuntu1",
            "10:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(compare("1.0", "0:1.00"), Ordering::Equal);
    }

    #[test]
    fn dpkg_agrees() {
        let versions =
            ["1.0~rc1", "1.0", "1.0-1", "1.0-1~bpo12+1", "2:0.5", "1.0.0", "1.00", "1.0a", "1.0+x", "1.a", "1-1-1"];
        for a in versions {
            for b in versions {
                let Ok(status) = std::process::Command::new("dpkg").args(["--compare-versions", a, "lt", b]).status()
                else {
                    return;
                };
                assert_eq!(compare(a, b).is_lt(), status.success(), "{a} < {b}");
            }
        }
    }
}
