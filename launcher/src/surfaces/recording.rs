//! Recording and behaviour analysis, as the clients of the older system on the Raspberry Pi know it.
//!
//! | method, path | answer |
//! |---|---|
//! | GET `/command/start_record` | 200 when the recording runs; 409 when one does already |
//! | GET `/command/stop_record` | 200 when all files are whole; 409 when nothing is recorded |
//! | GET, HEAD `/download/mp4/video.mp4`, `/download/wav/audio.wav`, `/download/xml/log.xml` | the files of the newest recording, with ranges |

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path as UrlPath, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;

use crate::instances::{Instances, Refused, View};
use crate::serve::files;
use crate::supervisor;

/// A recording that does not run after this is told of, and goes on.
const START_BOUND: Duration = Duration::from_secs(90);
/// A recording is given up when a process has failed so often before all of them ran.
const START_ATTEMPTS: u32 = 3;
/// The longest stop ladder of a description that waits at most a minute a step, and the merge.
const STOP_BOUND: Duration = Duration::from_secs(300);
/// Folders of a run that clients may read.
const FOLDERS: [&str; 3] = ["mp4", "wav", "xml"];

/// What is recorded when a client says so.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of a pipeline.
    pub pipeline: String,
    /// Values of its parameters.
    pub values: Vec<(String, String)>,
}

struct Recording {
    settings: Settings,
    instances: Instances,
    /// The instance that was started and not stopped yet. Held while one command is carried out, so that the next one finds how it ended.
    session: Mutex<Option<String>>,
}

type Shared = Arc<Recording>;

/// Commands and downloads, in this order: the first need the right to control, the others to read.
pub fn routers(instances: Instances, settings: Settings) -> (Router, Router) {
    let shared = Arc::new(Recording {
        settings,
        instances,
        session: Mutex::default(),
    });
    let commands = Router::new()
        .route("/command/{command}", get(command))
        .with_state(shared.clone());
    let downloads = Router::new()
        .route("/download/{*path}", get(download))
        .with_state(shared);
    (commands, downloads)
}

async fn command(State(recording): State<Shared>, UrlPath(command): UrlPath<String>) -> Response {
    // In a task of its own: a client that goes away does not leave a command half done.
    let work = match command.as_str() {
        "start_record" => tokio::spawn(async move { recording.start().await }),
        "stop_record" => tokio::spawn(async move { recording.stop().await }),
        _ => return text(StatusCode::BAD_REQUEST, "Unknown command."),
    };
    match work.await {
        Ok(Ok(())) => text(StatusCode::OK, &format!("'{command}' command executed successfully!")),
        Ok(Err((status, why))) => text(status, &why),
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the command failed; the server's log has the reason",
        ),
    }
}

/// Old clients were given HTML; what is not markup looks the same in it.
fn text(status: StatusCode, text: &str) -> Response {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], escaped).into_response()
}

type Done = Result<(), (StatusCode, String)>;

impl Recording {
    async fn start(&self) -> Done {
        // While another command is carried out, this one cannot be.
        let Ok(mut session) = self.session.try_lock() else {
            return Err((
                StatusCode::CONFLICT,
                "a recording is being started or stopped".to_owned(),
            ));
        };
        if let Some(id) = session.as_ref()
            && let Ok(view) = self.instances.get(id)
            && !view.state.is_final()
        {
            return Err((
                StatusCode::CONFLICT,
                format!("already recording ({id}); stop_record ends it"),
            ));
        }
        let Settings { pipeline, values } = &self.settings;
        let view = self.instances.start_own(pipeline, values).map_err(refused)?;
        *session = Some(view.id.clone());
        let decided = |view: &View| running(view) || view.result.is_some() || gives_up(view).is_some();
        let view = self
            .instances
            .wait(&view.id, START_BOUND, decided)
            .await
            .map_err(refused)?;
        if running(&view) {
            return Ok(());
        }
        if let Some(why) = failure(&view) {
            *session = None;
            return Err((
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the recording failed: {why}"),
            ));
        }
        if let Some(why) = gives_up(&view) {
            let _ = self.instances.stop(&view.id);
            let _ = self
                .instances
                .wait(&view.id, STOP_BOUND, |view| view.result.is_some())
                .await;
            *session = None;
            return Err((
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("the recording does not begin: {why}"),
            ));
        }
        match view.result {
            // A very short input.
            Some(_) => Ok(()),
            None => {
                let why = format!(
                    "the recording has not begun within {} s; it goes on trying",
                    START_BOUND.as_secs()
                );
                Err((StatusCode::INTERNAL_SERVER_ERROR, why))
            }
        }
    }

    async fn stop(&self) -> Done {
        let idle = || (StatusCode::CONFLICT, "nothing is being recorded".to_owned());
        let Ok(mut session) = self.session.try_lock() else {
            return Err((
                StatusCode::CONFLICT,
                "a recording is being started or stopped".to_owned(),
            ));
        };
        let id = session.clone().ok_or_else(idle)?;
        // One that has ended by itself, as with its file, only needs to be waited for.
        match self.instances.stop(&id) {
            Ok(_) | Err(Refused::Conflict(_)) => {}
            Err(_) => {
                *session = None;
                return Err(idle());
            }
        }
        let ended = |view: &View| view.result.is_some();
        let view = self.instances.wait(&id, STOP_BOUND, ended).await.map_err(refused)?;
        if !ended(&view) {
            return Err((
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("{id} does not end; ask again"),
            ));
        }
        *session = None;
        match failure(&view) {
            Some(why) => {
                let why = format!("the recording ended with a fault: {why}. What was recorded can be fetched");
                Err((StatusCode::INTERNAL_SERVER_ERROR, why))
            }
            None => Ok(()),
        }
    }

    /// The run folder of the newest recording, also of an earlier server's.
    async fn newest(&self) -> Option<PathBuf> {
        let prefix = format!("{}-", self.settings.pipeline);
        let runs = self.instances.runs().to_owned();
        let find = move || {
            let entries = std::fs::read_dir(runs).ok()?.flatten();
            let name = |entry: &std::fs::DirEntry| entry.file_name().into_string().ok();
            // The time in the name, and the number of a second one in the same second, sort as they came.
            let is_run = |entry: &std::fs::DirEntry| {
                let rest = name(entry).and_then(|name| name.strip_prefix(&prefix).map(str::to_owned));
                rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            };
            entries.filter(is_run).max_by_key(name).map(|entry| entry.path())
        };
        tokio::task::spawn_blocking(find).await.ok().flatten()
    }
}

fn refused(refused: Refused) -> (StatusCode, String) {
    let (status, why) = match refused {
        Refused::Full(running) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{running} instances run already"),
        ),
        Refused::Ending => (StatusCode::SERVICE_UNAVAILABLE, "the server is ending".to_owned()),
        Refused::Unknown(why) | Refused::Conflict(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        Refused::Broken(name) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the description of {name} has faults; `nunchi validate {name}` tells them"),
        ),
        Refused::Bad(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            (StatusCode::INTERNAL_SERVER_ERROR, faults.join("; "))
        }
    };
    (status, why)
}

fn running(view: &View) -> bool {
    view.state == supervisor::State::Running
}

/// Why there is little hope for a recording that does not run yet.
fn gives_up(view: &View) -> Option<String> {
    let waits = |state| state == supervisor::State::Backoff;
    let (name, process) = view
        .processes
        .iter()
        .find(|(_, process)| waits(process.state) && process.attempts >= START_ATTEMPTS)?;
    let error = process.last_exit.as_ref().and_then(|exit| exit.error.as_ref());
    let why = error.map_or_else(
        || "it ended without a word; its log has more".to_owned(),
        ToString::to_string,
    );
    Some(format!("process `{name}`, after {} attempts: {why}", process.attempts))
}

/// Why an ended recording is not as it should be.
fn failure(view: &View) -> Option<String> {
    let result = view.result.as_ref()?;
    if result.exit_code == 0 {
        return None;
    }
    let error = result.error.as_ref().map(ToString::to_string);
    Some(error.unwrap_or_else(|| result.result.clone()))
}

async fn download(State(recording): State<Shared>, UrlPath(path): UrlPath<String>, request: Request) -> Response {
    let absent = || text(StatusCode::NOT_FOUND, "there is no such file");
    let open = path.split('/').next().is_some_and(|folder| FOLDERS.contains(&folder));
    let Some(folder) = recording.newest().await.filter(|_| open) else {
        return absent();
    };
    match files::inside(&folder, &path) {
        Some(file) => files::attachment(&file, request).await.unwrap_or_else(absent),
        None => absent(),
    }
}
