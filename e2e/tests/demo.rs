//! The demo, from nothing to the clock in a browser. Each scenario stands alone and takes over a demo that is up; in
//! the order of their names the machine boots once and the last one takes it away.

use std::collections::BTreeSet;
use std::time::Instant;

use e2e::{Browser, Checkout, Crowd, artefacts, clock, docker, get, unix_now};

#[test]
fn a_bare_vm_must_serve_the_clock_after_one_command() {
    let demo = Checkout::with_demo();
    let (status, page) = get(&demo.url("/"));
    assert_eq!(status, 200);
    assert!(page.contains("<title>Clocker</title>"), "{page}");
    // The best of five: a busy machine may hold one answer up, but none may be early or late by itself.
    let off = (0..5).map(|_| {
        let before = unix_now();
        let told = clock(&demo.url("/clock"));
        if told < before { before - told } else { (told - unix_now()).max(0.0) }
    });
    let off = off.fold(f64::MAX, f64::min);
    println!("the clock is {off:.3} s off");
    assert!(off < 1.0, "the clock is {off} s off");
}

#[test]
fn a_second_run_must_change_nothing() {
    let demo = Checkout::with_demo();
    let run = demo.run_sh(&[]).expect_success();
    println!("the second ./run.sh took {:.1} s", run.took.as_secs_f64());
    assert!(run.text.contains("nothing to do"), "{}", run.text);
    assert!(run.text.contains("changed=0") && run.text.contains("unchanged=2"), "{}", run.text);
    assert!(run.text.contains("Nothing changed on this machine"), "{}", run.text);
    let plan = demo.run_sh(&["plan", "--", "--detailed-exitcode"]).expect_success();
    assert!(plan.text.contains("nothing to do"), "{}", plan.text);
}

#[test]
fn an_encrypted_key_must_work() {
    let demo = Checkout::with_demo();
    let (key, phrase) = (artefacts().join("encrypted_key"), artefacts().join("passphrase"));
    let _ = std::fs::remove_file(&key);
    std::fs::copy(demo.root().join(".toolbox/keys/id_rsa"), &key).expect("the demo's key");
    std::fs::copy(demo.root().join(".toolbox/keys/id_rsa.pub"), key.with_extension("pub")).expect("its public half");
    let mut keygen = std::process::Command::new("ssh-keygen");
    keygen.args(["-q", "-p", "-P", "", "-N", "correct horse", "-f"]).arg(&key);
    assert!(keygen.status().expect("ssh-keygen").success());
    std::fs::write(&phrase, "correct horse\n").expect("the passphrase");
    let (key, phrase) = (key.display().to_string(), phrase.display().to_string());
    let run = demo.run_sh_with(&["deploy", "--key", &key], &[("TOOLBOX_SSH_PASSPHRASE_FILE", &phrase)]);
    assert!(run.expect_success().text.contains("nothing to do"));
    std::fs::write(&phrase, "wrong horse\n").expect("the passphrase");
    let run = demo.run_sh_with(&["deploy", "--key", &key], &[("TOOLBOX_SSH_PASSPHRASE_FILE", &phrase)]);
    assert_eq!(run.status, 2, "{}", run.text);
    assert!(run.text.contains("the passphrase does not open the private key"), "{}", run.text);
}

/// A client's own address would be one that the guest's Docker may give to a network of its own: answers would be lost.
#[test]
fn clients_must_reach_the_vm_from_its_own_network() {
    let demo = Checkout::with_demo();
    let connection = demo.on_vm("echo $SSH_CONNECTION");
    assert!(connection.starts_with("10.0.2.2 "), "{connection}");
}

#[test]
fn docker_compose_on_the_host_must_list_the_project() {
    let demo = Checkout::with_demo();
    demo.on_vm("apt-get -q install -y --no-install-recommends docker-compose >/dev/null");
    let listed = demo.on_vm("docker compose ls");
    let line = listed.lines().find(|l| l.starts_with(demo.project())).unwrap_or_else(|| panic!("{listed}"));
    assert!(line.contains("running("), "{line}"); // some versions count the relays and the keeper too
    let services = demo.on_vm(&format!("docker compose -p {} ps --services", demo.project()));
    assert_eq!(services.lines().collect::<Vec<_>>(), ["clock-backend", "frontend"]);
}

#[test]
fn every_process_of_ours_must_run_without_root() {
    let demo = Checkout::with_demo();
    let tops = demo.on_vm("for c in $(docker ps -q); do docker top $c -eo pid,uid,args; done");
    let uids: Vec<&str> = tops.lines().filter_map(|l| l.split_whitespace().nth(1)).filter(|u| *u != "UID").collect();
    assert!(uids.len() >= 3, "{tops}");
    assert!(uids.iter().all(|uid| uid.parse::<u32>().is_ok_and(|u| u != 0)), "{tops}");
    let filter = format!("label=com.docker.compose.project={}", demo.project());
    for container in docker(&["ps", "-q", "--filter", &filter]).lines() {
        let top = docker(&["top", container, "-eo", "pid,uid,args"]);
        assert!(!top.lines().any(|l| l.split_whitespace().nth(1) == Some("0")), "{top}");
    }
    for image in ["toolbox", "clock-backend", "clock-frontend", "toolbox-vm"] {
        let user = docker(&["image", "inspect", "--format", "{{.Config.User}}", image]);
        assert!(!["", "0", "root"].contains(&user.trim()), "{image} runs as {user:?}");
    }
}

#[test]
fn images_must_stay_small() {
    Checkout::with_demo();
    for (image, limit) in [("toolbox", 25_000_000), ("clock-backend", 4_000_000)] {
        let size = docker(&["image", "inspect", "--format", "{{.Size}}", image]);
        let size: u64 = size.trim().parse().expect("a size");
        println!("{image}: {size} bytes");
        assert!(size <= limit, "{image} has {size} bytes");
    }
}

/// How often the services are replaced under load, unless `E2E_REDEPLOYS` says so: each takes a while on an emulated
/// machine.
const REDEPLOYS: usize = 5;

#[test]
#[ignore = "many minutes on an emulated machine; run with --include-ignored"]
fn not_one_request_may_fail_while_both_services_are_redeployed_again_and_again() {
    let demo = Checkout::with_demo();
    let rounds = std::env::var("E2E_REDEPLOYS").map_or(REDEPLOYS, |n| n.parse().expect("E2E_REDEPLOYS is a number"));
    let mut seen = services(demo);
    let began = Instant::now();
    let crowd = Crowd::gather(&[demo.url("/"), demo.url("/clock")]);
    for round in 1..=rounds {
        let environment = format!("{{environment: {{ROUND: \"{round}\"}}}}");
        // The last one is compose.yaml's own, as the next scenario wants it.
        let files = if round < rounds {
            demo.write("round.yaml", &format!("services: {{clock-backend: {environment}, frontend: {environment}}}\n"));
            &["deploy", "--", "-f", "compose.yaml", "-f", "round.yaml"][..]
        } else {
            &["deploy"]
        };
        let took = demo.run_sh(files).expect_success().took;
        println!("redeploy {round} of {rounds} took {:.1} s", took.as_secs_f64());
        let now = services(demo);
        assert!(now.len() == 2 && now.is_disjoint(&seen), "{now:?} are not both new");
        seen.extend(now);
    }
    let took = began.elapsed().as_secs_f64();
    let tally = crowd.leave();
    println!(
        "{rounds} redeploys of both services in {took:.0} s: {} requests, {} failed, the slowest took {:.2} s",
        tally.well + tally.failed.len(),
        tally.failed.len(),
        tally.slowest.as_secs_f64()
    );
    assert!(tally.failed.is_empty(), "{}", tally.failed.join("\n"));
    assert!(tally.well > 100, "{} requests", tally.well);
}

/// The ids of the services' containers that run on the VM.
fn services(demo: &Checkout) -> BTreeSet<String> {
    demo.on_vm("docker ps -q --no-trunc --filter label=io.toolbox.role=service").lines().map(str::to_owned).collect()
}

/// What the release needs is on the host: the file that it was made from is gone.
#[test]
#[ignore = "many minutes on an emulated machine; run with --include-ignored"]
fn rollback_must_bring_back_the_page_of_the_release_before() {
    let demo = Checkout::with_demo();
    let marked = || get(&demo.url("/")).1.ends_with("<!-- marked -->\n");
    let page = std::fs::read_to_string(demo.root().join("frontend/index.html")).expect("the page");
    demo.write("page.html", &format!("{page}<!-- marked -->\n"));
    demo.write("marked.yaml", MARKED);
    demo.run_sh(&["deploy", "--", "-f", "compose.yaml", "-f", "marked.yaml"]).expect_success();
    assert!(marked());
    demo.run_sh(&["deploy"]).expect_success();
    assert!(!marked());
    demo.remove("page.html");
    demo.remove("marked.yaml");
    let run = demo.run_sh(&["toolbox", "rollback"]).expect_success();
    println!("{}\nthe rollback took {:.1} s", run.text, run.took.as_secs_f64());
    assert!(marked(), "{}", run.text);
    clock(&demo.url("/clock"));
    demo.run_sh(&["deploy"]).expect_success();
    assert!(!marked());
}

const MARKED: &str = "\
services:
  frontend:
    configs: [{source: page, target: /usr/share/nginx/html/index.html}]
configs:
  page: {file: ./page.html}
";

#[tokio::test]
async fn the_page_must_show_the_time_and_say_when_it_cannot() {
    let demo = Checkout::with_demo();
    let browser = Browser::open(1280, 800).await;
    browser.goto(&demo.url("/")).await;
    assert_eq!(browser.title().await, "Clocker");
    let first = browser.wait_for_text("time", is_time).await;
    let second = browser.wait_for_text("time", |t| is_time(t) && t != first).await;
    println!("the page showed {first}, then {second}");
    assert!(is_date(&browser.text("date").await));
    assert_eq!(browser.style("body", "backgroundColor").await, "rgb(0, 0, 0)");
    assert!(browser.style("#time", "fontFamily").await.contains("monospace"));
    assert_ne!(browser.style("#time", "textShadow").await, "none");
    std::fs::write(artefacts().join("clocker.png"), browser.screenshot().await).expect("the screenshot");

    let backend = format!("{}-clock-backend-1", demo.project());
    demo.on_vm(&format!("docker stop {backend}"));
    let complaint = browser.wait_for_text("status", |t| !t.is_empty()).await;
    println!("without a backend the page says {complaint:?}");
    std::fs::write(artefacts().join("clocker-down.png"), browser.screenshot().await).expect("the screenshot");
    demo.on_vm(&format!("docker start {backend}"));
    browser.wait_for_text("status", str::is_empty).await;
    let third = browser.wait_for_text("time", is_time).await;
    assert_ne!(third, second);
    browser.close().await;
}

/// Nothing of the project stays on the host but the images, and they are what makes the next deploy quick.
#[test]
#[ignore = "many minutes on an emulated machine; run with --include-ignored"]
fn the_project_must_be_gone_from_the_host_after_toolbox_down() {
    let demo = Checkout::with_demo();
    let filter = format!("--filter label=com.docker.compose.project={}", demo.project());
    let left = || {
        let listings = ["docker ps -aq", "docker network ls -q", "docker volume ls -q"];
        listings.map(|listing| demo.on_vm(&format!("{listing} {filter}")).lines().count())
    };
    // Both services with a relay before each, and the keeper with its volume.
    assert_eq!(left(), [5, 1, 1]);
    demo.run_sh(&["toolbox", "down"]).expect_success();
    assert_eq!(left(), [0, 0, 1], "the releases stay with the volume");
    demo.run_sh(&["toolbox", "down", "--volumes"]).expect_success();
    assert_eq!(left(), [0, 0, 0]);
    let run = demo.run_sh(&["deploy"]).expect_success();
    println!("a deploy with images that are there took {:.1} s", run.took.as_secs_f64());
    assert_eq!(left(), [5, 1, 1]);
}

/// The services come back by themselves, and the machine is the same one: same disk, same host key.
#[test]
fn the_vm_must_survive_a_restart() {
    let demo = Checkout::with_demo();
    let host_key = demo.on_vm("cat /etc/ssh/ssh_host_ed25519_key.pub");
    let filter = format!("label=com.docker.compose.project={}", demo.project());
    let vm = docker(&["ps", "-q", "--filter", &filter, "--filter", "label=com.docker.compose.service=vm"]);
    docker(&["restart", "--time", "60", vm.trim()]);
    let run = demo.run_sh(&[]).expect_success();
    println!("./run.sh after a restart took {:.0} s", run.took.as_secs_f64());
    assert_eq!(demo.on_vm("cat /etc/ssh/ssh_host_ed25519_key.pub"), host_key);
    assert!(run.text.contains("unchanged=2"), "{}", run.text);
}

#[test]
fn what_the_demo_made_must_be_gone_after_down() {
    let demo = Checkout::with_demo();
    let filter = format!("label=com.docker.compose.project={}", demo.project());
    let left = || {
        let listings = [vec!["ps", "-aq"], vec!["network", "ls", "-q"], vec!["volume", "ls", "-q"]];
        listings.map(|mut listing| {
            listing.extend(["--filter", &filter]);
            docker(&listing).lines().count()
        })
    };
    demo.run_sh(&["down"]).expect_success();
    let [containers, networks, volumes] = left();
    assert_eq!((containers, networks), (0, 0));
    assert!(volumes > 0, "down alone keeps the disk");
    demo.run_sh(&["down", "--volumes"]).expect_success();
    assert_eq!(left(), [0, 0, 0]);
    assert!(!demo.root().join(".toolbox").exists());
    // What a person wrote stays.
    let settings = std::fs::read_to_string(demo.root().join(".env")).expect("the person's .env");
    assert_eq!(settings, Checkout::own_settings());
}

fn is_time(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    parts.len() == 3 && parts.iter().all(|p| p.len() == 2 && p.parse::<u8>().is_ok())
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    parts.iter().map(|p| p.len()).eq([2, 2, 4]) && parts.iter().all(|p| p.parse::<u16>().is_ok())
}
