//! The agent as a process: its signals, its end, and what it lets go of when it goes to the background.
//!
//! Contract: it serves until SIGTERM or SIGHUP, in the foreground also SIGINT; SIGUSR1 removes all keys. Started for a
//! command it ends when the command does. Socket and directory are removed however it ends, and its exit status is
//! ssh-agent's, 2. In the background it has its own session, `/` as its directory and nothing on its standard streams.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::agent::{Agent, AgentSocket, LoadedKey, wipe};
use crate::ui::Ui;

use super::announce::in_foreground as lines;
use super::options::Options;
use super::start::{failed, listen, settings};
use crate::cli::failure::{Failure, Failures};

/// Tells a process that it is to be the agent of the process whose number it holds.
pub(super) const VARIABLE: &str = "TOOLBOX_AGENT_OF";
/// Threads that serve clients; signatures have others. One is the main thread alone.
const SERVING_THREADS: usize = 1;
/// How ssh-agent ends when it is told to.
const ENDED: u8 = 2;
/// How often the parent is looked for where the kernel has no way to wait for it.
const LOOK_FOR_PARENT: Duration = Duration::from_secs(1);
/// Room for a thread that does nothing but wait, in bytes.
const WATCHER_STACK: usize = 64 * 1024;

/// Threads that may wait for a person or digest a passphrase while others make signatures.
const WAITING_THREADS: usize = 2;

/// The agent's runtime.
///
/// # Errors
/// The system has no descriptors left.
pub(super) fn runtime() -> io::Result<Runtime> {
    let mut builder = match SERVING_THREADS {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if SERVING_THREADS > 1 {
        builder.worker_threads(SERVING_THREADS);
    }
    // Each of these threads has a stack and a heap of its own: more than the processors can use are memory without use.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    builder.max_blocking_threads(processors + WAITING_THREADS).enable_all().build()
}

/// Whether this process was started to be an agent's. The variable alone does not say so: what an agent starts has it
/// too.
pub(super) fn was_started() -> bool {
    std::env::var_os(VARIABLE).is_some() && rustix::net::sockopt::socket_acceptconn(io::stdin()).unwrap_or(false)
}

/// Serves in this process, with the lines printed first.
///
/// # Errors
/// The socket cannot be made, a key is not taken, or the system refuses what serving needs.
pub(super) fn in_foreground(
    options: &Options,
    keys: Vec<LoadedKey>,
    debug: bool,
    ui: Ui,
) -> Result<ExitCode, Failures> {
    crate::cli::start_tracing(if debug { "warn,toolbox::agent=debug" } else { "warn" });
    let agent = Agent::with_settings(settings(options));
    let serving = async {
        for key in keys {
            crate::cli::keys::add(&agent, key).await.map_err(|failure| Failures::failed(vec![failure]))?;
        }
        // Signals first: from its first moment the socket is removed however this ends.
        let signals = Signals::catch(true).map_err(|error| failed(&error, None))?;
        let socket = listen(options, ui)?;
        ui.bytes(&lines(options.shell, socket.path(), std::process::id()));
        serve(&agent, socket, signals, None).await.map_err(|error| failed(&error, None))
    };
    run(serving)
}

/// Serves in the background, as the process that [`background`](super::background) has started.
///
/// # Errors
/// Nobody sees them but the parent, which misses the answer.
pub(super) fn in_background(options: &Options, name: &CStr) -> Result<ExitCode, Failures> {
    let gone = || Failures::failed(vec![Failure::text("the starting process is gone".to_owned(), None)]);
    let parent = parent().ok_or_else(gone)?;
    let (socket, control) = handed_over(options.address.is_none())?;
    // Before this process leaves the directory that names may begin at.
    let agent = Agent::with_settings(settings(options));
    detach(name).map_err(|error| failed(&error, None))?;
    let for_command = (!options.command.is_empty()).then_some(parent);
    let serving = async {
        let signals = Signals::catch(false).map_err(|error| failed(&error, None))?;
        let control = tokio::net::UnixStream::from_std(control).map_err(|error| failed(&error, None))?;
        let first = agent.clone();
        tokio::spawn(async move { first.serve(control).await });
        serve(&agent, socket, signals, for_command).await.map_err(|error| failed(&error, None))
    };
    run(serving)
}

fn run(serving: impl Future<Output = Result<(), Failures>>) -> Result<ExitCode, Failures> {
    let runtime = runtime().map_err(|error| failed(&error, None))?;
    let done = runtime.block_on(serving);
    // Clients and questions that are still open do not hold the process.
    runtime.shutdown_background();
    // Nor do they take a key along.
    wipe();
    done.map(|()| ExitCode::from(ENDED))
}

/// Serves until the first reason to end.
async fn serve(
    agent: &Agent,
    socket: AgentSocket,
    mut signals: Signals,
    parent: Option<Parent>,
) -> Result<(), crate::agent::SocketError> {
    let serving = agent.serve_unix(socket);
    tokio::pin!(serving);
    let gone = end_of(parent);
    tokio::pin!(gone);
    loop {
        tokio::select! {
            result = &mut serving => return result,
            () = &mut gone => return Ok(()),
            asked = signals.next() => match asked {
                Asked::End => return Ok(()),
                Asked::RemoveAll => agent.remove_all(),
            },
        }
    }
}

/// The listening socket and the pair's end that stand on the standard streams.
fn handed_over(private: bool) -> Result<(AgentSocket, UnixStream), Failures> {
    let system = |error: io::Error| failed(&error, None);
    let listener = io::stdin().as_fd().try_clone_to_owned().map_err(system)?;
    let control = UnixStream::from(io::stdout().as_fd().try_clone_to_owned().map_err(system)?);
    control.set_nonblocking(true).map_err(system)?;
    let socket = AgentSocket::inherited(listener, private).map_err(|error| failed(&error, None))?;
    Ok((socket, control))
}

fn detach(name: &CStr) -> io::Result<()> {
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    dup2_stderr(&nothing)?;
    setsid()?;
    std::env::set_current_dir("/")?;
    // The kernel named it after /proc/self/exe.
    Ok(rustix::thread::set_name(name)?)
}

/// The process that started this one.
struct Parent {
    number: Pid,
    /// What the kernel tells its end by; `None` where it has no such thing.
    handle: Option<OwnedFd>,
}

/// The process that started this one; `None` if it is gone already.
fn parent() -> Option<Parent> {
    let number = getppid()?;
    let handle = pidfd_open(number, PidfdFlags::empty()).ok();
    // Asked last, so that the handle is not that of another process with its number.
    let said = std::env::var(VARIABLE).ok()?;
    let still = getppid() == Some(number) && said == number.as_raw_nonzero().to_string();
    still.then_some(Parent { number, handle })
}

/// Waits for a process to end, for ever where there is none to wait for.
async fn end_of(parent: Option<Parent>) {
    let Some(Parent { number, handle }) = parent else {
        return std::future::pending().await;
    };
    if let Some(handle) = handle {
        let (ended, end) = tokio::sync::oneshot::channel();
        // A thread that sleeps in poll(2): the runtime has no safe way to watch a descriptor that is not its own.
        let watching = std::thread::Builder::new().stack_size(WATCHER_STACK).spawn(move || {
            let waited = poll(&mut [PollFd::new(&handle, PollFlags::IN)], None);
            let _ = ended.send(waited);
        });
        if watching.is_ok() && matches!(end.await, Ok(Ok(_))) {
            return;
        }
    }
    while getppid() == Some(number) {
        tokio::time::sleep(LOOK_FOR_PARENT).await;
    }
}

/// What a signal asks for.
enum Asked {
    End,
    RemoveAll,
}

/// The signals that mean something here.
struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
    remove_all: Signal,
    /// In the background there is no terminal whose Ctrl-C could be meant.
    foreground: bool,
}

impl Signals {
    fn catch(foreground: bool) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            remove_all: signal(SignalKind::user_defined1())?,
            foreground,
        })
    }

    async fn next(&mut self) -> Asked {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Asked::End,
                _ = self.hang_up.recv() => return Asked::End,
                _ = self.interrupt.recv() => if self.foreground { return Asked::End },
                _ = self.remove_all.recv() => return Asked::RemoveAll,
            }
        }
    }
}
