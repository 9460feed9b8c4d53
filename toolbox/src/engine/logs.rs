//! A project's containers for daily use: what they wrote and write, when they start and end, which files they see.

use std::collections::{BTreeMap, HashMap};

use bollard::models::EventMessage;
use bollard::query_parameters::ListContainersOptionsBuilder;
use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt as _, TryStreamExt as _, iter};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::plan::ROLE_LABEL;
use crate::state::{ObservedContainer, Role};

use super::client::refused;
use super::hijack::{Output, demultiplexed};
use super::{Docker, EngineError, FileBind, observe};

/// Which part of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRequest {
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
    /// Only so many of the last lines.
    pub tail: Option<u64>,
    /// Only what was written since then: seconds of the Unix epoch, with an optional fraction.
    pub since: Option<String>,
    /// An RFC 3339 time before each line.
    pub timestamps: bool,
}

/// A container of the project began or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    /// The engine's id.
    pub id: String,
    /// It started; else it ended.
    pub started: bool,
    /// When, in seconds of the Unix epoch with a fraction, as [`LogRequest::since`] takes it.
    pub time: String,
    /// Label `com.docker.compose.service`, of one of the service's own containers.
    pub service: Option<String>,
    /// Label `com.docker.compose.container-number`; 0 where there is none.
    pub number: u32,
}

impl Docker {
    /// All containers of a project, without what only an inspection tells.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn containers(&self, project: &str) -> Result<Vec<ObservedContainer>, EngineError> {
        let label = format!("com.docker.compose.project={project}");
        let filters = HashMap::from([("label".to_owned(), vec![label])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let listed = self.quick.list_containers(Some(options)).await;
        let listed = listed.map_err(|e| refused("asking the engine for its containers".into(), e))?;
        Ok(listed.iter().map(observe::container).collect())
    }

    /// A container's log, from a connection of its own that waits for a slow reader.
    ///
    /// # Errors
    /// [`EngineError`]; some logging drivers cannot be read.
    pub async fn log_stream(&self, id: &str, request: &LogRequest) -> Result<Output, EngineError> {
        let what = "reading the container's log";
        let inspected = self.quick.inspect_container(id, None).await.map_err(|e| refused(what.into(), e))?;
        let terminal = inspected.config.and_then(|c| c.tty).unwrap_or_default();
        let tail = request.tail.map_or_else(|| "all".to_owned(), |n| n.to_string());
        let since = request.since.as_deref().unwrap_or("0");
        let (follow, timestamps) = (request.follow, request.timestamps);
        let path = format!(
            "/containers/{id}/logs?stdout=1&stderr=1&follow={follow}&tail={tail}&since={since}&timestamps={timestamps}"
        );
        Ok(demultiplexed(self.streams.get(what, &path).await?, terminal))
    }

    /// When a container ended last, as [`LogRequest::since`] takes it; the beginning of time where it never ran.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn ended(&self, id: &str) -> Result<String, EngineError> {
        let inspected = self.quick.inspect_container(id, None).await;
        let state = inspected.map_err(|e| refused("inspecting the container".into(), e))?.state.unwrap_or_default();
        let ended = state.finished_at.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
        Ok(ended.map_or_else(|| "0".to_owned(), |time| seconds(time.unix_timestamp_nanos())))
    }

    /// The project's configs and secrets that a container sees: the single files that are bound from its keeper's
    /// volume.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn file_binds(&self, id: &str, project: &str) -> Result<Vec<FileBind>, EngineError> {
        let inspected = self.quick.inspect_container(id, None).await;
        let mounts = inspected.map_err(|e| refused("inspecting the container".into(), e))?.mounts.unwrap_or_default();
        let files = format!("/volumes/toolbox.{project}/_data/files/");
        let binds = mounts.into_iter().filter_map(|m| Some(FileBind { source: m.source?, target: m.destination? }));
        Ok(binds.filter(|bind| bind.source.contains(&files)).collect())
    }

    /// Every start and end of a container of the project from now on.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn container_events(
        &self,
        project: &str,
    ) -> Result<BoxStream<'static, Result<ContainerEvent, EngineError>>, EngineError> {
        let filters = serde_json::json!({
            "type": ["container"],
            "event": ["start", "die"],
            "label": [format!("com.docker.compose.project={project}")],
        });
        let path = format!("/events?filters={}", percent_encoded(&filters.to_string()));
        let body = self.streams.get("asking the engine for its events", &path).await?;
        Ok(lines(body).try_filter_map(async |line| Ok(event(&line))).boxed())
    }
}

/// Whole lines without their ends; nothing of a last one that has none.
fn lines<S>(chunks: S) -> impl Stream<Item = Result<Vec<u8>, EngineError>> + Send + 'static
where
    S: Stream<Item = Result<Bytes, EngineError>> + Send + 'static,
{
    let mut begun = Vec::new();
    let whole = chunks.map_ok(move |chunk| {
        begun.extend_from_slice(&chunk);
        let mut lines: Vec<Vec<u8>> = begun.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        begun = lines.pop().unwrap_or_default();
        iter(lines.into_iter().map(Ok))
    });
    whole.try_flatten()
}

fn event(line: &[u8]) -> Option<ContainerEvent> {
    let message: EventMessage = serde_json::from_slice(line).ok()?;
    let actor = message.actor?;
    let labels: BTreeMap<String, String> = actor.attributes.unwrap_or_default().into_iter().collect();
    let label = |name: &str| labels.get(&format!("com.docker.compose.{name}")).cloned();
    let nanos = message.time_nano.unwrap_or_default();
    let role = observe::role(labels.get(ROLE_LABEL));
    let oneoff = label("oneoff").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let own = role == Role::Service && !oneoff;
    Some(ContainerEvent {
        id: actor.id?,
        started: message.action.as_deref() == Some("start"),
        time: seconds(nanos.into()),
        service: label("service").filter(|_| own),
        number: label("container-number").and_then(|n| n.parse().ok()).unwrap_or_default(),
    })
}

/// Nanoseconds of the Unix epoch as seconds with a fraction.
fn seconds(nanoseconds: i128) -> String {
    let positive = nanoseconds.max(0);
    format!("{}.{:09}", positive / 1_000_000_000, positive % 1_000_000_000)
}

/// RFC 3986, section 2.1: everything but unreserved characters.
pub(super) fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|b| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(b).to_string(),
        other => format!("%{other:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_names_the_service_of_its_own_containers_only() {
        let line = |labels: &str| {
            format!(
                r#"{{"Type":"container","Action":"start","timeNano":1700000000000000042,"Actor":{{"ID":"ab","Attributes":{{"com.docker.compose.service":"web","com.docker.compose.container-number":"2"{labels}}}}}}}"#
            )
        };
        let started = event(line("").as_bytes()).unwrap();
        let time = "1700000000.000000042".to_owned();
        let expected = ContainerEvent { id: "ab".into(), started: true, time, service: Some("web".into()), number: 2 };
        assert_eq!(started, expected);
        for other in
            [r#","io.toolbox.role":"relay""#, r#","io.toolbox.role":"run""#, r#","com.docker.compose.oneoff":"True""#]
        {
            assert_eq!(event(line(other).as_bytes()).unwrap().service, None, "{other}");
        }
    }

    #[tokio::test]
    async fn lines_are_whole_wherever_the_stream_is_cut() {
        let chunks = ["a", "b\nc", "\n", "\nd"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
        let whole: Vec<Vec<u8>> = lines(iter(chunks)).try_collect().await.unwrap();
        assert_eq!(whole, [&b"ab"[..], b"c", b""]);
    }
}
