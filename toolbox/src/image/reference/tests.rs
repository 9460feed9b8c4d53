use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn names_are_normalised_as_docker_does() {
    let pinned = format!("clock@sha256:{HEX}");
    let pinned_full = format!("docker.io/library/clock@sha256:{HEX}");
    let both = format!("localhost:5000/a/b:1@sha256:{HEX}");
    let table = [
        ("clock-backend", "docker.io/library/clock-backend:latest", "clock-backend:latest"),
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim", "debian:bookworm-slim"),
        ("docker.io/clock", "docker.io/library/clock:latest", "clock:latest"),
        ("docker.io/library/clock:1", "docker.io/library/clock:1", "clock:1"),
        ("index.docker.io/clock", "docker.io/library/clock:latest", "clock:latest"),
        ("index.docker.io/a/clock", "docker.io/a/clock:latest", "a/clock:latest"),
        ("library/clock", "docker.io/library/clock:latest", "clock:latest"),
        ("library/a/clock", "docker.io/library/a/clock:latest", "library/a/clock:latest"),
        ("me/clock:V1.0_x-y", "docker.io/me/clock:V1.0_x-y", "me/clock:V1.0_x-y"),
        ("localhost/clock", "localhost/clock:latest", "localhost/clock:latest"),
        ("localhost:5000/clock", "localhost:5000/clock:latest", "localhost:5000/clock:latest"),
        ("ghcr.io/a/b/c:2", "ghcr.io/a/b/c:2", "ghcr.io/a/b/c:2"),
        ("Registry/clock", "Registry/clock:latest", "Registry/clock:latest"),
        ("[::1]:5000/clock:1", "[::1]:5000/clock:1", "[::1]:5000/clock:1"),
        ("a--b__c.d_e", "docker.io/library/a--b__c.d_e:latest", "a--b__c.d_e:latest"),
        (&pinned, &pinned_full, &pinned),
        (&both, &both, &both),
    ];
    for (text, full, familiar) in table {
        let reference = Reference::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(reference.full(), full, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
        assert_eq!(Reference::parse(familiar).unwrap(), reference, "{text}");
    }
}

#[test]
fn parts_are_told_apart() {
    let reference = Reference::parse(&format!("host.example:5000/team/app:v1@sha256:{HEX}")).unwrap();
    assert_eq!(reference.domain(), "host.example:5000");
    assert_eq!(reference.path(), "team/app");
    assert_eq!(reference.tag(), Some("v1"));
    assert_eq!(reference.digest().unwrap().to_string(), format!("sha256:{HEX}"));
    assert_eq!(Reference::parse(&format!("app@sha256:{HEX}")).unwrap().tag(), None);
}

#[test]
fn a_digest_is_kept_as_a_tag_and_found_again() {
    let pinned = Reference::parse(&format!("host.example/app:1@sha256:{HEX}")).unwrap();
    assert_eq!(pinned.kept_as().full(), format!("host.example/app:sha256-{HEX}"));
    assert_eq!(Reference::parse(&pinned.kept_as().full()).unwrap(), pinned.kept_as());
    assert_eq!(pinned.kept_as().kept_for().full(), format!("host.example/app@sha256:{HEX}"));
    for plain in ["app:1", "app:sha256-1234"].map(|text| Reference::parse(text).unwrap()) {
        assert_eq!(plain.kept_as(), plain);
        assert_eq!(plain.kept_for(), plain);
    }
}

fn error_of(text: &str) -> ReferenceError {
    match Reference::parse(text) {
        Err(error) => error,
        Ok(reference) => panic!("{text:?} was read as {}", reference.full()),
    }
}

#[test]
fn each_broken_rule_is_named() {
    assert_eq!(error_of(""), ReferenceError::Empty);
    assert_eq!(error_of(HEX), ReferenceError::ImageId(HEX.to_owned()));
    for text in ["a.b-/x", "-a.b/x", "a..b/x", "host:/x", "host:50a/x", "[::g]/x", "[]:1/x", "a_b.c/x"] {
        assert!(matches!(error_of(text), ReferenceError::Domain { .. }), "{text}");
    }
    for text in ["Clock", "me/Clock", "docker.io/Clock:1"] {
        assert!(matches!(error_of(text), ReferenceError::UpperCase { .. }), "{text}");
    }
    for text in ["/x", "a//b", "a/", "-a", "a-", "a..b", "a___b", "a._b", "a b", "ä", "a/../b", "../a", "."] {
        let error = error_of(text);
        assert!(matches!(error, ReferenceError::Path { .. } | ReferenceError::Domain { .. }), "{text}: {error}");
    }
    let long_tag = format!("a:{}", "x".repeat(MAX_TAG + 1));
    for text in ["a:", "a:-x", "a:.x", "a:x y", "a:ü", &long_tag] {
        assert!(matches!(error_of(text), ReferenceError::Tag { .. }), "{text}");
    }
    let long = format!("a/{}", "x".repeat(MAX_PATH));
    assert!(matches!(error_of(&long), ReferenceError::TooLong { .. }));
    for text in ["a@sha256:1234", "a@", "a@sha512:00", "a@b@c"] {
        assert!(matches!(error_of(text), ReferenceError::Digest { .. }), "{text}");
    }
}

#[test]
fn serialises_in_full_and_reads_either() {
    let reference: Reference = serde_json::from_str("\"clock\"").unwrap();
    assert_eq!(serde_json::to_string(&reference).unwrap(), "\"docker.io/library/clock:latest\"");
    assert_eq!(reference.to_string(), "clock:latest");
}

proptest! {
    #[test]
    fn any_text_is_refused_or_keeps_its_meaning(text in "[a-cA-B0-1./:@_\\-\\[\\] ]{0,24}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(&Reference::parse(&reference.full()).unwrap(), &reference);
            prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
        }
    }
}
