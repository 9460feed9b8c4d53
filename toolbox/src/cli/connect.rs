//! Sessions with every chosen host; all of them, or every reason why not.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::apply::{Events, HostSession, SessionError};
use crate::plan::HostFacts;
use crate::state::Scope;

use super::begin::Begun;
use super::failure::{Failure, Failures};

/// A host and what was seen on it.
pub(super) struct Seen {
    /// The session.
    pub(super) session: HostSession,
    /// The snapshot.
    pub(super) facts: HostFacts,
}

/// Connects to every host and looks at all of it. Nothing is changed anywhere.
///
/// # Errors
/// Every host that cannot be reached or used.
pub(super) async fn connect_all(begun: &Begun) -> Result<Vec<Seen>, Failures> {
    connect_for(begun, |_| Scope::all(&begun.context.project.name)).await
}

/// Connects to every host and looks at what a plan for it needs. Nothing is changed anywhere.
///
/// # Errors
/// Every host that cannot be reached or used.
pub(super) async fn connect_for<'a>(begun: &Begun, scope: impl Fn(&str) -> Scope<'a>) -> Result<Vec<Seen>, Failures> {
    let (context, scope) = (&begun.context, &scope);
    let sessions = context.hosts.iter().map(|host| async move {
        let (events, ours) = (Events::new(&host.name, begun.events.clone()), Arc::clone(&begun.ours));
        let (target, engine, scope) = (context.target(host), context.engine(host), scope(&host.name));
        let opened = HostSession::open(target, engine, begun.agent.clone(), events, ours, Some(&scope)).await;
        let failed = |e: SessionError| (host.name.clone(), Failure::of(&e, e.hint()).on(&host.name));
        let mut session = opened.map_err(failed)?;
        let facts = session.observe(&scope).await.map_err(failed)?;
        session.set_packages(begun.packages(host)).await.map_err(failed)?;
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
