//! What `ssh-agent`'s options mean, whoever has read them: [`getopt`](super::getopt) or clap.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use thiserror::Error;

use crate::agent::{FingerprintHash, Settings};

use super::lifetime;

/// The options as they were typed.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    /// Listen on this path [default: a fresh directory in $TMPDIR or /tmp]
    #[arg(short = 'a', value_name = "BIND_ADDRESS")]
    pub(super) address: Option<PathBuf>,
    /// Print commands for csh [default: where $SHELL ends so]
    #[arg(short = 'c', conflicts_with = "sh")]
    pub(super) csh: bool,
    /// Print commands for sh
    #[arg(short = 's')]
    pub(super) sh: bool,
    /// Stay in the foreground and log what kinds of requests come
    #[arg(short = 'd', conflicts_with = "foreground")]
    pub(super) debug: bool,
    /// Stay in the foreground
    #[arg(short = 'D')]
    pub(super) foreground: bool,
    /// End the agent that SSH_AGENT_PID names
    #[arg(short = 'k')]
    pub(super) kill: bool,
    /// Keep keys so long unless `add` says otherwise: 90, 30m, 1h30m, 2d [default: for ever]
    #[arg(short = 't', value_name = "LIFE")]
    pub(super) life: Option<String>,
    /// Digest of fingerprints in questions: md5, sha1, sha256, sha384, sha512 [default: sha256]
    #[arg(short = 'E', value_name = "HASH")]
    pub(super) hash: Option<String>,
    /// no-restrict-websafe, allow-remote-pkcs11 or websafe-allow=PATTERNS
    #[arg(short = 'O', value_name = "OPTION")]
    pub(super) option: Vec<String>,
    /// Libraries that FIDO keys and tokens may name [default: /usr/lib*/*,/usr/local/lib*/*]
    #[arg(short = 'P', value_name = "PATTERNS")]
    pub(super) providers: Vec<String>,
    /// Private key file to start with, or - for standard input [default: TOOLBOX_SSH_KEY, TOOLBOX_SSH_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub(super) key: Vec<String>,
    /// Leave the agent of SSH_AUTH_SOCK alone, whose keys are listed and used behind this one's otherwise
    #[arg(long)]
    pub(super) no_upstream: bool,
    /// Run this with SSH_AUTH_SOCK set; the agent ends with it
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// Why options mean nothing.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum OptionError {
    /// A letter that is none.
    #[error("unknown option -- {0}")]
    Unknown(String),
    /// An option without its value.
    #[error("option requires an argument -- {0}")]
    NoValue(char),
    /// Options that exclude each other.
    #[error("{0}")]
    Conflict(&'static str),
    /// `-t`
    #[error("Invalid lifetime")]
    Lifetime,
    /// `-E`
    #[error("Invalid hash algorithm \"{0}\"")]
    Hash(String),
    /// `-O`
    #[error("Unknown -O option")]
    Option,
    /// `-O websafe-allow` twice.
    #[error("websafe-allow already set")]
    WebsafeAllowTwice,
    /// `-P` twice.
    #[error("-P option already specified")]
    ProvidersTwice,
}

impl OptionError {
    /// Whether ssh-agent prints its usage then, and ends with 1; the others end it with 255.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::NoValue(_) | Self::Conflict(_) | Self::Lifetime)
    }
}

/// The shell that reads what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shell {
    Sh,
    Csh,
}

/// Where the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// In a process of its own; this one prints, or becomes the command.
    Background,
    /// In this process.
    Foreground {
        /// Whether requests are logged.
        debug: bool,
    },
    /// Nowhere: one is to be ended.
    Kill,
}

/// The options, understood.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) address: Option<PathBuf>,
    pub(super) shell: Shell,
    pub(super) mode: Mode,
    pub(super) settings: Settings,
    pub(super) keys: Vec<String>,
    /// Whether the agent of `SSH_AUTH_SOCK` is put behind this one.
    pub(super) upstream: bool,
    pub(super) command: Vec<OsString>,
}

impl Typed {
    /// What was meant; `shell` is `$SHELL`.
    ///
    /// # Errors
    /// [`OptionError`].
    pub(super) fn understood(self, shell: Option<&OsStr>) -> Result<Options, OptionError> {
        self.refuse_conflicts()?;
        let named_csh = shell.is_some_and(|shell| shell.as_encoded_bytes().ends_with(b"csh"));
        let csh = self.csh || !self.sh && named_csh;
        Ok(Options {
            shell: if csh { Shell::Csh } else { Shell::Sh },
            mode: self.mode(),
            settings: self.settings()?,
            address: self.address,
            keys: self.key,
            upstream: !self.no_upstream,
            command: self.command,
        })
    }

    fn refuse_conflicts(&self) -> Result<(), OptionError> {
        if self.csh && self.sh {
            return Err(OptionError::Conflict("-c and -s exclude each other"));
        }
        if self.debug && self.foreground {
            return Err(OptionError::Conflict("-d and -D exclude each other"));
        }
        if !self.command.is_empty() && (self.csh || self.sh || self.debug || self.foreground || self.kill) {
            return Err(OptionError::Conflict("a command and -c, -s, -d, -D and -k exclude each other"));
        }
        Ok(())
    }

    fn mode(&self) -> Mode {
        match self {
            Self { kill: true, .. } => Mode::Kill,
            Self { debug, foreground, .. } if *debug || *foreground => Mode::Foreground { debug: *debug },
            _ => Mode::Background,
        }
    }

    fn settings(&self) -> Result<Settings, OptionError> {
        let mut settings = Settings::default();
        if let Some(life) = &self.life {
            let seconds = lifetime::seconds(life).ok_or(OptionError::Lifetime)?;
            // None is for ever, and so is 0 for ssh-agent.
            settings.default_lifetime = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        }
        if let Some(hash) = &self.hash {
            settings.fingerprint_hash = fingerprint_hash(hash).ok_or_else(|| OptionError::Hash(hash.clone()))?;
        }
        match self.providers.as_slice() {
            [] => {}
            [patterns] => settings.allowed_providers.clone_from(patterns),
            _ => return Err(OptionError::ProvidersTwice),
        }
        let mut websafe = None;
        for option in &self.option {
            match option.split_once('=') {
                None if option == "no-restrict-websafe" => settings.restrict_websafe = false,
                None if option == "allow-remote-pkcs11" => settings.allow_remote_providers = true,
                Some(("websafe-allow", _)) if websafe.is_some() => return Err(OptionError::WebsafeAllowTwice),
                Some(("websafe-allow", patterns)) => websafe = Some(patterns),
                _ => return Err(OptionError::Option),
            }
        }
        if let Some(patterns) = websafe {
            patterns.clone_into(&mut settings.websafe_allow);
        }
        Ok(settings)
    }
}

/// A digest by the name that OpenSSH gives it, in any case.
pub(super) fn fingerprint_hash(name: &str) -> Option<FingerprintHash> {
    match name.to_ascii_lowercase().as_str() {
        "md5" => Some(FingerprintHash::Md5),
        "sha1" => Some(FingerprintHash::Sha1),
        "sha256" => Some(FingerprintHash::Sha256),
        "sha384" => Some(FingerprintHash::Sha384),
        "sha512" => Some(FingerprintHash::Sha512),
        _ => None,
    }
}
