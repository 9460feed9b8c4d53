//! Fetching files of an archive for this machine itself.

use std::io::{self, Seek as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::{LOCATION, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::make::hex;
use super::upstream::{Reach, Upstream};

const REDIRECTS: usize = 5;
/// How long an answer, or the next part of it, may take.
const SILENCE: Duration = Duration::from_secs(60);

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not plain HTTP.
    #[error("{url} is no http:// address: what is fetched is verified by its signature, not by TLS")]
    Address {
        /// The address.
        url: String,
    },
    /// It does not come.
    #[error("{url}: {reason}")]
    Failed {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// It is another file than the archive's signature vouches for.
    #[error("{url} has SHA-256 {found}, {expected} is signed")]
    Hash {
        /// The address.
        url: String,
        /// What it has.
        found: String,
        /// What it must have.
        expected: String,
    },
}

impl FetchError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Address { .. } => "--mirror http://deb.debian.org/debian".into(),
            Self::Failed { .. } => "try again; a proxy of this network is named by http_proxy".into(),
            Self::Hash { .. } => {
                "try again, or another --mirror: this one is being changed, or something in between changes files"
                    .into()
            }
        })
    }
}

/// Fetches files.
pub(super) struct Fetch(Upstream);

impl Fetch {
    pub(super) fn from_environment() -> Self {
        Self(Upstream::from_environment(Reach::Everything))
    }

    /// A small file; `None` where there is none.
    pub(super) async fn bytes(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let mut bytes = Vec::new();
        let found = self.read(url, limit, |chunk| bytes.write_all(chunk)).await?;
        Ok(found.then_some(bytes))
    }

    /// A file of exactly this size and SHA-256, written to `spool`, which is at its beginning then.
    pub(super) async fn file(
        &self,
        url: &str,
        size: u64,
        sha256: &str,
        mut spool: std::fs::File,
    ) -> Result<std::fs::File, FetchError> {
        let mut hash = Sha256::new();
        let found = self.read(url, size, |chunk| {
            hash.update(chunk);
            spool.write_all(chunk)
        });
        if !found.await? {
            return Err(failed(url, "it does not exist, although the archive lists it"));
        }
        verify(url, &hex(&hash.finalize()), sha256)?;
        spool.rewind().map_err(|e| failed(url, e))?;
        Ok(spool)
    }

    /// Hands out a file's parts; `false` where there is none.
    async fn read(
        &self,
        url: &str,
        limit: u64,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<bool, FetchError> {
        let response = self.follow(url).await?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(false),
            status if !status.is_success() => return Err(failed(url, status)),
            _ => {}
        }
        let (mut body, mut left) = (response.into_body(), limit);
        while let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(|_| silent(url))? {
            let Ok(chunk) = frame.map_err(|e| failed(url, e))?.into_data() else { continue };
            left = left.checked_sub(chunk.len() as u64).ok_or_else(|| failed(url, "it is longer than it may be"))?;
            take(&chunk).map_err(|e| failed(url, e))?;
        }
        Ok(true)
    }

    async fn follow(&self, url: &str) -> Result<Response<Incoming>, FetchError> {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECTS {
            let uri: Uri = at.parse().map_err(|_| FetchError::Address { url: at.clone() })?;
            if uri.scheme_str() != Some("http") || uri.host().is_none() {
                return Err(FetchError::Address { url: at });
            }
            let request = Request::get(uri).header(USER_AGENT, "toolbox").body(Empty::<Bytes>::new());
            let fetched = self.0.fetch(request.map_err(|e| failed(url, e))?);
            let response = timeout(SILENCE, fetched).await.map_err(|_| silent(url))?;
            let response = response.map_err(|reason| failed(url, reason))?;
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            match location {
                Some(location) if response.status().is_redirection() => at = location.to_owned(),
                _ => return Ok(response),
            }
        }
        Err(failed(url, "it leads from one address to the next"))
    }
}

/// Whether a file is the one that is signed.
pub(super) fn verify(url: &str, found: &str, expected: &str) -> Result<(), FetchError> {
    if found == expected {
        return Ok(());
    }
    Err(FetchError::Hash { url: url.to_owned(), found: found.to_owned(), expected: expected.to_owned() })
}

fn silent(url: &str) -> FetchError {
    failed(url, format!("nothing came for {} s", SILENCE.as_secs()))
}

fn failed(url: &str, reason: impl std::fmt::Display) -> FetchError {
    FetchError::Failed { url: url.to_owned(), reason: reason.to_string() }
}
