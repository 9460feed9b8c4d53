//! Python literals: what Ansible's INI format makes of a value that `ast.literal_eval` accepts.
//!
//! Numbers, texts, `True`, `False`, `None`, lists, tuples, mappings and sets, nested to a depth that is bounded. All
//! else is no literal: the caller keeps the text. Absent on purpose: complex numbers, `\N{…}`, whole numbers beyond 128
//! bits; they stay text too.

use std::sync::Arc;

use indexmap::IndexMap;

use super::values::float;
use crate::yaml::{Entry, KeyPath, Location, Node, Value};

/// Deeper than this is no literal.
const MAX_DEPTH: usize = 32;

/// The value of a literal; `None` where the text is none.
pub(super) fn parse(text: &str, at: &Location, path: &KeyPath) -> Option<Value> {
    let mut parser = Parser { rest: text.trim_start_matches([' ', '\t']), at, depth: 0 };
    let value = parser.listed(path)?;
    parser.blanks();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
    at: &'a Location,
    depth: usize,
}

impl Parser<'_> {
    /// Skips blanks and a comment.
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\x0c']);
        if self.rest.starts_with('#') {
            self.rest = "";
        }
    }

    fn eat(&mut self, c: char) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(c);
        rest.map(|rest| self.rest = rest).is_some()
    }

    /// One value, or several with commas: a tuple without parentheses.
    fn listed(&mut self, path: &KeyPath) -> Option<Value> {
        let first = self.value(path)?;
        if !self.eat(',') {
            return Some(first);
        }
        let mut items = vec![self.node(path.index(0), first)];
        loop {
            self.blanks();
            if self.rest.is_empty() {
                return Some(Value::Seq(items));
            }
            let place = path.index(items.len());
            let value = self.value(&place)?;
            items.push(self.node(place, value));
            if !self.eat(',') {
                return Some(Value::Seq(items));
            }
        }
    }

    fn value(&mut self, path: &KeyPath) -> Option<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.blanks();
        let value = match self.rest.chars().next()? {
            '[' => self.items('[', ']', path).map(|(items, _)| Value::Seq(items)),
            '(' => self.parenthesis(path),
            '{' => self.braces(path),
            '-' | '+' => self.signed(),
            c if c.is_ascii_digit() || c == '.' => self.number().map(plain),
            _ => self.word_or_text(),
        };
        self.depth -= 1;
        value
    }

    fn node(&self, path: KeyPath, value: Value) -> Node {
        Node { at: self.at.clone(), path, tag: None, value }
    }

    /// The items between brackets, and whether the last had a comma behind it.
    fn items(&mut self, open: char, close: char, path: &KeyPath) -> Option<(Vec<Node>, bool)> {
        let mut items = Vec::new();
        let mut comma = false;
        self.eat(open);
        while !self.eat(close) {
            if !items.is_empty() && !comma {
                return None;
            }
            let place = path.index(items.len());
            let value = self.value(&place)?;
            items.push(self.node(place, value));
            comma = self.eat(',');
        }
        Some((items, comma))
    }

    fn parenthesis(&mut self, path: &KeyPath) -> Option<Value> {
        let (mut items, comma) = self.items('(', ')', path)?;
        match items.len() {
            1 if !comma => items.pop().map(|node| node.value),
            _ => Some(Value::Seq(items)),
        }
    }

    /// A mapping, or a set: what follows its values decides. Nothing is read twice.
    fn braces(&mut self, path: &KeyPath) -> Option<Value> {
        let (mut entries, mut items) = (IndexMap::new(), Vec::new());
        self.eat('{');
        while !self.eat('}') {
            let first = self.value(path)?;
            if self.eat(':') {
                let key = key_text(&first)?;
                let place = path.key(&key);
                let value = self.value(&place)?;
                entries.insert(key, self.node(place, value));
            } else {
                items.push(self.node(path.index(items.len()), first));
            }
            if !self.eat(',') && !self.rest.starts_with('}') {
                return None;
            }
        }
        match (entries.is_empty(), items.is_empty()) {
            (false, false) => None,
            (true, false) => Some(Value::Seq(items)),
            _ => Some(Value::Map(entries.into_iter().map(|(key, node)| self.entry(key, node)).collect())),
        }
    }

    fn entry(&self, key: String, value: Node) -> Entry {
        Entry { key: Arc::from(key), at: self.at.clone(), value }
    }

    fn signed(&mut self) -> Option<Value> {
        let minus = self.rest.starts_with('-');
        self.rest = &self.rest[1..];
        self.blanks();
        let number = self.number()?;
        Some(plain(if minus { format!("-{number}") } else { number }))
    }

    /// The number's text, as YAML writes it.
    fn number(&mut self) -> Option<String> {
        let bytes = self.rest.as_bytes();
        let signs = |at: usize| at > 0 && matches!(bytes[at - 1], b'e' | b'E') && !self.rest.starts_with("0x");
        let belongs = |at: usize| match bytes[at] {
            b'+' | b'-' => signs(at),
            byte => byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.',
        };
        let end = (0..bytes.len()).find(|at| !belongs(*at)).unwrap_or(bytes.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        let clean = without_underscores(word)?;
        whole(&clean).or_else(|| real(&clean))
    }

    fn word_or_text(&mut self) -> Option<Value> {
        for (word, value) in [("True", plain("True".into())), ("False", plain("False".into())), ("None", Value::Null)] {
            let after = self.rest.strip_prefix(word);
            if let Some(rest) = after.filter(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')) {
                self.rest = rest;
                return Some(value);
            }
        }
        let mut text = self.text()?;
        loop {
            self.blanks();
            match self.rest.chars().next() {
                // Texts that follow each other are one.
                Some(c) if c == '\'' || c == '"' || c.is_ascii_alphabetic() => text.push_str(&self.text()?),
                _ => return Some(Value::Scalar { text, plain: false }),
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        let start = self.rest.find(['\'', '"'])?;
        let prefix = self.rest[..start].to_ascii_lowercase();
        if !matches!(prefix.as_str(), "" | "u" | "b" | "r" | "br" | "rb") {
            return None;
        }
        let quoted = &self.rest[start..];
        let one = &quoted[..1];
        let (mark, body) = match quoted.strip_prefix(&one.repeat(3)) {
            Some(body) => (one.repeat(3), body),
            None => (one.to_owned(), &quoted[1..]),
        };
        let end = end_of_text(body, &mark)?;
        self.rest = &body[end + mark.len()..];
        if prefix.contains('r') { Some(body[..end].to_owned()) } else { unescape(&body[..end]) }
    }
}

fn plain(text: String) -> Value {
    Value::Scalar { text, plain: true }
}

fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::Null => Some("null".to_owned()),
        Value::Scalar { text, .. } => Some(text.clone()),
        Value::Seq(_) | Value::Map(_) => None,
    }
}

/// Underscores may stand between digits only.
fn without_underscores(word: &str) -> Option<String> {
    let bytes = word.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_hexdigit);
    let after_base = |at: usize| at == 2 && bytes[0] == b'0' && bytes[1].is_ascii_alphabetic();
    let fits = |at: usize| (digit(at.checked_sub(1)) || after_base(at)) && digit(Some(at + 1));
    let good = (0..bytes.len()).filter(|at| bytes[*at] == b'_').all(fits);
    good.then(|| word.replace('_', ""))
}

fn whole(word: &str) -> Option<String> {
    let lower = word.to_ascii_lowercase();
    for (base, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = lower.strip_prefix(base) {
            return u128::from_str_radix(digits, radix).ok().map(|number| number.to_string());
        }
    }
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    let zero = word.bytes().all(|b| b == b'0');
    (digits && !word.is_empty() && (zero || !word.starts_with('0')))
        .then(|| if zero { "0".to_owned() } else { word.to_owned() })
}

fn real(word: &str) -> Option<String> {
    word.find(['.', 'e', 'E'])?;
    let mantissa = word.split(['e', 'E']).next()?;
    let digits = mantissa.bytes().any(|b| b.is_ascii_digit());
    let only = word.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let number: f64 = word.parse().ok().filter(|n: &f64| n.is_finite() && digits && only)?;
    if float(word).is_some() {
        return Some(word.to_owned());
    }
    // YAML 1.1 wants a point, and a sign in the exponent.
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e')?;
    let mantissa = if mantissa.contains('.') { mantissa.to_owned() } else { format!("{mantissa}.0") };
    let sign = if exponent.starts_with('-') { "" } else { "+" };
    Some(format!("{mantissa}e{sign}{exponent}"))
}

/// Where the mark stands that ends a text; what follows a backslash ends none.
fn end_of_text(body: &str, mark: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if !escaped && body[at..].starts_with(mark) {
            return Some(at);
        }
        escaped = !escaped && c == '\\';
    }
    None
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            'a' => out.push('\x07'),
            'b' => out.push('\x08'),
            'f' => out.push('\x0c'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\x0b'),
            c @ ('\\' | '\'' | '"') => out.push(c),
            'x' => out.push(code(&mut chars, 2)?),
            'u' => out.push(code(&mut chars, 4)?),
            'U' => out.push(code(&mut chars, 8)?),
            'N' => return None,
            first @ '0'..='7' => {
                let more = chars.as_str().bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let digits: String = std::iter::once(first).chain(chars.by_ref().take(more)).collect();
                out.push(char::from_u32(u32::from_str_radix(&digits, 8).ok()?)?);
            }
            other => out.extend(['\\', other]),
        }
    }
    Some(out)
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let hex: String = chars.by_ref().take(digits).collect();
    let hex = (hex.len() == digits && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(hex)?;
    char::from_u32(u32::from_str_radix(&hex, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::values::json_of;
    use super::*;

    fn json(text: &str) -> Option<String> {
        let at = Location { file: Path::new("i").into(), line: 1, column: 1 };
        let value = parse(text, &at, &KeyPath::default())?;
        Some(json_of(&Node { at, path: KeyPath::default(), tag: None, value }).to_string())
    }

    // The expected values are Python's: json.dumps(ast.literal_eval(text)).
    #[test]
    fn literals_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("1", "1"),
            ("-1", "-1"),
            ("00", "0"),
            ("1_000", "1000"),
            ("0x1f", "31"),
            ("0o17", "15"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("5 # five", "5"),
            ("True", "true"),
            ("None", "null"),
            ("'a' 'b'", "\"ab\""),
            (r#""a\tb\x41\101\q""#, r#""a\tbAA\\q""#),
            (r"r'a\tb'", r#""a\\tb""#),
            ("'''it's'''", "\"it's\""),
            ("'80'", "\"80\""),
            ("1, 2", "[1,2]"),
            ("1,", "[1]"),
            ("()", "[]"),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            ("[1, 'a', [None],]", r#"[1,"a",[null]]"#),
            ("{'a': {'b': [1]}, 2: 3}", r#"{"2":3,"a":{"b":[1]}}"#),
            ("{1, 'a'}", r#"[1,"a"]"#),
            ("{'a': 1, 'a': 2}", r#"{"a":2}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(json(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_stays_a_text() {
        for text in [
            "",
            "abc",
            "true",
            "yes",
            "007",
            "1__0",
            "_1",
            "1_",
            "10.0.0.1",
            "--1",
            "1 2",
            "[1",
            "[1 2]",
            "{'a'}}",
            "'a",
            "'a' b",
            "a'b'",
            "{1: }",
            "1+1",
            "f'x'",
            "Truely",
            ".",
            "1.2.3",
            "$x",
            ",",
            "{1: 2, 3}",
            "{1: 2 3: 4}",
            "{,}",
            "'\\N{DASH}'",
            "-'a'",
        ] {
            assert_eq!(json(text), None, "{text}");
        }
        assert_eq!(json(&"[".repeat(100_000)), None);
        assert_eq!(json(&"{".repeat(100_000)), None);
    }
}
