//! The spool: parts of layers in a volume that outlives containers, shared by whoever sends to this host.
//!
//! Contract: a layer's bytes are in `<hex>.part` (with holes), `<hex>.map` says which are there, `<hex>.base` is
//! a layer to copy from. Whoever uses a file holds [`Spool::using`]; whoever removes some, [`Spool::alone`], and
//! removes none that a living receiver wants. A receiver (one deployer's container here) lives while a session
//! of it does, which holds a lock on `.sessions-<receiver>`; it wants what `<hex>.want-<receiver>` names, and has
//! no use any more for parts of what `<hex>.loaded-<receiver>` names. So nothing has to be cleaned up after
//! anybody who was killed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::statvfs;
use toolbox_wire::DiffId;

/// Names of our own are short; a host's name may be anything.
const MOST_NAME: usize = 64;

/// What a file of the spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A layer's bytes.
    Part,
    /// Which of them are there.
    Map,
    /// A layer to copy from.
    Base,
    /// A base that is still read.
    Unread,
    /// A mark: a receiver wants it.
    Want,
    /// A mark: a receiver has loaded it.
    Loaded,
}

impl Kind {
    /// Whether it says something of a receiver.
    pub(super) fn is_mark(self) -> bool {
        matches!(self, Self::Want | Self::Loaded)
    }
}

/// The spool, and who uses it.
#[derive(Debug)]
pub(crate) struct Spool {
    root: PathBuf,
    receiver: String,
    lock: File,
    session: OnceLock<File>,
}

/// Held while files are used or removed.
pub(super) struct Guard<'a>(&'a File);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // It goes with the process at the latest.
        let _ = self.0.unlock();
    }
}

impl Spool {
    /// `RELAY_SPOOL`, or `/spool`; the receiver is named like this container.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let root = std::env::var_os("RELAY_SPOOL").map_or_else(|| PathBuf::from("/spool"), PathBuf::from);
        let name = |name: OsString| name.to_string_lossy().into_owned();
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self::open(root, &std::env::var_os("RELAY_RECEIVER").map_or_else(host, name))
    }

    pub(super) fn open(root: PathBuf, receiver: &str) -> io::Result<Self> {
        let harmless = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
        let receiver = receiver.chars().take(MOST_NAME).map(harmless).collect();
        let name = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", root.display()));
        let lock = create(&root.join(".lock")).map_err(name)?;
        Ok(Self { root, receiver, lock, session: OnceLock::new() })
    }

    /// Makes this process a session of its receiver, until it ends.
    pub(super) fn join(&self) -> io::Result<()> {
        let _guard = self.using()?;
        let file = create(&self.sessions(&self.receiver))?;
        file.lock_shared()?;
        let _ = self.session.set(file);
        Ok(())
    }

    /// Whether a session of the own receiver lives; if not, none can begin as long as the value lives.
    pub(crate) fn no_session(&self) -> io::Result<Option<File>> {
        let _guard = self.using()?;
        let file = create(&self.sessions(&self.receiver))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// For reading and writing parts, together with others.
    pub(super) fn using(&self) -> io::Result<Guard<'_>> {
        self.lock.lock_shared()?;
        Ok(Guard(&self.lock))
    }

    /// For removing.
    pub(super) fn alone(&self) -> io::Result<Guard<'_>> {
        self.lock.lock()?;
        Ok(Guard(&self.lock))
    }

    pub(super) fn path(&self, id: DiffId, kind: Kind) -> PathBuf {
        let hex = id.hex();
        self.root.join(match kind {
            Kind::Part => format!("{hex}.part"),
            Kind::Map => format!("{hex}.map"),
            Kind::Base => format!("{hex}.base"),
            Kind::Unread => format!("{hex}.unread-{}-{}", self.receiver, std::process::id()),
            Kind::Want => format!("{hex}.want-{}", self.receiver),
            Kind::Loaded => format!("{hex}.loaded-{}", self.receiver),
        })
    }

    fn sessions(&self, receiver: &str) -> PathBuf {
        self.root.join(format!(".sessions-{receiver}"))
    }

    /// Bytes that may still be written.
    pub(super) fn free(&self) -> io::Result<u64> {
        let system = statvfs(&self.root)?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    /// This receiver wants these files.
    pub(super) fn want(&self, id: DiffId, _using: &Guard<'_>) -> io::Result<()> {
        create(&self.path(id, Kind::Want)).map(drop)
    }

    /// All files of the spool but for its locks.
    pub(super) fn files(&self) -> io::Result<Vec<(DiffId, Kind, PathBuf)>> {
        let names = fs::read_dir(&self.root)?.map(|entry| Ok(entry?.file_name()));
        let names: Vec<OsString> = names.collect::<io::Result<_>>()?;
        let known = |name: &OsString| parse(name.to_str()?).map(|(id, kind)| (id, kind, self.root.join(name)));
        Ok(names.iter().filter_map(known).collect())
    }

    /// What living receivers want; the marks and locks of dead ones are removed.
    pub(super) fn wanted(&self, _alone: &Guard<'_>) -> io::Result<BTreeSet<DiffId>> {
        let mut wanted = BTreeSet::new();
        for (id, kind, path) in self.files()?.into_iter().filter(|(_, kind, _)| kind.is_mark()) {
            let receiver = path.to_str().and_then(|path| path.rsplit_once('-'));
            match receiver {
                Some((_, receiver)) if self.lives(receiver)? => {
                    if kind == Kind::Want {
                        wanted.insert(id);
                    }
                }
                _ => remove(&path)?,
            }
        }
        Ok(wanted)
    }

    /// Its lock is removed where it does not.
    fn lives(&self, receiver: &str) -> io::Result<bool> {
        if receiver == self.receiver && self.session.get().is_some() {
            return Ok(true);
        }
        let path = self.sessions(receiver);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => remove(&path).map(|()| false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Removes the locks of receivers that are gone.
    pub(super) fn forget_the_dead(&self, _alone: &Guard<'_>) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            if let Some(receiver) = name.to_str().and_then(|name| name.strip_prefix(".sessions-")) {
                self.lives(receiver)?;
            }
        }
        Ok(())
    }

    /// The bases that this receiver wants.
    pub(super) fn own_bases(&self) -> io::Result<Vec<DiffId>> {
        let bases = self.files()?.into_iter().filter(|(_, kind, _)| *kind == Kind::Base).map(|(id, ..)| id);
        Ok(bases.filter(|id| self.path(*id, Kind::Want).exists()).collect())
    }

    /// This receiver has loaded these layers with the help of these bases, and no longer wants them; what nobody else
    /// wants is removed.
    pub(super) fn done_with(&self, layers: &[DiffId], bases: &[DiffId]) -> io::Result<()> {
        let guard = self.alone()?;
        for id in layers {
            create(&self.path(*id, Kind::Loaded))?;
        }
        let ids = || layers.iter().chain(bases);
        for id in ids() {
            remove(&self.path(*id, Kind::Want))?;
        }
        let wanted = self.wanted(&guard)?;
        let unwanted = ids().filter(|id| !wanted.contains(*id));
        unwanted
            .flat_map(|id| [Kind::Map, Kind::Part, Kind::Base].map(|kind| self.path(*id, kind)))
            .try_for_each(|path| remove(&path))
    }

    /// Whether this receiver has loaded it: parts that come late, since another's came first, are of no use.
    pub(super) fn has_loaded(&self, id: DiffId) -> bool {
        self.path(id, Kind::Loaded).exists()
    }

    /// Forgets a layer's bytes, whoever wants them: they are wrong.
    pub(super) fn forget(&self, id: DiffId) -> io::Result<()> {
        let _guard = self.alone()?;
        [Kind::Map, Kind::Part].map(|kind| self.path(id, kind)).iter().try_for_each(|path| remove(path))
    }
}

fn parse(name: &str) -> Option<(DiffId, Kind)> {
    let (hex, rest) = name.split_once('.')?;
    let kind = match rest {
        "part" => Kind::Part,
        "map" => Kind::Map,
        "base" => Kind::Base,
        _ if rest.starts_with("want-") => Kind::Want,
        _ if rest.starts_with("loaded-") => Kind::Loaded,
        _ if rest.starts_with("unread-") => Kind::Unread,
        _ => return None,
    };
    Some((DiffId::from_hex(hex)?, kind))
}

/// Opens a file for reading and writing, as it is if it is there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Removes a file; one that is not there is removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
