use super::*;

const ROOT: &str = "Welcome!\ntoolbox-fact uid=0\ntoolbox-fact user=root\ntoolbox-fact os=debian\n\
    toolbox-fact os_name=Debian GNU/Linux 13 (trixie)\ntoolbox-fact manager=apt-get\ntoolbox-fact systemd=yes\n\
    toolbox-fact df=/dev/vda1 8123456 1000000 6700000 14% /\ntoolbox-fact listen=00000000:0016\n\
    toolbox-fact listen=0100007F:0050\ntoolbox-fact listen=00000000000000000000000000000000:01BB\n";

fn facts(lines: &str) -> SystemFacts {
    let marked: Vec<String> = lines.split(' ').map(|l| format!("{MARK}{l}")).collect();
    SystemFacts::parse(&marked.join("\n"))
}

#[test]
fn a_bare_debian_is_read_through_a_banner() {
    let facts = SystemFacts::parse(ROOT);
    assert!(facts.is_root && facts.systemd && !facts.dockerd && !facts.socket);
    assert_eq!(facts.family().map(|family| family.name), Some("apt"));
    assert_eq!(facts.os_name, "Debian GNU/Linux 13 (trixie)");
    assert_eq!(facts.free_bytes, Some(6_700_000 * 1024));
    assert_eq!(facts.access(), Ok(None));
}

#[test]
fn listeners_are_read_with_their_addresses() {
    let wanted = ["0.0.0.0:22", "127.0.0.1:80", "[::]:443"].map(|a| a.parse().unwrap());
    assert_eq!(SystemFacts::parse(ROOT).listening, BTreeSet::from(wanted));
    assert_eq!(listener("00000000000000000000000001000000:0016"), "[::1]:22".parse().ok());
    assert_eq!(listener("nonsense"), None);
}

#[test]
fn access_follows_the_rights_of_the_login_user() {
    use Access::{DialStdio, Socket};
    let user = || "ann".to_owned();
    let none = |why| NoRoot::by_sudo(why);
    let cannot_install = |state, why| Err(Unusable::CannotInstall { user: user(), state, why: NoRoot::by_sudo(why) });
    let silent = |socket: &str| Err(Unusable::NoEngineAt { socket: socket.to_owned() });
    for (lines, expected) in [
        ("user=ann uid=7 socket=yes socket_writable=yes", Ok(Some(Socket))),
        ("user=ann uid=7 socket=yes sudo=yes docker=yes", Ok(Some(DialStdio(Some(Root::Sudo))))),
        ("user=ann uid=7 socket=yes doas=yes docker=yes", Ok(Some(DialStdio(Some(Root::Doas))))),
        ("user=ann uid=7 socket=yes sudo=yes", Err(Unusable::NoCommandLine { user: user() })),
        (
            "user=ann uid=7 socket=yes docker=yes",
            Err(Unusable::NoRightsOnEngine { user: user(), why: none(Why::Missing) }),
        ),
        ("user=ann uid=7 sudo=yes", Ok(None)),
        ("user=ann uid=7 sudo=yes asked=/run/docker.sock", Ok(None)),
        ("user=ann uid=7 sudo=yes dockerd=yes asked=/srv/docker.sock", Ok(None)),
        ("user=ann uid=7 sudo=yes dockerd=yes asked=/run/user/7/docker.sock", silent("/run/user/7/docker.sock")),
        ("user=root uid=0 asked=/run/podman/podman.sock", silent("/run/podman/podman.sock")),
        ("user=ann uid=7", cannot_install("not installed", Why::Missing)),
        ("user=ann uid=7 dockerd=yes", cannot_install("not running", Why::Missing)),
    ] {
        assert_eq!(facts(lines).access(), expected, "{lines}");
    }
}

#[test]
fn what_keeps_sudo_from_working_is_told_with_the_way_out() {
    for (said, error, hint) in [
        ("sudo: a password is required", "it asks for a password, and none was given", "-K"),
        ("sudo: sorry, you must have a tty to run sudo", "requiretty", "Defaults:ann !requiretty"),
        ("sudo: x is broken", "it says \"sudo: x is broken\"", "sudo -k true"),
    ] {
        let said = format!("{MARK}user=ann\n{MARK}uid=7\n{MARK}socket=yes\n{MARK}sudo_says={said}\n");
        let unusable = SystemFacts::parse(&said).access().unwrap_err();
        let shown = unusable.to_string();
        assert!(
            shown.starts_with("user ann may not use the container engine and cannot become root by sudo: "),
            "{shown}"
        );
        assert!(shown.contains(error) && unusable.hint().contains(hint), "{shown}: {}", unusable.hint());
        assert!(unusable.hint().contains("usermod -aG docker ann"), "{}", unusable.hint());
    }
}

#[test]
fn the_script_runs_in_a_real_shell() {
    let output = std::process::Command::new("sh").arg("-c").arg(script("/nonexistent")).output().unwrap();
    let facts = SystemFacts::parse(&String::from_utf8(output.stdout).unwrap());
    assert!(!facts.user.is_empty() && !facts.machine.is_empty() && facts.free_bytes.is_some());
    assert!(!facts.socket && !facts.socket_writable);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn another_engine_is_named_with_its_socket_where_docker_is_not() {
    let other = |lines: &str| facts(lines).other_engine();
    let socket = || "/run/user/7/docker.sock".to_owned();
    let rootless = Unusable::OtherEngine { name: "rootless Docker", socket: socket() };
    assert_eq!(other("user=ann uid=7 elsewhere=/run/user/7/docker.sock"), Some(rootless.clone()));
    assert_eq!(facts("user=ann uid=7 elsewhere=/run/user/7/docker.sock").access(), Err(rootless));
    let podman = other("user=root uid=0 elsewhere=/run/podman/podman.sock").unwrap();
    assert!(podman.to_string().contains("Podman at /run/podman/podman.sock"), "{podman}");
    assert!(podman.hint().contains("toolbox_socket: /run/podman/podman.sock"), "{}", podman.hint());
    assert_eq!(other("user=root uid=0 dockerd=yes elsewhere=/run/podman/podman.sock"), None);
    assert_eq!(other("user=root uid=0 socket=yes elsewhere=/run/podman/podman.sock"), None);
}

#[test]
fn the_family_goes_by_the_package_manager() {
    for (manager, name) in [("apt-get", Some("apt")), ("dnf", Some("dnf")), ("apk", Some("apk")), ("zypper", None)] {
        assert_eq!(facts(&format!("user=a manager={manager}")).family().map(|family| family.name), name);
    }
    assert!(facts("user=a manager=dnf os=rocky os_like=rhel").lacks_docker().is_some());
    assert_eq!(facts("user=a manager=dnf os=fedora").lacks_docker(), None);
}
