//! `nunchi run`: one instance of a pipeline, from the command line to the summary.

use std::collections::BTreeMap;
use std::time::Instant;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::run_dir::RunDir;
use super::summary::{Output, Summary};
use super::{jobs, on_stop, own_program, runtime};
use crate::cli::{Format, RunArgs};
use crate::exit::{Exit, Failure};
use crate::ipc::FromRunner;
use crate::output::{self, Lines, ProgressView};
use crate::spec::params::{Values, resolve};
use crate::spec::read::{self, Loaded, io_reason};
use crate::spec::{check, find};
use crate::supervisor::{self, Control, ExitRecord, Outcome, Plan, ProcessOutcome, ProcessPlan, Reason, Report, State};

pub fn run(args: RunArgs) -> Exit {
    let told = account(&args).and_then(|(exit, summary)| {
        output::print(&match args.format {
            Format::Text => summary.text(),
            Format::Json => summary
                .json()
                .map_err(|e| vec![Failure::new(Exit::Internal, e.to_string())])?,
        });
        Ok(exit)
    });
    told.unwrap_or_else(|faults| tell(&faults))
}

/// Runs the pipeline and tells its error, if any, but not the summary.
pub fn account(args: &RunArgs) -> Result<(Exit, Summary), Vec<Failure>> {
    perform(args, prepare(args)?)
}

/// Tells all faults; the first one decides how it ends.
pub fn tell(faults: &[Failure]) -> Exit {
    faults.iter().for_each(output::error);
    faults.first().map_or(Exit::Internal, |f| f.exit)
}

struct Ready {
    loaded: Loaded,
    values: Values,
    folder: RunDir,
}

/// Everything that can be wrong before a process is started.
fn prepare(args: &RunArgs) -> Result<Ready, Vec<Failure>> {
    let path = find::find(&args.pipeline, &find::folders()).map_err(|f| vec![f])?;
    let loaded = read::load(&path).map_err(|issue| vec![issue.into_failure()])?;
    let issues = check::check(&loaded);
    if !issues.is_empty() {
        return Err(issues.into_iter().map(read::Issue::into_failure).collect());
    }
    let cwd = std::env::current_dir().map_err(|e| {
        vec![Failure::new(
            Exit::NoInput,
            format!("the current folder is gone: {}", io_reason(&e)),
        )]
    })?;
    let given: Vec<_> = args.params.iter().chain(&args.set).cloned().collect();
    let values = resolve(&loaded, &cwd, &given)?;
    let d = &loaded.description;
    let outputs = d.outputs.values().map(|o| o.value.as_str());
    let folder = RunDir::make(args.run_dir.as_deref(), &d.name.value, &cwd, outputs).map_err(|f| vec![f])?;
    Ok(Ready { loaded, values, folder })
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

fn perform(args: &RunArgs, ready: Ready) -> Result<(Exit, Summary), Vec<Failure>> {
    let d = &ready.loaded.description;
    let program = own_program().map_err(|f| vec![f])?;
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
    let mut view = ProgressView::new(&d.name.value, args.quiet);
    let mut tally = Tally::default();
    let runtime = runtime().map_err(|f| vec![f])?;
    let outcome = runtime.block_on(async {
        let (wishes, control) = mpsc::channel(4);
        let control_task = tokio::spawn(control_from_outside(wishes, args.timeout, view.lines()));
        let outcome = supervisor::supervise(Plan { program, processes }, control, |report, _| {
            watch(report, &mut tally, &mut view)
        })
        .await;
        control_task.abort();
        outcome
    });
    view.finish();

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
    if let Some(error) = summary.error.as_ref().filter(|_| exit != Exit::Ok) {
        output::error(error);
    }
    if let Err(e) = summary.save() {
        output::error(format_args!(
            "cannot write {}: {}",
            ready.folder.path.join("summary.json").display(),
            io_reason(&e)
        ));
        exit = if exit == Exit::Ok { Exit::CannotWrite } else { exit };
    }
    Ok((exit, summary))
}

fn watch(report: &Report, tally: &mut Tally, view: &mut ProgressView) {
    match report {
        Report::Message {
            message: FromRunner::Ready,
            ..
        } => {
            tally.data_since.get_or_insert_with(Instant::now);
        }
        Report::Message {
            message: FromRunner::Progress(progress),
            ..
        } => {
            if tally.data_since.is_some() {
                view.progress(progress);
            }
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
        Report::State {
            process,
            state: State::Backoff,
        } => {
            view.lines()
                .line(&format!("{process}: ended unexpectedly, starts again soon"));
        }
        // What is mended by the restart is not the error of the run.
        Report::State {
            process,
            state: State::Running,
        } => tally.error = tally.error.take().filter(|(of, _)| of != process),
        Report::State { .. } => {}
        Report::Ended { .. } => tally.ended_at = Some(Instant::now()),
    }
}

/// Ctrl-C, SIGTERM, a closed terminal and the time limit, as wishes to the supervisor.
async fn control_from_outside(wishes: mpsc::Sender<Control>, limit: Option<std::time::Duration>, lines: Lines) {
    let (asks, mut asked_by_user) = mpsc::channel(4);
    let _listeners: Vec<_> = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .into_iter()
        // Whoever started us wants these to pass: nohup, or a shell's background job.
        .filter(|kind| !is_ignored(kind.as_raw_value()))
        .filter_map(|kind| signal(kind).ok())
        .map(|mut stream| {
            let asks = asks.clone();
            tokio::spawn(async move { while stream.recv().await.is_some() && asks.send(()).await.is_ok() {} })
        })
        .collect();
    let mut asked = false;
    let time_is_up = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(time_is_up);
    let mut limited = limit.is_some();
    loop {
        let by_user = tokio::select! {
            _ = asked_by_user.recv() => true,
            () = &mut time_is_up, if limited => { limited = false; false }
        };
        let wish = match (by_user, asked) {
            (false, _) => Control::Stop(Reason::TimeLimit),
            (true, false) => Control::Stop(Reason::User),
            (true, true) => Control::Hurry,
        };
        if by_user && !asked {
            lines.line("ending: the files are being finished (Ctrl-C again: end at once)");
        }
        asked |= by_user;
        if wishes.send(wish).await.is_err() {
            return;
        }
    }
}

fn is_ignored(signal: i32) -> bool {
    // SAFETY: without a new action the call only fills the structure, which is valid for any content.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut now) == 0 && now.sa_sigaction == libc::SIG_IGN
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
