//! Arguments, as clap reads them. Compose's and Ansible's words where they have one.

use std::ffi::OsString;
use std::path::PathBuf;

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
    /// Show the project's containers on the hosts
    Status(Status),
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
    /// Hosts, in Ansible's YAML inventory format [default: inventory.yaml in the project directory]
    #[arg(long, short, global = true, value_name = "FILE", env = "TOOLBOX_INVENTORY")]
    pub(super) inventory: Option<PathBuf>,
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
    /// known_hosts files, separated by colons
    #[arg(long, global = true, value_name = "FILES", env = "TOOLBOX_KNOWN_HOSTS")]
    pub(super) known_hosts: Option<String>,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    #[command(flatten)]
    pub(super) images: Images,
    /// Seconds that a service may take to become healthy
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout: u64,
    /// Hosts worked on at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(super) parallel: u16,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(super) struct Plan {
    #[command(flatten)]
    pub(super) images: Images,
    /// Form of the plan
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
    /// Exit with 2 where there are changes
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
}

/// Where images come from.
#[derive(Debug, Args)]
pub(super) struct Images {
    /// Take images from this `docker save` tarball and not from the local engine
    #[arg(long, value_name = "FILE")]
    pub(super) images: Option<PathBuf>,
    /// The local engine's socket
    #[arg(long, value_name = "PATH", default_value = "/var/run/docker.sock", env = "TOOLBOX_LOCAL_SOCKET")]
    pub(super) local_socket: PathBuf,
    /// Where images are spooled; nothing stays there
    #[arg(long, value_name = "DIR", env = "TOOLBOX_CACHE")]
    pub(super) cache: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Form of the answer
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
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
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
