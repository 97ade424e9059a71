//! The life of one process as a pure state machine: no clock, no I/O, no randomness of its own.
//!
//! The actor feeds it inputs with the time since its start and carries out the actions it answers with.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::exit::Exit;
use crate::ipc::SinkProgress;
use crate::spec::{Health, Restart, RestartPolicy, Stop};

/// How long a process may live on after SIGKILL before it is given up (it hangs inside the kernel).
const KILL_BOUND: Duration = Duration::from_secs(5);

/// A tick that comes so much too late tells that the supervisor itself was held up (stopped by Ctrl-Z, say): the silence was
/// its own.
const LATE: Duration = Duration::from_secs(1);

/// State of a process, and of an instance as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not started yet; may wait for others.
    Pending,
    /// Started; no data yet.
    Starting,
    Running,
    /// Some processes run, at least one waits for its restart. Only of an instance.
    Degraded,
    Stopping,
    /// Ended as wanted. Final.
    Stopped,
    /// Ended by a fault and not started again. Final.
    Failed,
    /// Waits for its restart.
    Backoff,
}

impl State {
    pub fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Failed)
    }
}

/// Why a process ends or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "of")]
pub enum Reason {
    /// The input ended.
    EndOfStream,
    /// The user asked for it.
    User,
    /// `--timeout` ran out.
    TimeLimit,
    /// Another process of the instance failed.
    Dependency(String),
    /// No data within `start_timeout`.
    StartTimeout,
    /// No data in this sink within `stall_timeout`.
    Stalled(String),
    /// No word within `heartbeat_timeout`.
    Silent,
    /// It reported a fault and ended.
    Fault,
    /// A signal that nobody here sent, or an exit without a word.
    Crash,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It said so before, and its exit code agrees.
    Finished(Exit),
    Code(i32),
    Signal(i32),
    /// It could not be started.
    NotStarted(Exit),
}

impl Ended {
    /// What it ended with; `None` for a crash. Success without a word is one too: some library has ended the process.
    pub fn exit(self) -> Option<Exit> {
        match self {
            Self::Finished(exit) | Self::NotStarted(exit) => Some(exit),
            Self::Code(code) => Exit::from_code(code).filter(|e| *e != Exit::Ok),
            Self::Signal(_) => None,
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<'a> {
    Start,
    /// The runner plays and a first buffer has reached a sink.
    Ready,
    Progress(&'a [SinkProgress]),
    /// Any other message.
    Heard,
    /// The process is gone. `jitter` in [0, 1) scales the wait before a restart.
    Ended {
        how: Ended,
        jitter: f64,
    },
    /// End it, and start it no more.
    Stop(Reason),
    /// Go on to the next step of the stop ladder without waiting.
    Hurry,
    /// Time has passed; sent at the latest at [`Machine::deadline`].
    Tick,
}

/// What the actor has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Spawn {
        attempt: u32,
    },
    Step(Step),
    /// The process outlived SIGKILL; let go of it.
    Abandon,
}

/// A step of the stop ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    EndOfStream,
    Interrupt,
    Terminate,
    Kill,
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    restart: Restart,
    health: Health,
    stop: Stop,
    state: State,
    /// When the state, or the step of the ladder, was entered.
    since: Duration,
    step: Step,
    /// Why it is being ended; set before the first step.
    reason: Option<Reason>,
    /// Stopped from outside: no restart any more.
    wanted_end: bool,
    attempt: u32,
    /// Some attempt has delivered data.
    delivered: bool,
    restarts: VecDeque<Duration>,
    backoff: Duration,
    heard: Duration,
    sinks: BTreeMap<String, Sink>,
}

#[derive(Debug)]
struct Sink {
    buffers: u64,
    changed: Duration,
    eos: bool,
}

impl Machine {
    pub fn new(restart: Restart, health: Health, stop: Stop) -> Self {
        Self {
            restart,
            health,
            stop,
            state: State::Pending,
            since: Duration::ZERO,
            step: Step::EndOfStream,
            reason: None,
            wanted_end: false,
            attempt: 0,
            delivered: false,
            restarts: VecDeque::new(),
            backoff: Duration::ZERO,
            heard: Duration::ZERO,
            sinks: BTreeMap::new(),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Why the process is being ended, or was ended last.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// The last step of the stop ladder that was taken.
    pub fn last_step(&self) -> Step {
        self.step
    }

    /// When a tick is due; `None` when nothing depends on time.
    pub fn deadline(&self) -> Option<Duration> {
        let after = |from: Duration, bound: Duration| (!bound.is_zero()).then(|| from + bound);
        match self.state {
            State::Pending | State::Stopped | State::Failed | State::Degraded => None,
            State::Starting => after(self.since, self.health.start_timeout.0),
            State::Running => self
                .waiting_sinks()
                .filter_map(|(_, s)| after(s.changed, self.health.stall_timeout.0))
                .chain(after(self.heard, self.health.heartbeat_timeout.0))
                .min(),
            State::Stopping => Some(self.since + self.step_bound()),
            State::Backoff => Some(self.since + self.backoff),
        }
    }

    /// Takes one input; answers with at most one action.
    pub fn step(&mut self, now: Duration, input: Input<'_>) -> Option<Action> {
        match input {
            Input::Start if self.state == State::Pending && !self.wanted_end => Some(self.spawn(now)),
            Input::Ready if self.state == State::Starting => {
                self.delivered = true;
                self.enter(State::Running, now);
                self.refresh(now);
                None
            }
            Input::Progress(sinks) => {
                self.heard = now;
                for s in sinks {
                    let known = self.sinks.entry(s.name.clone()).or_insert(Sink {
                        buffers: s.buffers,
                        changed: now,
                        eos: s.eos,
                    });
                    if known.buffers != s.buffers {
                        known.changed = now;
                    }
                    known.buffers = s.buffers;
                    known.eos = s.eos;
                }
                None
            }
            Input::Heard | Input::Ready | Input::Start => {
                self.heard = now;
                None
            }
            Input::Ended { how, jitter } => self.ended(now, how, jitter),
            Input::Stop(reason) => self.stop(now, reason),
            Input::Hurry if self.state == State::Stopping => {
                self.wanted_end = true;
                self.next_step(now)
            }
            Input::Hurry => self.stop(now, Reason::User),
            Input::Tick => self.tick(now),
        }
    }

    /// Starts the clocks of health anew.
    fn refresh(&mut self, now: Duration) {
        self.heard = now;
        self.sinks.values_mut().for_each(|s| s.changed = now);
    }

    fn waiting_sinks(&self) -> impl Iterator<Item = (&String, &Sink)> {
        self.sinks.iter().filter(|(_, s)| !s.eos)
    }

    fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.since = now;
    }

    fn spawn(&mut self, now: Duration) -> Action {
        self.attempt += 1;
        self.reason = None;
        self.step = Step::EndOfStream;
        self.sinks.clear();
        self.heard = now;
        self.enter(State::Starting, now);
        Action::Spawn { attempt: self.attempt }
    }

    fn stop(&mut self, now: Duration, reason: Reason) -> Option<Action> {
        self.wanted_end = true;
        match self.state {
            State::Starting | State::Running => self.begin_ladder(now, reason),
            State::Pending | State::Backoff => {
                self.reason = Some(reason);
                self.enter(State::Stopped, now);
                None
            }
            // On its way out already; `wanted_end` keeps it from coming back.
            State::Stopping | State::Stopped | State::Failed | State::Degraded => None,
        }
    }

    fn begin_ladder(&mut self, now: Duration, reason: Reason) -> Option<Action> {
        self.reason = Some(reason);
        self.step = Step::EndOfStream;
        self.enter(State::Stopping, now);
        Some(Action::Step(self.step))
    }

    fn next_step(&mut self, now: Duration) -> Option<Action> {
        self.since = now;
        self.step = match self.step {
            Step::EndOfStream => Step::Interrupt,
            Step::Interrupt => Step::Terminate,
            Step::Terminate => Step::Kill,
            Step::Kill => return None,
        };
        Some(Action::Step(self.step))
    }

    fn step_bound(&self) -> Duration {
        match self.step {
            Step::EndOfStream => self.stop.eos_timeout.0,
            Step::Interrupt => self.stop.int_timeout.0,
            Step::Terminate => self.stop.term_timeout.0,
            Step::Kill => KILL_BOUND,
        }
    }

    fn tick(&mut self, now: Duration) -> Option<Action> {
        let at = self.deadline()?;
        if now < at {
            return None;
        }
        if matches!(self.state, State::Starting | State::Running) && now > at + LATE {
            self.since = now;
            self.refresh(now);
            return None;
        }
        match self.state {
            State::Starting => self.begin_ladder(now, Reason::StartTimeout),
            State::Running => {
                let stall = self.health.stall_timeout.0;
                let stalled = self
                    .waiting_sinks()
                    .find(|(_, s)| !stall.is_zero() && now >= s.changed + stall);
                let reason = match stalled {
                    Some((name, _)) => Reason::Stalled(name.clone()),
                    None => Reason::Silent,
                };
                self.begin_ladder(now, reason)
            }
            State::Stopping if self.step == Step::Kill => {
                self.enter(State::Failed, now);
                Some(Action::Abandon)
            }
            State::Stopping => self.next_step(now),
            State::Backoff => Some(self.spawn(now)),
            State::Pending | State::Degraded | State::Stopped | State::Failed => None,
        }
    }

    fn ended(&mut self, now: Duration, how: Ended, jitter: f64) -> Option<Action> {
        if !matches!(self.state, State::Starting | State::Running | State::Stopping) {
            return None;
        }
        let exit = how.exit();
        let reason = self.reason.get_or_insert(match (how, exit) {
            (_, Some(Exit::Ok)) => Reason::EndOfStream,
            (_, Some(_)) => Reason::Fault,
            _ => Reason::Crash,
        });
        let hung = matches!(reason, Reason::StartTimeout | Reason::Stalled(_) | Reason::Silent);
        let success = exit == Some(Exit::Ok) && !hung;
        if self.wanted_end && !hung {
            // Its own fault on the way out (a full disk, say) still counts; that we had to force it does not.
            let fault = exit.is_some_and(|e| !matches!(e, Exit::Ok | Exit::Interrupted));
            self.enter(if fault { State::Failed } else { State::Stopped }, now);
            return None;
        }
        // An input that was there before, such as a camera, may come back; one that never was is a mistake.
        let may_return = self.delivered && exit == Some(Exit::NoInput);
        let retryable = hung || may_return || exit.is_none_or(|e| e.is_retryable() || e == Exit::Interrupted);
        let again = match self.restart.policy {
            _ if self.wanted_end => false,
            RestartPolicy::Never => false,
            RestartPolicy::OnFailure => !success && retryable,
            RestartPolicy::Always => success || retryable,
        };
        while self
            .restarts
            .front()
            .is_some_and(|at| now >= *at + self.restart.window.0)
        {
            self.restarts.pop_front();
        }
        if again && self.restarts.len() < self.restart.max_restarts as usize {
            let doublings = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX).min(30);
            let cap = self
                .restart
                .delay
                .0
                .saturating_mul(1 << doublings)
                .min(self.restart.max_delay.0);
            self.backoff = cap.mul_f64(jitter.clamp(0.0, 1.0));
            self.restarts.push_back(now);
            self.enter(State::Backoff, now);
        } else {
            self.enter(if success { State::Stopped } else { State::Failed }, now);
        }
        None
    }
}

/// The state of an instance from those of its processes.
pub fn instance_state(states: &[State]) -> State {
    let any = |s: State| states.contains(&s);
    if states.iter().all(|s| s.is_final()) {
        return if any(State::Failed) {
            State::Failed
        } else {
            State::Stopped
        };
    }
    if any(State::Stopping) || any(State::Failed) {
        return State::Stopping;
    }
    // One that still waits for another belongs to the start of the whole.
    let begins = any(State::Starting) || any(State::Pending);
    match (any(State::Backoff), any(State::Running), begins) {
        (true, true, _) => State::Degraded,
        (true, false, _) => State::Backoff,
        (false, true, false) => State::Running,
        (false, false, _) if states.iter().all(|s| *s == State::Pending) => State::Pending,
        (false, _, _) => State::Starting,
    }
}

#[cfg(test)]
#[path = "states_tests.rs"]
mod tests;
