//! What the routes answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clock_backend::{serve::Limits, web};

use crate::harness::{Client, LIMITS, Service, ask, body, header};

fn service_at(time: SystemTime) -> Service {
    Service::start(web::router(move || time), LIMITS)
}

fn service() -> Service {
    service_at(UNIX_EPOCH + Duration::new(1_622_556_914, 910_156_700))
}

#[test]
fn clock_answers_with_the_time_and_forbids_caching() {
    let answer = ask(service().address, "GET", "/clock");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(body(&answer), "1622556914.9101567");
    assert_eq!(header(&answer, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
}

#[test]
fn clock_reads_the_time_at_each_request() {
    let service = Service::start(web::router(SystemTime::now), LIMITS);
    let now = || -> f64 { body(&ask(service.address, "GET", "/clock")).parse().expect("a number") };
    let before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let (first, second) = (now(), now());
    let after = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    // A microsecond for the rounding of floats of this size.
    assert!(before <= first + 1e-6 && first < second && second <= after + 1e-6);
}

#[test]
fn clock_before_1970_is_a_server_error() {
    let answer = ask(service_at(UNIX_EPOCH - Duration::from_secs(1)).address, "GET", "/clock");
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert_eq!(body(&answer), "the system clock stands before 1970-01-01\n");
}

#[test]
fn healthz_answers_ok() {
    let answer = ask(service().address, "GET", "/healthz");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(body(&answer), "ok\n");
}

#[test]
fn head_has_the_header_of_get_and_no_body() {
    let service = service();
    for path in ["/clock", "/healthz"] {
        let (get, head) = (ask(service.address, "GET", path), ask(service.address, "HEAD", path));
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(header(&get, name), header(&head, name), "{name} of {path}");
            assert!(header(&get, name).is_some(), "{name} of {path}");
        }
        assert_eq!(body(&head), "");
    }
}

#[test]
fn other_methods_are_refused_with_the_allowed_ones() {
    let service = service();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PURGE"] {
        let answer = ask(service.address, method, "/clock");
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method}: {answer}");
        let allowed = header(&answer, "allow").expect("405 names the allowed methods");
        assert_eq!(allowed.replace(' ', ""), "GET,HEAD");
    }
}

#[test]
fn unknown_paths_are_not_found() {
    let service = service();
    for path in ["/", "/clock/", "/Clock", "/clock/now", "/%63lock"] {
        let answer = ask(service.address, "GET", path);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}

#[test]
fn query_does_not_matter() {
    let answer = ask(service().address, "GET", "/clock?now=1");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn connection_serves_one_request_after_the_other() {
    let service = service();
    let mut client = Client::connect(service.address);
    for _ in 0..3 {
        client.send("GET /clock HTTP/1.1\r\nHost: test\r\n\r\n");
        assert!(client.until(".9101567").starts_with("HTTP/1.1 200 OK\r\n"));
    }
}

#[test]
fn client_that_never_finishes_its_header_is_cut_off() {
    let limits = Limits { header_timeout: Duration::from_millis(50), ..LIMITS };
    let service = Service::start(web::router(SystemTime::now), limits);
    let mut slow = Client::connect(service.address);
    slow.send("GET /clock HTTP/1.1\r\nHost: te");
    assert_eq!(slow.rest(), "");
}
