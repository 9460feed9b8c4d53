//! A line to a machine's sshd that is long, stops or breaks when a test wants it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::machine::Machine;
use crate::project::Project;

/// Where it begins, on the machine.
const PORT: u16 = 2222;
/// How long a packet is under way on a long line: longer than what counts as near.
const LONG: Duration = Duration::from_millis(6);
/// What a slow line carries, bytes per second.
const SLOW: f64 = 1.5e6;
/// More than logging in takes, bytes.
const LITTLE: usize = 1 << 20;

/// The line. The first connection of a run, which is the one for control, does not stop, and breaks only where that is
/// said.
pub(crate) struct Line(Arc<Shared>);

struct Shared {
    delay: Duration,
    /// Bytes per second, of each connection and direction.
    rate: f64,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    connections: usize,
    /// Bytes that went to the host through all but the first connection.
    sent: usize,
    stop_at: usize,
    cut_at: usize,
    /// Control, too, is to be cut; and has been.
    cut_wholly: bool,
    control_cut: bool,
    /// How many connections there have to be before one of them carries more than a little.
    awaited: usize,
}

impl Line {
    /// Lays it, and leads the project's host through it.
    pub(crate) fn lay(machine: &Machine, project: &Project) -> Self {
        Self::of(machine, project, Duration::ZERO, f64::INFINITY)
    }

    /// The same with a round trip that makes the host far.
    pub(crate) fn lay_long(machine: &Machine, project: &Project) -> Self {
        Self::of(machine, project, LONG, f64::INFINITY)
    }

    /// The same, short, on which everything takes its time.
    pub(crate) fn lay_slow(machine: &Machine, project: &Project) -> Self {
        Self::of(machine, project, Duration::ZERO, SLOW)
    }

    fn of(machine: &Machine, project: &Project, delay: Duration, rate: f64) -> Self {
        let known = machine.known_hosts().replace("127.0.0.1", &format!("[127.0.0.1]:{PORT}"));
        project.write("known_hosts", &known);
        project.host("root", PORT, "");
        Self::between(machine, PORT, "127.0.0.1", (delay, rate))
    }

    /// From this port of the machine to the sshd at this address.
    pub(crate) fn lead(machine: &Machine, port: u16, to: &'static str) -> Self {
        Self::between(machine, port, to, (Duration::ZERO, f64::INFINITY))
    }

    fn between(machine: &Machine, port: u16, to: &'static str, (delay, rate): (Duration, f64)) -> Self {
        let (stop_at, cut_at) = (usize::MAX, usize::MAX);
        let state = Mutex::new(State {
            connections: 0,
            sent: 0,
            stop_at,
            cut_at,
            cut_wholly: false,
            control_cut: false,
            awaited: 0,
        });
        let shared = Arc::new(Shared { delay, rate, state, changed: Condvar::new() });
        let (namespace, of_thread) = (File::open(machine.namespace()).unwrap(), Arc::clone(&shared));
        let (listening, listens) = mpsc::channel();
        std::thread::spawn(move || {
            // Of this thread, and of those that it starts.
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
            listening.send(()).unwrap();
            listener.incoming().map_while(Result::ok).for_each(|near| carry(&of_thread, near, to));
        });
        listens.recv().unwrap();
        Self(shared)
    }

    /// Connections so far, or since it was to stop or break.
    pub(crate) fn connections(&self) -> usize {
        self.0.state().connections
    }

    /// Bytes that it has carried to the host, but for control.
    pub(crate) fn sent(&self) -> usize {
        self.0.state().sent
    }

    /// From here on none carries more than a little until there are so many, however long they take to open.
    pub(crate) fn awaits(&self, connections: usize) {
        self.0.state().awaited = connections;
    }

    /// From here on nothing passes after so many bytes, until [`Self::goes_on`].
    pub(crate) fn stops_after(&self, bytes: usize) {
        let mut state = self.0.state();
        (state.connections, state.sent, state.stop_at) = (0, 0, bytes);
    }

    /// Waits until it has stopped.
    pub(crate) fn has_stopped(&self) {
        let waited = self.0.changed.wait_timeout_while(self.0.state(), Duration::from_secs(60), |s| s.sent < s.stop_at);
        assert!(!waited.unwrap().1.timed_out(), "the line was not used");
    }

    /// Ends what was begun by [`Self::stops_after`] and [`Self::breaks_after`].
    pub(crate) fn goes_on(&self) {
        let mut state = self.0.state();
        (state.stop_at, state.cut_at, state.cut_wholly) = (usize::MAX, usize::MAX, false);
        drop(state);
        self.0.changed.notify_all();
    }

    /// From here on every connection breaks after so many bytes in all, until [`Self::goes_on`].
    pub(crate) fn breaks_after(&self, bytes: usize) {
        let mut state = self.0.state();
        (state.connections, state.sent, state.cut_at) = (0, 0, bytes);
    }

    /// The same, and the connection for control breaks then as well.
    pub(crate) fn breaks_wholly_after(&self, bytes: usize) {
        self.breaks_after(bytes);
        self.0.state().cut_wholly = true;
    }

    /// Waits until it has.
    pub(crate) fn has_broken_wholly(&self) {
        let waited = self.0.changed.wait_timeout_while(self.0.state(), Duration::from_secs(60), |s| !s.control_cut);
        assert!(!waited.unwrap().1.timed_out(), "the line was not used");
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// So many bytes may pass, of so many in all on this connection; false where the line breaks.
    fn passes(&self, connection: usize, bytes: usize, in_all: usize) -> bool {
        let mut state = self.state();
        if connection > 1 {
            state.sent += bytes;
        }
        self.changed.notify_all();
        let waits = |s: &mut State| s.sent >= s.stop_at || (in_all > LITTLE && s.connections < s.awaited);
        let mut state = self.changed.wait_while(state, |s| connection > 1 && waits(s)).unwrap();
        let is_cut = state.sent >= state.cut_at && (connection > 1 || state.cut_wholly);
        state.control_cut |= is_cut && connection == 1;
        self.changed.notify_all();
        !is_cut
    }
}

fn carry(shared: &Arc<Shared>, near: TcpStream, to: &str) {
    let connection = {
        let mut state = shared.state();
        state.connections += 1;
        shared.changed.notify_all();
        state.connections
    };
    let far = TcpStream::connect((to, 22)).unwrap();
    let ends = [(near.try_clone().unwrap(), far.try_clone().unwrap(), true), (far, near, false)];
    for (from, to, is_counted) in ends {
        let shared = Arc::clone(shared);
        let pace = (shared.delay, shared.rate);
        let mut in_all = 0;
        pass_on(from, to, pace, move |bytes| {
            in_all += bytes;
            !is_counted || shared.passes(connection, bytes, in_all)
        });
    }
}

/// Passes bytes on, each a while after it came, however many are under way, and no more per second than this.
fn pass_on(
    mut from: TcpStream,
    mut to: TcpStream,
    (delay, rate): (Duration, f64),
    mut passes: impl FnMut(usize) -> bool + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    let other = from.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            if sender.send((Instant::now() + delay, bytes[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let mut free = Instant::now();
        for (due, bytes) in receiver {
            free = free.max(Instant::now()) + Duration::from_secs_f64(bytes.len() as f64 / rate);
            let due = due.max(free);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if !passes(bytes.len()) {
                let _ = other.shutdown(Shutdown::Both);
                break;
            }
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
