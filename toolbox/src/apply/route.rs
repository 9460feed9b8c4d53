//! How a push reaches a host beside its engine: further connections, opened when they are asked for.

use std::collections::BTreeMap;

use tokio::sync::Mutex;

use crate::engine::{Docker, Engine as _, EngineError, ExecStream};
use crate::ssh::quote;

use super::push::{Route, Socket};
use super::session::HostSession;

/// Further connections to a host, closed with the value.
pub struct HostRoute<'a> {
    session: &'a HostSession,
    lines: Mutex<BTreeMap<usize, Docker>>,
}

impl<'a> HostRoute<'a> {
    /// None is opened yet.
    pub fn new(session: &'a HostSession) -> Self {
        Self { session, lines: Mutex::default() }
    }

    /// One after the other: sshd drops connections when too many log in at once (`MaxStartups`).
    async fn line(&self, number: usize) -> Result<Docker, EngineError> {
        let mut lines = self.lines.lock().await;
        if let Some(engine) = lines.get(&number) {
            return Ok(engine.clone());
        }
        let opened = self.session.line(number).await;
        let engine = opened.map_err(|e| EngineError::Unreachable { reason: e.to_string() })?;
        lines.insert(number, engine.clone());
        Ok(engine)
    }
}

impl Route for HostRoute<'_> {
    async fn socket(&self) -> Option<Socket> {
        let path = self.session.open_socket()?;
        let asked = self.session.exec(&format!("stat -L -c %g {}", quote(path))).await.ok()?;
        // A noisy login script may have written before it.
        let group = asked.stdout_text().lines().last()?.parse().ok().filter(|_| asked.success())?;
        Some(Socket { path: path.to_owned(), group })
    }

    async fn free(&self) -> Option<u64> {
        let about = self.session.engine()?.about().await.ok()?;
        self.session.free_at(&about.data_root).await.ok()?
    }

    async fn exec(&self, line: usize, container: &str, command: &[String]) -> Result<ExecStream, EngineError> {
        self.line(line).await?.exec_stream(container, command).await
    }
}
