//! HTTP as a person's tools speak it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Status and body of a page; a panic where nothing answers.
#[track_caller]
pub fn get(url: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10)));
    let agent: ureq::Agent = config.http_status_as_error(false).build().into();
    let mut response = agent.get(url).call().unwrap_or_else(|e| panic!("{url}: {e}"));
    let body = response.body_mut().read_to_string().unwrap_or_else(|e| panic!("{url}: {e}"));
    (response.status().as_u16(), body)
}

/// What the backend says the time is, in seconds since 1970; a panic where it is no number.
#[track_caller]
pub fn clock(url: &str) -> f64 {
    let (status, text) = get(url);
    assert_eq!(status, 200, "{url} answers {text:?}");
    assert!(text.contains('.'), "{text:?} has no fraction");
    text.parse().unwrap_or_else(|e| panic!("{url} answers {text:?}: {e}"))
}

/// This machine's time, in seconds since 1970.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
