//! `examples/web-app`: a database behind it, a migration before each new image, and the way back.

use super::Example;

const IMAGES: &[(&str, &str)] = &[("guestbook-web", "web"), ("guestbook-db", "db")];
const PASSWORD: &str = "5d3c9a7e1f2b4c6d8e0f";

fn example(test: &str) -> Option<Example> {
    let example = Example::new(test, "web-app", IMAGES)?;
    example.project.write("db_password.txt", &format!("{PASSWORD}\n"));
    Some(example)
}

fn deployed(test: &str) -> Option<Example> {
    let example = example(test)?;
    example.project.toolbox(&["deploy"]).exits(0);
    Some(example)
}

impl Example {
    #[track_caller]
    fn guestbook_shows(&self, text: &str) {
        let page = self.client().get("/");
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains(text), "{text:?} in {}", page.body);
    }

    #[track_caller]
    fn signs(&self, guest: &str) {
        let answer = self.client().post("/entries", &format!("guest={guest}&message=hello"));
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
}

#[test]
fn web_app_must_deploy_by_its_own_files_alone_and_only_once() {
    let Some(example) = example("web-once") else {
        return;
    };
    let began = example.now();
    example.deploys_once();
    assert_eq!(example.hooks(&began), 1, "the migration is for the first deploy alone");
    example.guestbook_shows("Schema version 2");
    example.signs("Ada");
    example.guestbook_shows("<li>Ada: hello</li>");
    assert_eq!(example.service("web").len(), 2);
    example.runs_nothing_as_root();
    example.keeps_secret(PASSWORD);
}

#[test]
fn missing_secret_must_be_named_before_anything_is_touched() {
    let Some(example) = Example::new("web-secret", "web-app", IMAGES) else {
        return;
    };
    example.project.toolbox(&["deploy"]).exits(2).error(&["db_password"]);
    assert!(example.ids().is_empty());
}

#[test]
fn failing_migration_must_leave_the_old_release_in_charge_and_a_good_one_must_run_once() {
    let Some(example) = deployed("web-migration") else {
        return;
    };
    example.signs("Ada");
    let (before, load) = ((example.service("web"), example.service("db")), example.load());
    example.project.write("web/migrations/003_mood.sql", "ALTER TABLE nothing ADD COLUMN mood text;");
    example.build();
    let run = example.project.toolbox(&["deploy"]).exits(1);
    run.error(&["003_mood.sql: relation \"nothing\" does not exist"]);
    assert_eq!((example.service("web"), example.service("db")), before);
    example.guestbook_shows("Schema version 2");

    example.project.write("web/migrations/003_mood.sql", "ALTER TABLE entries ADD COLUMN mood text;");
    example.build();
    let began = example.now();
    example.project.toolbox(&["deploy"]).exits(0);
    assert_eq!(example.hooks(&began), 1);
    example.guestbook_shows("Schema version 3");
    load.lost_nothing();
    example.guestbook_shows("<li>Ada: hello</li>");
    assert_eq!(example.service("db"), before.1, "the database was not touched");
}

#[test]
fn rollback_must_bring_the_earlier_image_and_environment_back_and_keep_the_data() {
    let Some(example) = deployed("web-rollback") else {
        return;
    };
    example.signs("Ada");
    example.settings(&[("GUESTBOOK_TITLE", "Visitors")]);
    example.edit("web/serve", "<button>Write</button>", "<button>Sign</button>");
    example.build();
    example.project.toolbox(&["deploy"]).exits(0);
    example.guestbook_shows("<h1>Visitors</h1>");
    example.guestbook_shows("<button>Sign</button>");
    example.signs("Grace");

    let load = example.load();
    example.project.toolbox(&["rollback"]).exits(0);
    load.lost_nothing();
    example.guestbook_shows("<h1>Guest book</h1>");
    example.guestbook_shows("<button>Write</button>");
    example.guestbook_shows("<li>Grace: hello</li>\n<li>Ada: hello</li>");
}
