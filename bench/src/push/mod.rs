//! Pushes of images to one host beside other ways to get them there, and the SSH below them beside OpenSSH's client.

mod contenders;
mod images;
mod pushes;
mod throughput;
pub(crate) mod transfer;
pub(crate) mod watch;

use std::path::PathBuf;

use crate::agent::Problem;

/// What is measured of it, and how often.
pub(crate) struct Options {
    toolbox: PathBuf,
    relay: PathBuf,
    /// Arguments of the toolbox instead of `push $IMAGE`.
    own: Option<String>,
    rounds: usize,
    slow_rounds: usize,
    /// For one transfer of the throughput, in MiB; 0 leaves it out.
    mebibytes: u64,
    /// Of the images, in MB.
    sizes: Vec<u64>,
    slow_sizes: Vec<u64>,
}

impl Options {
    /// Reads `--toolbox PATH --relay PATH --own ARGUMENTS --rounds N --slow-rounds N --mib N --sizes MB,… --slow-sizes
    /// MB,…`.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self {
            toolbox: "target/release/toolbox".into(),
            relay: "target/release/toolbox-relay".into(),
            own: None,
            rounds: 5,
            slow_rounds: 5,
            mebibytes: 1024,
            sizes: vec![20, 300, 1000],
            slow_sizes: vec![20],
        };
        while let Some(option) = arguments.next() {
            let value = arguments.next()?;
            match option.as_str() {
                "--toolbox" => options.toolbox = value.into(),
                "--relay" => options.relay = value.into(),
                "--own" => options.own = Some(value),
                "--rounds" => options.rounds = value.parse().ok().filter(|rounds| *rounds > 0)?,
                "--slow-rounds" => options.slow_rounds = value.parse().ok().filter(|rounds| *rounds > 0)?,
                "--mib" => options.mebibytes = value.parse().ok()?,
                "--sizes" => options.sizes = numbers(&value)?,
                "--slow-sizes" => options.slow_sizes = numbers(&value)?,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Numbers with commas between them; none of nothing.
fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split(',').filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect()
}

/// Measures, and gives the tables.
///
/// # Errors
/// A host that does not start, or a program that fails.
pub(crate) fn measure(options: &Options) -> Result<String, Problem> {
    let mut text = String::new();
    if options.mebibytes > 0 {
        text = throughput::measure(options.rounds, options.mebibytes << 20)?;
    }
    let plan = pushes::Plan {
        toolbox: &options.toolbox,
        relay: &options.relay,
        own: options.own.as_deref(),
        sizes: [&options.sizes, &options.slow_sizes],
        rounds: [options.rounds, options.slow_rounds],
    };
    if plan.sizes.iter().any(|sizes| !sizes.is_empty()) {
        text.push_str(&pushes::measure(&plan)?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Option<Options> {
        Options::parse(arguments.iter().map(ToString::to_string))
    }

    #[test]
    fn sizes_are_lists_and_may_be_empty() {
        let options = parse(&["--sizes", "20,300", "--slow-sizes", "", "--mib", "0"]).unwrap();
        assert_eq!((options.sizes, options.slow_sizes, options.mebibytes), (vec![20, 300], vec![], 0));
        assert!(parse(&["--sizes", "20;300"]).is_none());
        assert!(parse(&["--rounds", "0"]).is_none());
    }
}
