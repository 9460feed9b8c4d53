//! Ways to bring an image to a host, each as the shell script that a person would write for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::agent::Problem;
use crate::deploy_host::Host;

use super::images::IMAGE;
use toolbox_line::{LOOPBACK, Line, Shape};

/// What a slow line's `rsync` does besides, and what it leaves behind on the host.
const RSYNC: &str = "docker save --output images.tar $IMAGE\nrsync $RSYNC --ignore-times --inplace images.tar root@$ADDRESS:$TAR\n\
                     ssh root@$ADDRESS docker load --quiet --input $TAR";
const TAR: &str = "/var/lib/docker/bench.tar";

/// `podman image scp` needs Podman on both sides.
const SKOPEO: &str = "rm -f there.sock\nssh -N -L $PWD/there.sock:/run/docker.sock root@$ADDRESS & tunnel=$!\n\
                      until [ -S there.sock ]; do sleep 0.02; done\n\
                      skopeo --insecure-policy copy --quiet --dest-daemon-host unix://$PWD/there.sock \
                      docker-daemon:$IMAGE docker-daemon:$IMAGE\nkill $tunnel\nwait $tunnel || :";

/// A way.
pub(crate) struct Contender {
    /// As the table calls it.
    pub(crate) name: &'static str,
    /// Whether it sends everything whatever has changed.
    pub(crate) whole: bool,
    script: String,
}

impl Contender {
    #[cfg(test)]
    pub(crate) fn named(name: &'static str) -> Self {
        Self { name, whole: true, script: String::new() }
    }

    /// The words that bring [`IMAGE`] to the host at the end of the line.
    pub(crate) fn words<'a>(&'a self, shape: Shape, line: &'a Line) -> Vec<String> {
        let squeeze = if shape == LOOPBACK { "" } else { "--compress" };
        let variables = [("IMAGE", IMAGE), ("ADDRESS", &line.address), ("TAR", TAR), ("RSYNC", squeeze)];
        let variables = variables.map(|(name, value)| format!("{name}={value}"));
        let shell = ["sh", "-euc", &self.script].map(str::to_owned);
        ["env".to_owned()].into_iter().chain(variables).chain(shell).collect()
    }
}

/// Those that this machine has, ours first; the others are named on standard error. `own` is a script of ours instead of
/// `toolbox push`.
pub(crate) fn contenders(toolbox: &Path, relay: &Path, own: Option<&str>) -> Result<Vec<Contender>, Problem> {
    let (toolbox, relay) = (fs::canonicalize(toolbox)?, fs::canonicalize(relay)?);
    let push = format!(
        "TOOLBOX_RELAY={} {} --inventory $ADDRESS.yaml --key key {}",
        relay.display(),
        toolbox.display(),
        own.unwrap_or("push $IMAGE")
    );
    let whole = |name, script: &str| Contender { name, whole: true, script: script.into() };
    let mut contenders = vec![
        Contender { name: "toolbox", whole: false, script: push },
        whole("save, ssh, load", "docker save $IMAGE | ssh root@$ADDRESS docker load --quiet"),
    ];
    let mut others = [
        (
            "zstd",
            whole(
                "save, zstd, ssh, load",
                "docker save $IMAGE | zstd -T0 | ssh root@$ADDRESS 'zstd -d | docker load --quiet'",
            ),
        ),
        ("rsync", Contender { name: "rsync of the tarball", whole: false, script: RSYNC.into() }),
        ("skopeo", whole("skopeo", SKOPEO)),
    ]
    .into_iter();
    for (program, contender) in &mut others {
        match Command::new(program).arg("--version").output() {
            Ok(answer) if answer.status.success() => contenders.push(contender),
            _ => eprintln!("not measured: {}, since {program} is not here", contender.name),
        }
    }
    Ok(contenders)
}

/// Writes what the programs read: an inventory for each address, and root's `ssh` and `rsync` without root's settings.
pub(crate) fn prepare(host: &Host, addresses: &[&str]) -> Result<(), Problem> {
    let directory = host.directory();
    let key = fs::read_to_string(directory.join("host.pub"))?;
    fs::write(directory.join("known_hosts"), format!("* {key}"))?;
    for address in addresses {
        let login = format!("ansible_host: {address}\n      ansible_port: 22\n      ansible_user: root\n");
        fs::write(directory.join(format!("{address}.yaml")), format!("all:\n  hosts:\n    vm:\n      {login}"))?;
    }
    let here = directory.display();
    let settings = format!("-F none -i {here}/key -o IdentitiesOnly=yes -o UserKnownHostsFile={here}/known_hosts");
    fs::create_dir_all(directory.join("bin"))?;
    fs::write(directory.join("bin/ssh"), format!("#!/bin/sh\nexec /usr/bin/ssh {settings} \"$@\"\n"))?;
    Ok(fs::set_permissions(directory.join("bin/ssh"), fs::Permissions::from_mode(0o755))?)
}

/// Leaves nothing of a push behind.
pub(crate) fn clear(host: &Host) -> Result<(), Problem> {
    host.clear()?;
    let script = format!("PATH=$PWD/bin:$PATH ssh root@127.0.0.1 rm -f {TAR}");
    crate::deploy_host::output(&mut host.shell(&script)).map(drop)
}
