//! Making a bundle, where there is internet.
//!
//! Contract: every release is verified against the keyring, every list of packages and every package by the hash that
//! follows from it; the file appears under its name only when it is whole. Releases taken: the one that is named, its
//! updates and its security updates, where the archive has them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use lzma_rust2::XzReader;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::debian::{
    File, Index, IndexError, Package, Release, ReleaseError, SignatureError, Unmet, closure, is_safe_path, signed_text,
};

use super::bundle::{FORMAT, MANIFEST, Manifest, Source};
use super::fetch::{Fetch, FetchError, verify};

/// The engine, which must be there, and what goes with it where the archive has it.
const ENGINE: &str = "docker.io";
const COMPANIONS: [&str; 2] = ["docker-cli", "apparmor"];

/// Where Debian, and where Ubuntu has the engine.
const COMPONENTS: [&str; 2] = ["main", "universe"];

const RELEASE_BYTES: u64 = 4 << 20;
const LIST_BYTES: u64 = 256 << 20;
const LIST_TEXT_BYTES: u64 = 1 << 30;
const PACKAGE_BYTES: u64 = 1 << 30;
const DOWNLOADS: usize = 4;

/// What a bundle is made of.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The release's codename, such as `bookworm`.
    pub release: String,
    /// Debian's name of the architecture, such as `amd64`.
    pub architecture: String,
    /// The archive's `http://` address.
    pub mirror: String,
    /// That of the security updates; derived from the mirror where it is not given.
    pub security_mirror: Option<String>,
    /// The keys that the archive is signed by.
    pub keyring: PathBuf,
    /// The file to write.
    pub out: PathBuf,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// How many packages are in it.
    pub packages: usize,
    /// Its size.
    pub bytes: u64,
}

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Something cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A word of the command line.
    #[error("{word:?} is no name of a release or an architecture")]
    Name {
        /// The word.
        word: String,
    },
    /// The archive does not have this release.
    #[error("{url} does not exist")]
    NoRelease {
        /// The release's address.
        url: String,
    },
    /// A file here cannot be read or written.
    #[error("{}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A release is not signed as it must be.
    #[error("{url}: {source}")]
    Signature {
        /// The release's address.
        url: String,
        /// What is wrong.
        source: SignatureError,
    },
    /// A signed release is not what it must be.
    #[error("{url}: {source}")]
    Release {
        /// The release's address.
        url: String,
        /// What is wrong.
        source: ReleaseError,
    },
    /// A signed release is another one, or too old, or lacks something.
    #[error("{url}: {reason}")]
    Unfit {
        /// The release's address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A list of packages is not what it must be.
    #[error("{url}: {source}")]
    Index {
        /// The list's address.
        url: String,
        /// What is wrong.
        source: IndexError,
    },
    /// The archive does not have what is needed.
    #[error(transparent)]
    Unmet(#[from] Unmet),
}

impl MakeError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Fetch(error) => return error.hint(),
            Self::NoRelease { .. } => {
                "releases past their end of life are elsewhere: --mirror http://archive.debian.org/debian".into()
            }
            Self::File { file, .. } => format!("ls -ld {}", crate::ssh::quote(&file.display().to_string())),
            Self::Signature { .. } => {
                "name the keyring of this archive: --keyring FILE (packages debian-archive-keyring, ubuntu-keyring)"
                    .into()
            }
            _ => return None,
        })
    }
}

/// A release that was verified.
struct Taken {
    url: String,
    source: Source,
    in_release: String,
    release: Release,
    lists: BTreeMap<String, Vec<u8>>,
}

/// Makes a bundle; `say` is told what is done.
///
/// # Errors
/// [`MakeError`]; nothing is left then.
pub async fn make(wanted: &Wanted, mut say: impl FnMut(String)) -> Result<Made, MakeError> {
    for word in [&wanted.release, &wanted.architecture] {
        if !is_safe_path(word) || word.contains('/') {
            return Err(MakeError::Name { word: word.clone() });
        }
    }
    let keyring = std::fs::read(&wanted.keyring);
    let keyring = keyring.map_err(|source| MakeError::File { file: wanted.keyring.clone(), source })?;
    let fetch = Fetch::from_environment();
    let (mut taken, mut index) = (Vec::new(), Index::default());
    for (directory, mirror, suite) in releases(wanted) {
        let release = take(&fetch, wanted, &keyring, (directory, &mirror, &suite)).await?;
        let Some(mut release) = release else {
            if taken.is_empty() {
                return Err(MakeError::NoRelease { url: release_url(&mirror, &suite) });
            }
            say(format!("{} does not exist, and is left out", release_url(&mirror, &suite)));
            continue;
        };
        lists(&fetch, wanted, &mut release, &mut index, taken.len()).await?;
        say(format!("{}: signed, {}", release.url, release.release.codename));
        taken.push(release);
    }
    let mut names = vec![ENGINE];
    names.extend(COMPANIONS.iter().filter(|name| index.get(name).is_some()));
    let packages: Vec<&Package> = closure(&index, &names)?.into_values().collect();
    let bytes: u64 = packages.iter().map(|package| package.size).sum();
    say(format!("{} packages to fetch, {} MB", packages.len(), bytes.div_ceil(1_000_000)));
    write(&fetch, wanted, &taken, &packages).await
}

/// Directory in the bundle, archive and suite of each; the first must exist.
fn releases(wanted: &Wanted) -> Vec<(&'static str, String, String)> {
    let mirror = wanted.mirror.trim_end_matches('/').to_owned();
    let derived = || if mirror.ends_with("/debian") { format!("{mirror}-security") } else { mirror.clone() };
    let security = wanted.security_mirror.as_ref().map_or_else(derived, |m| m.trim_end_matches('/').to_owned());
    let directory = if security == mirror { "archive" } else { "security" };
    let release = &wanted.release;
    // Before Debian 11 the security updates had another name.
    let old = matches!(release.as_str(), "buster" | "stretch" | "jessie");
    let last = if old { format!("{release}/updates") } else { format!("{release}-security") };
    vec![
        ("archive", mirror.clone(), release.clone()),
        ("archive", mirror, format!("{release}-updates")),
        (directory, security, last),
    ]
}

fn release_url(mirror: &str, suite: &str) -> String {
    format!("{mirror}/dists/{suite}/InRelease")
}

/// Fetches and verifies a release; `None` where the archive does not have it.
async fn take(
    fetch: &Fetch,
    wanted: &Wanted,
    keyring: &[u8],
    (directory, mirror, suite): (&str, &str, &str),
) -> Result<Option<Taken>, MakeError> {
    let url = release_url(mirror, suite);
    let Some(bytes) = fetch.bytes(&url, RELEASE_BYTES).await? else { return Ok(None) };
    let in_release = String::from_utf8_lossy(&bytes).into_owned();
    let text = signed_text(&in_release, keyring);
    let text = text.map_err(|source| MakeError::Signature { url: url.clone(), source })?;
    let release = Release::read(&text).map_err(|source| MakeError::Release { url: url.clone(), source })?;
    fits(&release, suite, wanted).map_err(|reason| MakeError::Unfit { url: url.clone(), reason })?;
    let source =
        Source { directory: directory.into(), suite: suite.into(), components: vec![], compression: String::new() };
    let url = format!("{mirror}/dists/{suite}");
    Ok(Some(Taken { url, source, in_release, release, lists: BTreeMap::new() }))
}

/// A signed release that is not the one that was asked for could be any of the archive's.
fn fits(release: &Release, suite: &str, wanted: &Wanted) -> Result<(), String> {
    let names = [&release.codename, &release.suite];
    if !names.iter().any(|name| *name == suite || **name == wanted.release) {
        return Err(format!("it is signed as {}, {suite} was asked for", release.codename));
    }
    if !release.architectures.contains(&wanted.architecture) {
        return Err(format!(
            "it has no architecture {}, only {}",
            wanted.architecture,
            release.architectures.join(", ")
        ));
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    match release.valid_until {
        Some(until) if until < i64::try_from(now).unwrap_or(i64::MAX) => {
            Err("it has expired (Valid-Until): the archive is kept back, or this machine's clock is wrong".into())
        }
        _ => Ok(()),
    }
}

/// Fetches a release's lists of packages.
async fn lists(
    fetch: &Fetch,
    wanted: &Wanted,
    taken: &mut Taken,
    index: &mut Index,
    number: usize,
) -> Result<(), MakeError> {
    let all = (!taken.release.lists_all).then_some("all");
    let architectures = [Some(wanted.architecture.as_str()), all];
    for component in COMPONENTS {
        for architecture in architectures.into_iter().flatten() {
            let Some(file) = taken.release.packages(component, architecture).cloned() else { continue };
            let bytes = list(fetch, taken, &file).await?;
            let url = format!("{}/{}", taken.url, file.path);
            let text =
                text(&file.path, &bytes).map_err(|e| MakeError::Unfit { url: url.clone(), reason: e.to_string() })?;
            index.add(&text, number).map_err(|source| MakeError::Index { url, source })?;
            taken.source.compression =
                Path::new(&file.path).extension().unwrap_or_default().to_string_lossy().into_owned();
            taken.lists.insert(file.path, bytes);
            if taken.source.components.last().is_none_or(|last| last != component) {
                taken.source.components.push(component.to_owned());
            }
        }
    }
    match taken.source.components.is_empty() {
        true => Err(MakeError::Unfit { url: taken.url.clone(), reason: "it lists no packages".into() }),
        false => Ok(()),
    }
}

async fn list(fetch: &Fetch, taken: &Taken, file: &File) -> Result<Vec<u8>, MakeError> {
    let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let by_hash = format!("{}/{directory}/by-hash/SHA256/{}", taken.url, file.sha256);
    let by_name = format!("{}/{}", taken.url, file.path);
    // By its hash it is there also while the archive is being changed.
    for url in [by_hash, by_name].into_iter().skip(usize::from(!taken.release.by_hash)) {
        if let Some(bytes) = fetch.bytes(&url, file.size.min(LIST_BYTES)).await? {
            verify(&url, &hex(&Sha256::digest(&bytes)), &file.sha256)?;
            return Ok(bytes);
        }
    }
    Err(MakeError::Unfit { url: taken.url.clone(), reason: format!("it has no {}, although it lists it", file.path) })
}

fn text(path: &str, bytes: &[u8]) -> io::Result<String> {
    let mut text = Vec::new();
    let read = match path.rsplit('.').next() {
        Some("xz") => XzReader::new(bytes, true).take(LIST_TEXT_BYTES).read_to_end(&mut text)?,
        Some("gz") => flate2::read::MultiGzDecoder::new(bytes).take(LIST_TEXT_BYTES).read_to_end(&mut text)?,
        _ => bytes.take(LIST_TEXT_BYTES).read_to_end(&mut text)?,
    };
    if read as u64 == LIST_TEXT_BYTES {
        return Err(io::Error::other("the list is too long"));
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a package is in the bundle, and where it comes from.
fn places(taken: &[Taken], package: &Package) -> (String, String) {
    let of = &taken[package.archive];
    let mirror = of.url.split("/dists/").next().unwrap_or_default();
    (format!("{}/{}", of.source.directory, package.path), format!("{mirror}/{}", package.path))
}

/// Everything but the packages, by path.
fn texts(taken: &[Taken]) -> BTreeMap<String, Vec<u8>> {
    let of = |taken: &Taken| {
        let directory = format!("{}/dists/{}", taken.source.directory, taken.source.suite);
        let lists = taken.lists.iter().map(|(path, bytes)| (format!("{directory}/{path}"), bytes.clone()));
        let release = (format!("{directory}/InRelease"), taken.in_release.clone().into_bytes());
        lists.chain([release]).collect::<Vec<_>>()
    };
    taken.iter().flat_map(of).collect()
}

async fn write(fetch: &Fetch, wanted: &Wanted, taken: &[Taken], packages: &[&Package]) -> Result<Made, MakeError> {
    let texts = texts(taken);
    let of_packages = packages.iter().map(|package| (places(taken, package).0, package.size));
    let manifest = Manifest {
        format: FORMAT,
        release: wanted.release.clone(),
        architecture: wanted.architecture.clone(),
        origin: taken.first().map(|first| first.release.origin.clone()).unwrap_or_default(),
        sources: taken.iter().map(|taken| taken.source.clone()).collect(),
        packages: packages.iter().map(|package| package.name.clone()).collect(),
        files: texts.iter().map(|(path, bytes)| (path.clone(), bytes.len() as u64)).chain(of_packages).collect(),
    };
    let failed = |source| MakeError::File { file: wanted.out.clone(), source };
    let directory = wanted.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any file that a person makes: whoever deploys may be another user.
    let mode = Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().permissions(mode).tempfile_in(directory).map_err(failed)?;
    let mut tar = tar::Builder::new(file);
    let manifest = serde_json::to_vec_pretty(&manifest).map_err(|e| failed(e.into()))?;
    append(&mut tar, MANIFEST, manifest.len() as u64, manifest.as_slice()).map_err(failed)?;
    for (path, bytes) in &texts {
        append(&mut tar, path, bytes.len() as u64, bytes.as_slice()).map_err(failed)?;
    }
    let downloads = stream::iter(packages.iter().map(|package| download(fetch, taken, package, directory)));
    let mut downloads = downloads.buffered(DOWNLOADS);
    while let Some((path, size, file)) = downloads.try_next().await? {
        append(&mut tar, &path, size, file).map_err(failed)?;
    }
    let written = tar.into_inner().map_err(failed)?;
    let bytes = written.as_file().metadata().map_err(failed)?.len();
    written.persist(&wanted.out).map_err(|e| failed(e.error))?;
    Ok(Made { packages: packages.len(), bytes })
}

async fn download(
    fetch: &Fetch,
    taken: &[Taken],
    package: &Package,
    directory: &Path,
) -> Result<(String, u64, std::fs::File), MakeError> {
    let (path, url) = places(taken, package);
    let failed = |source| MakeError::File { file: directory.to_owned(), source };
    let spool = tempfile::tempfile_in(directory).map_err(failed)?;
    let spool = fetch.file(&url, package.size.min(PACKAGE_BYTES), &package.sha256, spool).await?;
    Ok((path, package.size, spool))
}

fn append(tar: &mut tar::Builder<NamedTempFile>, path: &str, size: u64, data: impl io::Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, path, data)
}
