//! Which archives a host's own configuration names.

use std::collections::BTreeSet;
use std::fmt;

use hyper::Uri;

use crate::ssh::{Connection, SshError};

/// An address stands on a line of its own behind this mark.
const MARK: &str = "toolbox-archive ";

/// A script for any POSIX shell, run as the login user. It changes nothing, and needs no network. apt itself is asked
/// what it would fetch; lists of mirrors in files are read, those of the network are archives themselves.
const SCRIPT: &str = r#"
LC_ALL=C; PATH=$PATH:/usr/sbin:/sbin; export LC_ALL PATH
if command -v apt-get >/dev/null 2>&1; then
  apt-get update --print-uris 2>/dev/null | sed -n "s/^'\([^']*\)' .*/toolbox-archive \1/p"
  grep -rhoE 'mirror\+file:/[^] ]*' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    sed 's/^mirror+file://' | sort -u | while read -r list; do
      sed -n 's/^[[:space:]]*\(https\{0,1\}:[^[:space:]]*\).*/toolbox-archive \1/p' "$list" 2>/dev/null
    done
fi
if [ -d /etc/yum.repos.d ]; then
  grep -hE '^[[:space:]]*(baseurl|mirrorlist|metalink)[[:space:]]*=' /etc/yum.repos.d/*.repo 2>/dev/null |
    sed 's/^[^=]*=[[:space:]]*/toolbox-archive /'
fi
if [ -r /etc/apk/repositories ]; then
  sed -n 's/^[^#]*\(https\{0,1\}:[^[:space:]]*\).*/toolbox-archive \1/p' /etc/apk/repositories
fi
exit 0
"#;

/// Where the archives of releases past their end of life move.
const OLD: [&str; 2] = ["archive.debian.org", "old-releases.ubuntu.com"];

/// Servers that packages may be fetched from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archives(BTreeSet<(String, u16)>);

impl Archives {
    /// Reads the script's output; lines without the mark are somebody else's, addresses without a server are left out.
    pub fn parse(output: &str) -> Self {
        let addresses = output.lines().filter_map(|line| line.strip_prefix(MARK));
        Self(addresses.flat_map(str::split_whitespace).filter_map(server).collect())
    }

    /// Whether packages may be fetched from this server: also where distributions keep old releases.
    pub fn has(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        port == 80 && OLD.contains(&host.as_str()) || self.0.contains(&(host, port))
    }

    /// The host names none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Archives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: BTreeSet<&str> = self.0.iter().map(|(host, _)| host.as_str()).collect();
        f.write_str(&hosts.into_iter().collect::<Vec<_>>().join(", "))
    }
}

fn server(address: &str) -> Option<(String, u16)> {
    let uri: Uri = address.parse().ok()?;
    let scheme = uri.scheme_str()?;
    let usual = match scheme.strip_prefix("mirror+").unwrap_or(scheme) {
        "http" | "mirror" => 80,
        "https" => 443,
        _ => return None,
    };
    Some((uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(usual)))
}

/// Asks a host for its archives.
///
/// # Errors
/// [`SshError`] where the command cannot be run.
pub(super) async fn archives(connection: &Connection) -> Result<Archives, SshError> {
    let output = connection.exec("sh -s", SCRIPT.as_bytes()).await?;
    Ok(Archives::parse(&output.stdout_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_with_their_ports_and_nothing_else() {
        let output = "Welcome! http://evil.example/\n\
            toolbox-archive http://Deb.debian.org/debian/dists/bookworm/InRelease\n\
            toolbox-archive https://u:p@packages.example/x http://[2001:db8::1]:81/y\n\
            toolbox-archive mirror+https://list.example/z\ntoolbox-archive file:/srv/x\ntoolbox-archive cdrom:[x]/\n";
        let archives = Archives::parse(output);
        for (host, port) in
            [("deb.debian.org", 80), ("packages.example", 443), ("[2001:db8::1]", 81), ("list.example", 443)]
        {
            assert!(archives.has(host, port), "{host}:{port}");
        }
        assert_eq!(archives.0.len(), 4);
        assert!(!archives.has("deb.debian.org", 443) && !archives.has("evil.example", 80));
        assert!(archives.has("DEB.DEBIAN.ORG", 80));
    }

    #[test]
    fn the_script_runs_in_a_real_shell() {
        let output = std::process::Command::new("sh").arg("-c").arg(SCRIPT).output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    }
}
