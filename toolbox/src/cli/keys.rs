//! Fills the agent of this process with the keys that the arguments, the environment and the inventory name, and puts
//! the person's own agent behind it.
//!
//! Contract: one key that cannot be had fails all, before any host is asked, and everything that is wrong is shown. The
//! person's own agent (`SSH_AUTH_SOCK`) is looked at first, unless `--no-upstream` forbids it: where it gives nothing that
//! is a warning, and an error only where there is no other key.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::agent::{
    AddOptions, Agent, Askpass, Identity, KeySource, LoadedKey, SOCKET_VARIABLE, Settings, Upstream, UpstreamError,
};
use crate::ssh::AgentDialer;
use crate::ssh_config::IdentityAgent;
use crate::ui::Ui;

use super::args::Common;
use super::context::Context;
use super::failure::{Failure, Failures, configuration};

pub(super) mod ask;
mod named;
mod reading;

pub(super) use named::Named;
use reading::{Reading, Wanted};

/// The variable that names a key file.
const FILE_VARIABLE: &str = "TOOLBOX_SSH_KEY_FILE";
/// The variable that names the library of FIDO devices, as OpenSSH's tools have it.
const FIDO_VARIABLE: &str = "SSH_SK_PROVIDER";

/// The agent with every key, and what is offered first where.
pub(super) struct Keys {
    /// How the agent is reached.
    pub(super) agent: AgentDialer,
    /// The keys that the inventory and ssh_config name.
    pub(super) named: Named,
}

/// Gathers the keys for these hosts.
///
/// # Errors
/// No key, or one that cannot be read, as problems of configuration.
pub(super) async fn gather(
    common: &Common,
    environment: Option<KeySource>,
    context: &Context,
    ui: &Ui,
) -> Result<Keys, Failures> {
    let wanted = context.ways.agent().map_err(|failure| Failures::configuration(vec![failure]))?;
    let behind = look_behind(common, wanted).await;
    let files = named::files(&context.hosts, &context.ways).map_err(Failures::configuration)?;
    let wanted = Wanted { may_lack: behind.is_some() || !files.is_empty(), ..sources(common, environment) };
    if wanted.sources.is_empty() && !wanted.may_lack {
        return Err(no_key(common));
    }
    let held = behind.as_ref().and_then(|looked| looked.as_ref().ok()).map_or(&[][..], |(_, listed)| listed);
    let certificates = context.ways.certificate_files();
    let reading = reading::read(wanted, files, certificates, held.to_vec()).await?;
    reading.warnings.iter().for_each(|warning| ui.say(&format!("warning: {warning}")));
    if reading.keys.is_empty() && behind.is_none() {
        return Err(no_key(common));
    }
    let upstream = settle(behind, &reading, ui)?;
    fill(reading, upstream).await
}

/// The person's own agent and what it lists now; `None` where there is none or it is to be left alone.
async fn look_behind(
    common: &Common,
    wanted: IdentityAgent,
) -> Option<Result<(Upstream, Vec<Identity>), UpstreamError>> {
    let upstream = match wanted {
        _ if common.no_upstream => None,
        IdentityAgent::Usual => Upstream::from_environment(),
        IdentityAgent::None => None,
        IdentityAgent::Socket(path) => Some(Upstream::at(path)),
    }?;
    Some(upstream.identities().await.map(|listed| (upstream, listed)))
}

/// Whether the person's own agent is put behind ours.
fn settle(
    behind: Option<Result<(Upstream, Vec<Identity>), UpstreamError>>,
    reading: &Reading,
    ui: &Ui,
) -> Result<Option<Upstream>, Failures> {
    match behind {
        None => Ok(None),
        Some(Ok((upstream, listed))) if listed.is_empty() && reading.keys.is_empty() => Err(empty(&upstream)),
        Some(Ok((upstream, _))) => Ok(Some(upstream)),
        Some(Err(error)) if reading.keys.is_empty() => Err(configuration(&error, error.hint())),
        Some(Err(error)) => {
            ui.say(&format!("warning: {error}; it is left alone"));
            Ok(None)
        }
    }
}

async fn fill(reading: Reading, upstream: Option<Upstream>) -> Result<Keys, Failures> {
    // A FIDO device may want its PIN.
    let askpass = Askpass::from_environment();
    let agent = Agent::with_settings(Settings { upstream, askpass, ..Settings::default() });
    let mut failures = Vec::new();
    for loaded in reading.keys {
        failures.extend(add(&agent, loaded).await.err());
    }
    if !failures.is_empty() {
        return Err(Failures::configuration(failures));
    }
    let agent = AgentDialer::new(move || {
        let agent = agent.clone();
        async move { Ok(agent.connect()) }
    });
    Ok(Keys { agent, named: reading.named })
}

/// The keys of these sources, for an agent that may start without any. With `or_nothing` an empty source is none: that
/// is how compose.yaml says so.
///
/// # Errors
/// Every key that cannot be read, as a problem of configuration.
pub(super) async fn read_all(sources: Vec<KeySource>, or_nothing: bool, ui: &Ui) -> Result<Vec<LoadedKey>, Failures> {
    let wanted = Wanted { sources, implied: or_nothing, may_lack: or_nothing };
    let reading = reading::read(wanted, Vec::new(), BTreeSet::new(), Vec::new()).await?;
    reading.warnings.iter().for_each(|warning| ui.say(&format!("warning: {warning}")));
    Ok(reading.keys)
}

/// Puts what was loaded into the agent.
pub(super) async fn add(agent: &Agent, loaded: LoadedKey) -> Result<(), Failure> {
    let LoadedKey { key, certificate, origin } = loaded;
    let options = AddOptions { provider: fido_provider(), ..AddOptions::default() };
    let added = match certificate {
        Some(certificate) => agent.add_certificate(certificate, key.clone(), options.clone()).await,
        None => Ok(()),
    };
    let added = match added {
        Ok(()) => agent.add_with(key, options).await,
        failed => failed,
    };
    added.map_err(|error| Failure::text(format!("{origin}: {error}"), None))
}

/// The library that speaks with FIDO devices, where it is not OpenSSH's own.
pub(super) fn fido_provider() -> Option<OsString> {
    std::env::var_os(FIDO_VARIABLE).filter(|name| !name.is_empty())
}

fn sources(common: &Common, environment: Option<KeySource>) -> Wanted {
    Wanted { sources: given(&common.key, environment), implied: common.key.is_empty(), may_lack: false }
}

/// What is named: by arguments, else by the variable that holds a key, else by the one that names a file.
pub(super) fn given(keys: &[String], environment: Option<KeySource>) -> Vec<KeySource> {
    if !keys.is_empty() {
        return keys.iter().map(|argument| KeySource::from_argument(argument)).collect();
    }
    let file = || std::env::var_os(FILE_VARIABLE).filter(|file| !file.is_empty());
    environment.or_else(|| file().map(|file| KeySource::File(PathBuf::from(file)))).into_iter().collect()
}

fn no_key(common: &Common) -> Failures {
    let mut hint = format!(
        "give one: --key FILE, --key - (standard input), {FILE_VARIABLE} or TOOLBOX_SSH_KEY; \
         or your own agent: {SOCKET_VARIABLE}"
    );
    if common.no_upstream && Upstream::from_environment().is_some() {
        hint.push_str(" (it is set, and --no-upstream leaves it alone)");
    }
    Failures::configuration(vec![Failure::text("no SSH key was given".into(), Some(hint))])
}

fn empty(upstream: &Upstream) -> Failures {
    let message = format!("the agent at {} holds no identity, and no other key was given", upstream.path().display());
    let hint = "add one where that agent runs: ssh-add FILE (or unlock it: ssh-add -X); or give a key: --key FILE";
    Failures::configuration(vec![Failure::text(message, Some(hint.into()))])
}
