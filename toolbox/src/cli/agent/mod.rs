//! `toolbox agent`, and the binary under the name `ssh-agent`.
//!
//! Contract: what ssh-agent(1) of OpenSSH 9.2 to 10.0 does with the same arguments, so that a script need not know
//! which it calls: the same lines on standard output, the same exit statuses. Under the name `ssh-agent` the command
//! line is getopt's and errors of usage end with 1; `toolbox agent` is clap's, ends with 2 then, has `--key`, and the
//! verbs that ssh-add has.
//!
//! | module | holds |
//! |---|---|
//! | `getopt`, `options`, `lifetime` | what was typed, and what it means |
//! | `start`, `background`, `server` | the socket and the keys; a process of the agent's own; that process |
//! | `announce`, `kill` | the lines for shells; `-k` |
//! | `client` | `list`, `add`, `remove`, `lock`, `unlock` |
//!
//! Absent on purpose: `-U`, `-u`, `-T` (OpenSSH 10.1's other places for sockets) and systemd's socket activation.

mod announce;
mod background;
mod client;
mod getopt;
mod kill;
mod lifetime;
mod options;
mod server;
mod start;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::agent::KeySource;
use crate::ui::Ui;

use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use options::{OptionError, Options, Typed};

/// The agent's own words, as ssh-agent 9.2 prints them.
const USAGE: &str = "usage: ssh-agent [-c | -s] [-Dd] [-a bind_address] [-E fingerprint_hash]
                 [-O option] [-P allowed_providers] [-t life]
       ssh-agent [-a bind_address] [-E fingerprint_hash] [-O option]
                 [-P allowed_providers] [-t life] command [arg ...]
       ssh-agent [-c | -s] -k";

/// Which of the two was started, and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The binary under the name `ssh-agent`.
    SshAgent(Vec<OsString>),
    /// `toolbox agent`.
    Verb(Vec<OsString>),
}

/// An SSH agent: ssh-agent's options, and ssh-add's verbs for one that runs
///
/// Without a command the agent runs in the background, and prints what a shell has to be told:
/// eval "$(toolbox agent)". With one, the command runs with SSH_AUTH_SOCK and SSH_AGENT_PID set, its exit status is
/// this one's, and the agent ends with it: toolbox agent -- git push.
#[derive(Debug, Parser)]
#[command(name = "toolbox agent", max_term_width = 100, args_override_self = true, after_help = AFTER)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
struct Arguments {
    #[command(flatten)]
    typed: Typed,
    #[command(subcommand)]
    verb: Option<client::Verb>,
}

const AFTER: &str = "A command that is called like one of the verbs stands behind --: toolbox agent -- list. \
    Exit status: 0 done, or the command's own; 1 failed; 2 usage, or no agent for a verb.";

/// Whether it is the agent that was asked for.
pub(super) fn asked(arguments: impl IntoIterator<Item = OsString>) -> Option<Asked> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next()?;
    if Path::new(&program).file_name() == Some(OsStr::new("ssh-agent")) {
        return Some(Asked::SshAgent(arguments.collect()));
    }
    let words: Vec<OsString> = arguments.collect();
    match words.split_first() {
        Some((verb, rest)) if verb == "agent" => Some(Asked::Verb(rest.to_vec())),
        Some((verb, [topic])) if verb == "help" && topic == "agent" => Some(Asked::Verb(vec!["--help".into()])),
        _ => None,
    }
}

/// Runs it; `key` is the one that stood in the environment.
pub(super) fn main(asked: Asked, key: Option<KeySource>, open: Option<std::io::Error>) -> ExitCode {
    let ui = Ui::new(false);
    if let Some(error) = open {
        ui.say(&format!("warning: this process can be traced by others of its uid: {error}"));
    }
    let shell = std::env::var_os("SHELL");
    let done = match asked {
        Asked::SshAgent(arguments) => match getopt::read(arguments).and_then(|t| t.understood(shell.as_deref())) {
            Ok(options) => run(&options, key, c"ssh-agent", ui),
            Err(error) => return refuse(&error, ui),
        },
        Asked::Verb(arguments) => {
            let separated = arguments.iter().any(|argument| argument == "--");
            let program = OsString::from("toolbox agent");
            let arguments = Arguments::parse_from(std::iter::once(program).chain(arguments));
            match (arguments.verb, arguments.typed.understood(shell.as_deref())) {
                (Some(verb), _) => client::run(verb, ui),
                (None, Ok(options)) if !separated && client::is_verb(&options.command) => Err(misplaced_verb(&options)),
                (None, Ok(options)) => run(&options, key, c"toolbox", ui),
                (None, Err(error)) => Err(Failures::configuration(vec![Failure::of(&error, None)])),
            }
        }
    };
    done.unwrap_or_else(|failures| failures.show(&ui).into())
}

fn run(options: &Options, key: Option<KeySource>, name: &std::ffi::CStr, ui: Ui) -> Result<ExitCode, Failures> {
    match options.mode {
        _ if server::was_started() => server::in_background(options, name),
        options::Mode::Kill => Ok(kill::run(options.shell, ui)),
        _ => start::run(options, key, ui),
    }
}

/// As ssh-agent says it.
fn refuse(error: &OptionError, ui: Ui) -> ExitCode {
    // A conflict is explained by the usage alone there.
    if !matches!(error, OptionError::Conflict(_)) {
        ui.say(&error.to_string());
    }
    if error.is_usage() {
        ui.say(USAGE);
        return ExitStatus::Failed.into();
    }
    ExitCode::from(255)
}

/// Options of the deployer's before `agent`.
pub(super) fn misplaced_options() -> Failures {
    let message = "toolbox agent takes no option before the word `agent`".to_owned();
    Failures::configuration(vec![Failure::text(message, Some("see toolbox agent --help".to_owned()))])
}

/// A verb behind options of the agent's.
fn misplaced_verb(options: &Options) -> Failures {
    let verb = options.command[0].display();
    let message = format!("the verb {verb} takes none of the agent's options");
    let hint = format!("toolbox agent {verb}; or to run a command of that name: toolbox agent … -- {verb}");
    Failures::configuration(vec![Failure::text(message, Some(hint))])
}

/// The system's words, as perror(3) prints them.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(line: &str) -> Option<Asked> {
        asked(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_name_or_the_verb_asks_for_the_agent() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(asked_by("/usr/bin/ssh-agent -s"), Some(Asked::SshAgent(words("-s"))));
        assert_eq!(asked_by("ssh-agent agent"), Some(Asked::SshAgent(words("agent"))));
        assert_eq!(asked_by("toolbox agent -- list"), Some(Asked::Verb(words("-- list"))));
        assert_eq!(asked_by("toolbox help agent"), Some(Asked::Verb(words("--help"))));
        for line in ["toolbox", "toolbox deploy agent", "toolbox -q agent", "toolbox help", "my-ssh-agent"] {
            assert_eq!(asked_by(line), None, "{line}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    fn parsed(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn clap_reads_the_options_as_getopt_does() {
        let lines = [
            "-s -a /run/s -t 30 -P /a -E md5",
            "-sa/run/s -t30 -P/a -Emd5",
            "-t 5 ssh -v host",
            "-t5 -- list -L",
            "-D",
        ];
        for line in lines {
            let expected = getopt::read(line.split(' ').map(OsString::from)).unwrap();
            let arguments = parsed(&format!("toolbox-agent {line}"));
            let expected = Typed { no_upstream: false, ..expected };
            assert_eq!((arguments.typed, arguments.verb.is_none()), (expected, true), "{line}");
        }
        assert!(parsed("x list -L").verb.is_some());
        assert!(Arguments::try_parse_from(["x", "-x"]).is_err());
        assert!(Arguments::try_parse_from(["x", "-f", "compose.yaml"]).is_err());
    }
}
