//! How commands become root on a host: the login is root, or sudo, su or doas make it so.
//!
//! Contract: a password goes to the host through the input of the command that asked for it, once, and nowhere else: no
//! argument, no file, no message. Where nobody asks it is not sent, and what is run as root never sees it. Command
//! lines are read by the login's shell, whichever that is, so that they are words that all shells read alike.

use std::fmt;

use crate::inventory::{BecomeMethod, Password};
use crate::ssh::{ChannelStream, Connection, Gate, GateError, OutputStream, SshError, quote};

use super::facts::SystemFacts;

/// Where programs may be that a login's PATH does not name. Without a single quote, as all that goes through shells here.
pub(super) const PATHS: &str = "PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/bin:/snap/bin; export PATH\n";

/// What a command says when it begins.
const MARK: &str = "toolbox-begins";
/// What sudo asks with; in its argument the percent sign is doubled, so that a shell which shows commands asks nothing.
const PROMPT: &str = "toolbox%asks:";
/// What su asks with.
const SU_PROMPT: &str = "Password:";

/// What the inventory and the command line say of becoming root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Become {
    /// By which program.
    pub method: BecomeMethod,
    /// What it asks for: the login's own password for sudo, root's for su.
    pub password: Option<Password>,
}

/// How commands become root on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// The login is root.
    Login,
    /// By sudo, which asks for nothing.
    Sudo,
    /// By doas, which asks for nothing.
    Doas,
    /// By sudo, which asks for this.
    SudoPassword(Password),
    /// By su, which asks for this.
    SuPassword(Password),
}

/// Whether and how commands become root on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// They do.
    Root(Root),
    /// They do not.
    None(NoRoot),
}

impl Default for Rights {
    fn default() -> Self {
        Self::None(NoRoot::by_sudo(Why::Missing))
    }
}

/// Why a login does not become root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot become root by {method}: {why}")]
pub struct NoRoot {
    method: BecomeMethod,
    why: Why,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The program is not there.
    Missing,
    /// It asks for a password, and none was given.
    Asks,
    /// It does not take the password.
    Wrong,
    /// It runs at terminals only.
    Terminal,
    /// It asks for a password, which it takes at terminals only.
    AsksTerminal,
    /// Its rules do not allow it; its own words.
    Forbidden(String),
    /// Something else; its own words.
    Other(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the host does not have it"),
            Self::Asks => f.write_str("it asks for a password, and none was given"),
            Self::Wrong => f.write_str("the password is wrong"),
            Self::Terminal => f.write_str("it wants a terminal (Defaults requiretty in sudoers)"),
            Self::AsksTerminal => f.write_str("it asks for a password, which it takes at a terminal only"),
            Self::Forbidden(said) | Self::Other(said) => write!(f, "it says {said:?}"),
        }
    }
}

impl Why {
    /// From the last line of sudo, su or doas in the C locale.
    pub(super) fn of(said: &str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if says(&["not found"]) {
            Self::Missing
        } else if says(&["password is required", "authentication is required", "no password was provided"]) {
            Self::Asks
        } else if says(&["incorrect password", "Authentication failure", "uthentication failed"]) {
            Self::Wrong
        } else if says(&["must have a tty"]) {
            Self::Terminal
        } else if says(&["not in the sudoers", "not allowed to", "may not run", "not permitted"]) {
            Self::Forbidden(said.to_owned())
        } else {
            Self::Other(said.to_owned())
        }
    }

    fn of_gate(error: GateError) -> Result<Self, SshError> {
        Ok(match error {
            GateError::Ssh(error) => return Err(error),
            GateError::Asks => Self::Asks,
            GateError::Wrong => Self::Wrong,
            GateError::Ended { said } => Self::of(&said),
            silent @ GateError::Silent { .. } => Self::Other(silent.to_string()),
        })
    }
}

impl NoRoot {
    pub(super) fn by_sudo(why: Why) -> Self {
        Self { method: BecomeMethod::Sudo, why }
    }

    /// The next step, for this login user.
    pub(super) fn hint(&self, user: &str) -> String {
        let rule = |rule: &str| format!("echo '{user} ALL=(ALL) {rule}' > /etc/sudoers.d/{user}");
        match &self.why {
            Why::Asks => format!(
                "give it: -K (--ask-become-pass), --become-password-file FILE (or TOOLBOX_BECOME_PASSWORD_FILE), \
                 or ansible_become_password in the inventory; or log in as root, or allow sudo without one, on the host: {}",
                rule("NOPASSWD: ALL")
            ),
            Why::Wrong => format!(
                "try it on the host as {user}: {}; ansible_become_password of a host comes before -K and the file",
                self.trial()
            ),
            Why::Terminal => {
                format!("on the host, as root: echo 'Defaults:{user} !requiretty' > /etc/sudoers.d/{user}-tty")
            }
            Why::AsksTerminal => {
                format!(
                    "log in as root, or on the host, as root: echo 'permit nopass {user} as root' >> /etc/doas.conf"
                )
            }
            Why::Missing if self.method == BecomeMethod::Sudo => {
                format!("log in as root, or install sudo on the host and allow it: {}", rule("NOPASSWD: ALL"))
            }
            Why::Forbidden(_) if self.method == BecomeMethod::Sudo => {
                format!("log in as root, or allow sudo on the host: {}", rule("ALL"))
            }
            Why::Missing | Why::Forbidden(_) | Why::Other(_) => {
                format!("log in as root, or see what it says on the host as {user}: {}", self.trial())
            }
        }
    }

    /// What a person tries by hand.
    fn trial(&self) -> &'static str {
        match self.method {
            BecomeMethod::Sudo => "sudo -k true",
            BecomeMethod::Su => "su -c true",
            BecomeMethod::Doas => "doas true",
        }
    }
}

/// Why a script was not run as root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The connection.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The rights.
    #[error("user {user} {why}")]
    NoRoot {
        /// The login user.
        user: String,
        /// What stands in the way.
        why: NoRoot,
    },
}

impl RootError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::NoRoot { user, why } => Some(why.hint(user)),
        }
    }
}

impl SystemFacts {
    /// Finds out whether the login becomes root with a password, where it does not without one. It is tried once.
    ///
    /// # Errors
    /// [`SshError`] where that cannot be tried.
    pub async fn escalate(&mut self, connection: &Connection, given: &Become) -> Result<(), SshError> {
        let Rights::None(none) = &self.rights else {
            return Ok(());
        };
        let root = match (given.method, &given.password) {
            (BecomeMethod::Sudo, Some(password)) if none.why == Why::Asks => Root::SudoPassword(password.clone()),
            (BecomeMethod::Su, Some(password)) => Root::SuPassword(password.clone()),
            (BecomeMethod::Sudo, _) => return Ok(()),
            (method, _) => {
                let why = if method == BecomeMethod::Su { Why::Asks } else { Why::AsksTerminal };
                self.rights = Rights::None(NoRoot { method, why });
                return Ok(());
            }
        };
        let tried = root.run(connection, b"", |_, _| {}).await;
        self.rights = match tried.map_err(Why::of_gate) {
            Ok(_) => Rights::Root(root),
            Err(Ok(why)) => Rights::None(NoRoot { method: given.method, why }),
            Err(Err(error)) => return Err(error),
        };
        Ok(())
    }

    /// Runs a script for `sh` as root and hands its output out line by line; its exit status.
    ///
    /// # Errors
    /// [`RootError`] where it cannot be run.
    pub(super) async fn run_as_root(
        &self,
        connection: &Connection,
        script: &str,
        on_line: impl FnMut(OutputStream, &str) + Send,
    ) -> Result<u32, RootError> {
        let no_root = |why| RootError::NoRoot { user: self.user.clone(), why };
        let root = match &self.rights {
            Rights::Root(root) => root,
            Rights::None(why) => return Err(no_root(why.clone())),
        };
        let ran = root.run(connection, script.as_bytes(), on_line).await;
        ran.map_err(|error| match Why::of_gate(error) {
            Ok(why) => no_root(NoRoot { method: root.method(), why }),
            Err(error) => error.into(),
        })
    }
}

/// A stream to the engine at `socket` by the host's own docker command line.
///
/// # Errors
/// [`GateError`] where it does not begin; what the command itself meets, the stream's first read tells.
pub async fn dial_stdio(
    connection: &Connection,
    root: Option<&Root>,
    socket: &str,
) -> Result<ChannelStream, GateError> {
    let root = root.unwrap_or(&Root::Login);
    let name = root.named(&format!("docker --host unix://{socket} system dial-stdio"));
    let script = format!("{PATHS}echo {MARK}; exec docker --host \"$1\" system dial-stdio");
    let command = root.command(&script, &format!("unix://{socket}"));
    connection.exec_stream_behind(root.gate(&name), &command).await
}

impl Root {
    async fn run(
        &self,
        connection: &Connection,
        script: &[u8],
        on_line: impl FnMut(OutputStream, &str) + Send,
    ) -> Result<u32, GateError> {
        let command = self.command(&format!("echo {MARK}; exec sh -s"), "");
        connection.exec_lines_behind(self.gate(&self.named("sh -s")), &command, script, on_line).await
    }

    /// The command line that runs a short script of `sh` as root, with an argument.
    fn command(&self, script: &str, argument: &str) -> String {
        let outer = format!("{PATHS}LC_ALL=C; export LC_ALL; {}", self.program());
        ["sh", "-c", &line(&outer), "sh", &line(script), argument].map(quote).join(" ")
    }

    /// Runs the script `$1` with the argument `$2`. `-k`: sudo neither uses nor keeps what it was told before.
    fn program(&self) -> &'static str {
        match self {
            Self::Login => r#"exec sh -c "$1" sh "$2""#,
            Self::Sudo => r#"exec sudo -n sh -c "$1" sh "$2""#,
            Self::Doas => r#"exec doas -n sh -c "$1" sh "$2""#,
            Self::SudoPassword(_) => r#"exec sudo -k -S -p toolbox%%asks: sh -c "$1" sh "$2""#,
            Self::SuPassword(_) => r#"exec su -s /bin/sh -c "$1" root sh "$2""#,
        }
    }

    /// A command as a person would write it.
    fn named(&self, command: &str) -> String {
        match self {
            Self::Login => command.to_owned(),
            _ => format!("{} {command}", self.method()),
        }
    }

    fn gate<'a>(&'a self, name: &'a str) -> Gate<'a> {
        let (prompt, password) = match self {
            Self::Login | Self::Sudo | Self::Doas => ("", None),
            Self::SudoPassword(password) => (PROMPT, Some(password)),
            Self::SuPassword(password) => (SU_PROMPT, Some(password)),
        };
        Gate { name, mark: MARK, prompt, password: password.map(Password::secret) }
    }

    fn method(&self) -> BecomeMethod {
        match self {
            Self::Login | Self::Sudo | Self::SudoPassword(_) => BecomeMethod::Sudo,
            Self::Doas => BecomeMethod::Doas,
            Self::SuPassword(_) => BecomeMethod::Su,
        }
    }
}

/// One line: csh takes no line ends between quotes.
fn line(script: &str) -> String {
    script.replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password() -> Password {
        Password::new("hidden-word".to_owned())
    }

    #[test]
    fn no_command_line_and_no_debug_output_holds_a_password_or_the_prompt() {
        for root in [Root::SudoPassword(password()), Root::SuPassword(password())] {
            let text = format!("{} {root:?} {:?}", root.command("true", "x"), root.gate("x"));
            assert!(!text.contains("hidden-word"), "{text}");
            assert!(!root.command("true", "x").contains(root.gate("x").prompt), "{text}");
        }
    }

    #[test]
    fn command_lines_are_words_that_csh_and_fish_read_as_sh_does() {
        for root in [Root::Login, Root::Sudo, Root::SudoPassword(password()), Root::SuPassword(password())] {
            let command = root.command("echo \"$1\"", "it's");
            assert!(!command.contains(['\n', '!', '`']), "{command}");
        }
    }

    #[test]
    fn what_sudo_says_is_understood() {
        for (said, why) in [
            ("sudo: a password is required", Why::Asks),
            ("sudo: interactive authentication is required", Why::Asks),
            ("sudo: 1 incorrect password attempt", Why::Wrong),
            ("su: Authentication failure", Why::Wrong),
            ("sudo: sorry, you must have a tty to run sudo", Why::Terminal),
            ("sh: 1: sudo: not found", Why::Missing),
            ("ann is not in the sudoers file.", Why::Forbidden("ann is not in the sudoers file.".into())),
            ("sudo: /etc/sudo.conf is world writable", Why::Other("sudo: /etc/sudo.conf is world writable".into())),
        ] {
            assert_eq!(Why::of(said), why, "{said}");
        }
    }
}
