//! The project and the hosts that the arguments name; everything wrong with them is shown at once.

use std::collections::BTreeMap;

use crate::bootstrap::Become;
use crate::compose::{self, LoadRequest, Project};
use crate::inventory::{Host, Inventory, Password};
use crate::ssh::Target;
use crate::ui::Ui;

use super::args::Common;
use super::failure::{Failure, Failures};
use super::keys::Named;
use super::placement::place;
use super::ways::Ways;

/// What the engine's socket is called where an inventory does not say.
const SOCKET: &str = "/var/run/docker.sock";

/// A project and where it goes.
pub(super) struct Context {
    /// The project; where its files do not load, its name alone.
    pub(super) project: Project,
    /// Why they do not, where a verb goes on without them.
    unloaded: Vec<Failure>,
    /// The chosen hosts, sorted by name.
    pub(super) hosts: Vec<Host>,
    /// What of the project belongs on each chosen host, by the host's name.
    pub(super) placed: BTreeMap<String, Project>,
    inventory: Inventory,
    /// How they are reached.
    pub(super) ways: Ways,
    /// The keys that the inventory and ssh_config name.
    named: Named,
    /// For hosts of which the inventory has none.
    become_password: Option<Password>,
}

impl Context {
    /// Reads the compose file and the inventory.
    ///
    /// # Errors
    /// Everything that is wrong with either, before any host is asked anything.
    pub(super) fn load(common: &Common) -> Result<Self, Failures> {
        Self::with(common, project(common), hosts(common))
    }

    /// The same for a verb that needs no more of the project than its name, and so goes on where the files do not load.
    ///
    /// # Errors
    /// Everything that is wrong, where the name is not known or the inventory is wrong too.
    pub(super) fn load_or_name(common: &Common) -> Result<Self, Failures> {
        let (project, hosts) = (project(common), hosts(common));
        let (unloaded, name) = match (&hosts, project) {
            (Ok(_), Err(unloaded)) => (unloaded, compose::outlined_name(&request(common))),
            (_, project) => return Self::with(common, project, hosts),
        };
        let Some(name) = name else {
            let hint = "or name the project, which is enough here: --project-name NAME";
            let unnamed = Failure::text("what the project is called is not known".into(), Some(hint.into()));
            return Err(Failures::configuration(unloaded.into_iter().chain([unnamed]).collect()));
        };
        let project = Project::empty(&name, common.project_directory.clone());
        Ok(Self { unloaded, ..Self::with(common, Ok(project), hosts)? })
    }

    fn with(
        common: &Common,
        project: Result<Project, Vec<Failure>>,
        hosts: Result<(Vec<Host>, Inventory), Vec<Failure>>,
    ) -> Result<Self, Failures> {
        match (project, hosts) {
            (Ok(project), Ok((hosts, inventory))) => {
                let ways = Ways::read(common, &hosts, &inventory).map_err(Failures::configuration)?;
                let placed = place(&project, &inventory, &hosts).map_err(Failures::configuration)?;
                let (unloaded, named, become_password) = Default::default();
                Ok(Self { project, unloaded, hosts, placed, inventory, ways, named, become_password })
            }
            (project, hosts) => {
                let lists = [project.err().unwrap_or_default(), hosts.err().unwrap_or_default()];
                Err(Failures::configuration(lists.into_iter().flatten().collect()))
            }
        }
    }

    /// Reads the inventory alone: the project is empty.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn of_hosts(common: &Common) -> Result<Self, Failures> {
        let (hosts, inventory) = hosts(common).map_err(Failures::configuration)?;
        let ways = Ways::read(common, &hosts, &inventory).map_err(Failures::configuration)?;
        let project = Project::empty("", common.project_directory.clone());
        Ok(Self {
            project,
            unloaded: Vec::new(),
            hosts,
            placed: BTreeMap::new(),
            inventory,
            ways,
            named: Named::default(),
            become_password: None,
        })
    }

    /// Says what in the files is right and may not be meant.
    pub(super) fn warn(&self, ui: &Ui) {
        self.project
            .warnings
            .iter()
            .chain(&self.inventory.warnings)
            .for_each(|warning| ui.say(&format!("warning: {warning}")));
    }

    /// Says what keeps the files from being loaded, where they are gone on without.
    pub(super) fn tell_unloaded(&self, ui: &Ui) {
        if self.is_named_only() {
            self.unloaded.iter().for_each(|reason| ui.say(&format!("warning: {reason}")));
            let name = &self.project.name;
            ui.say(&format!("warning: the compose file does not load; this goes by what the hosts keep of {name}"));
        }
    }

    /// Nothing but its name is known of the project.
    pub(super) fn is_named_only(&self) -> bool {
        !self.unloaded.is_empty()
    }

    /// Takes in which keys are offered first.
    pub(super) fn name_keys(&mut self, named: Named) {
        self.named = named;
    }

    /// Takes in the password that makes logins root where the inventory names none.
    pub(super) fn become_by(&mut self, password: Option<Password>) {
        self.become_password = password;
    }

    /// Where to log in on a host, and as whom.
    pub(super) fn target(&self, host: &Host) -> Target {
        self.ways.target(host, &self.named)
    }

    /// The groups that a host is in but `all`, by name.
    pub(super) fn groups(&self, host: &str) -> Vec<String> {
        let holds = self.inventory.groups.iter().filter(|(name, hosts)| *name != "all" && hosts.contains(host));
        let mut names: Vec<String> = holds.map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// The engine's socket on a host, and how its login becomes root.
    pub(super) fn engine<'a>(&self, host: &'a Host) -> (&'a str, Become) {
        let password = host.become_password.as_ref().or(self.become_password.as_ref());
        let given = Become { method: host.become_method, password: password.cloned() };
        (host.socket.as_deref().unwrap_or(SOCKET), given)
    }

    /// Each image that the project uses, with one service that uses it.
    pub(super) fn images(&self) -> BTreeMap<String, String> {
        self.project.services.values().rev().map(|s| (s.image.clone(), s.name.clone())).collect()
    }
}

fn project(common: &Common) -> Result<Project, Vec<Failure>> {
    compose::load(&request(common)).map_err(|problems| problems.0.iter().map(problem).collect())
}

fn request(common: &Common) -> LoadRequest {
    LoadRequest {
        files: common.file.clone(),
        working_dir: common.project_directory.clone(),
        env_files: common.env_file.clone(),
        project_name: common.project_name.clone(),
        profiles: common.profile.iter().cloned().collect(),
        // What is not UTF-8 cannot stand in a compose file.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    }
}

pub(super) fn problem(problem: &crate::yaml::Problem) -> Failure {
    let bare = crate::yaml::Problem { hint: None, ..problem.clone() };
    Failure::text(bare.to_string(), problem.hint.clone())
}

/// The chosen hosts, and the inventory that services are placed by.
fn hosts(common: &Common) -> Result<(Vec<Host>, Inventory), Vec<Failure>> {
    let inventory = inventory(common)?;
    let mut hosts: Vec<Host> = match common.host.is_empty() {
        true => inventory.hosts.values().cloned().collect(),
        false => named(&common.host, &inventory)?.into_values().collect(),
    };
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    if !common.limit.is_empty() {
        let selected = inventory.select(&common.limit).map_err(|e| vec![Failure::of(&e, None)])?;
        hosts.retain(|h| selected.iter().any(|s| s.name == h.name));
    }
    Ok((some_hosts(hosts)?, inventory))
}

fn some_hosts(hosts: Vec<Host>) -> Result<Vec<Host>, Vec<Failure>> {
    if hosts.is_empty() {
        let hint = "name one with --host user@address, or write it into inventory.yaml";
        return Err(vec![Failure::text("there is no host to work on".into(), Some(hint.into()))]);
    }
    Ok(hosts)
}

/// What the inventory is called in the project directory; the first that there is counts.
const INVENTORIES: [&str; 4] = ["inventory.yaml", "inventory.yml", "inventory.ini", "inventory"];

/// The inventory; none is needed where every host is given by its address.
fn inventory(common: &Common) -> Result<Inventory, Vec<Failure>> {
    let directory = &common.project_directory;
    let sources = match common.inventory.is_empty() {
        false => common.inventory.clone(),
        true => {
            let found = INVENTORIES.iter().map(|name| directory.join(name)).find(|path| path.exists());
            if found.is_none() && !common.host.is_empty() {
                return Ok(Inventory::default());
            }
            vec![found.unwrap_or_else(|| directory.join(INVENTORIES[0]))]
        }
    };
    let loaded = Inventory::load(&sources, Some(directory));
    loaded.map_err(|problems| problems.0.iter().map(problem).collect())
}

fn named(specs: &[String], inventory: &Inventory) -> Result<BTreeMap<String, Host>, Vec<Failure>> {
    let mut hosts = BTreeMap::new();
    for spec in specs {
        let host = match inventory.hosts.get(spec) {
            Some(host) => host.clone(),
            None => single(spec)?,
        };
        hosts.insert(host.name.clone(), host);
    }
    Ok(hosts)
}

fn single(spec: &str) -> Result<Host, Vec<Failure>> {
    let hint = "give a host of the inventory, or user@address[:port]";
    let parsed = Inventory::single(spec).map_err(|e| vec![Failure::of(&e, Some(hint.into()))])?;
    Ok(parsed.hosts.into_values().next().unwrap_or_else(|| unreachable!("Inventory::single gives one host")))
}
