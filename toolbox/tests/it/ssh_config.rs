//! What this program makes of OpenSSH's configuration, beside what `ssh -G` says: `tests/ssh_config/*.conf`.
//!
//! `#? ARGUMENTS` in a file is a question that both must answer alike; `#! ARGUMENTS` one that both must refuse. `@DIR@`
//! stands for the directory. [`DIFFERENT`] lists what differs on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use toolbox::ssh_config::{
    AddressFamily, AlgorithmList, Arguments, Config, Files, IdentityAgent, Person, Query, Resolved, Via, arguments,
};

use crate::sshd::run;

/// Files, hosts and keys of `ssh -G` that may differ, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    // ssh -G shows the command as it stands; this program goes through the hop without a shell.
    ("command.conf", "one", "proxycommand"),
];

/// Lists of algorithms: what is meant depends on what a program has, so they are applied to ssh's own.
const LISTS: [&str; 5] = ["ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms"];

struct Corpus {
    directory: tempfile::TempDir,
    person: Person,
}

impl Corpus {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&source(), directory.path(), directory.path().to_str().unwrap());
        Self { directory, person: person() }
    }

    /// Each file with its questions: whether they are to be answered, and their arguments.
    fn questions(&self) -> Vec<(PathBuf, bool, String)> {
        let mut questions = Vec::new();
        for entry in fs::read_dir(source()).unwrap() {
            let name = entry.unwrap().file_name();
            let Ok(text) = fs::read_to_string(source().join(&name)) else { continue };
            let file = self.directory.path().join(&name);
            for line in text.lines() {
                if let Some(question) = line.strip_prefix("#? ") {
                    questions.push((file.clone(), true, question.trim().to_owned()));
                } else if let Some(question) = line.strip_prefix("#! ") {
                    questions.push((file.clone(), false, question.trim().to_owned()));
                }
            }
        }
        questions.sort();
        questions
    }

    fn resolve(&self, file: &Path, question: &str) -> Result<Resolved, String> {
        let (mut options, host) = split(question);
        let (user, host) = host.split_once('@').map_or((None, host), |(user, host)| (Some(user), host));
        if let Some(user) = user {
            options.extend(["-l".to_owned(), user.to_owned()]);
        }
        let found: Arguments = arguments(&options).map_err(|problems| problems.to_string())?;
        let config = Config::read(&Files::One(file.to_owned()), self.person.clone());
        let config = config.map_err(|problems| problems.to_string())?;
        let query = Query { host, arguments: &found, default_user: &self.person.user, exec: None };
        config.resolve(&query).map_err(|problems| problems.to_string())
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ssh_config")
}

fn copy(from: &Path, to: &Path, directory: &str) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target, directory);
        } else {
            fs::write(target, fs::read_to_string(entry.path()).unwrap().replace("@DIR@", directory)).unwrap();
        }
    }
}

fn split(question: &str) -> (Vec<String>, &str) {
    let mut words: Vec<&str> = question.split(' ').collect();
    let host = words.pop().unwrap();
    (words.into_iter().map(str::to_owned).collect(), host)
}

fn person() -> Person {
    let passwd = run("getent", &["passwd", run("id", &["-u"]).trim()]);
    let home = passwd.split(':').nth(5).unwrap().to_owned();
    Person {
        user: run("id", &["-un"]).trim().to_owned(),
        uid: run("id", &["-u"]).trim().parse().unwrap(),
        home: Some(home.clone().into()),
        machine: run("uname", &["-n"]).trim().to_owned(),
        variables: BTreeMap::from([("HOME".to_owned(), home)]),
    }
}

/// What ssh says, by key; `None` where it refuses.
fn oracle(file: &Path, question: &str, person: &Person) -> Option<BTreeMap<String, Vec<String>>> {
    let (options, host) = split(question);
    let mut ssh = Command::new("ssh");
    ssh.arg("-G").arg("-F").arg(file).args(options).arg(host).env("HOME", person.home.as_ref().unwrap());
    let output = ssh.stdin(Stdio::null()).output().expect("openssh-client is needed");
    if !output.status.success() {
        return None;
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        found.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    Some(found)
}

/// Our answer in ssh's words.
fn shown(resolved: &Resolved, usual: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut put = |key: &str, values: Vec<String>| drop(shown.insert(key.to_owned(), values));
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let optional = |value: Option<String>| value.into_iter().collect::<Vec<_>>();
    put("hostname", vec![resolved.host_name.clone()]);
    put("user", vec![resolved.user.clone()]);
    put("port", vec![resolved.port.to_string()]);
    put("proxyjump", optional(resolved.proxy_jump.clone()));
    put(
        "proxycommand",
        match &resolved.via {
            Via::Command(command) => vec![command.clone()],
            _ => Vec::new(),
        },
    );
    put("identityfile", paths(&resolved.identity_files));
    put("certificatefile", paths(&resolved.certificate_files));
    put("identitiesonly", vec![if resolved.identities_only { "yes" } else { "no" }.to_owned()]);
    put(
        "identityagent",
        match &resolved.identity_agent {
            IdentityAgent::Usual => Vec::new(),
            IdentityAgent::None => vec!["none".to_owned()],
            IdentityAgent::Socket(path) => vec![path.display().to_string()],
        },
    );
    put("hostkeyalias", optional(resolved.host_key_alias.clone()));
    let known = |files: &Option<Vec<PathBuf>>, key: &str| match files {
        None => usual[key].clone(),
        Some(files) => vec![paths(files).join(" ")],
    };
    put("userknownhostsfile", known(&resolved.user_known_hosts, "userknownhostsfile"));
    put("globalknownhostsfile", known(&resolved.global_known_hosts, "globalknownhostsfile"));
    put("serveraliveinterval", vec![resolved.server_alive_interval.unwrap_or(0).to_string()]);
    put("serveralivecountmax", vec![resolved.server_alive_count_max.unwrap_or(3).to_string()]);
    let timeout = resolved.connect_timeout.filter(|seconds| *seconds > 0);
    put("connecttimeout", vec![timeout.map_or("none".to_owned(), |seconds| seconds.to_string())]);
    put("connectionattempts", vec![resolved.connection_attempts.to_string()]);
    let family = match resolved.address_family {
        AddressFamily::Any => "any",
        AddressFamily::Inet => "inet",
        AddressFamily::Inet6 => "inet6",
    };
    put("addressfamily", vec![family.to_owned()]);
    put("bindaddress", optional(resolved.bind_address.clone()));
    put("compression", vec![if resolved.compression == Some(true) { "yes" } else { "no" }.to_owned()]);
    let lists = &resolved.algorithms;
    let lists = [&lists.ciphers, &lists.macs, &lists.kex, &lists.host_key, &lists.pubkey];
    for (key, list) in LISTS.into_iter().zip(lists) {
        put(key, vec![applied(key, list.as_ref(), &usual[key][0])]);
    }
    shown
}

/// The list applied to what the installed ssh has.
fn applied(key: &str, list: Option<&AlgorithmList>, usual: &str) -> String {
    let Some(list) = list else { return usual.to_owned() };
    let kind = match key {
        "ciphers" => "cipher",
        "macs" => "mac",
        "kexalgorithms" => "kex",
        _ => "sig",
    };
    let mut all = run("ssh", &["-Q", kind]);
    if kind == "sig" {
        write!(all, "{}", run("ssh", &["-Q", "key-cert"])).unwrap();
    }
    let all: Vec<&str> = all.lines().collect();
    list.apply(&usual.split(',').collect::<Vec<_>>(), &all).join(",")
}

/// ssh shows these without their `~`, and some not at all where we show nothing.
fn normal(key: &str, values: Vec<String>, person: &Person) -> Vec<String> {
    let home = person.home.as_ref().unwrap().display();
    let expanded = |value: String| match value.strip_prefix("~/") {
        Some(rest) => format!("{home}/{rest}"),
        None => value,
    };
    let none = |value: &String| match key {
        "identityfile" => value != "none",
        "userknownhostsfile" => value != "none",
        "proxycommand" => value != "none",
        "identityagent" => value != "SSH_AUTH_SOCK",
        _ => true,
    };
    let values: Vec<String> = values.into_iter().map(expanded).filter(none).collect();
    // Tokens in these are shown as they were written; userknownhostsfile shows what they become.
    values.into_iter().map(|value| if key == "identityfile" { value.replace("%h", "a") } else { value }).collect()
}

/// ssh shows a proxy command with its tokens.
fn expanded(commands: Vec<String>, values: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let tokens = [("%h", "hostname"), ("%p", "port"), ("%r", "user")];
    let replace =
        |command: String| tokens.iter().fold(command, |text, (token, key)| text.replace(token, &values[*key][0]));
    commands.into_iter().map(replace).collect()
}

#[test]
fn ssh_says_the_same_of_every_file_and_host() {
    let corpus = Corpus::new();
    let empty = Path::new("/dev/null");
    let usual = oracle(empty, "nobody", &corpus.person).expect("ssh -G must answer");
    let unset: BTreeSet<&String> = usual["identityfile"].iter().collect();
    let (mut wrong, mut compared) = (String::new(), 0);
    for (file, _, question) in corpus.questions().into_iter().filter(|(_, answered, _)| *answered) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let theirs = oracle(&file, &question, &corpus.person);
        let (ours, mut theirs) = match (corpus.resolve(&file, &question), theirs) {
            (Ok(ours), Some(theirs)) => (shown(&ours, &usual), theirs),
            (ours, theirs) => {
                writeln!(wrong, "{name} {question}: {:?} beside {}", ours.err(), theirs.is_some()).unwrap();
                continue;
            }
        };
        compared += 1;
        // The keys that ssh tries where no file names one are no business of ours.
        if theirs.get("identityfile").is_some_and(|files| files.iter().collect::<BTreeSet<_>>() == unset) {
            theirs.remove("identityfile");
        }
        let shown_values = ours.clone();
        for (key, ours) in ours {
            let theirs = normal(&key, theirs.remove(&key).unwrap_or_default(), &corpus.person);
            let theirs = if key == "proxycommand" { expanded(theirs, &shown_values) } else { theirs };
            let ours: Vec<String> = ours.into_iter().filter(|value| !value.is_empty()).collect();
            let host = split(&question).1;
            if ours != theirs && !DIFFERENT.contains(&(name, host, key.as_str())) {
                writeln!(wrong, "{name} {question}: {key}: ours {ours:?}, ssh's {theirs:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared >= 50, "only {compared} were compared");
}

#[test]
fn what_ssh_refuses_is_refused_with_its_place() {
    let corpus = Corpus::new();
    let refused = corpus.questions().into_iter().filter(|(_, answered, _)| !answered);
    let mut count = 0;
    for (file, _, question) in refused {
        assert!(oracle(&file, &question, &corpus.person).is_none(), "ssh takes {}", file.display());
        let error = corpus.resolve(&file, &question).expect_err(file.to_str().unwrap());
        let place = format!("{}:", file.display());
        assert!(error.starts_with(&place), "{error}");
        let line = error[place.len()..].split(':').next().unwrap();
        assert!(line.parse::<usize>().is_ok(), "{error}");
        count += 1;
    }
    assert!(count >= 15, "only {count} were compared");
}

#[test]
fn a_hop_has_the_settings_that_ssh_would_give_it() {
    let corpus = Corpus::new();
    let file = corpus.directory.path().join("hops.conf");
    let usual = oracle(Path::new("/dev/null"), "nobody", &corpus.person).unwrap();
    let resolved = corpus.resolve(&file, "target").unwrap();
    let Via::Hop(inner) = &resolved.via else { panic!("{:?}", resolved.via) };
    let Via::Hop(outer) = &inner.via else { panic!("{:?}", inner.via) };
    for (hop, question) in [(inner, "-l ann -J outer inner"), (outer, "outer")] {
        let mut theirs = oracle(&file, question, &corpus.person).unwrap();
        let ours = shown(hop, &usual);
        for key in ["hostname", "user", "port", "proxyjump", "identityfile", "hostkeyalias", "connecttimeout"] {
            let theirs = normal(key, theirs.remove(key).unwrap_or_default(), &corpus.person);
            assert_eq!(ours[key], theirs, "{question}: {key}");
        }
    }
    assert_eq!(outer.via, Via::Direct);
}
