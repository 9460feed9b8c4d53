//! `volumes:` and `tmpfs:` of a service.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Context;
use super::fields::Fields;
use crate::compose::keys;
use crate::compose::model::{Mount, MountSource};
use crate::compose::source::clean;
use crate::yaml::{self, Node, Value};

const PROPAGATION: [&str; 6] = ["private", "rprivate", "rshared", "rslave", "shared", "slave"];

/// The mounts of `volumes:` and `tmpfs:`; each target may stand once and is noted in `targets`.
pub(super) fn mounts(
    c: &Context<'_>,
    service: Fields<'_>,
    targets: &mut BTreeSet<PathBuf>,
) -> (Vec<Mount>, BTreeMap<String, String>) {
    let mut mounts = Vec::new();
    for item in service.get("volumes").map_or(&[][..], |node| yaml::items(c.sink, node)) {
        let mount = match &item.value {
            Value::Map(_) => long(c, item),
            _ => short(c, item),
        };
        if let Some(mount) = mount.filter(|mount| is_new_target(c, item, &mount.target, targets)) {
            let target = clean(Path::new(&mount.target)).to_string_lossy().into_owned();
            mounts.push(Mount { target, ..mount });
        }
    }
    (mounts, tmpfs(c, service, targets))
}

fn tmpfs(c: &Context<'_>, service: Fields<'_>, targets: &mut BTreeSet<PathBuf>) -> BTreeMap<String, String> {
    let Some(node) = service.get("tmpfs") else {
        return BTreeMap::new();
    };
    let mut mounts = BTreeMap::new();
    for text in yaml::strings(c.sink, node) {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        if is_new_target(c, node, target, targets) {
            mounts.insert(target.to_owned(), options.to_owned());
        }
    }
    mounts
}

/// Whether the container has nothing there yet; it must be an absolute path.
pub(super) fn is_new_target(c: &Context<'_>, node: &Node, target: &str, targets: &mut BTreeSet<PathBuf>) -> bool {
    if !target.starts_with('/') {
        c.sink.report(node, format!("the target must be an absolute path, not {target:?}"));
        return false;
    }
    if !targets.insert(clean(Path::new(target))) {
        c.sink.report(node, format!("two mounts at {target}"));
        return false;
    }
    true
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
fn short(c: &Context<'_>, item: &Node) -> Option<Mount> {
    let text = yaml::text(c.sink, item)?;
    let mut parts = text.split(':');
    let (first, second, third) = (parts.next()?, parts.next(), parts.next());
    if parts.next().is_some() || text.split(':').any(str::is_empty) {
        c.sink.report_hint(item, format!("{text:?} is no mount"), "write [source:]target[:options]");
        return None;
    }
    let Some(target) = second else {
        return Some(Mount { source: MountSource::Anonymous, target: first.into(), read_only: false });
    };
    let source = if first.starts_with(['/', '.', '~']) { bind(c, item, first)? } else { volume(c, item, first)? };
    let mut mount = Mount { source, target: target.into(), read_only: false };
    for option in third.unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
        if !apply_option(&mut mount, option) {
            c.sink.report(item, format!("the mount option {option:?} is not known here"));
        }
    }
    Some(mount)
}

fn apply_option(mount: &mut Mount, option: &str) -> bool {
    match (&mut mount.source, option) {
        (_, "ro") => mount.read_only = true,
        (_, "rw" | "cached" | "delegated" | "consistent") => {}
        (MountSource::Volume { nocopy, .. }, "nocopy") => *nocopy = true,
        // The engine labels its own volumes.
        (MountSource::Volume { .. }, "z" | "Z") => {}
        (MountSource::Bind { selinux, .. }, "z" | "Z") => *selinux = Some(option.into()),
        (MountSource::Bind { propagation, .. }, _) if PROPAGATION.contains(&option) => {
            *propagation = Some(option.into());
        }
        _ => return false,
    }
    true
}

fn long(c: &Context<'_>, item: &Node) -> Option<Mount> {
    let fields = Fields::new(c.sink, item, &keys::MOUNT);
    let source = match fields.text("type").as_deref() {
        Some("bind") => long_bind(c, fields),
        Some("volume") => long_volume(c, fields),
        Some("tmpfs") => Some(long_tmpfs(c, fields)),
        Some(kind) if unsupported(kind).is_some() => {
            let reason = unsupported(kind).unwrap_or_default();
            c.sink.report(fields.get("type")?, format!("mounts of type {kind} are not supported: {reason}"));
            None
        }
        Some(other) => {
            c.sink.report(fields.get("type")?, format!("must be bind, volume or tmpfs, not {other:?}"));
            None
        }
        None => {
            c.sink.report_hint(item, "type is missing", "bind, volume or tmpfs");
            None
        }
    };
    let Some(target) = fields.filled("target") else {
        c.sink.report(item, "target is missing");
        return None;
    };
    Some(Mount { source: source?, target, read_only: fields.flag("read_only") })
}

fn unsupported(kind: &str) -> Option<&'static str> {
    match kind {
        "npipe" => Some("they are for Windows containers"),
        "cluster" => Some("only Swarm has them"),
        "image" => Some("engines before 28 cannot mount an image"),
        _ => None,
    }
}

fn long_bind(c: &Context<'_>, fields: Fields<'_>) -> Option<MountSource> {
    let Some(path) = fields.filled("source") else {
        c.sink.report(fields.node, "source is missing");
        return None;
    };
    let mut source = bind(c, fields.get("source")?, &path)?;
    let options = fields.get("bind").map(|node| Fields::new(c.sink, node, &keys::MOUNT_BIND));
    if let (Some(options), MountSource::Bind { create_host_path, propagation, selinux, .. }) = (options, &mut source) {
        *create_host_path = options.maybe_flag("create_host_path").unwrap_or(true);
        *propagation = options.converted("propagation", |word| one_of(word, &PROPAGATION));
        *selinux = options.converted("selinux", |word| one_of(word, &["z", "Z"]));
    }
    Some(source)
}

fn long_volume(c: &Context<'_>, fields: Fields<'_>) -> Option<MountSource> {
    let options = fields.get("volume").map(|node| Fields::new(c.sink, node, &keys::MOUNT_VOLUME));
    let Some(key) = fields.filled("source") else {
        return Some(MountSource::Anonymous);
    };
    let mut source = volume(c, fields.get("source")?, &key)?;
    if let (Some(options), MountSource::Volume { nocopy, .. }) = (options, &mut source) {
        *nocopy = options.flag("nocopy");
    }
    Some(source)
}

fn long_tmpfs(c: &Context<'_>, fields: Fields<'_>) -> MountSource {
    let options = fields.get("tmpfs").map(|node| Fields::new(c.sink, node, &keys::MOUNT_TMPFS));
    MountSource::Tmpfs {
        size: options.and_then(|options| options.bytes("size")),
        mode: options.and_then(|options| options.converted("mode", mode)),
    }
}

/// Mode bits. A leading zero is demanded: 1777 without one would be decimal to one reader and octal to another.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    digits
        .and_then(|digits| u32::from_str_radix(digits, 8).ok())
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| format!("{text:?} is no mode in octal; write it with a leading zero, such as 01777"))
}

fn one_of(word: &str, known: &[&str]) -> Result<String, String> {
    if known.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(format!("must be one of {}, not {word:?}", known.join(", ")))
}

fn volume(c: &Context<'_>, node: &Node, key: &str) -> Option<MountSource> {
    if !c.volume_keys.contains(key) {
        let hint = format!("declare it under the top-level volumes:, or write ./{key} for a directory");
        c.sink.report_hint(node, format!("the volume {key:?} is not defined"), hint);
        return None;
    }
    Some(MountSource::Volume { key: key.to_owned(), nocopy: false })
}

fn bind(c: &Context<'_>, node: &Node, path: &str) -> Option<MountSource> {
    let path = from_home(c, node, path)?;
    Some(MountSource::Bind {
        path: clean(&c.working_dir.join(path)).to_string_lossy().into_owned(),
        create_host_path: true,
        propagation: None,
        selinux: None,
    })
}

/// The path with a `~` at its front followed.
pub(super) fn from_home(c: &Context<'_>, node: &Node, path: &str) -> Option<String> {
    let Some(rest) = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Some(path.to_owned());
    };
    let home = c.scopes.get(node, "HOME");
    if home.is_none() {
        c.sink.report(node, "~ cannot be followed, since HOME is not set");
    }
    home.map(|home| format!("{home}{rest}"))
}
