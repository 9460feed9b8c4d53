//! Shell patterns as Python's `fnmatch` has them: `*`, `?`, `[a-z]`, `[!a-z]`. Pure.

use regex::Regex;

/// The expression that matches the whole of the names that the pattern does.
///
/// # Errors
/// The pattern is too large.
pub(super) fn expression(pattern: &str) -> Result<Regex, regex::Error> {
    let mut text = String::from("^(?s:");
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => text.push_str(".*"),
            '?' => text.push('.'),
            '[' => match class(rest) {
                Some((class, after)) => {
                    text.push_str(&class);
                    rest = after;
                }
                None => text.push_str(r"\["),
            },
            c => text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    text.push_str(")$");
    Regex::new(&text)
}

/// The class that begins behind a bracket, and what follows it; `None` where the bracket is not closed.
fn class(rest: &str) -> Option<(String, &str)> {
    let (negated, body) = rest.strip_prefix('!').map_or((false, rest), |body| (true, body));
    // A bracket right at the beginning is one of the characters.
    let skip = body.chars().next().map_or(0, char::len_utf8);
    let end = skip + body.get(skip..)?.find(']')?;
    let chars: Vec<char> = body[..end].chars().collect();
    let mut members = String::new();
    let mut at = 0;
    while at < chars.len() {
        let (from, is_range) = (chars[at], at + 2 < chars.len() && chars[at + 1] == '-');
        let to = if is_range { chars[at + 2] } else { from };
        if from <= to {
            members.push_str(&format!(r"\x{{{:x}}}-\x{{{:x}}}", from as u32, to as u32));
        }
        at += if is_range { 3 } else { 1 };
    }
    let class = match (members.is_empty(), negated) {
        (true, true) => ".".to_owned(),
        (true, false) => r"[^\x{0}-\x{10ffff}]".to_owned(),
        (false, true) => format!("[^{members}]"),
        (false, false) => format!("[{members}]"),
    };
    Some((class, &body[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::expression;

    // The expected answers are those of fnmatch.fnmatchcase.
    #[test]
    fn shell_patterns_match_as_pythons() {
        for (pattern, yes, no) in [
            ("web*", "web web1 web.x", "we xweb"),
            ("web?", "web1 weba", "web web12"),
            ("web[12]", "web1 web2", "web3 web12"),
            ("web[!12]", "web3", "web1 web2"),
            ("w[a-cx]", "wa wb wx", "wd w-"),
            ("w[]a]", "w] wa", "w"),
            ("w[a-]", "wa w-", "wb"),
            ("w[c-a]", "", "wa wb wc"),
            ("w[!c-a]", "wa", "w"),
            ("a.b", "a.b", "axb"),
            ("w[1", "w[1", "w1"),
        ] {
            let expression = expression(pattern).unwrap();
            for name in yes.split_whitespace() {
                assert!(expression.is_match(name), "{pattern} {name}");
            }
            for name in no.split_whitespace() {
                assert!(!expression.is_match(name), "{pattern} {name}");
            }
        }
    }
}
