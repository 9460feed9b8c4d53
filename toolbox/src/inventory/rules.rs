//! Which of Ansible's variables toolbox cannot follow, and says so.

use super::draft::Variables;
use super::values::text_of;
use crate::yaml::{Sink, nearest};

/// Our own variables.
const OURS: [&str; 8] = [
    "toolbox_address_pools",
    "toolbox_host_key",
    "toolbox_live_restore",
    "toolbox_log_rotation",
    "toolbox_package_proxy",
    "toolbox_seed",
    "toolbox_seed_address",
    "toolbox_socket",
];
/// Variables that change how Ansible connects, and why toolbox does not follow them.
const REFUSED: [(&str, &str); 9] = [
    ("ansible_become_exe", "another sudo program is not supported yet"),
    ("ansible_become_flags", "flags for sudo are not supported yet"),
    ("ansible_password", "passwords are not supported yet; use a key"),
    ("ansible_ssh_args", "is not supported; write ansible_ssh_common_args"),
    ("ansible_ssh_executable", "toolbox has its own SSH client"),
    ("ansible_ssh_pass", "passwords are not supported yet; use a key"),
    ("ansible_ssh_password", "passwords are not supported yet; use a key"),
    ("ansible_ssh_proxy_command", "is not supported; write ansible_ssh_common_args: -o ProxyCommand=…"),
    ("ansible_paramiko_proxy_command", "is not supported; write ansible_ssh_common_args: -o ProxyCommand=…"),
];
/// Variables of which only some values can be followed.
const LIMITED: [(&str, &[&str], &str); 5] = [
    ("ansible_become_method", &["sudo", "su", "doas"], "only sudo, su and doas are supported"),
    ("ansible_become_user", &["root"], "only root is supported"),
    ("ansible_connection", &["ssh", "smart"], "only ssh is supported"),
    ("ansible_host_key_checking", &["true", "yes", "on"], "host keys are always checked"),
    ("ansible_ssh_host_key_checking", &["true", "yes", "on"], "host keys are always checked"),
];

const PASSWORDS: [&str; 6] = [
    "ansible_become_pass",
    "ansible_become_password",
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_sudo_pass",
];

/// Whether a variable holds a password.
pub(super) fn is_password(name: &str) -> bool {
    PASSWORDS.contains(&name)
}

/// Reports every variable that would make Ansible connect in another way.
pub(super) fn refuse(variables: &Variables, sink: &Sink) {
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
