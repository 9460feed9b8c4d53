//! A copy of the work tree, and commands run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The demo of these tests, apart from a person's own.
const PROJECT: &str = "clock-e2e";
const SSH_PORT: &str = "2322";
const HTTP_PORT: u16 = 8380;

/// A copy of the work tree with a demo of its own.
#[derive(Debug)]
pub struct Checkout {
    root: PathBuf,
}

/// A finished command.
#[derive(Debug)]
pub struct Run {
    /// What was run.
    pub command: String,
    /// The exit status; -1 after a signal.
    pub status: i32,
    /// Standard output and standard error, in that order.
    pub text: String,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// The output, or a panic that shows it.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert_eq!(self.status, 0, "{} ended with {}:\n{}", self.command, self.status, self.text);
        self
    }
}

/// Where screenshots and logs are kept.
pub fn artefacts() -> PathBuf {
    let directory = target().join("e2e");
    fs::create_dir_all(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    directory
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from)
}

impl Checkout {
    /// The checkout of this process; made anew once, after taking away what an earlier process left in it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Checkout> = OnceLock::new();
        SHARED.get_or_init(Self::fresh)
    }

    fn fresh() -> Self {
        let checkout = Self { root: artefacts().join("checkout") };
        if checkout.root.join("run.sh").exists() {
            checkout.run_sh(&["down", "--volumes"]);
        }
        if checkout.root.exists() {
            fs::remove_dir_all(&checkout.root).expect("the earlier checkout can be removed");
        }
        for file in work_tree() {
            let (from, to) = (repository().join(&file), checkout.root.join(&file));
            fs::create_dir_all(to.parent().expect("a file below the root")).expect("a directory");
            fs::copy(&from, &to).unwrap_or_else(|e| panic!("copying {}: {e}", from.display()));
        }
        fs::write(checkout.root.join(".env"), Self::own_settings()).expect("the checkout's .env");
        checkout
    }

    /// What a person would write into `.env` to keep a second demo apart from the first.
    pub fn own_settings() -> String {
        format!("COMPOSE_PROJECT_NAME={PROJECT}\nVM_SSH_PORT={SSH_PORT}\nVM_HTTP_PORT={HTTP_PORT}\n")
    }

    /// The checkout with the demo up; a demo that is up already stays as it is.
    pub fn with_demo() -> &'static Self {
        static UP: OnceLock<()> = OnceLock::new();
        let checkout = Self::shared();
        UP.get_or_init(|| {
            let run = checkout.run_sh(&[]).expect_success();
            println!("{}\n(./run.sh took {:.0} s)", run.text, run.took.as_secs_f64());
        });
        checkout
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The demo's address as a browser on this machine sees it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{HTTP_PORT}{path}")
    }

    /// The Compose project's name.
    pub fn project(&self) -> &'static str {
        PROJECT
    }

    /// Writes a file into it.
    #[track_caller]
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join(name), text).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// Removes a file that [`Checkout::write`] wrote.
    #[track_caller]
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    }

    /// Runs `./run.sh` with these arguments.
    pub fn run_sh(&self, arguments: &[&str]) -> Run {
        self.run_sh_with(arguments, &[])
    }

    /// The same with further variables in the environment.
    pub fn run_sh_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let mut command = Command::new("./run.sh");
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        command.envs(environment.iter().copied());
        run(command)
    }

    /// Runs a command on the demo VM, which must succeed; its output.
    #[track_caller]
    pub fn on_vm(&self, command: &str) -> String {
        self.run_sh(&["ssh", command]).expect_success().text
    }
}

/// Runs `docker` on this machine, which must succeed; its output.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let mut command = Command::new("docker");
    command.args(arguments);
    run(command).expect_success().text
}

fn run(mut command: Command) -> Run {
    let began = Instant::now();
    let shown = format!("{command:?}");
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    Run { command: shown, status: status.code().unwrap_or(-1), text, took: began.elapsed() }
}

/// Every file that git tracks or would, so that a clone would hold it.
fn work_tree() -> Vec<PathBuf> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(repository());
    let listed = run(command).expect_success().text;
    let names = listed.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    names.filter(|name| repository().join(name).is_file()).collect()
}
