//! The lines that a shell evaluates, byte for byte ssh-agent's. A path is printed as it is, as there.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::agent::SOCKET_VARIABLE;

use super::options::Shell;

/// The variable that names the process.
pub(super) const PROCESS_VARIABLE: &str = "SSH_AGENT_PID";

/// An agent in a process of its own.
pub(super) fn started(shell: Shell, socket: &Path, process: u32) -> Vec<u8> {
    let number = process.to_string();
    [set(shell, SOCKET_VARIABLE, socket.as_os_str().as_bytes()), set(shell, PROCESS_VARIABLE, number.as_bytes())]
        .concat()
        .into_iter()
        .chain(format!("echo Agent pid {number};\n").into_bytes())
        .collect()
}

/// An agent in the foreground, which is ended as any program there is.
pub(super) fn in_foreground(shell: Shell, socket: &Path, process: u32) -> Vec<u8> {
    let mut lines = set(shell, SOCKET_VARIABLE, socket.as_os_str().as_bytes());
    lines.extend(format!("echo Agent pid {process};\n").into_bytes());
    lines
}

/// An agent that was ended.
pub(super) fn killed(shell: Shell, process: i32) -> String {
    let unset = match shell {
        Shell::Sh => "unset",
        Shell::Csh => "unsetenv",
    };
    format!("{unset} {SOCKET_VARIABLE};\n{unset} {PROCESS_VARIABLE};\necho Agent pid {process} killed;\n")
}

fn set(shell: Shell, name: &str, value: &[u8]) -> Vec<u8> {
    match shell {
        Shell::Sh => [name.as_bytes(), b"=", value, b"; export ", name.as_bytes(), b";\n"].concat(),
        Shell::Csh => [b"setenv ", name.as_bytes(), b" ", value, b";\n"].concat(),
    }
}
