//! The instances that a server has started: what runs, what has run, and what may be started.
//!
//! Clients name pipelines, never files of descriptions; their paths lead into the folders that the operator has opened, also through links; a
//! new instance is refused while too many run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indexmap::IndexMap;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::exit::{Exit, Failure};
use crate::instance::{Place, Prepared};
use crate::ipc::{FromRunner, Progress};
use crate::spec::read::{self, Loaded};
use crate::spec::{ParamType, check, find};
use crate::supervisor::{Control, Reason, Report, State};

/// Instances that have ended and are still told of; beyond it the oldest go. Their files stay.
const MOST_ENDED: usize = 200;

/// How instances are kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The executable that is the runner.
    pub program: PathBuf,
    /// Run folders are made below.
    pub runs: PathBuf,
    /// Folders that paths from clients may lead into; the first is what relative ones start from.
    pub files: Vec<PathBuf>,
    /// Instances that run at once.
    pub most: usize,
}

/// One instance as clients see it.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// Also the name of its run folder.
    pub id: String,
    pub pipeline: String,
    pub state: State,
    /// RFC 3339, local time.
    pub started: String,
    pub processes: IndexMap<String, ProcessView>,
    /// After its end.
    pub result: Option<Ended>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ProcessView {
    pub state: State,
    pub attempts: u32,
    /// Of the last attempt.
    pub progress: Progress,
    /// How the last attempt that is over ended.
    pub last_exit: Option<LastExit>,
}

/// Why a process ended; `summary.json` has all of them with the last lines of their logs.
#[derive(Debug, Clone, Serialize)]
pub struct LastExit {
    pub attempt: u32,
    pub reason: Reason,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The first fault that it reported.
    pub error: Option<Failure>,
}

/// How an instance ended; `summary.json` in its run folder has more.
#[derive(Debug, Clone, Serialize)]
pub struct Ended {
    /// As `nunchi run` would end.
    pub exit_code: u8,
    pub result: String,
    pub error: Option<Failure>,
    pub seconds: f64,
    pub frames: u64,
    pub events: std::collections::BTreeMap<String, u64>,
    pub outputs: Vec<Output>,
}

/// A file that the description promises.
#[derive(Debug, Clone, Serialize)]
pub struct Output {
    pub name: String,
    /// Below the run folder.
    pub path: String,
    /// `null`: it was not written.
    pub bytes: Option<u64>,
}

struct Instance {
    view: View,
    folder: PathBuf,
    control: mpsc::Sender<Control>,
}

/// Why something is not done.
#[derive(Debug)]
pub enum Refused {
    /// There is no such pipeline or instance.
    Unknown(String),
    /// Faults of the values.
    Bad(Vec<Failure>),
    /// The description of the pipeline has faults.
    Broken(String),
    /// So many run already.
    Full(usize),
    /// It does not fit the state.
    Conflict(String),
    Ending,
}

/// Keeps them. Clones are the same.
#[derive(Clone)]
pub struct Instances {
    settings: Arc<Settings>,
    table: Arc<Mutex<Table>>,
    /// How many run.
    running: watch::Sender<usize>,
    /// Told whenever one has changed.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Table {
    all: IndexMap<String, Instance>,
    tasks: JoinSet<()>,
    ending: bool,
}

impl Instances {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            table: Arc::default(),
            running: watch::Sender::new(0),
            changed: watch::Sender::new(()),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a pipeline with these values of its parameters.
    ///
    /// # Errors
    /// See [`Refused`]. What goes wrong from now on, the instance's state tells.
    pub fn start(&self, pipeline: &str, given: &[(String, String)]) -> Result<View, Refused> {
        let path = description(pipeline)?;
        let given = self.confined(&path, given)?;
        self.begin(&path, &given)
    }

    /// The same with values of the operator's, whose paths may lead anywhere.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn start_own(&self, pipeline: &str, given: &[(String, String)]) -> Result<View, Refused> {
        self.begin(&description(pipeline)?, given)
    }

    fn begin(&self, path: &Path, given: &[(String, String)]) -> Result<View, Refused> {
        let mut table = self.table();
        if table.ending {
            return Err(Refused::Ending);
        }
        let running = table.all.values().filter(|one| !one.view.state.is_final()).count();
        if running >= self.settings.most {
            return Err(Refused::Full(running));
        }
        let cwd = self.settings.files.first().unwrap_or(&self.settings.runs);
        let prepared = Prepared::new(path, given, cwd, Place::Below(&self.settings.runs)).map_err(Refused::Bad)?;
        let folder = prepared.folder.path.clone();
        let id = folder
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let process = |name: &String| {
            let view = ProcessView {
                state: State::Pending,
                attempts: 0,
                progress: Progress::default(),
                last_exit: None,
            };
            (name.clone(), view)
        };
        let view = View {
            id: id.clone(),
            pipeline: prepared.loaded.description.name.value.clone(),
            state: State::Pending,
            started: chrono::Local::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
            processes: prepared.loaded.description.processes.keys().map(process).collect(),
            result: None,
        };
        let (control, wishes) = mpsc::channel(8);
        let instance = Instance {
            view: view.clone(),
            folder,
            control,
        };
        table.all.insert(id.clone(), instance);
        let this = self.clone();
        table.tasks.spawn(async move { this.keep(id, prepared, wishes).await });
        self.running.send_modify(|running| *running += 1);
        Ok(view)
    }

    /// One instance, from its start to its end.
    async fn keep(&self, id: String, prepared: Prepared, wishes: mpsc::Receiver<Control>) {
        let outputs = prepared.loaded.description.outputs.iter();
        let outputs: HashMap<String, String> = outputs.map(|(name, path)| (name.clone(), path.value.clone())).collect();
        let hear = |report: &Report, state: State| {
            if let Some(one) = self.table().all.get_mut(&id) {
                one.view.hear(report, state);
            }
            self.changed.send_replace(());
        };
        let result = prepared.run(self.settings.program.clone(), wishes, hear, || {}).await;
        let ended = match result {
            Ok((exit, summary)) => Ended {
                exit_code: exit.code(),
                result: summary.result,
                error: summary.error,
                seconds: summary.seconds,
                frames: summary.frames,
                events: summary.events,
                outputs: summary
                    .outputs
                    .into_iter()
                    .map(|output| Output {
                        path: outputs.get(&output.name).cloned().unwrap_or_default(),
                        name: output.name,
                        bytes: output.bytes,
                    })
                    .collect(),
            },
            Err(faults) => Ended {
                exit_code: faults.first().map_or(Exit::Internal, |fault| fault.exit).code(),
                result: "failed".to_owned(),
                error: faults.into_iter().next(),
                seconds: 0.0,
                frames: 0,
                events: Default::default(),
                outputs: Vec::new(),
            },
        };
        let mut table = self.table();
        if let Some(one) = table.all.get_mut(&id) {
            one.view.state = if ended.exit_code == Exit::Ok.code() {
                State::Stopped
            } else {
                State::Failed
            };
            one.view.result = Some(ended);
        }
        table.forget();
        drop(table);
        self.running.send_modify(|running| *running -= 1);
        self.changed.send_replace(());
    }

    /// Waits until one is as wished, or the bound has passed, and gives how it is then.
    ///
    /// # Errors
    /// There is none of that name, or no more.
    pub async fn wait(&self, id: &str, bound: Duration, done: impl Fn(&View) -> bool) -> Result<View, Refused> {
        let mut changed = self.changed.subscribe();
        let wished = async {
            loop {
                changed.mark_unchanged();
                let view = self.get(id)?;
                if done(&view) {
                    return Ok(view);
                }
                if changed.changed().await.is_err() {
                    return Ok(view);
                }
            }
        };
        match tokio::time::timeout(bound, wished).await {
            Ok(view) => view,
            Err(_) => self.get(id),
        }
    }

    /// The values, with paths made absolute that lead into the operator's folders.
    fn confined(&self, path: &Path, given: &[(String, String)]) -> Result<Vec<(String, String)>, Refused> {
        let broken = || Refused::Broken(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        let loaded = read::load(path).map_err(|_| broken())?;
        if !check::check(&loaded).is_empty() {
            return Err(broken());
        }
        let mut faults = Vec::new();
        let mut values = Vec::with_capacity(given.len());
        for (name, text) in given {
            let text = if is_path(&loaded, name) && !text.is_empty() {
                match inside(&self.settings.files, text) {
                    Ok(path) => path,
                    Err(why) => {
                        faults.push(Failure::new(Exit::BadDescription, format!("parameter `{name}` {why}")));
                        continue;
                    }
                }
            } else {
                text.clone()
            };
            values.push((name.clone(), text));
        }
        if faults.is_empty() {
            Ok(values)
        } else {
            Err(Refused::Bad(faults))
        }
    }

    /// All of them, the newest first.
    pub fn list(&self) -> Vec<View> {
        let table = self.table();
        table.all.values().rev().map(|one| one.view.clone()).collect()
    }

    pub fn get(&self, id: &str) -> Result<View, Refused> {
        let table = self.table();
        table.all.get(id).map(|one| one.view.clone()).ok_or_else(|| unknown(id))
    }

    /// Asks one to end with playable files; a second time, to end at once.
    pub fn stop(&self, id: &str) -> Result<View, Refused> {
        let mut table = self.table();
        let one = table.all.get_mut(id).ok_or_else(|| unknown(id))?;
        if one.view.state.is_final() {
            return Err(Refused::Conflict(format!("{id} has ended already")));
        }
        let wish = match one.view.state {
            State::Stopping => Control::Hurry,
            _ => Control::Stop(Reason::User),
        };
        // A full queue holds the same wish already.
        let _ = one.control.try_send(wish);
        Ok(one.view.clone())
    }

    /// Forgets one that has ended. Its files stay.
    pub fn remove(&self, id: &str) -> Result<(), Refused> {
        let mut table = self.table();
        let one = table.all.get(id).ok_or_else(|| unknown(id))?;
        if !one.view.state.is_final() {
            return Err(Refused::Conflict(format!("{id} has not ended; stop it first")));
        }
        table.all.shift_remove(id);
        Ok(())
    }

    /// Its run folder.
    pub fn folder(&self, id: &str) -> Result<PathBuf, Refused> {
        let table = self.table();
        table
            .all
            .get(id)
            .map(|one| one.folder.clone())
            .ok_or_else(|| unknown(id))
    }

    /// Where run folders are.
    pub fn runs(&self) -> &Path {
        &self.settings.runs
    }

    /// The log of a process, if it has one.
    pub fn log(&self, id: &str, process: &str) -> Result<PathBuf, Refused> {
        let table = self.table();
        let one = table.all.get(id).ok_or_else(|| unknown(id))?;
        if !one.view.processes.contains_key(process) {
            return Err(Refused::Unknown(format!("{id} has no process {process}")));
        }
        Ok(one.folder.join("logs").join(format!("{process}.log")))
    }

    /// How many run.
    pub fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Ends all, with playable files where that is done within the bound, and lets no other begin.
    pub async fn end(&self, bound: Duration) {
        let tasks = {
            let mut table = self.table();
            table.ending = true;
            for one in table.all.values().filter(|one| !one.view.state.is_final()) {
                let _ = one.control.try_send(Control::Stop(Reason::User));
            }
            std::mem::take(&mut table.tasks)
        };
        let all = async {
            let mut tasks = tasks;
            while tasks.join_next().await.is_some() {}
            tasks
        };
        let mut all = Box::pin(all);
        if tokio::time::timeout(bound, &mut all).await.is_ok() {
            return;
        }
        for one in self.table().all.values().filter(|one| !one.view.state.is_final()) {
            let _ = one.control.try_send(Control::Hurry);
        }
        // Those that not even this ends are killed with the tasks.
        let _ = tokio::time::timeout(bound, all).await;
    }
}

impl Table {
    fn forget(&mut self) {
        let ended: Vec<String> = self
            .all
            .iter()
            .filter(|(_, one)| one.view.state.is_final())
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended.iter().take(ended.len().saturating_sub(MOST_ENDED)) {
            self.all.shift_remove(id);
        }
        // The tasks of those that have ended.
        while self.tasks.try_join_next().is_some() {}
    }
}

impl View {
    fn hear(&mut self, report: &Report, state: State) {
        self.state = state;
        let (Report::State { process, .. } | Report::Message { process, .. } | Report::Ended { process, .. }) = report;
        let Some(process) = self.processes.get_mut(process) else {
            return;
        };
        match report {
            Report::State { state, .. } => {
                process.state = *state;
                process.attempts += u32::from(*state == State::Starting);
            }
            Report::Message {
                message: FromRunner::Progress(progress),
                ..
            } => process.progress = progress.clone(),
            Report::Ended { record, .. } => {
                process.progress = record.progress.clone();
                process.last_exit = Some(LastExit {
                    attempt: record.attempt,
                    reason: record.reason.clone(),
                    code: record.code,
                    signal: record.signal,
                    error: record.error.as_ref().map(|error| error.failure.clone()),
                });
            }
            Report::Message { .. } => {}
        }
    }
}

fn unknown(id: &str) -> Refused {
    Refused::Unknown(format!("there is no instance {id}"))
}

/// The description of a pipeline by its name: a path is none.
fn description(name: &str) -> Result<PathBuf, Refused> {
    let is_name =
        !name.is_empty() && name.len() <= 100 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let found = is_name.then(|| find::find(name, &find::folders()).ok()).flatten();
    found.ok_or_else(|| Refused::Unknown(format!("there is no pipeline named `{name}`")))
}

fn is_path(loaded: &Loaded, name: &str) -> bool {
    let param = loaded.description.params.get(name);
    param.is_some_and(|param| param.value.kind == ParamType::Path)
}

/// An existing file or folder in one of these, every link on the way followed.
fn inside(roots: &[PathBuf], text: &str) -> Result<String, String> {
    let Some(first) = roots.first() else {
        return Err("is a path, and this server opens no folder to its clients (--files)".to_owned());
    };
    // Whether it is not there or elsewhere, a client is not told.
    let outside = || "is nothing in the folders that this server opens to its clients".to_owned();
    let path = first.join(text).canonicalize().map_err(|_| outside())?;
    let allowed = roots
        .iter()
        .any(|root| root.canonicalize().is_ok_and(|root| path.starts_with(root)));
    let path = path.into_os_string().into_string().ok().filter(|_| allowed);
    path.ok_or_else(outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_folders_also_through_links() {
        let folder = tempfile::tempdir().unwrap();
        let (open, shut) = (folder.path().join("open"), folder.path().join("shut"));
        for place in [&open, &shut] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("a.mp4"), "").unwrap();
        }
        std::os::unix::fs::symlink(&shut, open.join("link")).unwrap();
        let roots = [open.clone()];
        let a = open.canonicalize().unwrap().join("a.mp4").display().to_string();
        assert_eq!(inside(&roots, "a.mp4"), Ok(a.clone()));
        assert_eq!(inside(&roots, &a), Ok(a.clone()));
        assert_eq!(
            inside(&roots, "./link/../a.mp4"),
            Err(inside(&roots, "nothing").unwrap_err())
        );
        for outside in [
            "../shut/a.mp4",
            "link/a.mp4",
            "link",
            "nothing.mp4",
            "/etc/passwd",
            "..",
            &shut.join("a.mp4").display().to_string(),
        ] {
            assert!(inside(&roots, outside).is_err(), "{outside}");
        }
        assert!(inside(&[], "a.mp4").unwrap_err().contains("--files"));
        assert!(inside(&[open.clone(), shut.clone()], "../shut/a.mp4").is_ok());
    }

    #[test]
    fn only_names_are_pipelines() {
        for name in [
            "",
            "../x",
            "/etc/passwd",
            "pipelines/face-file.yaml",
            "face file",
            "x.yaml",
            &"a".repeat(101),
        ] {
            assert!(matches!(description(name), Err(Refused::Unknown(_))), "{name}");
        }
    }
}
