//! Hosts that cannot be reached, trusted or used: exit status 1, and nothing on them is touched.

use std::net::TcpListener;

use crate::deploy::Setting;
use crate::engine::Engine;
use crate::machine::{Kind, READY, State};
use crate::project::Project;
use crate::sshd::{KeyPair, Sshd};

const ONE: &str = "services:\n  web:\n    image: web\n";

/// A project behind an sshd of this machine that never gets beyond the login. `down` needs no local engine.
fn behind_sshd(test: &str, check: impl FnOnce(&Project, &Sshd)) {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate(directory.path(), "key", "ed25519");
    let sshd = Sshd::start(&key, &[]);
    let project = Project::through(test, &sshd, &key.private);
    project.compose(ONE);
    check(&project, &sshd);
}

#[test]
fn host_that_refuses_the_connection_is_named_with_its_port() {
    behind_sshd("refused", |project, _| {
        // Bound and not listening: nobody else can take it meanwhile.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        project.host("root", free, "");
        project
            .toolbox(&["down"])
            .exits(1)
            .error(&[&format!("vm: 127.0.0.1 refused the connection to port {free}")])
            .hint(&["ansible_port", "systemctl status ssh"]);
    });
}

#[test]
fn host_that_does_not_resolve_is_named() {
    behind_sshd("unresolvable", |project, _| {
        project
            .toolbox(&["down", "--host", "root@nowhere.invalid"])
            .exits(1)
            .error(&["nowhere.invalid does not resolve to an address"])
            .hint(&["getent hosts nowhere.invalid"]);
    });
}

#[test]
fn port_that_is_no_ssh_server_is_told_by_what_it_says() {
    behind_sshd("other", |project, _| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        project.host("root", listener.local_addr().unwrap().port(), "");
        let web = std::thread::spawn(move || {
            use std::io::Write as _;
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        project.toolbox(&["down"]).exits(1).error(&["is not an SSH server", "HTTP/1.1 400"]);
        web.join().unwrap();
    });
}

#[test]
fn unknown_host_key_is_refused_with_its_fingerprint_and_the_line_that_trusts_it() {
    behind_sshd("newkey", |project, sshd| {
        project.write("known_hosts", "");
        let fingerprint = sshd.host_keys[0].fingerprint();
        let host = format!("[127.0.0.1]:{}", sshd.port);
        let line = format!("{host} {}", sshd.host_keys[0].public_without_comment());
        project
            .toolbox(&["down"])
            .exits(1)
            .error(&[&format!("the host key of {host} is not known"), &fingerprint])
            .hint(&["host's own console", &line]);
        assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());
        // The line works as it is.
        project.write("known_hosts", &(line + "\n"));
        project.toolbox(&["down"]);
        assert!(sshd.log().contains("Accepted"), "{}", sshd.log());
    });
}

#[test]
fn changed_host_key_is_refused_with_both_fingerprints_and_the_line_at_fault() {
    behind_sshd("oldkey", |project, sshd| {
        let old = KeyPair::generate(&project.path(""), "old", "ed25519");
        let host = format!("[127.0.0.1]:{}", sshd.port);
        project.write("known_hosts", &format!("# mine\n{host} {}\n", old.public_without_comment()));
        project
            .toolbox(&["down"])
            .exits(1)
            .error(&["is not the one on file", &sshd.host_keys[0].fingerprint(), &old.fingerprint()])
            .hint(&["someone may be in between", "line 2 of", "ssh-keygen -R"]);
        assert!(!sshd.log().contains("Accepted"), "{}", sshd.log());
    });
}

#[test]
fn refused_login_names_user_and_key() {
    behind_sshd("stranger", |project, sshd| {
        std::fs::write(sshd.path("authorized_keys"), "").unwrap();
        project
            .toolbox(&["down"])
            .exits(1)
            .error(&["127.0.0.1 does not let", "in with any identity", "ssh-ed25519 SHA256:"])
            .hint(&["ansible_user", "authorized_keys"]);
    });
}

#[test]
fn user_without_rights_on_the_engine_and_without_sudo_is_told_how_to_get_them() {
    let Some(setting) = Setting::new("norights", &READY) else {
        return;
    };
    setting.project.host("visitor", 22, "");
    setting
        .project
        .toolbox(&["deploy"])
        .exits(1)
        .error(&["vm: user visitor may not use the container engine and cannot become root by sudo"])
        .hint(&["usermod -aG docker visitor"]);
    assert!(setting.machine.engine().all_containers(&setting.project.name).is_empty());
}

const WITHOUT_DOCKER: Kind = Kind { engine: State::Absent, ..READY };

#[test]
fn user_who_may_not_install_docker_is_told_how_to_get_the_rights() {
    let Some(setting) = Setting::new("noinstall", &WITHOUT_DOCKER) else {
        return;
    };
    setting.project.host("visitor", 22, "");
    let run = setting.project.toolbox(&["deploy"]).exits(1);
    run.error(&["vm: the container engine is not installed and user visitor cannot become root by sudo"])
        .hint(&["log in as root", "/etc/sudoers.d/visitor"]);
}

#[test]
fn host_without_a_way_to_its_package_archive_cannot_get_docker() {
    let Some(setting) = Setting::new("noarchive", &WITHOUT_DOCKER) else {
        return;
    };
    let run = setting.project.toolbox(&["plan"]).exits(0);
    run.prints("+ install Docker from the host's own package archive (the host has no container engine)");
    // Here the program is in the host's own network, so that it has no way either.
    setting
        .project
        .toolbox(&["deploy"])
        .exits(1)
        .tells("its packages come through this machine")
        .error(&["vm: installing Docker failed", "toolbox does not reach"])
        .hint(&["this machine cannot reach the archive either", "http_proxy", "toolbox bundle"])
        .prints("failed, nothing changed");
}

#[test]
fn host_of_another_family_cannot_get_docker() {
    let kind = Kind { hidden: &["/usr/bin/apt-get"], ..WITHOUT_DOCKER };
    let Some(setting) = Setting::new("noapt", &kind) else {
        return;
    };
    setting
        .project
        .toolbox(&["deploy"])
        .exits(1)
        .error(&["vm: Docker is not installed and", "has no apt-get"])
        .hint(&["install Docker on the host with its own package manager"]);
}

#[test]
fn port_that_a_container_of_another_project_publishes_is_named_with_the_container() {
    let Some(setting) = Setting::new("porttaken", &READY).map(Setting::deployed) else {
        return;
    };
    let earlier = setting.id();
    let other = Project::on("portwanted", &setting.machine);
    other.compose(&crate::deploy::compose(&setting.image.name, ""));
    other
        .toolbox(&["deploy"])
        .exits(2)
        .error(&["vm: service web: port 8080 is taken on the host by container", &setting.project.container("web")])
        .hint(&["stop that container"]);
    assert!(setting.machine.engine().all_containers(&other.name).is_empty());
    setting.runs_only(&earlier);
}

#[test]
fn port_that_a_process_listens_on_is_found_before_anything_is_sent() {
    let Some(setting) = Setting::new("portprocess", &READY) else {
        return;
    };
    let mut process = setting.machine.serve(8080);
    setting
        .project
        .toolbox(&["deploy"])
        .exits(2)
        .error(&["vm: service web: port 8080 is taken on the host by another process"])
        .hint(&["ss -ltnp 'sport = :8080'"]);
    let engine: Engine = setting.machine.engine();
    assert!(!engine.succeeds(&["image", "inspect", &setting.image.name]));
    process.kill().unwrap();
    process.wait().unwrap();
    setting.deployed();
}
