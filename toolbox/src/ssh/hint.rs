//! The next step after each error, as a command to type where there is one.

use super::known_hosts::Place;
use super::refusal::{AuthRefusal, ChangedHostKey, UnknownHostKey};
use super::{SshError, quote};

impl SshError {
    /// What to do next: a sentence or two, with the command to type. `None` where the error says all.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unresolvable { address, .. } => {
                format!("check ansible_host in inventory.yaml, then try: getent hosts {}", quote(address))
            }
            Self::Refused { port, .. } => {
                format!("check ansible_port in inventory.yaml; on the host's console: systemctl status ssh; ss -ltn 'sport = :{port}'")
            }
            Self::TimedOut { address, .. } | Self::Unreachable { address, .. } => {
                format!("is the host up, and does a firewall drop the packets? try: ping {}", quote(address))
            }
            Self::HungUp { said, .. } if said.is_empty() => {
                "check ansible_port in inventory.yaml; a busy sshd hangs up too (MaxStartups): wait and try again".to_owned()
            }
            Self::HungUp { .. } => "too many logins are under way there, or too many have failed: wait and try again, or allow more; \
                 on the host: sshd -T | grep -i -e maxstartups -e persource"
                .to_owned(),
            Self::NotSsh { said, .. } if said.is_empty() => {
                "check ansible_port in inventory.yaml; or the host is too busy to answer: wait and try again".to_owned()
            }
            Self::NotSsh { .. } => "check ansible_host and ansible_port in inventory.yaml".to_owned(),
            Self::NoCommonAlgorithm { .. } => {
                "the server is too old or too restricted; on the host: sshd -T | grep -i -e algorithms -e ciphers -e macs".to_owned()
            }
            Self::NoAlgorithm { key, .. } => {
                format!("change {key} in ssh_config, or use no configuration for once: --ssh-config none")
            }
            Self::Hop { source, .. } => return source.hint(),
            Self::HopRefused { reason, .. } if reason.contains("prohibited") => {
                "the hop's sshd forbids it: AllowTcpForwarding must be yes or local, and PermitOpen must name it; \
                 on the hop: sshd -T | grep -i -e allowtcpforwarding -e permitopen -e disableforwarding"
                    .to_owned()
            }
            Self::HopRefused { address, port, .. } => {
                format!("does it answer there? on the hop: ssh-keyscan -p {port} {}", quote(address))
            }
            Self::ProxyCommand { .. } => {
                "it needs a shell, /bin/sh, and this image has none: write ProxyJump, or run toolbox where there is one"
                    .to_owned()
            }
            Self::ProxyEnded { .. } => "try it by itself; %h and %p are the host's name and port".to_owned(),
            Self::KnownHostsUnreadable { file, uid, .. } => {
                let file = quote(&file.display().to_string());
                format!("let uid {uid} read it: chmod a+r {file}; ls -ld {file}")
            }
            Self::PinMalformed { .. } => {
                "it must look like \"ssh-ed25519 AAAA…\": what is in /etc/ssh/ssh_host_ed25519_key.pub on the host".to_owned()
            }
            Self::HostKeyUnknown(unknown) => unknown.hint(),
            Self::HostKeyChanged(changed) => changed.hint(),
            Self::HostKeyRevoked(refused) => {
                let place = &refused.place;
                format!("the host still uses a key that {place} forbids; give it a new one: ssh-keygen -A, after removing the old files in /etc/ssh")
            }
            Self::HostCertificateRefused(_) => {
                "on the host's console: ssh-keygen -Lf /etc/ssh/ssh_host_ed25519_key-cert.pub; have the authority sign anew".to_owned()
            }
            Self::AgentUnreachable { .. } => "is the agent running? try: ssh-add -l".to_owned(),
            Self::NoIdentities { .. } => "give it a key: --key FILE; or, where it is your own agent: ssh-add FILE; ssh-add -l \
                 (it is silent while it is locked, and on keys that are restricted to other hosts)"
                .to_owned(),
            Self::AuthRefused(refusal) => refusal.hint(),
            Self::AuthTimedOut { .. } => "does the agent wait for a confirmation?".to_owned(),
            Self::Unfinished { .. } => {
                "log in and see what hangs: the login's profile, or a dead network mount (df)".to_owned()
            }
            Self::Silent { .. } => "log in and see what it waits for: ps -ef --forest; then run it again".to_owned(),
            Self::ChannelRefused { what, .. } => channel_hint(what),
            Self::Disconnected { .. } | Self::Handshake { .. } | Self::HandshakeTimedOut { .. } => {
                "try again; what the server saw, on the host: journalctl -u ssh -n 20".to_owned()
            }
            _ => return None,
        })
    }
}

impl UnknownHostKey {
    fn hint(&self) -> String {
        let Self { public_key, line, .. } = self;
        let console = console_check(&self.algorithm);
        let looked_at = match self.files.as_slice() {
            [] => String::new(),
            files => {
                let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
                format!("\nlooked at: {}", files.join(", "))
            }
        };
        format!(
            "compare the fingerprint with what the host's own console shows: {console}\n\
             only if they are equal, add this line to the file known_hosts beside compose.yaml:\n{line}\n\
             or pin it in inventory.yaml: toolbox_host_key: {public_key}{looked_at}"
        )
    }
}

impl ChangedHostKey {
    fn hint(&self) -> String {
        let console = console_check(&self.algorithm);
        let mut steps = format!(
            "someone may be in between. Unless you know that the host was made anew, stop here.\n\
             compare the fingerprint with what the host's own console shows: {console}\n\
             only if they are equal, remove the old key"
        );
        for (_, place) in &self.on_file {
            steps.push_str(&match place {
                Place::File { path, line } => {
                    let path = path.display().to_string();
                    format!("\nline {line} of {path}: ssh-keygen -R {} -f {}", quote(&self.host), quote(&path))
                }
                Place::Inventory { .. } => format!("\n{place}"),
            });
        }
        steps
    }
}

impl AuthRefusal {
    fn hint(&self) -> String {
        if self.hung_up.is_some() && self.left + self.tried.len() > 1 {
            return self.too_many();
        }
        let mut hint = format!(
            "check ansible_user in inventory.yaml; the public key must stand in ~/.ssh/authorized_keys of {} on the host; why it refused: journalctl -u ssh",
            self.user
        );
        if let Some(banner) = &self.banner {
            hint.push_str(&format!("\nthe server shows: {banner}"));
        }
        hint
    }
}

impl AuthRefusal {
    /// Which key to name, as the server counts every one that it refuses.
    fn too_many(&self) -> String {
        let count = self.tried.len();
        let named = match self.named {
            true => {
                "ansible_ssh_private_key_file of this host in inventory.yaml names another key than the one that it knows"
            }
            false => {
                "name the host's own key in inventory.yaml, it is offered first: ansible_ssh_private_key_file: FILE"
            }
        };
        format!(
            "the server takes {count} refused keys at most (MaxAuthTries): {named}\n\
             or give that key alone: --key FILE --no-upstream"
        )
    }
}

fn channel_hint(what: &str) -> String {
    match what {
        "a session" => "sshd allows no sessions (MaxSessions 0), or too few; on the host: sshd -T | grep -i maxsessions",
        socket if socket.starts_with("the socket") => {
            "on the host: ls -l on that path (is it there, may the user open it?); sshd -T | grep -i allowstreamlocalforwarding"
        }
        "to forward a port of its own to this machine" => {
            "its sshd forbids it: AllowTcpForwarding must be yes or remote, PermitListen must allow 127.0.0.1, \
             DisableForwarding must be no, and the key's line in authorized_keys must not restrict it; \
             on the host: sshd -T | grep -i -e allowtcpforwarding -e permitlisten -e disableforwarding"
        }
        port if port.starts_with("a connection") => {
            "does something listen there? on the host: sshd -T | grep -i -e allowtcpforwarding -e permitopen"
        }
        _ => "sshd may force a command or forbid it; on the host: sshd -T | grep -i forcecommand",
    }
    .to_owned()
}

/// The command that shows a host key's fingerprint on the host itself.
fn console_check(algorithm: &str) -> String {
    let kind = match algorithm {
        "ssh-rsa" => "rsa",
        ecdsa if ecdsa.starts_with("ecdsa-") => "ecdsa",
        _ => "ed25519",
    };
    format!("ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub")
}
