//! `sweep`: removes records and files of the state volume that nobody needs any more.
//!
//! Contract: only regular names directly below `releases/` and `files/`; what is not there counts as removed by
//! somebody else. The directories belong to this program's user, so that it may remove files there that it cannot read.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;

use crate::{WRONG, fail};

/// The most that a request may be, in bytes.
const LARGEST: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Names below `releases/` that go.
    releases: BTreeSet<String>,
    /// Names below `files/` that stay, where all others go; absent leaves them all.
    keep_files: Option<BTreeSet<String>>,
}

/// Reads the request on standard input and says on standard output what was removed.
pub(crate) fn main() -> ExitCode {
    let request = serde_json::from_reader(io::stdin().lock().take(LARGEST));
    let request: Request = match request {
        Ok(request) => request,
        Err(error) => return fail(&error, WRONG),
    };
    let state = std::env::var_os("RELAY_STATE").map_or_else(|| PathBuf::from("/state"), PathBuf::from);
    match sweep(&state, &request) {
        Ok(removed) => {
            println!("{}", json!({ "removed": removed }));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error, 1),
    }
}

fn sweep(state: &Path, request: &Request) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    let releases = names(&state.join("releases"))?;
    let files = names(&state.join("files"))?;
    let old = releases.intersection(&request.releases).map(|name| ("releases", name));
    let unused = files.iter().filter(|name| request.keep_files.as_ref().is_some_and(|keep| !keep.contains(*name)));
    for (directory, name) in old.chain(unused.map(|name| ("files", name))) {
        fs::remove_file(state.join(directory).join(name))?;
        removed.push(format!("{directory}/{name}"));
    }
    Ok(removed)
}

/// Names in a directory; none where it is not there.
fn names(directory: &Path) -> io::Result<BTreeSet<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_named_goes_and_nothing_else() {
        let state = tempfile::tempdir().unwrap();
        for path in ["releases/a.json", "releases/b.json", "files/x", "files/y", "other"] {
            fs::create_dir_all(state.path().join(path).parent().unwrap()).unwrap();
            fs::write(state.path().join(path), "").unwrap();
        }
        let outside = set(&["a.json", "../other", "gone.json"]);
        let request = Request { releases: outside, keep_files: Some(set(&["y"])) };
        assert_eq!(sweep(state.path(), &request).unwrap(), ["releases/a.json", "files/x"]);
        let request = Request { releases: set(&[]), keep_files: None };
        assert!(sweep(state.path(), &request).unwrap().is_empty());
        assert!(state.path().join("other").exists() && state.path().join("files/y").exists());
    }

    #[test]
    fn an_empty_volume_needs_no_sweeping() {
        let state = tempfile::tempdir().unwrap();
        let request = Request { releases: set(&["a.json"]), keep_files: Some(set(&[])) };
        assert!(sweep(state.path(), &request).unwrap().is_empty());
    }
}
