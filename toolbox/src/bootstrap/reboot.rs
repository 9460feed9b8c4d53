//! Booting a host again.

use super::install::{InstallError, Said, run};
use super::{RootError, SystemFacts};
use crate::ssh::{Connection, SshError};

/// In the background, so that the answer arrives before the host goes.
const SCRIPT: &str = r#"
set -eu
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
command -v reboot >/dev/null || { echo "no command reboot" >&2; exit 1; }
(sleep 1; reboot) </dev/null >/dev/null 2>&1 &
"#;

/// Asks the host to boot again; it goes a second later.
///
/// # Errors
/// [`InstallError`] where it does not take the order; a line that breaks is none.
pub async fn reboot(connection: &Connection, facts: &SystemFacts) -> Result<(), InstallError> {
    match run(connection, facts, "rebooting", SCRIPT, |_: Said<'_>| {}).await {
        Err(InstallError::Root(RootError::Ssh(SshError::Disconnected { .. } | SshError::ExitMissing { .. }))) => Ok(()),
        other => other,
    }
}
