//! Installing the engine on a host, by whichever way its packages come.

use std::sync::Arc;

use crate::bootstrap::{Fault, InstallError, Said, SystemFacts};
use crate::inventory::PackageProxy;
use crate::ssh::{Connection, SshError};

use super::archives::{Archives, archives};
use super::bundle::Bundle;
use super::proxy::{NOT_EITHER, Supply, serve};
use super::reach::Unreached;
use super::source_list;
use super::upstream::{Reach, Upstream};

/// How a host gets its packages.
#[derive(Debug, Clone, Default)]
pub struct Packages {
    /// Whether they come through this machine.
    pub proxy: PackageProxy,
    /// A bundle, which comes before everything else.
    pub bundle: Option<Arc<Bundle>>,
}

/// Why the engine could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// SSH.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The package manager.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The host cannot reach its archive, and this way does not work either.
    #[error(
        "the host cannot reach its package archive ({said}), and its packages cannot come through this machine: {source}"
    )]
    NoWay {
        /// What the host's package manager said.
        said: String,
        /// What stands in the way.
        source: Arc<PackagesError>,
    },
    /// There is nothing to fetch from.
    #[error("the host's configuration names no package archive with an http:// or https:// address")]
    NoArchive,
    /// The bundle was made for another one.
    #[error("the bundle is for {of_bundle}, the host is {host}")]
    OtherHost {
        /// `bookworm, amd64`.
        of_bundle: String,
        /// The same of the host.
        host: String,
    },
    /// The connection ended while packages were fetched.
    #[error("the connection that packages came by was lost")]
    LineLost,
}

impl PackagesError {
    /// The next step.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::Install(InstallError::Failed { tail, .. } | InstallError::Faulty { tail, .. })
                if tail.contains(NOT_EITHER) => Some(
                "this machine cannot reach the archive either: name your network's proxy (http_proxy), or make a bundle \
                 where there is internet: toolbox bundle"
                    .into(),
            ),
            Self::Install(error) => error.hint(),
            Self::NoWay { source, .. } => source.hint(),
            Self::NoArchive => Some("see what stands in /etc/apt/sources.list* on the host".into()),
            Self::OtherHost { host, .. } => {
                let (release, architecture) = host.split_once(", ")?;
                Some(format!("make one for it: toolbox bundle --release {release} --arch {architecture}"))
            }
            Self::LineLost => Some("try again".into()),
        }
    }
}

impl Packages {
    /// Whether a bundle is for this host. Changes nothing.
    ///
    /// # Errors
    /// [`PackagesError::OtherHost`], [`PackagesError::Ssh`].
    pub async fn check(&self, connection: &Connection) -> Result<(), PackagesError> {
        let Some(bundle) = &self.bundle else { return Ok(()) };
        let output = connection.exec("sh -s", source_list::QUESTION.as_bytes()).await?;
        let (release, architecture) = source_list::host(&output.stdout_text());
        let manifest = &bundle.manifest;
        if release == manifest.release && architecture == manifest.architecture {
            return Ok(());
        }
        let of_bundle = format!("{}, {}", manifest.release, manifest.architecture);
        let host = match release.is_empty() || architecture.is_empty() {
            true => "no system of Debian's kin".to_owned(),
            false => format!("{release}, {architecture}"),
        };
        Err(PackagesError::OtherHost { of_bundle, host })
    }
}

/// Installs the engine from the host's own package archive, or from a bundle. `bulk` gives the connection that packages
/// go over, where they come through this machine.
///
/// # Errors
/// [`PackagesError`].
pub async fn install_engine(
    control: &Connection,
    facts: &SystemFacts,
    packages: &Packages,
    bulk: impl AsyncFnOnce() -> Result<Connection, SshError>,
    mut tell: impl FnMut(Said<'_>) + Send,
) -> Result<(), PackagesError> {
    if let Some(bundle) = &packages.bundle {
        packages.check(control).await?;
        let prelude = source_list::prelude(&bundle.manifest);
        let run = Run { control, facts, prelude: &prelude };
        return run.through(bulk().await?, Supply::Bundle(Arc::clone(bundle)), &mut tell).await;
    }
    let run = Run { control, facts, prelude: "" };
    let said = match packages.proxy {
        PackageProxy::Always => return run.through_this_machine(Reach::Private, bulk, &mut tell).await,
        PackageProxy::Never => return Ok(run.plainly(&mut tell).await.map_err(|(error, _)| error)?),
        PackageProxy::Auto => match run.plainly(&mut tell).await {
            Err((InstallError::Failed { .. } | InstallError::Faulty { fault: Fault::NoNetwork, .. }, Some(said))) => {
                said
            }
            ended => return Ok(ended.map_err(|(error, _)| error)?),
        },
    };
    let tried = run.through_this_machine(Reach::Public, bulk, &mut tell).await;
    tried.map_err(|error| match error {
        PackagesError::Ssh(_) | PackagesError::NoArchive => PackagesError::NoWay { said, source: Arc::new(error) },
        other => other,
    })
}

/// One host's installation.
struct Run<'a> {
    control: &'a Connection,
    facts: &'a SystemFacts,
    prelude: &'a str,
}

impl Run<'_> {
    /// By the host's own way; beside an error, what was said of archives that were not reached.
    async fn plainly(&self, tell: &mut (impl FnMut(Said<'_>) + Send)) -> Result<(), (InstallError, Option<String>)> {
        let mut unreached = Unreached::default();
        let installed = crate::bootstrap::install_engine(self.control, self.facts, None, self.prelude, |said| {
            if let Said::Line(line) = said {
                unreached.read(line);
            }
            tell(said);
        });
        let installed = installed.await;
        installed.map_err(|error| (error, unreached.said()))
    }

    async fn through_this_machine(
        &self,
        reach: Reach,
        bulk: impl AsyncFnOnce() -> Result<Connection, SshError>,
        tell: &mut (impl FnMut(Said<'_>) + Send),
    ) -> Result<(), PackagesError> {
        let archives = archives(self.control).await?;
        if archives.is_empty() {
            return Err(PackagesError::NoArchive);
        }
        tell(Said::Note(&note(reach, &archives)));
        let supply = Supply::Archives(archives, Upstream::from_environment(reach));
        self.through(bulk().await?, supply, tell).await
    }

    /// With a port of the host that leads to `supply` for as long as the installation runs.
    async fn through(
        &self,
        bulk: Connection,
        supply: Supply,
        tell: &mut (impl FnMut(Said<'_>) + Send),
    ) -> Result<(), PackagesError> {
        let mut forward = bulk.forward_from_host().await?;
        let port = Some(forward.port());
        let installing = crate::bootstrap::install_engine(self.control, self.facts, port, self.prelude, tell);
        tokio::select! {
            installed = installing => Ok(installed?),
            () = serve(supply, async || forward.accept().await) => Err(PackagesError::LineLost),
        }
    }
}

fn note(reach: Reach, archives: &Archives) -> String {
    match reach {
        Reach::Public => format!("the host cannot reach {archives}; its packages come through this machine"),
        _ => format!("packages from {archives} come through this machine (toolbox_package_proxy: always)"),
    }
}
