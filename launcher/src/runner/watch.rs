//! Runs a pipeline to its end: bus messages, wishes from outside, progress twice a second.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::counters::Counters;
use super::errors::{self, Context};
use super::link::{Link, Wish};
use super::redact::Redactor;
use super::{check, elements};
use crate::exit::{Exit, Failure};
use crate::ipc::{FromRunner, Job, Progress, RunnerError, ToRunner};

const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(50);
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// After a fault in mid-stream: time for what is in the pipeline to be written.
const DRAIN_BOUND: Duration = Duration::from_secs(3);

/// Plays the pipeline until it ends; what it ends with, and how far it came.
pub fn run(pipeline: &gst::Pipeline, link: &Link, job: &Job, redactor: &Redactor) -> (Exit, Progress) {
    let mut watch = Watch {
        pipeline,
        link,
        job,
        redactor,
        counters: Counters::attach(pipeline),
        streams: watch_streams(pipeline),
        missing: Vec::new(),
        ready: false,
        fault: None,
        drained_by: None,
    };
    let exit = watch.play();
    let progress = watch.counters.progress(pipeline);
    if exit != Exit::Ok && exit != Exit::Interrupted {
        watch.write_graph("");
    }
    // May hang in a driver; the supervisor's ladder bounds it.
    let _ = pipeline.set_state(gst::State::Null);
    (exit, progress)
}

struct Watch<'a> {
    pipeline: &'a gst::Pipeline,
    link: &'a Link,
    job: &'a Job,
    redactor: &'a Redactor,
    counters: Counters,
    /// Kinds of stream that were found, filled by the streaming threads.
    streams: Arc<Mutex<Vec<String>>>,
    missing: Vec<String>,
    ready: bool,
    fault: Option<Exit>,
    drained_by: Option<Instant>,
}

impl Watch<'_> {
    fn play(&mut self) -> Exit {
        let Some(bus) = self.pipeline.bus() else {
            return Exit::Internal;
        };
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            // The reason is on the bus already.
            while let Some(message) = bus.timed_pop(gst::ClockTime::ZERO) {
                self.message(&message);
            }
            return self.fault.unwrap_or_else(|| {
                self.fail(Failure::new(Exit::Failed, "the pipeline cannot start"), None, None);
                Exit::Failed
            });
        }
        let mut next_progress = Instant::now();
        loop {
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
            if !self.ready && self.counters.any_data() {
                self.ready = true;
                self.link.send(&FromRunner::Ready);
            }
            if Instant::now() >= next_progress {
                self.link
                    .send(&FromRunner::Progress(self.counters.progress(self.pipeline)));
                next_progress = Instant::now() + PROGRESS_EVERY;
            }
            if self.drained_by.is_some_and(|at| Instant::now() >= at) {
                return self.fault.unwrap_or(Exit::Interrupted);
            }
        }
    }

    /// Looks at one message; gives the exit when it ends the run.
    fn message(&mut self, message: &gst::Message) -> Option<Exit> {
        match message.view() {
            gst::MessageView::Eos(_) => {
                // A clip of a few frames may end before the loop has looked at the counters.
                if !self.ready && self.counters.any_data() {
                    self.link.send(&FromRunner::Ready);
                }
                return Some(self.fault.unwrap_or(Exit::Ok));
            }
            gst::MessageView::Error(error) => return self.error(error),
            gst::MessageView::Warning(warning) => {
                let gerror = warning.error();
                // From here on a branch of the pipeline would wait for ever.
                if gerror.matches(gst::ParseError::DelayedLink) && self.fault.is_none() {
                    let streams = self.found();
                    let failure = errors::no_stream(&self.context(&streams));
                    let source = warning.src().map(|s| s.path_string().to_string());
                    return Some(self.fail(failure, source, warning.debug().map(|d| d.to_string())));
                }
                let source = warning.src().map(|s| s.path_string().to_string()).unwrap_or_default();
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
                let _ = self.pipeline.set_state(gst::State::Paused);
                let _ = self.pipeline.set_state(gst::State::Playing);
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
        if self.fault.is_some() {
            // The first one is the cause; what follows is its echo.
            return None;
        }
        let gerror = message.error();
        let streams = self.found();
        let failure = errors::explain(&gerror, message.src(), &self.context(&streams));
        let source = message.src().map(|s| s.path_string().to_string());
        let exit = self.fail(failure, source, message.debug().map(|d| d.to_string()));
        if !self.ready || exit == Exit::CannotWrite {
            return Some(exit);
        }
        // What was decoded so far shall be written out: the sinks get an end-of-stream.
        self.end_of_stream();
        self.drained_by = Some(Instant::now() + DRAIN_BOUND);
        None
    }

    fn wish(&mut self, wish: Wish) -> Option<Exit> {
        match wish {
            Wish::Interrupt => return Some(self.fault.unwrap_or(Exit::Interrupted)),
            Wish::Message(ToRunner::Stop) | Wish::Orphaned => {
                // Sinks that have all had their end post it by themselves.
                if !self.counters.all_eos() {
                    self.end_of_stream();
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
                let graph = self.write_graph(".snapshot");
                let progress = self.counters.progress(self.pipeline);
                self.link.send(&FromRunner::Stats { graph, progress });
            }
            Wish::Message(ToRunner::Start(_) | ToRunner::Check(_)) => {}
        }
        None
    }

    /// From a thread of its own, since a source that is stuck would hold the event up.
    fn end_of_stream(&self) {
        self.pipeline.call_async(|pipeline| {
            pipeline.send_event(gst::event::Eos::new());
        });
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

    fn fail(&mut self, failure: Failure, element: Option<String>, debug: Option<String>) -> Exit {
        let exit = failure.exit;
        self.fault = Some(exit);
        self.report(failure, element, debug);
        exit
    }

    fn report(&self, failure: Failure, element: Option<String>, debug: Option<String>) {
        let failure = Failure {
            message: self.redactor.clean(&failure.message),
            ..failure
        };
        let debug = debug.map(|d| self.redactor.clean(&d));
        self.link.send(&FromRunner::Error(RunnerError {
            failure,
            element,
            debug,
        }));
    }

    fn write_graph(&self, suffix: &str) -> std::path::PathBuf {
        let path = self
            .job
            .run_dir
            .join("logs")
            .join(format!("{}{suffix}.dot", self.job.process));
        let graph = self.pipeline.debug_to_dot_data(gst::DebugGraphDetails::all());
        let _ = std::fs::write(&path, self.redactor.clean(&graph));
        path
    }
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
