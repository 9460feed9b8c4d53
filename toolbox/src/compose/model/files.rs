//! Configs and secrets, which are shipped to the hosts as files.

use serde::{Deserialize, Serialize};

/// A config or secret: its content, which is shipped to the hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileObject {
    /// SHA-256 of the content in hexadecimal.
    pub digest: String,
    /// The content; empty in a release read back from a host, which holds it as a file.
    #[serde(skip)]
    pub content: Content,
}

/// Bytes that no output shows and that are overwritten when they are dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Content(pub zeroize::Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

/// A config or secret as a file of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileMount {
    /// Its key in [`Project::configs`] or [`Project::secrets`].
    pub key: String,
    /// Absolute path inside the container (`/run/secrets/KEY`, `/KEY` where the file does not say).
    pub target: String,
    /// Owner; 0 where the file does not say.
    pub uid: u32,
    /// Group; 0 where the file does not say.
    pub gid: u32,
    /// Mode bits; 0o444 where the file does not say.
    pub mode: u32,
}
