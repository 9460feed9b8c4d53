//! What is said about wrong files, to the letter.

use super::{problems, web};

/// Each row: the lines of the service `web` (they start at line 4, column 5) and what is said about them.
#[test]
fn problems_of_a_service_name_their_place() {
    for (body, expected) in [
        ("prots: [80]", "4:5: services.web.prots: unknown key (did you mean ports?)"),
        ("zebra: 1", "4:5: services.web.zebra: unknown key"),
        (
            "volumes_from: [a]",
            "4:5: services.web.volumes_from: not supported: mount the same named volume in both services",
        ),
        (
            "deploy: {mode: global-job}",
            "4:20: services.web.deploy.mode: must be replicated or global, not \"global-job\"",
        ),
        (
            "mem_limit: 1m\ndeploy: {resources: {limits: {memory: 2m}}}",
            "4:16: services.web.mem_limit: contradicts deploy.resources",
        ),
        (
            "ports: ['80:80', 'x']",
            "4:22: services.web.ports[1]: \"x\" is no port from 1 to 65535 (write [[address:]published:]target[/protocol])",
        ),
        (
            "ports: ['80:80', '127.0.0.1:80:81']",
            "4:22: services.web.ports[1]: the port 80/tcp is published already by the service \"web\" (publish another port, or on another address, or give them different x-toolbox.hosts)",
        ),
        ("ports: [{published: 80}]", "4:13: services.web.ports[0]: target is missing"),
        ("ports: {a: 1}", "4:12: services.web.ports: must be a list, not a mapping"),
        ("depends_on: [db]", "4:18: services.web.depends_on[0]: the service \"db\" is not defined"),
        (
            "depends_on: {web: {condition: healthy}}",
            "4:17: services.web.depends_on: the services wait for each other: web -> web (take one of them out of it)\ncompose.yaml:4:35: services.web.depends_on.web.condition: must be service_started, service_healthy or service_completed_successfully, not \"healthy\"",
        ),
        (
            "networks: [back]",
            "4:15: services.web.networks: the network \"back\" is not defined (declare it under the top-level networks:)",
        ),
        (
            "network_mode: host\nnetworks: [default]",
            "5:15: services.web.networks: networks and network_mode exclude each other",
        ),
        (
            "network_mode: foo",
            "4:19: services.web.network_mode: must be host, none, bridge, service:NAME or container:NAME, not \"foo\"",
        ),
        ("pid: service:db", "4:10: services.web.pid: the service \"db\" is not defined or not enabled"),
        (
            "volumes: ['data:/x']",
            "4:15: services.web.volumes[0]: the volume \"data\" is not defined (declare it under the top-level volumes:, or write ./data for a directory)",
        ),
        ("volumes: ['/a:b']", "4:15: services.web.volumes[0]: the target must be an absolute path, not \"b\""),
        ("volumes: ['/a:/b:bad']", "4:15: services.web.volumes[0]: the mount option \"bad\" is not known here"),
        ("volumes: ['/a:/b', '/c:/b/']", "4:24: services.web.volumes[1]: two mounts at /b/"),
        (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: 1777}}]",
            "4:55: services.web.volumes[0].tmpfs.mode: \"1777\" is no mode in octal; write it with a leading zero, such as 01777",
        ),
        (
            "stop_grace_period: 10",
            "4:24: services.web.stop_grace_period: \"10\" is no duration; write 90s, 1m30s or 500ms",
        ),
        (
            "mem_limit: lots",
            "4:16: services.web.mem_limit: \"lots\" is no size; write bytes, or a number with b, k, m or g, such as 64m",
        ),
        ("read_only: maybe", "4:16: services.web.read_only: must be true or false, not \"maybe\""),
        (
            "restart: sometimes",
            "4:14: services.web.restart: must be no, always, on-failure[:max] or unless-stopped, not \"sometimes\"",
        ),
        (
            "healthcheck: {test: [curl, x]}",
            "4:25: services.web.healthcheck.test: is no health check ([CMD, program, argument…], [CMD-SHELL, \"command\"] or [NONE])",
        ),
        ("healthcheck: {interval: 1us}", "4:29: services.web.healthcheck.interval: must be 1ms or more"),
        ("command: 'a \"b'", "4:14: services.web.command: the command has a quote \" that is not closed"),
        ("environment: [A=1]\nenvironment: {}", "5:5: services.web.environment: duplicate key (first at line 4)"),
        ("environment: {A: [1]}", "4:22: services.web.environment.A: must be a single value, not a list"),
        (
            "env_file: gone.env",
            "4:15: services.web.env_file: gone.env: cannot open: No such file or directory (os error 2) (make the file, or write its right path)",
        ),
        (
            "labels: {com.docker.compose.project: x}",
            "4:13: services.web.labels: the label \"com.docker.compose.project\" is reserved",
        ),
        (
            "container_name: a b",
            "4:21: services.web.container_name: \"a b\" is no container name: letters, digits, _, . and -, two or more",
        ),
        ("user: ''", "4:11: services.web.user: must not be empty"),
        (
            "hostname: ${H:?set H}",
            "4:15: services.web.hostname: required variable H is missing a value: set H (set H in .env or in the environment)",
        ),
        ("hostname: a$", "4:15: services.web.hostname: invalid interpolation at \"$\" (write $$ for a literal $)"),
        ("ulimits: {nofile: {soft: 5}}", "4:23: services.web.ulimits.nofile: hard is missing"),
        ("x-toolbox: {verfy: a}", "4:17: services.web.x-toolbox.verfy: unknown key (did you mean verify?)"),
        (
            "x-toolbox: {verify: 'https://a'}",
            "4:25: services.web.x-toolbox.verify: \"https://a\" is no URL to verify: it must start with http://",
        ),
    ] {
        assert_eq!(problems(&web(body)), format!("compose.yaml:{expected}"), "{body}");
    }
}

#[test]
fn problems_of_the_file_name_their_place() {
    for (text, expected) in [
        ("", "1:1: the file has no services"),
        (
            "services:\n  a: {image: i\n",
            "3:1: invalid YAML: while parsing a flow mapping, did not find expected ',' or '}'",
        ),
        ("services: [a]\n", "1:11: services: must be a mapping, not a list"),
        ("service: {}\nservices: {a: {image: i}}\n", "1:1: service: unknown key (did you mean services?)"),
        ("services:\n  a:\n", "2:3: services.a: has neither image nor build"),
        ("services:\n  a b: {image: i}\n", "2:3: services.a b: a name holds only letters, digits, ., _ and -"),
        (
            "name: Bad\nservices: {a: {image: i}}\nvolumes: {v: {drvier: x}}\n",
            "3:15: volumes.v.drvier: unknown key (did you mean driver?)",
        ),
        (
            "services: {a: {image: i, volumes: ['v1:/v']}}\nvolumes: {v1: {external: true, driver: x}}\n",
            "2:40: volumes.v1.driver: has no effect on what is external",
        ),
        (
            "services: {a: {image: i, networks: [n]}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0}]}}}\n",
            "2:41: networks.n.ipam.config[0].subnet: \"10.0.0.0\" is no subnet; write 10.1.0.0/16",
        ),
        (
            "services:\n  a: {image: shop/Web}\n",
            "2:14: services.a.image: image reference \"shop/Web\": repository \"shop/Web\" must be lower-case (write [registry/]name[:tag])",
        ),
        (
            "services:\n  b: {image: i, depends_on: [c]}\n  a: {image: i, depends_on: [b]}\n  c: {image: i, depends_on: [b]}\n",
            "2:29: services.b.depends_on: the services wait for each other: b -> c -> b (take one of them out of it)",
        ),
        (
            "services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i, profiles: [x]}\n",
            "2:30: services.a.depends_on[0]: the service \"b\" is under a profile that is not asked for (ask for its profile, or write required: false)",
        ),
        (
            "services:\n  a: {image: i, ports: ['80:1']}\n  b: {image: i, ports: ['80-81:1-2']}\n",
            "3:25: services.b.ports[0]: the port 80/tcp is published already by the service \"a\" (publish another port, or on another address, or give them different x-toolbox.hosts)",
        ),
        (
            "services:\n  a: {image: i, container_name: same}\n  b: {image: i, container_name: same}\n",
            "3:33: services.b.container_name: the name \"same\" is taken already by the service \"a\"",
        ),
    ] {
        assert_eq!(problems(text), format!("compose.yaml:{expected}"), "{text}");
    }
}

#[test]
fn all_problems_are_shown_together_in_the_files_order() {
    let said = problems("services:\n  b: {image: i, prots: 1, mem_limit: x}\n  a: {imgae: i}\nnetwork: {}\n");
    assert_eq!(
        said,
        "compose.yaml:2:17: services.b.prots: unknown key (did you mean ports?)\n\
         compose.yaml:2:38: services.b.mem_limit: \"x\" is no size; write bytes, or a number with b, k, m or g, such as 64m\n\
         compose.yaml:3:3: services.a: has neither image nor build\n\
         compose.yaml:3:7: services.a.imgae: unknown key (did you mean image?)\n\
         compose.yaml:4:1: network: unknown key (did you mean networks?)"
    );
}
