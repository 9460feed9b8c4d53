//! Many clients, few descriptors, and clients that never read or never finish: nobody else waits.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::agent_process::{Bench, Foreground, wait_until};

const LIST: [u8; 5] = [0, 0, 0, 1, 11];
const EMPTY_LIST: [u8; 9] = [0, 0, 0, 5, 12, 0, 0, 0, 0];

/// An agent that may have so many files open.
fn agent(bench: &Bench, files: u32) -> Foreground {
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}:{files}")).arg(bench.path("bin/ssh-agent")).arg("-D");
    Foreground::start(command, bench.path("socket"))
}

/// This process needs a descriptor for each client.
fn many_descriptors() {
    let limits = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).unwrap();
}

fn client(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// Asks for the list and gives the time that the answer took.
fn asked(stream: &mut UnixStream) -> Duration {
    let begin = Instant::now();
    stream.write_all(&LIST).unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, EMPTY_LIST);
    begin.elapsed()
}

/// Seconds of processor time that the agent has used.
fn processor_time(agent: &Foreground) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", agent.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u32 = fields[11..13].iter().map(|field| field.parse::<u32>().unwrap()).sum();
    f64::from(ticks) / 100.0
}

#[test]
fn a_thousand_clients_are_served_under_a_limit_of_1024_files() {
    many_descriptors();
    let bench = Bench::new();
    let agent = agent(&bench, 1024);
    let begin = Instant::now();
    let mut clients: Vec<_> = (0..1000).map(|_| client(&agent.socket)).collect();
    for client in &mut clients {
        client.write_all(&LIST).unwrap();
    }
    for client in &mut clients {
        let mut answer = [0; 9];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, EMPTY_LIST);
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn without_descriptors_it_serves_whom_it_let_in_and_does_not_spin() {
    many_descriptors();
    let bench = Bench::new();
    let agent = agent(&bench, 64);
    let mut clients: Vec<_> = (0..200).map(|_| client(&agent.socket)).collect();
    for client in &mut clients {
        client.write_all(&LIST).unwrap();
    }
    let mut answer = [0; 9];
    clients[0].read_exact(&mut answer).unwrap();
    // The kernel's queue holds the rest.
    let open = || fs::read_dir(format!("/proc/{}/fd", agent.child.id())).unwrap().count();
    wait_until("all descriptors are taken", || open() >= 64);
    let before = processor_time(&agent);
    // A stretch of time to measure in, with the loop in want of descriptors and one client at work.
    let end = Instant::now() + Duration::from_secs(1);
    let mut rounds = 0;
    while Instant::now() < end {
        assert!(asked(&mut clients[0]) < Duration::from_millis(500));
        rounds += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    let used = processor_time(&agent) - before;
    assert!(rounds >= 2 && used < 0.2, "{used} s of processor time in a second of {rounds} requests");
    // As they leave one after the other, the others are let in.
    for mut client in clients.into_iter().skip(1) {
        client.read_exact(&mut answer).unwrap();
        assert_eq!(answer, EMPTY_LIST);
    }
}

#[test]
fn slow_silent_and_never_reading_clients_stall_nobody() {
    many_descriptors();
    let bench = Bench::new();
    let agent = agent(&bench, 1024);
    let mut crowd: Vec<_> = (0..400).map(|_| client(&agent.socket)).collect();
    for (number, slow) in crowd.iter_mut().enumerate() {
        match number % 4 {
            // Nothing at all.
            0 => {}
            // Half a length, or a length whose message never comes.
            1 => slow.write_all(&LIST[..2]).unwrap(),
            2 => slow.write_all(&[0, 4, 0, 0, 13]).unwrap(),
            // Requests without end, and no answer read.
            _ => {
                slow.set_nonblocking(true).unwrap();
                let requests = LIST.repeat(10_000);
                while slow.write(&requests).is_ok() {}
            }
        }
    }
    let mut well = client(&agent.socket);
    let slowest = (0..200).map(|_| asked(&mut well)).max().unwrap();
    assert!(slowest < Duration::from_millis(250), "{slowest:?}");
    let status = fs::read_to_string(format!("/proc/{}/status", agent.child.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u32 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 100_000, "{kilobytes} kB resident");
}
