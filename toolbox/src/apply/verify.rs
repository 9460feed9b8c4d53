//! `x-toolbox.verify`: a URL of the host must answer, asked from the host itself through SSH.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep, timeout};

use crate::ssh::{ChannelStream, SshError, quote};

use super::session::HostSession;

/// How long the URL may take until it answers well.
const LIMIT: Duration = Duration::from_secs(30);
/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Bytes of the answer that are looked at.
const BODY: usize = 64 * 1024;
/// Characters of the answer that are shown.
const SHOWN: usize = 60;

/// The URL does not answer well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("service {service}: {url} does not answer well: {reason}")]
pub struct VerifyError {
    /// The service.
    pub service: String,
    /// The URL as seen from the host.
    pub url: String,
    /// The last attempt's result.
    pub reason: String,
}

/// Asks until the answer is a success; returns its first characters.
///
/// # Errors
/// [`VerifyError`] after 30 s, with the last attempt's result.
pub async fn verify(session: &HostSession, service: &str, url: &str) -> Result<String, VerifyError> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let attempt = timeout(ATTEMPT, get(session, url)).await;
        let reason = match attempt.unwrap_or_else(|_| Err("no answer within 10 s".into())) {
            Ok(text) => return Ok(text),
            Err(reason) => reason,
        };
        if Instant::now() >= deadline {
            return Err(VerifyError { service: service.to_owned(), url: url.to_owned(), reason });
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// Through a forwarded connection; where sshd forbids those, by whatever the host has for asking.
async fn get(session: &HostSession, url: &str) -> Result<String, String> {
    let uri: Uri = url.parse().map_err(|e| format!("not a URL: {e}"))?;
    let host = uri.host().ok_or("no host in the URL")?;
    match session.tcp(host, uri.port_u16().unwrap_or(80)).await {
        Ok(stream) => get_over(stream, host, &uri).await,
        Err(SshError::ChannelRefused { reason, .. }) if reason.contains("rohibited") => {
            get_by_command(session, url).await
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn get_over(stream: ChannelStream, host: &str, uri: &Uri) -> Result<String, String> {
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let request = Request::get(path).header("host", uri.authority().map_or(host, |a| a.as_str()));
    let request = request.header("user-agent", "toolbox").body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let response = client.send_request(request).await.map_err(|e| e.to_string())?;
    let status = response.status();
    let body = Limited::new(response.into_body(), BODY).collect().await.map(|b| b.to_bytes());
    let text = shown(&body.unwrap_or_default());
    if status.is_success() || status.is_redirection() { Ok(text) } else { Err(format!("{status} {text}")) }
}

async fn get_by_command(session: &HostSession, url: &str) -> Result<String, String> {
    let url = quote(url);
    let command = format!(
        "if command -v curl >/dev/null; then curl -fsS -m 10 {url}; \
         elif command -v wget >/dev/null; then wget -qO- -T 10 {url}; \
         elif command -v python3 >/dev/null; then python3 -c \
         'import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1], timeout=10).read(65536))' {url}; \
         else echo 'sshd forbids forwarding (AllowTcpForwarding), and there is no curl, wget or python3' >&2; exit 1; fi"
    );
    let output = session.exec(&format!("sh -c {}", quote(&command))).await.map_err(|e| e.to_string())?;
    if output.success() { Ok(shown(&output.stdout)) } else { Err(shown(&output.stderr)) }
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}
