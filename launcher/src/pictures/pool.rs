//! The server's side: a bounded queue in front of a worker child, which is started again when it is gone or late.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::MOST_BYTES;
use super::frames::{self, Decoder, Kind};
use crate::output;
use crate::supervisor::{Child, Closed, Ended, Incoming};

/// How often it is looked whether an answer is late.
const TICK: Duration = Duration::from_millis(250);
/// Delay before a worker is started again: doubled with each that does not live long.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MOST_DELAY: Duration = Duration::from_secs(10);
/// A worker that lived so long has not failed at its start.
const LONG: Duration = Duration::from_secs(30);
/// A picture is given to a second worker when the first one ended with it, and to no third.
const ATTEMPTS: u32 = 2;

/// How pictures are read.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program that has the hidden sub-command.
    pub program: PathBuf,
    /// Its arguments, before the descriptor's.
    pub arguments: Vec<String>,
    /// Pictures that are read at once.
    pub threads: usize,
    /// Pictures that wait at most.
    pub queue: usize,
    /// Until the networks are loaded.
    pub start_timeout: Duration,
    /// From the moment that a picture is given to the worker.
    pub answer_timeout: Duration,
    /// After the socket is closed, before the worker is killed.
    pub stop_timeout: Duration,
}

/// What a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// JSON.
    Read(String),
    NotAPicture(String),
    Unreadable(String),
    Failed(String),
}

/// Why a picture was not looked at. Trying again later may help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0} pictures wait already")]
    Full(usize),
    #[error("the picture has {0} bytes, at most {MOST_BYTES} are read")]
    TooLarge(usize),
    #[error("the worker ended while it read the picture")]
    Crashed,
    #[error("the worker is not running: {0}")]
    Down(String),
}

/// Of the worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Starting,
    /// What runs the networks.
    Ready(String),
    /// Why not.
    Down(String),
}

struct Work {
    picture: Bytes,
    attempts: u32,
    reply: oneshot::Sender<Result<Answer, Refused>>,
}

/// What is counted since the start.
#[derive(Debug, Default)]
struct Counters {
    waiting: AtomicUsize,
    restarts: AtomicU64,
    pid: AtomicU64,
}

/// Reads pictures. Clones share the worker, which ends with the last of them.
#[derive(Clone)]
pub struct Pool {
    sender: mpsc::Sender<Work>,
    state: Arc<Mutex<State>>,
    counters: Arc<Counters>,
    queue: usize,
}

impl Pool {
    /// Starts the worker. Ends when all pools are dropped: await the second value for that.
    pub fn start(settings: Settings) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(settings.queue.max(1));
        let state = Arc::new(Mutex::new(State::Starting));
        let counters = Arc::<Counters>::default();
        let pool = Self {
            sender,
            state: Arc::clone(&state),
            counters: Arc::clone(&counters),
            queue: settings.queue.max(1),
        };
        let keeper = Keeper {
            settings,
            state,
            counters,
            waiting: receiver,
            again: VecDeque::new(),
            last_id: 0,
        };
        (pool, tokio::spawn(keeper.run()))
    }

    /// Reads a picture.
    pub async fn read(&self, picture: Bytes) -> Result<Answer, Refused> {
        if picture.len() > MOST_BYTES {
            return Err(Refused::TooLarge(picture.len()));
        }
        if let State::Down(reason) = self.state() {
            return Err(Refused::Down(reason));
        }
        let (reply, answer) = oneshot::channel();
        let work = Work {
            picture,
            attempts: 0,
            reply,
        };
        self.counters.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.counters);
        let sent = self.sender.try_send(work);
        let result = match sent {
            Ok(()) => answer.await.unwrap_or(Err(Refused::Crashed)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Refused::Full(self.queue)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Refused::Down("the server is ending".to_owned())),
        };
        drop(waiting);
        result
    }

    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pictures that have no answer yet.
    pub fn waiting(&self) -> usize {
        self.counters.waiting.load(Ordering::Relaxed)
    }

    /// How often the worker was started again.
    pub fn restarts(&self) -> u64 {
        self.counters.restarts.load(Ordering::Relaxed)
    }

    /// Of the worker; 0 while there is none.
    pub fn pid(&self) -> u64 {
        self.counters.pid.load(Ordering::Relaxed)
    }
}

/// Counts down also where the client has gone.
struct Waiting<'a>(&'a Counters);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a worker ended.
enum End {
    /// Nobody wants pictures read any more.
    Done,
    Fault(String),
}

struct Keeper {
    settings: Settings,
    state: Arc<Mutex<State>>,
    counters: Arc<Counters>,
    waiting: mpsc::Receiver<Work>,
    /// What a worker ended with.
    again: VecDeque<Work>,
    last_id: u64,
}

/// A worker with what it has been given.
struct Worker {
    child: Child,
    closed: Closed,
    decoder: Decoder,
    given: HashMap<u64, (Work, Instant)>,
    words: Vec<u8>,
    /// It is reaped.
    ended: bool,
}

impl Keeper {
    fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    async fn run(mut self) {
        let mut delay = FIRST_DELAY;
        loop {
            let begun = Instant::now();
            let end = self.one().await;
            self.counters.pid.store(0, Ordering::Relaxed);
            let End::Fault(reason) = end else { return };
            output::note(format_args!("picture worker: {reason}; it is started again"));
            self.counters.restarts.fetch_add(1, Ordering::Relaxed);
            delay = if begun.elapsed() > LONG {
                FIRST_DELAY
            } else {
                (delay * 2).min(MOST_DELAY)
            };
            if begun.elapsed() < LONG && delay > Duration::from_secs(1) {
                // It does not come up: clients need not wait for it.
                self.refuse_all(&reason);
                self.set(State::Down(reason));
            } else {
                self.set(State::Starting);
            }
            // Whoever comes meanwhile is refused, or waits in the queue.
            tokio::select! {
                () = sleep(delay) => {}
                () = closed(&self.waiting) => return,
            }
        }
    }

    fn refuse_all(&mut self, reason: &str) {
        self.waiting_now().into_iter().for_each(|work| {
            // A client that has gone needs no answer.
            let _ = work.reply.send(Err(Refused::Down(reason.to_owned())));
        });
    }

    fn waiting_now(&mut self) -> Vec<Work> {
        let mut all: Vec<_> = self.again.drain(..).collect();
        while let Ok(work) = self.waiting.try_recv() {
            all.push(work);
        }
        all
    }

    /// One worker, from its start to its end.
    async fn one(&mut self) -> End {
        let arguments: Vec<&str> = self.settings.arguments.iter().map(String::as_str).collect();
        let child = match Child::spawn(&self.settings.program, &arguments) {
            Ok(child) => child,
            Err(error) => return End::Fault(format!("it cannot be started: {error}")),
        };
        self.counters.pid.store(child.pid().into(), Ordering::Relaxed);
        let mut worker = Worker {
            child,
            closed: Closed::default(),
            decoder: Decoder::default(),
            given: HashMap::new(),
            words: Vec::new(),
            ended: false,
        };
        let started = timeout(self.settings.start_timeout, self.wait_until_ready(&mut worker)).await;
        let end = match started {
            Ok(Ok(engine)) => {
                self.set(State::Ready(engine));
                self.serve(&mut worker).await
            }
            Ok(Err(reason)) => End::Fault(reason),
            Err(_) => End::Fault(format!(
                "its networks were not loaded within {:?}",
                self.settings.start_timeout
            )),
        };
        self.finish(worker, &end).await;
        end
    }

    async fn wait_until_ready(&mut self, worker: &mut Worker) -> Result<String, String> {
        let mut messages = vec![0; 64 * 1024];
        let mut words = [0; 4096];
        loop {
            match worker.next(&mut messages, &mut words).await? {
                Some(0) | None => {}
                Some(count) => worker.decoder.push(&messages[..count]),
            }
            let answer = worker.decoder.take().map_err(|error| error.to_string())?;
            match answer.map(|(_, payload)| frames::read_answer(payload)) {
                None => {}
                Some(Some((Kind::Ready, engine))) => return Ok(engine.to_owned()),
                Some(Some((_, reason))) => return Err(reason.to_owned()),
                Some(None) => return Err("it says what is not understood".to_owned()),
            }
        }
    }

    /// Gives pictures to the worker and answers to clients, until there is a reason not to.
    async fn serve(&mut self, worker: &mut Worker) -> End {
        let most = 2 * self.settings.threads.max(1);
        let mut messages = vec![0; 256 * 1024];
        let mut words = [0; 4096];
        loop {
            if worker.given.len() < most
                && let Some(work) = self.again.pop_front()
            {
                if let Err(reason) = self.give(worker, work).await {
                    return End::Fault(reason);
                }
                continue;
            }
            tokio::select! {
                work = self.waiting.recv(), if worker.given.len() < most => match work {
                    Some(work) if work.reply.is_closed() => {}
                    Some(work) => if let Err(reason) = self.give(worker, work).await {
                        return End::Fault(reason);
                    },
                    None => return End::Done,
                },
                read = worker.next(&mut messages, &mut words) => match read {
                    Ok(Some(count)) => {
                        worker.decoder.push(&messages[..count]);
                        if let Err(reason) = worker.answer() {
                            return End::Fault(reason);
                        }
                    }
                    Ok(None) => {}
                    Err(reason) => return End::Fault(reason),
                },
                () = sleep(TICK), if !worker.given.is_empty() => {}
            }
            let late = |(_, since): &(Work, Instant)| since.elapsed() > self.settings.answer_timeout;
            if worker.given.values().any(late) {
                return End::Fault(format!("no answer within {:?}", self.settings.answer_timeout));
            }
        }
    }

    async fn give(&mut self, worker: &mut Worker, work: Work) -> Result<(), String> {
        self.last_id += 1;
        let head = frames::head(self.last_id, work.picture.len());
        let picture = work.picture.clone();
        // Before it is sent: where that fails it is among what the worker ended with.
        worker.given.insert(self.last_id, (work, Instant::now()));
        for part in [&head[..], &picture] {
            let sent = worker.child.write(part, self.settings.answer_timeout).await;
            sent.map_err(|error| format!("it takes no pictures: {error}"))?;
        }
        Ok(())
    }

    /// Ends the worker and sees to what it has left.
    async fn finish(&mut self, mut worker: Worker, end: &End) {
        if matches!(end, End::Fault(_)) {
            worker.child.signal(libc::SIGKILL);
        } else {
            worker.child.close().await;
        }
        let mut messages = vec![0; 64 * 1024];
        let mut words = [0; 4096];
        let ended = async {
            while !worker.ended {
                // Its end is what is waited for, and an error.
                if let Ok(Some(count)) = worker.next(&mut messages, &mut words).await {
                    worker.decoder.push(&messages[..count]);
                    let _ = worker.answer();
                }
            }
        };
        if timeout(self.settings.stop_timeout, ended).await.is_err() {
            worker.child.signal(libc::SIGKILL);
        }
        for (_, (mut work, _)) in worker.given.drain() {
            work.attempts += 1;
            if work.attempts < ATTEMPTS {
                self.again.push_back(work);
            } else {
                let _ = work.reply.send(Err(Refused::Crashed));
            }
        }
        // Reaps it; its group has had a SIGKILL where it did not end by itself.
        drop(worker);
    }
}

impl Worker {
    /// Bytes of messages, or nothing worth telling; an error when the worker has ended.
    async fn next(&mut self, messages: &mut [u8], words: &mut [u8]) -> Result<Option<usize>, String> {
        match self.child.next(messages, words, &mut self.closed).await {
            Incoming::Messages(count) => Ok(Some(count)),
            Incoming::Words(count) => {
                self.tell(&words[..count]);
                Ok(None)
            }
            Incoming::Exit => {
                // What it has said before its end.
                while let Some(count) = self.child.try_messages(messages) {
                    self.decoder.push(&messages[..count]);
                    self.answer()?;
                }
                self.ended = true;
                Err(match self.child.reap() {
                    Ok(Ended::Code(code)) => format!("it has ended with code {code}"),
                    Ok(Ended::Signal(signal)) => format!("it was ended by signal {signal}"),
                    Ok(_) => "it has ended".to_owned(),
                    Err(error) => error.to_string(),
                })
            }
            Incoming::Nothing => Ok(None),
        }
    }

    /// Its words as lines of the server's log, at most a few kilobytes in one.
    fn tell(&mut self, words: &[u8]) {
        self.words.extend_from_slice(words);
        while let Some(end) = self.words.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.words.drain(..=end).collect();
            output::note(format_args!(
                "picture worker: {}",
                String::from_utf8_lossy(&line).trim_end()
            ));
        }
        if self.words.len() > 4096 {
            self.words.clear();
        }
    }

    /// Hands on what the worker has answered.
    fn answer(&mut self) -> Result<(), String> {
        while let Some((id, payload)) = self.decoder.take().map_err(|error| error.to_string())? {
            let Some((kind, text)) = frames::read_answer(payload) else {
                return Err("it says what is not understood".to_owned());
            };
            let Some((work, _)) = self.given.remove(&id) else {
                continue;
            };
            let text = text.to_owned();
            let answer = match kind {
                Kind::Read => Answer::Read(text),
                Kind::NotAPicture => Answer::NotAPicture(text),
                Kind::Unreadable => Answer::Unreadable(text),
                Kind::Failed | Kind::Ready | Kind::Unavailable => Answer::Failed(text),
            };
            // A client that has gone needs no answer.
            let _ = work.reply.send(Ok(answer));
        }
        Ok(())
    }
}

/// Ends when all senders are gone.
async fn closed(receiver: &mpsc::Receiver<Work>) {
    while receiver.sender_strong_count() > 0 {
        sleep(TICK).await;
    }
}
