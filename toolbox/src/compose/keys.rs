//! The keys of the Compose Specification: those that toolbox carries out, and those that it knows and refuses.

/// A mapping's keys: carried out, and refused by name.
pub(super) struct Keys {
    /// Carried out, or without a meaning for a deploy.
    pub(super) known: &'static [&'static str],
    /// Refused as not supported yet.
    pub(super) later: &'static [&'static str],
}

/// The file itself.
pub(super) const TOP: Keys = Keys {
    known: &["version", "name", "services", "networks", "volumes", "configs", "secrets", "models"],
    later: &["include"],
};

/// A service.
pub(super) const SERVICE: Keys = Keys {
    known: &[
        "attach",
        "build",
        "cap_add",
        "cap_drop",
        "command",
        "container_name",
        "cpus",
        "depends_on",
        "deploy",
        "devices",
        "dns",
        "dns_opt",
        "dns_search",
        "domainname",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extra_hosts",
        "group_add",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "ipc",
        "labels",
        "logging",
        "mem_limit",
        "mem_reservation",
        "network_mode",
        "networks",
        "pid",
        "pids_limit",
        "platform",
        "ports",
        "privileged",
        "profiles",
        "pull_policy",
        "read_only",
        "restart",
        "scale",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "volumes",
        "working_dir",
    ],
    later: &[
        "annotations",
        "blkio_config",
        "cgroup",
        "cgroup_parent",
        "configs",
        "cpu_count",
        "cpu_percent",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "cpuset",
        "credential_spec",
        "develop",
        "device_cgroup_rules",
        "extends",
        "external_links",
        "gpus",
        "isolation",
        "label_file",
        "links",
        "mac_address",
        "mem_swappiness",
        "memswap_limit",
        "models",
        "oom_kill_disable",
        "oom_score_adj",
        "post_start",
        "pre_stop",
        "provider",
        "pull_refresh_after",
        "runtime",
        "secrets",
        "storage_opt",
        "use_api_socket",
        "userns_mode",
        "uts",
        "volumes_from",
    ],
};

/// `build:`; toolbox does not build, the keys are only checked.
pub(super) const BUILD: Keys = Keys {
    known: &[
        "additional_contexts",
        "args",
        "cache_from",
        "cache_to",
        "context",
        "dockerfile",
        "dockerfile_inline",
        "entitlements",
        "extra_hosts",
        "isolation",
        "labels",
        "network",
        "no_cache",
        "no_cache_filter",
        "platforms",
        "privileged",
        "provenance",
        "pull",
        "sbom",
        "secrets",
        "shm_size",
        "ssh",
        "tags",
        "target",
        "ulimits",
    ],
    later: &[],
};

/// A port in its long form; `name`, `app_protocol` and `mode` say nothing to a single engine.
pub(super) const PORT: Keys =
    Keys { known: &["app_protocol", "host_ip", "mode", "name", "protocol", "published", "target"], later: &[] };

/// A mount in its long form.
pub(super) const MOUNT: Keys = Keys {
    known: &["bind", "consistency", "read_only", "source", "target", "tmpfs", "type", "volume"],
    later: &["image"],
};

/// `bind:` of a mount.
pub(super) const MOUNT_BIND: Keys =
    Keys { known: &["create_host_path", "propagation", "selinux"], later: &["recursive"] };

/// `volume:` of a mount.
pub(super) const MOUNT_VOLUME: Keys = Keys { known: &["nocopy"], later: &["labels", "subpath"] };

/// `tmpfs:` of a mount.
pub(super) const MOUNT_TMPFS: Keys = Keys { known: &["mode", "size"], later: &[] };

/// A service's place in a network.
pub(super) const ATTACHMENT: Keys = Keys {
    known: &["aliases", "ipv4_address", "ipv6_address"],
    later: &["driver_opts", "gw_priority", "interface_name", "link_local_ips", "mac_address", "priority"],
};

/// `healthcheck:`.
pub(super) const HEALTHCHECK: Keys = Keys {
    known: &["disable", "interval", "retries", "start_interval", "start_period", "test", "timeout"],
    later: &[],
};

/// One entry of `depends_on:`.
pub(super) const DEPENDENCY: Keys = Keys { known: &["condition", "required", "restart"], later: &[] };

/// One entry of `env_file:`.
pub(super) const ENV_FILE: Keys = Keys { known: &["path", "required"], later: &["format"] };

/// `logging:`.
pub(super) const LOGGING: Keys = Keys { known: &["driver", "options"], later: &[] };

/// One entry of `ulimits:`.
pub(super) const ULIMIT: Keys = Keys { known: &["hard", "soft"], later: &[] };

/// One device in its long form.
pub(super) const DEVICE: Keys = Keys { known: &["permissions", "source", "target"], later: &[] };

/// `deploy:`.
pub(super) const DEPLOY: Keys = Keys {
    known: &["mode", "replicas", "resources"],
    later: &["endpoint_mode", "labels", "placement", "restart_policy", "rollback_config", "update_config"],
};

/// `deploy.resources:`.
pub(super) const RESOURCES: Keys = Keys { known: &["limits", "reservations"], later: &[] };

/// `deploy.resources.limits:`.
pub(super) const LIMITS: Keys = Keys { known: &["cpus", "memory", "pids"], later: &[] };

/// `deploy.resources.reservations:`.
pub(super) const RESERVATIONS: Keys =
    Keys { known: &["memory"], later: &["cpus", "devices", "generic_resources", "pids"] };

/// A network.
pub(super) const NETWORK: Keys = Keys {
    known: &["attachable", "driver", "driver_opts", "enable_ipv6", "external", "internal", "ipam", "labels", "name"],
    later: &["enable_ipv4"],
};

/// `ipam:` of a network.
pub(super) const IPAM: Keys = Keys { known: &["config", "driver"], later: &["options"] };

/// One pool of `ipam.config`.
pub(super) const IPAM_POOL: Keys = Keys { known: &["aux_addresses", "gateway", "ip_range", "subnet"], later: &[] };

/// A named volume.
pub(super) const VOLUME: Keys = Keys { known: &["driver", "driver_opts", "external", "labels", "name"], later: &[] };

/// `x-toolbox:` of a service: ours alone, so unknown keys in it are refused too.
pub(super) const TOOLBOX: Keys = Keys { known: &["verify"], later: &["hosts"] };
