//! The child that hosts one GStreamer pipeline. Nothing outside this module touches GStreamer.

mod check;
mod counters;
mod errors;
mod hef;
mod inspect;
mod link;
mod optional;
mod packages;
mod prepare;
mod redact;
mod rtsp;
mod watch;

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gst::prelude::*;

pub use hef::HefFact;
pub use inspect::{ElementFact, Facts};

use crate::exit::{Exit, Failure};
use crate::ipc::{FromRunner, Job, Progress, RunnerError, ToRunner};
use crate::spec::template::{self, Placeholder};
use link::{Link, Wish};
use redact::Redactor;

/// How long the supervisor may take for its first message.
const FIRST_MESSAGE: Duration = Duration::from_secs(30);
/// Largest secret file.
const MAX_SECRET: u64 = 64 * 1024;

/// Body of `nunchi runner --fd N`. The descriptor is the inherited end of the supervisor's socket pair.
pub fn main(fd: i32) -> Exit {
    // Before any thread is made, so that all of them inherit the mask and only the signal thread gets these signals.
    let signals = link::block_signals();
    // SAFETY: fcntl only looks; a number that is no descriptor is refused here.
    if fd <= 2 || unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Exit::Usage;
    }
    // SAFETY: the descriptor is open (checked above) and was handed to this process for this use alone.
    let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    let Ok(link) = Link::start(stream, signals) else {
        return Exit::Internal;
    };
    match link.wait(FIRST_MESSAGE) {
        Some(Wish::Message(ToRunner::Start(job))) => run(&link, &job),
        Some(Wish::Message(ToRunner::Check(job))) => check_only(&link, &job),
        Some(Wish::Interrupt | Wish::Orphaned) => Exit::Interrupted,
        _ => Exit::Internal,
    }
}

/// Body of `nunchi runner --inspect`: what GStreamer and the engines offer, as JSON on standard output.
pub fn inspect() -> Exit {
    let facts = match init() {
        Ok(()) => inspect::facts(),
        Err(failure) => Facts {
            error: Some(failure.message),
            ..Facts::default()
        },
    };
    answer(&facts)
}

/// Body of `nunchi runner --hef FILE`: what the file holds, as JSON on standard output.
pub fn read_hef(file: &std::path::Path) -> Exit {
    answer(&hef::read(file))
}

fn answer(facts: &impl serde::Serialize) -> Exit {
    match serde_json::to_writer(std::io::stdout().lock(), facts) {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Internal,
    }
}

fn init() -> Result<(), Failure> {
    let missing = |what: &str, e: gst::glib::Error| Failure::new(Exit::Unavailable, format!("{what}: {}", e.message()));
    gst::init().map_err(|e| missing("GStreamer cannot start", e))?;
    gstnunchi::plugin_register_static().map_err(|e| {
        Failure::new(
            Exit::Unavailable,
            format!("the nunchi elements cannot be registered: {e}"),
        )
    })?;
    if std::env::var_os("GST_DEBUG").is_none() {
        gst::log::set_default_threshold(gst::DebugLevel::Warning);
    }
    Ok(())
}

/// The launch line with values in place, and what must not be shown.
fn fill(job: &Job, check: bool) -> (Result<String, Failure>, Redactor) {
    let mut secrets = Vec::new();
    let line = template::expand(&job.launch, |placeholder| {
        let value = match placeholder {
            Placeholder::Param(name) => job.values.get(name).cloned().ok_or_else(|| {
                Fault(Failure::new(
                    Exit::BadDescription,
                    format!("there is no parameter `{name}`"),
                ))
            })?,
            Placeholder::Url(process) => job.values.get(&format!("{process}.url")).cloned().ok_or_else(|| {
                let message = format!("no process `{process}` serves streams");
                Fault(Failure::new(Exit::BadDescription, message))
            })?,
            Placeholder::RunDir => job
                .run_dir
                .to_str()
                .ok_or_else(|| Fault(Failure::new(Exit::CannotWrite, "the run folder's path is not UTF-8")))?
                .to_owned(),
            // A check needs no secrets, only something in their place.
            Placeholder::Env(_) | Placeholder::File(_) if check => template::UNKNOWN.to_owned(),
            Placeholder::Env(name) => {
                let value = std::env::var(name).map_err(|_| {
                    let failure = Failure::new(Exit::Config, format!("the environment variable {name} is not set"));
                    Fault(failure.hint(format!(
                        "the launch line of `{}` needs it for {placeholder}",
                        job.process
                    )))
                })?;
                secrets.push(value.clone());
                value
            }
            Placeholder::File(path) => {
                let value = read_secret(path).map_err(Fault)?;
                secrets.push(value.clone());
                value
            }
        };
        Ok::<_, Fault>(value)
    });
    (line.map_err(|Fault(failure)| failure), Redactor::new(secrets))
}

struct Fault(Failure);

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self(Failure::new(Exit::BadDescription, message))
    }
}

fn read_secret(path: &str) -> Result<String, Failure> {
    let fail = |why: String| Failure::new(Exit::Config, format!("cannot read the secret in {path}: {why}"));
    let bytes =
        crate::spec::read::bounded(path.as_ref(), MAX_SECRET).map_err(|e| fail(crate::spec::read::io_reason(&e)))?;
    let bytes = bytes.ok_or_else(|| fail(format!("more than {MAX_SECRET} bytes is too large")))?;
    let text = String::from_utf8(bytes).map_err(|_| fail("it is not UTF-8 text".into()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn send_failure(link: &Link, redactor: &Redactor, failure: Failure) -> Exit {
    let exit = failure.exit;
    let failure = redactor.failure(failure);
    link.send(&FromRunner::Error(RunnerError {
        failure,
        element: None,
        debug: None,
    }));
    exit
}

/// Sends every fault of the pipeline; nothing is run or opened.
fn check_only(link: &Link, job: &Job) -> Exit {
    let (line, redactor) = fill(job, true);
    let faults = match (line, init()) {
        (Err(failure), _) | (_, Err(failure)) => vec![failure],
        (Ok(line), Ok(())) => check::line(&line, job)
            .into_iter()
            .map(|f| Failure {
                message: format!("process `{}`: {}", job.process, f.message),
                ..f
            })
            .collect(),
    };
    let exit = faults.first().map_or(Exit::Ok, |f| f.exit);
    for failure in faults {
        send_failure(link, &redactor, failure);
    }
    let progress = Progress::default();
    link.finish(&FromRunner::Finished { exit, progress });
    exit
}

fn run(link: &Link, job: &Job) -> Exit {
    let (line, redactor) = fill(job, false);
    let filter = redactor.filter_output();
    let pipeline = line.and_then(|line| {
        init()?;
        let pipeline = build(&line, job)?;
        let rtsp = job.rtsp.as_ref();
        let server = rtsp.map(|rtsp| rtsp::Server::start(&pipeline, rtsp)).transpose()?;
        Ok((pipeline, server))
    });
    let (pipeline, server) = match pipeline {
        Ok(pipeline) => pipeline,
        Err(failure) => {
            let exit = send_failure(link, &redactor, failure);
            let progress = Progress::default();
            link.finish(&FromRunner::Finished { exit, progress });
            return exit;
        }
    };
    let end = watch::run(&pipeline, server.as_ref(), link, job, &redactor);
    let (exit, progress) = (end.exit, end.progress);
    link.finish(&FromRunner::Finished { exit, progress });
    if !end.released {
        drop(filter);
        // SAFETY: plain system call; ends the process without waiting for what hangs.
        unsafe { libc::_exit(i32::from(exit.code())) };
    }
    exit
}

/// Checks and parses the line, sets the bound properties, and looks after input and output files.
fn build(line: &str, job: &Job) -> Result<gst::Pipeline, Failure> {
    if let Some(first) = check::line(line, job).into_iter().next() {
        return Err(first);
    }
    let pipeline = check::parse(line)?;
    for bind in &job.binds {
        check::set(&pipeline, &bind.element, &bind.property, &bind.value)?;
    }
    prepare::files(&pipeline, job.attempt)?;
    optional::watch(&pipeline);
    Ok(pipeline)
}

/// Whether an element makes pads as it finds streams in its input.
fn finds_streams(element: &gst::Element) -> bool {
    let sometimes =
        |t: &gst::PadTemplate| t.direction() == gst::PadDirection::Src && t.presence() == gst::PadPresence::Sometimes;
    element.pad_template_list().iter().any(sometimes)
}

/// The elements that the launch line names: those of the pipeline and of plain bins, not what elements are made of.
fn named(bin: &gst::Bin) -> Vec<gst::Element> {
    let inner = |element: gst::Element| match element.downcast::<gst::Bin>() {
        Ok(bin) if bin.factory().is_none_or(|f| f.name() == "bin") => named(&bin),
        Ok(bin) => vec![bin.upcast()],
        Err(element) => vec![element],
    };
    bin.children().into_iter().flat_map(inner).collect()
}

/// All elements of a pipeline, those inside bins too.
fn elements(pipeline: &gst::Pipeline) -> Vec<gst::Element> {
    let mut found = Vec::new();
    let mut iterator = pipeline.iterate_recurse();
    loop {
        match iterator.next() {
            Ok(Some(element)) => found.push(element),
            Ok(None) => return found,
            Err(gst::IteratorError::Resync) => {
                iterator.resync();
                found.clear();
            }
            Err(gst::IteratorError::Error) => return found,
        }
    }
}
