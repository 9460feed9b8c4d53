//! Limits and reservations that the engine passes to the kernel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a container may use beyond `mem_limit`, `cpus` and `pids_limit`; the Engine API's units.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Length of a CPU period in microseconds.
    pub cpu_period: Option<i64>,
    /// CPU time in each period in microseconds.
    pub cpu_quota: Option<i64>,
    /// Length of a real-time period in microseconds.
    pub cpu_rt_period: Option<i64>,
    /// Real-time CPU time in each period in microseconds.
    pub cpu_rt_runtime: Option<i64>,
    /// Weight against other containers.
    pub cpu_shares: Option<i64>,
    /// The CPUs to run on, such as `0-2,5`.
    pub cpuset: Option<String>,
    /// Memory and swap together in bytes; -1 is no limit.
    pub memswap_limit: Option<i64>,
    /// From 0 to 100.
    pub mem_swappiness: Option<i64>,
    /// The kernel does not end processes of the container when memory is short.
    pub oom_kill_disable: bool,
    /// From -1000 (last to be ended) to 1000.
    pub oom_score_adj: Option<i64>,
    /// Limits of block devices.
    pub blkio: Option<Blkio>,
    /// Devices by what they can do: GPUs, and those of the container device interface.
    pub device_requests: Vec<DeviceRequest>,
}

/// `blkio_config`; the lists by path of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blkio {
    /// Weight against other containers, from 10 to 1000.
    pub weight: Option<u16>,
    /// The same for one device.
    pub weight_device: BTreeMap<String, u16>,
    /// Bytes read in a second.
    pub device_read_bps: BTreeMap<String, i64>,
    /// Reads in a second.
    pub device_read_iops: BTreeMap<String, i64>,
    /// Bytes written in a second.
    pub device_write_bps: BTreeMap<String, i64>,
    /// Writes in a second.
    pub device_write_iops: BTreeMap<String, i64>,
}

/// Devices that the engine chooses: `gpus`, `deploy.resources.reservations.devices`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The device driver, such as `nvidia` or `cdi`; empty for any.
    pub driver: String,
    /// How many; -1 is all, `None` where `device_ids` name them.
    pub count: Option<i64>,
    /// The devices.
    pub device_ids: Vec<String>,
    /// What they must be able to do, such as `gpu`.
    pub capabilities: Vec<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}
