//! Docker's settings on a host: daemon.json(5), compared with what the inventory asks for, and changed.
//!
//! Contract: only keys that the inventory names are changed; every other key keeps its place and its text. What Docker
//! would refuse is refused before (by `dockerd --validate` where it knows it), the text before stays beside as
//! `daemon.json.toolbox-backup`, and comes back where the engine does not start with the new one.

use indexmap::IndexMap;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value as Json, json};

use super::install::{InstallError, Said, run};
use super::{NoRoot, Rights, SystemFacts};
use crate::inventory::EngineSettings;
use crate::ssh::{Connection, quote};

/// Where Docker looks unless told otherwise.
const FILE: &str = "/etc/docker/daemon.json";
const SCRIPT: &str = include_str!("settings.sh");
/// Before each line of the file, so that noisy login scripts do no harm.
const MARK: &str = "toolbox-file ";

/// Why settings cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Reading or writing them.
    #[error(transparent)]
    Script(#[from] InstallError),
    /// Not JSON, or no object.
    #[error("{file} is not what Docker reads: {reason}")]
    NotJson {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A setting stands on the daemon's command line, where Docker takes it from one place only.
    #[error("{flag} stands on dockerd's command line, and Docker does not start when daemon.json has it too")]
    Flag {
        /// The flag.
        flag: &'static str,
    },
    /// Logs that are not files.
    #[error("toolbox_log_rotation needs files, and containers' logs go to {driver} on this host")]
    Driver {
        /// Docker's log driver.
        driver: String,
    },
    /// The login user cannot become root.
    #[error("changing Docker's settings takes root, and user {user} {why}")]
    NoRights {
        /// The login user.
        user: String,
        /// What stands in the way.
        why: NoRoot,
    },
    /// The inventory names another engine.
    #[error("settings are for the host's own Docker, and toolbox_socket names {socket}")]
    OtherEngine {
        /// The socket.
        socket: String,
    },
}

impl SettingsError {
    /// The next step, where there is one to name.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Script(error) => error.hint(),
            Self::NotJson { file, .. } => Some(format!("mend it on the host, or put it aside: mv {file} {file}.old")),
            Self::Flag { flag } => Some(format!(
                "take {flag} out on the host (systemctl cat docker; /etc/default/docker), or leave it there"
            )),
            Self::Driver { .. } => {
                Some("leave toolbox_log_rotation out for this host; its log driver has limits of its own".into())
            }
            Self::NoRights { user, why } => Some(why.hint(user)),
            Self::OtherEngine { .. } => Some(
                "leave toolbox_live_restore, toolbox_log_rotation and toolbox_address_pools out for this host".into(),
            ),
        }
    }
}

/// What is to be changed. Not for showing: the file may hold more than our settings.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub file: String,
    /// What differs, as `live-restore: absent -> true`.
    pub fields: Vec<String>,
    /// The engine has to be started again; else it takes the change in while it runs.
    pub restart: bool,
    before: Option<String>,
    after: String,
}

type Settings = IndexMap<String, Box<RawValue>>;

impl Change {
    /// Compares the host's file with what is wanted; `None` where nothing differs.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub async fn find(
        connection: &Connection,
        facts: &SystemFacts,
        wanted: &EngineSettings,
    ) -> Result<Option<Self>, SettingsError> {
        if wanted.is_empty() {
            return Ok(None);
        }
        if !facts.is_system_socket() {
            return Err(SettingsError::OtherEngine { socket: facts.asked.clone() });
        }
        if let Rights::None(why) = &facts.rights {
            return Err(SettingsError::NoRights { user: facts.user.clone(), why: why.clone() });
        }
        refuse_flags(&facts.arguments, wanted)?;
        let file = argument(&facts.arguments, "--config-file").unwrap_or(FILE);
        let before = read(connection, facts, file).await?;
        Self::between(file, before, wanted, argument(&facts.arguments, "--log-driver"))
    }

    fn between(
        file: &str,
        before: Option<String>,
        wanted: &EngineSettings,
        driver: Option<&str>,
    ) -> Result<Option<Self>, SettingsError> {
        let not_json = |e: serde_json::Error| SettingsError::NotJson { file: file.to_owned(), reason: reason(&e) };
        let text = before.as_deref().filter(|text| !text.trim().is_empty()).unwrap_or("{}");
        let mut settings: Settings = serde_json::from_str(text).map_err(not_json)?;
        let mut edit = Edit { settings: &mut settings, fields: Vec::new(), restart: false };
        edit.all(wanted, driver).map_err(|wrong| match wrong {
            Wrong::Json(error) => not_json(error),
            Wrong::Driver(driver) => SettingsError::Driver { driver },
        })?;
        let (fields, restart) = (edit.fields, edit.restart);
        let after = serde_json::to_string_pretty(&settings).map_err(not_json)?;
        let file = file.to_owned();
        Ok((!fields.is_empty()).then_some(Self { file, fields, restart, before, after }))
    }

    /// Writes the settings, and makes the engine take them in.
    ///
    /// # Errors
    /// [`InstallError`] with the last lines of output.
    pub async fn make(
        &self,
        connection: &Connection,
        facts: &SystemFacts,
        on_line: impl FnMut(Said<'_>) + Send,
    ) -> Result<(), InstallError> {
        run(connection, facts, "changing Docker's settings", &self.script("change"), on_line).await
    }

    /// Puts the earlier settings back and starts the engine with them.
    ///
    /// # Errors
    /// [`InstallError`] with the last lines of output.
    pub async fn undo(
        &self,
        connection: &Connection,
        facts: &SystemFacts,
        on_line: impl FnMut(Said<'_>) + Send,
    ) -> Result<(), InstallError> {
        let undo = Self { restart: true, ..self.clone() };
        run(connection, facts, "putting Docker's earlier settings back", &undo.script("undo"), on_line).await
    }

    fn script(&self, what: &str) -> String {
        let (file, after) = (quote(&self.file), quote(&self.after));
        let existed = if self.before.is_some() { "yes" } else { "no" };
        // As the shell's $(…) gives it.
        let before = quote(self.before.as_deref().unwrap_or_default().trim_end_matches('\n'));
        let how = if self.restart { "restart" } else { "reload" };
        format!("what={what} how={how} existed={existed} file={file}\nbefore={before}\nafter={after}\n{SCRIPT}")
    }
}

/// The file's text; `None` where it is not there.
async fn read(connection: &Connection, facts: &SystemFacts, file: &str) -> Result<Option<String>, InstallError> {
    let path = quote(file);
    let script = format!("[ ! -e {path} ] || {{ echo '{MARK}'; sed 's/^/{MARK}/' {path}; }}\n");
    let mut lines: Vec<String> = Vec::new();
    let keep = |said: Said<'_>| match said {
        Said::Line(line) => lines.extend(line.strip_prefix(MARK).map(str::to_owned)),
        Said::Note(_) => {}
    };
    run(connection, facts, "reading Docker's settings", &script, keep).await?;
    Ok(lines.split_first().map(|(_, text)| text.join("\n")))
}

/// Without what stands there, which may be a secret.
fn reason(error: &serde_json::Error) -> String {
    let what = if error.is_data() { "an object is expected" } else { "it is no JSON" };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

enum Wrong {
    Json(serde_json::Error),
    Driver(String),
}

impl From<serde_json::Error> for Wrong {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// The file on its way to what is wanted.
struct Edit<'a> {
    settings: &'a mut Settings,
    fields: Vec<String>,
    restart: bool,
}

impl Edit<'_> {
    fn all(&mut self, wanted: &EngineSettings, driver: Option<&str>) -> Result<(), Wrong> {
        if let Some(live) = wanted.live_restore {
            // The one that Docker takes in while it runs.
            self.set("live-restore", json!(live))?;
        }
        if let Some(logs) = &wanted.log_rotation {
            self.check_driver(driver)?;
            self.set_log_option("max-size", &logs.max_size)?;
            logs.max_file.map_or(Ok(()), |count| self.set_log_option("max-file", &count.to_string()))?;
        }
        if let Some(pools) = &wanted.address_pools {
            let pools: Vec<Json> = pools.iter().map(|pool| json!({"base": pool.base, "size": pool.size})).collect();
            self.restart |= self.set("default-address-pools", json!(pools))?;
        }
        Ok(())
    }

    /// Only files are rotated.
    fn check_driver(&self, on_command_line: Option<&str>) -> Result<(), Wrong> {
        let written =
            self.settings.get("log-driver").map(|raw| serde_json::from_str::<String>(raw.get())).transpose()?;
        match written.or_else(|| on_command_line.map(str::to_owned)) {
            Some(driver) if driver != "json-file" && driver != "local" => Err(Wrong::Driver(driver)),
            _ => Ok(()),
        }
    }

    /// Whether it differs.
    fn set(&mut self, key: &str, value: Json) -> Result<bool, Wrong> {
        let before: Option<Json> = self.settings.get(key).map(|raw| serde_json::from_str(raw.get())).transpose()?;
        if before.as_ref() == Some(&value) || (before.is_none() && value == json!(false)) {
            return Ok(false);
        }
        self.tell(key, before, &value);
        self.settings.insert(key.to_owned(), to_raw_value(&value)?);
        Ok(true)
    }

    fn set_log_option(&mut self, key: &str, value: &str) -> Result<(), Wrong> {
        let options = self.settings.get("log-opts").map(|raw| serde_json::from_str(raw.get())).transpose()?;
        let mut options: IndexMap<String, Json> = options.unwrap_or_default();
        if options.get(key) == Some(&json!(value)) {
            return Ok(());
        }
        let before = options.insert(key.to_owned(), json!(value));
        self.tell(&format!("log-opts.{key}"), before, &json!(value));
        self.settings.insert("log-opts".to_owned(), to_raw_value(&options)?);
        self.restart = true;
        Ok(())
    }

    fn tell(&mut self, key: &str, before: Option<Json>, after: &Json) {
        let before = before.map_or_else(|| "absent".to_owned(), |value| value.to_string());
        self.fields.push(format!("{key}: {before} -> {after}"));
    }
}

/// The value of an argument, in either form.
fn argument<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(at, argument)| match argument.strip_prefix(name)? {
        "" => arguments.get(at + 1).map(String::as_str),
        rest => rest.strip_prefix('='),
    })
}

fn refuse_flags(arguments: &[String], wanted: &EngineSettings) -> Result<(), SettingsError> {
    let flags = [
        ("--live-restore", wanted.live_restore.is_some()),
        ("--log-opt", wanted.log_rotation.is_some()),
        ("--default-address-pool", wanted.address_pools.is_some()),
    ];
    let given = |flag: &str| {
        let mut rests = arguments.iter().filter_map(|argument| argument.strip_prefix(flag));
        rests.any(|rest| rest.is_empty() || rest.starts_with('='))
    };
    match flags.into_iter().find(|(flag, asked)| *asked && given(flag)) {
        Some((flag, _)) => Err(SettingsError::Flag { flag }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
