//! Whether the server is well, for those who watch it.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::problem::Problem;
use crate::instances::Instances;
use crate::pictures::{self, Pool};

/// `/healthz`: the server answers. `/readyz`: what it serves is up. For everybody.
pub fn router(pool: Pool) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(pool)
}

/// `/metrics`, for Prometheus.
pub fn metrics_router(pool: Pool, instances: Instances) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state((pool, instances))
}

async fn ready(State(pool): State<Pool>) -> Response {
    let not_yet = |code, detail: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(1);
    match pool.state() {
        pictures::State::Ready(_) => "ready\n".into_response(),
        pictures::State::Starting => {
            not_yet("starting", "the picture worker loads its networks".to_owned()).into_response()
        }
        pictures::State::Down(why) => not_yet("worker_down", why).into_response(),
    }
}

async fn metrics(State((pool, instances)): State<(Pool, Instances)>) -> Response {
    let ready = u8::from(matches!(pool.state(), pictures::State::Ready(_)));
    let mut text = String::new();
    for (name, kind, help, value) in [
        (
            "nunchi_instances_running",
            "gauge",
            "Instances of pipelines that have not ended.",
            instances.running() as u64,
        ),
        (
            "nunchi_pictures_waiting",
            "gauge",
            "Pictures without an answer yet.",
            pool.waiting() as u64,
        ),
        (
            "nunchi_picture_worker_ready",
            "gauge",
            "Whether the networks are loaded.",
            ready.into(),
        ),
        (
            "nunchi_picture_worker_restarts_total",
            "counter",
            "How often the worker was started again.",
            pool.restarts(),
        ),
    ] {
        // Writing into a text does not fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
