//! Supervision of an instance: starts its processes in order, watches them, ends them together.

mod actor;
mod log;
mod process;
pub mod states;

use std::collections::HashMap;
use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;
use tokio::sync::mpsc;

use actor::{Actor, Command};
pub use actor::{ExitRecord, ProcessPlan, Report};
pub use process::{Child, Closed, Incoming};

/// The sub-command that runs a pipeline.
pub const RUNNER: &[&str] = &["runner"];
use states::instance_state;
pub use states::{Ended, Reason, State};

use crate::exit::Exit;
use crate::ipc::FromRunner;

/// Reports waiting to be read; a slow reader slows the runners down instead of filling memory.
const QUEUE: usize = 256;

/// Records kept of the first attempts of a process, and of the last ones.
const RECORDS: usize = 20;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The executable that is the runner: the launcher itself.
    pub program: PathBuf,
    pub processes: Vec<(ProcessPlan, Vec<String>)>,
}

/// A wish from outside while the instance runs.
#[derive(Debug, Clone)]
pub enum Control {
    /// End with playable files.
    Stop(Reason),
    /// Do not wait for the current step of the ladder.
    Hurry,
}

/// How an instance ended.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub state: State,
    pub exit: Exit,
    /// Why it was ended, when it did not end by itself.
    pub stopped_by: Option<Reason>,
    pub processes: IndexMap<String, ProcessOutcome>,
}

/// How one process ended.
#[derive(Debug, Serialize)]
pub struct ProcessOutcome {
    pub state: State,
    /// One record for each attempt; of very many the first and the last ones.
    pub attempts: Vec<ExitRecord>,
    /// Attempts whose record was left out.
    pub left_out: u32,
    /// Frames of all attempts.
    pub frames: u64,
}

impl ProcessOutcome {
    fn add(&mut self, record: ExitRecord) {
        self.frames += record.progress.frames;
        self.attempts.push(record);
        if self.attempts.len() > 2 * RECORDS {
            self.attempts.remove(RECORDS);
            self.left_out += 1;
        }
    }
}

struct Member {
    commands: mpsc::Sender<Command>,
    waits_for: Vec<String>,
    started: bool,
    /// Has delivered data at least once, or ended well: those that wait for it may start.
    delivered: bool,
    outcome: ProcessOutcome,
}

/// Runs the instance until every process is in a final state. `watch` sees every report.
pub async fn supervise(
    plan: Plan,
    mut control: mpsc::Receiver<Control>,
    mut watch: impl FnMut(&Report, State),
) -> Outcome {
    let (reports_in, mut reports) = mpsc::channel(QUEUE);
    let mut members: IndexMap<String, Member> = IndexMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    for (process, waits_for) in plan.processes {
        let (commands, inbox) = mpsc::channel(16);
        let name = process.job.process.clone();
        tasks.spawn(Actor::new(process, plan.program.clone(), reports_in.clone(), inbox).run());
        let outcome = ProcessOutcome {
            state: State::Pending,
            attempts: Vec::new(),
            left_out: 0,
            frames: 0,
        };
        members.insert(
            name,
            Member {
                commands,
                waits_for,
                started: false,
                delivered: false,
                outcome,
            },
        );
    }
    drop(reports_in);
    let mut stopped_by: Option<Reason> = None;
    let mut control_open = true;
    start_ready(&mut members).await;
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => {
                    take(&mut members, &report);
                    let states: Vec<State> = members.values().map(|m| m.outcome.state).collect();
                    watch(&report, instance_state(&states));
                    if let Report::State { process, state } = &report {
                        if *state == State::Failed && stopped_by.is_none() {
                            let reason = Reason::Dependency(process.clone());
                            stop_all(&members, &reason).await;
                            stopped_by = Some(reason);
                        }
                        start_ready(&mut members).await;
                    }
                }
                // Every actor has ended.
                None => break,
            },
            wish = control.recv(), if control_open => match wish {
                Some(Control::Stop(reason)) => {
                    stop_all(&members, &reason).await;
                    stopped_by.get_or_insert(reason);
                }
                Some(Control::Hurry) => {
                    for member in members.values() {
                        let _ = member.commands.send(Command::Hurry).await;
                    }
                }
                None => control_open = false,
            },
        }
    }
    let states: HashMap<&str, State> = members.iter().map(|(n, m)| (n.as_str(), m.outcome.state)).collect();
    let state = instance_state(&states.into_values().collect::<Vec<_>>());
    let processes: IndexMap<_, _> = members.into_iter().map(|(name, m)| (name, m.outcome)).collect();
    Outcome {
        state,
        exit: overall(&processes, stopped_by.as_ref()),
        stopped_by,
        processes,
    }
}

/// The exit code of the whole: the first fault decides.
fn overall(processes: &IndexMap<String, ProcessOutcome>, stopped_by: Option<&Reason>) -> Exit {
    let failed = |name: &String| processes.get(name).filter(|p| p.state == State::Failed);
    let last = |p: &ProcessOutcome| p.attempts.last().map_or(Exit::Internal, ExitRecord::exit);
    // The process whose failure ended the others comes before those that were ended because of it.
    if let Some(Reason::Dependency(name)) = stopped_by
        && let Some(process) = failed(name)
    {
        return last(process);
    }
    if let Some(process) = processes.keys().find_map(failed) {
        return match last(process) {
            Exit::Ok => Exit::Failed,
            exit => exit,
        };
    }
    let forced = processes
        .values()
        .any(|p| p.attempts.last().is_some_and(|r| r.exit() == Exit::Interrupted));
    match stopped_by {
        Some(Reason::TimeLimit) => Exit::Timeout,
        Some(_) if forced => Exit::Interrupted,
        _ => Exit::Ok,
    }
}

fn take(members: &mut IndexMap<String, Member>, report: &Report) {
    let (Report::State { process, .. } | Report::Message { process, .. } | Report::Ended { process, .. }) = report;
    let Some(member) = members.get_mut(process) else { return };
    match report {
        Report::State { state, .. } => {
            member.outcome.state = *state;
            member.delivered |= matches!(state, State::Running | State::Stopped);
        }
        Report::Message {
            message: FromRunner::Ready,
            ..
        } => member.delivered = true,
        Report::Message { .. } => {}
        Report::Ended { record, .. } => member.outcome.add(ExitRecord::clone(record)),
    }
}

/// Starts what waits for nothing any more.
async fn start_ready(members: &mut IndexMap<String, Member>) {
    let delivered: Vec<String> = members
        .iter()
        .filter(|(_, m)| m.delivered)
        .map(|(n, _)| n.clone())
        .collect();
    for member in members.values_mut().filter(|m| !m.started) {
        if member.waits_for.iter().all(|name| delivered.contains(name)) {
            member.started = true;
            let _ = member.commands.send(Command::Start).await;
        }
    }
}

async fn stop_all(members: &IndexMap<String, Member>, reason: &Reason) {
    for member in members.values() {
        // An actor that has ended already takes no more commands.
        let _ = member.commands.send(Command::Stop(reason.clone())).await;
    }
}
