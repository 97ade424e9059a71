//! `nunchi run`: one instance of a pipeline, from the command line to the summary.

use std::cell::RefCell;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{own_program, runtime};
use crate::cli::{Format, RunArgs};
use crate::exit::{Exit, Failure};
use crate::instance::summary::Summary;
use crate::instance::{Place, Prepared};
use crate::ipc::FromRunner;
use crate::output::{self, Lines, ProgressView};
use crate::spec::find;
use crate::spec::read::io_reason;
use crate::supervisor::{Control, Reason, Report, State};

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

/// Everything that can be wrong before a process is started.
fn prepare(args: &RunArgs) -> Result<Prepared, Vec<Failure>> {
    let path = find::find(&args.pipeline, &find::folders()).map_err(|f| vec![f])?;
    let cwd = std::env::current_dir().map_err(|e| {
        vec![Failure::new(
            Exit::NoInput,
            format!("the current folder is gone: {}", io_reason(&e)),
        )]
    })?;
    let given: Vec<_> = args.params.iter().chain(&args.set).cloned().collect();
    let (wanted, below) = (args.run_dir.as_ref().map(|dir| cwd.join(dir)), cwd.join("run"));
    let place = wanted.as_deref().map_or(Place::Below(&below), Place::At);
    Prepared::new(&path, &given, &cwd, place)
}

fn perform(args: &RunArgs, prepared: Prepared) -> Result<(Exit, Summary), Vec<Failure>> {
    let program = own_program().map_err(|f| vec![f])?;
    let name = prepared.loaded.description.name.value.clone();
    let view = RefCell::new(View {
        view: ProgressView::new(&name, args.quiet),
        has_data: false,
    });
    let runtime = runtime().map_err(|f| vec![f])?;
    let (exit, summary) = runtime.block_on(async {
        let (wishes, control) = mpsc::channel(4);
        let lines = view.borrow().view.lines();
        let control_task = tokio::spawn(control_from_outside(wishes, args.timeout, lines));
        let ended = || {
            control_task.abort();
            view.borrow().view.finish();
        };
        let hear = |report: &Report, _| view.borrow_mut().show(report);
        prepared.run(program, control, hear, ended).await
    })?;
    if let Some(error) = summary.error.as_ref().filter(|_| exit != Exit::Ok) {
        output::error(error);
    }
    Ok((exit, summary))
}

/// What is shown while it runs.
struct View {
    view: ProgressView,
    has_data: bool,
}

impl View {
    fn show(&mut self, report: &Report) {
        match report {
            Report::Message {
                message: FromRunner::Ready,
                ..
            } => self.has_data = true,
            Report::Message {
                message: FromRunner::Progress(progress),
                ..
            } if self.has_data => self.view.progress(progress),
            Report::State {
                process,
                state: State::Backoff,
            } => {
                let line = format!("{process}: ended unexpectedly, starts again soon");
                self.view.lines().line(&line);
            }
            _ => {}
        }
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
