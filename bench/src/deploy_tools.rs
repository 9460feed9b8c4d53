//! Four ways to bring two services to a host, each as the shell script that a person would write for it.
//!
//! Whoever has to send whole images knows beforehand which one has changed, and sends nothing where none has: knowing it
//! is free for them here. Ansible keeps its connection and pipelines, and does not wait for health; the others do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::agent::Problem;
use crate::deploy_host::Host;

/// The images of the two services.
pub(crate) const IMAGES: [&str; 2] = ["toolbox-bench/web:1", "toolbox-bench/api:1"];

/// A way to deploy.
pub(crate) struct Tool {
    /// As the table calls it.
    pub(crate) name: &'static str,
    script: String,
}

impl Tool {
    #[cfg(test)]
    pub(crate) fn named(name: &'static str) -> Self {
        Self { name, script: String::new() }
    }

    /// The command that brings the services to the host, of whose images `changed` have changed.
    pub(crate) fn command(&self, host: &Host, changed: &[&str]) -> Command {
        let mut command = host.shell(&self.script);
        surround(host, &mut command);
        command.env("CHANGED", changed.join(" "));
        command
    }
}

/// Lets a command find what [`write_project`] has written.
pub(crate) fn surround(host: &Host, command: &mut Command) {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}/bin:{path}", host.directory().display())).env("ANSIBLE_CONFIG", "ansible.cfg");
}

/// Those that this machine has, ours first; the others are named on standard error.
pub(crate) fn tools(toolbox: &Path, relay: &Path) -> Result<Vec<Tool>, Problem> {
    let (toolbox, relay) = (fs::canonicalize(toolbox)?, fs::canonicalize(relay)?);
    let ours = format!("TOOLBOX_RELAY={} {} --key key deploy", relay.display(), toolbox.display());
    let mut tools = vec![Tool { name: "toolbox", script: ours }];
    if answers("docker compose version") {
        tools.push(Tool { name: "Compose over ssh", script: format!("{SAVE}\nDOCKER_HOST=ssh://root@127.0.0.1 {UP}") });
        tools.push(Tool { name: "save, load, Compose there", script: format!("{SAVE}\n{}", up_there()) });
    } else {
        eprintln!("not measured: Docker Compose, since `docker compose` (version 2) is not here");
    }
    if answers(
        "ansible-playbook --version && /usr/bin/python3 -c 'import docker, ansible_collections.community.docker'",
    ) {
        tools.push(Tool { name: "Ansible", script: ANSIBLE.into() });
    } else {
        eprintln!("not measured: Ansible, since ansible-playbook, community.docker or python3-docker is not here");
    }
    Ok(tools)
}

fn answers(script: &str) -> bool {
    Command::new("sh").args(["-c", script]).output().is_ok_and(|run| run.status.success())
}

const SAVE: &str = "[ -z \"$CHANGED\" ] || docker save $CHANGED | ssh root@127.0.0.1 docker load";
const UP: &str = "docker compose up --detach --wait";
const ANSIBLE: &str = "[ -z \"$CHANGED\" ] || docker save --output images.tar $CHANGED\n\
                       ansible-playbook --inventory hosts.ini playbook.yaml";

/// The plug-in may lie where only this user's settings say.
fn up_there() -> String {
    let settings = std::env::var("DOCKER_CONFIG").map(|path| format!("DOCKER_CONFIG={path} ")).unwrap_or_default();
    format!("ssh root@127.0.0.1 '{settings}docker compose --file - up --detach --wait' <compose.yaml")
}

/// Writes what the programs read.
pub(crate) fn write_project(directory: &Path) -> Result<(), Problem> {
    let here = directory.display();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text);
    write("compose.yaml", &compose())?;
    write(
        "inventory.yaml",
        "all:\n  hosts:\n    vm:\n      ansible_host: 127.0.0.1\n      ansible_port: 22\n      ansible_user: root\n",
    )?;
    write("hosts.ini", "vm ansible_host=127.0.0.1 ansible_user=root ansible_python_interpreter=/usr/bin/python3\n")?;
    write("playbook.yaml", &playbook(directory))?;
    write(
        "ansible.cfg",
        &format!(
            "[defaults]\nlocal_tmp = {here}/ansible\n[ssh_connection]\npipelining = True\n\
             control_path_dir = {here}/control\n"
        ),
    )?;
    // Docker and Ansible start whatever is called ssh; root's own settings shall have no say.
    let settings = format!("-F none -i {here}/key -o IdentitiesOnly=yes -o UserKnownHostsFile={here}/known_hosts");
    fs::create_dir(directory.join("bin"))?;
    write("bin/ssh", &format!("#!/bin/sh\nexec /usr/bin/ssh {settings} \"$@\"\n"))?;
    Ok(fs::set_permissions(directory.join("bin/ssh"), fs::Permissions::from_mode(0o755))?)
}

fn compose() -> String {
    let service = |name: &str, image: &str, port: u16| {
        format!(
            "  {name}:\n    image: {image}\n    ports: [\"{port}:8080\"]\n    environment: {{GREETING: hello}}\n    \
             restart: unless-stopped\n    healthcheck: {{test: [CMD, /service, health], interval: 500ms}}\n"
        )
    };
    format!("name: bench\nservices:\n{}{}", service("web", IMAGES[0], 8080), service("api", IMAGES[1], 8081))
}

/// The same in Ansible's words.
fn playbook(directory: &Path) -> String {
    let there = format!("{}/disk/images.tar", directory.display());
    let service = |name: &str, image: &str, port: u16| {
        format!(
            "    - community.docker.docker_container:\n        name: bench-{name}-1\n        image: {image}\n        \
             published_ports: [\"{port}:8080\"]\n        env: {{GREETING: hello}}\n        networks: [{{name: \
             bench_default, aliases: [{name}]}}]\n        restart_policy: unless-stopped\n        healthcheck: {{test: \
             [CMD, /service, health], interval: 500ms}}\n"
        )
    };
    format!(
        "- hosts: \"{{{{ target | default('vm') }}}}\"\n  gather_facts: false\n  tasks:\n    - ansible.builtin.copy:\n        src: images.tar\n        \
         dest: {there}\n      register: archive\n    - community.docker.docker_image_load:\n        path: {there}\n      \
         when: archive.changed\n    - community.docker.docker_network:\n        name: bench_default\n{}{}",
        service("web", IMAGES[0], 8080),
        service("api", IMAGES[1], 8081)
    )
}
