//! How command lines are read.

use super::*;
use clap::CommandFactory as _;

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn letter_f_follows_logs_and_names_a_file_elsewhere() {
    let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).unwrap();
    for line in ["toolbox -f a.yaml logs -f web", "toolbox logs --file a.yaml --follow web"] {
        let arguments = parse(line);
        assert_eq!(arguments.common.file, [PathBuf::from("a.yaml")], "{line}");
        assert!(matches!(arguments.verb, Verb::Logs(logs) if logs.follow && logs.services == ["web"]), "{line}");
    }
    assert_eq!(parse("toolbox status -f a.yaml").common.file, [PathBuf::from("a.yaml")]);
}

#[test]
fn everything_after_the_service_is_the_command() {
    for line in ["toolbox exec -T web -- ls -f --host x", "toolbox exec -T web ls -f --host x"] {
        let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
        let Verb::Exec(exec) = arguments.verb else { panic!("{line}") };
        assert_eq!((exec.service.as_str(), exec.process.no_tty), ("web", true));
        assert_eq!(exec.command, ["ls", "-f", "--host", "x"], "{line}");
        assert!(arguments.common.host.is_empty());
    }
}
