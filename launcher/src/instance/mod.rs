//! One instance of a pipeline, from its description and values to its summary. Who starts it, and who hears of it, is elsewhere.

mod jobs;
mod mp4;
mod on_stop;
pub mod run_dir;
pub mod summary;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::exit::{Exit, Failure};
use crate::ipc::FromRunner;
use crate::spec::check;
use crate::spec::params::{Values, resolve};
use crate::spec::read::{self, Loaded, io_reason};
use crate::supervisor::{self, Control, ExitRecord, Outcome, Plan, ProcessOutcome, ProcessPlan, Reason, Report, State};

pub use jobs::jobs;
use run_dir::RunDir;
use summary::{Output, Summary};

/// Everything that can be known before a process is started.
#[derive(Debug)]
pub struct Prepared {
    pub loaded: Loaded,
    pub values: Values,
    pub folder: RunDir,
}

/// Where an instance writes.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In this folder.
    At(&'a Path),
    /// In a new one below this, named after the pipeline and the time.
    Below(&'a Path),
}

impl Prepared {
    /// Checks a description and values given for its parameters, paths among them relative to `cwd`, and makes the run folder.
    ///
    /// # Errors
    /// All faults of the description, or all of the values, or why there is no folder.
    pub fn new(
        description: &Path,
        given: &[(String, String)],
        cwd: &Path,
        place: Place<'_>,
    ) -> Result<Self, Vec<Failure>> {
        let loaded = read::load(description).map_err(|issue| vec![issue.into_failure()])?;
        let issues = check::check(&loaded);
        if !issues.is_empty() {
            return Err(issues.into_iter().map(read::Issue::into_failure).collect());
        }
        let values = resolve(&loaded, cwd, given)?;
        let d = &loaded.description;
        let outputs = d.outputs.values().map(|o| o.value.as_str());
        let folder = RunDir::make(place, &d.name.value, outputs).map_err(|f| vec![f])?;
        Ok(Self { loaded, values, folder })
    }

    /// Runs it with `program` as the runner until every process is in a final state. `hear` gets every report and the state
    /// of the whole; `ended` is called between the end of the last process and what is done after it.
    ///
    /// # Errors
    /// What cannot be told to the runners. A run that failed is no error; its summary has one, and is saved in the run folder where that can be
    /// written.
    pub async fn run(
        self,
        program: PathBuf,
        control: mpsc::Receiver<Control>,
        mut hear: impl FnMut(&Report, State),
        ended: impl FnOnce(),
    ) -> Result<(Exit, Summary), Vec<Failure>> {
        let ready = self;
        let d = &ready.loaded.description;
        let processes = jobs(&ready.loaded, &ready.values, &ready.folder.path)
            .map_err(|f| vec![f])?
            .into_iter()
            .map(|job| {
                let after = d.processes[&job.process]
                    .value
                    .after
                    .iter()
                    .map(|a| a.value.clone())
                    .collect();
                (
                    ProcessPlan {
                        job,
                        restart: d.restart,
                        health: d.health,
                        stop: d.stop,
                    },
                    after,
                )
            })
            .collect();
        let started = chrono::Local::now();
        let begun = Instant::now();
        let mut tally = Tally::default();
        let outcome = supervisor::supervise(Plan { program, processes }, control, |report, state| {
            watch(report, &mut tally);
            hear(report, state);
        })
        .await;
        ended();

        let mut exit = outcome.exit;
        let mut error = tally.error.map(|(process, failure)| {
            let message = if d.processes.len() > 1 {
                format!("process `{process}`: {}", failure.message)
            } else {
                failure.message
            };
            Failure { message, ..failure }
        });
        let unmended = unmended(&outcome);
        if error.is_none() {
            error = unmended.map(|(name, process)| why(&outcome, name, process));
        }
        let (merged, faults) = on_stop::run(d, &ready.folder);
        if let Some(fault) = faults.into_iter().next() {
            // The error that is told is the one that the exit code stands for.
            if exit == Exit::Ok {
                exit = fault.exit;
                error = Some(fault);
            } else {
                error.get_or_insert(fault);
            }
        }
        let frames = frames(&outcome);
        let seconds = tally.data_since.map_or(0.0, |t| {
            tally
                .ended_at
                .unwrap_or_else(Instant::now)
                .duration_since(t)
                .as_secs_f64()
        });
        let summary = Summary {
            pipeline: d.name.value.clone(),
            description: ready.loaded.path.display().to_string(),
            result: result_word(exit, &outcome).into(),
            exit_code: exit.code(),
            error: error.filter(|_| exit != Exit::Ok || unmended.is_some()),
            started: started.to_rfc3339_opts(chrono::SecondsFormat::Millis, false),
            seconds: (begun.elapsed().as_secs_f64() * 1e3).round() / 1e3,
            frames,
            fps: if seconds > 0.0 {
                (frames as f64 / seconds * 10.0).round() / 10.0
            } else {
                0.0
            },
            events: tally.events,
            outputs: d
                .outputs
                .iter()
                .map(|(name, path)| Output::look(name, &path.value, &ready.folder))
                .collect(),
            merged,
            run_dir: ready.folder.path.clone(),
            logs: ready.folder.path.join("logs"),
            processes: outcome.processes,
        };
        if let Err(e) = summary.save() {
            let place = ready.folder.path.join("summary.json");
            let failure = Failure::new(
                Exit::CannotWrite,
                format!("cannot write {}: {}", place.display(), io_reason(&e)),
            );
            exit = if exit == Exit::Ok { Exit::CannotWrite } else { exit };
            let mut summary = summary;
            summary.error.get_or_insert(failure);
            return Ok((exit, summary));
        }
        Ok((exit, summary))
    }
}

/// What is gathered while the instance runs.
#[derive(Default)]
struct Tally {
    events: BTreeMap<String, u64>,
    data_since: Option<Instant>,
    ended_at: Option<Instant>,
    /// The fault that comes to the user's eyes: process and text.
    error: Option<(String, Failure)>,
}

fn watch(report: &Report, tally: &mut Tally) {
    match report {
        Report::Message {
            message: FromRunner::Ready,
            ..
        } => {
            tally.data_since.get_or_insert_with(Instant::now);
        }
        Report::Message {
            message: FromRunner::Event { kind, state, .. },
            ..
        } => {
            // As the log has it: the end of something is no sighting.
            if state != "end" {
                *tally.events.entry(kind.clone()).or_default() += 1;
            }
        }
        Report::Message {
            process,
            message: FromRunner::Error(error),
        } => {
            tally
                .error
                .get_or_insert_with(|| (process.clone(), error.failure.clone()));
        }
        Report::Message { .. } => {}
        // What is mended by the restart is not the error of the run.
        Report::State {
            process,
            state: State::Running,
        } => tally.error = tally.error.take().filter(|(of, _)| of != process),
        Report::State { .. } => {}
        Report::Ended { .. } => tally.ended_at = Some(Instant::now()),
    }
}

/// The frames of the busiest process, over all its attempts.
fn frames(outcome: &Outcome) -> u64 {
    outcome.processes.values().map(|p| p.frames).max().unwrap_or(0)
}

fn result_word(exit: Exit, outcome: &Outcome) -> &'static str {
    match exit {
        Exit::Ok if outcome.stopped_by == Some(Reason::User) => "ended by the user",
        Exit::Ok => "finished",
        Exit::Timeout => "timed out",
        Exit::Interrupted => "ended by force",
        _ => "failed",
    }
}

/// A process that failed; else one whose last attempt went wrong, and that was ended before the next.
fn unmended(outcome: &Outcome) -> Option<(&str, &ProcessOutcome)> {
    let went_wrong = |p: &ProcessOutcome| {
        let wrong = |a: &ExitRecord| !matches!(a.exit(), Exit::Ok | Exit::Interrupted);
        p.attempts.last().is_some_and(wrong)
    };
    let find = |which: &dyn Fn(&ProcessOutcome) -> bool| outcome.processes.iter().find(|(_, p)| which(p));
    let found = find(&|p| p.state == State::Failed).or_else(|| find(&went_wrong));
    found.map(|(name, process)| (name.as_str(), process))
}

/// A sentence for an end without an error message of its own.
fn why(outcome: &Outcome, name: &str, process: &ProcessOutcome) -> Failure {
    let Some(record) = process.attempts.last() else {
        return Failure::new(outcome.exit, format!("process `{name}` failed"));
    };
    let what = match (&record.reason, record.code, record.signal) {
        (Reason::StartTimeout, ..) => "delivered no data in the time of health.start_timeout".into(),
        (Reason::Stalled(sink), ..) => format!("stalled: no data in `{sink}` in the time of health.stall_timeout"),
        (Reason::Silent, ..) => "hung: no word in the time of health.heartbeat_timeout".into(),
        (_, _, Some(signal)) => format!("was ended by signal {signal} ({})", signal_name(signal)),
        (_, Some(0), _) => "ended without a word".into(),
        (_, Some(code), _) => format!("ended with exit code {code}"),
        _ => "could not be started".into(),
    };
    let again = match process.attempts.len() as u32 + process.left_out {
        1 => String::new(),
        tries => format!(", after {tries} attempts"),
    };
    let graph = if record.graph.is_some() { " and its graph" } else { "" };
    Failure::new(outcome.exit, format!("process `{name}` {what}{again}"))
        .hint(format!("the logs folder holds its last words{graph}"))
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => "SIGKILL: killed, perhaps for lack of memory",
        libc::SIGSEGV => "SIGSEGV: a crash in native code",
        libc::SIGABRT => "SIGABRT: it aborted",
        libc::SIGTERM => "SIGTERM",
        libc::SIGINT => "SIGINT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL: an instruction this processor lacks",
        _ => "see signal(7)",
    }
}
