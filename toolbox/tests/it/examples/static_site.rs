//! `examples/static-site`: a change of the configuration alone, a broken one, and a new page.

use super::Example;

const IMAGES: &[(&str, &str)] = &[("static-site", "site")];

fn deployed(test: &str) -> Option<Example> {
    let example = Example::new(test, "static-site", IMAGES)?;
    example.project.toolbox(&["deploy"]).exits(0);
    Some(example)
}

#[test]
fn static_site_must_deploy_by_its_own_files_alone_and_only_once() {
    let Some(example) = Example::new("site-once", "static-site", IMAGES) else {
        return;
    };
    example.deploys_once();
    let page = example.client().get("/");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<h1>Static site</h1>"), "{}", page.body);
    assert_eq!(example.client().get("/nothing").status, 404);
    assert_eq!(example.service("site").len(), 2);
    example.runs_nothing_as_root();
}

#[test]
fn changed_config_must_be_served_with_no_image_sent_and_no_request_lost() {
    let Some(example) = deployed("site-config") else {
        return;
    };
    let load = example.load();
    for (old, new) in [("max-age=60", "max-age=120"), ("max-age=120", "max-age=180"), ("max-age=180", "max-age=240")] {
        let before = example.service("site");
        example.edit("nginx.conf", old, new);
        let plan = example.project.toolbox(&["plan", "--format", "json"]).exits(0);
        assert!(!plan.stdout.contains("push_image"), "{}", plan.stdout);
        example.project.toolbox(&["deploy"]).exits(0);
        let headers = example.client().get("/").headers;
        assert!(headers.contains(new), "{headers}");
        let after = example.service("site");
        assert_eq!(after.len(), 2);
        assert!(before.iter().all(|id| !after.contains(id)), "both containers are new ones");
    }
    load.lost_nothing();
}

#[test]
fn broken_config_must_leave_the_site_as_it_was_and_show_what_nginx_says() {
    let Some(example) = deployed("site-broken") else {
        return;
    };
    let (before, load) = (example.service("site"), example.load());
    example.edit("nginx.conf", "listen 8080;", "listen 8080; no_such_thing on;");
    example.project.toolbox(&["deploy"]).exits(1).error(&["site", "unknown directive \"no_such_thing\""]);
    load.lost_nothing();
    assert_eq!(example.service("site"), before);

    example.edit("nginx.conf", " no_such_thing on;", "");
    example.project.toolbox(&["plan", "--detailed-exitcode"]).exits(0);
}

#[test]
fn rollback_must_bring_the_earlier_config_and_the_earlier_pages_back() {
    let Some(example) = deployed("site-rollback") else {
        return;
    };
    example.edit("nginx.conf", "max-age=60", "max-age=90");
    example.edit("site/public/index.html", "<h1>Static site</h1>", "<h1>Another site</h1>");
    example.build();
    example.project.toolbox(&["deploy"]).exits(0);
    let page = example.client().get("/");
    assert!(page.headers.contains("max-age=90") && page.body.contains("Another site"), "{}{}", page.headers, page.body);

    let load = example.load();
    example.project.toolbox(&["rollback"]).exits(0);
    load.lost_nothing();
    let page = example.client().get("/");
    assert!(page.headers.contains("max-age=60") && page.body.contains("Static site"), "{}{}", page.headers, page.body);
    // The files still say otherwise.
    example.project.toolbox(&["plan", "--detailed-exitcode"]).exits(2);
}
