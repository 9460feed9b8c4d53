//! Sessions with every chosen host; all of them, or every reason why not.

use futures_util::future::join_all;
use tokio::sync::mpsc::UnboundedSender;

use crate::apply::{Event, Events, HostSession, SessionError};
use crate::plan::HostFacts;
use crate::ssh::AgentDialer;

use super::context::Context;
use super::failure::{Failure, Failures};

/// A host and what was seen on it.
pub(super) struct Seen {
    /// The session.
    pub(super) session: HostSession,
    /// The snapshot.
    pub(super) facts: HostFacts,
}

/// Connects to every host and looks at it. Nothing is changed anywhere.
///
/// # Errors
/// Every host that cannot be reached or used.
pub(super) async fn connect_all(
    context: &Context,
    agent: &AgentDialer,
    events: &UnboundedSender<Event>,
) -> Result<Vec<Seen>, Failures> {
    let sessions = context.hosts.iter().map(|host| async move {
        let events = Events::new(&host.name, events.clone());
        let opened = HostSession::open(context.target(host), Context::socket(host), agent.clone(), events).await;
        let failed = |e: SessionError| (host.name.clone(), Failure::of(&e, e.hint()).on(&host.name));
        let session = opened.map_err(failed)?;
        let facts = session.observe(&context.project.name).await.map_err(failed)?;
        Ok(Seen { session, facts })
    });
    let (mut seen, mut failures) = (Vec::new(), Vec::new());
    for result in join_all(sessions).await {
        match result {
            Ok(host) => seen.push(host),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(seen) } else { Err(Failures::of_hosts(failures)) }
}
