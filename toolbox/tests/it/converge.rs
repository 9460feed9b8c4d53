//! What the tests of faults share: a service behind a relay, a crowd that uses it, and the look at what is left.

use crate::deploy::Setting;
use crate::machine::{Machine, READY};
use crate::swap::{Crowd, web};

/// All containers of a project whose one service `web` has one container behind a relay, as [`everything`] tells them.
fn whole(project: &str) -> [String; 3] {
    ["{}-web-1", "toolbox.{}", "toolbox.{}.web"].map(|form| format!("{} running", form.replace("{}", project)))
}

/// All containers of a project with their states, those too that are no service's.
pub(crate) fn everything(machine: &Machine, project: &str) -> Vec<String> {
    let filter = format!("label=com.docker.compose.project={project}");
    let listed = machine.engine().docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}} {{.State}}"]);
    let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

impl Setting {
    /// A start-first service whose greeting is `0`, not deployed yet.
    pub(crate) fn relayed(test: &str) -> Option<Self> {
        let setting = Self::new(test, &READY)?;
        setting.greets(0);
        Some(setting)
    }

    /// Writes a compose file whose service greets with this number.
    pub(crate) fn greets(&self, greeting: usize) {
        self.project.compose(&web(&self.image.name, 1, greeting));
    }

    /// Checks that nothing is to be done, and that nothing is there that does not belong.
    #[track_caller]
    pub(crate) fn is_whole(&self) {
        self.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
        assert_eq!(everything(&self.machine, &self.project.name), whole(&self.project.name));
    }

    /// What the service's container was told to greet with.
    pub(crate) fn greeting(&self) -> String {
        greeting(&self.machine, &self.project.container("web"))
    }

    /// A crowd that uses the service.
    pub(crate) fn crowd(&self) -> Crowd {
        Crowd::gather(&self.machine, 8080)
    }
}

/// What a container was told to greet with.
pub(crate) fn greeting(machine: &Machine, container: &str) -> String {
    let variables = &machine.engine().container(container)["Config"]["Env"];
    let mut variables = variables.as_array().unwrap().iter().filter_map(|v| v.as_str());
    variables.find_map(|v| v.strip_prefix("GREETING=")).unwrap_or_default().to_owned()
}

impl Crowd {
    /// Ends it; no request may have failed.
    #[track_caller]
    pub(crate) fn noticed_nothing(self) {
        let (well, _, failed) = self.end();
        assert!(failed.starts_with("failed=0 "), "{failed}");
        assert!(well > 10, "{well}");
    }
}
