//! Configs and secrets: what they hold, and where a service shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Context;
use super::fields::Fields;
use super::mounts::{from_home, is_new_target, mode};
use crate::compose::keys::{self, Keys};
use crate::compose::model::{Content, FileMount, FileObject, Service};
use crate::compose::source::clean;
use crate::yaml::{self, Node, Value};

type Services = BTreeMap<String, Service>;

/// The largest config or secret in bytes, on every engine.
const MAX_BYTES: u64 = 1024 * 1024;

/// What configs and secrets differ in.
pub(super) struct Kind {
    /// The section's key.
    section: &'static str,
    /// The word for one.
    word: &'static str,
    /// Where relative targets begin.
    directory: &'static str,
    keys: &'static Keys,
}

pub(super) const CONFIG: Kind = Kind { section: "configs", word: "config", directory: "/", keys: &keys::CONFIG };
pub(super) const SECRET: Kind =
    Kind { section: "secrets", word: "secret", directory: "/run/secrets", keys: &keys::SECRET };

/// The configs or secrets of a service, as files of its container.
pub(super) fn mounts(
    c: &Context<'_>,
    service: Fields<'_>,
    kind: &Kind,
    targets: &mut BTreeSet<PathBuf>,
) -> Vec<FileMount> {
    let items = service.get(kind.section).map_or(&[][..], |node| yaml::items(c.sink, node));
    let read = items.iter().filter_map(|item| Some((item, mount(c, item, kind)?)));
    read.filter(|(item, mount)| is_new_target(c, item, &mount.target, targets)).map(|(_, mount)| mount).collect()
}

fn mount(c: &Context<'_>, item: &Node, kind: &Kind) -> Option<FileMount> {
    let fields = match item.value {
        Value::Map(_) => Some(Fields::new(c.sink, item, &keys::FILE_MOUNT)),
        _ => None,
    };
    let source = match fields {
        Some(fields) => fields.filled("source"),
        None => yaml::text(c.sink, item).map(str::to_owned),
    };
    let Some(key) = source else {
        c.sink.report(item, "source is missing");
        return None;
    };
    let declared = if kind.section == "configs" { &c.config_keys } else { &c.secret_keys };
    if !declared.contains(key.as_str()) {
        let hint = format!("declare it under the top-level {}:", kind.section);
        c.sink.report_hint(item, format!("the {} {key:?} is not defined", kind.word), hint);
        return None;
    }
    let target = fields.and_then(|fields| fields.filled("target")).unwrap_or_else(|| key.clone());
    let id = |name: &str| fields.and_then(|fields| fields.integer(name)).unwrap_or(0);
    Some(FileMount {
        target: Path::new(kind.directory).join(target).to_string_lossy().into_owned(),
        uid: id("uid"),
        gid: id("gid"),
        mode: fields.and_then(|fields| fields.converted("mode", mode)).unwrap_or(0o444),
        key,
    })
}

/// The configs that services use.
pub(super) fn configs(c: &Context<'_>, root: &Node, services: &Services) -> BTreeMap<String, FileObject> {
    let used = services.values().flat_map(|service| &service.configs);
    objects(c, root, &CONFIG, &used.map(|mount| mount.key.as_str()).collect())
}

/// The secrets that services use.
pub(super) fn secrets(c: &Context<'_>, root: &Node, services: &Services) -> BTreeMap<String, FileObject> {
    let used = services.values().flat_map(|service| &service.secrets);
    objects(c, root, &SECRET, &used.map(|mount| mount.key.as_str()).collect())
}

fn objects(c: &Context<'_>, root: &Node, kind: &Kind, used: &BTreeSet<&str>) -> BTreeMap<String, FileObject> {
    let mut all = BTreeMap::new();
    for entry in root.get(kind.section).map_or(&[][..], |node| yaml::entries(c.sink, node)) {
        if !used.contains(&*entry.key) {
            kind.keys.check_unknown(c.sink, &entry.value);
            continue;
        }
        let object = object(c, Fields::new(c.sink, &entry.value, kind.keys), kind);
        all.extend(object.map(|object| (entry.key.to_string(), object)));
    }
    all
}

fn object(c: &Context<'_>, fields: Fields<'_>, kind: &Kind) -> Option<FileObject> {
    // What is refused was reported with its reason.
    if kind.keys.refused.iter().any(|(key, _)| fields.get(key).is_some()) {
        return None;
    }
    let content = content(c, fields, kind)?;
    Some(FileObject { digest: hex::encode(Sha256::digest(&*content)), content: Content(content) })
}

fn content(c: &Context<'_>, fields: Fields<'_>, kind: &Kind) -> Option<Zeroizing<Vec<u8>>> {
    let sources = ["file", "environment", "content"].into_iter().filter(|key| kind.keys.known.contains(key));
    let sources: Vec<&str> = sources.collect();
    let given: Vec<&str> = sources.iter().copied().filter(|key| fields.get(key).is_some()).collect();
    let [source] = given[..] else {
        c.sink.report(fields.node, format!("must have exactly one of {}", sources.join(", ")));
        return None;
    };
    let node = fields.get(source)?;
    let text = fields.filled(source)?;
    let bytes = match source {
        "file" => file(c, node, &text),
        "environment" => variable(c, node, &text),
        _ => Some(Zeroizing::new(text.into_bytes())),
    };
    bytes.filter(|bytes| is_small(c, node, bytes))
}

fn file(c: &Context<'_>, node: &Node, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let path = from_home(c, node, text)?;
    let path = clean(&c.working_dir.join(path));
    read(&path)
        .map_err(|e| {
            let message = format!("cannot read {}: {e}", path.display());
            c.sink.report_hint(node, message, format!("look at it: ls -l {}", path.display()));
        })
        .ok()
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = std::fs::File::open(path)?;
    // Room for all of it at once: growing would leave copies behind.
    let room = file.metadata()?.len().min(MAX_BYTES) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or_default()));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn variable(c: &Context<'_>, node: &Node, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let value = c.scopes.get(node, name);
    if value.is_none() {
        let hint = format!("set {name} in .env or in the environment");
        c.sink.report_hint(node, format!("the variable {name} is not set"), hint);
    }
    value.map(|value| Zeroizing::new(value.into_bytes()))
}

fn is_small(c: &Context<'_>, node: &Node, bytes: &[u8]) -> bool {
    let small = bytes.len() as u64 <= MAX_BYTES;
    if !small {
        let hint = "put it into the image or into a volume";
        c.sink.report_hint(node, format!("larger than {MAX_BYTES} bytes"), hint);
    }
    small
}
