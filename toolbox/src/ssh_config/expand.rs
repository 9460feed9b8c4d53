//! Percent tokens, `${VARIABLE}` and `~` in values (ssh_config(5), TOKENS and ENVIRONMENT VARIABLES).

use std::collections::BTreeMap;
use std::path::PathBuf;

use sha1::{Digest, Sha1};

/// Who runs this program, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// The name of the user; what `%u` and `Match localuser` mean.
    pub user: String,
    /// The user's number (`%i`).
    pub uid: u32,
    /// The home directory (`~`, `%d`).
    pub home: Option<PathBuf>,
    /// This machine's name (`%l`, `%L`).
    pub machine: String,
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
}

/// What the tokens stand for, for one host.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    /// `%h`
    pub(super) host_name: String,
    /// `%n`
    pub(super) typed: String,
    /// `%p`
    pub(super) port: u16,
    /// `%r`
    pub(super) user: String,
    /// `%k`
    pub(super) key_alias: String,
    /// `%j`
    pub(super) jump: String,
}

/// The tokens that a command to a proxy takes.
pub(super) const PROXY: &str = "hnpr";
/// The tokens that most values take.
pub(super) const MOST: &str = "CdhijkLlnpru";

impl Tokens {
    /// Replaces `%%` and the tokens of `allowed`.
    pub(super) fn expand(&self, text: &str, allowed: &str, person: &Person) -> Result<String, String> {
        let mut expanded = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match (c, (c == '%').then(|| chars.next()).flatten()) {
                ('%', Some('%')) => expanded.push('%'),
                ('%', Some(token)) if allowed.contains(token) => expanded.push_str(&self.value(token, person)?),
                ('%', Some(token)) => return Err(format!("%{} has no meaning here", token.escape_debug())),
                ('%', None) => return Err("ends with a single %".to_owned()),
                (c, _) => expanded.push(c),
            }
        }
        Ok(expanded)
    }

    fn value(&self, token: char, person: &Person) -> Result<String, String> {
        Ok(match token {
            'C' => self.hash(person),
            'd' => home(person)?,
            'h' => self.host_name.clone(),
            'i' => person.uid.to_string(),
            'j' => self.jump.clone(),
            'k' => self.key_alias.clone(),
            'L' => person.machine.split('.').next().unwrap_or_default().to_owned(),
            'l' => person.machine.clone(),
            'n' => self.typed.clone(),
            'p' => self.port.to_string(),
            'r' => self.user.clone(),
            _ => person.user.clone(),
        })
    }

    /// SHA-1 of `%l%h%p%r%j`, in hexadecimal: a name for files, not a secret.
    fn hash(&self, person: &Person) -> String {
        let text = format!("{}{}{}{}{}", person.machine, self.host_name, self.port, self.user, self.jump);
        hex::encode(Sha1::digest(text))
    }
}

/// Replaces `${NAME}`.
pub(super) fn variables(text: &str, person: &Person) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or("${ is not closed")?;
        expanded.push_str(before);
        let value = person.variables.get(name).ok_or_else(|| format!("the variable {name} is not set"))?;
        expanded.push_str(value);
        rest = after;
    }
    Ok(expanded + rest)
}

/// Replaces a `~` at the beginning by the home directory.
pub(super) fn tilde(text: &str, person: &Person) -> Result<PathBuf, String> {
    match text.strip_prefix('~') {
        None => Ok(text.into()),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Ok(format!("{}{rest}", home(person)?).into()),
        Some(_) => Err("of the paths that begin with a tilde only ~/… is supported".to_owned()),
    }
}

fn home(person: &Person) -> Result<String, String> {
    let home = person.home.as_ref().ok_or("HOME is not set")?;
    Ok(home.display().to_string())
}
