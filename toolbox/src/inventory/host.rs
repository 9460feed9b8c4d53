//! From a host's variables to how it is reached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value as Json;
use ssh_key::PublicKey;

use super::draft::Variables;
use super::engine_settings::{AddressPool, EngineSettings, LogRotation};
use super::rules::{is_password, refuse};
use super::seed;
use super::sources::is_vault;
use super::values::{json_of, text_of};
use super::{BecomeMethod, Host, PackageProxy, Password, Seed, words};
use crate::yaml::{self, Node, Sink, Value};

/// Of several names of a variable that are set, Ansible takes the last.
const ADDRESS: [&str; 2] = ["ansible_host", "ansible_ssh_host"];
const PORT: [&str; 2] = ["ansible_port", "ansible_ssh_port"];
const USER: [&str; 2] = ["ansible_user", "ansible_ssh_user"];
const KEY_FILE: [&str; 2] = ["ansible_private_key_file", "ansible_ssh_private_key_file"];
const BECOME_PASSWORD: [&str; 3] = ["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"];

/// The host with all that its variables say.
pub(super) fn host(name: &str, variables: &Variables, sink: &Sink) -> Host {
    refuse(variables, sink);
    let reader = Reader { variables, sink };
    let address = reader.read(&ADDRESS, address).unwrap_or_else(|| name.to_owned());
    Host {
        name: name.to_owned(),
        seed: reader.seed(name, &address),
        address,
        port: reader.read(&PORT, port).unwrap_or(22),
        user: reader.read(&USER, user),
        become_root: reader.flag("ansible_become"),
        become_method: reader.become_method(),
        become_password: reader.become_password(),
        ssh_args: reader.ssh_args(),
        host_keys: reader.host_keys(),
        socket: reader.read(&["toolbox_socket"], socket),
        engine: reader.engine(),
        package_proxy: reader.read(&["toolbox_package_proxy"], package_proxy).unwrap_or_default(),
        private_key_file: reader.key_file(),
        variables: shown(variables),
    }
}

struct Reader<'a> {
    variables: &'a Variables,
    sink: &'a Sink,
}

impl<'a> Reader<'a> {
    /// The last of the variables that is set.
    fn node(&self, names: &[&str]) -> Option<&'a Node> {
        names.iter().rev().filter_map(|name| self.variables.get(*name)).map(Rc::as_ref).find(|node| !node.is_null())
    }

    fn read<T>(&self, names: &[&str], convert: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let node = self.node(names)?;
        let text = self.text(node)?;
        convert(text).map_err(|message| self.sink.report(node, message)).ok()
    }

    fn flag(&self, name: &str) -> bool {
        let node = self.node(&[name]).filter(|node| self.text(node).is_some());
        node.and_then(|node| yaml::boolean(self.sink, node)).unwrap_or(false)
    }

    /// The text of a value that is needed as it stands.
    fn text<'n>(&self, node: &'n Node) -> Option<&'n str> {
        if node.tag.as_deref().is_some_and(|tag| tag.starts_with("!vault")) || is_vault(&text_of(node)) {
            let hint = "write the value itself, or keep it out of the inventory";
            self.sink.report_hint(node, "is encrypted by Ansible Vault, which toolbox does not open", hint);
            return None;
        }
        if let Some(tag) = node.tag.as_deref().filter(|tag| *tag != "!unsafe") {
            self.sink.report(node, format!("the tag {tag} is not supported in a value that toolbox needs"));
            return None;
        }
        let text = yaml::text(self.sink, node)?;
        if text.contains("{{") || text.contains("{%") {
            self.sink.report_hint(
                node,
                "templates are not supported in a value that toolbox needs",
                "write the value itself",
            );
            return None;
        }
        Some(text)
    }

    /// What is none of them was refused before.
    fn become_method(&self) -> BecomeMethod {
        match self.read(&["ansible_become_method"], |text| Ok(text.to_ascii_lowercase())).as_deref() {
            Some("su") => BecomeMethod::Su,
            Some("doas") => BecomeMethod::Doas,
            _ => BecomeMethod::Sudo,
        }
    }

    fn become_password(&self) -> Option<Password> {
        let password = self.read(&BECOME_PASSWORD, |text| Ok(Password::new(text.to_owned())))?;
        (!password.expose().is_empty()).then_some(password)
    }

    /// A host is no seed of itself: the variable may stand with a group that holds it, too.
    fn seed(&self, name: &str, address: &str) -> Option<Seed> {
        let host = self.read(&["toolbox_seed"], |text| Ok(text.to_owned()));
        let given = self.read(&["toolbox_seed_address"], seed::place);
        let (address, port) = given.unwrap_or_else(|| (address.to_owned(), 0));
        host.filter(|host| !host.is_empty() && host != name).map(|host| Seed { host, address, port })
    }

    /// A relative path is taken from the directory of the file that names it.
    fn key_file(&self) -> Option<PathBuf> {
        let text = self.read(&KEY_FILE, key_file).filter(|text| !text.is_empty())?;
        let directory = self.node(&KEY_FILE)?.at.file.parent().unwrap_or(Path::new(""));
        Some(if text.starts_with("~/") { text.into() } else { directory.join(text) })
    }

    /// In the order in which Ansible hands them to ssh.
    fn ssh_args(&self) -> Vec<String> {
        let words = ["ansible_ssh_common_args", "ansible_ssh_extra_args"]
            .into_iter()
            .filter_map(|name| self.read(&[name], |text| words::split(text, false).map_err(str::to_owned)));
        words.flatten().filter(|word| !word.trim().is_empty()).map(|word| word.trim().to_owned()).collect()
    }

    fn host_keys(&self) -> Vec<String> {
        let Some(node) = self.node(&["toolbox_host_key"]) else {
            return Vec::new();
        };
        let lines: Vec<&Node> = match &node.value {
            Value::Seq(items) => items.iter().collect(),
            _ => vec![node],
        };
        if lines.is_empty() {
            self.sink.report(node, "must hold at least one key, or be left out");
        }
        let keys = lines.into_iter().filter_map(|line| {
            let key = host_key(self.text(line)?);
            key.map_err(|message| self.sink.report_hint(line, message, "write ssh-ed25519 AAAA…")).ok()
        });
        keys.collect()
    }
}

impl Reader<'_> {
    fn engine(&self) -> EngineSettings {
        let node = |name: &str| self.node(&[name]).filter(|node| self.is_plain(node));
        EngineSettings {
            live_restore: node("toolbox_live_restore").and_then(|node| yaml::boolean(self.sink, node)),
            log_rotation: node("toolbox_log_rotation").and_then(|node| LogRotation::read(node, self.sink)),
            address_pools: node("toolbox_address_pools").and_then(|node| AddressPool::read_all(node, self.sink)),
        }
    }

    /// Neither encrypted nor a template, at any depth.
    fn is_plain(&self, node: &Node) -> bool {
        match &node.value {
            Value::Seq(items) => items.iter().all(|item| self.is_plain(item)),
            Value::Map(entries) => entries.iter().all(|entry| self.is_plain(&entry.value)),
            Value::Null => true,
            Value::Scalar { .. } => self.text(node).is_some(),
        }
    }
}

/// What is shown of the variables.
fn shown(variables: &Variables) -> BTreeMap<String, Json> {
    let shown = variables.iter().filter(|(name, _)| !is_password(name));
    shown.map(|(name, node)| (name.clone(), json_of(node))).collect()
}

/// A public key, which may have a marker of known_hosts before it.
fn host_key(text: &str) -> Result<String, String> {
    let (marker, key) = match text.trim().split_once([' ', '\t']) {
        Some((marker @ ("@cert-authority" | "@revoked"), key)) => (format!("{marker} "), key),
        _ => (String::new(), text),
    };
    let mut key = PublicKey::from_openssh(key.trim()).map_err(|e| format!("is no public key: {e}"))?;
    key.set_comment("");
    let line = key.to_openssh().map_err(|e| format!("is no public key: {e}"))?;
    Ok(format!("{marker}{}", line.trim()))
}

fn address(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match is_address(bare) {
        true => Ok(bare.to_owned()),
        false => Err(format!("{text:?} is no address")),
    }
}

/// Whether this can be a host name or an IP address.
pub(super) fn is_address(text: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let ipv6 = || {
        let address = text.split_once('%').map_or(text, |(address, _)| address);
        address.parse::<std::net::Ipv6Addr>().is_ok() && text.chars().all(|c| name(c) || ":%".contains(c))
    };
    !text.is_empty() && !text.starts_with('-') && (text.chars().all(name) || ipv6())
}

/// Whether this can be a login name.
pub(super) fn is_user(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || ":/@".contains(c))
}

fn user(text: &str) -> Result<String, String> {
    is_user(text).then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no name of a user"))
}

fn port(text: &str) -> Result<u16, String> {
    let port = text.trim().parse().ok().filter(|port| *port > 0);
    port.ok_or_else(|| format!("{text:?} is no port from 1 to 65535"))
}

fn key_file(text: &str) -> Result<String, String> {
    match text {
        _ if text.starts_with('~') && !text.starts_with("~/") => {
            Err("of the paths that begin with a tilde only ~/… is supported".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

fn socket(text: &str) -> Result<String, String> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    match path.starts_with('/') && !path.contains('\0') {
        true => Ok(path.to_owned()),
        false => Err(format!("must be the absolute path of a socket, not {text:?}")),
    }
}

fn package_proxy(text: &str) -> Result<PackageProxy, String> {
    match text {
        "auto" => Ok(PackageProxy::Auto),
        "always" => Ok(PackageProxy::Always),
        "never" => Ok(PackageProxy::Never),
        _ => Err(format!("must be auto, always or never, not {text:?}")),
    }
}
