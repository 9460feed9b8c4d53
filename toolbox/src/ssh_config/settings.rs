//! The values of one host while its lines are gone through: the first one of a keyword counts.

use std::collections::BTreeMap;

use super::algorithms::AlgorithmList;
use super::jump::{self, Hop};
use super::keyword::{Effect, Key, effect, near};
use super::words::Line;
use crate::yaml::Problem;

/// The kind of addresses that a name is resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    /// Both.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// How a host is reached, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proxy {
    /// Empty for `none`.
    Jump(Vec<Hop>),
    Command(String),
}

/// A value with its line, for what is said about it later.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: Line,
}

/// Values as they were written, tokens and all.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) tag: Option<String>,
    pub(super) host_name: Option<At<String>>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) proxy: Option<At<Proxy>>,
    no_jump: bool,
    pub(super) identity_files: Vec<At<String>>,
    pub(super) certificate_files: Vec<At<String>>,
    pub(super) identities_only: Option<bool>,
    pub(super) identity_agent: Option<At<String>>,
    pub(super) host_key_alias: Option<String>,
    pub(super) user_known_hosts: Option<At<Vec<String>>>,
    pub(super) global_known_hosts: Option<At<Vec<String>>>,
    pub(super) server_alive_interval: Option<u32>,
    pub(super) server_alive_count_max: Option<u32>,
    pub(super) connect_timeout: Option<u32>,
    pub(super) connection_attempts: Option<u32>,
    pub(super) address_family: Option<AddressFamily>,
    pub(super) bind_address: Option<String>,
    pub(super) compression: Option<bool>,
    pub(super) algorithms: BTreeMap<&'static str, AlgorithmList>,
    /// The first line of each keyword that is not carried out.
    pub(super) others: BTreeMap<String, Line>,
    ignored: Vec<String>,
}

impl Settings {
    /// Takes a line in; one that is not `active` is only looked at.
    pub(super) fn take(&mut self, line: &Line, active: bool) -> Result<(), Problem> {
        let key = match effect(&line.keyword) {
            Some(Effect::Carried(key)) => key,
            Some(_) => {
                if active {
                    self.others.entry(line.keyword.clone()).or_insert_with(|| line.clone());
                }
                return Ok(());
            }
            None if super::pattern::any_matches(self.ignored.iter().map(String::as_str), &line.keyword) => {
                return Ok(());
            }
            None => return Err(unknown(line)),
        };
        match active {
            true => self.set(key, line),
            false => Self::default().set(key, line),
        }
    }

    fn set(&mut self, key: Key, line: &Line) -> Result<(), Problem> {
        match key {
            Key::Host | Key::Match | Key::Include => {}
            Key::IgnoreUnknown => {
                let patterns = line.one()?.split(',').map(str::to_ascii_lowercase).collect();
                if self.ignored.is_empty() {
                    self.ignored = patterns;
                }
            }
            Key::Tag => first(&mut self.tag, line.one()?.to_owned()),
            Key::HostName => first(&mut self.host_name, at(line, line.one()?.to_owned())),
            Key::User => first(&mut self.user, line.one()?.to_owned()),
            Key::Port => first(&mut self.port, port(line)?),
            Key::ProxyJump | Key::ProxyCommand => self.set_proxy(at(line, proxy(key, line)?)),
            Key::IdentityFile => add(&mut self.identity_files, line)?,
            Key::CertificateFile => add(&mut self.certificate_files, line)?,
            Key::IdentitiesOnly => first(&mut self.identities_only, flag(line)?),
            Key::IdentityAgent => first(&mut self.identity_agent, at(line, line.one()?.to_owned())),
            Key::HostKeyAlias => first(&mut self.host_key_alias, line.one()?.to_ascii_lowercase()),
            Key::UserKnownHostsFile => first(&mut self.user_known_hosts, at(line, several(line)?)),
            Key::GlobalKnownHostsFile => first(&mut self.global_known_hosts, at(line, several(line)?)),
            Key::ServerAliveInterval => first(&mut self.server_alive_interval, duration(line)?.unwrap_or(0)),
            Key::ServerAliveCountMax => first(&mut self.server_alive_count_max, number(line)?),
            // 0 is no limit of its own, and neither is none.
            Key::ConnectTimeout => first(&mut self.connect_timeout, duration(line)?.unwrap_or(0)),
            Key::ConnectionAttempts => first(&mut self.connection_attempts, number(line)?),
            Key::AddressFamily => first(&mut self.address_family, family(line)?),
            Key::BindAddress => first(&mut self.bind_address, line.one()?.to_owned()),
            Key::Compression => first(&mut self.compression, flag(line)?),
            Key::HostKeyAlgorithms | Key::PubkeyAcceptedAlgorithms | Key::KexAlgorithms | Key::Ciphers | Key::Macs => {
                self.algorithms.entry(list_name(key)).or_insert(algorithms(line)?);
            }
        }
        Ok(())
    }

    /// The first one counts; but `ProxyJump none` rules out a jump alone, and not a command.
    fn set_proxy(&mut self, proxy: At<Proxy>) {
        match proxy.value {
            Proxy::Jump(ref hops) if hops.is_empty() => self.no_jump |= self.proxy.is_none(),
            Proxy::Jump(_) if self.no_jump => {}
            _ => first(&mut self.proxy, proxy),
        }
    }
}

/// The name under which a list is kept: that of its keyword.
pub(super) fn list_name(key: Key) -> &'static str {
    match key {
        Key::HostKeyAlgorithms => "HostKeyAlgorithms",
        Key::PubkeyAcceptedAlgorithms => "PubkeyAcceptedAlgorithms",
        Key::KexAlgorithms => "KexAlgorithms",
        Key::Ciphers => "Ciphers",
        _ => "MACs",
    }
}

fn unknown(line: &Line) -> Problem {
    let hint = match near(&line.keyword) {
        Some(near) => format!("did you mean {near}? Or, above it: IgnoreUnknown {}", line.written),
        None => format!("where it is for another ssh, write above it: IgnoreUnknown {}", line.written),
    };
    line.problem("OpenSSH has no such keyword").with_hint(hint)
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

fn at<T>(line: &Line, value: T) -> At<T> {
    At { value, line: line.clone() }
}

fn add(list: &mut Vec<At<String>>, line: &Line) -> Result<(), Problem> {
    let value = line.one()?;
    if !list.iter().any(|known| known.value == value) {
        list.push(at(line, value.to_owned()));
    }
    Ok(())
}

fn port(line: &Line) -> Result<u16, Problem> {
    let word = line.one()?;
    jump::port(word).ok_or_else(|| line.problem(format!("{word:?} is no port from 1 to 65535")))
}

fn proxy(key: Key, line: &Line) -> Result<Proxy, Problem> {
    let rest = line.rest.trim_start_matches(|c| super::words::is_blank(c) || c == '=');
    if key == Key::ProxyCommand {
        return Ok(Proxy::Command(rest.to_owned()));
    }
    jump::parse(rest).map(Proxy::Jump).map_err(|reason| line.problem(reason))
}

fn flag(line: &Line) -> Result<bool, Problem> {
    match line.one()?.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(line.problem("must be yes or no")),
    }
}

fn number(line: &Line) -> Result<u32, Problem> {
    let word = line.one()?;
    let number = word.parse().ok().filter(|number: &u32| *number <= i32::MAX.unsigned_abs());
    number.ok_or_else(|| line.problem(format!("{word:?} is no number")))
}

/// Seconds: `90`, `1m30s`, `2h`; `none` gives none.
fn duration(line: &Line) -> Result<Option<u32>, Problem> {
    let word = line.one()?;
    if word == "none" {
        return Ok(None);
    }
    let seconds = seconds(word).ok_or_else(|| line.problem(format!("{word:?} is no time, such as 30 or 1m30s")))?;
    Ok(Some(seconds))
}

fn seconds(text: &str) -> Option<u32> {
    let (mut total, mut rest) = (0u32, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next();
        let factor = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(number.parse::<u32>().ok()?.checked_mul(factor)?)?;
        rest = &after[unit.map_or(0, char::len_utf8)..];
    }
    (!text.is_empty() && i32::try_from(total).is_ok()).then_some(total)
}

fn family(line: &Line) -> Result<AddressFamily, Problem> {
    match line.one()?.to_ascii_lowercase().as_str() {
        "any" => Ok(AddressFamily::Any),
        "inet" => Ok(AddressFamily::Inet),
        "inet6" => Ok(AddressFamily::Inet6),
        _ => Err(line.problem("must be any, inet or inet6")),
    }
}

fn several(line: &Line) -> Result<Vec<String>, Problem> {
    match line.words.as_slice() {
        [] => Err(line.problem("has no argument")),
        words if words.iter().any(String::is_empty) => Err(line.problem("has an empty argument")),
        words if words.len() > 1 && words.iter().any(|word| word.eq_ignore_ascii_case("none")) => {
            Err(line.problem("has none beside files"))
        }
        words => Ok(words.to_vec()),
    }
}

fn algorithms(line: &Line) -> Result<AlgorithmList, Problem> {
    AlgorithmList::parse(line.one()?).ok_or_else(|| line.problem("has an empty name in its list"))
}
