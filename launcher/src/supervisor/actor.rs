//! Carries out what the state machine of one process decides, and feeds it what happens.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::RUNNER;
use super::log::Log;
use super::process::{Child, Closed, Incoming};
use super::states::{Action, Ended, Input, Machine, Reason, State, Step};
use crate::exit::{Exit, Failure};
use crate::ipc::{Decoder, FromRunner, Job, Progress, RunnerError, ToRunner};
use crate::spec::read::io_reason;
use crate::spec::{Health, Restart, Stop};

/// One process and how to supervise it.
#[derive(Debug, Clone)]
pub struct ProcessPlan {
    pub job: Job,
    pub restart: Restart,
    pub health: Health,
    pub stop: Stop,
}

/// To an actor.
#[derive(Debug)]
pub enum Command {
    Start,
    Stop(Reason),
    Hurry,
}

/// From an actor.
#[derive(Debug)]
pub enum Report {
    State { process: String, state: State },
    Message { process: String, message: FromRunner },
    Ended { process: String, record: Box<ExitRecord> },
}

/// How one attempt of a process ended.
#[derive(Debug, Clone, Serialize)]
pub struct ExitRecord {
    pub attempt: u32,
    pub reason: Reason,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    #[serde(skip)]
    pub how: Ended,
    /// Steps of the stop ladder that were taken, each with the milliseconds since the first.
    pub ladder: Vec<(Step, u64)>,
    /// The first fault that the pipeline reported.
    pub error: Option<RunnerError>,
    /// Last lines of its standard streams.
    pub log_tail: Vec<String>,
    /// The pipeline's graph (Graphviz), written when it failed or gave no data.
    pub graph: Option<PathBuf>,
    pub progress: Progress,
}

impl ExitRecord {
    /// What this end means for the exit code of the launcher.
    pub fn exit(&self) -> Exit {
        match (&self.reason, self.how.exit()) {
            (Reason::StartTimeout | Reason::Stalled(_) | Reason::Silent, _) => Exit::Timeout,
            (_, Some(exit)) => exit,
            (Reason::User | Reason::TimeLimit | Reason::Dependency(_), None) => Exit::Interrupted,
            (_, None) => Exit::Failed,
        }
    }
}

/// What is kept of the running attempt until its record is made.
#[derive(Default)]
struct Attempt {
    number: u32,
    ladder: Vec<(Step, Instant)>,
    error: Option<RunnerError>,
    progress: Progress,
    /// What it said that it ends with.
    finished: Option<Exit>,
    graph: Option<PathBuf>,
}

/// Runs one process until its state is final.
pub struct Actor {
    plan: ProcessPlan,
    program: PathBuf,
    reports: mpsc::Sender<Report>,
    commands: mpsc::Receiver<Command>,
    begun: Instant,
    machine: Machine,
    log: Log,
    child: Option<Child>,
    decoder: Decoder,
    closed: Closed,
    attempt: Attempt,
}

impl Actor {
    /// `program` is the launcher's own executable.
    pub fn new(
        plan: ProcessPlan,
        program: PathBuf,
        reports: mpsc::Sender<Report>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let log = Log::create(&plan.job.run_dir.join("logs").join(format!("{}.log", plan.job.process)));
        let machine = Machine::new(plan.restart, plan.health, plan.stop);
        Self {
            plan,
            program,
            reports,
            commands,
            begun: Instant::now(),
            machine,
            log,
            child: None,
            decoder: Decoder::default(),
            closed: Closed::default(),
            attempt: Attempt::default(),
        }
    }

    pub async fn run(mut self) {
        let (mut messages, mut words) = (vec![0; 64 * 1024], vec![0; 16 * 1024]);
        while !self.machine.state().is_final() {
            let deadline = self.machine.deadline().map(|d| self.begun + d);
            let sleep = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let incoming = async {
                match &mut self.child {
                    Some(child) => child.next(&mut messages, &mut words, &mut self.closed).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Start) => self.step(Input::Start).await,
                    Some(Command::Stop(reason)) => self.step(Input::Stop(reason)).await,
                    Some(Command::Hurry) => self.step(Input::Hurry).await,
                    // The instance is gone.
                    None => self.step(Input::Stop(Reason::User)).await,
                },
                incoming = incoming => match incoming {
                    Incoming::Messages(n) => self.messages(&messages[..n]).await,
                    Incoming::Words(n) => self.log.push(&words[..n]),
                    Incoming::Exit => self.exited(&mut messages, &mut words).await,
                    Incoming::Nothing => {}
                },
                () = sleep => {
                    self.catch_up(&mut messages).await;
                    self.step(Input::Tick).await;
                }
            }
        }
    }

    /// Takes the messages that wait, so that nothing is called silent for what has not been read yet.
    async fn catch_up(&mut self, messages: &mut [u8]) {
        for _ in 0..CATCH_UP {
            let waiting = self.child.as_mut().filter(|_| !self.closed.ipc);
            let Some(n) = waiting.and_then(|c| c.try_messages(messages)) else {
                return;
            };
            self.messages(&messages[..n]).await;
        }
    }

    async fn tell(&mut self, message: &ToRunner) {
        if let Some(child) = &mut self.child
            && let Err(e) = child.send(message).await
        {
            self.log.note(&format!("the process takes no messages: {e}"));
        }
    }

    async fn report(&self, report: Report) {
        // Nobody listens any more only when the instance is gone; the actor then ends by its command channel.
        let _ = self.reports.send(report).await;
    }

    async fn messages(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
        loop {
            match self.decoder.take::<FromRunner>() {
                Ok(Some(message)) => self.message(message).await,
                Ok(None) => return,
                Err(e) => {
                    self.log.note(&format!("the process speaks wrongly: {e}"));
                    self.closed.ipc = true;
                    return;
                }
            }
        }
    }

    async fn message(&mut self, message: FromRunner) {
        match &message {
            FromRunner::Ready => self.step(Input::Ready).await,
            FromRunner::Progress(progress) => {
                self.attempt.progress = progress.clone();
                let sinks = progress.sinks.clone();
                self.step(Input::Progress(&sinks)).await;
            }
            FromRunner::Error(error) => {
                self.attempt.error.get_or_insert_with(|| error.clone());
                self.step(Input::Heard).await;
            }
            FromRunner::Finished { exit, progress } => {
                self.attempt.progress = progress.clone();
                self.attempt.finished = Some(*exit);
                self.step(Input::Heard).await;
            }
            FromRunner::Stats { graph, .. } => {
                self.attempt.graph = Some(graph.clone());
                self.step(Input::Heard).await;
            }
            _ => self.step(Input::Heard).await,
        }
        self.report_message(message).await;
    }

    async fn report_message(&self, message: FromRunner) {
        let process = self.plan.job.process.clone();
        self.report(Report::Message { process, message }).await;
    }

    /// The child has exited: reads what it left, reaps it, and makes the record.
    async fn exited(&mut self, messages: &mut [u8], words: &mut [u8]) {
        let Some(mut child) = self.child.take() else { return };
        let ended = child.reap().unwrap_or(Ended::NotStarted(Exit::Internal));
        // The group is dead, so both streams end; the bound is for one that was handed out of the group.
        let drained = Instant::now() + Duration::from_secs(1);
        while !(self.closed.ipc && self.closed.output) && Instant::now() < drained {
            match tokio::time::timeout_at(drained, child.next(messages, words, &mut self.closed)).await {
                Ok(Incoming::Messages(n)) => self.messages(&messages[..n]).await,
                Ok(Incoming::Words(n)) => self.log.push(&words[..n]),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.ended(ended).await;
    }

    async fn ended(&mut self, how: Ended) {
        let code = if let Ended::Code(code) = how { Some(code) } else { None };
        let how = match self.attempt.finished {
            Some(exit) if code == Some(i32::from(exit.code())) => Ended::Finished(exit),
            _ => how,
        };
        self.step_quietly(Input::Ended { how, jitter: jitter() });
        let attempt = std::mem::take(&mut self.attempt);
        let first = attempt.ladder.first().map(|(_, at)| *at);
        let graph = self.job(attempt.number).graph();
        let record = Box::new(ExitRecord {
            attempt: attempt.number,
            reason: self.machine.reason().cloned().unwrap_or(Reason::Crash),
            code,
            signal: if let Ended::Signal(signal) = how {
                Some(signal)
            } else {
                None
            },
            how,
            ladder: attempt
                .ladder
                .iter()
                .map(|(step, at)| (*step, first.map_or(0, |f| at.duration_since(f).as_millis() as u64)))
                .collect(),
            error: attempt.error,
            log_tail: self.log.tail(),
            graph: attempt.graph.or_else(|| graph.exists().then_some(graph)),
            progress: attempt.progress,
        });
        let process = self.plan.job.process.clone();
        self.report(Report::Ended { process, record }).await;
        self.report_state().await;
    }

    async fn report_state(&self) {
        let (process, state) = (self.plan.job.process.clone(), self.machine.state());
        self.report(Report::State { process, state }).await;
    }

    fn step_quietly(&mut self, input: Input<'_>) -> Option<Action> {
        self.machine.step(self.begun.elapsed(), input)
    }

    async fn step(&mut self, input: Input<'_>) {
        let before = self.machine.state();
        let action = self.step_quietly(input);
        if self.machine.state() != before {
            self.report_state().await;
        }
        match action {
            Some(Action::Spawn { attempt }) => self.spawn(attempt).await,
            Some(Action::Step(step)) => self.take_step(step).await,
            Some(Action::Abandon) => {
                if let Some(child) = self.child.take() {
                    self.log.note("the process does not even end by SIGKILL");
                    child.abandon();
                }
            }
            None => {}
        }
    }

    async fn spawn(&mut self, attempt: u32) {
        self.decoder = Decoder::default();
        self.closed = Closed::default();
        self.attempt = Attempt {
            number: attempt,
            ..Attempt::default()
        };
        let job = self.job(attempt);
        // Of an earlier run in the same folder.
        let _ = std::fs::remove_file(job.graph());
        let mut child = match Child::spawn(&self.program, RUNNER) {
            Ok(child) => child,
            Err(e) => {
                let message = format!("process `{}` cannot be started: {}", job.process, io_reason(&e));
                return self.not_started(Failure::new(Exit::Internal, message)).await;
            }
        };
        self.log
            .note(&format!("attempt {attempt} started, pid {}", child.pid()));
        if let Err(e) = child.send(&ToRunner::Start(job)).await
            && let Some(failure) = Child::unsent(&self.plan.job.process, &e)
        {
            drop(child);
            return self.not_started(failure).await;
        }
        self.child = Some(child);
    }

    async fn not_started(&mut self, failure: Failure) {
        self.log.note(&failure.message);
        let exit = failure.exit;
        let error = RunnerError {
            failure,
            element: None,
            debug: None,
        };
        self.attempt.error = Some(error.clone());
        self.report_message(FromRunner::Error(error)).await;
        self.ended(Ended::NotStarted(exit)).await;
    }

    fn job(&self, attempt: u32) -> Job {
        Job {
            attempt,
            ..self.plan.job.clone()
        }
    }

    async fn take_step(&mut self, step: Step) {
        // The reason is in the machine already, before anything is sent.
        let reason = self.machine.reason().cloned();
        self.log.note(&format!("ending it ({reason:?}): {step:?}"));
        self.attempt.ladder.push((step, Instant::now()));
        match step {
            Step::EndOfStream => {
                if matches!(reason, Some(Reason::StartTimeout | Reason::Stalled(_))) {
                    self.tell(&ToRunner::Snapshot).await;
                }
                self.tell(&ToRunner::Stop).await;
            }
            Step::Interrupt => self.signal(libc::SIGINT),
            Step::Terminate => self.signal(libc::SIGTERM),
            Step::Kill => self.signal(libc::SIGKILL),
        }
    }

    fn signal(&self, signal: i32) {
        if let Some(child) = &self.child {
            child.signal(signal);
        }
    }
}

/// Reads of 64 KiB before a tick; more than a socket holds.
const CATCH_UP: usize = 64;

/// A number in [0, 1) that differs between processes started together.
fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
