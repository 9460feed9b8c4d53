//! `.env` files and `env_file`s, read as Docker Compose reads them.
//!
//! Contract: `KEY=value` (or `KEY: value`), `export ` allowed, `#` comments; single quotes are literal, double quotes
//! and bare values are interpolated; quoted values may span lines; a bare `KEY` takes its value from outside or is
//! dropped. Messages name file, line and key, never a value.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::interpolate::{Fault, Variables, interpolate};
use crate::yaml::{Problem, Sink};

/// Reads the text of an environment file; problems go to `sink`.
///
/// `outside` gives the variables from elsewhere; with `outside_wins` they also hide those of this file when values
/// refer to them (so it is for `.env`; an `env_file` sees its own first).
pub(super) fn parse(
    file: &Path,
    text: &str,
    outside: &dyn Fn(&str) -> Option<String>,
    outside_wins: bool,
    sink: &Sink,
) -> BTreeMap<String, String> {
    let values = Values { found: RefCell::default(), outside, outside_wins };
    let mut scan = Scan { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    while scan.skip_to_statement() {
        let line = scan.line;
        if let Err(fault) = statement(&mut scan, &values) {
            let mut problem = Problem::of_file(file, fault);
            problem.line = Some(line);
            sink.push(problem);
            scan.end_line();
        }
    }
    values.found.into_inner()
}

/// Reads a file of `format: raw`: values as they stand, without quotes, comments behind them or variables.
pub(super) fn parse_raw(
    file: &Path,
    text: &str,
    outside: &dyn Fn(&str) -> Option<String>,
    sink: &Sink,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value.to_owned())));
        if key.is_empty() || key.contains(char::is_whitespace) {
            let problem = Problem::of_file(file, "a line must be KEY=value, the key without spaces");
            sink.push(Problem { line: Some(index + 1), ..problem });
            continue;
        }
        found.extend(value.or_else(|| outside(key)).map(|value| (key.to_owned(), value)));
    }
    found
}

struct Values<'a> {
    found: RefCell<BTreeMap<String, String>>,
    outside: &'a dyn Fn(&str) -> Option<String>,
    outside_wins: bool,
}

impl Variables for Values<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let own = || self.found.borrow().get(name).cloned();
        let outside = || (self.outside)(name);
        if self.outside_wins { outside().or_else(own) } else { own().or_else(outside) }
    }

    fn unset(&self, _: &str) {}
}

/// One `KEY=value`.
fn statement(scan: &mut Scan<'_>, values: &Values<'_>) -> Result<(), String> {
    let key = scan.key()?;
    if !scan.separator()? {
        if let Some(value) = (values.outside)(&key) {
            values.found.borrow_mut().insert(key, value);
        }
        return Ok(());
    }
    let value = match scan.value(&key)? {
        Raw::Literal(text) => text,
        Raw::Template(text) => interpolate(&text, values).map_err(|fault| describe(&key, &fault))?,
    };
    values.found.borrow_mut().insert(key, value);
    Ok(())
}

fn describe(key: &str, fault: &Fault) -> String {
    match fault {
        // The text of the value may be a secret.
        Fault::Invalid(_) => {
            format!("{key}: a $ that starts no variable (write $$, or put the value in single quotes)")
        }
        other => format!("{key}: {other}"),
    }
}

/// A value before interpolation.
enum Raw {
    Literal(String),
    Template(String),
}

struct Scan<'a> {
    rest: &'a str,
    line: usize,
}

impl Scan<'_> {
    /// Skips blank lines and comments; false at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            self.blanks();
            match self.rest.chars().next() {
                None => return false,
                Some('#' | '\n') => self.end_line(),
                Some(_) => return true,
            }
        }
    }

    fn blanks(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\u{b}', '\u{c}']);
        let some = rest.len() < self.rest.len();
        self.rest = rest;
        some
    }

    /// Skips what is left of the line, and its end.
    fn end_line(&mut self) {
        self.line += usize::from(self.rest.contains('\n'));
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
    }

    fn key(&mut self) -> Result<String, String> {
        if let Some(rest) = self.rest.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            self.rest = rest;
            self.blanks();
        }
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || "_.-[]".contains(c))).unwrap_or(self.rest.len());
        let (key, rest) = self.rest.split_at(end);
        if key.is_empty() {
            return Err("a line must be KEY=value".into());
        }
        self.rest = rest;
        Ok(key.to_owned())
    }

    /// Steps over `=` or `:`; false when the line ends after the key.
    fn separator(&mut self) -> Result<bool, String> {
        self.blanks();
        match self.rest.chars().next() {
            Some('=' | ':') => {
                self.rest = &self.rest[1..];
                Ok(true)
            }
            None | Some('\n' | '#') => {
                self.end_line();
                Ok(false)
            }
            Some(_) => Err("a line must be KEY=value, the key without spaces or signs".into()),
        }
    }

    fn value(&mut self, key: &str) -> Result<Raw, String> {
        let blank_before = self.blanks();
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(key, quote),
            _ => Ok(self.bare(blank_before)),
        }
    }

    /// Up to the end of the line or a `#` after a blank.
    fn bare(&mut self, mut blank_before: bool) -> Raw {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let mut end = line.len();
        for (index, c) in line.char_indices() {
            if c == '#' && blank_before {
                end = index;
                break;
            }
            blank_before = c.is_whitespace();
        }
        let value = line[..end].trim_end().to_owned();
        self.end_line();
        Raw::Template(value)
    }

    fn quoted(&mut self, key: &str, quote: char) -> Result<Raw, String> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((index, c)) = chars.next() {
            if c == quote {
                self.leave_quotes(key, index + 1)?;
                return Ok(if quote == '"' { Raw::Template(out) } else { Raw::Literal(out) });
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some((_, escaped)) => unescape(&mut out, quote, escaped),
                None => break,
            }
        }
        Err(format!("{key}: the quote {quote} is not closed"))
    }

    /// After the closing quote only a comment may follow.
    fn leave_quotes(&mut self, key: &str, end: usize) -> Result<(), String> {
        self.line += self.rest[..end].matches('\n').count();
        self.rest = &self.rest[end..];
        self.blanks();
        let clean = self.rest.is_empty() || self.rest.starts_with(['\n', '#']);
        if !clean {
            return Err(format!("{key}: text after the closing quote"));
        }
        self.end_line();
        Ok(())
    }
}

/// A backslash escape; in single quotes only the quote itself can be escaped.
fn unescape(out: &mut String, quote: char, escaped: char) {
    match (quote, escaped) {
        ('\'', '\'') => out.push('\''),
        ('"', 'n') => out.push('\n'),
        ('"', 'r') => out.push('\r'),
        ('"', 't') => out.push('\t'),
        ('"', '$') => out.push_str("$$"),
        ('"', '"' | '\\') => out.push(escaped),
        (_, other) => {
            out.push('\\');
            out.push(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{parse, parse_raw};
    use crate::yaml::Sink;

    fn outside(name: &str) -> Option<String> {
        (name == "OUT").then(|| "outer".to_owned())
    }

    fn read(text: &str) -> Vec<(String, String)> {
        let sink = Sink::default();
        let values = parse(Path::new(".env"), text, &outside, true, &sink);
        sink.finish(Some(values)).unwrap_or_else(|e| panic!("{text}: {e}")).into_iter().collect()
    }

    fn value(text: &str) -> String {
        read(text).into_iter().find(|(key, _)| key == "VAR").expect(text).1
    }

    /// The tables of Docker's page "Syntax for environment files in Docker Compose".
    #[test]
    fn values_are_read_as_the_documentation_says() {
        for (text, expected) in [
            ("VAR=VAL", "VAL"),
            ("VAR=\"VAL\"", "VAL"),
            ("VAR='VAL'", "VAL"),
            ("VAR: VAL", "VAL"),
            ("VAR =  VAL  ", "VAL"),
            ("export VAR=VAL", "VAL"),
            ("VAR=VAL # comment", "VAL"),
            ("VAR=VAL# not a comment", "VAL# not a comment"),
            ("VAR=\"VAL # not a comment\"", "VAL # not a comment"),
            ("VAR=\"VAL\" # comment", "VAL"),
            ("VAR= # comment", ""),
            ("VAR=#x", "#x"),
            ("VAR=", ""),
            ("VAR=''", ""),
            ("VAR='$OTHER'", "$OTHER"),
            ("VAR='${OTHER}'", "${OTHER}"),
            ("VAR='Let\\'s go!'", "Let's go!"),
            ("VAR=\"{\\\"hello\\\": \\\"json\\\"}\"", "{\"hello\": \"json\"}"),
            ("VAR=\"some\\tvalue\"", "some\tvalue"),
            ("VAR='some\\tvalue'", "some\\tvalue"),
            ("VAR=some\\tvalue", "some\\tvalue"),
            ("VAR=\"a\\\\n\\n\"", "a\\n\n"),
            ("VAR=\"\\$OUT\"", "$OUT"),
            ("VAR='SOME\nVALUE'", "SOME\nVALUE"),
            ("VAR=\"two\nlines\" # c\nB=1", "two\nlines"),
            ("A=x\nVAR=${A}y$OUT${NONE:-z}", "xyouterz"),
            ("OUT=inner\nVAR=$OUT", "outer"),
            ("VAR=a$$b", "a$b"),
            ("\u{feff}# c\n\n  VAR=VAL\r\n", "VAL"),
            ("VAR=a=b:c", "a=b:c"),
            ("VAR=1\nVAR=2", "2"),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn a_bare_key_takes_its_value_from_outside_or_is_dropped() {
        assert_eq!(read("OUT\nNONE\nexport OUT"), [("OUT".to_owned(), "outer".to_owned())]);
    }

    #[test]
    fn raw_values_are_taken_as_they_stand() {
        let sink = Sink::default();
        let text = "# c\nA=\"quoted\" # kept\n  B=$OUT\nC='x\nOUT\nNONE\nD=\n";
        let values = parse_raw(Path::new("f"), text, &outside, &sink);
        let shown: Vec<_> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["A=\"quoted\" # kept", "B=$OUT", "C='x", "D=", "OUT=outer"]);
        parse_raw(Path::new("f"), "A=1\nB C=2\n", &outside, &sink);
        let said = sink.finish(None::<()>).unwrap_err().to_string();
        assert_eq!(said, "f:2: a line must be KEY=value, the key without spaces");
    }

    #[test]
    fn an_env_file_sees_its_own_values_first() {
        let sink = Sink::default();
        let values = parse(Path::new("f"), "OUT=inner\nVAR=$OUT", &outside, false, &sink);
        assert_eq!(values["VAR"], "inner");
    }

    #[test]
    fn faults_name_line_and_key_and_never_a_value() {
        let sink = Sink::default();
        let text = "A=1\nB=\"secret\nC='x' secret\n=secret\nD E=secret\nF=secret$\n\nG=${H:?set H}\n";
        parse(Path::new(".env"), text, &outside, true, &sink);
        let said = sink.finish(None::<()>).unwrap_err().to_string();
        assert_eq!(
            said,
            ".env:2: B: the quote \" is not closed\n\
             .env:3: C: text after the closing quote\n\
             .env:4: a line must be KEY=value\n\
             .env:5: a line must be KEY=value, the key without spaces or signs\n\
             .env:6: F: a $ that starts no variable (write $$, or put the value in single quotes)\n\
             .env:8: G: required variable H is missing a value: set H"
        );
    }
}
