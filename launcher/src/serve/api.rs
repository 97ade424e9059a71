//! The native interface, `/api/v1`: pipelines that may be started, and instances of them.
//!
//! | method, path | answer |
//! |---|---|
//! | GET `/api/v1/pipelines` | what there is, with parameters |
//! | POST `/api/v1/instances` `{"pipeline":"face-file","params":{"input":"clip.mp4"}}` | 202, `Location` |
//! | GET `/api/v1/instances`, `/api/v1/instances/{id}` | state, progress, result |
//! | POST `/api/v1/instances/{id}/stop` | 202; again: end at once |
//! | DELETE `/api/v1/instances/{id}` | 204; its files stay |
//! | GET `/api/v1/instances/{id}/logs/{process}` | the end of the log, text |
//! | GET, HEAD `/api/v1/instances/{id}/files/{path}` | a file of its run folder, with ranges |

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::files;
use super::problem::Problem;
use crate::instances::{Instances, Refused};

/// Largest body.
const MOST: usize = 1 << 20;
/// Of a log its end is given.
const LOG_END: u64 = 256 * 1024;

/// What looks.
pub fn read_router(instances: Instances) -> Router {
    Router::new()
        .route("/api/v1/pipelines", get(pipelines))
        .route("/api/v1/instances", get(list))
        .route("/api/v1/instances/{id}", get(one))
        .route("/api/v1/instances/{id}/logs/{process}", get(log))
        .route("/api/v1/instances/{id}/files/{*path}", get(file))
        .with_state(instances)
}

/// What changes something.
pub fn control_router(instances: Instances) -> Router {
    Router::new()
        .route("/api/v1/instances", post(start))
        .route("/api/v1/instances/{id}/stop", post(stop))
        .route("/api/v1/instances/{id}", axum::routing::delete(remove))
        .layer(DefaultBodyLimit::max(MOST))
        .with_state(instances)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    pipeline: String,
    #[serde(default)]
    params: IndexMap<String, Value>,
}

async fn pipelines() -> Response {
    // Reads files; a few, and small.
    Json(json!({ "items": crate::commands::list::items() })).into_response()
}

async fn list(State(instances): State<Instances>) -> Response {
    Json(json!({ "items": instances.list() })).into_response()
}

async fn one(State(instances): State<Instances>, UrlPath(id): UrlPath<String>) -> Response {
    instances.get(&id).map(Json).into_response()
}

async fn start(State(instances): State<Instances>, body: Result<Json<Start>, JsonRejection>) -> Response {
    let Json(Start { pipeline, params }) = match body {
        Ok(body) => body,
        Err(rejection) => return bad_body(&rejection).into_response(),
    };
    let mut given = Vec::with_capacity(params.len());
    for (name, value) in params {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let detail = format!("parameter `{name}` must be a text, a number or true or false");
                return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_parameters", detail).into_response();
            }
        };
        given.push((name, text));
    }
    match instances.start(&pipeline, &given) {
        Err(refused) => refused.into_response(),
        Ok(view) => {
            let location = HeaderValue::from_str(&format!("/api/v1/instances/{}", view.id));
            let mut response = (StatusCode::ACCEPTED, Json(view)).into_response();
            if let Ok(location) = location {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
    }
}

fn bad_body(rejection: &JsonRejection) -> Problem {
    let (status, code) = match rejection {
        JsonRejection::MissingJsonContentType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json"),
        JsonRejection::BytesRejection(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        JsonRejection::JsonDataError(_) => (StatusCode::UNPROCESSABLE_ENTITY, "bad_request"),
        _ => (StatusCode::BAD_REQUEST, "bad_json"),
    };
    Problem::new(status, code, rejection.body_text())
}

async fn stop(State(instances): State<Instances>, UrlPath(id): UrlPath<String>) -> Response {
    let stopped = instances.stop(&id).map(|view| (StatusCode::ACCEPTED, Json(view)));
    stopped.into_response()
}

async fn remove(State(instances): State<Instances>, UrlPath(id): UrlPath<String>) -> Response {
    instances.remove(&id).map(|()| StatusCode::NO_CONTENT).into_response()
}

async fn log(State(instances): State<Instances>, UrlPath((id, process)): UrlPath<(String, String)>) -> Response {
    let path = match instances.log(&id, &process) {
        Ok(path) => path,
        Err(refused) => return refused.into_response(),
    };
    let text = tokio::task::spawn_blocking(move || end_of(&path))
        .await
        .unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn file(
    State(instances): State<Instances>,
    UrlPath((id, path)): UrlPath<(String, String)>,
    request: Request,
) -> Response {
    let folder = match instances.folder(&id) {
        Ok(folder) => folder,
        Err(refused) => return refused.into_response(),
    };
    let absent = || Refused::Unknown(format!("{id} has no file of that name")).into_response();
    match files::inside(&folder, &path) {
        Some(file) => files::attachment(&file, request).await.unwrap_or_else(absent),
        None => absent(),
    }
}

/// The last lines of a file; nothing of one that is not there yet.
fn end_of(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_END)))?;
        let mut bytes = Vec::new();
        file.take(LOG_END).read_to_end(&mut bytes)?;
        if length > LOG_END {
            // From the first whole line on.
            let line = bytes.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            bytes.drain(..line);
        }
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Unknown(detail) => Problem::new(StatusCode::NOT_FOUND, "unknown", detail),
            Self::Bad(faults) => {
                let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_parameters", texts.join("; "))
            }
            Self::Broken(name) => {
                let detail = format!(
                    "the description of {name} has faults; its operator sees them with: nunchi validate {name}"
                );
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken_pipeline", detail)
            }
            Self::Full(running) => {
                let detail = format!("{running} instances run already");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", detail).retry_after(5)
            }
            Self::Conflict(detail) => Problem::new(StatusCode::CONFLICT, "wrong_state", detail),
            Self::Ending => {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "the server is ending").retry_after(5)
            }
        }
        .into_response()
    }
}
