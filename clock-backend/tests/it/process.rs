//! The binary: exit codes, messages, signals.

use std::{net::TcpListener, process::Output};

use crate::harness::{Client, Running, ask, binary, body, own_address, stderr, wait_until_refused};

fn finished(arguments: &[&str], vars: &[(&str, &str)]) -> Output {
    binary(arguments, vars).output().expect("the binary starts")
}

fn healthcheck(address: std::net::SocketAddr) -> Output {
    finished(&["healthcheck"], &[("CLOCK_HOST", &address.ip().to_string())])
}

#[test]
fn all_wrong_values_are_reported_at_once_with_exit_2() {
    let output = finished(
        &[],
        &[
            ("CLOCK_HOST", "localhost"),
            ("CLOCK_PORT", "0"),
            ("CLOCK_LOG", "loud"),
            ("CLOCK_SHUTDOWN_GRACE_SECONDS", "-1"),
            ("CLOCK_HEADER_TIMEOUT_SECONDS", "1h"),
        ],
    );
    assert_eq!(output.status.code(), Some(2));
    for said in [
        "CLOCK_HOST=\"localhost\": must be an IP address",
        "CLOCK_PORT=\"0\": must be a port from 1 to 65535",
        "CLOCK_LOG=\"loud\": must be off, error, warn",
        "CLOCK_SHUTDOWN_GRACE_SECONDS=\"-1\": must be whole seconds from 0 to 3600",
        "CLOCK_HEADER_TIMEOUT_SECONDS=\"1h\": must be whole seconds from 1 to 3600",
    ] {
        assert!(stderr(&output).contains(said), "{said} is missing in {}", stderr(&output));
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn stray_argument_is_refused_with_exit_2() {
    let output = finished(&["--port=80"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--port=80"), "{}", stderr(&output));
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (help, version) = (finished(&["--help"], &[]), finished(&["--version"], &[]));
    assert!(help.status.success() && version.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("CLOCK_PORT=8000"));
    let expected = format!("clock-backend {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
}

#[test]
fn taken_port_is_named_with_exit_1() {
    let taken = TcpListener::bind(own_address()).expect("nobody else's");
    let address = taken.local_addr().expect("bound");
    let output = finished(&[], &[("CLOCK_HOST", &address.ip().to_string())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&address.to_string()), "{}", stderr(&output));
}

#[test]
fn unknown_variable_is_warned_about_and_ignored() {
    let running = Running::start(&[("CLOCK_PROT", "80")]);
    assert!(running.greeting.contains("CLOCK_PROT"), "{}", running.greeting);
    assert!(ask(running.address, "GET", "/clock").starts_with("HTTP/1.1 200 "));
}

#[test]
fn sigterm_finishes_the_request_in_flight_and_refuses_new_connections() {
    let mut running = Running::start(&[]);
    let mut client = Client::connect(running.address);
    client.send("GET /clock HTTP/1.1\r\nHost: te");
    // The answer to a later connection proves that the earlier one was accepted.
    ask(running.address, "GET", "/healthz");
    running.signal("TERM");
    wait_until_refused(running.address);
    client.send("st\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(body(&answer).parse::<f64>().expect("a number") > 1.6e9, "{answer}");
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn sigint_stops_an_idle_service_at_once() {
    let mut running = Running::start(&[]);
    let mut idle = Client::connect(running.address);
    running.signal("INT");
    assert_eq!(idle.rest(), "");
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn grace_cuts_off_a_client_that_never_finishes() {
    let mut running = Running::start(&[("CLOCK_SHUTDOWN_GRACE_SECONDS", "0")]);
    let mut slow = Client::connect(running.address);
    slow.send("GET /clock HTTP/1.1\r\nHost: te");
    ask(running.address, "GET", "/healthz");
    running.signal("TERM");
    running.wait_for_line("cut off");
    assert_eq!(running.exit_code(), Some(1));
}

#[test]
fn healthcheck_succeeds_while_the_service_answers() {
    let mut running = Running::start(&[]);
    let output = healthcheck(running.address);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    running.signal("TERM");
    assert_eq!(running.exit_code(), Some(0));
    let output = healthcheck(running.address);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&running.address.to_string()), "{}", stderr(&output));
}

#[test]
fn healthcheck_with_wrong_settings_fails_with_1() {
    let output = finished(&["healthcheck"], &[("CLOCK_PORT", "x")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("CLOCK_PORT"), "{}", stderr(&output));
}
