//! `serve`: a relay, from its configuration to SIGTERM.
//!
//! Contract: it listens, on its ports and for the control, when it says so on standard error. A state that
//! was kept counts more than the environment. After SIGTERM it takes no more clients, lets the others end,
//! for a bounded time, and exits with 0.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Builder;

use crate::config::{Config, state_directory};
use crate::connection::Shared;
use crate::control::Control;
use crate::keep::End;
use crate::listen::Listeners;
use crate::state::{self, State};
use crate::target::Targets;
use crate::{WRONG, fail};

const MOST_WORKERS: usize = 4;
/// Threads for questions to the resolver.
const MOST_BLOCKING: usize = 16;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn main() -> ExitCode {
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => return fail(&error, WRONG),
    };
    allow_many_files();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS);
    let runtime =
        Builder::new_multi_thread().worker_threads(workers).max_blocking_threads(MOST_BLOCKING).enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(serve(config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error, 1),
    }
}

/// A connection takes two descriptors; what the engine allows is more than what it sets.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, the lower limit stays.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let end = End::new()?;
    let state = last_state(&config);
    let targets = Arc::new(Targets::default());
    targets.switch(&state.targets);
    let shared = Arc::new(Shared { targets: Arc::clone(&targets), proxy_protocol: config.proxy_protocol });
    let mut listeners = Listeners::new(shared);
    let bound = listeners.bind(&state.listen)?;
    // Nothing was open before.
    drop(listeners.set(&state.listen, bound));
    let control = Control::new(listeners, Arc::clone(&targets), state_directory());
    let listening = control.listen()?;
    eprintln!("toolbox-relay: listens; new connections go to {}", shown(&targets));
    tokio::select! {
        () = end.told() => {}
        () = Arc::clone(&control).answer(listening) => {}
    }
    control.stop_listening().await;
    targets.stop();
    let left = targets.drain(None, Duration::from_millis(config.grace_ms)).await;
    eprintln!("toolbox-relay: ends; {left} connections were cut");
    Ok(())
}

fn last_state(config: &Config) -> State {
    match state::read(&state_directory()) {
        Ok(Some(state)) => return state,
        Ok(None) => {}
        Err(error) => eprintln!("toolbox-relay: the state cannot be read, the environment counts: {error}"),
    }
    State { listen: config.listen.clone(), targets: config.targets.clone() }
}

/// The current targets for a person.
pub(crate) fn shown(targets: &Targets) -> String {
    let names: Vec<_> = targets.current().iter().map(ToString::to_string).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}
