//! Fills the agent of this process with the keys that the arguments name.

use std::path::PathBuf;

use crate::agent::{Agent, KeySource, PASSPHRASE_FILE_VARIABLE, Passphrases, load, passphrase_file};
use crate::ssh::AgentDialer;

use super::args::Common;
use super::failure::{Failure, Failures, configuration};

/// The variable that names a key file.
const FILE_VARIABLE: &str = "TOOLBOX_SSH_KEY_FILE";

/// An agent with every key, and how to reach it.
///
/// # Errors
/// No key, or one that cannot be read, as a problem of configuration.
pub(super) async fn agent(common: &Common, environment: Option<KeySource>) -> Result<AgentDialer, Failures> {
    let agent = Agent::new();
    for source in sources(common, environment)? {
        for key in read(source).await? {
            agent.add(key, None).await.map_err(|e| configuration(&e, None))?;
        }
    }
    Ok(AgentDialer::new(move || {
        let agent = agent.clone();
        async move { Ok(agent.connect()) }
    }))
}

fn sources(common: &Common, environment: Option<KeySource>) -> Result<Vec<KeySource>, Failures> {
    if !common.key.is_empty() {
        return Ok(common.key.iter().map(|k| KeySource::from_argument(k)).collect());
    }
    if let Some(source) = environment {
        return Ok(vec![source]);
    }
    if let Some(file) = std::env::var_os(FILE_VARIABLE).filter(|f| !f.is_empty()) {
        return Ok(vec![KeySource::File(PathBuf::from(file))]);
    }
    let hint = format!("give one: --key FILE, --key - (standard input), {FILE_VARIABLE} or TOOLBOX_SSH_KEY");
    Err(Failures::configuration(vec![Failure::text("no SSH key was given".into(), Some(hint))]))
}

/// Reading may wait for a person, so that it has a thread of its own.
async fn read(source: KeySource) -> Result<Vec<ssh_key::PrivateKey>, Failures> {
    let reading = tokio::task::spawn_blocking(move || {
        let file = std::env::var_os(PASSPHRASE_FILE_VARIABLE).filter(|f| !f.is_empty());
        let given = file.map(|f| passphrase_file(&PathBuf::from(f))).transpose()?;
        let mut ask = |prompt: &str| rpassword::prompt_password(prompt).map(Into::into);
        let has_terminal = std::fs::File::open("/dev/tty").is_ok();
        load(&source, Passphrases { given, ask: if has_terminal { Some(&mut ask) } else { None } })
    });
    let read = reading.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()));
    read.map_err(|e| configuration(&e, e.hint()))
}
