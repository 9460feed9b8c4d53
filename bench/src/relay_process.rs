//! A relay as a process of its own: started, ended.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::agent::Problem;

/// A running relay; it is ended when this is dropped.
pub(crate) struct RelayProcess {
    child: Child,
    _state: TempDir,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl RelayProcess {
    /// Starts `program` before this target and waits until it listens, which it says on standard error.
    pub(crate) fn start(program: &Path, target: SocketAddr) -> Result<Self, Problem> {
        let state = tempfile::tempdir()?;
        let port = TcpListener::bind("0.0.0.0:0")?.local_addr()?.port();
        let config = format!(r#"{{"listen":[{{"port":{port},"to":1}}],"targets":["{target}"]}}"#);
        let mut command = Command::new(program);
        command.arg("serve").env("RELAY_CONFIG", config).env("RELAY_STATE", state.path());
        command.env("RELAY_SOCKET", format!("toolbox-relay-bench-{port}")).stderr(Stdio::piped());
        let started = command.spawn().map_err(|error| format!("cannot start {}: {error}", program.display()));
        let mut child = started?;
        let output = child.stderr.take().ok_or("no standard error")?;
        let relay = Self { child, _state: state, address: (Ipv4Addr::LOCALHOST, port).into() };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.contains("listens") { Ok(relay) } else { Err(format!("the relay did not start: {line}").into()) }
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        // Neither can fail for a child of ours that was not waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
