//! One picture, and whether somebody is there with open eyes: the drowsiness check of a browser extension.
//!
//! | method, path | body | answer |
//! |---|---|---|
//! | POST `/api/image-process/image`, `/analytics/image` | `multipart/form-data` with the picture as `file` | JSON, see below |
//! | GET `/api/image-process/health-check` | | `{"message":"OK"}` |
//! | GET `/api/image-process/stream` | a WebSocket: each binary message is a picture | a text message for each, in order |
//!
//! `{"isExist":true,"isEyeClosed":false,"eyeClosedness":0.07,"smile":0.61,"faces":[{"box":[x0,y0,x1,y1],"score":0.94}],"inferenceMs":7.1}`. What cannot be
//! read is a [`Problem`]: 400, 408, 413, 415, 422, 503 with `Retry-After`; in the WebSocket `{"error":{…}}`.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::timeout;

use crate::pictures::{Answer, MOST_BYTES, Pool, Refused};
use crate::serve::problem::Problem;
use crate::serve::site::is_cross_site;

/// For a whole body to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two pictures of a WebSocket.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// What a form has besides its picture.
const FORM: usize = 64 * 1024;

/// Whether it answers at all: for everybody.
pub fn health() -> Router {
    Router::new().route("/api/image-process/health-check", get(health_check))
}

/// The routes that read pictures.
pub fn router(pool: Pool) -> Router {
    Router::new()
        .route("/api/image-process/image", post(image))
        .route("/analytics/image", post(image))
        .route("/api/image-process/stream", get(stream))
        .layer(DefaultBodyLimit::max(MOST_BYTES + FORM))
        .with_state(pool)
}

async fn health_check() -> Response {
    json("{\"message\":\"OK\"}".to_owned())
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn image(State(pool): State<Pool>, request: Request) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > (MOST_BYTES + FORM) as u64) {
        // Before any of it is waited for.
        return too_large().into_response();
    }
    let picture = match timeout(BODY_TIMEOUT, picture(request)).await {
        Ok(Ok(picture)) => picture,
        Ok(Err(problem)) => return problem.into_response(),
        Err(_) => {
            let detail = format!("the picture did not come within {} s", BODY_TIMEOUT.as_secs());
            return Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail).into_response();
        }
    };
    match answer(&pool, picture).await {
        Ok(text) => json(text),
        Err(problem) => problem.into_response(),
    }
}

/// The field `file` of a form.
async fn picture(request: Request) -> Result<Bytes, Problem> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| {
        let detail = format!(
            "send the picture as `file` in multipart/form-data: {}",
            error.body_text()
        );
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form", detail)
    })?;
    while let Some(field) = form.next_field().await.map_err(bad_form)? {
        if field.name() == Some("file") {
            let picture = field.bytes().await.map_err(bad_form)?;
            if picture.is_empty() {
                let detail = "the field `file` is empty";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "empty_file", detail));
            }
            return Ok(picture);
        }
    }
    let detail = "the form has no field `file`";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "no_file", detail))
}

fn bad_form(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Problem::new(StatusCode::BAD_REQUEST, "bad_form", error.body_text()),
    }
}

fn too_large() -> Problem {
    let detail = format!("a picture has at most {MOST_BYTES} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

async fn answer(pool: &Pool, picture: Bytes) -> Result<String, Problem> {
    let unreadable = |why: String| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unreadable_picture",
            format!("the picture cannot be read: {why}"),
        )
    };
    match pool.read(picture).await {
        Ok(Answer::Read(text)) => Ok(text),
        Ok(Answer::NotAPicture(why)) => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_a_picture",
            format!("the field `file` is not read: {why}"),
        )),
        Ok(Answer::Unreadable(why)) => Err(unreadable(why)),
        Ok(Answer::Failed(why)) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "inference_failed", why)),
        Err(Refused::TooLarge(_)) => Err(too_large()),
        Err(refused @ Refused::Full(_)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", refused.to_string()).retry_after(1))
        }
        Err(refused @ Refused::Crashed) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "worker_crashed", refused.to_string()).retry_after(1))
        }
        Err(refused @ Refused::Down(_)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "worker_down", refused.to_string()).retry_after(5))
        }
    }
}

async fn stream(State(pool): State<Pool>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    if is_cross_site(&headers) {
        let detail = "pages of other sites may not open this socket";
        return Problem::new(StatusCode::FORBIDDEN, "cross_site", detail).into_response();
    }
    upgrade
        .max_message_size(MOST_BYTES)
        .max_frame_size(MOST_BYTES)
        .on_upgrade(move |socket| pictures(socket, pool))
}

/// Answers each picture of a socket before the next one is taken, so that a client that sends faster waits.
async fn pictures(mut socket: WebSocket, pool: Pool) {
    loop {
        let message = match timeout(IDLE_TIMEOUT, socket.recv()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(_)) | None) => return,
            Err(_) => {
                let frame = CloseFrame {
                    code: close_code::AWAY,
                    reason: "no picture came".into(),
                };
                // A client that has gone does not hear it.
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
        };
        let text = match message {
            Message::Binary(picture) => answer(&pool, picture).await,
            Message::Text(_) => {
                let detail = "send each picture as a binary message";
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_binary", detail))
            }
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        let text = text.unwrap_or_else(|problem| serde_json::json!({ "error": problem }).to_string());
        let sent = timeout(BODY_TIMEOUT, socket.send(Message::text(text))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}
