//! `$NAME` and `${NAME…}` in texts, by the Compose Specification's rules.
//!
//! Contract: pure; the variables come through [`Variables`]. A branch that is not taken is checked for syntax and not
//! evaluated, as in a shell. Messages never hold a variable's value. Bounded in depth and length.

use thiserror::Error;

/// Where variables come from.
pub(super) trait Variables {
    /// The value of `name`; `None` when it is not set.
    fn get(&self, name: &str) -> Option<String>;
    /// `name` was used, is not set, and became an empty text.
    fn unset(&self, name: &str);
}

/// Why a text cannot be interpolated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Fault {
    /// The text after a `$` is none of the known forms.
    #[error("invalid interpolation at {0:?}")]
    Invalid(String),
    /// `${NAME:?message}` of a variable without value.
    #[error("required variable {name} is missing a value{}", Self::because(.message))]
    Required {
        /// The variable.
        name: String,
        /// The file's own message; may be empty.
        message: String,
    },
    /// Too deep or too long.
    #[error("the interpolation is nested too deep or its result is too long")]
    TooLarge,
}

impl Fault {
    fn because(message: &str) -> String {
        if message.is_empty() { String::new() } else { format!(": {message}") }
    }
}

const MAX_DEPTH: usize = 32;
const MAX_BYTES: usize = 1024 * 1024;

/// The text with its variables replaced.
pub(super) fn interpolate(text: &str, variables: &dyn Variables) -> Result<String, Fault> {
    let mut scan = Scan { rest: text, variables };
    scan.expand(0, true)
}

struct Scan<'a> {
    rest: &'a str,
    variables: &'a dyn Variables,
}

impl<'a> Scan<'a> {
    /// Expands up to the end, or inside braces (`depth` > 0) up to the `}` that ends them, which is not consumed.
    /// `live` is false in a branch that is not taken.
    fn expand(&mut self, depth: usize, live: bool) -> Result<String, Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::TooLarge);
        }
        let mut out = String::new();
        loop {
            let stop = self.rest.find(|c| c == '$' || (depth > 0 && c == '}'));
            let (plain, rest) = self.rest.split_at(stop.unwrap_or(self.rest.len()));
            out.push_str(plain);
            self.rest = rest;
            if !rest.starts_with('$') {
                return Ok(out);
            }
            out.push_str(&self.dollar(depth, live)?);
            if out.len() > MAX_BYTES {
                return Err(Fault::TooLarge);
            }
        }
    }

    /// What stands for the `$` at the front.
    fn dollar(&mut self, depth: usize, live: bool) -> Result<String, Fault> {
        let start = self.rest;
        self.rest = &self.rest[1..];
        if self.eat("$") {
            return Ok("$".into());
        }
        if !self.eat("{") {
            let name = self.name(start)?;
            return Ok(self.value_or_empty(name, live));
        }
        let name = self.name(start)?;
        let value = self.braced(name, start, depth + 1, live)?;
        if !self.eat("}") {
            return Err(invalid(start));
        }
        Ok(value)
    }

    /// The value of `${name` up to its closing brace.
    fn braced(&mut self, name: &str, start: &str, depth: usize, live: bool) -> Result<String, Fault> {
        if self.rest.starts_with('}') {
            return Ok(self.value_or_empty(name, live));
        }
        let not_empty = self.eat(":");
        let operator = self.rest.chars().next().filter(|c| "-?+".contains(*c));
        let operator = operator.ok_or_else(|| invalid(start))?;
        self.rest = &self.rest[1..];
        let set = self.variables.get(name).filter(|value| !(not_empty && value.is_empty()));
        let word_wanted = set.is_some() == (operator == '+');
        let word = self.expand(depth, live && word_wanted)?;
        match (operator, set) {
            ('?', None) if live => Err(Fault::Required { name: name.into(), message: word }),
            ('+', None) => Ok(String::new()),
            ('+', Some(_)) | (_, None) => Ok(word),
            (_, Some(value)) => Ok(value),
        }
    }

    fn value_or_empty(&self, name: &str, live: bool) -> String {
        self.variables.get(name).unwrap_or_else(|| {
            if live {
                self.variables.unset(name);
            }
            String::new()
        })
    }

    fn name(&mut self, start: &str) -> Result<&'a str, Fault> {
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(invalid(start));
        }
        self.rest = rest;
        Ok(name)
    }

    fn eat(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(token) else {
            return false;
        };
        self.rest = rest;
        true
    }
}

fn invalid(start: &str) -> Fault {
    Fault::Invalid(start.chars().take(20).collect())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::{Variables, interpolate};

    #[derive(Default)]
    struct Fixed(RefCell<Vec<String>>);

    impl Variables for Fixed {
        fn get(&self, name: &str) -> Option<String> {
            match name {
                "SET" => Some("value".into()),
                "EMPTY" => Some(String::new()),
                "_x1" => Some("$SET".into()),
                _ => None,
            }
        }
        fn unset(&self, name: &str) {
            self.0.borrow_mut().push(name.into());
        }
    }

    fn run(text: &str) -> Result<String, String> {
        interpolate(text, &Fixed::default()).map_err(|e| e.to_string())
    }

    /// The table of the Compose Specification, chapter "Interpolation", for a set, an empty and an unset variable.
    #[test]
    fn every_operator_behaves_as_the_specification_says() {
        for (form, set, empty, unset) in [
            ("$V", "value", "", ""),
            ("${V}", "value", "", ""),
            ("${V:-d}", "value", "d", "d"),
            ("${V-d}", "value", "", "d"),
            ("${V:?m}", "value", "E", "E"),
            ("${V?m}", "value", "", "E"),
            ("${V:+r}", "r", "", ""),
            ("${V+r}", "r", "r", ""),
        ] {
            for (name, expected) in [("SET", set), ("EMPTY", empty), ("UNSET", unset)] {
                let text = form.replace('V', name);
                let got = run(&text).unwrap_or_else(|e| {
                    assert_eq!(e, format!("required variable {name} is missing a value: m"));
                    "E".into()
                });
                assert_eq!(got, expected, "{text}");
            }
        }
    }

    #[test]
    fn texts_around_and_inside_are_kept() {
        for (text, expected) in [
            ("plain", "plain"),
            ("", ""),
            ("a$SET.b${SET}c", "avalue.bvaluec"),
            ("$$SET $${SET} $$$SET", "$SET ${SET} $value"),
            ("${UNSET:-${SET}}", "value"),
            ("${UNSET-${OTHER-$SET-x}}y", "value-xy"),
            ("${SET:+${UNSET:-deep}}", "deep"),
            ("${UNSET:-}", ""),
            ("${UNSET:-a:-b}", "a:-b"),
            ("${UNSET:-$$}", "$"),
            ("${UNSET:-{\"a\": 1}}", "{\"a\": 1}"),
            ("$_x1", "$SET"),
            ("ä${SET}€", "ävalue€"),
            ("${SET:-${UNSET:?never}}", "value"),
        ] {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_texts_are_refused_even_in_a_branch_not_taken() {
        for text in [
            "$",
            "a$",
            "$1",
            "${",
            "${}",
            "${SET",
            "${1A}",
            "${SET:}",
            "${SET:=x}",
            "${SET!x}",
            "$ x",
            "${SET:-$}",
            "${SET x}",
        ] {
            assert!(run(text).unwrap_err().starts_with("invalid interpolation at"), "{text}");
        }
    }

    #[test]
    fn only_unset_variables_that_matter_are_named() {
        let fixed = Fixed::default();
        interpolate("$A ${B} ${C:-x} ${SET:-$D} $EMPTY", &fixed).unwrap();
        assert_eq!(*fixed.0.borrow(), ["A", "B"]);
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = "${A:-".repeat(100_000) + &"}".repeat(100_000);
        assert!(run(&deep).unwrap_err().contains("nested too deep"));
        assert!(run(&"$SET".repeat(300_000)).unwrap_err().contains("too long"));
    }
}
