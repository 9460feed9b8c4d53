//! A service's further limits and namespaces as fields of the Engine API's `HostConfig`.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{DeviceRequest as ApiRequest, HostConfig, ResourcesBlkioWeightDevice, ThrottleDevice};

use crate::compose::{Blkio, DeviceRequest, Service};

/// A body with these fields alone.
pub(super) fn host_config(service: &Service) -> HostConfig {
    let limits = &service.resources;
    HostConfig {
        annotations: map(&service.annotations),
        cgroupns_mode: service.cgroup.as_deref().and_then(|mode| mode.parse().ok()),
        cgroup_parent: service.cgroup_parent.clone(),
        device_cgroup_rules: list(&service.device_cgroup_rules),
        runtime: service.runtime.clone(),
        storage_opt: map(&service.storage_opt),
        userns_mode: service.userns_mode.clone(),
        uts_mode: service.uts.clone(),
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: limits.cpu_rt_period,
        cpu_realtime_runtime: limits.cpu_rt_runtime,
        cpu_shares: limits.cpu_shares,
        cpuset_cpus: limits.cpuset.clone(),
        memory_swap: limits.memswap_limit,
        memory_swappiness: limits.mem_swappiness,
        oom_kill_disable: limits.oom_kill_disable.then_some(true),
        oom_score_adj: limits.oom_score_adj,
        device_requests: list(&limits.device_requests).map(|all| all.iter().map(device_request).collect()),
        ..limits.blkio.as_ref().map(blkio).unwrap_or_default()
    }
}

/// What of it `docker update` changes, where it is set, by the names in compose files; but for memory, CPUs and processes.
pub(super) fn limits(host: &HostConfig) -> BTreeMap<&'static str, String> {
    let numbers = [
        ("mem_reservation", host.memory_reservation),
        // -1 is also what a kernel without swap accounting makes of any.
        ("memswap_limit", host.memory_swap.filter(|bytes| *bytes > 0)),
        ("cpu_shares", host.cpu_shares),
        ("cpu_period", host.cpu_period),
        ("cpu_quota", host.cpu_quota),
        ("cpu_rt_period", host.cpu_realtime_period),
        ("cpu_rt_runtime", host.cpu_realtime_runtime),
        ("blkio_config.weight", host.blkio_weight.map(i64::from)),
    ];
    let numbers =
        numbers.into_iter().filter_map(|(name, number)| Some((name, number.filter(|n| *n != 0)?.to_string())));
    let sets = [("cpuset", &host.cpuset_cpus), ("cpuset_mems", &host.cpuset_mems)];
    let sets = sets.into_iter().filter_map(|(name, set)| Some((name, set.clone().filter(|set| !set.is_empty())?)));
    numbers.chain(sets).collect()
}

fn blkio(blkio: &Blkio) -> HostConfig {
    let weights = blkio.weight_device.iter().map(|(path, weight)| ResourcesBlkioWeightDevice {
        path: Some(path.clone()),
        weight: Some(usize::from(*weight)),
    });
    HostConfig {
        blkio_weight: blkio.weight,
        blkio_weight_device: Some(weights.collect()),
        blkio_device_read_bps: Some(throttle(&blkio.device_read_bps)),
        blkio_device_read_iops: Some(throttle(&blkio.device_read_iops)),
        blkio_device_write_bps: Some(throttle(&blkio.device_write_bps)),
        blkio_device_write_iops: Some(throttle(&blkio.device_write_iops)),
        ..Default::default()
    }
}

fn throttle(rates: &BTreeMap<String, i64>) -> Vec<ThrottleDevice> {
    rates.iter().map(|(path, rate)| ThrottleDevice { path: Some(path.clone()), rate: Some(*rate) }).collect()
}

fn device_request(request: &DeviceRequest) -> ApiRequest {
    ApiRequest {
        driver: Some(request.driver.clone()),
        count: request.count,
        device_ids: list(&request.device_ids),
        // The outer list is "one of", the inner "all of".
        capabilities: list(&request.capabilities).map(|all| vec![all]),
        options: map(&request.options),
    }
}

fn list<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}

fn map(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!map.is_empty()).then(|| map.clone().into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::host_config;
    use crate::compose::testing::project;

    #[test]
    fn further_limits_take_the_engines_units() {
        let project = project(
            "services:\n  a:\n    image: i\n    cgroup: host\n    cpu_quota: 50ms\n    memswap_limit: -1\n    gpus: all\n    \
             devices: [vendor.com/class=one]\n    annotations: {a: b}\n    userns_mode: host\n    \
             blkio_config: {weight: 300, device_read_bps: [{path: /dev/sda, rate: 1mb}]}\n",
        );
        let body = serde_json::to_value(host_config(&project.services["a"])).unwrap();
        let expected = serde_json::json!({
            "CgroupnsMode": "host",
            "CpuQuota": 50_000,
            "MemorySwap": -1,
            "UsernsMode": "host",
            "Annotations": {"a": "b"},
            "BlkioWeight": 300,
            "BlkioWeightDevice": [],
            "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1_048_576}],
            "BlkioDeviceWriteBps": [],
            "BlkioDeviceReadIOps": [],
            "BlkioDeviceWriteIOps": [],
            "DeviceRequests": [
                {"Driver": "", "Count": -1, "Capabilities": [["gpu"]]},
                {"Driver": "cdi", "DeviceIDs": ["vendor.com/class=one"]},
            ],
        });
        assert_eq!(body, expected);
    }
}
