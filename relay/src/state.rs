//! What a relay was told last, kept over its restarts.
//!
//! Contract: `relay.json` in the state directory holds listeners and targets. It is written whole or not at
//! all, and is on disk when [`write`] returns. Without one the environment's configuration counts.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Listen, Name};

const FILE: &str = "relay.json";
const HALF: &str = "relay.json.new";

/// What a switch sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Ports.
    pub(crate) listen: Vec<Listen>,
    /// Where new connections go.
    pub(crate) targets: Vec<Name>,
}

/// What was written last; `None` if nothing was.
///
/// # Errors
/// The file cannot be read, or is none of ours.
pub(crate) fn read(directory: &Path) -> io::Result<Option<State>> {
    match fs::read(directory.join(FILE)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces what was written before.
///
/// # Errors
/// The directory cannot be written to.
pub(crate) fn write(directory: &Path, state: &State) -> io::Result<()> {
    let half = directory.join(HALF);
    let mut file = File::create(&half)?;
    file.write_all(&serde_json::to_vec(state)?)?;
    file.sync_all()?;
    fs::rename(&half, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(target: &str) -> State {
        State { listen: vec![Listen { port: 80, to: 8080 }], targets: vec![target.to_owned().try_into().unwrap()] }
    }

    #[test]
    fn the_last_state_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()).unwrap(), None);
        for target in ["a", "b"] {
            write(directory.path(), &state(target)).unwrap();
            assert_eq!(read(directory.path()).unwrap(), Some(state(target)));
        }
    }

    #[test]
    fn a_write_that_was_cut_leaves_the_state_before() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &state("a")).unwrap();
        fs::write(directory.path().join(HALF), "{\"lis").unwrap();
        assert_eq!(read(directory.path()).unwrap(), Some(state("a")));
        write(directory.path(), &state("b")).unwrap();
        assert_eq!(read(directory.path()).unwrap(), Some(state("b")));
    }

    #[test]
    fn a_file_that_is_no_state_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "{}").unwrap();
        assert!(read(directory.path()).is_err());
    }
}
