//! From a host's variables to how it is reached.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use ssh_key::PublicKey;

use super::Host;
use super::file::Variables;
use crate::yaml::{self, Node, Sink, Value, nearest};

/// Our own variables.
const OURS: [&str; 2] = ["toolbox_host_key", "toolbox_socket"];
/// Variables that change how Ansible connects, and why toolbox does not follow them.
const REFUSED: [(&str, &str); 14] = [
    ("ansible_become_exe", "another sudo program is not supported yet"),
    ("ansible_become_flags", "flags for sudo are not supported yet"),
    ("ansible_become_pass", "sudo with a password is not supported yet; allow it without (NOPASSWD)"),
    ("ansible_become_password", "sudo with a password is not supported yet; allow it without (NOPASSWD)"),
    ("ansible_password", "passwords are not supported yet; use a key"),
    ("ansible_ssh_args", "arguments for the ssh program are not supported yet"),
    ("ansible_ssh_common_args", "arguments for the ssh program are not supported yet"),
    ("ansible_ssh_executable", "toolbox has its own SSH client"),
    ("ansible_ssh_extra_args", "arguments for the ssh program are not supported yet"),
    ("ansible_ssh_pass", "passwords are not supported yet; use a key"),
    ("ansible_ssh_password", "passwords are not supported yet; use a key"),
    ("ansible_ssh_proxy_command", "a proxy command is not supported yet"),
    ("ansible_sudo_pass", "sudo with a password is not supported yet; allow it without (NOPASSWD)"),
    ("ansible_paramiko_proxy_command", "a proxy command is not supported yet"),
];
/// Variables of which only some values can be followed.
const LIMITED: [(&str, &[&str], &str); 6] = [
    ("ansible_become_method", &["sudo"], "only sudo is supported"),
    ("ansible_become_user", &["root"], "only root is supported"),
    ("ansible_connection", &["ssh", "smart"], "only ssh is supported"),
    ("ansible_group_priority", &["1"], "priorities of groups are not supported yet"),
    ("ansible_host_key_checking", &["true", "yes", "on"], "host keys are always checked"),
    ("ansible_ssh_host_key_checking", &["true", "yes", "on"], "host keys are always checked"),
];

/// The host with all that its variables say.
pub(super) fn host(name: &str, variables: &Variables, sink: &Sink) -> Host {
    refuse(variables, sink);
    let reader = Reader { variables, sink };
    Host {
        name: name.to_owned(),
        address: reader.read(&["ansible_host", "ansible_ssh_host"], address).unwrap_or_else(|| name.to_owned()),
        port: reader.read(&["ansible_port", "ansible_ssh_port"], port).unwrap_or(22),
        user: reader.read(&["ansible_user", "ansible_ssh_user"], user),
        become_root: reader.flag("ansible_become"),
        host_keys: reader.host_keys(),
        socket: reader.read(&["toolbox_socket"], socket),
        private_key_file: reader.key_file(),
        ssh_args: Vec::new(),
        variables: variables.iter().map(|(name, node)| (name.clone(), text_of(node))).collect(),
    }
}

fn refuse(variables: &Variables, sink: &Sink) {
    for (name, node) in variables.iter().filter(|(_, node)| !text_of(node).is_empty()) {
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            sink.report(node, *why);
        }
        let word = text_of(node).to_ascii_lowercase();
        if let Some((_, _, why)) = LIMITED.iter().find(|(known, words, _)| known == name && !words.contains(&&*word)) {
            sink.report(node, *why);
        }
        if name.starts_with("toolbox_") && !OURS.contains(&name.as_str()) {
            let hint = nearest(name, OURS).map_or_else(|| OURS.join(", "), |near| format!("did you mean {near}?"));
            sink.report_hint(node, "unknown variable", hint);
        }
    }
}

struct Reader<'a> {
    variables: &'a Variables,
    sink: &'a Sink,
}

impl<'a> Reader<'a> {
    /// The first of the variables that is set.
    fn node(&self, names: &[&str]) -> Option<&'a Node> {
        names.iter().find_map(|name| self.variables.get(*name)).filter(|node| !node.is_null())
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
    fn text(&self, node: &'a Node) -> Option<&'a str> {
        if let Some(tag) = &node.tag {
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

    /// A relative path is taken from the directory of the file that names it.
    fn key_file(&self) -> Option<PathBuf> {
        let names = ["ansible_ssh_private_key_file", "ansible_private_key_file"];
        let text = self.read(&names, key_file).filter(|text| !text.is_empty())?;
        let directory = self.node(&names)?.at.file.parent().unwrap_or(Path::new(""));
        Some(if text.starts_with("~/") { text.into() } else { directory.join(text) })
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

fn host_key(text: &str) -> Result<String, String> {
    let mut key = PublicKey::from_openssh(text.trim()).map_err(|e| format!("is no public key: {e}"))?;
    key.set_comment("");
    let line = key.to_openssh().map_err(|e| format!("is no public key: {e}"))?;
    Ok(line.trim().to_owned())
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

/// A variable as text: scalars as written, lists and mappings as JSON.
pub(super) fn text_of(node: &Node) -> String {
    match &node.value {
        Value::Null => String::new(),
        Value::Scalar { text, .. } => text.clone(),
        Value::Seq(_) | Value::Map(_) => json(node).to_string(),
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar { text, .. } => Json::String(text.clone()),
        Value::Seq(items) => items.iter().map(json).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.to_string(), json(&entry.value))).collect(),
    }
}
