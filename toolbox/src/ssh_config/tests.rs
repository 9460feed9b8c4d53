//! What `ssh -G` cannot be asked: hops, refusals of our own, warnings, and hostile files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn person() -> Person {
    Person { user: "me".into(), uid: 7, home: Some("/home/me".into()), machine: "here".into(), ..Person::default() }
}

fn resolve_with(text: &str, host: &str, words: &[&str]) -> Result<Resolved, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    fs::write(&file, text).unwrap();
    let config = Config::read(&Files::One(file), person()).map_err(|problems| problems.to_string())?;
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let arguments = arguments(&words).map_err(|problems| problems.to_string())?;
    let query = Query { host, arguments: &arguments, default_user: "root", exec: None };
    config.resolve(&query).map_err(|problems| problems.to_string())
}

fn resolve(text: &str, host: &str) -> Result<Resolved, String> {
    resolve_with(text, host, &[])
}

/// The hosts on the way, the nearest to us first.
fn way(resolved: &Resolved) -> Vec<String> {
    let mut names = match &resolved.via {
        Via::Hop(hop) => way(hop),
        _ => Vec::new(),
    };
    names.push(format!("{}@{}:{}", resolved.user, resolved.host_name, resolved.port));
    names
}

#[test]
fn hops_come_in_the_order_in_which_they_are_written_each_with_its_own_settings() {
    let text = "Host outer\n HostName 192.0.2.1\n ProxyJump outermost\nHost inner\n User ann\nHost target\n ProxyJump outer:23,inner";
    let resolved = resolve(text, "target").unwrap();
    assert_eq!(way(&resolved), ["root@outermost:22", "root@192.0.2.1:23", "ann@inner:22", "root@target:22"]);
}

#[test]
fn arguments_are_for_the_host_and_not_for_its_hops() {
    let resolved = resolve_with("", "target", &["-J", "hop", "-l", "ann", "-p", "23"]).unwrap();
    assert_eq!(way(&resolved), ["root@hop:22", "ann@target:23"]);
}

#[test]
fn a_circle_of_hops_is_an_error_that_shows_it() {
    let error = resolve("Host a\n ProxyJump b\nHost b\n ProxyJump a\n", "a").unwrap_err();
    assert!(error.contains("a -> b -> a"), "{error}");
    let error = resolve("Host *\n ProxyJump bastion\n", "a").unwrap_err();
    assert!(error.contains("config:2") && error.contains("a -> bastion -> bastion"), "{error}");
    let error = resolve("Host other\n HostName a\n ProxyJump b\nHost b\n ProxyJump a\nHost a\n ProxyJump b\n", "other");
    assert!(error.unwrap_err().contains("circle"));
}

#[test]
fn more_than_eight_hops_are_too_many() {
    let hops = |count: usize| (0..count).map(|i| format!("h{i}")).collect::<Vec<_>>().join(",");
    assert_eq!(way(&resolve("ProxyJump none\nHost x\n", "x").unwrap()).len(), 1);
    let ours = |count| resolve(&format!("Host x\n ProxyJump {}\n", hops(count)), "x");
    assert_eq!(way(&ours(8).unwrap()).len(), 9);
    assert!(ours(9).unwrap_err().contains("more than 8 hops"));
}

#[test]
fn a_proxy_command_that_is_ssh_becomes_a_hop() {
    for command in
        ["ssh -W %h:%p bastion", "ssh -q -W [%h]:%p bastion", "exec /usr/bin/ssh -o ConnectTimeout=5 bastion -W%h:%p"]
    {
        let resolved = resolve_with("", "target", &["-o", &format!("ProxyCommand={command}")]).unwrap();
        assert_eq!(way(&resolved), ["root@bastion:22", "root@target:22"], "{command}");
    }
    let resolved = resolve("ProxyCommand ssh -p 23 -l ann -W %h:%p bastion\nHost bastion\n Port 24\n", "target");
    assert!(resolved.unwrap_err().contains("circle"), "the command is for the hop too");
    let text = "Host bastion\n Port 24\nHost target\n ProxyCommand ssh -p 23 -W %h:%p ann@bastion\n";
    assert_eq!(way(&resolve(text, "target").unwrap())[0], "ann@bastion:23");
    for command in ["ssh bastion nc %h %p", "ssh -W %h:%p bastion | tee log", "nc %h %p", "ssh -F x -W %h:%p bastion"] {
        let via = resolve_with("", "t", &["-o", &format!("ProxyCommand={command}")]).unwrap().via;
        assert!(matches!(via, Via::Command(_)), "{command}: {via:?}");
    }
}

#[test]
fn a_name_that_a_shell_would_run_is_not_given_to_it() {
    for host in ["a`id`", "$(id)", "-oProxy", "a;b"] {
        assert!(resolve("ProxyCommand nc %h %p\n", host).unwrap_err().contains("shell"), "{host}");
    }
    let error = resolve("User a|b\nProxyCommand nc %r@%h\n", "x").unwrap_err();
    assert!(error.contains("shell"), "{error}");
}

#[test]
fn what_would_weaken_or_cannot_be_done_is_said_with_its_place() {
    let text = "StrictHostKeyChecking accept-new\nForwardAgent yes\nCanonicalizeHostname no\nControlMaster auto\n";
    let warnings = resolve(text, "a").unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("config:1: StrictHostKeyChecking: accept-new is not followed")));
    assert!(warnings.iter().any(|w| w.contains("config:2: ForwardAgent")));
    let error = resolve("RevokedHostKeys /etc/ssh/revoked\n", "a").unwrap_err();
    assert!(error.contains("@revoked"), "{error}");
    assert!(resolve("Host b\n RevokedHostKeys /x\n", "a").is_ok(), "it is about another host");
}

#[test]
fn a_command_decides_only_where_that_is_allowed() {
    let text = "Match host a exec \"test %h = a\"\n Port 23\n";
    assert!(resolve(text, "b").is_ok(), "the command would not be run for b");
    let error = resolve(text, "a").unwrap_err();
    assert!(error.contains("config:1") && error.contains("--ssh-match-exec"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    fs::write(&file, text).unwrap();
    let config = Config::read(&Files::One(file), person()).unwrap();
    let exec = |command: &str| Ok(command == "test a = a");
    let none = Arguments::default();
    let query = Query { host: "a", arguments: &none, default_user: "root", exec: Some(&exec) };
    assert_eq!(config.resolve(&query).unwrap().port, 23);
}

#[test]
fn tags_are_set_by_lines_and_by_arguments() {
    let text = "Host a\n Tag blue\nMatch tagged blue\n Port 23\n";
    assert_eq!(resolve(text, "a").unwrap().port, 23);
    assert_eq!(resolve(text, "b").unwrap().port, 22);
    assert_eq!(resolve_with(text, "b", &["-P", "blue"]).unwrap().port, 23);
}

#[test]
fn paths_lose_their_tokens_and_tildes() {
    let text = "IdentityFile ~/.ssh/%h-%r-%p-%u-%i-%L\nIdentityFile none\nCertificateFile %d/c\nIdentityAgent $SOCK\n";
    let resolved = resolve_with(text, "a", &["-l", "ann"]).unwrap();
    assert_eq!(resolved.identity_files, [Path::new("/home/me/.ssh/a-ann-22-me-7-here")]);
    assert_eq!(resolved.certificate_files, [Path::new("/home/me/c")]);
    assert_eq!(resolved.identity_agent, IdentityAgent::None, "SOCK is not set");
    assert!(resolve("IdentityFile ~bob/key\n", "a").unwrap_err().contains("tilde"));
}

#[test]
fn arguments_that_are_not_supported_are_named() {
    let refuse = |words: &[&str]| resolve_with("", "a", words).unwrap_err();
    assert!(refuse(&["-L", "80:a:80"]).contains("-L"));
    assert!(refuse(&["-N"]).contains("-N"));
    assert!(refuse(&["-p"]).contains("-p has no value"));
    assert!(refuse(&["host"]).contains("no option"));
    assert!(refuse(&["-o", "Nonsense=1"]).contains("Nonsense"));
    assert!(refuse(&["-oInclude=x"]).contains("not for -o"));
    assert_eq!(resolve_with("Port 24\n", "a", &["-qCp23", "-o", "Port 25"]).unwrap().port, 23);
}

#[test]
fn files_that_include_each_other_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    fs::write(&file, "Include config\nInclude c*\n".repeat(50)).unwrap();
    let error = Config::read(&Files::One(file), person()).unwrap_err().to_string();
    assert!(error.contains("circle"), "{error}");
    assert!(error.lines().count() < 40, "{error}");
}

#[test]
fn too_much_is_refused() {
    let error = resolve(&"#".repeat(9 << 20), "a").unwrap_err();
    assert!(error.contains("8 MiB"), "{error}");
    let star = format!("Host {}b\n Port 23\n", "*a".repeat(20_000));
    assert_eq!(resolve(&star, &"a".repeat(250)).unwrap().port, 22);
}

#[test]
fn a_persons_file_that_others_may_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let own = directory.path().join("config");
    fs::write(&own, "Port 23\n").unwrap();
    let files = Files::Usual { own: Some(own.clone()), system: directory.path().join("none") };
    assert!(Config::read(&files, person()).is_ok());
    fs::set_permissions(&own, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(Config::read(&files, person()).unwrap_err().to_string().contains("chmod go-w"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,300}", host in ".{0,20}") {
        let _ = resolve(&text, &host);
    }

    #[test]
    fn no_likely_text_makes_it_panic(
        lines in prop::collection::vec(
            ("(?i)(host|match|port|proxyjump|proxycommand|identityfile|include|ciphers|connecttimeout|tag|user)",
             "[ =\t\"]{1,2}", "[a-c*?!%h:@,\"'#\\\\ /~${}0-9-]{0,24}"), 0..12),
        host in "[a-c%.:]{0,6}",
    ) {
        let text: String = lines.iter().map(|(keyword, between, rest)| format!("{keyword}{between}{rest}\n")).collect();
        let _ = resolve(&text, &host);
    }

    #[test]
    fn no_arguments_make_it_panic(words in prop::collection::vec("-?[oJplFWq4-]?[ -~]{0,12}", 0..5)) {
        let _ = arguments(&words);
    }
}
