//! Words as Python's `shlex.split` makes them, which is how Ansible reads host lines and ssh's arguments. Pure.

use std::str::Chars;

/// The words of a line; with `comments`, a `#` outside of quotes ends it, also in the middle of a word.
///
/// # Errors
/// A quote that is not closed, or a backslash at the end.
pub(super) fn split(line: &str, comments: bool) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if comments => break,
            '\'' => single_quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("ends in a backslash")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single_quoted(chars: &mut Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    for c in chars.by_ref() {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err("has a quote ' that is not closed")
}

fn double_quoted(chars: &mut Chars<'_>, word: &mut String) -> Result<(), &'static str> {
    const OPEN: &str = "has a quote \" that is not closed";
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(OPEN)? {
                c @ ('"' | '\\') => word.push(c),
                other => word.extend(['\\', other]),
            },
            c => word.push(c),
        }
    }
    Err(OPEN)
}

#[cfg(test)]
mod tests {
    use super::split;

    // The expected words are Python's: shlex.split(line, comments=True).
    #[test]
    fn words_are_those_of_pythons_shlex() {
        for (line, expected) in [
            ("web1 a=1", vec!["web1", "a=1"]),
            ("web1 a='b c' d=\"e f\"", vec!["web1", "a=b c", "d=e f"]),
            ("web1 a=b#c", vec!["web1", "a=b"]),
            ("web1 a='b#c'", vec!["web1", "a=b#c"]),
            (r#"x "a\"b\c" d\ e"#, vec!["x", "a\"b\\c", "d e"]),
            ("x ''", vec!["x", ""]),
            ("x a=\"b\"'c'd", vec!["x", "a=bcd"]),
            ("# all of it", vec![]),
        ] {
            assert_eq!(split(line, true).unwrap(), expected, "{line}");
        }
        assert_eq!(split("a#b # c", false).unwrap(), ["a#b", "#", "c"]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for line in ["a 'b", "a \"b", "a \"b\\", "a\\"] {
            assert!(split(line, true).is_err(), "{line}");
        }
    }
}
