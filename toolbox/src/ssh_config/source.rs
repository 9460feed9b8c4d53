//! Files into lines: `Include` is followed here, before any host is asked for.
//!
//! Bounded: 16 files deep as in ssh, 512 files and 8 MiB in all. Pipes and sockets are not opened.

use std::fs::{self, File};
use std::io::ErrorKind::{NotFound, PermissionDenied};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use glob::{MatchOptions, glob_with};

use super::Person;
use super::expand::tilde;
use super::words::{Line, Place};
use crate::yaml::Problem;

const MOST_DEEP: usize = 16;
const MOST_FILES: usize = 512;
const MOST_BYTES: u64 = 8 << 20;

/// A line, or the lines of the files that an `Include` names.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Line(Line),
    Included(Vec<Node>),
}

/// Which files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// None.
    Off,
    /// This one, which must exist; what it includes is looked for beside it.
    One(PathBuf),
    /// A person's own, then the system's, each where it exists and may be read; what they include is looked for beside
    /// them. The person's own must not be writable for others, as ssh demands.
    Usual {
        /// `~/.ssh/config`
        own: Option<PathBuf>,
        /// `/etc/ssh/ssh_config`
        system: PathBuf,
    },
}

pub(super) struct Reader<'a> {
    person: &'a Person,
    files: usize,
    bytes: u64,
    pub(super) problems: Vec<Problem>,
    /// Nothing more is read.
    over: bool,
}

/// What holds for a file and those that it includes.
#[derive(Clone, Copy)]
struct Terms<'a> {
    base: &'a Path,
    private: bool,
    tilde: bool,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(person: &'a Person) -> Self {
        Self { person, files: 0, bytes: 0, problems: Vec::new(), over: false }
    }

    pub(super) fn read(&mut self, files: &Files) -> Vec<Node> {
        match files {
            Files::Off => Vec::new(),
            Files::One(file) => self.top(file, false, true, true),
            Files::Usual { own, system } => {
                let own = own.as_ref().map(|own| self.top(own, true, true, false)).unwrap_or_default();
                // What an included file begins ends with it: the second file starts for every host anew.
                vec![Node::Included(own), Node::Included(self.top(system, false, false, false))]
            }
        }
    }

    fn top(&mut self, file: &Path, private: bool, tilde: bool, must_exist: bool) -> Vec<Node> {
        let base = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let terms = Terms { base, private, tilde, depth: 0 };
        match self.file(file, terms) {
            Ok(nodes) => nodes,
            // As ssh does: another user's home may be in the environment.
            Err(error) if !must_exist && [NotFound, PermissionDenied].contains(&error.kind()) => Vec::new(),
            Err(error) => {
                self.problems.push(Problem::of_file(file, format!("cannot be read: {error}")));
                Vec::new()
            }
        }
    }

    fn file(&mut self, file: &Path, terms: Terms<'_>) -> io::Result<Vec<Node>> {
        let text = self.text(file, terms.private)?;
        let name: Arc<Path> = file.into();
        let mut nodes = Vec::new();
        for (index, text) in text.split('\n').enumerate() {
            if self.over {
                break;
            }
            let place = Place { file: name.clone(), line: Some(index + 1) };
            match Line::parse(text, place) {
                Ok(Some(line)) if line.keyword == "include" => nodes.push(self.include(&line, terms)),
                Ok(Some(line)) => nodes.push(Node::Line(line)),
                Ok(None) => {}
                Err(problem) => self.problems.push(problem),
            }
        }
        Ok(nodes)
    }

    fn text(&mut self, file: &Path, private: bool) -> io::Result<String> {
        let metadata = fs::metadata(file)?;
        let kind = metadata.file_type();
        if kind.is_dir() || kind.is_fifo() || kind.is_socket() {
            return Err(io::Error::other("it is no file"));
        }
        if private && metadata.mode() & 0o022 != 0 {
            return Err(io::Error::other("others may write to it; chmod go-w"));
        }
        self.files += 1;
        let mut bytes = Vec::new();
        File::open(file)?.take(MOST_BYTES.saturating_sub(self.bytes) + 1).read_to_end(&mut bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > MOST_BYTES || self.files > MOST_FILES {
            self.over = true;
            return Err(io::Error::other(format!("with it there are more than {MOST_FILES} files or 8 MiB")));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn include(&mut self, line: &Line, terms: Terms<'_>) -> Node {
        let mut included = Vec::new();
        if line.words.is_empty() {
            self.problems.push(line.problem("has no argument"));
        }
        if terms.depth + 1 >= MOST_DEEP {
            self.problems.push(line.problem("files include each other too deeply, perhaps in a circle"));
            self.over = true;
        }
        for word in &line.words {
            match self.matching(word, terms) {
                Ok(files) => files.iter().for_each(|file| included.extend(self.included(file, line, terms))),
                Err(reason) => self.problems.push(line.problem(reason)),
            }
        }
        Node::Included(included)
    }

    fn included(&mut self, file: &Path, line: &Line, terms: Terms<'_>) -> Vec<Node> {
        if self.over {
            return Vec::new();
        }
        match self.file(file, Terms { depth: terms.depth + 1, ..terms }) {
            Ok(nodes) => vec![Node::Included(nodes)],
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                self.problems.push(line.problem(format!("cannot read {}: {error}", file.display())));
                Vec::new()
            }
        }
    }

    /// The files that a pattern names, sorted; none is fine.
    fn matching(&self, pattern: &str, terms: Terms<'_>) -> Result<Vec<PathBuf>, String> {
        if pattern.starts_with('~') && !terms.tilde {
            return Err("a path with ~ stands in a file that is not a person's own".to_owned());
        }
        let path = tilde(pattern, self.person)?;
        let mut pattern = path.to_str().ok_or("is not UTF-8")?.to_owned();
        if !path.is_absolute() {
            pattern = format!("{}/{pattern}", glob::Pattern::escape(terms.base.to_str().ok_or("is not UTF-8")?));
        }
        // That crate walks whole trees for two in a row.
        while pattern.contains("**") {
            pattern = pattern.replace("**", "*");
        }
        let options =
            MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
        let found = glob_with(&pattern, options).map_err(|error| error.to_string())?;
        Ok(found.flatten().take(MOST_FILES).collect())
    }
}
