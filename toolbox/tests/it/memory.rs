//! Searches another process's memory for what shall not be in it.
//!
//! Searched is all that can be read, but for what is mapped from a file and cannot be written: that is the file. A
//! secret is cut into pieces of 16 bytes, so that half of it is found as well, and numbers are looked for in both
//! orders of bytes, since libraries of arithmetic hold them with the least first.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use russh::keys::pkcs8::encode_pkcs8;
use sha2::{Digest as _, Sha512};
use ssh_key::private::KeypairData;

/// Bytes of a secret that are enough to be found.
const PIECE: usize = 16;

/// What is looked for, in pieces, each with its name.
#[derive(Default)]
pub(crate) struct Secrets {
    pieces: HashMap<[u8; PIECE], String>,
}

impl Secrets {
    /// Everything secret about the key in a file: its numbers, and the text of the file behind the public part.
    pub(crate) fn of_key(file: &Path, passphrase: &str) -> Self {
        let text = fs::read(file).unwrap();
        let given = (!passphrase.is_empty()).then(|| passphrase.into());
        let key = toolbox::agent::parse(&text, given.as_ref()).unwrap();
        let mut secrets = Self::default();
        match key.key_data() {
            KeypairData::Ed25519(pair) => {
                secrets.add("seed", pair.private.as_ref());
                secrets.add("expanded seed", &Sha512::digest(pair.private.as_ref()));
            }
            KeypairData::Ecdsa(pair) => secrets.add_number("scalar", pair.private_key_bytes()),
            _ => {
                let names = ["d", "p", "q", "dp", "dq", "qinv"];
                let numbers = rsa_numbers(&encode_pkcs8(&key).unwrap());
                names.iter().zip(numbers).for_each(|(name, number)| secrets.add_number(name, &number));
            }
        }
        secrets.add_file(&text, key.public_key().to_bytes().unwrap().len());
        if !passphrase.is_empty() {
            secrets.add("passphrase", passphrase.as_bytes());
        }
        secrets
    }

    /// The lines of a key file, but for those that hold the public part of OpenSSH's format.
    fn add_file(&mut self, text: &[u8], public: usize) {
        let text = std::str::from_utf8(text).unwrap();
        let skip = if text.contains("OPENSSH") { (public + 60) * 4 / 3 / 70 + 2 } else { 1 };
        let lines = text.lines().enumerate().skip(skip).filter(|(_, line)| !line.contains(['-', ':']));
        lines.for_each(|(number, line)| self.add(&format!("line {number} of the file"), line.as_bytes()));
    }

    /// Something that is looked for as it stands.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        for (number, piece) in bytes.chunks_exact(PIECE).enumerate() {
            self.pieces.insert(piece.try_into().unwrap(), format!("{name} from byte {}", number * PIECE));
        }
    }

    fn add_number(&mut self, name: &str, number: &[u8]) {
        let reversed: Vec<u8> = number.iter().rev().copied().collect();
        self.add(name, number);
        self.add(&format!("{name}, least byte first,"), &reversed);
    }

    /// Where any of them is in the memory of a process.
    pub(crate) fn search(&self, pid: u32) -> Vec<Found> {
        assert!(!self.pieces.is_empty());
        // By the first two bytes: nearly every place is passed over after one look.
        let mut starts = vec![false; 1 << 16];
        self.pieces.keys().for_each(|piece| starts[start(piece)] = true);
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        regions(pid).iter().flat_map(|region| self.search_region(&memory, region, &starts)).collect()
    }

    fn search_region(&self, memory: &File, region: &Region, starts: &[bool]) -> Vec<Found> {
        let mut bytes = vec![0; usize::try_from(region.end - region.start).unwrap()];
        if memory.read_exact_at(&mut bytes, region.start).is_err() {
            // The kernel's own pages, which cannot be read in this way.
            assert!(region.name.starts_with("[v"), "{region:?} cannot be read");
            return Vec::new();
        }
        let mut found = Vec::new();
        for (at, window) in bytes.windows(PIECE).enumerate() {
            if starts[start(window)]
                && let Some(name) = self.pieces.get(window)
            {
                let address = region.start + at as u64;
                found.push(Found { what: name.clone(), address, place: region.name.clone(), locked: region.locked });
            }
        }
        found
    }
}

fn start(piece: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([piece[0], piece[1]]))
}

/// A piece of a secret in a process's memory.
#[derive(Debug)]
#[allow(dead_code, reason = "what a failed test shows")]
pub(crate) struct Found {
    pub(crate) what: String,
    address: u64,
    place: String,
    /// Whether it cannot be swapped out.
    pub(crate) locked: bool,
}

#[derive(Debug)]
struct Region {
    start: u64,
    end: u64,
    name: String,
    locked: bool,
}

/// The regions of `/proc/PID/smaps` that are worth a look.
fn regions(pid: u32) -> Vec<Region> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let mut regions: Vec<Option<Region>> = Vec::new();
    for line in text.lines() {
        let first = line.split(' ').next().unwrap();
        if let Some((start, end)) = first.split_once('-') {
            regions.push(region(start, end, line));
        } else if let (Some(flags), Some(Some(region))) = (line.strip_prefix("VmFlags:"), regions.last_mut()) {
            region.locked = flags.split(' ').any(|flag| flag == "lo");
        }
    }
    regions.into_iter().flatten().collect()
}

fn region(start: &str, end: &str, line: &str) -> Option<Region> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (rights, name) = (fields[1], fields.get(5).copied().unwrap_or_default());
    let worth = rights.starts_with('r') && (rights.contains('w') || !name.starts_with('/'));
    let address = |hex| u64::from_str_radix(hex, 16).unwrap();
    worth.then(|| Region { start: address(start), end: address(end), name: name.to_owned(), locked: false })
}

/// d, p, q, dp, dq and qinv of an rsa key in PKCS#8.
fn rsa_numbers(der: &[u8]) -> Vec<Vec<u8>> {
    let mut inside = element(&mut &*der);
    element(&mut inside);
    element(&mut inside);
    let mut octets = element(&mut inside);
    let mut numbers = element(&mut octets);
    let all: Vec<&[u8]> = (0..9).map(|_| element(&mut numbers)).collect();
    all[3..].iter().map(|number| number.iter().copied().skip_while(|byte| *byte == 0).collect()).collect()
}

/// Takes one element of DER; what is inside of it.
fn element<'a>(reader: &mut &'a [u8]) -> &'a [u8] {
    let (length, rest) = match reader[1] {
        short @ 0..0x80 => (usize::from(short), &reader[2..]),
        long => {
            let (bytes, rest) = reader[2..].split_at(usize::from(long & 0x7f));
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (inside, rest) = rest.split_at(length);
    *reader = rest;
    inside
}

/// Has a look at a process while it is stopped, so that its memory holds still.
pub(crate) fn stopped<T>(id: u32, look: impl FnOnce(u32) -> T) -> T {
    let pid = Pid::from_raw(id.try_into().unwrap());
    let states = || {
        let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
        tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default())
    };
    kill(pid, Signal::SIGSTOP).unwrap();
    while !states().all(|state| state.contains("State:\tT")) {
        std::thread::yield_now();
    }
    let seen = look(id);
    kill(pid, Signal::SIGCONT).unwrap();
    seen
}

/// Put before a program, this waits for a line on standard input, so that a tracer can take hold of it first.
pub(crate) const WAIT: [&str; 4] = ["setsid", "sh", "-c", "read go; exec \"$0\" \"$@\""];

/// A process that will be stopped at its very exit, when all its memory is still there. Only root may trace the
/// program: it has closed itself to others.
pub(crate) struct Traced(Pid);

impl Traced {
    /// Takes hold of a process.
    pub(crate) fn seize(id: u32) -> Self {
        let pid = Pid::from_raw(id.try_into().unwrap());
        ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT).expect("root may trace");
        Self(pid)
    }

    /// Waits until it exits, has a look at it, and lets it go.
    pub(crate) fn at_exit<T>(self, look: impl FnOnce(u32) -> T) -> T {
        loop {
            match waitpid(self.0, Some(WaitPidFlag::__WALL)).unwrap() {
                WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXIT as i32 => break,
                WaitStatus::Stopped(_, signal) => ptrace::cont(self.0, signal).unwrap(),
                WaitStatus::PtraceEvent(..) => ptrace::cont(self.0, None).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        // The other threads are being killed; one that still ends would give its stack back during the search.
        let threads = format!("/proc/{}/task", self.0);
        while fs::read_dir(&threads).unwrap().count() > 1 {
            std::thread::yield_now();
        }
        let seen = look(self.0.as_raw().try_into().unwrap());
        ptrace::detach(self.0, None).unwrap();
        seen
    }
}

/// Runs a command that begins with [`WAIT`], and has a look at it at its exit.
pub(crate) fn at_exit<T>(command: &mut Command, input: &[u8], look: impl FnOnce(u32) -> T) -> (T, Output) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("util-linux");
    let traced = Traced::seize(child.id());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"\n").unwrap();
    // A program that has failed before it read everything closes the pipe.
    let _ = stdin.write_all(input);
    drop(stdin);
    let seen = traced.at_exit(look);
    (seen, child.wait_with_output().unwrap())
}

/// Whether this process is root's; says on stderr that a test was not run otherwise.
pub(crate) fn root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("{test}: not run, only root may look into a process that has closed itself");
    }
    root
}
