use std::os::unix::ffi::OsStringExt;

use super::*;

fn config(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into())))
}

fn problems(vars: &[(&str, &str)]) -> Vec<Problem> {
    match config(vars) {
        Err(ConfigError::Wrong(problems)) => problems,
        other => panic!("accepted: {other:?}"),
    }
}

#[test]
fn empty_environment_gives_the_defaults() {
    let config = config(&[]).expect("defaults are sound");
    assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.log.to_string(), "info");
    assert_eq!(config.shutdown_grace, Duration::from_secs(8));
    assert_eq!(config.header_timeout, Duration::from_secs(15));
    assert!(config.unknown.is_empty());
}

#[test]
fn empty_value_counts_as_unset() {
    let config = config(&[("CLOCK_PORT", ""), ("CLOCK_LOG", "")]).expect("defaults");
    assert_eq!(config.listen.port(), 8000);
}

#[test]
fn every_setting_is_read() {
    let config = config(&[
        ("CLOCK_HOST", "::"),
        ("CLOCK_PORT", "65535"),
        ("CLOCK_LOG", "warn,clock_backend=debug"),
        ("CLOCK_SHUTDOWN_GRACE_SECONDS", "0"),
        ("CLOCK_HEADER_TIMEOUT_SECONDS", "3600"),
    ])
    .expect("all allowed");
    assert_eq!(config.listen.to_string(), "[::]:65535");
    assert_eq!(config.log.to_string(), "clock_backend=debug,warn");
    assert_eq!(config.shutdown_grace, Duration::ZERO);
    assert_eq!(config.header_timeout, Duration::from_secs(3600));
}

#[test]
fn wrong_values_are_each_refused_with_their_name() {
    let table: [(&str, &[&str]); 5] = [
        ("CLOCK_HOST", &["localhost", "1.2.3", "[::]", "0.0.0.0:80", " ::"]),
        ("CLOCK_PORT", &["0", "65536", "-1", "+80", "80 ", "http", "8_0"]),
        ("CLOCK_LOG", &["inof", "info,", "=debug", "clock_backend=", "a=b=info", "clock_backend=loud"]),
        ("CLOCK_SHUTDOWN_GRACE_SECONDS", &["3601", "-1", "1.5", "8s"]),
        ("CLOCK_HEADER_TIMEOUT_SECONDS", &["0", "3601", "soon"]),
    ];
    for (variable, values) in table {
        for wrong in values {
            let found = problems(&[(variable, wrong)]);
            assert!(
                matches!(&found[..], [Problem::NotAllowed { name, value, .. }] if *name == variable && value == wrong),
                "{variable}={wrong:?}: {found:?}"
            );
        }
    }
}

#[test]
fn all_wrong_values_are_reported_at_once() {
    let error = config(&[("CLOCK_PORT", "70000"), ("CLOCK_HOST", "nowhere"), ("CLOCK_LOG", "loud")])
        .expect_err("three wrong values");
    assert_eq!(
        error.to_string(),
        "wrong settings in the environment:\n  \
         CLOCK_HOST=\"nowhere\": must be an IP address, such as 127.0.0.1, 0.0.0.0 or ::\n  \
         CLOCK_PORT=\"70000\": must be a port from 1 to 65535\n  \
         CLOCK_LOG=\"loud\": must be off, error, warn, info, debug or trace, or a list such as info,clock_backend=debug"
    );
}

#[test]
fn value_that_is_not_utf8_is_reported_with_the_others() {
    let bytes = OsString::from_vec(vec![b'8', 0xff]);
    let vars = [
        ("CLOCK_PORT".into(), bytes),
        ("CLOCK_HOST".into(), "x".into()),
        // Somebody else's variable is nobody's business here.
        ("LEGACY".into(), OsString::from_vec(vec![0xff])),
    ];
    let Err(ConfigError::Wrong(problems)) = Config::from_vars(vars) else {
        panic!("accepted");
    };
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(matches!(problems[0], Problem::NotUnicode { name: "CLOCK_PORT", .. }));
}

#[test]
fn unknown_variable_is_reported_and_harmless() {
    let config = config(&[("CLOCK_PROT", "1"), ("CLOCK_BACKEND", "clock-backend:8000"), ("PATH", "/bin")])
        .expect("unknown is no error");
    assert_eq!(config.unknown, ["CLOCK_BACKEND", "CLOCK_PROT"]);
}

#[test]
fn env_example_documents_every_setting_with_its_default() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../.env.example");
    let example = std::fs::read_to_string(path).expect("readable");
    for Setting { name, default, .. } in SETTINGS {
        let line = format!("#{name}={default}");
        assert!(example.lines().any(|found| found == line), "{line} is missing");
    }
}
