//! How every verb begins: the project, the hosts, the keys, and a view of what happens.

use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::agent::{self, KeySource};
use crate::apply::{Event, Interrupt, Ours};
use crate::inventory::Host;
use crate::packages::{Bundle, Packages};
use crate::ssh::AgentDialer;
use crate::ui::{self, Ui};

use super::args::Common;
use super::context::Context;
use super::failure::Failures;
use super::keys::Keys;
use super::{interrupt, keys, rights};

/// What a verb works with. [`Begun::end`] it when every session is closed: the view waits for the last event.
pub(super) struct Begun {
    /// The project and the hosts.
    pub(super) context: Context,
    /// The agent with the keys.
    pub(super) agent: AgentDialer,
    /// Turns true at Ctrl-C.
    pub(super) interrupted: Interrupt,
    /// Images that are ours.
    pub(super) ours: Arc<Ours>,
    /// Packages for hosts without a way to their archive.
    pub(super) bundle: Option<Arc<Bundle>>,
    /// Where events go.
    pub(super) events: UnboundedSender<Event>,
    view: JoinHandle<()>,
}

/// Reads what the arguments name and starts the view. No host is asked anything.
///
/// # Errors
/// Everything that is wrong with the files or the keys.
pub(super) async fn begin(common: &Common, key: Option<KeySource>, ui: Ui) -> Result<Begun, Failures> {
    let context = Context::load(common)?;
    context.warn(&ui);
    begin_with(context, common, key, ui).await
}

/// As [`begin`], for a verb that needs no more of the project than its name; `steps` are shown by a view of their own.
///
/// # Errors
/// Everything that is wrong with the keys, the inventory and, where they do not even tell the name, the compose files.
pub(super) async fn begin_by_name(
    common: &Common,
    key: Option<KeySource>,
    ui: Ui,
    steps: Ui,
) -> Result<Begun, Failures> {
    let context = Context::load_or_name(common)?;
    context.warn(&steps);
    context.tell_unloaded(&ui);
    begin_with(context, common, key, steps).await
}

/// As [`begin`], with what is read already.
///
/// # Errors
/// Everything that is wrong with the keys.
pub(super) async fn begin_with(
    mut context: Context,
    common: &Common,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<Begun, Failures> {
    let interrupted = interrupt::listen();
    context.ways.warnings().iter().for_each(|warning| ui.say(&format!("warning: {warning}")));
    let keys = keys::gather(common, key, &context, &ui);
    let Keys { agent: dialer, named } = interrupt::or_interrupted(&interrupted, keys).await?;
    context.name_keys(named);
    context.become_by(interrupt::or_interrupted(&interrupted, rights::password(&common.rights)).await?);
    if let Some(unlocked) = agent::unlocked() {
        ui.say(&format!("warning: {unlocked}; {}", unlocked.hint()));
    }
    let (events, receiver) = unbounded_channel();
    let view = tokio::spawn(ui::watch(ui, receiver));
    Ok(Begun { context, agent: dialer, interrupted, ours: Arc::default(), bundle: None, events, view })
}

impl Begun {
    /// How this host gets its packages.
    pub(super) fn packages(&self, host: &Host) -> Packages {
        Packages { proxy: host.package_proxy, bundle: self.bundle.clone() }
    }

    /// Goes on with what went well; else the view ends before the failures are shown.
    ///
    /// # Errors
    /// Those that it is given.
    pub(super) async fn go_on<T>(self, result: Result<T, Failures>) -> Result<(Self, T), Failures> {
        match result {
            Ok(value) => Ok((self, value)),
            Err(failures) => {
                self.end().await;
                Err(failures)
            }
        }
    }

    /// Waits until everything that happened is shown.
    pub(super) async fn end(self) {
        drop(self.events);
        let _ = self.view.await;
    }
}
