//! Deploys without a change to many hosts at once, by the toolbox and by Ansible with as many at a time.
//!
//! The hosts are addresses of one machine, each with sshd and all before one engine: what is measured is the program that
//! deploys, together with the work that it gives to hosts, which here run on the same processors.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Run;
use crate::agent::Problem;
use crate::deploy_host::{Host, output};
use crate::deploy_images::Images;
use crate::deploy_tools::{IMAGES, Tool, surround, tools, write_project};
use crate::figures::median;
use crate::push::watch::{Cost, cost};

/// So many hosts.
const SIZES: [usize; 4] = [1, 10, 50, 200];
/// Hosts at a time, for both.
const PARALLEL: usize = 50;

/// What one deploy to all of them costs, and the TCP connections that the hosts took.
type Figures = (Cost, u64);

/// Measures, and gives the table.
///
/// # Errors
/// A host that does not start, a program that fails, or one that changes something.
pub(crate) fn measure(run: &Run) -> Result<String, Problem> {
    let mut tools = tools(&run.toolbox, &run.relay)?;
    tools.retain(|tool| ["toolbox", "Ansible"].contains(&tool.name));
    let images = Images::new(&run.toolbox)?;
    let host = Host::start()?;
    write_project(host.directory())?;
    write_inventories(host.directory())?;
    IMAGES.iter().try_for_each(|image| images.build(image))?;
    let mut rounds: Vec<Vec<Vec<Figures>>> = vec![vec![Vec::new(); SIZES.len()]; tools.len()];
    for round in 0..run.rounds {
        for turn in 0..tools.len() {
            let which = (round + turn) % tools.len();
            host.clear()?;
            output(&mut tools[which].command(&host, &IMAGES))?;
            for (at, size) in SIZES.into_iter().enumerate() {
                eprintln!("round {} of {}: {}, {size} hosts", round + 1, run.rounds, tools[which].name);
                rounds[which][at].push(one(&host, run, &tools[which], size)?);
            }
        }
    }
    Ok(table(&tools, &rounds))
}

fn one(host: &Host, run: &Run, tool: &Tool, size: usize) -> Result<Figures, Problem> {
    let (before, connections) = (host.docker(&["ps", "--quiet", "--no-trunc"])?, taken(host)?);
    let script = script(run, tool, size)?;
    let mut wrapped = host.shell("exec \"$@\"");
    wrapped.arg("sh").arg(std::env::current_exe()?);
    surround(host, &mut wrapped);
    let cost = cost(wrapped, host.directory(), &["sh", "-euc", &script])?;
    if host.docker(&["ps", "--quiet", "--no-trunc"])? != before {
        return Err(format!("{} replaced containers though nothing had changed", tool.name).into());
    }
    Ok((cost, taken(host)? - connections))
}

/// What a person types for so many hosts.
fn script(run: &Run, tool: &Tool, size: usize) -> Result<String, Problem> {
    if tool.name == "Ansible" {
        return Ok(format!(
            "exec ansible-playbook --forks {PARALLEL} --inventory fleet-{size}.yaml --extra-vars target=all playbook.yaml"
        ));
    }
    let (toolbox, relay) = (fs::canonicalize(&run.toolbox)?, fs::canonicalize(&run.relay)?);
    let (toolbox, relay) = (toolbox.display(), relay.display());
    Ok(format!(
        "TOOLBOX_RELAY={relay} exec {toolbox} --key key --inventory fleet-{size}.yaml deploy --parallel {PARALLEL}"
    ))
}

/// Connections that the host's sshd has accepted since it was started.
fn taken(host: &Host) -> Result<u64, Problem> {
    let table = fs::read_to_string(format!("/proc/{}/net/snmp", host.id()))?;
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, numbers) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let found = names.split(' ').zip(numbers.split(' ')).find(|(name, _)| *name == "PassiveOpens");
    Ok(found.ok_or("the kernel counts no connections")?.1.parse()?)
}

/// The addresses, in the form that both read, and their key.
fn write_inventories(directory: &Path) -> Result<(), Problem> {
    for size in SIZES {
        let text = format!(
            "all:\n  hosts:\n    127.1.0.[1:{size}]:\n  vars:\n    ansible_user: root\n    \
             ansible_python_interpreter: /usr/bin/python3\n"
        );
        fs::write(directory.join(format!("fleet-{size}.yaml")), text)?;
    }
    let known = directory.join("known_hosts");
    let line = fs::read_to_string(&known)?;
    Ok(fs::write(known, format!("{line}{}", line.replacen("127.0.0.1", "127.1.0.*", 1)))?)
}

fn table(tools: &[Tool], rounds: &[Vec<Vec<Figures>>]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    for (at, size) in SIZES.into_iter().enumerate() {
        let hosts = if size == 1 { "1 host".to_owned() } else { format!("{size} hosts") };
        let mut row = |what: &str, figure: &dyn Fn(&Figures) -> f64, decimals: usize| {
            let cells = rounds.iter().map(|own| format!("{:.decimals$}", median(own[at].iter().map(figure))));
            let _ = writeln!(text, "| {hosts}, {what} | {} |", cells.collect::<Vec<_>>().join(" | "));
        };
        row("s", &|(cost, _)| cost.seconds, 2);
        row("processor seconds, without the hosts'", &|(cost, _)| cost.cpu, 2);
        row("memory of the largest process, MB", &|(cost, _)| cost.memory / 1e3, 0);
        row("connections", &|(_, connections)| *connections as f64, 0);
        let ratios = rounds.iter().map(|own| {
            let pairs = own[at].iter().zip(&rounds[0][at]);
            format!("{:.1}", median(pairs.map(|(theirs, ours)| theirs.0.seconds / ours.0.seconds)))
        });
        let _ = writeln!(text, "| {hosts}, times the toolbox's | {} |", ratios.collect::<Vec<_>>().join(" | "));
    }
    text
}
