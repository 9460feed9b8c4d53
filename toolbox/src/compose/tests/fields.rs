//! What each key of a service becomes.

use std::time::Duration;

use super::{loaded, web};
use crate::compose::*;

fn service(body: &str) -> Service {
    loaded(&web(body)).services.remove("web").unwrap()
}

#[test]
fn an_empty_service_has_the_defaults() {
    let service = service("x-anything: {a: 1}");
    assert_eq!(service.restart, RestartPolicy::No);
    assert_eq!(service.networks.keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!((service.command, service.entrypoint, service.healthcheck), (None, None, None));
    assert!(!service.has_build && !service.privileged && service.init.is_none());
}

#[test]
fn a_service_without_image_is_called_after_the_project() {
    let project = loaded("services: {web: {build: .}, api: {build: {context: x, args: [A]}, image: own:1}}");
    assert_eq!(project.services["web"].image, "shop-web");
    assert!(project.services["web"].has_build);
    assert_eq!(project.services["api"].image, "own:1");
}

#[test]
fn commands_are_texts_or_lists() {
    for (body, expected) in [
        ("command: echo 'a b' $$X", Some(vec!["echo", "a b", "$X"])),
        ("command: [echo, a b]", Some(vec!["echo", "a b"])),
        ("command: []", Some(vec![])),
        ("command: ''", Some(vec![])),
        ("command:", None),
    ] {
        let expected = expected.map(|words| words.into_iter().map(str::to_owned).collect());
        assert_eq!(service(body).command, expected, "{body}");
    }
}

#[test]
fn ports_are_short_or_long() {
    let service = service(
        "ports:\n  - 80:8080\n  - {target: 53, published: '5353', protocol: udp, host_ip: 127.0.0.1, mode: host}\n  - target: 9\nexpose: [7, '10-11/udp']",
    );
    let show: Vec<_> = service
        .ports
        .iter()
        .map(|p| format!("{:?} {:?} {} {:?}", p.host_ip, p.published, p.target, p.protocol))
        .collect();
    assert_eq!(show, ["None Some(80) 8080 Tcp", "Some(127.0.0.1) Some(5353) 53 Udp", "None None 9 Tcp"]);
    let expose: Vec<_> = service.expose.iter().map(|p| (p.port, p.protocol)).collect();
    assert_eq!(expose, [(7, Protocol::Tcp), (10, Protocol::Udp), (11, Protocol::Udp)]);
}

#[test]
fn mounts_are_short_or_long() {
    let text = web(
        "volumes:\n  - /abs/../x/./y:/a:ro,Z,rslave\n  - ~/z:/b\n  - data:/c:nocopy\n  - /anon\n  - {type: bind, source: /s, target: /d, read_only: true, bind: {create_host_path: false}}\n  - {type: volume, source: data, target: /e}\n  - {type: volume, target: /f}\n  - {type: tmpfs, target: /g, tmpfs: {size: 1m, mode: 01777}}\ntmpfs: [/run, '/tmp:size=1m']",
    ) + "volumes: {data: }\n";
    let project = loaded(&text);
    let web = &project.services["web"];
    let show: Vec<_> = web
        .mounts
        .iter()
        .map(|mount| {
            let source = match &mount.source {
                MountSource::Bind { path, create_host_path, propagation, selinux } => {
                    format!("{path} {create_host_path} {propagation:?} {selinux:?}")
                }
                MountSource::Volume { key, nocopy } => format!("{key} {nocopy}"),
                MountSource::Anonymous => "anonymous".into(),
                MountSource::Tmpfs { size, mode } => format!("{size:?} {mode:?}"),
            };
            format!("{source} at {}{}", mount.target, if mount.read_only { " ro" } else { "" })
        })
        .collect();
    assert_eq!(
        show,
        [
            "/x/y true Some(\"rslave\") Some(\"Z\") at /a ro",
            "/home/me/z true None None at /b",
            "data true at /c",
            "anonymous at /anon",
            "/s false None None at /d ro",
            "data false at /e",
            "anonymous at /f",
            "Some(1048576) Some(1023) at /g",
        ]
    );
    assert_eq!(web.tmpfs.iter().map(|(t, o)| format!("{t}={o}")).collect::<Vec<_>>(), ["/run=", "/tmp=size=1m"]);
}

#[test]
fn relative_binds_start_at_the_projects_directory() {
    let project = loaded(&web("volumes: ['./a/../b:/x', '.:/y']"));
    let paths: Vec<_> = project.services["web"]
        .mounts
        .iter()
        .map(|mount| match &mount.source {
            MountSource::Bind { path, .. } => path.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    let directory = project.working_dir.to_string_lossy();
    assert_eq!(paths, [format!("{directory}/b"), directory.into_owned()]);
}

#[test]
fn health_checks_take_the_engines_form() {
    let check = |body: &str| service(&format!("healthcheck:\n  {body}")).healthcheck.unwrap();
    assert_eq!(check("test: curl x").test, ["CMD-SHELL", "curl x"]);
    assert_eq!(check("test: [CMD, a, b]").test, ["CMD", "a", "b"]);
    assert_eq!(check("disable: true").test, ["NONE"]);
    let full = check("interval: 1m30s\n  timeout: 5s\n  start_period: 1h\n  start_interval: 500ms\n  retries: 3");
    assert_eq!(full.interval, Some(Duration::from_secs(90)));
    assert_eq!(full.start_interval, Some(Duration::from_millis(500)));
    assert_eq!((full.retries, full.test.len()), (Some(3), 0));
}

#[test]
fn restart_policies_and_dependencies_are_read() {
    for (text, expected) in [
        ("no", RestartPolicy::No),
        ("'no'", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("on-failure", RestartPolicy::OnFailure { max: None }),
        ("on-failure:3", RestartPolicy::OnFailure { max: Some(3) }),
        ("unless-stopped", RestartPolicy::UnlessStopped),
    ] {
        assert_eq!(service(&format!("restart: {text}")).restart, expected);
    }
    let text = web(
        "depends_on:\n  db: {condition: service_completed_successfully, restart: true}\n  gone: {condition: service_started, required: false}",
    ) + "  db: {image: d}\n";
    let expected = Dependency { condition: Condition::CompletedSuccessfully, required: true, restart: true };
    let web = loaded(&text).services.remove("web").unwrap();
    assert_eq!(web.depends_on.into_iter().collect::<Vec<_>>(), [("db".to_owned(), expected)]);
}

#[test]
fn resources_come_from_both_places() {
    let own = service("mem_limit: 64m\ncpus: 0.5\npids_limit: -1\nshm_size: 2gb\nmem_reservation: 1k");
    assert_eq!((own.mem_limit, own.nano_cpus, own.pids_limit), (Some(67_108_864), Some(500_000_000), Some(-1)));
    assert_eq!((own.shm_size, own.mem_reservation), (Some(2_147_483_648), Some(1024)));
    let deploy = service(
        "deploy:\n  mode: replicated\n  replicas: 1\n  resources:\n    limits: {cpus: '1.5', memory: 1g, pids: 9}\n    reservations: {memory: 5m}",
    );
    assert_eq!((deploy.mem_limit, deploy.nano_cpus, deploy.pids_limit), (Some(1 << 30), Some(1_500_000_000), Some(9)));
    assert_eq!(deploy.mem_reservation, Some(5 << 20));
    let limits = service("ulimits: {nproc: 100, nofile: {soft: 10, hard: -1}}").ulimits;
    assert_eq!((limits["nproc"].hard, limits["nofile"].soft, limits["nofile"].hard), (100, 10, -1));
}

#[test]
fn networks_carry_aliases_and_addresses() {
    let text = web("networks:\n  front:\n  back: {aliases: [db], ipv4_address: 10.1.0.9}")
        + "networks:\n  front: {driver: bridge, internal: true, labels: [a=b]}\n  back: {external: true, name: shared}\n  unused: {ipam: {config: [{subnet: 10.1.0.0/16}]}}\n";
    let project = loaded(&text);
    let web = &project.services["web"];
    assert_eq!(web.networks["back"].aliases, ["db"]);
    assert_eq!(web.networks["back"].ipv4_address.as_deref(), Some("10.1.0.9"));
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["back", "front"]);
    assert_eq!((project.networks["back"].name.as_str(), project.networks["back"].external), ("shared", true));
    assert_eq!(project.networks["front"].name, "shop_front");
    assert!(project.networks["front"].internal);
    let host = service("network_mode: host");
    assert!(host.networks.is_empty());
}

#[test]
fn the_other_keys_are_kept() {
    let service = service("labels: [a=b, c]\nextra_hosts: ['h:::1', 'g=host-gateway', 'i:[::2]']\ndevices: [/dev/null, {source: /dev/a, permissions: r}]\nsysctls: {net.core.somaxconn: 1024}\nlogging: {driver: local, options: {max-size: 1m}}\ndns: 1.1.1.1\ninit: true\nstop_grace_period: 1m\nuser: 1000:1000\npull_policy: never\nversion-x: 1".trim_end_matches("\nversion-x: 1"));
    assert_eq!(service.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["a=b", "c="]);
    assert_eq!(service.extra_hosts, ["g:host-gateway", "h:::1", "i:::2"]);
    assert_eq!(service.devices, ["/dev/null", "/dev/a:/dev/a:r"]);
    assert_eq!(service.sysctls["net.core.somaxconn"], "1024");
    assert_eq!(service.logging.unwrap().options["max-size"], "1m");
    assert_eq!(service.dns, ["1.1.1.1"]);
    assert_eq!((service.init, service.stop_grace_period), (Some(true), Some(Duration::from_secs(60))));
    assert_eq!(service.user.as_deref(), Some("1000:1000"));
}
