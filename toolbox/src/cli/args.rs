//! Arguments, as clap reads them. Compose's and Ansible's words where they have one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Run a compose file's services on hosts that have only sshd.
#[derive(Debug, Parser)]
#[command(name = "toolbox", version, about, max_term_width = 100, after_help = EXIT)]
pub(super) struct Arguments {
    /// Only errors, no steps
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

const EXIT: &str = "Exit status: 0 done or nothing to do; 1 failed and rolled back; 2 usage or configuration, \
    nothing touched; 3 rollback failed, a person is needed; 130 interrupted.";

/// What can be done.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show what has to change on the hosts, and change it
    Deploy(Deploy),
    /// Show what a deploy would change; reads only
    Plan(Plan),
    /// Send images to the hosts: only what each lacks, without a registry
    Push(super::push::Arguments),
    /// Make hosts ready without a project: install Docker, start it, apply the settings that the inventory asks for
    Bootstrap(super::bootstrap::Arguments),
    /// Write the packages of Docker into a file, for hosts without internet: `toolbox deploy --bundle FILE`
    Bundle(super::bundle::Arguments),
    /// List the hosts of the inventory; `hosts check` tests them, `hosts trust` shows and takes in their keys
    Hosts(super::fleet::Arguments),
    /// Show the project's containers on the hosts
    Status(Status),
    /// Bring an earlier release back, with its images, configs and environment; the one before by default
    Rollback(Rollback),
    /// Show the releases that the hosts keep
    Releases(Releases),
    /// Remove what toolbox left on the hosts and nothing uses: shows it first, removes it with --yes
    Prune(Prune),
    /// Show what the services' containers wrote
    Logs(Logs),
    /// Run a command in a running container of a service
    Exec(Exec),
    /// Run a command in a container of its own, made as the service's, and remove it afterwards
    Run(Run),
    /// Stop and start services, in the order of their dependencies
    Restart(Cycle),
    /// Stop services; their containers stay
    Stop(Stop),
    /// Start services that were stopped, in the order of their dependencies
    Start(Start),
    /// Remove the project's containers and networks from the hosts
    Down(Down),
    /// An SSH agent, with ssh-agent's options, and ssh-add's verbs for one that runs
    #[command(disable_help_flag = true)]
    Agent(Agent),
}

/// Which project, which hosts, which key.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Compose files, later ones over earlier ones [default: COMPOSE_FILE; compose.yaml and its kin in the project
    /// directory, with compose.override.yaml]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(super) file: Vec<PathBuf>,
    /// Files of variables [default: .env in the project directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) env_file: Vec<PathBuf>,
    /// Directory of the compose file, .env and inventory.yaml
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    pub(super) project_directory: PathBuf,
    /// Project name [default: COMPOSE_PROJECT_NAME, `name:` in the file, the directory's name]
    #[arg(long, short, global = true, value_name = "NAME")]
    pub(super) project_name: Option<String>,
    /// Also deploy services under this profile [default: COMPOSE_PROFILES]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) profile: Vec<String>,
    /// Ansible inventory: a file (YAML or INI), a directory of them, or hosts with commas (`web1,web2`, `web1,`); may be
    /// repeated, later ones over earlier ones
    /// [default: inventory.yaml, .yml, .ini or inventory in the project directory]
    #[arg(long, short, global = true, value_name = "PATH", env = "TOOLBOX_INVENTORY")]
    pub(super) inventory: Vec<PathBuf>,
    /// A host of the inventory, or user@address[:port] without an inventory
    #[arg(long, global = true, value_name = "HOST")]
    pub(super) host: Vec<String>,
    /// Only these hosts and groups of the inventory (Ansible's patterns)
    #[arg(long, global = true, value_name = "PATTERN")]
    pub(super) limit: Vec<String>,
    /// Private key file, or - for standard input (a line after the key's END line is its passphrase)
    /// [default: TOOLBOX_SSH_KEY, TOOLBOX_SSH_KEY_FILE; then your own agent's, SSH_AUTH_SOCK]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) key: Vec<String>,
    /// Leave your own agent (SSH_AUTH_SOCK) alone
    #[arg(long, global = true)]
    pub(super) no_upstream: bool,
    #[command(flatten)]
    pub(super) ssh: super::ways::SshArguments,
    #[command(flatten)]
    pub(super) rights: super::rights::RightsArguments,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// Only these services, with what they depend on; or one file that `plan --out` wrote, to be carried out as it is
    #[arg(value_name = "SERVICE|PLANFILE")]
    pub(super) what: Vec<String>,
    #[command(flatten)]
    pub(super) images: Images,
    /// Also remove containers of services that are not in the file any more
    #[arg(long)]
    pub(super) remove_orphans: bool,
    #[command(flatten)]
    pub(super) bundle: super::bundle::Given,
    #[command(flatten)]
    pub(super) rollout: Rollout,
}

/// How hosts are changed.
#[derive(Debug, Args)]
pub(super) struct Rollout {
    /// Seconds that a service may take to become healthy
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout: u64,
    /// Hosts worked on at once until every host is ready; then see x-toolbox.batch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(super) parallel: u16,
    /// Hosts that have changed stay changed when another one fails
    #[arg(long)]
    pub(super) keep_changed: bool,
    /// Seconds to wait for another deploy of the project to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(super) lock_wait: u64,
    #[command(flatten)]
    pub(super) reconnect: Reconnect,
}

/// What happens when the line to a host breaks while images go to it.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Reconnect {
    /// Seconds to go on trying when the line to a host breaks while images go to it, 0 for not at all
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    reconnect: u64,
}

impl Reconnect {
    /// How long.
    pub(super) fn limit(self) -> Duration {
        Duration::from_secs(self.reconnect)
    }
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// Only these services, with what they depend on
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
    #[command(flatten)]
    pub(super) images: Images,
    /// Also remove containers of services that are not in the file any more
    #[arg(long)]
    pub(super) remove_orphans: bool,
    /// Form of the plan
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    /// Also write the plan to a file, for `toolbox deploy FILE`
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Exit with 2 where there are changes
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The release, as `toolbox releases` shows it [default: the one before the current one]
    #[arg(value_name = "RELEASE")]
    pub(super) release: Option<String>,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Also remove containers of services that the release does not know
    #[arg(long)]
    pub(super) remove_orphans: bool,
    #[command(flatten)]
    pub(super) rollout: Rollout,
}

/// Arguments of `releases`.
#[derive(Debug, Args)]
pub(super) struct Releases {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Arguments of `prune`.
#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Remove what is listed
    #[arg(long, short)]
    pub(super) yes: bool,
}

/// Where images come from.
#[derive(Debug, Args)]
pub(super) struct Images {
    /// Take images from this file and not from the local engine: a tarball of `docker save` (also gzip, zstd, xz), an
    /// OCI layout (a tarball or a directory), or `-` for standard input; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(super) images: Vec<PathBuf>,
    /// The local engine's socket
    #[arg(long, value_name = "PATH", default_value = "/var/run/docker.sock", env = "TOOLBOX_LOCAL_SOCKET")]
    pub(super) local_socket: PathBuf,
    /// Where images are spooled, of which nothing stays, and where a list of those that were sent is kept
    #[arg(long, value_name = "DIR", env = "TOOLBOX_CACHE")]
    pub(super) cache: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
    /// Go on with what is written from now on, also by containers that start meanwhile
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Compose file [default: compose.yaml and its kin in the project directory]
    // The argument of all verbs without its letter, which is `--follow`'s here, as in Compose.
    #[arg(id = "file", long = "file", value_name = "FILE")]
    _file: Vec<PathBuf>,
    /// Only so many of the last lines of each container, or all
    #[arg(long, short = 'n', value_name = "N", default_value = "all", value_parser = tail)]
    pub(super) tail: Tail,
    /// Only what was written since then: 10m, 2026-11-22T17:00:00Z, or seconds of the Unix epoch
    #[arg(long, value_name = "TIME", value_parser = super::since::since)]
    pub(super) since: Option<String>,
    /// The time before each line
    #[arg(long, short)]
    pub(super) timestamps: bool,
    /// No container's name before each line
    #[arg(long)]
    pub(super) no_prefix: bool,
}

/// How many of a log's last lines; `None` is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail(pub(super) Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        number => number.parse().map(|n| Tail(Some(n))).map_err(|_| "give a number of lines, or all".into()),
    }
}

/// What `exec` and `run` have in common.
#[derive(Debug, Args)]
pub(super) struct Process {
    /// No terminal, although there is one here
    #[arg(long = "no-tty", short = 'T', alias = "no-TTY")]
    pub(super) no_tty: bool,
    /// A variable of the command's environment; without a value it is taken from this environment
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,
    /// User, and optionally group, that the command runs as
    #[arg(long, short, value_name = "USER[:GROUP]")]
    pub(super) user: Option<String>,
    /// Directory in the container that the command starts in
    #[arg(long, short, value_name = "DIR")]
    pub(super) workdir: Option<String>,
}

/// Arguments of `exec`.
#[derive(Debug, Args)]
pub(super) struct Exec {
    #[command(flatten)]
    pub(super) process: Process,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) index: u32,
    /// The service
    pub(super) service: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) process: Process,
    /// Replaces the image's entrypoint; words as in a shell
    #[arg(long, value_name = "COMMAND")]
    pub(super) entrypoint: Option<String>,
    /// Leave the services that it depends on as they are
    #[arg(long)]
    pub(super) no_deps: bool,
    /// Remove the container afterwards, which is always done
    #[arg(long)]
    pub(super) rm: bool,
    /// Seconds that a dependency may take to become healthy
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) wait_timeout: u64,
    /// The service
    pub(super) service: String,
    /// The command and its arguments [default: the service's]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

/// Arguments of `stop`.
#[derive(Debug, Args)]
pub(super) struct Stop {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
    /// Seconds that a container may take to stop [default: its own stop_grace_period]
    #[arg(long, short, value_name = "SECONDS")]
    pub(super) timeout: Option<u64>,
}

/// Arguments of `start`.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,
    /// Seconds that a service may take to become healthy
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) wait_timeout: u64,
}

/// Arguments of `restart`.
#[derive(Debug, Args)]
pub(super) struct Cycle {
    #[command(flatten)]
    pub(super) start: Start,
    /// Seconds that a container may take to stop [default: its own stop_grace_period]
    #[arg(long, short, value_name = "SECONDS")]
    pub(super) timeout: Option<u64>,
}

/// Arguments of `down`.
#[derive(Debug, Args)]
pub(super) struct Down {
    /// Also remove named volumes, with what they hold
    #[arg(long, short)]
    pub(super) volumes: bool,
}

/// Arguments of `agent`, which it reads itself: they are ssh-agent's, and none of the deployer's.
#[derive(Debug, Args)]
pub(super) struct Agent {
    /// See `toolbox agent --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    _arguments: Vec<OsString>,
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
