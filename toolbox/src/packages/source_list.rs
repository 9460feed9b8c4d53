//! apt on a host, pointed at a bundle by its own settings, for one run.

use super::bundle::{Manifest, SERVER};

/// Run before the adapter's script, in the same shell: from then on apt knows the bundle's archive alone. Its lists
/// go to a directory, `bundle` for the adapter, that is removed; signatures are checked with the host's own keys.
///
/// A bundle may be older than the time for which its release vouches, which protects from an archive that is kept
/// back; whoever made the bundle chose its age.
pub(super) fn prelude(manifest: &Manifest) -> String {
    let keyring = match manifest.origin.as_str() {
        "Ubuntu" => "ubuntu-archive-keyring",
        _ => "debian-archive-keyring",
    };
    let order = manifest.sources.first().map(|source| source.compression.as_str()).unwrap_or_default();
    let order =
        if order.is_empty() { String::new() } else { format!("Acquire::CompressionTypes::Order:: \"{order}\";") };
    let lines: Vec<String> = manifest.sources.iter().map(|source| line(manifest, source)).collect();
    format!(
        r#"
set -eu
bundle=$(mktemp -d)
trap 'rm -rf "$bundle"' EXIT
trap 'exit 129' HUP INT TERM PIPE
chmod 755 "$bundle"
mkdir -p "$bundle/lists/partial"
signed=
for key in /usr/share/keyrings/{keyring}.gpg /usr/share/keyrings/{keyring}.pgp; do
  [ ! -r "$key" ] || signed="signed-by=$key"
done
cat >"$bundle/sources.list" <<END
{lines}
END
cat >"$bundle/apt.conf" <<END
Dir::Etc::sourcelist "$bundle/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$bundle/lists";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
{order}
END
export APT_CONFIG="$bundle/apt.conf"
set +eu
"#,
        lines = lines.join("\n"),
    )
}

fn line(manifest: &Manifest, source: &super::bundle::Source) -> String {
    let super::bundle::Source { directory, suite, components, .. } = source;
    // The host may be set up to fetch more lists than those that are in the bundle.
    let options = format!("arch={} target=Packages by-hash=no $signed", manifest.architecture);
    format!("deb [{options}] http://{SERVER}/{directory} {suite} {}", components.join(" "))
}

/// Run as the login user: says what the host is.
pub(super) const QUESTION: &str = r#"
( [ -r /etc/os-release ] && . /etc/os-release; printf 'toolbox-release %s\n' "${VERSION_CODENAME:-}" )
printf 'toolbox-architecture %s\n' "$(dpkg --print-architecture 2>/dev/null)"
exit 0
"#;

/// Release and architecture out of the answer.
pub(super) fn host(output: &str) -> (String, String) {
    let find =
        |mark: &str| output.lines().find_map(|line| line.strip_prefix(mark)).unwrap_or_default().trim().to_owned();
    (find("toolbox-release "), find("toolbox-architecture "))
}
