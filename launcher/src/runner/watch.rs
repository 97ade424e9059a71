//! Runs a pipeline to its end: bus messages, wishes from outside, progress twice a second.

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::counters::Counters;
use super::errors::{self, Context};
use super::link::{Link, Wish};
use super::redact::Redactor;
use super::rtsp::Server;
use super::{check, elements};
use crate::exit::{Exit, Failure};
use crate::ipc::{FromRunner, Job, Progress, RunnerError, ToRunner};

const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(50);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// After a fault in mid-stream: time for what is in the pipeline to be written.
const DRAIN_BOUND: Duration = Duration::from_secs(3);
/// For elements to let go of their devices and files when the end is forced.
const RELEASE_BOUND: Duration = Duration::from_secs(2);

/// A source that can wait for the readers of its streams waits so long.
const READERS_BOUND: Duration = Duration::from_secs(10);

/// How a run ended.
pub struct End {
    pub exit: Exit,
    pub progress: Progress,
    /// Whether the elements let go of their devices and files; else something hangs in them still.
    pub released: bool,
}

/// Plays the pipeline until it ends, and serves its streams.
pub fn run(pipeline: &gst::Pipeline, server: Option<&Server>, link: &Link, job: &Job, redactor: &Redactor) -> End {
    let mut watch = Watch {
        pipeline,
        server,
        link,
        job,
        redactor,
        counters: Counters::attach(pipeline),
        streams: watch_streams(pipeline),
        missing: Vec::new(),
        warnings: 0,
        ready: false,
        ending: None,
        connection_lost: None,
    };
    let mut exit = watch.play();
    let progress = watch.progress();
    if let Some(server) = server
        && exit == Exit::Ok
    {
        server.linger();
    }
    if exit != Exit::Ok && exit != Exit::Interrupted {
        watch.write_graph(&job.graph());
    }
    let released = watch.release(exit == Exit::Interrupted || !watch.has_begun());
    if !released && exit == Exit::Ok && watch.ready {
        exit = Exit::Interrupted;
    }
    End {
        exit,
        progress,
        released,
    }
}

struct Watch<'a> {
    pipeline: &'a gst::Pipeline,
    server: Option<&'a Server>,
    link: &'a Link,
    job: &'a Job,
    redactor: &'a Redactor,
    counters: Counters,
    /// Kinds of stream that were found, filled by the streaming threads.
    streams: Arc<Mutex<Vec<String>>>,
    missing: Vec<String>,
    warnings: u64,
    ready: bool,
    ending: Option<Ending>,
    /// The source that was cut off from its server, which looks like the end of the stream.
    connection_lost: Option<String>,
}

/// An end-of-stream is on its way to the sinks.
#[derive(Clone, Copy)]
struct Ending {
    /// `Ok` when it was asked for, else the fault that is its cause.
    exit: Exit,
    /// When it is waited for no longer; `None`: as long as the supervisor waits.
    until: Option<Instant>,
}

impl Watch<'_> {
    fn play(&mut self) -> Exit {
        let Some(bus) = self.pipeline.bus() else {
            return Exit::Internal;
        };
        let mut waits_since = self.server.filter(|server| server.waits()).map(|_| Instant::now());
        self.set_state(if waits_since.is_some() {
            gst::State::Paused
        } else {
            gst::State::Playing
        });
        let mut next_progress = Instant::now();
        loop {
            if let Some(since) = waits_since
                && !self.waits_for_readers(since)
            {
                waits_since = None;
                self.set_state(gst::State::Playing);
            }
            if let Some(message) = bus.timed_pop(POLL)
                && let Some(exit) = self.message(&message)
            {
                return exit;
            }
            while let Some(wish) = self.link.poll() {
                if let Some(exit) = self.wish(wish) {
                    return exit;
                }
            }
            if let Err(fault) = self.note_ready() {
                return self.fail(fault, None, None);
            }
            if Instant::now() >= next_progress {
                self.link.send(&FromRunner::Progress(self.progress()));
                next_progress = Instant::now() + PROGRESS_EVERY;
            }
            if let Some(Ending { exit, until: Some(at) }) = self.ending
                && Instant::now() >= at
            {
                return exit;
            }
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            warnings: self.warnings,
            ..self.counters.progress(self.pipeline)
        }
    }

    /// A fault when a file has ended long before the time that it tells itself, or one that was written had to.
    fn cut_short(&self) -> Option<Failure> {
        if let Some(cut) = self.counters.cut() {
            return Some(errors::size_changed(&cut));
        }
        let alone = self.found().len() <= 1;
        errors::cut_short(self.pipeline, self.counters.shortfall(self.pipeline, alone)?)
    }

    /// In a thread of its own: an element that hangs in its start must not keep us from hearing a wish.
    fn set_state(&self, state: gst::State) {
        self.pipeline.call_async(move |pipeline| {
            if pipeline.set_state(state).is_err() {
                // Comes behind the reason, where an element gave one.
                gst::element_error!(pipeline, gst::CoreError::StateChange, ["the pipeline cannot start"]);
            }
        });
    }

    /// Whether the beginning is to be held for readers. A live source is not: its time passes whoever looks.
    fn waits_for_readers(&self, since: Instant) -> bool {
        let is_live = || self.pipeline.state(Some(gst::ClockTime::ZERO)).0 == Ok(gst::StateChangeSuccess::NoPreroll);
        since.elapsed() < READERS_BOUND && self.server.is_some_and(Server::waits) && !is_live()
    }

    fn note_ready(&mut self) -> Result<(), Failure> {
        if !self.ready && self.counters.any_data() && self.server.map_or(Ok(true), Server::serves)? {
            self.ready = true;
            self.link.send(&FromRunner::Ready);
        }
        Ok(())
    }

    /// Whether anything can have been written: before, every sink waits for its first buffer or holds it.
    fn has_begun(&self) -> bool {
        self.ready && self.pipeline.current_state() == gst::State::Playing
    }

    /// Stops the elements. One that hangs is waited for a while when `forced`, or once the supervisor loses patience.
    fn release(&self, forced: bool) -> bool {
        let (done, released) = mpsc::channel();
        self.pipeline.call_async(move |pipeline| {
            let _ = pipeline.set_state(gst::State::Null);
            let _ = done.send(());
        });
        let bound = || Some(Instant::now() + RELEASE_BOUND);
        let mut until = if forced { bound() } else { None };
        while released.recv_timeout(POLL.into()).is_err() {
            if until.is_some_and(|at| Instant::now() >= at) {
                return false;
            }
            if let Some(Wish::Interrupt) = self.link.poll() {
                until = until.or_else(bound);
            }
        }
        true
    }

    /// Looks at one message; gives the exit when it ends the run.
    fn message(&mut self, message: &gst::Message) -> Option<Exit> {
        match message.view() {
            gst::MessageView::Eos(_) => {
                // A clip of a few frames may end before the loop has looked at the counters.
                if let Err(fault) = self.note_ready() {
                    return Some(self.fail(fault, None, None));
                }
                return Some(match (self.ending, self.connection_lost.take()) {
                    (Some(ending), _) => ending.exit,
                    (None, Some(source)) => {
                        let failure = Failure::new(Exit::Failed, "the server of the stream has closed the connection");
                        self.fail(failure, Some(source), None)
                    }
                    (None, None) => self.cut_short().map_or(Exit::Ok, |f| self.fail(f, None, None)),
                });
            }
            gst::MessageView::Error(error) => return self.error(error),
            gst::MessageView::Warning(warning) => {
                let gerror = warning.error();
                // From here on a branch of the pipeline would wait for ever.
                if gerror.matches(gst::ParseError::DelayedLink) {
                    if let Some(ending) = &mut self.ending {
                        // Its stream was not found before the end that we sent: no fault of the input.
                        ending.until = ending.until.or_else(|| Some(Instant::now() + DRAIN_BOUND));
                        return None;
                    }
                    let streams = self.found();
                    let failure = errors::no_stream(&self.context(&streams));
                    let source = warning.src().map(|s| s.path_string().to_string());
                    return Some(self.fail(failure, source, warning.debug().map(|d| d.to_string())));
                }
                self.warnings += 1;
                let source = warning.src().map(|s| s.path_string().to_string()).unwrap_or_default();
                // An end-of-stream follows.
                if is_connection_lost(warning) {
                    self.connection_lost.get_or_insert_with(|| source.clone());
                }
                let text = format!("warning: {source}: {}", gerror.message());
                let _ =
                    std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", self.redactor.clean(&text)));
            }
            gst::MessageView::StateChanged(change) if change.src() == Some(self.pipeline.upcast_ref()) => {
                let state = format!("{:?}", change.current()).to_lowercase();
                self.link.send(&FromRunner::State { state });
            }
            gst::MessageView::Latency(_) => {
                let _ = self.pipeline.recalculate_latency();
            }
            gst::MessageView::ClockLost(_) => {
                self.pipeline.call_async(|pipeline| {
                    let _ = pipeline.set_state(gst::State::Paused);
                    let _ = pipeline.set_state(gst::State::Playing);
                });
            }
            gst::MessageView::Element(element) => {
                let structure = element.structure()?;
                match structure.name().as_str() {
                    "nunchi-event" => {
                        let text = |field| {
                            structure
                                .get::<Option<String>>(field)
                                .ok()
                                .flatten()
                                .unwrap_or_default()
                        };
                        self.link.send(&FromRunner::Event {
                            kind: text("type"),
                            state: text("state"),
                            text: self.redactor.clean(&text("message")),
                        });
                    }
                    "missing-plugin" => {
                        if let Ok(name) = structure.get::<String>("name") {
                            self.missing.push(name);
                        }
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        None
    }

    fn error(&mut self, message: &gst::message::Error) -> Option<Exit> {
        if self.ending.is_some_and(|e| e.exit != Exit::Ok) {
            // The first one is the cause; what follows is its echo.
            return None;
        }
        let gerror = message.error();
        let streams = self.found();
        let debug = message.debug().map(|d| d.to_string());
        let failure = errors::explain(&gerror, debug.as_deref(), message.src(), &self.context(&streams));
        let source = message.src().map(|s| s.path_string().to_string());
        let exit = self.fail(failure, source, debug);
        if !self.ready || exit == Exit::CannotWrite {
            return Some(exit);
        }
        if let Some(server) = self.server {
            server.abandon();
        }
        // What was decoded so far shall be written out.
        self.end_of_stream();
        let until = Some(Instant::now() + DRAIN_BOUND);
        self.ending = Some(Ending { exit, until });
        None
    }

    fn wish(&mut self, wish: Wish) -> Option<Exit> {
        match wish {
            Wish::Interrupt => {
                let fault = self.ending.map(|e| e.exit).filter(|e| *e != Exit::Ok);
                return Some(fault.unwrap_or(Exit::Interrupted));
            }
            Wish::Message(ToRunner::Stop) | Wish::Orphaned => {
                if let Err(fault) = self.note_ready() {
                    return Some(self.fail(fault, None, None));
                }
                if !self.has_begun() {
                    // Nothing is there to be finished, and an end-of-stream would have to wait for the sinks' start.
                    return Some(self.ending.map_or(Exit::Ok, |e| e.exit));
                }
                if self.ending.is_none() {
                    self.ending = Some(Ending {
                        exit: Exit::Ok,
                        until: None,
                    });
                    // Sinks that have all had their end post it by themselves.
                    if !self.counters.all_eos() {
                        self.end_of_stream();
                    }
                }
            }
            Wish::Message(ToRunner::Set {
                element,
                property,
                value,
            }) => {
                if let Err(failure) = check::set(self.pipeline, &element, &property, &value) {
                    self.report(failure, None, None);
                }
            }
            Wish::Message(ToRunner::Snapshot) => {
                let graph = self.job.graph().with_extension("snapshot.dot");
                self.write_graph(&graph);
                let progress = self.progress();
                self.link.send(&FromRunner::Stats { graph, progress });
            }
            Wish::Message(ToRunner::Start(_) | ToRunner::Check(_)) => {}
        }
        None
    }

    /// Each source is told in a thread of its own, since one that is stuck would hold the event up. Not the pipeline: it would be
    /// locked against every change of state, its own end included, until the last source has taken the event.
    fn end_of_stream(&self) {
        for source in self.pipeline.iterate_sources().into_iter().flatten() {
            source.call_async(|source| {
                source.send_event(gst::event::Eos::new());
            });
        }
    }

    fn found(&self) -> Vec<String> {
        self.streams.lock().map(|s| s.clone()).unwrap_or_default()
    }

    fn context<'b>(&'b self, streams: &'b [String]) -> Context<'b> {
        Context {
            pipeline: self.pipeline,
            counters: &self.counters,
            streams,
            missing: &self.missing,
            ready: self.ready,
        }
    }

    fn fail(&self, failure: Failure, element: Option<String>, debug: Option<String>) -> Exit {
        let exit = failure.exit;
        self.report(failure, element, debug);
        exit
    }

    fn report(&self, failure: Failure, element: Option<String>, debug: Option<String>) {
        let failure = self.redactor.failure(failure);
        let element = element.map(|e| self.redactor.clean(&e));
        let debug = debug.map(|d| self.redactor.clean(&d));
        self.link.send(&FromRunner::Error(RunnerError {
            failure,
            element,
            debug,
        }));
    }

    fn write_graph(&self, path: &Path) {
        let graph = self.pipeline.debug_to_dot_data(gst::DebugGraphDetails::all());
        if std::fs::write(path, self.redactor.clean(&graph)).is_err() {
            // Half a graph is of no use; on a full disk it is empty.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether a source's server is gone without a farewell. To the rest of the pipeline it looks like the end of the stream.
pub(super) fn is_connection_lost(warning: &gst::message::Warning) -> bool {
    let element = warning.src().and_then(|object| object.downcast_ref::<gst::Element>());
    let factory = element.and_then(gst::Element::factory);
    factory.is_some_and(|factory| factory.name() == "rtspsrc") && warning.error().matches(gst::ResourceError::Read)
}

/// Notes the kind of every stream that a demultiplexer or decoder finds.
fn watch_streams(pipeline: &gst::Pipeline) -> Arc<Mutex<Vec<String>>> {
    let found = Arc::new(Mutex::new(Vec::new()));
    for element in elements(pipeline) {
        let found = found.clone();
        element.connect_pad_added(move |_, pad| {
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            if pad.direction() == gst::PadDirection::Src
                && let Some(structure) = caps.structure(0)
                && let Ok(mut found) = found.lock()
            {
                let name = structure.name().to_string();
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        });
    }
    found
}
