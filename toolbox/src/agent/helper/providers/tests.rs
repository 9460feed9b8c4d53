use super::*;

#[test]
fn lists_match_as_ssh_config_says() {
    let cases = [
        ("/usr/lib/a.so", "/usr/lib*/*,/usr/local/lib*/*", true),
        ("/usr/lib/x86_64-linux-gnu/a.so", "/usr/lib*/*,/usr/local/lib*/*", true),
        ("/usr/local/lib64/a.so", "/usr/lib*/*,/usr/local/lib*/*", true),
        ("/opt/usr/lib/a.so", "/usr/lib*/*,/usr/local/lib*/*", false),
        ("/usr/lib", "/usr/lib*/*", false),
        ("/usr/lib/a.so", "!/usr/lib/a.so,/usr/lib/*", false),
        ("/usr/lib/a.so", "/usr/lib/*,!/usr/lib/a.so", false),
        ("/usr/lib/b.so", "/usr/lib/*,!/usr/lib/a.so", true),
        ("/usr/lib/b.so", "!/usr/lib/a.so", false),
        ("/usr/lib/a.so", "/usr/lib/?.so", true),
        ("/usr/lib/.so", "/usr/lib/?.so", false),
        ("/usr/lib/a.so", "*", true),
        ("/usr/lib/a.so", "", false),
        ("", "", false),
        ("/usr/LIB/a.so", "/usr/lib/*", false),
        ("aXbXc", "a*b*c", true),
        ("aXbX", "a*b*c", false),
        ("ab", "a**b", true),
        ("ssh:", "ssh:*", true),
        ("web:https", "ssh:*", false),
    ];
    for (text, list, expected) in cases {
        assert_eq!(matches(text.as_bytes(), list), expected, "{text} {list}");
    }
}

#[test]
fn a_pattern_of_stars_takes_no_time() {
    let text = vec![b'a'; 4096];
    assert!(!matches(&text, &"*a".repeat(500).replace("*a*a", "*a*b")));
}

#[test]
fn a_pattern_that_is_too_long_matches_nothing() {
    assert!(!matches(b"a", &format!("a,{}", "*".repeat(LONGEST_PATTERN + 1))));
}

#[test]
fn the_canonical_path_is_what_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (inside, outside) = (directory.path().join("lib"), directory.path().join("elsewhere"));
    std::fs::create_dir(&inside).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(inside.join("good.so"), "").unwrap();
    std::fs::write(outside.join("bad.so"), "").unwrap();
    std::os::unix::fs::symlink(outside.join("bad.so"), inside.join("link.so")).unwrap();
    let list = format!("{}/*", inside.canonicalize().unwrap().display());
    let allowed = |path: &Path| Library::allowed(path.as_os_str().as_bytes(), &list);

    assert_eq!(allowed(&inside.join("../lib/good.so")).unwrap().0, inside.join("good.so").canonicalize().unwrap());
    let refused = allowed(&inside.join("link.so")).unwrap_err().to_string();
    assert!(refused.contains("elsewhere/bad.so") && refused.contains(&list), "{refused}");
    assert!(allowed(&inside.join("../elsewhere/bad.so")).is_err());
    assert!(matches!(allowed(&inside.join("none.so")), Err(HelperError::NoLibrary { .. })));
    assert!(Library::named(outside.join("bad.so").as_os_str().as_bytes()).is_ok());
}

#[test]
fn internal_is_no_path_and_needs_no_list() {
    assert_eq!(FidoProvider::allowed(b"Internal", "").unwrap(), FidoProvider::Internal);
    assert!(FidoProvider::allowed(b"/usr/bin/env", "").is_err());
    assert!(FidoProvider::allowed(b"a\0b", "*").is_err());
}
