//! Replicas, how a service is replaced, and `x-toolbox`.

use std::time::Duration;

use super::{loaded, problems, web};
use crate::compose::*;

fn service(body: &str) -> Service {
    loaded(&web(body)).services.remove("web").unwrap()
}

#[test]
fn replicas_have_two_places_and_may_be_none() {
    for (body, expected) in [
        ("x-a: 1", 1),
        ("scale: 3", 3),
        ("deploy: {replicas: 0}", 0),
        ("scale: 2\ndeploy: {replicas: 2}", 2),
        ("deploy: {mode: global}", 1),
    ] {
        assert_eq!(service(body).replicas, expected, "{body}");
    }
}

#[test]
fn updates_and_rollbacks_are_read() {
    let read = service(
        "deploy:\n  update_config: {order: start-first, parallelism: 0, delay: 5s, failure_action: pause, monitor: 1m, max_failure_ratio: 0.0}\n  rollback_config: {order: stop-first}",
    );
    let expected = UpdateConfig {
        order: Some(UpdateOrder::StartFirst),
        parallelism: 0,
        delay: Duration::from_secs(5),
        failure_action: FailureAction::Pause,
        monitor: Some(Duration::from_secs(60)),
    };
    assert_eq!(read.update, expected);
    let rollback = read.rollback.unwrap();
    assert_eq!((rollback.order, rollback.failure_action), (Some(UpdateOrder::StopFirst), FailureAction::Pause));
    assert_eq!(service("x-a: 1").update.failure_action, FailureAction::Rollback);
}

#[test]
fn the_restart_policy_of_deploy_goes_before_restart() {
    for (body, expected) in [
        ("deploy: {restart_policy: {}}", RestartPolicy::Always),
        ("restart: always\ndeploy: {restart_policy: {condition: none}}", RestartPolicy::No),
        (
            "deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}",
            RestartPolicy::OnFailure { max: Some(3) },
        ),
        ("deploy: {restart_policy: {condition: any}}", RestartPolicy::Always),
    ] {
        assert_eq!(service(body).restart, expected, "{body}");
    }
}

#[test]
fn toolboxs_own_keys_are_read() {
    let read = service(
        "x-toolbox:\n  verify: http://localhost/\n  hosts: web\n  proxy_protocol: v2\n  drain: 1m\n  hooks:\n    before: ./manage 'migrate all'\n    after: [./one a, [./two, 'b c']]",
    )
    .toolbox;
    assert_eq!((read.hosts, read.drain), (vec!["web".to_owned()], Some(Duration::from_secs(60))));
    assert_eq!(read.proxy_protocol, Some(ProxyProtocol::V2));
    assert_eq!(read.hooks.before, [["./manage", "migrate all"]]);
    assert_eq!(read.hooks.after, [["./one", "a"], ["./two", "b c"]]);
    assert_eq!(service("x-toolbox: {hosts: [a, b]}").toolbox.hosts, ["a", "b"]);
    let project = loaded(&(web("x-a: 1") + "x-toolbox: {batch: 25%, keep_releases: 3}\n"));
    assert_eq!((project.toolbox.batch, project.toolbox.keep_releases), (Some(Batch::Percent(25)), Some(3)));
}

#[test]
fn what_rules_start_first_out_is_named() {
    let order = "deploy: {update_config: {order: start-first}}";
    let place = "5:37: services.web.deploy.update_config.order: start-first is ruled out by";
    for (body, reason) in [
        ("container_name: one", "container_name"),
        ("network_mode: host", "network_mode: host"),
        ("ports: ['53:53/udp']", "port 53/udp"),
        ("expose: ['53/udp']", "port 53/udp"),
    ] {
        let said = problems(&web(&format!("{body}\n{order}")));
        assert_eq!(said, format!("compose.yaml:{place} {reason} (take away one of the two)"), "{body}");
    }
    let guest = web(&format!("x-a: 1\n{order}")) + "  side: {image: i, pid: 'service:web'}\n";
    let said = problems(&guest);
    assert!(said.contains("ruled out by side shares its namespace"), "{said}");
    // One writer is the plan's concern: the file may know better.
    service(&format!("volumes: ['/d:/d']\n{order}"));
}

#[test]
fn problems_of_rollouts_name_their_place() {
    for (body, expected) in [
        ("scale: 2\ndeploy: {replicas: 3}", "4:12: services.web.scale: contradicts deploy.replicas, which is 3"),
        (
            "deploy: {mode: global, replicas: 2}",
            "4:38: services.web.deploy.replicas: a global service has one container on each host",
        ),
        ("container_name: one\nscale: 2", "5:12: services.web.scale: 2 containers cannot all have the container_name"),
        (
            "ports: ['53:53/udp']\nscale: 2",
            "5:12: services.web.scale: 2 containers cannot share the published port 53 (no relay can own it: port 53/udp)",
        ),
        (
            "ports: ['80:80']\ndeploy: {replicas: 2, update_config: {order: stop-first}}",
            "5:24: services.web.deploy.replicas: 2 containers cannot share the published port 80 (no relay can own it: update_config.order: stop-first)",
        ),
        (
            "deploy: {update_config: {max_failure_ratio: 0.1}}",
            "4:49: services.web.deploy.update_config.max_failure_ratio: only 0 is supported: the first failure counts (leave it out)",
        ),
        (
            "deploy: {rollback_config: {failure_action: rollback}}",
            "4:48: services.web.deploy.rollback_config.failure_action: must be pause or continue, not \"rollback\"",
        ),
        (
            "deploy: {restart_policy: {delay: 5s}}",
            "4:31: services.web.deploy.restart_policy.delay: not supported: the engine chooses the time between restarts, from 100 ms and doubling",
        ),
        (
            "deploy: {restart_policy: {max_attempts: 5}}",
            "4:45: services.web.deploy.restart_policy.max_attempts: counts only failures (write condition: on-failure beside it)",
        ),
        (
            "deploy: {placement: {constraints: [a]}}",
            "4:14: services.web.deploy.placement: not supported: only Swarm places by it; write x-toolbox.hosts",
        ),
        ("x-toolbox: {hosts: []}", "4:24: services.web.x-toolbox.hosts: names no host (leave it out for all hosts)"),
        ("x-toolbox: {hook: {}}", "4:17: services.web.x-toolbox.hook: unknown key (did you mean hooks?)"),
        (
            "container_name: one\nx-toolbox: {proxy_protocol: v2}",
            "5:33: services.web.x-toolbox.proxy_protocol: has no effect: no relay stands before a stop-first service (container_name) (leave it out, or what stands against it)",
        ),
        (
            "volumes: ['/d:/d']\nx-toolbox: {drain: 1m}",
            "5:24: services.web.x-toolbox.drain: has no effect: no relay stands before a stop-first service (/d has one writer; write update_config.order: start-first if it may have several) (leave it out, or what stands against it)",
        ),
        ("x-toolbox: {proxy_protocol: 2}", "4:33: services.web.x-toolbox.proxy_protocol: must be v1 or v2, not \"2\""),
        ("x-toolbox: {hooks: {before: ['']}}", "4:34: services.web.x-toolbox.hooks.before[0]: is no command"),
        (
            "x-toolbox: {hooks: {before: \"a 'b\"}}",
            "4:33: services.web.x-toolbox.hooks.before: the command has a quote ' that is not closed",
        ),
    ] {
        assert_eq!(problems(&web(body)), format!("compose.yaml:{expected}"), "{body}");
    }
    let top = |text: &str| problems(&(web("x-a: 1") + text));
    assert_eq!(top("x-toolbox: {keep_releases: 0}\n"), "compose.yaml:5:28: x-toolbox.keep_releases: must be 1 or more");
    assert_eq!(
        top("x-toolbox: {batches: 1}\n"),
        "compose.yaml:5:13: x-toolbox.batches: unknown key (did you mean batch?)"
    );
}

#[test]
fn one_port_on_different_hosts_is_no_contradiction() {
    let text = |a: &str, b: &str| {
        format!(
            "services:\n  a: {{image: i, ports: ['80:80'], x-toolbox: {{hosts: {a}}}}}\n  b: {{image: i, ports: ['80:80'], x-toolbox: {{hosts: {b}}}}}\n"
        )
    };
    assert_eq!(loaded(&text("[one]", "[two]")).services.len(), 2);
    assert!(problems(&text("[one, two]", "[two]")).contains("published already by the service \"a\""));
}
