//! The embedded agent beside OpenSSH's: signatures, lists, memory.
//!
//! Each round starts both agents anew, one after the other, and asks both the same things over the same clients. The
//! agent that is not being asked sleeps.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use ssh_key::getrandom::SysRng;
use ssh_key::rand_core::UnwrapErr;
use ssh_key::{Algorithm, PrivateKey};

use crate::Run;
use crate::agent_client::{Client, Question};
use crate::agent_process::AgentProcess;
use crate::figures::{Row, table};

/// Anything that keeps a measurement from being made.
pub(crate) type Problem = Box<dyn Error + Send + Sync>;

/// Keys in the long list.
const MANY: usize = 1000;
/// Connections in the crowd.
const CROWD: usize = 64;

/// Keys that every round uses.
struct Keys {
    ed25519: PrivateKey,
    rsa: PrivateKey,
    many: Vec<PrivateKey>,
}

/// What one agent did in one round, in the order of [`ROWS`].
type Figures = [f64; ROWS.len()];

/// Names, and whether more is better.
const ROWS: [(&str, bool); 9] = [
    ("ed25519 signatures a second, 1 connection", true),
    ("ed25519 signatures a second, 64 connections", true),
    ("rsa-3072 signatures a second, 1 connection", true),
    ("rsa-3072 signatures a second, 64 connections", true),
    ("lists of 1,000 keys a second", true),
    ("resident memory without keys, KiB", false),
    ("of that written to, KiB", false),
    ("resident memory with 1,000 keys after all that, KiB", false),
    ("of that written to, KiB", false),
];

/// Measures, and gives the table.
///
/// # Errors
/// An agent that does not start or does not answer as it should.
pub(crate) fn measure(run: &Run) -> Result<String, Problem> {
    let directory = tempfile::tempdir()?;
    let keys = Keys::make(directory.path())?;
    let ours = directory.path().join("ssh-agent");
    std::os::unix::fs::symlink(run.toolbox.canonicalize()?, &ours)?;
    let theirs = PathBuf::from("/usr/bin/ssh-agent");
    let socket = || directory.path().join("socket");
    let mut rows: Vec<Row> =
        ROWS.iter().map(|(name, more)| Row { name: (*name).into(), more_is_better: *more, rounds: vec![] }).collect();
    for round in 1..=run.rounds {
        eprintln!("round {round} of {}", run.rounds);
        let pair = (one(&ours, socket(), &keys, run)?, one(&theirs, socket(), &keys, run)?);
        for (row, figures) in rows.iter_mut().zip(pair.0.into_iter().zip(pair.1)) {
            row.rounds.push(figures);
        }
    }
    Ok(table(&rows, ["toolbox", "OpenSSH", "times better"]))
}

/// One agent, through everything.
fn one(program: &Path, socket: PathBuf, keys: &Keys, run: &Run) -> Result<Figures, Problem> {
    let agent = AgentProcess::start(program, socket)?;
    let mut client = Client::connect(&agent.socket)?;
    let [resident, written] = agent.memory()?;
    client.add(&keys.ed25519)?;
    client.add(&keys.rsa)?;
    let rate = |question: &Question, connections| question.rate(&agent.socket, connections, run.time);
    let (ed25519, rsa) = (Question::sign(&keys.ed25519)?, Question::sign(&keys.rsa)?);
    let alone_and_crowd = [rate(&ed25519, 1)?, rate(&ed25519, CROWD)?, rate(&rsa, 1)?, rate(&rsa, CROWD)?];
    for key in &keys.many {
        client.add(key)?;
    }
    let lists = rate(&Question::list(), 1)?;
    let [resident_full, written_full] = agent.memory()?;
    let [ed25519, ed25519_crowd, rsa, rsa_crowd] = alone_and_crowd;
    Ok([ed25519, ed25519_crowd, rsa, rsa_crowd, lists, resident, written, resident_full, written_full])
}

impl Keys {
    /// Those of the long list make it 1,000 with the two that sign.
    fn make(directory: &Path) -> Result<Self, Problem> {
        let many = (2..MANY).map(|_| PrivateKey::random(&mut UnwrapErr(SysRng), Algorithm::Ed25519));
        Ok(Self {
            ed25519: generate(directory, &["-t", "ed25519"])?,
            rsa: generate(directory, &["-t", "rsa", "-b", "3072"])?,
            many: many.collect::<Result<_, _>>()?,
        })
    }
}

fn generate(directory: &Path, kind: &[&str]) -> Result<PrivateKey, Problem> {
    let file = directory.join(kind.concat());
    let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-f"]).arg(&file).args(kind).status()?;
    match made.success() {
        true => Ok(PrivateKey::read_openssh_file(&file)?),
        false => Err("ssh-keygen failed".into()),
    }
}
