//! `bench transfer`: bytes to or from a host through the toolbox's own SSH, as a program like `ssh`.
//!
//! Its figures are to be compared with `ssh HOST 'cat >/dev/null' <FILE` and `ssh HOST 'cat FILE' >/dev/null`.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use toolbox::agent::{Agent, parse};
use toolbox::ssh::{AgentDialer, Connection, Target};

use crate::agent::Problem;

/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;

/// `bench transfer up|down ADDRESS PORT DIRECTORY FILE CONNECTIONS CHANNELS`: the file, once over each channel of each
/// connection. DIRECTORY holds `key` and `known_hosts`.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let run = || {
        // As in the toolbox itself.
        toolbox::cli::runtime()?.block_on(transfer(arguments))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn transfer(arguments: &[String]) -> Result<(), Problem> {
    let [way, address, port, directory, file, connections, channels] = arguments else {
        return Err("seven arguments are wanted".into());
    };
    let (up, directory) = (way == "up", Path::new(directory));
    let (target, agent) = (target(address, port.parse()?, directory), agent(&directory.join("key")).await?);
    let mut running = JoinSet::new();
    for _ in 0..connections.parse::<u32>()? {
        let connection = Connection::open_bulk(&target, &agent).await?;
        for _ in 0..channels.parse::<u32>()? {
            let (connection, file) = (connection.clone(), file.clone());
            running.spawn(async move {
                if up { upload(&connection, &file).await } else { download(&connection, &file).await }
            });
        }
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

async fn upload(connection: &Connection, file: &str) -> Result<(), Problem> {
    let mut stream = connection.exec_stream("cat >/dev/null; echo done").await?;
    let (mut file, mut chunk) = (File::open(file)?, vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            length => stream.write_all(&chunk[..length]).await?,
        }
    }
    stream.shutdown().await?;
    let mut said = String::new();
    stream.read_to_string(&mut said).await?;
    if said == "done\n" { Ok(()) } else { Err(format!("the host said {said:?}").into()) }
}

async fn download(connection: &Connection, file: &str) -> Result<(), Problem> {
    let mut stream = connection.exec_stream(&format!("cat {file}")).await?;
    let (mut chunk, mut left) = (vec![0; CHUNK], std::fs::metadata(file)?.len());
    loop {
        match stream.read(&mut chunk).await? as u64 {
            0 if left == 0 => return Ok(()),
            0 => return Err(format!("{left} bytes are missing").into()),
            length => left -= length,
        }
    }
}

fn target(address: &str, port: u16, directory: &Path) -> Target {
    Target { known_hosts: vec![directory.join("known_hosts")], ..Target::new(address, port, "root") }
}

async fn agent(key: &Path) -> Result<AgentDialer, Problem> {
    let agent = Agent::new();
    agent.add(parse(&std::fs::read(key)?, None)?, None).await?;
    Ok(AgentDialer::new(move || {
        let agent = agent.clone();
        async move { Ok(agent.connect()) }
    }))
}
