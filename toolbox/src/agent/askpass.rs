//! Asks a person through `SSH_ASKPASS`, for who has no terminal.
//!
//! Contract: the program that `SSH_ASKPASS` names gets the question as its one argument and answers on its standard
//! output, as OpenSSH calls it (`ssh(1)`, ENVIRONMENT; readpass.c). `SSH_ASKPASS_REQUIRE=never` forbids it,
//! `prefer` and `force` put it before a terminal. `SSH_ASKPASS_PROMPT` tells it what kind of question it is. What it
//! wrote is kept in memory that zeroes itself. A program that cannot be started or fails has said
//! no.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::process::{Command, Stdio};

use secrecy::SecretString;
use zeroize::{Zeroize as _, Zeroizing};

/// Longest answer, in bytes.
const LONGEST_ANSWER: usize = 1024;

/// The program that asks.
#[derive(Clone, Debug)]
pub struct Askpass {
    program: OsString,
    preferred: bool,
}

impl Askpass {
    /// The person's program; `None` where `SSH_ASKPASS` is not set or not wanted.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        let program = std::env::var_os("SSH_ASKPASS").filter(|program| !program.is_empty())?;
        let require = std::env::var("SSH_ASKPASS_REQUIRE").unwrap_or_default().to_ascii_lowercase();
        let preferred = matches!(require.as_str(), "prefer" | "force");
        (require != "never").then_some(Self { program, preferred })
    }

    /// A program of a test's.
    #[cfg(test)]
    pub(crate) fn program(path: &std::path::Path) -> Self {
        Self { program: path.into(), preferred: false }
    }

    /// Whether it goes before a terminal.
    #[must_use]
    pub fn preferred(&self) -> bool {
        self.preferred
    }

    /// Asks for a secret and waits for the answer. The answer has no newline at its end.
    ///
    /// # Errors
    /// The program cannot be started or read, was cancelled (its exit status is not 0), or answered something that is
    /// too long or not UTF-8.
    pub fn ask(&self, question: &str) -> io::Result<SecretString> {
        let answer = self.run(question, None)?;
        let text = std::str::from_utf8(&answer).map_err(|_| io::Error::other("its answer is not UTF-8"))?;
        Ok(text.into())
    }

    /// Asks for permission and waits. OpenSSH's rule: nothing and `yes` are a yes, anything else and a failure a no.
    #[must_use]
    pub fn confirm(&self, question: &str) -> bool {
        let answer = self.run(question, Some("confirm"));
        answer.is_ok_and(|answer| answer.is_empty() || answer.eq_ignore_ascii_case(b"yes"))
    }

    /// The program that shows a notice until it is terminated; `None` where OpenSSH would not show one: there is no
    /// display, and it is not forced.
    pub(in crate::agent) fn notice(&self, text: &str) -> Option<Command> {
        let set = |name| std::env::var_os(name).is_some();
        let forced = std::env::var_os("SSH_ASKPASS_REQUIRE").is_some_and(|require| require == "force");
        let mut command = Command::new(&self.program);
        command.arg(text).env("SSH_ASKPASS_PROMPT", "none");
        (set("DISPLAY") || set("WAYLAND_DISPLAY") || forced).then_some(command)
    }

    /// The first line that the program writes.
    fn run(&self, question: &str, kind: Option<&str>) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut command = Command::new(&self.program);
        command.arg(question).env_remove("SSH_ASKPASS_PROMPT").stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(kind) = kind {
            command.env("SSH_ASKPASS_PROMPT", kind);
        }
        let mut child = command.spawn()?;
        // Room for all of it at once: a buffer that grows would leave copies behind.
        let mut answer = Zeroizing::new(Vec::with_capacity(LONGEST_ANSWER + 1));
        let mut output = child.stdout.take().map(|stdout| stdout.take(LONGEST_ANSWER as u64 + 1));
        let read = output.as_mut().map_or(Ok(0), |output| output.read_to_end(&mut answer));
        drop(output);
        let status = child.wait()?;
        match read? {
            _ if !status.success() => Err(io::Error::other("it was cancelled")),
            length if length > LONGEST_ANSWER => Err(io::Error::other("its answer is too long")),
            _ => Ok(first_line(answer)),
        }
    }
}

fn first_line(mut answer: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let end = answer.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(answer.len());
    answer[end..].zeroize();
    answer.truncate(end);
    answer
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    fn program(directory: &tempfile::TempDir, script: &str) -> Askpass {
        let path = directory.path().join("askpass");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        Askpass { program: path.into(), preferred: false }
    }

    #[test]
    fn the_answer_is_the_first_line_for_the_question_asked() {
        let directory = tempfile::tempdir().unwrap();
        let askpass = program(&directory, r#"printf '%s\r\nmore' "$1""#);
        assert_eq!(askpass.ask("a question?").unwrap().expose_secret(), "a question?");
    }

    #[test]
    fn cancelled_and_endless_answers_are_none() {
        let directory = tempfile::tempdir().unwrap();
        for script in ["echo secret; exit 1", "yes", "printf '\\377'"] {
            assert!(program(&directory, script).ask("?").is_err(), "{script}");
        }
        let missing = Askpass { program: "/no/such/program".into(), preferred: false };
        assert!(missing.ask("?").is_err());
        assert!(!missing.confirm("?"));
    }

    #[test]
    fn nothing_and_yes_are_a_yes() {
        let directory = tempfile::tempdir().unwrap();
        let scripts = [("echo", true), ("true", true), ("echo Yes", true), ("echo no", false), ("exit 1", false)];
        for (script, allowed) in scripts {
            assert_eq!(program(&directory, script).confirm("?"), allowed, "{script}");
        }
        assert!(program(&directory, r#"echo "$SSH_ASKPASS_PROMPT" | sed s/confirm/yes/"#).confirm("?"));
    }
}
