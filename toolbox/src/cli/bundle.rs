//! `toolbox bundle`: packages for hosts without internet; and opening what it made.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::packages::{Bundle, Wanted, make};
use crate::plan::human_bytes;
use crate::ui::Ui;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures, configuration};
use super::interrupt;

/// Arguments of `bundle`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The hosts' release, by its codename, such as bookworm
    #[arg(long, value_name = "CODENAME")]
    release: String,
    /// The hosts' architecture, as `dpkg --print-architecture` names it
    #[arg(long, value_name = "ARCHITECTURE")]
    arch: String,
    /// The archive
    #[arg(long, value_name = "URL", default_value = "http://deb.debian.org/debian")]
    mirror: String,
    /// The archive of security updates [default: the mirror with -security behind /debian, else the mirror]
    #[arg(long, value_name = "URL")]
    security_mirror: Option<String>,
    /// The keys that the archive is signed by
    #[arg(long, value_name = "FILE", default_value = "/usr/share/keyrings/debian-archive-keyring.gpg")]
    keyring: PathBuf,
    /// Where the bundle goes, or - for standard output [default: bundle-CODENAME-ARCHITECTURE.tar]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Makes a bundle.
pub(super) async fn run(arguments: &Arguments, ui: Ui) -> Result<ExitStatus, Failures> {
    let interrupted = interrupt::listen();
    let to_stdout = arguments.out.as_deref() == Some(Path::new("-"));
    let spool = tempfile::tempdir().map_err(|e| Failures::failed(vec![Failure::of(&e, None)]))?;
    let named = || format!("bundle-{}-{}.tar", arguments.release, arguments.arch).into();
    let out = match &arguments.out {
        Some(_) if to_stdout => spool.path().join("bundle.tar"),
        given => given.clone().unwrap_or_else(named),
    };
    let wanted = Wanted {
        release: arguments.release.clone(),
        architecture: arguments.arch.clone(),
        mirror: arguments.mirror.clone(),
        security_mirror: arguments.security_mirror.clone(),
        keyring: arguments.keyring.clone(),
        out: out.clone(),
    };
    let making = async {
        let made = make(&wanted, |line| ui.say(&line)).await;
        made.map_err(|e| Failures::failed(vec![Failure::of(&e, e.hint())]))
    };
    let made = interrupt::or_interrupted(&interrupted, making).await?;
    let (count, size) = (made.packages, human_bytes(made.bytes));
    if to_stdout {
        copy(&out, &ui).map_err(|e| Failures::failed(vec![Failure::of(&e, None)]))?;
        ui.say(&format!("{count} packages, {size}"));
    } else {
        ui.say(&format!("{}: {count} packages, {size}; use it: toolbox deploy --bundle FILE", out.display()));
    }
    Ok(ExitStatus::Done)
}

fn copy(file: &Path, ui: &Ui) -> std::io::Result<()> {
    let (mut file, mut chunk) = (std::fs::File::open(file)?, vec![0; 1 << 20]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            read => ui.bytes(&chunk[..read]),
        }
    }
}

/// The argument of verbs that install Docker.
#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// Install Docker, where it is missing, out of this file of `toolbox bundle`
    #[arg(long, value_name = "FILE", env = "TOOLBOX_BUNDLE")]
    bundle: Option<PathBuf>,
}

impl Given {
    /// Opens the bundle that was named, before any host is asked.
    ///
    /// # Errors
    /// It is none, or not whole.
    pub(super) fn open(&self) -> Result<Option<Arc<Bundle>>, Failures> {
        let opened = self.bundle.as_deref().map(Bundle::open).transpose();
        opened.map(|bundle| bundle.map(Arc::new)).map_err(|e| configuration(&e, Some(e.hint())))
    }
}
