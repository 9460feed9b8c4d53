//! A line of a configuration file as ssh takes it apart (OpenSSH's `strdelim` and `argv_split`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::yaml::Problem;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file, or what stands for one: `command line`, `inventory`.
    pub(super) file: Arc<Path>,
    /// Counted from 1; none where there is no file.
    pub(super) line: Option<usize>,
}

impl Place {
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { line: self.line, ..Problem::of_file(&self.file, message) }
    }
}

/// A keyword with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) place: Place,
    /// In lower case.
    pub(super) keyword: String,
    /// As it was written.
    pub(super) written: String,
    /// All that follows the keyword.
    pub(super) rest: String,
    /// The same as words, without quotes and a comment.
    pub(super) words: Vec<String>,
}

impl Line {
    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { path: self.written.clone(), ..self.place.problem(message) }
    }

    /// Takes a line apart; `None` for an empty line and for a comment.
    pub(super) fn parse(text: &str, place: Place) -> Result<Option<Self>, Problem> {
        let mut rest = text.trim_end_matches(|c: char| c.is_ascii_whitespace()).trim_start_matches(is_blank);
        let written = delimited(&mut rest).unwrap_or_default();
        if written.is_empty() || written.starts_with('#') {
            return Ok(None);
        }
        let rest = rest.trim_start_matches(is_blank).to_owned();
        let bare = Self { place, keyword: written.to_ascii_lowercase(), written, rest, words: Vec::new() };
        if bare.rest.is_empty() {
            return Err(bare.problem("has no argument"));
        }
        match words(&bare.rest) {
            Some(words) => Ok(Some(Self { words, ..bare })),
            None => Err(bare.problem("a quotation mark is not closed")),
        }
    }

    /// A line that was never in a file.
    pub(super) fn made(place: &'static str, keyword: &str, value: &str) -> Self {
        Self {
            place: Place { file: PathBuf::from(place).into(), line: None },
            keyword: keyword.to_ascii_lowercase(),
            written: keyword.to_owned(),
            rest: value.to_owned(),
            words: vec![value.to_owned()],
        }
    }

    /// The one argument.
    pub(super) fn one(&self) -> Result<&str, Problem> {
        match self.words.as_slice() {
            [word] if !word.is_empty() => Ok(word),
            [] | [_] => Err(self.problem("has no argument")),
            [..] => Err(self.problem("has more than one argument")),
        }
    }
}

pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// The next word, ended by blanks or one `=`; `None` at the end, or where a quotation mark is not closed.
pub(super) fn delimited(rest: &mut &str) -> Option<String> {
    if rest.is_empty() {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (word, after) = quoted.split_once('"')?;
        *rest = after.trim_start_matches(is_blank);
        return Some(word.to_owned());
    }
    let end = rest.find(|c: char| is_blank(c) || c == '=').unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    let blanks_first = !after.starts_with('=');
    let after = after.strip_prefix('=').unwrap_or(after).trim_start_matches(is_blank);
    *rest = match after.strip_prefix('=') {
        Some(after) if blanks_first => after.trim_start_matches(is_blank),
        _ => after,
    };
    Some(word.to_owned())
}

/// Words between blanks, up to a `#` at the beginning of one. Quotation marks of both kinds hold blanks together; a
/// backslash stands before a mark, a backslash, and, outside of marks, a blank. `None`: a mark is not closed.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut chars = text.chars().peekable();
    let mut words = Vec::new();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return Some(words),
            Some(_) => words.push(word(&mut chars)?),
        }
    }
}

fn word(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let (mut word, mut open) = (String::new(), None);
    while let Some(c) = chars.next() {
        match (c, open) {
            ('\\', _) => {
                let escaped = |next: &char| matches!(next, '\'' | '"' | '\\') || (open.is_none() && *next == ' ');
                word.push(chars.next_if(escaped).unwrap_or(c));
            }
            (' ' | '\t', None) => return Some(word),
            ('"' | '\'', None) => open = Some(c),
            (c, Some(mark)) if c == mark => open = None,
            (c, _) => word.push(c),
        }
    }
    open.is_none().then_some(word)
}
