//! Settings: the `CLOCK_*` variables of the environment, and nothing else.
//!
//! envy gathers the variables, then every value is checked, so that all wrong ones are reported at
//! once. An empty variable counts as unset, since Compose's `${CLOCK_LOG:-}` sets empty ones.
//! An unknown `CLOCK_*` variable is reported but is no error: neighbours share the prefix (the
//! frontend's `CLOCK_BACKEND`) and often share one `.env`.

use std::{ffi::OsString, fmt::Write as _, net::IpAddr, net::SocketAddr, time::Duration};

use serde::Deserialize;
use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

#[cfg(test)]
mod tests;

const PREFIX: &str = "CLOCK_";

/// One variable, as `--help` and error messages describe it.
#[derive(Debug)]
pub struct Setting {
    /// The variable's name, with the prefix.
    pub name: &'static str,
    /// The value where the variable is unset or empty.
    pub default: &'static str,
    /// What it sets.
    pub meaning: &'static str,
    /// What a value must be.
    pub allowed: &'static str,
}

const HOST: Setting = Setting {
    name: "CLOCK_HOST",
    default: "127.0.0.1",
    meaning: "address to listen on",
    allowed: "an IP address, such as 127.0.0.1, 0.0.0.0 or ::",
};
const PORT: Setting = Setting {
    name: "CLOCK_PORT",
    default: "8000",
    meaning: "TCP port to listen on",
    allowed: "a port from 1 to 65535",
};
const LOG: Setting = Setting {
    name: "CLOCK_LOG",
    default: "info",
    meaning: "what to log to standard error",
    allowed: "off, error, warn, info, debug or trace, or a list such as info,clock_backend=debug",
};
const GRACE: Setting = Setting {
    name: "CLOCK_SHUTDOWN_GRACE_SECONDS",
    default: "8",
    meaning: "how long requests in flight may take after SIGTERM",
    allowed: "whole seconds from 0 to 3600",
};
const HEADER_TIMEOUT: Setting = Setting {
    name: "CLOCK_HEADER_TIMEOUT_SECONDS",
    default: "15",
    meaning: "how long a connection may take to bring a request's header",
    allowed: "whole seconds from 1 to 3600",
};

/// Every variable that the service reads.
pub const SETTINGS: [Setting; 5] = [HOST, PORT, LOG, GRACE, HEADER_TIMEOUT];

/// Checked settings.
#[derive(Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What to log.
    pub log: Targets,
    /// How long requests in flight may take once the service was told to stop.
    pub shutdown_grace: Duration,
    /// How long a connection may take to bring a request's header, idle time included.
    pub header_timeout: Duration,
    /// `CLOCK_*` variables that nothing here reads, sorted.
    pub unknown: Vec<String>,
}

/// One variable that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// The value is outside of what the setting allows.
    #[error("{name}={value:?}: must be {allowed}")]
    NotAllowed {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        allowed: &'static str,
    },
    /// The value is not UTF-8 (shown with replacement characters).
    #[error("{name}={value:?}: is not UTF-8; must be {allowed}")]
    NotUnicode {
        /// The variable.
        name: &'static str,
        /// Its value, as far as it can be shown.
        value: String,
        /// What it must be.
        allowed: &'static str,
    },
}

/// Why there are no settings.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// At least one variable is wrong; every wrong one is listed.
    #[error("wrong settings in the environment:{}", list(.0))]
    Wrong(Vec<Problem>),
    /// envy refused the variables themselves.
    #[error("cannot read the environment")]
    Gather(#[from] envy::Error),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let _ = write!(text, "\n  {problem}");
        text
    })
}

/// The variables as envy finds them: text, not yet checked.
#[derive(Deserialize)]
struct Raw {
    host: Option<String>,
    port: Option<String>,
    log: Option<String>,
    shutdown_grace_seconds: Option<String>,
    header_timeout_seconds: Option<String>,
}

impl Config {
    /// Reads the settings from variables, normally those of [`std::env::vars_os`].
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with every variable whose value is not allowed.
    pub fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        let Gathered { known, unknown, mut problems } = gather(vars);
        let raw: Raw = envy::prefixed(PREFIX).from_iter(known)?;

        let host = check(&HOST, raw.host, |text| text.parse::<IpAddr>().ok(), &mut problems);
        let port = check(&PORT, raw.port, |text| number(text, 1..=65535), &mut problems);
        let log = check(&LOG, raw.log, filter, &mut problems);
        let grace = check(&GRACE, raw.shutdown_grace_seconds, |text| number(text, 0..=3600), &mut problems);
        let header = check(&HEADER_TIMEOUT, raw.header_timeout_seconds, |text| number(text, 1..=3600), &mut problems);

        match (host, port, log, grace, header) {
            (Some(host), Some(port), Some(log), Some(grace), Some(header)) if problems.is_empty() => Ok(Self {
                listen: SocketAddr::new(host, port),
                log,
                shutdown_grace: Duration::from_secs(u64::from(grace)),
                header_timeout: Duration::from_secs(u64::from(header)),
                unknown,
            }),
            _ => Err(ConfigError::Wrong(problems)),
        }
    }
}

#[derive(Default)]
struct Gathered {
    known: Vec<(String, String)>,
    unknown: Vec<String>,
    problems: Vec<Problem>,
}

/// Sorts the `CLOCK_*` variables out. `std::env::vars`, which envy would use, panics where any
/// variable of the process is not UTF-8.
fn gather(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Gathered {
    let mut gathered = Gathered::default();
    for (name, value) in vars {
        let name = name.to_string_lossy();
        if !name.starts_with(PREFIX) {
            continue;
        }
        match SETTINGS.iter().find(|setting| setting.name == name) {
            None => gathered.unknown.push(name.into_owned()),
            Some(_) if value.is_empty() => {}
            Some(setting) => match value.into_string() {
                Ok(value) => gathered.known.push((name.into_owned(), value)),
                Err(value) => gathered.problems.push(Problem::NotUnicode {
                    name: setting.name,
                    value: value.to_string_lossy().into_owned(),
                    allowed: setting.allowed,
                }),
            },
        }
    }
    gathered.unknown.sort();
    gathered
}

fn check<T>(
    setting: &Setting,
    value: Option<String>,
    parse: impl Fn(&str) -> Option<T>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let value = value.unwrap_or_else(|| setting.default.to_owned());
    let parsed = parse(&value);
    if parsed.is_none() {
        problems.push(Problem::NotAllowed { name: setting.name, value, allowed: setting.allowed });
    }
    parsed
}

/// Digits only: `u16::from_str` would take a leading plus sign.
fn number(text: &str, range: std::ops::RangeInclusive<u16>) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    range.contains(&number).then_some(number)
}

/// A list of levels and `target=level`. `Targets` alone would take the typing error `inof` for a
/// target and silence everything else.
fn filter(text: &str) -> Option<Targets> {
    let level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let sound = text.split(',').all(|directive| match directive.split_once('=') {
        None => level(directive),
        Some((target, word)) => !target.is_empty() && level(word),
    });
    text.parse().ok().filter(|_| sound)
}
