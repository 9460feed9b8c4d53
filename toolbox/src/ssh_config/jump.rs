//! `ProxyJump`, and the proxy command that means the same.

use std::fmt;

use super::words::words;

/// A hop as it is written: `[user@]host[:port]`, or `ssh://[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Arguments of the ssh program that led to this hop.
    pub(super) arguments: Vec<String>,
}

/// The hops of `ProxyJump`, the first one to be reached first; empty for `none`.
pub(super) fn parse(text: &str) -> Result<Vec<Hop>, String> {
    let text = text.split('#').next().unwrap_or_default().trim();
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    text.split(',').map(hop).collect()
}

fn hop(text: &str) -> Result<Hop, String> {
    let wrong = || format!("{text:?} is no hop: [user@]host[:port] or ssh://[user@]host[:port]");
    let uri = text.strip_prefix("ssh://");
    let bare = uri.map_or(text, |uri| uri.strip_suffix('/').unwrap_or(uri));
    let (user, place) = match bare.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, bare),
    };
    let (host, port) = split_port(place).ok_or_else(wrong)?;
    let user = match (user, uri) {
        (Some(user), Some(_)) => Some(decoded(user).ok_or_else(wrong)?),
        (user, _) => user.map(str::to_owned),
    };
    let blank = |text: &str| text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace);
    if blank(host) || user.as_deref().is_some_and(blank) {
        return Err(wrong());
    }
    Ok(Hop { user, host: host.to_owned(), port, arguments: Vec::new() })
}

fn split_port(place: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            _ => Some((host, Some(port(rest.strip_prefix(':')?)?))),
        };
    }
    match place.split_once(':') {
        None => Some((place, None)),
        // An IPv6 address without brackets.
        Some((_, rest)) if rest.contains(':') => Some((place, None)),
        Some((host, number)) => Some((host, Some(port(number)?))),
    }
}

/// A port from 1 to 65535.
pub(super) fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| *port > 0 && digits)
}

/// `%41` is `A`, in a URI.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut found = Vec::new();
    while let Some(byte) = bytes.next() {
        found.push(match byte {
            b'%' => hex(bytes.next()?)? * 16 + hex(bytes.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(found).ok().filter(|text| !text.contains('\0'))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The hop that a proxy command leads through when it is `ssh -W %h:%p [options] [user@]host`, which is how bastions
/// were written before there was `ProxyJump`. Such a hop needs neither a shell nor the ssh program.
pub(super) fn of_command(command: &str) -> Option<Hop> {
    // What a shell would do something with is left to a shell.
    if command.contains(|c: char| "$`;&|<>()*?~\\\n".contains(c)) {
        return None;
    }
    let mut words = words(command)?.into_iter().peekable();
    words.next_if(|word| word == "exec");
    let program = words.next()?;
    if program != "ssh" && !program.ends_with("/ssh") {
        return None;
    }
    let (mut arguments, mut host, mut forwards) = (Vec::new(), None, false);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-W" => forwards = is_target(&words.next()?).then_some(true)?,
            _ if word.starts_with("-W") => forwards = is_target(&word[2..]).then_some(true)?,
            _ if word.starts_with('-') => {
                let takes_value = word.len() == 2 && "oJpliF".contains(&word[1..]);
                arguments.push(word);
                if takes_value {
                    arguments.push(words.next()?);
                }
            }
            _ if host.is_none() => host = Some(word),
            _ => return None,
        }
    }
    let hop = hop(&host.filter(|_| forwards)?).ok()?;
    Some(Hop { arguments, ..hop })
}

fn is_target(text: &str) -> bool {
    matches!(text, "%h:%p" | "[%h]:%p")
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => write!(f, "{}", self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
