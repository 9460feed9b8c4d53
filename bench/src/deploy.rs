//! Deploys to one host in four ways: how long they take, and what goes over the network.
//!
//! Each round clears the host for each program and lets it deploy two services, deploy again without a change, and
//! again after the upper layer of one image has changed. The programs take turns; who begins changes every round.

use std::fmt::Write as _;
use std::fs;
use std::time::Instant;

use crate::Run;
use crate::agent::Problem;
use crate::deploy_host::{Host, output};
use crate::deploy_images::Images;
use crate::deploy_tools::{IMAGES, Tool, tools, write_project};
use crate::figures::median;

const SITUATIONS: [&str; 3] = ["first deploy", "no change", "one service changed"];

/// Seconds, and bytes.
type Figures = [(f64, f64); SITUATIONS.len()];

/// Measures, and gives the table.
///
/// # Errors
/// A host that does not start, a program that fails, or one that says it is done and is not.
pub(crate) fn measure(run: &Run) -> Result<String, Problem> {
    let tools = tools(&run.toolbox, &run.relay)?;
    let images = Images::new(&run.toolbox)?;
    let host = Host::start()?;
    write_project(host.directory())?;
    IMAGES.iter().try_for_each(|image| images.build(image))?;
    let mut rounds: Vec<Vec<Figures>> = tools.iter().map(|_| Vec::new()).collect();
    for round in 0..run.rounds {
        for turn in 0..tools.len() {
            let which = (round + turn) % tools.len();
            eprintln!("round {} of {}: {}", round + 1, run.rounds, tools[which].name);
            rounds[which].push(one(&host, &images, &tools[which])?);
        }
    }
    Ok(table(&tools, &rounds))
}

fn one(host: &Host, images: &Images, tool: &Tool) -> Result<Figures, Problem> {
    host.clear()?;
    let _ = fs::remove_file(host.directory().join("disk/images.tar"));
    let first = timed(host, tool, &IMAGES)?;
    let before = host.docker(&["ps", "--quiet", "--no-trunc"])?;
    let unchanged = timed(host, tool, &[])?;
    if host.docker(&["ps", "--quiet", "--no-trunc"])? != before {
        return Err(format!("{} replaced containers though nothing had changed", tool.name).into());
    }
    images.build(IMAGES[0])?;
    Ok([first, unchanged, timed(host, tool, &IMAGES[..1])?])
}

fn timed(host: &Host, tool: &Tool, changed: &[&str]) -> Result<(f64, f64), Problem> {
    let (bytes, began) = (host.traffic()?, Instant::now());
    output(&mut tool.command(host, changed))?;
    let seconds = began.elapsed().as_secs_f64();
    let bytes = host.traffic()? - bytes;
    IMAGES.iter().try_for_each(|image| check(host, tool, image))?;
    Ok((seconds, bytes as f64))
}

/// A container runs that is made from what this machine holds under the image's name.
fn check(host: &Host, tool: &Tool, image: &str) -> Result<(), Problem> {
    let layers = ["image", "inspect", "--format", "{{json .RootFS.Layers}}", image];
    let (here, there) = (output(std::process::Command::new("docker").args(layers))?, host.docker(&layers)?);
    let running = host.docker(&["ps", "--quiet", "--filter", &format!("ancestor={image}")])?;
    if here == there && running.lines().count() == 1 {
        return Ok(());
    }
    Err(format!("{} did not bring {image} to run: {here} {there} {running:?}", tool.name).into())
}

fn table(tools: &[Tool], rounds: &[Vec<Figures>]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "---:|".repeat(names.len()));
    for (at, situation) in SITUATIONS.iter().enumerate() {
        row(&mut text, &format!("{situation}, s"), rounds, |_, own| format!("{:.2}", median(own.map(|f| f[at].0))));
        row(&mut text, "times the toolbox's", rounds, |ours, own| {
            format!("{:.1}", median(own.zip(ours).map(|(theirs, ours)| theirs[at].0 / ours[at].0)))
        });
        row(&mut text, "KB over the network", rounds, |_, own| kilobytes(median(own.map(|f| f[at].1 / 1e3))));
    }
    text
}

/// With a decimal where one more or less counts.
fn kilobytes(number: f64) -> String {
    if number < 100.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

/// A row with a cell for each program, made from the toolbox's rounds and its own.
fn row(
    text: &mut String,
    name: &str,
    rounds: &[Vec<Figures>],
    cell: impl Fn(&[Figures], std::slice::Iter<'_, Figures>) -> String,
) {
    let cells: Vec<String> = rounds.iter().map(|own| cell(&rounds[0], own.iter())).collect();
    let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_medians_and_the_median_of_the_rounds_ratios() {
        let tool = |name| Tool::named(name);
        let (ours, theirs) = ([(1.0, 1e3); 3], [(3.0, 5e3); 3]);
        let slow = [(9.0, 1e3); 3];
        let text = table(&[tool("toolbox"), tool("other")], &[vec![ours, ours, slow], vec![theirs, theirs, slow]]);
        assert!(text.starts_with("| | toolbox | other |\n|---|---:|---:|\n"), "{text}");
        assert!(text.contains("| no change, s | 1.00 | 3.00 |\n| times the toolbox's | 1.0 | 3.0 |\n"), "{text}");
        assert!(text.ends_with("| KB over the network | 1.0 | 5.0 |\n"), "{text}");
    }
}
