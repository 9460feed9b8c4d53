//! Commands that a person or a pipe talks to: exec in a container, and a container's own command.

use std::time::Duration;

use bollard::models::ExecConfig;
use bollard::query_parameters::{ResizeContainerTTYOptionsBuilder, ResizeExecOptionsBuilder};
use bytes::Bytes;
use serde_json::json;

use super::client::refused;
use super::{Docker, EngineError, ExecStream};

/// Pause between two looks at something that is about to happen.
const PAUSE: Duration = Duration::from_millis(20);

/// A command to be run in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Its words.
    pub command: Vec<String>,
    /// Added to the container's environment, as `NAME=value`.
    pub environment: Vec<String>,
    /// `user[:group]` instead of the container's.
    pub user: Option<String>,
    /// Working directory instead of the container's.
    pub working_dir: Option<String>,
    /// With a terminal.
    pub terminal: bool,
}

/// Who has the other end of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attached {
    /// A command in a container, by the id of the exec.
    Exec(String),
    /// A container's own command, by the container's id.
    Container(String),
}

impl Docker {
    /// Begins a command in a running container; its streams are on a connection of their own.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn exec_attached(&self, id: &str, request: &ExecRequest) -> Result<ExecStream, EngineError> {
        let what = "running a command in the container";
        let config = ExecConfig {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(request.terminal),
            env: Some(request.environment.clone()),
            cmd: Some(request.command.clone()),
            user: request.user.clone(),
            working_dir: request.working_dir.clone(),
            ..Default::default()
        };
        let exec = self.quick.create_exec(id, config).await.map_err(|e| refused(what.into(), e))?.id;
        let body = json!({ "Detach": false, "Tty": request.terminal }).to_string();
        let path = format!("/exec/{exec}/start");
        self.streams.upgrade(what, &path, body.into(), request.terminal, exec).await
    }

    /// Both directions of a container's own command, from before its start on.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn attach(&self, id: &str, terminal: bool) -> Result<ExecStream, EngineError> {
        let path = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
        self.streams.upgrade("attaching to the container", &path, Bytes::new(), terminal, id.to_owned()).await
    }

    /// Tells a terminal its new size, in characters.
    ///
    /// # Errors
    /// [`EngineError`], also where the command has not begun yet.
    pub async fn resize(&self, attached: &Attached, rows: u16, columns: u16) -> Result<(), EngineError> {
        let (rows, columns) = (i32::from(rows), i32::from(columns));
        let resized = match attached {
            Attached::Exec(id) => {
                let size = ResizeExecOptionsBuilder::default().h(rows).w(columns).build();
                self.quick.resize_exec(id, size).await
            }
            Attached::Container(id) => {
                let size = ResizeContainerTTYOptionsBuilder::default().h(rows).w(columns).build();
                self.quick.resize_container_tty(id, size).await
            }
        };
        resized.map_err(|e| refused("resizing the terminal".into(), e))
    }

    /// Waits for the end; the exit status. An engine closes the streams a moment before it knows that.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn exit_status(&self, attached: &Attached) -> Result<i64, EngineError> {
        let what = "asking for the exit status";
        loop {
            let status = match attached {
                Attached::Exec(id) => {
                    let exec = self.quick.inspect_exec(id).await.map_err(|e| refused(what.into(), e))?;
                    exec.exit_code.filter(|_| exec.running != Some(true))
                }
                Attached::Container(id) => {
                    let container = self.quick.inspect_container(id, None).await;
                    let state = container.map_err(|e| refused(what.into(), e))?.state.unwrap_or_default();
                    state.exit_code.filter(|_| state.running != Some(true))
                }
            };
            if let Some(status) = status {
                return Ok(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
