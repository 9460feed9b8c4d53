//! Bytes through SSH: the toolbox's own beside OpenSSH's client, against the same sshd, by cipher and by line.
//!
//! A rate is that of the bytes alone: what the same command takes for none (connection and login) is taken off. What is
//! sent lies in the page cache, and goes to /dev/null. The server has one cipher to offer, so that nobody chooses.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::watch::{Cost, cost};
use crate::agent::Problem;
use crate::deploy_host::{output, sshd_config};
use crate::figures::{Row, table};
use toolbox_line::{FAR, LOOPBACK, Line, Namespace, SLOW, Shape};

const CIPHERS: [&str; 4] =
    ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"];

/// One comparison.
#[derive(Clone, Copy)]
struct Case {
    shape: Shape,
    cipher: usize,
    upload: bool,
    /// Ours; OpenSSH has one connection with one channel.
    connections: u64,
    channels: u64,
    /// Of the options' number of bytes.
    part: u64,
}

impl Case {
    fn new(shape: Shape, cipher: usize, upload: bool) -> Self {
        Self { shape, cipher, upload, connections: 1, channels: 1, part: 1 }
    }

    fn name(&self) -> String {
        let cipher = CIPHERS[self.cipher].trim_end_matches("@openssh.com");
        let way = if self.upload { "upload" } else { "download" };
        let lanes = match (self.connections, self.channels) {
            (1, 1) => String::new(),
            (1, channels) => format!(", {channels} channels"),
            (connections, 1) => format!(", {connections} connections"),
            (connections, channels) => format!(", {connections} connections with {channels} channels"),
        };
        format!("{}: {way}, {cipher}{lanes}", self.shape.name)
    }
}

/// Measures, and gives a table of MiB/s and one of processor time.
///
/// # Errors
/// A server that does not start, or a transfer that fails.
pub(super) fn measure(rounds: usize, bytes: u64) -> Result<String, Problem> {
    let servers = Servers::start()?;
    let lines = [LOOPBACK, FAR, SLOW];
    let made = lines.iter().zip(1..).map(|(shape, number)| Line::to(servers.network.id(), *shape, number));
    let made: Vec<Line> = made.collect::<Result<_, _>>()?;
    let cases = cases();
    let mut figures: Vec<Vec<Pair>> = cases.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        eprintln!("throughput, round {} of {rounds}", round + 1);
        for (case, figures) in cases.iter().zip(&mut figures) {
            let line = &made[lines.iter().position(|shape| *shape == case.shape).unwrap_or_default()];
            let mut pair = [(0.0, 0.0); 2];
            for turn in 0..2 {
                let who = (round + turn) % 2;
                pair[who] = servers.rate(line, case, who == 0, bytes / case.part)?;
            }
            figures.push(pair);
        }
    }
    Ok(tables(&cases, &figures))
}

fn cases() -> Vec<Case> {
    let near = (0..CIPHERS.len()).flat_map(|cipher| [true, false].map(|upload| Case::new(LOOPBACK, cipher, upload)));
    let lanes = |shape, upload, connections, channels, part| Case {
        connections,
        channels,
        part,
        ..Case::new(shape, 0, upload)
    };
    let far = [(1, 1), (1, 4), (4, 1), (4, 2)];
    let far = [true, false].into_iter().flat_map(move |up| far.map(|(c, n)| lanes(FAR, up, c, n, 4)));
    let slow = [(1, 1), (4, 2)];
    let slow = [true, false].into_iter().flat_map(move |up| slow.map(|(c, n)| lanes(SLOW, up, c, n, 256)));
    near.chain(far).chain(slow).collect()
}

/// A network with a server for each cipher.
struct Servers {
    directory: TempDir,
    network: Namespace,
    children: Vec<Child>,
}

impl Servers {
    fn start() -> Result<Self, Problem> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        for name in ["host", "key"] {
            let file = path.join(name).display().to_string();
            output(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &file]))?;
        }
        let key = fs::read_to_string(path.join("host.pub"))?;
        fs::write(path.join("known_hosts"), format!("* {key}"))?;
        fs::create_dir_all("/run/sshd")?;
        let mut servers = Self { network: Namespace::new()?, children: Vec::new(), directory };
        for (number, cipher) in CIPHERS.iter().enumerate() {
            let child = servers.serve(number, cipher)?;
            servers.children.push(child);
        }
        Ok(servers)
    }

    fn serve(&self, number: usize, cipher: &str) -> Result<Child, Problem> {
        let path = self.directory.path();
        let config = path.join(format!("sshd_config.{number}"));
        let own = format!("ListenAddress 0.0.0.0:{}\nCiphers {cipher}\n", port(number));
        fs::write(&config, format!("{own}{}", sshd_config(path)))?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]).arg(format!("--net=/proc/{}/ns/net", self.network.id()));
        let command = command.args(["/usr/sbin/sshd", "-D", "-e", "-f"]).arg(config).stdin(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        crate::deploy_host::await_log(&mut child, &["Server listening"])?;
        Ok(child)
    }

    /// MiB/s, and ms of processor time for a GiB.
    fn rate(&self, line: &Line, case: &Case, ours: bool, bytes: u64) -> Result<(f64, f64), Problem> {
        let (none, all) = (self.run(line, case, ours, 0)?, self.run(line, case, ours, bytes)?);
        // Too few bytes on a busy machine: there is no figure then, and the table says so.
        let more = |all: f64, none: f64| if all > none { all - none } else { f64::NAN };
        let (seconds, cpu) = (more(all.seconds, none.seconds), more(all.cpu, none.cpu) * 1e3);
        Ok((bytes as f64 / seconds / f64::from(1 << 20), cpu / (bytes as f64 / f64::from(1 << 30))))
    }

    fn run(&self, line: &Line, case: &Case, ours: bool, bytes: u64) -> Result<Cost, Problem> {
        let path = self.directory.path();
        let lanes = if ours { case.connections * case.channels } else { 1 };
        let file = self.file(bytes / lanes)?;
        let command = if ours { own(path, line, case, &file) } else { openssh(path, line, case, &file) };
        let program = std::env::current_exe()?;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        cost(line.command(program), path, &command)
    }

    /// A file of that size, in the page cache.
    fn file(&self, bytes: u64) -> Result<String, Problem> {
        let path = self.directory.path().join(format!("bytes.{bytes}"));
        if !path.exists() {
            fs::File::create(&path)?.set_len(bytes)?;
            std::io::copy(&mut fs::File::open(&path)?, &mut std::io::sink())?;
        }
        Ok(path.display().to_string())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn port(cipher: usize) -> usize {
    2201 + cipher
}

fn own(path: &Path, line: &Line, case: &Case, file: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap_or_default().display().to_string();
    let way = if case.upload { "up" } else { "down" };
    let (port, directory) = (port(case.cipher).to_string(), path.display().to_string());
    let lanes = [case.connections, case.channels].map(|number| number.to_string());
    let words = [&program, "transfer", way, &line.address, &port, &directory, file];
    words.into_iter().map(str::to_owned).chain(lanes).collect()
}

fn openssh(path: &Path, line: &Line, case: &Case, file: &str) -> Vec<String> {
    let path = path.display();
    let ssh = format!(
        "ssh -F none -T -i {path}/key -o IdentitiesOnly=yes -o UserKnownHostsFile={path}/known_hosts -p {} root@{}",
        port(case.cipher),
        line.address
    );
    let script = match case.upload {
        true => format!("exec {ssh} 'cat >/dev/null; echo done' <{file}"),
        false => format!("exec {ssh} 'cat {file}' >/dev/null </dev/null"),
    };
    vec!["sh".into(), "-euc".into(), script]
}

/// Ours and OpenSSH's in one round: MiB/s and ms.
type Pair = [(f64, f64); 2];

fn tables(cases: &[Case], figures: &[Vec<Pair>]) -> String {
    let row = |more_is_better, figure: fn(&(f64, f64)) -> f64, case: &Case, rounds: &[Pair]| Row {
        name: case.name(),
        more_is_better,
        rounds: rounds.iter().map(|pair| (figure(&pair[0]), figure(&pair[1]))).collect(),
    };
    let all = || cases.iter().zip(figures);
    let rates: Vec<Row> = all().map(|(case, rounds)| row(true, |figures| figures.0, case, rounds)).collect();
    // Of a short transfer the processor's time is mostly the login's.
    let near = all().filter(|(case, _)| case.shape == LOOPBACK);
    let times: Vec<Row> = near.map(|(case, rounds)| row(false, |figures| figures.1, case, rounds)).collect();
    format!(
        "MiB/s\n\n{}\nms of processor time for a GiB\n\n{}\n",
        table(&rates, ["toolbox", "OpenSSH", "times as fast"]),
        table(&times, ["toolbox", "OpenSSH", "times as cheap"])
    )
}
