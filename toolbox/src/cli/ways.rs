//! How the chosen hosts are reached: what OpenSSH's configuration makes of each, and the targets that come of it.
//!
//! Contract: what the inventory says of a host comes before its arguments for ssh, and those before the files, as in
//! Ansible's command line. Everything that is wrong is shown before any host is asked. A hop that several hosts have in
//! common is one hop, so that its connections are shared.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::Args;

use crate::inventory::{Host, Inventory};
use crate::ssh::{Dialing, Hop, Target, Timeouts, Way};
use crate::ssh_config::{Arguments, Config, Files, IdentityAgent, Person, Query, Resolved, Via, arguments};
use crate::yaml::Problems;

use super::args::Common;
use super::failure::Failure;
use super::keys::Named;

/// The login user where nothing names one.
const DEFAULT_USER: &str = "root";
const SYSTEM: &str = "/etc/ssh/ssh_config";

/// Arguments about OpenSSH's configuration.
#[derive(Debug, Args)]
pub(super) struct SshArguments {
    /// OpenSSH client configuration, or none [default: ssh_config in the project directory, else ~/.ssh/config and
    /// /etc/ssh/ssh_config]
    #[arg(long, global = true, value_name = "FILE", env = "TOOLBOX_SSH_CONFIG")]
    ssh_config: Option<PathBuf>,
    /// Run the commands of `Match exec` in it
    #[arg(long, global = true, env = "TOOLBOX_SSH_MATCH_EXEC", value_parser = clap::builder::FalseyValueParser::new())]
    ssh_match_exec: bool,
    /// known_hosts files, separated by colons, instead of those in the configuration
    #[arg(long, global = true, value_name = "FILES", env = "TOOLBOX_KNOWN_HOSTS")]
    known_hosts: Option<String>,
}

impl SshArguments {
    /// known_hosts files were named, instead of the usual ones.
    pub(super) fn names_known_hosts(&self) -> bool {
        self.known_hosts.is_some()
    }
}

/// The ways to the chosen hosts.
pub(super) struct Ways {
    hosts: BTreeMap<String, Resolved>,
    /// Instead of all others.
    known_hosts: Option<Vec<PathBuf>>,
    project_known_hosts: PathBuf,
    home: Option<PathBuf>,
    /// The whole inventory's, for hops that stand in it.
    pinned: Vec<Host>,
    hops: Mutex<Vec<Hop>>,
}

impl Ways {
    /// Reads the configuration and resolves every host.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn read(common: &Common, hosts: &[Host], inventory: &Inventory) -> Result<Self, Vec<Failure>> {
        let person = person();
        let home = person.home.clone();
        let mut reading = Reading { common, person, configs: BTreeMap::new() };
        let (mut resolved, mut problems) = (BTreeMap::new(), Vec::new());
        for host in hosts {
            match reading.host(host) {
                Ok(way) => drop(resolved.insert(host.name.clone(), way)),
                Err(found) => problems.extend(found.0),
            }
        }
        // A line that is wrong is wrong for every host.
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.to_string()));
        if !problems.is_empty() {
            return Err(problems.iter().map(super::context::problem).collect());
        }
        let failures: Vec<Failure> = resolved.values().flat_map(stations).filter_map(wrong_address).collect();
        if !failures.is_empty() {
            return Err(failures);
        }
        let given = common.ssh.known_hosts.as_ref();
        let given = given.map(|files| std::env::split_paths(files).filter(|p| !p.as_os_str().is_empty()).collect());
        Ok(Self {
            hosts: resolved,
            known_hosts: given,
            project_known_hosts: common.project_directory.join("known_hosts"),
            home,
            pinned: inventory.hosts.values().filter(|host| !host.host_keys.is_empty()).cloned().collect(),
            hops: Mutex::default(),
        })
    }

    /// What is not followed, each once.
    pub(super) fn warnings(&self) -> BTreeSet<&str> {
        self.stations().flat_map(|station| station.warnings.iter().map(String::as_str)).collect()
    }

    /// The key files that are named, each once, with the hosts that they are for.
    pub(super) fn key_files(&self) -> BTreeMap<PathBuf, Vec<String>> {
        self.files(|station| &station.identity_files)
    }

    /// The certificates that are named.
    pub(super) fn certificate_files(&self) -> BTreeSet<PathBuf> {
        self.files(|station| &station.certificate_files).into_keys().collect()
    }

    /// The agent behind ours.
    ///
    /// # Errors
    /// The hosts and their hops do not agree.
    pub(super) fn agent(&self) -> Result<IdentityAgent, Failure> {
        let mut wanted: Vec<&IdentityAgent> = Vec::new();
        for station in self.stations() {
            if !wanted.contains(&&station.identity_agent) {
                wanted.push(&station.identity_agent);
            }
        }
        match wanted.as_slice() {
            [] => Ok(IdentityAgent::Usual),
            [one] => Ok((*one).clone()),
            _ => {
                let hint =
                    "choose hosts that agree: --limit; or put all keys into one agent and leave IdentityAgent out";
                let message = "the chosen hosts want different agents (IdentityAgent in ssh_config)";
                Err(Failure::text(message.into(), Some(hint.into())))
            }
        }
    }

    /// Where to log in on a host, as whom, and which way.
    pub(super) fn target(&self, host: &Host, named: &Named) -> Target {
        let Some(resolved) = self.hosts.get(&host.name) else {
            unreachable!("{} was resolved with the others", host.name)
        };
        let mut target = self.build(resolved, named);
        target.name.clone_from(&host.name);
        target.pinned.clone_from(&host.host_keys);
        let own = named.of_host(&host.name);
        target.identities.splice(0..0, own.iter().cloned());
        target
    }

    fn build(&self, resolved: &Resolved, named: &Named) -> Target {
        let usual = Timeouts::default();
        let seconds = |value: Option<u32>| value.map(|seconds| Duration::from_secs(seconds.into()));
        Target {
            name: resolved.typed.clone(),
            pinned: self.pins(resolved),
            known_hosts: self.known_hosts(resolved),
            identities: resolved.identity_files.iter().flat_map(|file| named.of_file(file)).cloned().collect(),
            identities_only: resolved.identities_only,
            host_key_alias: resolved.host_key_alias.clone(),
            way: match &resolved.via {
                Via::Direct => Way::Direct,
                Via::Command(command) => Way::Command(command.clone()),
                Via::Hop(hop) => Way::Hop(self.hop(self.build(hop, named))),
            },
            dialing: Dialing {
                family: resolved.address_family,
                from: resolved.bind_address.as_ref().and_then(|address| address.parse().ok()),
                attempts: resolved.connection_attempts,
            },
            compression: resolved.compression.unwrap_or(true),
            algorithms: resolved.algorithms.clone(),
            timeouts: Timeouts {
                connect: seconds(resolved.connect_timeout).filter(|time| !time.is_zero()).unwrap_or(usual.connect),
                keepalive_interval: seconds(resolved.server_alive_interval).unwrap_or(usual.keepalive_interval),
                keepalive_max: resolved.server_alive_count_max.map_or(usual.keepalive_max, |count| count as usize),
                ..usual
            },
            ..Target::new(&resolved.host_name, resolved.port, &resolved.user)
        }
    }

    /// The same hop for all hosts behind it.
    fn hop(&self, target: Target) -> Hop {
        let mut hops = self.hops.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hops.iter().find(|hop| *hop.target() == target) {
            return known.clone();
        }
        let hop = Hop::new(target);
        hops.push(hop.clone());
        hop
    }

    /// The keys that the inventory pins for a host on the way.
    fn pins(&self, resolved: &Resolved) -> Vec<String> {
        let is_it = |host: &&Host| {
            host.port == resolved.port && (host.name == resolved.typed || host.address == resolved.host_name)
        };
        self.pinned.iter().find(is_it).map(|host| host.host_keys.clone()).unwrap_or_default()
    }

    /// The named files; else known_hosts beside the compose file, and those of the configuration.
    fn known_hosts(&self, resolved: &Resolved) -> Vec<PathBuf> {
        if let Some(files) = &self.known_hosts {
            return files.clone();
        }
        let own = || self.home.iter().map(|home| home.join(".ssh/known_hosts")).collect();
        let user: Vec<PathBuf> = resolved.user_known_hosts.clone().unwrap_or_else(own);
        let global = resolved.global_known_hosts.clone().unwrap_or_else(|| vec!["/etc/ssh/ssh_known_hosts".into()]);
        [self.project_known_hosts.clone()].into_iter().chain(user).chain(global).collect()
    }

    fn stations(&self) -> impl Iterator<Item = &Resolved> {
        self.hosts.values().flat_map(stations)
    }

    fn files(&self, of: impl Fn(&Resolved) -> &Vec<PathBuf>) -> BTreeMap<PathBuf, Vec<String>> {
        let mut files: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
        for station in self.stations() {
            for file in of(station) {
                let hosts = files.entry(file.clone()).or_default();
                if !hosts.contains(&station.typed) {
                    hosts.push(station.typed.clone());
                }
            }
        }
        files
    }
}

/// A host and its hops.
fn stations(resolved: &Resolved) -> impl Iterator<Item = &Resolved> {
    std::iter::successors(Some(resolved), |resolved| match &resolved.via {
        Via::Hop(hop) => Some(&**hop),
        _ => None,
    })
}

fn wrong_address(station: &Resolved) -> Option<Failure> {
    let address = station.bind_address.as_ref().filter(|address| address.parse::<IpAddr>().is_err())?;
    let hint = "write an IP address of this machine, or leave BindAddress out";
    Some(Failure::text(format!("{}: BindAddress {address} is no IP address", station.typed), Some(hint.into())))
}

fn person() -> Person {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let user = ["USER", "LOGNAME"].iter().find_map(|name| variables.get(*name)).cloned();
    Person {
        user: user.unwrap_or_default(),
        uid: rustix::process::getuid().as_raw(),
        home: std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
        machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        variables,
    }
}

/// Configuration that is read once for all hosts that have it.
struct Reading<'a> {
    common: &'a Common,
    person: Person,
    /// By the file of `-F`.
    configs: BTreeMap<Option<PathBuf>, Config>,
}

impl Reading<'_> {
    fn host(&mut self, host: &Host) -> Result<Resolved, Problems> {
        let mut found = Arguments::default();
        if host.port != 22 || ["ansible_port", "ansible_ssh_port"].iter().any(|name| host.variables.contains_key(*name))
        {
            found.set("Port", &host.port.to_string());
        }
        if let Some(user) = &host.user {
            found.set("User", user);
        }
        found.extend(arguments(&host.ssh_args)?);
        let may_exec = self.common.ssh.ssh_match_exec;
        let config = self.config(found.file.clone())?;
        let query = Query {
            host: &host.address,
            arguments: &found,
            default_user: DEFAULT_USER,
            exec: may_exec.then_some(&run as _),
        };
        config.resolve(&query)
    }

    fn config(&mut self, file: Option<PathBuf>) -> Result<&Config, Problems> {
        if !self.configs.contains_key(&file) {
            let config = Config::read(&self.files(file.as_deref()), self.person.clone())?;
            self.configs.insert(file.clone(), config);
        }
        Ok(&self.configs[&file])
    }

    fn files(&self, of_host: Option<&Path>) -> Files {
        let project = self.common.project_directory.join("ssh_config");
        let project = project.exists().then_some(project.as_path());
        match of_host.or(self.common.ssh.ssh_config.as_deref()).or(project) {
            Some(file) if file == Path::new("none") => Files::Off,
            Some(file) => Files::One(file.to_owned()),
            None => Files::Usual {
                own: self.person.home.as_ref().map(|home| home.join(".ssh/config")),
                system: SYSTEM.into(),
            },
        }
    }
}

/// Runs the command of a `Match exec`, without anything to read.
fn run(command: &str) -> std::io::Result<bool> {
    use std::process::{Command, Stdio};
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(shell.status()?.success())
}
