//! A large change: every kind of operation in one plan.

use crate::compose::testing::project;
use crate::compose::{Content, FileMount, FileObject};
use crate::image::Digest;
use crate::plan::When;

use super::*;

const FILE: &str = "
name: shop
services:
  cache: {image: cache}
  db: {image: db, ports: ['82:5432/udp']}
  web: {image: web, ports: ['80:8080'], depends_on: {db: {condition: service_healthy}}}
  plain: {image: plain}
  api: {image: api}
  front: {image: front, ports: ['81:8080']}
  moved: {image: moved, ports: ['83:8080']}
  alone: {image: alone, ports: ['84:8080']}
  fresh: {image: fresh, ports: ['85:8080'], depends_on: {web: {condition: service_healthy}}}
volumes: {data: {}}
";

/// Services that change without a gap.
pub(super) const GAPLESS: [&str; 4] = ["web", "plain", "api", "cache"];
/// Every service that ran before.
pub(super) const SERVED: [&str; 8] = ["web", "plain", "api", "cache", "db", "front", "moved", "alone"];

pub(super) fn shop() -> Project {
    let mut project = hooked(project(FILE));
    let content = b"password".to_vec();
    let secret = FileObject { digest: Digest::of(&content).hex(), content: Content(content.into()) };
    project.secrets = [("password".to_owned(), secret)].into();
    let mount = FileMount { key: "password".into(), target: "/run/secrets/p".into(), uid: 0, gid: 0, mode: 0o400 };
    project.services.get_mut("db").unwrap().secrets = vec![mount];
    project
}

/// What runs before.
pub(super) fn host() -> FakeEngine {
    FakeEngine::default()
        .with_container("cache-1", "shop-cache-1", "running")
        .with_container("db-1", "shop-db-1", "running")
        .with_container_behind("web-1", "shop-web-1", "running")
        .with_container_behind("web-2", "shop-web-2", "running")
        .with_container_behind("web-0", "web-0_shop-web-1", "running")
        .with_relay("r-web", "toolbox.shop.web", &["web-0"], &[80])
        .with_container("plain-1", "shop-plain-1", "running")
        .with_container_behind("api-1", "shop-api-1", "running")
        .with_container_behind("api-2", "shop-api-2", "running")
        .with_relay("r-api", "toolbox.shop.api", &["api-1", "api-2"], &[])
        .with_container("front-1", "shop-front-1", "running")
        .holding("front-1", &[81])
        .with_container_behind("moved-1", "shop-moved-1", "running")
        .with_relay("r-moved", "toolbox.shop.moved", &["moved-1"], &[83])
        .with_container_behind("alone-1", "shop-alone-1", "running")
        .with_relay("r-alone", "toolbox.shop.alone", &["alone-1"], &[84])
        .watching(&GAPLESS)
}

/// Relays and where they send.
pub(super) fn routes(engine: &FakeEngine) -> Vec<(&'static str, BTreeSet<String>)> {
    let relays = ["toolbox.shop.web", "toolbox.shop.api", "toolbox.shop.moved", "toolbox.shop.alone"];
    relays.into_iter().map(|relay| (relay, engine.targets(relay))).collect()
}

pub(super) fn change() -> Plan {
    use UpdateOrder::{StartFirst, StopFirst};
    let removed = |service: &str, name: &str, id: &str| {
        let service = Some(service.to_owned());
        Action::RemoveContainer { service, container: name.into(), id: id.into(), volumes: true }
    };
    let retired = |service: &str, id: &str| {
        op(Action::RetireRelay { service: service.into(), relay: format!("toolbox.shop.{service}"), id: id.into() })
    };
    let operations = vec![
        op(Action::CreateNetwork { key: "default".into(), name: "shop_default".into() }),
        op(Action::CreateVolume { key: "data".into(), name: "shop_data".into() }),
        op(Action::CreateKeeper { name: "toolbox.shop".into() }),
        op(Action::StoreFiles { configs: vec![], secrets: vec!["password".into()] }),
        replace("db", StopFirst, &[(1, "db-1")]),
        left_over("web", "web-0_shop-web-1", "web-0"),
        hook("web", When::Before),
        replace("web", StartFirst, &[(1, "web-1"), (2, "web-2")]),
        create("web", 3),
        switch_relay("web"),
        hook("web", When::After),
        replace("plain", StartFirst, &[(1, "plain-1")]),
        replace("api", StartFirst, &[(1, "api-1")]),
        Operation { action: removed("api", "shop-api-2", "api-2"), cause: Cause::ScaledDown },
        replace("front", StartFirst, &[(1, "front-1")]),
        create_relay("front", None),
        replace("moved", StartFirst, &[(1, "moved-1")]),
        create_relay("moved", Some("r-moved")),
        retired("alone", "r-alone"),
        replace("alone", StopFirst, &[(1, "alone-1")]),
        create("fresh", 1),
        create_relay("fresh", None),
    ];
    let running: [(&str, &[&str]); 8] = [
        ("cache", &["cache-1"]),
        ("db", &["db-1"]),
        ("web", &["web-1", "web-2"]),
        ("plain", &["plain-1"]),
        ("api", &["api-1", "api-2"]),
        ("front", &["front-1"]),
        ("moved", &["moved-1"]),
        ("alone", &["alone-1"]),
    ];
    plan(operations, &running, &[("web", 8080), ("api", 9000), ("front", 8080), ("moved", 8080), ("fresh", 8080)])
}
