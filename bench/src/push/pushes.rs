//! Pushes of one image to one host: how long they take, what goes over the line, and what they cost this machine.
//!
//! Each round clears the host for each contender, which then brings the image there again and again, as it is at first
//! and after each change. Contenders take turns; who begins changes every round. After each push the host's image must
//! have the layers that the image has here. Processor time and memory are those of the programs here, not the engines'.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::contenders::{Contender, clear, contenders, prepare};
use super::images::{Change, IMAGE, Images};
use super::watch::cost;
use crate::agent::Problem;
use crate::deploy_host::{Host, output};
use crate::figures::median;
use toolbox_line::{LOOPBACK, Line, SLOW, Shape};

/// What is pushed, and how often.
pub(super) struct Plan<'a> {
    pub(super) toolbox: &'a Path,
    pub(super) relay: &'a Path,
    pub(super) own: Option<&'a str>,
    /// In MB, over the loopback and over the slow line.
    pub(super) sizes: [&'a [u64]; 2],
    pub(super) rounds: [usize; 2],
}

/// Of one push.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    seconds: f64,
    bytes: f64,
    cpu: f64,
    /// In KB.
    memory: f64,
}

/// A contender's pushes in one round, one for each change.
type Pushes = Vec<Figures>;

/// Measures, and gives the tables.
///
/// # Errors
/// A host that does not start, a program that fails, or one that says it is done and is not.
pub(super) fn measure(plan: &Plan) -> Result<String, Problem> {
    let contenders = contenders(plan.toolbox, plan.relay, plan.own)?;
    let largest = plan.sizes.iter().flat_map(|sizes| sizes.iter()).max().copied().unwrap_or_default();
    // An old engine unpacks what it loads beside what it has.
    let host = Host::with_disk(&format!("{}m", largest * 6 + 1024))?;
    let lines = [Line::to(host.id(), LOOPBACK, 0)?, Line::to(host.id(), SLOW, 1)?];
    prepare(&host, &lines.each_ref().map(|line| line.address.as_str()))?;
    let mut text = String::new();
    for (((shape, line), sizes), rounds) in [LOOPBACK, SLOW].iter().zip(&lines).zip(plan.sizes).zip(plan.rounds) {
        for size in sizes {
            let images = Images::build(size * 1_000_000)?;
            let stage = Stage { host: &host, line, shape: *shape, images: &images };
            let rounds = stage.rounds(&contenders, rounds)?;
            let _ = writeln!(text, "{size} MB over {}\n\n{}", shape.name, table(&contenders, &rounds));
        }
    }
    Ok(text)
}

/// Where pushes happen.
struct Stage<'a> {
    host: &'a Host,
    line: &'a Line,
    shape: Shape,
    images: &'a Images,
}

impl Stage<'_> {
    fn rounds(&self, contenders: &[Contender], count: usize) -> Result<Vec<Vec<Pushes>>, Problem> {
        let mut rounds: Vec<Vec<Pushes>> = contenders.iter().map(|_| Vec::new()).collect();
        for round in 0..count {
            for turn in 0..contenders.len() {
                let which = (round + turn) % contenders.len();
                eprintln!("{}, round {} of {count}: {}", self.shape.name, round + 1, contenders[which].name);
                rounds[which].push(self.pushes(&contenders[which])?);
            }
        }
        Ok(rounds)
    }

    fn pushes(&self, contender: &Contender) -> Result<Pushes, Problem> {
        clear(self.host)?;
        let mut pushes = Pushes::new();
        for change in Change::ALL {
            // What sends everything each time takes the time of the first push each time: a slow line shows it once.
            let known = pushes.first().filter(|_| contender.whole && self.shape != LOOPBACK).copied();
            pushes.push(match known {
                Some(first) => first,
                None => self.push(contender, change)?,
            });
        }
        Ok(pushes)
    }

    fn push(&self, contender: &Contender, change: Change) -> Result<Figures, Problem> {
        self.images.make_current(change)?;
        let words = contender.words(self.shape, self.line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let directory = self.host.directory();
        let mut watch = self.line.command(std::env::current_exe()?);
        let path = std::env::var("PATH").unwrap_or_default();
        watch.current_dir(directory).env("PATH", format!("{}/bin:{path}", directory.display()));
        let before = self.line.traffic()?;
        let cost = cost(watch, directory, &words)?;
        let bytes = (self.line.traffic()? - before) as f64;
        self.check(contender)?;
        Ok(Figures { seconds: cost.seconds, bytes, cpu: cost.cpu, memory: cost.memory })
    }

    /// The host has what this machine has under the image's name.
    fn check(&self, contender: &Contender) -> Result<(), Problem> {
        let layers = ["image", "inspect", "--format", "{{json .RootFS.Layers}}", IMAGE];
        let (here, there) = (output(Command::new("docker").args(layers))?, self.host.docker(&layers)?);
        if here == there {
            return Ok(());
        }
        Err(format!("{} did not bring the image there: {here} {there}", contender.name).into())
    }
}

fn table(contenders: &[Contender], rounds: &[Vec<Pushes>]) -> String {
    let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    for (at, change) in Change::ALL.iter().enumerate() {
        row(&mut text, &format!("{}, s", change.name()), rounds, |_, own| {
            format!("{:.2}", median(own.iter().map(|f| f[at].seconds)))
        });
        row(&mut text, "times the toolbox's", rounds, |ours, own| {
            format!("{:.2}", median(own.iter().zip(ours).map(|(own, ours)| own[at].seconds / ours[at].seconds)))
        });
        row(&mut text, "MB over the network", rounds, |_, own| {
            format!("{:.2}", median(own.iter().map(|f| f[at].bytes / 1e6)))
        });
        row(&mut text, "CPU s", rounds, |_, own| format!("{:.2}", median(own.iter().map(|f| f[at].cpu))));
        row(&mut text, "largest process, MB", rounds, |_, own| {
            format!("{:.0}", median(own.iter().map(|f| f[at].memory * 1.024e-3)))
        });
    }
    text
}

/// A row with a cell for each contender, made from the toolbox's rounds and its own.
fn row(text: &mut String, name: &str, rounds: &[Vec<Pushes>], cell: impl Fn(&[Pushes], &[Pushes]) -> String) {
    let cells: Vec<String> = rounds.iter().map(|own| cell(&rounds[0], own)).collect();
    let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_medians_and_the_median_of_the_rounds_ratios() {
        let push = |seconds| vec![Figures { seconds, bytes: 2e6, cpu: 0.5, memory: 1e6 }; Change::ALL.len()];
        let (ours, theirs) = (vec![push(1.0), push(1.0), push(9.0)], vec![push(3.0), push(3.0), push(9.0)]);
        let text = table(&[Contender::named("toolbox"), Contender::named("other")], &[ours, theirs]);
        assert!(text.starts_with("| | toolbox | other |\n|---|---:|---:|\n"), "{text}");
        assert!(text.contains("| first push, s | 1.00 | 3.00 |\n| times the toolbox's | 1.00 | 3.00 |\n"), "{text}");
        assert!(text.ends_with("| CPU s | 0.50 | 0.50 |\n| largest process, MB | 1024 | 1024 |\n"), "{text}");
    }
}
