//! The keys of a service.

use super::Keys;

const LINKS: &str = "services reach each other by name over the networks that they share";
const WINDOWS: &str = "it is for Windows containers";
const MODELS: &str = "an engine alone runs no models or providers";
const HOOKS: &str = "write x-toolbox.hooks for commands around a deploy";

/// A service.
pub(in crate::compose) const SERVICE: Keys = Keys {
    known: &[
        "annotations",
        "blkio_config",
        "build",
        "cap_add",
        "cap_drop",
        "cgroup",
        "cgroup_parent",
        "command",
        "configs",
        "container_name",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "cpus",
        "cpuset",
        "depends_on",
        "deploy",
        "device_cgroup_rules",
        "devices",
        "dns",
        "dns_opt",
        "dns_search",
        "domainname",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extends",
        "extra_hosts",
        "gpus",
        "group_add",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "ipc",
        "label_file",
        "labels",
        "logging",
        "mem_limit",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "network_mode",
        "networks",
        "oom_kill_disable",
        "oom_score_adj",
        "pid",
        "pids_limit",
        "platform",
        "ports",
        "privileged",
        "profiles",
        "read_only",
        "restart",
        "runtime",
        "scale",
        "secrets",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "storage_opt",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "userns_mode",
        "uts",
        "volumes",
        "working_dir",
        "x-toolbox",
    ],
    without_effect: &["attach", "develop", "pull_policy", "pull_refresh_after"],
    refused: &[
        ("cpu_count", WINDOWS),
        ("cpu_percent", WINDOWS),
        ("credential_spec", WINDOWS),
        ("external_links", LINKS),
        ("isolation", WINDOWS),
        ("links", LINKS),
        ("mac_address", "a container cannot share it with its successor"),
        ("models", MODELS),
        ("post_start", HOOKS),
        ("pre_stop", HOOKS),
        ("provider", MODELS),
        ("use_api_socket", "it would give the container the host; mount the socket by volumes if you want that"),
        ("volumes_from", "mount the same named volume in both services"),
    ],
};

/// One of `blkio_config.weight_device` and its kin.
pub(in crate::compose) const BLKIO_DEVICE: Keys = Keys::only(&["path", "rate", "weight"]);

/// `blkio_config:`.
pub(in crate::compose) const BLKIO: Keys = Keys::only(&[
    "device_read_bps",
    "device_read_iops",
    "device_write_bps",
    "device_write_iops",
    "weight",
    "weight_device",
]);

/// A port in its long form; what is without effect says nothing to a single engine.
pub(in crate::compose) const PORT: Keys = Keys {
    known: &["host_ip", "protocol", "published", "target"],
    without_effect: &["app_protocol", "mode", "name"],
    refused: &[],
};

/// A mount in its long form.
pub(in crate::compose) const MOUNT: Keys = Keys {
    known: &["bind", "read_only", "source", "target", "tmpfs", "type", "volume"],
    without_effect: &["consistency"],
    refused: &[("image", "engines before 28 cannot mount an image")],
};

/// `bind:` of a mount.
pub(in crate::compose) const MOUNT_BIND: Keys = Keys {
    known: &["create_host_path", "propagation", "selinux"],
    without_effect: &[],
    refused: &[("recursive", "engines before 25 drop it silently")],
};

/// `volume:` of a mount.
pub(in crate::compose) const MOUNT_VOLUME: Keys = Keys {
    known: &["nocopy"],
    without_effect: &[],
    refused: &[
        ("labels", "write them under the top-level volumes"),
        ("subpath", "engines before 26 would mount the whole volume in its place"),
    ],
};

/// `tmpfs:` of a mount.
pub(in crate::compose) const MOUNT_TMPFS: Keys = Keys::only(&["mode", "size"]);

/// A service's place in a network.
pub(in crate::compose) const ATTACHMENT: Keys = Keys {
    known: &["aliases", "driver_opts", "ipv4_address", "ipv6_address", "link_local_ips"],
    without_effect: &[],
    refused: &[
        ("gw_priority", "engines before 28 drop it silently"),
        ("interface_name", "engines before 28 drop it silently"),
        ("mac_address", "engines before 25 drop it silently, and a container cannot share it with its successor"),
        ("priority", "networks are connected in the order of their names"),
    ],
};

/// A config or secret of a service in its long form.
pub(in crate::compose) const FILE_MOUNT: Keys = Keys::only(&["gid", "mode", "source", "target", "uid"]);

/// `healthcheck:`.
pub(in crate::compose) const HEALTHCHECK: Keys =
    Keys::only(&["disable", "interval", "retries", "start_interval", "start_period", "test", "timeout"]);

/// One entry of `depends_on:`.
pub(in crate::compose) const DEPENDENCY: Keys = Keys::only(&["condition", "required", "restart"]);

/// `extends:`.
pub(in crate::compose) const EXTENDS: Keys = Keys::only(&["file", "service"]);

/// One entry of `env_file:`.
pub(in crate::compose) const ENV_FILE: Keys = Keys::only(&["format", "path", "required"]);

/// `logging:`.
pub(in crate::compose) const LOGGING: Keys = Keys::only(&["driver", "options"]);

/// One entry of `ulimits:`.
pub(in crate::compose) const ULIMIT: Keys = Keys::only(&["hard", "soft"]);

/// One device in its long form.
pub(in crate::compose) const DEVICE: Keys = Keys::only(&["permissions", "source", "target"]);

/// One entry of `gpus:` or of `deploy.resources.reservations.devices:`.
pub(in crate::compose) const DEVICE_REQUEST: Keys =
    Keys::only(&["capabilities", "count", "device_ids", "driver", "options"]);

/// `build:`; toolbox does not build, the keys are only checked.
pub(in crate::compose) const BUILD: Keys = Keys {
    known: &[],
    without_effect: &[
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
    refused: &[],
};

/// `x-toolbox:` of a service: ours alone.
pub(in crate::compose) const TOOLBOX: Keys = Keys::only(&["drain", "hooks", "hosts", "proxy_protocol", "verify"]);

/// `x-toolbox.hooks:`.
pub(in crate::compose) const HOOKS_OF_SERVICE: Keys = Keys::only(&["after", "before"]);
