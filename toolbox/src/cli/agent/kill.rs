//! `-k`: ends the agent that `SSH_AGENT_PID` names.

use std::process::ExitCode;

use rustix::process::{Pid, Signal, kill_process};

use crate::ui::Ui;

use super::announce::{self, PROCESS_VARIABLE};
use super::options::Shell;
use crate::cli::exit_status::ExitStatus;

/// Sends SIGTERM and prints what unsets the variables; messages and statuses are ssh-agent's.
pub(super) fn run(shell: Shell, ui: Ui) -> ExitCode {
    match ended() {
        Ok(process) => {
            ui.data(&announce::killed(shell, process));
            ExitStatus::Done.into()
        }
        Err(message) => {
            ui.say(&message);
            ExitStatus::Failed.into()
        }
    }
}

fn ended() -> Result<i32, String> {
    let Some(value) = std::env::var_os(PROCESS_VARIABLE) else {
        return Err(format!("{PROCESS_VARIABLE} not set, cannot kill agent"));
    };
    let text = value.to_string_lossy();
    let number = process_number(&text)
        .map_err(|why| format!("{PROCESS_VARIABLE}=\"{text}\", which is not a good PID: {why}"))?;
    let process = Pid::from_raw(number).ok_or("kill: No such process")?;
    kill_process(process, Signal::TERM).map_err(|error| format!("kill: {}", super::reason(&error.into())))?;
    Ok(number)
}

/// 1 is never an agent, and what is not positive would be a group of processes.
fn process_number(text: &str) -> Result<i32, &'static str> {
    match text.trim_start().parse::<i128>() {
        Err(_) => Err("invalid"),
        Ok(number) if number < 2 => Err("too small"),
        Ok(number) => i32::try_from(number).map_err(|_| "too large"),
    }
}

#[cfg(test)]
mod tests {
    use super::process_number;

    #[test]
    fn only_a_single_process_can_be_meant() {
        let table = [
            ("2", Ok(2)),
            ("2147483647", Ok(2_147_483_647)),
            ("2147483648", Err("too large")),
            ("1", Err("too small")),
            ("0", Err("too small")),
            ("-5", Err("too small")),
            ("", Err("invalid")),
            ("12x", Err("invalid")),
        ];
        for (text, expected) in table {
            assert_eq!(process_number(text), expected, "{text:?}");
        }
    }
}
