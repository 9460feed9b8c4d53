//! The routes, as a function of the clock that they read.
//!
//! `GET /clock` answers with the unix time, `GET /healthz` with `ok`; both answer `HEAD`, name the
//! allowed methods in a 405, and forbid every cache to keep the answer.

use std::time::SystemTime;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::clock::unix_text;

/// The service's routes, reading the time from `now` at each request.
pub fn router(now: impl Fn() -> SystemTime + Clone + Send + Sync + 'static) -> Router {
    Router::new()
        .route("/clock", get(move || async move { clock(now()) }))
        .route("/healthz", get(|| async { "ok\n" }))
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n") })
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(middleware::from_fn(forbid_caching))
        .layer(middleware::from_fn(log))
}

fn clock(time: SystemTime) -> Response {
    match unix_text(time) {
        Ok(text) => text.into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot tell the time");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn forbid_caching(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn log(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    tracing::debug!(%method, %uri, status = response.status().as_u16(), "answered");
    response
}
