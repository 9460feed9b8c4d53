//! From the lines of one host to what is to be done.

use std::net::IpAddr;
use std::path::PathBuf;

use super::algorithms::AlgorithmList;
use super::arguments::{Arguments, arguments};
use super::expand::{MOST, PROXY, Person, Tokens, tilde, variables};
use super::jump::{self, Hop};
use super::keyword::{Effect, effect};
use super::scan::{Exec, Scan};
use super::settings::{AddressFamily, At, Proxy, Settings};
use super::source::Node;
use super::words::Line;
use crate::yaml::{Problem, Problems};

/// More hops than anybody has.
const MOST_HOPS: usize = 8;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// The host as it is typed: what `Host` is compared with.
    pub host: &'a str,
    /// What comes before the files.
    pub arguments: &'a Arguments,
    /// The login user where nothing names one; also that of hops.
    pub default_user: &'a str,
    /// Runs the command of `Match exec`; without it such a line is an error where it decides.
    pub exec: Option<Exec<'a>>,
}

/// How a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// By TCP.
    Direct,
    /// Through another host, which may itself be reached in any of these ways.
    Hop(Box<Resolved>),
    /// Through a program's standard input and output; a command for a shell.
    Command(String),
}

/// The agent whose keys are offered beside those of the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IdentityAgent {
    /// That of `SSH_AUTH_SOCK`.
    #[default]
    Usual,
    /// None.
    None,
    /// The one that listens here.
    Socket(PathBuf),
}

/// Lists of algorithms; `None` leaves the usual ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Algorithms {
    /// `HostKeyAlgorithms`
    pub host_key: Option<AlgorithmList>,
    /// `PubkeyAcceptedAlgorithms`
    pub pubkey: Option<AlgorithmList>,
    /// `KexAlgorithms`
    pub kex: Option<AlgorithmList>,
    /// `Ciphers`
    pub ciphers: Option<AlgorithmList>,
    /// `MACs`
    pub macs: Option<AlgorithmList>,
}

/// What holds for a host. Paths have no tokens, variables and tildes left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The host as it was typed.
    pub typed: String,
    /// The name or address to connect to.
    pub host_name: String,
    /// The port.
    pub port: u16,
    /// The login user.
    pub user: String,
    /// How it is reached.
    pub via: Via,
    /// `ProxyJump` as it counts: `user@a:22,b`.
    pub proxy_jump: Option<String>,
    /// Key files to be offered first; what does not exist is to be passed over.
    pub identity_files: Vec<PathBuf>,
    /// Certificates beside those that lie beside their keys.
    pub certificate_files: Vec<PathBuf>,
    /// Whether no other key is to be offered.
    pub identities_only: bool,
    /// Which agent is asked.
    pub identity_agent: IdentityAgent,
    /// The name that known_hosts has for the host.
    pub host_key_alias: Option<String>,
    /// known_hosts files of the person; `None` leaves the usual ones.
    pub user_known_hosts: Option<Vec<PathBuf>>,
    /// known_hosts files of the system; `None` leaves the usual ones.
    pub global_known_hosts: Option<Vec<PathBuf>>,
    /// Seconds of silence before a question; 0 asks never. `None` leaves the usual.
    pub server_alive_interval: Option<u32>,
    /// How many questions may stay unanswered.
    pub server_alive_count_max: Option<u32>,
    /// Seconds; `None` and 0 leave the usual.
    pub connect_timeout: Option<u32>,
    /// How often a connection is tried.
    pub connection_attempts: u32,
    /// Which addresses of a name count.
    pub address_family: AddressFamily,
    /// The address of this machine to connect from.
    pub bind_address: Option<String>,
    /// Whether to compress; `None` leaves the usual.
    pub compression: Option<bool>,
    /// Algorithms.
    pub algorithms: Algorithms,
    /// Settings that are not followed, each with its place.
    pub warnings: Vec<String>,
}

/// A host on the way to another: as typed, its address, port and user.
type Station = (String, String, u16, String);

pub(super) fn resolve(nodes: &[Node], person: &Person, query: &Query<'_>) -> Result<Resolved, Problems> {
    Resolver { nodes, person }.host(query, &mut Vec::new())
}

struct Resolver<'a> {
    nodes: &'a [Node],
    person: &'a Person,
}

impl Resolver<'_> {
    fn host(&self, query: &Query<'_>, stations: &mut Vec<Station>) -> Result<Resolved, Problems> {
        let (settings, host_name) = self.settings(query)?;
        let tokens = Tokens {
            host_name,
            typed: query.host.to_owned(),
            port: settings.port.unwrap_or(22),
            user: settings.user.clone().unwrap_or_else(|| query.default_user.to_owned()),
            key_alias: settings.host_key_alias.clone().unwrap_or_else(|| query.host.to_owned()),
            jump: written_jump(&settings).unwrap_or_default(),
        };
        let station = (tokens.typed.clone(), tokens.host_name.clone(), tokens.port, tokens.user.clone());
        check_stations(&station, stations, settings.proxy.as_ref().map(|proxy| &proxy.line))?;
        stations.push(station);
        let mut resolved = Values { person: self.person, tokens: &tokens, settings: &settings }.all()?;
        if let Some(proxy) = &settings.proxy {
            resolved.via = self.via(proxy, &tokens, query, stations)?;
        }
        Ok(resolved)
    }

    /// Goes through all lines, twice where a `Match final` asks for it.
    fn settings(&self, query: &Query<'_>) -> Result<(Settings, String), Problems> {
        let mut scan = Scan {
            person: self.person,
            typed: query.host,
            default_user: query.default_user,
            exec: query.exec,
            final_host: None,
            settings: Settings::default(),
            problems: Vec::new(),
            wants_final: false,
        };
        for line in &query.arguments.lines {
            let taken = scan.settings.take(line, true);
            scan.problems.extend(taken.err());
        }
        scan.walk(self.nodes, false);
        let host_name = scan.settings.host_name.as_ref().map_or_else(
            || Ok(query.host.to_owned()),
            |name| {
                let tokens = Tokens { host_name: query.host.to_owned(), ..Tokens::default() };
                tokens.expand(&name.value, "h", self.person).map_err(|reason| name.line.problem(reason))
            },
        );
        let host_name = canonical(&host_name?);
        if scan.wants_final && scan.problems.is_empty() {
            scan.final_host = Some(&host_name);
            scan.walk(self.nodes, false);
        }
        scan.problems.extend(refused(&scan.settings));
        match scan.problems.is_empty() {
            true => Ok((scan.settings, host_name)),
            false => Err(Problems(scan.problems)),
        }
    }

    fn via(
        &self,
        proxy: &At<Proxy>,
        tokens: &Tokens,
        query: &Query<'_>,
        stations: &mut Vec<Station>,
    ) -> Result<Via, Problems> {
        let expand = |text: &str| tokens.expand(text, PROXY, self.person).map_err(|reason| proxy.line.problem(reason));
        let hops = match &proxy.value {
            Proxy::Command(command) if command.eq_ignore_ascii_case("none") => return Ok(Via::Direct),
            Proxy::Command(command) => match jump::of_command(command).filter(follows) {
                Some(hop) => vec![hop],
                None => {
                    [&tokens.typed, &tokens.host_name, &tokens.user]
                        .into_iter()
                        .try_for_each(|text| harmless(text, proxy))?;
                    return Ok(Via::Command(expand(command)?));
                }
            },
            Proxy::Jump(hops) => hops.clone(),
        };
        let expanded = |hop: Hop| -> Result<Hop, Problem> {
            let user = hop.user.as_deref().map(expand).transpose()?;
            Ok(Hop { user, host: expand(&hop.host)?, ..hop })
        };
        let hops = hops.into_iter().map(expanded).collect::<Result<Vec<Hop>, Problem>>()?;
        let Some((last, before)) = hops.split_last() else {
            return Ok(Via::Direct);
        };
        let arguments = arguments_of(last, before)?;
        let hop = self.host(&Query { host: &last.host, arguments: &arguments, ..*query }, stations)?;
        Ok(Via::Hop(Box::new(hop)))
    }
}

/// What the ssh program is started with for a hop that others lead to.
fn arguments_of(hop: &Hop, before: &[Hop]) -> Result<Arguments, Problems> {
    let mut found = Arguments::default();
    if let Some(user) = &hop.user {
        found.set("User", user);
    }
    if let Some(port) = hop.port {
        found.set("Port", &port.to_string());
    }
    if !before.is_empty() {
        found.set("ProxyJump", &list(before));
    }
    found.extend(arguments(&hop.arguments)?);
    Ok(found)
}

/// Whether the arguments of the ssh program in a proxy command can be followed.
fn follows(hop: &Hop) -> bool {
    arguments(&hop.arguments).is_ok_and(|found| found.file.is_none())
}

fn list(hops: &[Hop]) -> String {
    hops.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// `ProxyJump` as it counts.
pub(super) fn written_jump(settings: &Settings) -> Option<String> {
    match &settings.proxy.as_ref()?.value {
        Proxy::Jump(hops) if !hops.is_empty() => Some(list(hops)),
        _ => None,
    }
}

fn check_stations(station: &Station, before: &[Station], line: Option<&Line>) -> Result<(), Problem> {
    let place = |message: String| match line {
        Some(line) => line.problem(message),
        None => Problem::of_file("ProxyJump".as_ref(), message),
    };
    let (typed, host_name, port, user) = station;
    let same = |other: &Station| (&other.2, &other.3) == (port, user) && (&other.0 == typed || &other.1 == host_name);
    let way = || before.iter().chain([station]).map(|station| station.0.as_str()).collect::<Vec<_>>().join(" -> ");
    if before.iter().any(same) {
        return Err(place(format!("the hops lead in a circle: {}", way())));
    }
    if before.len() > MOST_HOPS {
        return Err(place(format!("there are more than {MOST_HOPS} hops: {}", way())));
    }
    Ok(())
}

/// A name in lower case; an address as it is.
fn canonical(name: &str) -> String {
    if name.parse::<IpAddr>().is_ok() { name.to_owned() } else { name.to_ascii_lowercase() }
}

/// A name that goes into a shell's command must not be one itself.
fn harmless(text: &str, proxy: &At<Proxy>) -> Result<(), Problem> {
    let special = |c: char| c.is_whitespace() || c.is_control() || "'`\"$\\;&<>|(){},".contains(c);
    match text.starts_with('-') || text.contains(special) {
        true => Err(proxy.line.problem(format!("{text:?} has characters that a shell would take for its own"))),
        false => Ok(()),
    }
}

fn refused(settings: &Settings) -> Vec<Problem> {
    let refused = |line: &Line| match effect(&line.keyword) {
        Some(Effect::Refused(unless, why)) if !has(line, unless) => Some(line.problem(why)),
        _ => None,
    };
    settings.others.values().filter_map(refused).collect()
}

fn warnings(settings: &Settings) -> Vec<String> {
    let told = |line: &Line| match effect(&line.keyword) {
        Some(Effect::Told(unless, why)) if !has(line, unless) => {
            Some(line.problem(format!("{} is not followed: {why}", line.rest)).to_string())
        }
        _ => None,
    };
    settings.others.values().filter_map(told).collect()
}

fn has(line: &Line, values: &[&str]) -> bool {
    line.words.first().is_some_and(|word| values.iter().any(|value| word.eq_ignore_ascii_case(value)))
}

/// Values without tokens.
struct Values<'a> {
    person: &'a Person,
    tokens: &'a Tokens,
    settings: &'a Settings,
}

impl Values<'_> {
    fn all(&self) -> Result<Resolved, Problems> {
        let Self { tokens, settings, .. } = self;
        let algorithms = |name: &str| settings.algorithms.get(name).cloned();
        Ok(Resolved {
            typed: tokens.typed.clone(),
            host_name: tokens.host_name.clone(),
            port: tokens.port,
            user: tokens.user.clone(),
            via: Via::Direct,
            proxy_jump: written_jump(settings),
            identity_files: self.files(&settings.identity_files)?,
            certificate_files: self.files(&settings.certificate_files)?,
            identities_only: settings.identities_only.unwrap_or(false),
            identity_agent: self.identity_agent()?,
            host_key_alias: settings.host_key_alias.clone(),
            user_known_hosts: self.known_hosts(settings.user_known_hosts.as_ref(), true)?,
            global_known_hosts: self.known_hosts(settings.global_known_hosts.as_ref(), false)?,
            server_alive_interval: settings.server_alive_interval,
            server_alive_count_max: settings.server_alive_count_max,
            connect_timeout: settings.connect_timeout,
            connection_attempts: settings.connection_attempts.unwrap_or(1).max(1),
            address_family: settings.address_family.unwrap_or_default(),
            bind_address: settings.bind_address.clone(),
            compression: settings.compression,
            algorithms: Algorithms {
                host_key: algorithms("HostKeyAlgorithms"),
                pubkey: algorithms("PubkeyAcceptedAlgorithms"),
                kex: algorithms("KexAlgorithms"),
                ciphers: algorithms("Ciphers"),
                macs: algorithms("MACs"),
            },
            warnings: warnings(settings),
        })
    }

    fn expand(&self, text: &str, line: &Line) -> Result<String, Problem> {
        let expanded = self.tokens.expand(text, MOST, self.person).and_then(|text| variables(&text, self.person));
        expanded.map_err(|reason| line.problem(reason))
    }

    fn path(&self, text: &str, line: &Line) -> Result<PathBuf, Problem> {
        tilde(&self.expand(text, line)?, self.person).map_err(|reason| line.problem(reason))
    }

    fn files(&self, values: &[At<String>]) -> Result<Vec<PathBuf>, Problem> {
        let named = values.iter().filter(|at| !at.value.eq_ignore_ascii_case("none"));
        named.map(|at| self.path(&at.value, &at.line)).collect()
    }

    fn known_hosts(&self, files: Option<&At<Vec<String>>>, tokens: bool) -> Result<Option<Vec<PathBuf>>, Problem> {
        let Some(At { value, line }) = files else {
            return Ok(None);
        };
        let named = value.iter().filter(|file| !file.eq_ignore_ascii_case("none"));
        let path = |file: &String| match tokens {
            true => self.path(file, line),
            false => tilde(file, self.person).map_err(|reason| line.problem(reason)),
        };
        named.map(path).collect::<Result<_, _>>().map(Some)
    }

    fn identity_agent(&self) -> Result<IdentityAgent, Problem> {
        let Some(At { value, line }) = &self.settings.identity_agent else {
            return Ok(IdentityAgent::Usual);
        };
        match value.as_str() {
            "none" => Ok(IdentityAgent::None),
            "SSH_AUTH_SOCK" => Ok(IdentityAgent::Usual),
            _ => match value.strip_prefix('$').filter(|name| !name.starts_with('{')) {
                Some(name) => {
                    let socket = self.person.variables.get(name).filter(|socket| !socket.is_empty());
                    Ok(socket.map_or(IdentityAgent::None, |socket| IdentityAgent::Socket(socket.into())))
                }
                None => self.path(value, line).map(IdentityAgent::Socket),
            },
        }
    }
}
