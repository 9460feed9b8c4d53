//! The answer of `docker compose config --format json`, rewritten into the form of our model.

use serde_json::{Map, Value, json};

/// Compose writes `$` twice, so that its answer is a compose file again.
pub(crate) fn unescaped(text: &str) -> String {
    text.replace("$$", "$")
}

/// The value with every text unescaped.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => unescaped(text).into(),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (unescaped(key), plain(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn list(value: &Value) -> Value {
    if value.is_null() { json!([]) } else { plain(value) }
}

fn map(value: &Value) -> Value {
    if value.is_null() { json!({}) } else { plain(value) }
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// A number, also one that is written as a text.
fn number(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.parse::<i64>().unwrap()),
        other => other.clone(),
    }
}

/// The first that is not null.
fn either(one: &Value, other: &Value) -> Value {
    if one.is_null() { number(other) } else { number(one) }
}

/// Go's `1m30s` as serde's Duration.
fn duration(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return Value::Null };
    let mut nanos = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let scale = match &tail[..unit_end] {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            unit => panic!("{unit}"),
        };
        nanos += number.parse::<f64>().unwrap() * scale;
        rest = &tail[unit_end..];
    }
    json!({"secs": (nanos / 1e9) as u64, "nanos": (nanos % 1e9) as u64})
}

fn nano_cpus(value: &Value) -> Value {
    value.as_f64().map_or(Value::Null, |cpus| json!((cpus * 1e9) as i64))
}

pub(crate) fn service(project: &str, name: &str, s: &Value) -> Value {
    let deploy = &s["deploy"];
    let limits = &deploy["resources"]["limits"];
    let reserved = &deploy["resources"]["reservations"];
    let mut all = json!({
        "name": name,
        "image": s["image"].as_str().map_or_else(|| format!("{project}-{name}"), unescaped),
        "has_build": !s["build"].is_null(),
        "command": plain(&s["command"]),
        "entrypoint": plain(&s["entrypoint"]),
        "ports": items(&s["ports"], port),
        "expose": s["expose"].as_array().into_iter().flatten().flat_map(exposed).collect::<Vec<_>>(),
        "mounts": items(&s["volumes"], mount),
        "tmpfs": s["tmpfs"].as_array().into_iter().flatten().map(tmpfs).collect::<Map<_, _>>(),
        "networks": entries(&s["networks"], attachment),
        "healthcheck": healthcheck(&s["healthcheck"]),
        "depends_on": entries(&s["depends_on"], dependency),
        "restart": restart(s),
        "extra_hosts": extra_hosts(&s["extra_hosts"]),
        "devices": items(&s["devices"], |d| json!([text(&d["source"]), text(&d["target"]), text(&d["permissions"])].map(|t| t.to_owned()).join(":"))),
        "ulimits": entries(&s["ulimits"], ulimit),
        "shm_size": number(&s["shm_size"]),
        "mem_limit": either(&s["mem_limit"], &limits["memory"]),
        "mem_reservation": either(&s["mem_reservation"], &reserved["memory"]),
        "nano_cpus": nano_cpus(if s["cpus"].is_null() { &limits["cpus"] } else { &s["cpus"] }),
        "pids_limit": either(&s["pids_limit"], &limits["pids"]),
        "stop_grace_period": duration(&s["stop_grace_period"]),
        "logging": logging(&s["logging"]),
        "configs": items(&s["configs"], |m| file_mount("/", m)),
        "secrets": items(&s["secrets"], |m| file_mount("/run/secrets/", m)),
        "replicas": deploy["replicas"].as_u64().or_else(|| s["scale"].as_u64()).unwrap_or(1),
        "update": update(&deploy["update_config"], "rollback"),
        "rollback": if deploy["rollback_config"].is_null() { Value::Null } else { update(&deploy["rollback_config"], "pause") },
        "resources": resources(s, reserved),
        "init": s["init"],
    });
    let texts = [
        "user",
        "working_dir",
        "hostname",
        "domainname",
        "container_name",
        "network_mode",
        "pid",
        "ipc",
        "stop_signal",
        "platform",
        "cgroup",
        "cgroup_parent",
        "runtime",
        "userns_mode",
        "uts",
    ];
    let lists =
        ["cap_add", "cap_drop", "security_opt", "group_add", "dns", "dns_search", "dns_opt", "device_cgroup_rules"];
    texts.iter().for_each(|key| all[key] = plain(&s[key]));
    lists.iter().for_each(|key| all[key] = list(&s[key]));
    all["environment"] = set_only(&s["environment"]);
    ["labels", "sysctls", "annotations", "storage_opt"].iter().for_each(|key| all[key] = map(&s[key]));
    ["read_only", "privileged", "tty", "stdin_open"].iter().for_each(|key| all[key] = flag(&s[key]).into());
    all
}

/// Compose shows a variable without a value as null and does not set it.
fn set_only(environment: &Value) -> Value {
    let mut environment = map(environment);
    environment.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    environment
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value, read: impl Fn(&Value) -> Value) -> Vec<Value> {
    value.as_array().into_iter().flatten().map(read).collect()
}

fn entries(value: &Value, read: impl Fn(&Value) -> Value) -> Value {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), read(value))).collect::<Map<_, _>>().into()
}

fn port(p: &Value) -> Value {
    json!({
        "host_ip": p["host_ip"],
        "published": p["published"].as_str().map(|text| text.parse::<u16>().unwrap()),
        "target": p["target"],
        "protocol": p["protocol"],
    })
}

/// `4000-4002/udp`, one each.
fn exposed(value: &Value) -> Vec<Value> {
    let (ports, protocol) = text(value).split_once('/').unwrap_or((text(value), "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let range = first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap();
    range.map(|port| json!({"port": port, "protocol": protocol})).collect()
}

fn mount(m: &Value) -> Value {
    let source = match text(&m["type"]) {
        "bind" => json!({"bind": {
            "path": plain(&m["source"]),
            "create_host_path": flag(&m["bind"]["create_host_path"]),
            "propagation": m["bind"]["propagation"],
            "selinux": m["bind"]["selinux"],
        }}),
        "tmpfs" => json!({"tmpfs": {"size": number(&m["tmpfs"]["size"]), "mode": m["tmpfs"]["mode"]}}),
        _ if m["source"].is_null() => json!("anonymous"),
        _ => json!({"volume": {"key": m["source"], "nocopy": flag(&m["volume"]["nocopy"])}}),
    };
    json!({"source": source, "target": m["target"], "read_only": flag(&m["read_only"])})
}

fn tmpfs(value: &Value) -> (String, Value) {
    let (target, options) = text(value).split_once(':').unwrap_or((text(value), ""));
    (target.to_owned(), options.into())
}

fn attachment(a: &Value) -> Value {
    json!({
        "aliases": list(&a["aliases"]),
        "ipv4_address": a["ipv4_address"],
        "ipv6_address": a["ipv6_address"],
        "link_local_ips": list(&a["link_local_ips"]),
        "driver_opts": map(&a["driver_opts"]),
    })
}

fn healthcheck(h: &Value) -> Value {
    if h.is_null() {
        return Value::Null;
    }
    let test = if flag(&h["disable"]) { json!(["NONE"]) } else { list(&h["test"]) };
    let periods = ["interval", "timeout", "start_period", "start_interval"];
    let mut all = json!({"test": test, "retries": h["retries"]});
    periods.iter().for_each(|key| all[key] = duration(&h[key]));
    all
}

fn dependency(d: &Value) -> Value {
    let condition = match text(&d["condition"]) {
        "service_started" => "started",
        "service_healthy" => "healthy",
        _ => "completed_successfully",
    };
    json!({"condition": condition, "required": flag(&d["required"]), "restart": flag(&d["restart"])})
}

fn restart(s: &Value) -> Value {
    let policy = &s["deploy"]["restart_policy"];
    let (word, max) = match policy["condition"].as_str() {
        Some("any") => ("always", Value::Null),
        Some("none") => ("no", Value::Null),
        Some(word) => (word, policy["max_attempts"].clone()),
        None => match text(&s["restart"]).split_once(':') {
            Some((word, max)) => (word, json!(max.parse::<u32>().unwrap())),
            None => (text(&s["restart"]), Value::Null),
        },
    };
    match word {
        "" | "no" => json!("no"),
        "on-failure" => json!({"on-failure": {"max": max}}),
        word => json!(word),
    }
}

fn extra_hosts(value: &Value) -> Vec<String> {
    let mut all: Vec<String> =
        value.as_array().into_iter().flatten().map(|item| text(item).replacen('=', ":", 1)).collect();
    all.sort();
    all
}

fn ulimit(u: &Value) -> Value {
    if u.is_number() { json!({"soft": u, "hard": u}) } else { u.clone() }
}

fn logging(l: &Value) -> Value {
    if l.is_null() { Value::Null } else { json!({"driver": l["driver"], "options": map(&l["options"])}) }
}

fn file_mount(directory: &str, m: &Value) -> Value {
    let target = m["target"].as_str().unwrap_or_else(|| text(&m["source"]));
    let target = if target.starts_with('/') { target.to_owned() } else { format!("{directory}{target}") };
    let id = |value: &Value| value.as_str().map_or(0, |text| text.parse::<u32>().unwrap());
    let mode = if m["mode"].is_null() { json!(0o444) } else { m["mode"].clone() };
    json!({"key": m["source"], "target": target, "uid": id(&m["uid"]), "gid": id(&m["gid"]), "mode": mode})
}

fn update(u: &Value, failed: &str) -> Value {
    let delay = if u["delay"].is_null() { json!({"secs": 0, "nanos": 0}) } else { duration(&u["delay"]) };
    json!({
        "order": u["order"],
        "parallelism": u["parallelism"].as_u64().unwrap_or(1),
        "delay": delay,
        "failure_action": u["failure_action"].as_str().unwrap_or(failed),
        "monitor": duration(&u["monitor"]),
    })
}

fn resources(s: &Value, reserved: &Value) -> Value {
    let mut all = json!({
        "cpuset": s["cpuset"],
        "oom_kill_disable": flag(&s["oom_kill_disable"]),
        "blkio": blkio(&s["blkio_config"]),
        "device_requests": items(&reserved["devices"], device_request),
    });
    let numbers = [
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "memswap_limit",
        "mem_swappiness",
        "oom_score_adj",
    ];
    numbers.iter().for_each(|key| all[key] = number(&s[key]));
    all
}

fn blkio(b: &Value) -> Value {
    if b.is_null() {
        return Value::Null;
    }
    let mut all = json!({"weight": b["weight"]});
    for key in ["weight_device", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops"] {
        let value = if key == "weight_device" { "Weight" } else { "Rate" };
        let devices = b[key].as_array().into_iter().flatten();
        all[key] = devices.map(|d| (text(&d["Path"]).to_owned(), number(&d[value]))).collect::<Map<_, _>>().into();
    }
    all
}

fn device_request(r: &Value) -> Value {
    let ids = list(&r["device_ids"]);
    let all = if ids == json!([]) { json!(-1) } else { Value::Null };
    json!({
        "driver": text(&r["driver"]),
        "count": if r["count"].is_null() { all } else { r["count"].clone() },
        "device_ids": ids,
        "capabilities": list(&r["capabilities"]),
        "options": map(&r["options"]),
    })
}

pub(crate) fn network(n: &Value) -> Value {
    let pool = |p: &Value| {
        json!({
            "subnet": p["subnet"],
            "gateway": p["gateway"],
            "ip_range": p["ip_range"],
            "aux_addresses": map(&p["aux_addresses"]),
        })
    };
    let ipam = &n["ipam"];
    json!({
        "name": n["name"],
        "external": flag(&n["external"]),
        "driver": n["driver"],
        "driver_opts": map(&n["driver_opts"]),
        "labels": map(&n["labels"]),
        "internal": flag(&n["internal"]),
        "attachable": flag(&n["attachable"]),
        "enable_ipv6": n["enable_ipv6"],
        "ipam": {"driver": ipam["driver"], "pools": items(&ipam["config"], pool), "options": map(&ipam["options"])},
    })
}

pub(crate) fn volume(v: &Value) -> Value {
    json!({
        "name": v["name"],
        "external": flag(&v["external"]),
        "driver": v["driver"],
        "driver_opts": map(&v["driver_opts"]),
        "labels": map(&v["labels"]),
    })
}
