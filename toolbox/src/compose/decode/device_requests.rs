//! Devices by what they can do, and limits of block devices: `gpus`, `deploy.resources.reservations.devices`,
//! `blkio_config`.

use std::collections::BTreeMap;

use super::Context;
use super::fields::Fields;
use super::values;
use crate::compose::keys;
use crate::compose::model::{Blkio, DeviceRequest};
use crate::yaml::{self, Node, Value};

/// `gpus: all` or a list of requests.
pub(super) fn gpus(c: &Context<'_>, node: &Node) -> Vec<DeviceRequest> {
    if let Value::Scalar { text, .. } = &node.value {
        if text != "all" {
            c.sink.report(node, format!("must be all or a list, not {text:?}"));
        }
        return vec![DeviceRequest { count: Some(-1), capabilities: vec!["gpu".into()], ..DeviceRequest::default() }];
    }
    let mut all: Vec<DeviceRequest> = requests(c, node);
    for request in all.iter_mut().filter(|request| !request.capabilities.iter().any(|name| name == "gpu")) {
        request.capabilities.push("gpu".into());
    }
    all
}

/// `deploy.resources.reservations.devices`.
pub(super) fn reserved(c: &Context<'_>, node: &Node) -> Vec<DeviceRequest> {
    for item in yaml::items(c.sink, node).iter().filter(|item| item.get("capabilities").is_none()) {
        c.sink.report_hint(item, "capabilities is missing", "capabilities: [gpu]");
    }
    requests(c, node)
}

fn requests(c: &Context<'_>, node: &Node) -> Vec<DeviceRequest> {
    yaml::items(c.sink, node).iter().map(|item| request(c, item)).collect()
}

fn request(c: &Context<'_>, item: &Node) -> DeviceRequest {
    let fields = Fields::new(c.sink, item, &keys::DEVICE_REQUEST);
    let device_ids = fields.strings("device_ids");
    let count = fields.converted("count", count);
    if let (Some(node), false) = (fields.get("count"), device_ids.is_empty()) {
        c.sink.report(node, "count and device_ids exclude each other");
    }
    DeviceRequest {
        driver: fields.text("driver").unwrap_or_default(),
        count: count.or_else(|| device_ids.is_empty().then_some(-1)),
        device_ids,
        capabilities: fields.strings("capabilities"),
        options: fields.pairs("options"),
    }
}

fn count(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(count) if count >= -1 => Ok(count),
        _ if text == "all" => Ok(-1),
        _ => Err(format!("must be all or a number, not {text:?}")),
    }
}

/// A device of the container device interface, `vendor.com/class=name`.
pub(super) fn cdi(name: &str) -> DeviceRequest {
    DeviceRequest { driver: "cdi".into(), device_ids: vec![name.to_owned()], ..DeviceRequest::default() }
}

/// `blkio_config:`.
pub(super) fn blkio(c: &Context<'_>, node: &Node) -> Blkio {
    let fields = Fields::new(c.sink, node, &keys::BLKIO);
    let bytes = |text: &str| values::bytes(text).and_then(|n| i64::try_from(n).map_err(|e| e.to_string()));
    let count = |text: &str| text.parse().map_err(|_| format!("{text:?} is no whole number"));
    Blkio {
        weight: fields.converted("weight", weight),
        weight_device: devices(fields, "weight_device", "weight", weight),
        device_read_bps: devices(fields, "device_read_bps", "rate", bytes),
        device_read_iops: devices(fields, "device_read_iops", "rate", count),
        device_write_bps: devices(fields, "device_write_bps", "rate", bytes),
        device_write_iops: devices(fields, "device_write_iops", "rate", count),
    }
}

fn weight(text: &str) -> Result<u16, String> {
    let weight = text.parse().ok().filter(|weight| *weight == 0 || (10..=1000).contains(weight));
    weight.ok_or_else(|| format!("must be a weight from 10 to 1000, not {text:?}"))
}

fn devices<T>(
    fields: Fields<'_>,
    key: &str,
    value: &str,
    convert: impl Fn(&str) -> Result<T, String>,
) -> BTreeMap<String, T> {
    let items = fields.get(key).map_or(&[][..], |node| yaml::items(fields.sink, node));
    let one = |item| {
        let item = Fields::new(fields.sink, item, &keys::BLKIO_DEVICE);
        if let Some(missing) = ["path", value].into_iter().find(|key| item.get(key).is_none()) {
            fields.sink.report(item.node, format!("{missing} is missing"));
        }
        Some((item.filled("path")?, item.converted(value, &convert)?))
    };
    items.iter().filter_map(one).collect()
}
