//! Arguments as the ssh program takes them, for example from `ansible_ssh_common_args`.

use std::path::PathBuf;

use super::words::{Line, Place};
use crate::yaml::{Problem, Problems};

const COMMAND_LINE: &str = "arguments for ssh";

/// What comes before all files.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    pub(super) lines: Vec<Line>,
    /// `-F`: the one file to read; `none` for no file at all.
    pub file: Option<PathBuf>,
}

impl Arguments {
    /// Sets a keyword, for the host itself and not for its hops, unless it has been set.
    pub fn set(&mut self, keyword: &str, value: &str) {
        self.lines.push(Line::made("inventory", keyword, value));
    }

    /// Puts these behind: what is set here already counts.
    pub fn extend(&mut self, later: Self) {
        self.lines.extend(later.lines);
        self.file = self.file.take().or(later.file);
    }
}

/// Reads words such as `-o ConnectTimeout=5 -J bastion`.
///
/// # Errors
/// Every argument that is not supported, by its name, and every `-o` that is malformed.
pub fn arguments(words: &[String]) -> Result<Arguments, Problems> {
    let mut parsing = Parsing { found: Arguments::default(), problems: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            parsing.problems.push(problem(format!("{word:?} is no option of ssh")));
            continue;
        };
        let mut flags = flags.chars();
        while let Some(flag) = flags.next() {
            if !TAKES_VALUE.contains(flag) {
                parsing.bare(flag);
                continue;
            }
            let attached = flags.as_str();
            let value = if attached.is_empty() { words.next().map(String::as_str) } else { Some(attached) };
            match value {
                Some(value) => parsing.with_value(flag, value),
                None => parsing.problems.push(problem(format!("-{flag} has no value"))),
            }
            break;
        }
    }
    match parsing.problems.is_empty() {
        true => Ok(parsing.found),
        false => Err(Problems(parsing.problems)),
    }
}

/// Options of ssh that have a value.
const TAKES_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

fn problem(message: String) -> Problem {
    Problem::of_file(COMMAND_LINE.as_ref(), message)
}

struct Parsing {
    found: Arguments,
    problems: Vec<Problem>,
}

impl Parsing {
    fn bare(&mut self, flag: char) {
        match flag {
            '4' => self.line("AddressFamily", "inet"),
            '6' => self.line("AddressFamily", "inet6"),
            'C' => self.line("Compression", "yes"),
            'A' => self.line("ForwardAgent", "yes"),
            // Output, terminals, X11 and the program's own life.
            'q' | 'v' | 'T' | 't' | 'x' | 'X' | 'Y' | 'a' | 'k' | 'n' | 'y' => {}
            _ => self.refuse(flag),
        }
    }

    fn with_value(&mut self, flag: char, value: &str) {
        match flag {
            'o' => self.option(value),
            'J' => self.line("ProxyJump", value),
            'p' => self.line("Port", value),
            'l' => self.line("User", value),
            'c' => self.line("Ciphers", value),
            'm' => self.line("MACs", value),
            'b' => self.line("BindAddress", value),
            'P' => self.line("Tag", value),
            'B' => self.line("BindInterface", value),
            'i' => self.line("IdentityFile", value),
            'F' => self.found.file = Some(value.into()),
            _ => self.refuse(flag),
        }
    }

    fn refuse(&mut self, flag: char) {
        let hint = "supported are -o, -J, -p, -l, -i, -F, -b, -c, -m, -P, -C, -4, -6";
        self.problems.push(problem(format!("ssh's option -{} is not supported", flag.escape_debug())).with_hint(hint));
    }

    fn line(&mut self, keyword: &str, value: &str) {
        self.found.lines.push(Line::made(COMMAND_LINE, keyword, value));
    }

    /// `Key=Value`, or `Key Value`.
    fn option(&mut self, text: &str) {
        let place = Place { file: PathBuf::from(COMMAND_LINE).into(), line: None };
        match Line::parse(text, place) {
            Ok(Some(line)) if matches!(line.keyword.as_str(), "host" | "match" | "include") => {
                self.problems.push(line.problem("is not for -o"));
            }
            Ok(Some(line)) => self.found.lines.push(line),
            Ok(None) => self.problems.push(problem("-o has no keyword".to_owned())),
            Err(problem) => self.problems.push(problem),
        }
    }
}
