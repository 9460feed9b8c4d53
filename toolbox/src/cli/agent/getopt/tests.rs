use std::time::Duration;

use super::*;
use crate::agent::FingerprintHash;
use crate::cli::agent::options::{Mode, Options, Shell};

fn words(line: &str) -> Result<Typed, OptionError> {
    read(line.split_whitespace().map(OsString::from))
}

fn options(line: &str, shell: &str) -> Result<Options, OptionError> {
    words(line)?.understood(Some(OsStr::new(shell)))
}

#[test]
fn glued_apart_and_bundled_mean_the_same() {
    let expected = words("-s -D -t 30 -a /run/s -P /a,/b").unwrap();
    for line in ["-sD -t30 -a/run/s -P/a,/b", "-P /a,/b -sDt30 -a /run/s", "-t30 -sDa /run/s -P/a,/b --"] {
        assert_eq!(words(line).unwrap(), expected, "{line}");
    }
    assert_eq!((expected.sh, expected.foreground, expected.life.as_deref()), (true, true, Some("30")));
}

#[test]
fn everything_behind_the_first_word_is_the_commands() {
    for line in ["-t 30 ssh -s -a x -- y", "-t30 -- ssh -s -a x -- y"] {
        let typed = words(line).unwrap();
        assert_eq!(typed.command, ["ssh", "-s", "-a", "x", "--", "y"]);
        assert!(!typed.sh && typed.address.is_none());
    }
    assert_eq!(words("- x").unwrap().command, ["-", "x"], "a lone dash is a word");
}

#[test]
fn the_shells_name_decides_unless_told() {
    let shell = |line: &str, shell: &str| options(line, shell).unwrap().shell;
    assert_eq!(shell("", "/bin/bash"), Shell::Sh);
    assert_eq!(shell("", "/bin/tcsh"), Shell::Csh);
    assert_eq!(shell("", "csh"), Shell::Csh);
    assert_eq!(shell("-s", "/bin/csh"), Shell::Sh);
    assert_eq!(shell("-c", "/bin/sh"), Shell::Csh);
    assert_eq!(words("").unwrap().understood(None).unwrap().shell, Shell::Sh);
}

#[test]
fn options_become_settings() {
    let line = "-t 1h30m -E SHA512 -O no-restrict-websafe -Oallow-remote-pkcs11 -O websafe-allow=a,b=c -P /x/*";
    let options = options(line, "").unwrap();
    assert_eq!(options.mode, Mode::Background);
    let settings = options.settings;
    assert_eq!(settings.default_lifetime, Some(Duration::from_secs(5400)));
    assert_eq!(settings.fingerprint_hash, FingerprintHash::Sha512);
    assert!(settings.allow_remote_providers && !settings.restrict_websafe);
    assert_eq!((settings.websafe_allow.as_str(), settings.allowed_providers.as_str()), ("a,b=c", "/x/*"));
}

#[test]
fn what_ssh_agent_refuses_is_refused() {
    let table = [
        ("-x", "unknown option -- x", true),
        ("-sx", "unknown option -- x", true),
        ("--help", "unknown option -- -", true),
        ("-s -t", "option requires an argument -- t", true),
        ("-c -s", "-c and -s exclude each other", true),
        ("-d -D", "-d and -D exclude each other", true),
        ("-D -D", "-d and -D exclude each other", true),
        ("-s true", "a command and -c, -s, -d, -D and -k exclude each other", true),
        ("-k true", "a command and -c, -s, -d, -D and -k exclude each other", true),
        ("-t 1x", "Invalid lifetime", true),
        ("-E foo", "Invalid hash algorithm \"foo\"", false),
        ("-O foo", "Unknown -O option", false),
        ("-O websafe-allow", "Unknown -O option", false),
        ("-O websafe-allow=a -O websafe-allow=b", "websafe-allow already set", false),
        ("-P a -P b", "-P option already specified", false),
    ];
    for (line, message, usage) in table {
        let error = options(line, "").expect_err(line);
        assert_eq!((error.to_string().as_str(), error.is_usage()), (message, usage), "{line}");
    }
}
