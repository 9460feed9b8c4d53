//! Compose files and inventories that are wrong: every problem at once, with file, line, column and key; status 2.

use crate::project::Project;

const GOOD: &str = "services:\n  web:\n    image: web\n";

fn project(test: &str) -> Project {
    let project = Project::new(test);
    project.compose(GOOD);
    project.host("root", 1, "");
    project
}

#[test]
fn yaml_that_does_not_parse_is_shown_with_line_and_column() {
    let project = project("yaml");
    project.compose("services:\n  web:\n    image: \"web\n");
    project.toolbox(&["deploy"]).exits(2).error(&["compose.yaml:3:", ": "]);
    project.compose("services:\n  web:\n\timage: web\n");
    project.toolbox(&["plan"]).exits(2).error(&["compose.yaml:3:", "tab"]);
    project.compose(GOOD);
    project.write("inventory.yaml", "all:\n  hosts: [vm\n");
    project.toolbox(&["deploy"]).exits(2).error(&["inventory.yaml:"]);
}

#[test]
fn unknown_compose_key_is_refused_with_its_path_and_the_nearest_one() {
    let project = project("unknown");
    project.compose("services:\n  web:\n    image: web\n    enviroment: {A: b}\n");
    project
        .toolbox(&["deploy"])
        .exits(2)
        .error(&["compose.yaml:4:5: services.web.enviroment: unknown key"])
        .hint(&["environment"]);
}

#[test]
fn all_problems_of_both_files_are_shown_at_once() {
    let project = project("several");
    project.compose("services:\n  web:\n    image: web\n    ports: [\"99999:80\"]\n    restart: sometimes\n");
    project.host("root", 0, "      toolbox_soket: /run/docker.sock\n");
    let run = project.toolbox(&["deploy"]).exits(2);
    assert_eq!(run.errors(), 4, "{}", run.stderr);
    run.error(&["compose.yaml:4:", "services.web.ports[0]", "99999"])
        .error(&["compose.yaml:5:", "services.web.restart", "sometimes"])
        .error(&["inventory.yaml:5:", "ansible_port"])
        .error(&["inventory.yaml:7:", "toolbox_soket", "unknown variable"])
        .hint(&["toolbox_socket"]);
}

#[test]
fn missing_files_and_hosts_are_named_with_what_to_do() {
    let project = Project::new("missing");
    let run = project.toolbox(&["deploy"]).exits(2);
    run.error(&["no compose file here"]).hint(&["--file"]).error(&["inventory.yaml"]);
    project.compose(GOOD);
    project.write("inventory.yaml", "all:\n  hosts: {}\n");
    project.toolbox(&["deploy"]).exits(2).error(&["inventory.yaml: holds no hosts"]).hint(&["[web]"]);
    project.host("root", 22, "");
    project.toolbox(&["deploy", "--limit", "db"]).exits(2).error(&["db"]);
}

#[test]
fn file_that_does_not_load_stops_only_the_verbs_that_carry_it_out() {
    let unset = "services: {web: {image: \"web:${TAG:?set it}\"}}\n";
    let secret = "services: {web: {image: web, secrets: [key]}}\nsecrets: {key: {file: absent}}\n";
    let unknown = "services: {web: {imag: web}}\n";
    for (text, words) in
        [(unset, "TAG"), (secret, "absent"), (unknown, "services.web.imag"), ("", "no compose file here")]
    {
        let project = project("unloaded");
        match text {
            "" => std::fs::remove_file(project.path("compose.yaml")).unwrap(),
            text => project.compose(text),
        }
        let going_on = format!("this goes by what the hosts keep of {}", project.name);
        for verb in ["rollback", "releases", "status", "prune", "logs", "stop", "start", "restart", "down"] {
            let run = project.toolbox(&[verb]);
            let warned = run.stderr.lines().any(|line| line.starts_with("warning: ") && line.contains(words));
            assert!(warned, "{verb}: {}", run.both());
            run.tells(&going_on).error(&["no SSH key was given"]);
        }
        for verb in [&["deploy"][..], &["plan"], &["exec", "web", "--", "true"], &["down", "--volumes"]] {
            let run = project.toolbox(verb).exits(2).error(&[words]);
            assert!(!run.stderr.contains(&going_on), "{verb:?}: {}", run.both());
        }
    }
}
