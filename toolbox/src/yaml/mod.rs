//! YAML as positioned nodes: what compose and inventory files are read through.
//!
//! Contract: `parse` turns one document into a tree in which every node knows its file, line, column and key path,
//! with aliases and `<<` merges already resolved; whatever is wrong goes to a `Sink`, so that all problems of a file
//! are shown together. Depth, nodes and text are bounded, so a hostile file costs an error and not the machine.
//! Scalars keep the text that was written (`1.10` stays `1.10`). Absent on purpose: typed scalars, writing YAML,
//! comments, several documents in one file.

mod nearest;
mod node;
mod parse;
mod problem;
mod read;
#[cfg(test)]
mod tests;

pub use nearest::nearest;
pub use node::{Entry, KeyPath, Location, Node, Value};
pub use parse::{parse, parse_tagged, refuse_tags};
pub use problem::{Problem, Problems, Sink};
pub use read::{boolean, check_keys, entries, integer, items, strings, text};

use std::io::Read;
use std::path::Path;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads a text file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// A message for a [`Problem`] when the file cannot be read, is too large or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|e| format!("cannot open: {e}"))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| format!("cannot read: {e}"))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("larger than {MAX_FILE_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
        format!("not UTF-8 text (line {line})")
    })
}
