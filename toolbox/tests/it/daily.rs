//! The verbs of every day through the real program: logs, exec, restart, stop and start, on a machine of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::deploy::{GREETING, Setting};
use crate::machine::READY;
use crate::pty::AtTerminal;

/// A program whose output is read while it runs.
struct Reading {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Reading {
    fn start(setting: &Setting, arguments: &[&str]) -> Self {
        // A pipe that nobody reads would hold it up.
        let mut child = setting.project.command(arguments, &[]).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.lines.read_line(&mut line).unwrap() > 0, "the output ended");
        line.trim_end().to_owned()
    }

    /// Interrupts it; its exit status and the rest of its output.
    fn interrupted(mut self) -> (Option<i32>, String) {
        interrupt(&self.child, "INT");
        let rest = std::io::read_to_string(&mut self.lines).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn interrupt(child: &Child, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Two services, each with so many lines on both outputs.
fn talkative(setting: &Setting, count: usize) {
    let image = &setting.image.name;
    let service = |name: &str| format!("  {name}:\n    image: {image}\n    command: [lines, {name}, \"{count}\"]\n");
    setting.project.compose(&format!("services:\n{}{}", service("a"), service("bee")));
}

/// How many lines of a service's container the engine has.
fn written(setting: &Setting, service: &str) -> usize {
    let output = setting.machine.engine().command(&["logs", &setting.project.container(service)]).output().unwrap();
    [output.stdout, output.stderr].iter().flatten().filter(|byte| **byte == b'\n').count()
}

#[test]
fn logs_of_all_containers_come_in_whole_lines_each_to_its_own_output() {
    let Some(setting) = Setting::new("logs", &READY) else {
        return;
    };
    talkative(&setting, 300);
    let setting = setting.deployed();
    for name in ["a", "bee"] {
        while written(&setting, name) < 601 {}
    }
    let run = setting.project.toolbox(&["logs"]).exits(0);
    let piece = "x".repeat(500);
    for (output, more) in [(&run.stdout, 1), (&run.stderr, 0)] {
        assert_eq!(output.lines().count(), 2 * (300 + more));
        for (prefix, name) in [("a-1   | ", "a"), ("bee-1 | ", "bee")] {
            let mut lines = output.lines().filter_map(|line| line.strip_prefix(prefix));
            for number in 0..300 {
                assert_eq!(lines.next(), Some(&*format!("{name} {number} {piece} {name} {number}")));
            }
            assert_eq!(lines.next(), (more == 1).then_some("listening"));
        }
    }

    let run = setting.project.toolbox(&["logs", "--tail", "3", "--no-prefix", "a"]).exits(0);
    assert_eq!(run.stdout.lines().count() + run.stderr.lines().count(), 3);
    let run = setting.project.toolbox(&["logs", "--since", "2099-01-01"]).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let run = setting.project.toolbox(&["logs", "--since", "1h", "--timestamps", "-n", "1", "bee"]).exits(0);
    // The last line, from whichever output the engine heard it.
    let line = run.stdout + &run.stderr;
    assert!(line.starts_with("bee-1 | 20") && line.contains("Z ") && line.lines().count() == 1, "{line}");
    setting.project.toolbox(&["logs", "be"]).exits(2).error(&["no service be"]).hint(&["did you mean bee?", "a, bee"]);
}

#[test]
fn host_stands_before_the_container_where_there_are_several() {
    let Some(setting) = Setting::new("hosts", &READY).map(Setting::deployed) else {
        return;
    };
    two_hosts(&setting);
    let run = setting.project.toolbox(&["logs"]).exits(0);
    run.prints("one/web-1 | listening\n").prints("two/web-1 | listening\n");
    let run = setting.project.toolbox(&["exec", "web", "--", "/service", "talk"]).exits(2);
    run.error(&["web is on several hosts: one, two"]).hint(&["toolbox exec --host one"]);
    let run = setting.project.toolbox(&["exec", "--host", "two", "web", "--", "/service", "talk"]).exits(0);
    run.prints("end of input");
}

/// The same machine under two names.
fn two_hosts(setting: &Setting) {
    let host = |name: &str| format!("    {name}:\n      ansible_host: 127.0.0.1\n      ansible_user: root\n");
    setting.project.write("inventory.yaml", &format!("all:\n  hosts:\n{}{}", host("one"), host("two")));
}

#[test]
fn followed_logs_show_each_line_once_over_restarts_and_deploys() {
    let Some(setting) = Setting::new("follow", &READY).map(Setting::deployed) else {
        return;
    };
    let mut logs = Reading::start(&setting, &["logs", "-f", "--no-prefix", "web"]);
    assert_eq!(logs.line(), "listening");
    setting.machine.engine().docker(&["restart", &setting.project.container("web")]);
    assert_eq!(logs.line(), "listening");
    setting.service(GREETING);
    let setting = setting.deployed();
    assert_eq!(logs.line(), "listening");
    setting.project.toolbox(&["stop"]).exits(0);
    setting.project.toolbox(&["start"]).exits(0);
    assert_eq!(logs.line(), "listening");
    assert_eq!(logs.interrupted(), (Some(130), String::new()));

    // One that does not run is followed from its next start on.
    setting.project.toolbox(&["stop"]).exits(0);
    let mut logs = Reading::start(&setting, &["logs", "-f", "--no-prefix"]);
    assert_eq!([logs.line(), logs.line()], ["listening", "listening"]);
    setting.project.toolbox(&["start"]).exits(0);
    assert_eq!(logs.line(), "listening");
    assert_eq!(logs.interrupted(), (Some(130), String::new()));
}

#[test]
fn logs_end_quietly_when_nobody_reads_them() {
    let Some(setting) = Setting::new("head", &READY) else {
        return;
    };
    talkative(&setting, 3000);
    let setting = setting.deployed();
    let mut logs = Reading::start(&setting, &["logs", "--follow"]);
    logs.line();
    let (reader, _) = std::io::pipe().unwrap();
    // The program's end of the pipe has no reader any more.
    drop(std::mem::replace(&mut logs.lines, BufReader::new(ChildStdout::from(std::os::fd::OwnedFd::from(reader)))));
    assert_eq!(logs.child.wait().unwrap().code(), Some(0));
}

#[test]
fn command_in_a_container_gets_input_and_gives_outputs_and_exit_status() {
    let Some(setting) = Setting::new("exec", &READY).map(Setting::deployed) else {
        return;
    };
    let project = &setting.project;
    let talk = ["exec", "web", "--", "/service", "talk"];
    let run = project.toolbox_reading(&talk, b"hello\nerror oh\nexit 7\n").exits(7);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("no terminal\nheard hello\n", "oh\n"));
    // Without an `exit` the end of the input is what ends it.
    let many: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let run = project.toolbox_reading(&talk, many.as_bytes()).exits(0);
    assert!(run.stdout.ends_with("heard line 19999\nend of input\n"));
    assert_eq!(run.stdout.lines().count(), 20_002);

    let arguments =
        ["exec", "-e", "ONE=1", "-e", "PATH", "-e", "NOT_SET_HERE", "-w", "/data", "web", "/service", "talk"];
    let path = std::env::var("PATH").unwrap();
    let input = b"env ONE\nenv PATH\nenv NOT_SET_HERE\n";
    project
        .toolbox_reading(&arguments, input)
        .exits(0)
        .prints("ONE is 1\n")
        .prints(&format!("PATH is {path}\n"))
        .prints("NOT_SET_HERE is not set\n");
    // Which of the two a shell would give depends on the engine's version.
    let run = project.toolbox(&["exec", "web", "--", "nothing"]);
    assert!(matches!(run.status, Some(126 | 127)), "{:?}: {}", run.status, run.stdout);

    project.toolbox(&["exec", "--index", "2", "web", "x"]).exits(1).error(&["no container 2"]).hint(&["there is 1"]);
    project.toolbox(&["exec", "wbe", "x"]).exits(2).error(&["no service wbe"]).hint(&["did you mean web?"]);
    setting.machine.engine().docker(&["stop", &project.container("web")]);
    project.toolbox(&["exec", "web", "x"]).exits(1).error(&["does not run", "exited"]).hint(&["toolbox start web"]);
    project.toolbox(&["down"]).exits(0);
    project.toolbox(&["exec", "web", "x"]).exits(1).error(&["web is not deployed on vm"]).hint(&["toolbox deploy"]);
}

#[test]
fn command_at_a_terminal_has_its_size_and_its_keys_and_leaves_it_as_it_was() {
    let Some(setting) = Setting::new("pty", &READY).map(Setting::deployed) else {
        return;
    };
    let talk = ["exec", "web", "--", "/service", "talk"];
    let mut terminal = AtTerminal::start(&setting.project, &talk);
    assert!(terminal.is_canonical());
    terminal.shows("terminal\r\n");
    assert!(!terminal.is_canonical());
    terminal.answers("size", "size 24 80");
    terminal.resize(50, 132);
    terminal.answers("size", "size 50 132");
    terminal.types("exit 9\r");
    assert_eq!(terminal.ends(), Some(9));
    assert!(terminal.is_canonical());

    // Ctrl-C is the command's.
    let mut terminal = AtTerminal::start(&setting.project, &talk);
    terminal.shows("terminal\r\n");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), Some(130));
    assert!(terminal.is_canonical());

    for signal in ["TERM", "HUP"] {
        let mut terminal = AtTerminal::start(&setting.project, &talk);
        terminal.shows("terminal\r\n");
        assert!(!terminal.is_canonical());
        terminal.signal(signal);
        assert_eq!(terminal.ends(), Some(130), "{signal}");
        assert!(terminal.is_canonical(), "{signal}");
    }

    let mut terminal = AtTerminal::start(&setting.project, &["exec", "-T", "web", "/service", "talk"]);
    terminal.shows("no terminal\r\n");
    assert!(terminal.is_canonical());
    terminal.types("\u{4}");
    terminal.shows("end of input");
    assert_eq!(terminal.ends(), Some(0));
}

/// A service that waits until the other is healthy.
fn dependent(setting: &Setting) {
    let image = &setting.image.name;
    setting.project.compose(&format!(
        "services:\n  db:\n    image: {image}\n    healthcheck:\n      test: [CMD, /service, health]\n      \
         interval: 200ms\n  app:\n    image: {image}\n    depends_on:\n      db:\n        condition: service_healthy\n"
    ));
}

/// What the engine did with the project's services since then: `start db`, `die app` …
fn history(setting: &Setting, since: &str) -> Vec<String> {
    let engine = setting.machine.engine();
    let now = engine.docker(&["info", "--format", "{{.SystemTime}}"]);
    let format = "{{.Action}} {{index .Actor.Attributes \"com.docker.compose.service\"}}";
    let filters = ["event=start", "event=die", "label=io.toolbox.role=service"];
    let filters = filters.iter().flat_map(|filter| ["--filter", filter]);
    let arguments = ["events", "--since", since, "--until", &now, "--format", format];
    let told = engine.docker(&arguments.into_iter().chain(filters).collect::<Vec<_>>());
    told.lines().map(str::to_owned).collect()
}

#[test]
fn services_stop_start_and_restart_in_the_order_of_their_dependencies() {
    let Some(setting) = Setting::new("cycle", &READY) else {
        return;
    };
    dependent(&setting);
    let setting = setting.deployed();
    let (project, engine) = (&setting.project, setting.machine.engine());
    let before = engine.all_containers(&project.name);
    let now = || engine.docker(&["info", "--format", "{{.SystemTime}}"]);

    let since = now();
    // The two, and the keeper after them.
    project.toolbox(&["stop"]).exits(0).prints("vm  changed=3  unchanged=0  failed=0  ok");
    assert_eq!(history(&setting, &since), ["die app", "die db"]);
    project.toolbox(&["stop"]).exits(0).prints("changed=0  unchanged=3");
    project.toolbox(&["status"]).exits(1).prints("stopped");

    let since = now();
    project.toolbox(&["start"]).exits(0).prints("changed=3  unchanged=0").tells("wait until");
    assert_eq!(history(&setting, &since), ["start db", "start app"]);
    project.toolbox(&["start", "db"]).exits(0).prints("changed=0  unchanged=2");
    project.toolbox(&["status"]).exits(0);

    let since = now();
    project.toolbox(&["restart", "--timeout", "1"]).exits(0).prints("changed=2");
    assert_eq!(history(&setting, &since), ["die db", "start db", "die app", "start app"]);
    let since = now();
    project.toolbox(&["restart", "app"]).exits(0).prints("changed=1");
    assert_eq!(history(&setting, &since), ["die app", "start app"]);
    assert_eq!(engine.all_containers(&project.name), before);

    // A deploy finds the keeper stopped, whose lock it needs.
    project.toolbox(&["stop"]).exits(0);
    project.toolbox(&["deploy"]).exits(0);
    assert_eq!(engine.all_containers(&project.name), before);

    project.toolbox(&["stop", "dbb"]).exits(2).error(&["no service dbb"]).hint(&["did you mean db?"]);
    project.toolbox(&["down"]).exits(0);
    project.toolbox(&["start", "db"]).exits(1).error(&["db is not deployed on vm"]);
    project.toolbox(&["start"]).exits(0).prints("changed=0  unchanged=0");
}

#[test]
fn service_that_cannot_start_is_an_error_with_the_engines_words() {
    let Some(setting) = Setting::new("unwell", &READY).map(Setting::deployed) else {
        return;
    };
    setting.project.toolbox(&["stop"]).exits(0);
    // What it serves on is taken meanwhile.
    let mut other = setting.machine.serve(8080);
    let run = setting.project.toolbox(&["start"]);
    let _ = other.kill();
    let _ = other.wait();
    run.exits(1).error(&["vm: ", "8080"]).prints("failed=1  failed, run it again");
}

#[test]
fn status_as_json_tells_image_health_ports_and_drift() {
    let Some(setting) = Setting::new("glance", &READY).map(Setting::deployed) else {
        return;
    };
    let row = |arguments: &[&str]| {
        let run = setting.project.toolbox(&[&["status", "--format", "json"][..], arguments].concat());
        serde_json::from_str::<Value>(&run.stdout).unwrap()[0].take()
    };
    let seen = row(&["web"]);
    assert_eq!(seen["image"]["name"], setting.image.name.as_str());
    assert_eq!(seen["image"]["id"].as_str().unwrap().len(), 12);
    assert_eq!(seen["health"], "healthy");
    assert_eq!(seen["ports"][0], "8080->8080/tcp");
    assert_eq!(seen["drift"], serde_json::json!([]));
    setting.service(GREETING);
    assert_eq!(row(&[])["drift"], serde_json::json!(["config"]));
    setting.project.toolbox(&["status", "wep"]).exits(2).error(&["no service wep"]);
}

#[test]
fn one_off_command_runs_as_the_deployed_service_and_leaves_nothing() {
    let Some(setting) = Setting::new("run", &READY) else {
        return;
    };
    let project = &setting.project;
    project.compose(&format!(
        "services:\n  web:\n    image: {}\n    environment: {{KEPT: \"yes\"}}\n    \
         secrets: [{{source: token, target: /token}}]\nsecrets:\n  token:\n    environment: TOKEN\n",
        setting.image.name
    ));
    project.write(".env", "TOKEN=abc\n");
    project.toolbox(&["deploy"]).exits(0);
    let engine = setting.machine.engine();
    let before = engine.all_containers(&project.name);

    // Nothing is shipped: the command has the files of the container that was deployed.
    project.write(".env", "TOKEN=another\n");
    let input = b"env KEPT\nenv ONE\nread /token\nerror oh\nexit 5\n";
    let arguments = ["run", "-T", "--rm", "-e", "ONE=1", "web", "--", "talk"];
    let run = project.toolbox_reading(&arguments, input).exits(5);
    let told = "no terminal\nKEPT is yes\nONE is 1\n/token holds Ok(\"abc\")\n";
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (told, "oh\n"));
    assert_eq!(engine.all_containers(&project.name), before);
    project.toolbox_reading(&["run", "web", "talk"], b"hello\n").exits(0).prints("heard hello\nend of input\n");
    project.toolbox(&["run", "--entrypoint", "/service fail", "web"]).exits(3).tells("cannot find the database");
    project.toolbox(&["run", "--entrypoint", "/service 'fail", "web"]).exits(2).error(&["--entrypoint", "not closed"]);

    let mut terminal = AtTerminal::start(project, &["run", "web", "talk"]);
    terminal.shows("terminal\r\n");
    terminal.answers("size", "size 24 80");
    terminal.types("exit 4\r");
    assert_eq!(terminal.ends(), Some(4));

    for signal in ["INT", "TERM"] {
        let mut running = Reading::start(&setting, &["run", "-T", "web", "--", "serve"]);
        assert_eq!(running.line(), "listening");
        interrupt(&running.child, signal);
        assert_eq!(running.child.wait().unwrap().code(), Some(130));
    }
    assert_eq!(engine.all_containers(&project.name), before);
}

#[test]
fn one_off_command_starts_what_its_service_depends_on() {
    let Some(setting) = Setting::new("needs", &READY) else {
        return;
    };
    dependent(&setting);
    let setting = setting.deployed();
    let project = &setting.project;
    project.toolbox(&["stop"]).exits(0);
    project.toolbox(&["run", "--no-deps", "app", "talk"]).exits(0);
    assert_eq!(state(&setting, "db"), "exited");
    project.toolbox(&["run", "app", "talk"]).exits(0);
    assert_eq!((state(&setting, "db").as_str(), state(&setting, "app").as_str()), ("running", "exited"));
}

fn state(setting: &Setting, service: &str) -> String {
    let container = setting.machine.engine().container(&setting.project.container(service));
    container["State"]["Status"].as_str().unwrap().to_owned()
}
