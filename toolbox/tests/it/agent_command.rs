//! The program in ssh-agent's place: what scripts see of it, compared with OpenSSH's own where that is to be had.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};

use crate::agent_process::{Bench, Foreground, OPENSSH, Started, lives, stderr, stdout, wait_until};
use crate::sshd::KeyPair;

/// A text with numbers and made-up names taken out.
fn normal(text: &str) -> String {
    let mut normal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits > 0 {
            normal.push('N');
            rest = &rest[digits..];
        } else if rest.starts_with("/ssh-") && rest.as_bytes().get(17) == Some(&b'/') {
            normal.push_str("/ssh-RANDOM");
            rest = &rest[17..];
        } else {
            normal.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    normal
}

/// Runs ssh-agent's arguments by OpenSSH's program and by ours.
fn both(bench: &Bench, arguments: &[&str], variables: &[(&str, &str)]) -> (Output, Output) {
    let run = |mut command: Command| command.args(arguments).envs(variables.iter().copied()).output().unwrap();
    (run(bench.prepared(Path::new(OPENSSH))), run(bench.ssh_agent()))
}

/// Ends the agent that printed these lines.
fn end(output: &Output) {
    let text = stdout(output);
    let number = text.split("Agent pid ").nth(1).unwrap().trim_end_matches(";\n").parse().unwrap();
    let process = Pid::from_raw(number).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    wait_until("the agent ends", || !lives(process));
}

#[test]
fn the_lines_are_openssh_s_byte_for_byte() {
    let bench = Bench::new();
    let shells = [("SHELL", "/bin/bash"), ("SHELL", "/bin/tcsh")];
    for (arguments, shell) in
        [(&["-s"][..], 0), (&["-c"], 0), (&[], 0), (&[], 1), (&["-s"], 1), (&["-t30", "-E", "md5"], 0)]
    {
        let (theirs, ours) = both(&bench, arguments, &shells[shell..=shell]);
        assert_eq!(normal(&stdout(&ours)), normal(&stdout(&theirs)), "{arguments:?} {shell}");
        assert_eq!((ours.status.code(), stderr(&ours)), (Some(0), String::new()));
        end(&theirs);
        end(&ours);
    }
}

#[test]
fn refusals_have_openssh_s_statuses() {
    let bench = Bench::new();
    let long = format!("/tmp/{}", "x".repeat(120));
    let lines: &[&[&str]] = &[
        &["-x"],
        &["--help"],
        &["-t"],
        &["-t", "1x"],
        &["-c", "-s"],
        &["-d", "-D"],
        &["-s", "true"],
        &["-E", "foo"],
        &["-O", "foo"],
        &["-P", "a", "-P", "b"],
        &["-a", "/no/such/directory/socket"],
        &["-a", &long],
        &["-a", "/etc/passwd"],
        &["/no/such/program"],
    ];
    for arguments in lines {
        let (theirs, ours) = both(&bench, arguments, &[]);
        assert_eq!(ours.status.code(), theirs.status.code(), "{arguments:?}: {ours:?}");
        assert_eq!(stderr(&ours).contains("usage: ssh-agent"), stderr(&theirs).contains("usage: ssh-agent"));
        assert_eq!(stdout(&ours), "");
    }
    let message = stderr(&both(&bench, &["/no/such/program"], &[]).1);
    assert_eq!(message, "/no/such/program: No such file or directory\n");
}

#[test]
fn an_agent_is_killed_by_its_number_in_openssh_s_words() {
    let bench = Bench::new();
    for number in [None, Some("abc"), Some("1"), Some("-7"), Some("99999999999999"), Some("4194303")] {
        let variables: Vec<_> = number.map(|number| ("SSH_AGENT_PID", number)).into_iter().collect();
        let (theirs, ours) = both(&bench, &["-k"], &variables);
        assert_eq!((ours.status.code(), stderr(&ours)), (theirs.status.code(), stderr(&theirs)), "{number:?}");
        assert_eq!(stdout(&ours), "");
    }
    for form in ["-k", "-ck"] {
        // Each ends the other's agent.
        let (one, other) = (bench.started(&[]), bench.started(&[]));
        let run = |mut command: Command, agent: &Started| {
            let number = agent.process.as_raw_nonzero().to_string();
            command.arg(form).env("SSH_AGENT_PID", number).output().unwrap()
        };
        let (theirs, ours) = (run(bench.prepared(Path::new(OPENSSH)), &one), run(bench.ssh_agent(), &other));
        assert_eq!((normal(&stdout(&ours)), ours.status), (normal(&stdout(&theirs)), theirs.status));
        wait_until("both are gone", || {
            !one.socket.parent().unwrap().exists() && !other.socket.parent().unwrap().exists()
        });
    }
}

#[test]
fn the_process_in_the_background_holds_nothing_of_its_starter_s() {
    let bench = Bench::new();
    // That this returns is half of it: the output is read to its end.
    let agent = bench.started(&[]);
    assert_eq!(fs::read_to_string(agent.proc("comm")).unwrap(), "ssh-agent\n");
    assert_eq!(fs::read_link(agent.proc("cwd")).unwrap(), Path::new("/"));
    for stream in 0..3 {
        assert_eq!(fs::read_link(agent.proc(&format!("fd/{stream}"))).unwrap(), Path::new("/dev/null"));
    }
    let stat = fs::read_to_string(agent.proc("stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap().to_owned();
    assert_eq!(session, agent.process.as_raw_nonzero().to_string());
    let line = String::from_utf8(fs::read(agent.proc("cmdline")).unwrap()).unwrap();
    assert!(line.ends_with("bin/ssh-agent\0-s\0"), "{line:?}");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&agent.socket), mode(agent.socket.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_command_s_status_is_the_agent_s_and_the_agent_goes_with_it() {
    let bench = Bench::new();
    let print = "echo $SSH_AUTH_SOCK; echo $SSH_AGENT_PID; ssh-add -l; ";
    for (command, code, signal) in [("exit 7", Some(7), None), ("kill -TERM $$", None, Some(15))] {
        let output = bench.ssh_agent().args(["-t30", "sh", "-c", &format!("{print}{command}")]).output().unwrap();
        assert_eq!((output.status.code(), output.status.signal()), (code, signal), "{output:?}");
        let text = stdout(&output);
        let mut lines = text.lines();
        let socket = Path::new(lines.next().unwrap()).to_owned();
        let process = Pid::from_raw(lines.next().unwrap().parse().unwrap()).unwrap();
        assert_eq!(lines.next(), Some("The agent has no identities."));
        wait_until("the agent is gone", || !lives(process) && !socket.parent().unwrap().exists());
    }
}

#[test]
fn sockets_of_living_agents_are_left_alone_and_dead_ones_replaced() {
    let bench = Bench::new();
    let path = bench.path("socket");
    let agent = bench.started(&["-a", path.to_str().unwrap()]);
    assert_eq!((&agent.socket, fs::metadata(&path).unwrap().mode() & 0o7777), (&path, 0o600));
    let refused = bench.ssh_agent().arg("-a").arg(&path).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains(&format!("an agent is already listening on {}", path.display())));
    agent.signal(Signal::KILL);
    wait_until("it is gone", || !agent.lives());
    assert!(path.exists());
    let next = bench.started(&["-a", "socket"]);
    assert_eq!(next.socket, Path::new("socket"), "a relative path is printed as it is");
    next.signal(Signal::TERM);
    wait_until("the socket is removed, though the agent had left the directory", || !path.exists());
    fs::write(&path, "a file").unwrap();
    let refused = bench.ssh_agent().arg("-a").arg(&path).output().unwrap();
    assert_eq!((refused.status.code(), fs::read(&path).unwrap()), (Some(1), b"a file".to_vec()));
    assert!(stderr(&refused).contains("is not a socket, and is left alone"));
}

#[test]
fn a_directory_that_belongs_to_anybody_is_warned_about_and_taken() {
    let bench = Bench::new();
    let open = bench.path("open");
    fs::create_dir(&open).unwrap();
    for (mode, warned) in [(0o777, true), (0o1777, false), (0o755, false)] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
        let output = bench.ssh_agent().args(["-s", "-a", "open/socket"]).output().unwrap();
        assert_eq!(stderr(&output).contains("belongs to anybody"), warned, "{mode:o}: {output:?}");
        end(&output);
    }
}

#[test]
fn signals_end_it_or_empty_it() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "ed25519");
    for signal in [Signal::TERM, Signal::HUP] {
        let agent = bench.started(&[]);
        agent.signal(signal);
        wait_until("it is gone", || !agent.lives() && !agent.socket.parent().unwrap().exists());
    }
    let agent = bench.started(&[]);
    assert!(bench.ssh_add(&agent, &[key.private.to_str().unwrap()]).status.success());
    agent.signal(Signal::INT);
    assert!(stdout(&bench.ssh_add(&agent, &["-l"])).contains(&key.fingerprint()), "SIGINT is no end there");
    agent.signal(Signal::USR1);
    wait_until("its keys are gone", || stdout(&bench.ssh_add(&agent, &["-l"])).contains("no identities"));
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut command = Command::new(bench.path("bin/ssh-agent"));
        command.arg("-D");
        let mut agent = Foreground::start(command, bench.path("foreground"));
        kill_process(agent.process(), signal).unwrap();
        assert_eq!(agent.child.wait().unwrap().code(), Some(2), "as ssh-agent ends");
        assert!(!agent.socket.exists());
    }
}

#[test]
fn in_the_foreground_it_says_its_line_and_logs_kinds_alone() {
    use std::io::Read as _;
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "a-key-with-this-comment", "ed25519");
    let mut command = Command::new(bench.path("bin/ssh-agent"));
    command.args(["-s", "-d"]).env("NO_COLOR", "1");
    let mut agent = Foreground::start(command, bench.path("socket"));
    let add = ["ssh-add", key.private.to_str().unwrap()];
    assert!(Command::new(add[0]).arg(add[1]).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap().status.success());
    kill_process(agent.process(), Signal::TERM).unwrap();
    let (mut said, mut log) = (String::new(), String::new());
    agent.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    agent.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let expected = format!("SSH_AUTH_SOCK={}; export SSH_AUTH_SOCK;\n", agent.socket.display());
    assert_eq!(said, format!("{expected}echo Agent pid {};\n", agent.process().as_raw_nonzero()));
    assert!(log.contains("request=\"add\""), "{log}");
    assert!(!log.contains("a-key-with-this-comment"), "{log}");
}

#[test]
fn peers_of_another_user_are_cut_off() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let bench = Bench::new();
    fs::set_permissions(bench.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let agent = bench.started(&["-a", bench.path("socket").to_str().unwrap()]);
    fs::set_permissions(&agent.socket, fs::Permissions::from_mode(0o666)).unwrap();
    let mut other = bench.prepared(Path::new("setpriv"));
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "ssh-add", "-l"]);
    let refused = other.env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
    // Depending on how far it got it sees the end of the stream or a broken pipe.
    assert!(!refused.status.success() && stdout(&refused).is_empty(), "{refused:?}");
    assert_eq!(stdout(&bench.ssh_add(&agent, &["-l"])), "The agent has no identities.\n");
}

#[test]
fn scripts_written_for_ssh_agent_run() {
    let bench = Bench::new();
    let key = KeyPair::generate(&bench.path(""), "key", "ed25519");
    let path = key.private.display();
    let sh = format!(
        "set -e\neval \"$(ssh-agent)\" >/dev/null\ntrap 'ssh-agent -k >/dev/null' EXIT\nssh-add -q {path}\n\
         ssh-add -l\necho $SSH_AUTH_SOCK\n"
    );
    let csh = format!(
        "eval `ssh-agent` >/dev/null\nssh-add -q {path}\nssh-add -l\necho $SSH_AUTH_SOCK\neval `ssh-agent -k` >/dev/null\n"
    );
    for (shell, script) in [("sh", &sh), ("bash", &sh), ("dash", &sh), ("zsh", &sh), ("tcsh", &csh), ("csh", &csh)] {
        if !["/bin", "/usr/bin"].iter().any(|directory| Path::new(directory).join(shell).exists()) {
            eprintln!("skipped: there is no {shell} here");
            continue;
        }
        let output = bench.prepared(Path::new(shell)).args(["-c", script]).env("SHELL", shell).output().unwrap();
        assert!(output.status.success(), "{shell}: {output:?}");
        let text = stdout(&output);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().contains(&key.fingerprint()), "{shell}: {text}");
        let socket = Path::new(lines.next().unwrap()).to_owned();
        wait_until("the agent is gone", || !socket.parent().unwrap().exists());
    }
}
