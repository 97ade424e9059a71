use super::{Format, SyncMode, TimeBase};
use crate::{meta, time::RunningTime};
use chrono::{DateTime, Local, NaiveDateTime, TimeDelta, TimeZone, Utc};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use nunchi_events::State as EventState;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard};

use super::file::{LogFile, numbered};

pub(super) static CAT: LazyLock<gst::DebugCategory> =
    LazyLock::new(|| gst::DebugCategory::new("xmllogsink", gst::DebugColorFlags::empty(), Some("Event log in XML")));

const DEFAULT_ROOT: &str = "face_session";

#[derive(Debug, Clone)]
struct Settings {
    location: Option<String>,
    format: Format,
    session_root: String,
    start_time: Option<String>,
    time_base: TimeBase,
    sync_mode: SyncMode,
    max_size_bytes: u64,
    max_files: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            format: Format::default(),
            session_root: DEFAULT_ROOT.to_string(),
            start_time: None,
            time_base: TimeBase::default(),
            sync_mode: SyncMode::default(),
            max_size_bytes: 0,
            max_files: 0,
        }
    }
}

struct State {
    settings: Settings,
    location: String,
    /// `None` after a rotation, until the next buffer.
    file: Option<LogFile>,
    /// Number of the next file, where the location has a %d.
    index: u32,
    /// Files written so far, the oldest first; kept only when `max-files` limits them.
    written: VecDeque<PathBuf>,
    /// Wall-clock time at running time zero. In UTC, for local time jumps twice a year.
    origin: Option<DateTime<Utc>>,
    /// Elapsed time of the last buffer, for the end of the session.
    last: gst::ClockTime,
    /// Running time of the first buffer.
    first: Option<gst::ClockTime>,
    /// Running time and Unix time of the last buffer that had a reference timestamp.
    reference: Option<(gst::ClockTime, gst::ClockTime)>,
    /// The origin is that of the first reference timestamp.
    began_by_reference: bool,
    running_time: RunningTime,
}

#[derive(Default)]
struct Counters {
    events: u64,
    frames: u64,
}

/// Locks, in the order in which they may be taken together: `state`, `settings`, `counters`. None is held while a message is
/// posted.
#[derive(Default)]
pub struct XmlLogSink {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
    counters: Mutex<Counters>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl State {
    /// Wall-clock time of an elapsed time. The first buffer ties the two; what is read faster than real time keeps its pace.
    fn time(&mut self, elapsed: gst::ClockTime) -> DateTime<Utc> {
        let origin = match self.origin {
            Some(origin) => origin,
            None => self.begin(after(Utc::now(), elapsed, -1)),
        };
        after(origin, elapsed, 1)
    }

    /// The session begins at this time, so that its duration is that of a video recorded beside it.
    fn begin(&mut self, origin: DateTime<Utc>) -> DateTime<Utc> {
        // The file that was made to see whether it can be says when the element started.
        self.file = None;
        self.index = 0;
        self.written.clear();
        self.origin = Some(origin);
        origin
    }

    /// The time of a buffer that the log counts with.
    fn elapsed(&mut self, buffer: &gst::BufferRef, running_time: gst::ClockTime) -> gst::ClockTime {
        let first = *self.first.get_or_insert(running_time);
        match self.settings.time_base {
            TimeBase::RunningTime => return running_time,
            TimeBase::FirstBuffer => return running_time.saturating_sub(first),
            TimeBase::Reference => {}
        }
        if let Some(unix) = buffer
            .iter_meta::<gst::ReferenceTimestampMeta>()
            .find_map(|meta| unix_time(&meta))
        {
            self.reference = Some((running_time, unix));
        }
        let Some((at, unix)) = self.reference else {
            gst::warning!(
                CAT,
                "a buffer without a reference timestamp is placed by its running time"
            );
            return running_time.saturating_sub(first);
        };
        // One that has none is as far from the last that had one as their running times are.
        let unix = (unix + running_time).saturating_sub(at);
        let begun = self.origin.filter(|_| self.began_by_reference);
        let origin = begun.unwrap_or_else(|| {
            self.began_by_reference = true;
            self.begin(after(DateTime::UNIX_EPOCH, unix, 1))
        });
        let since = u64::try_from((origin - DateTime::UNIX_EPOCH).num_microseconds().unwrap_or(0)).unwrap_or(0);
        unix.saturating_sub(gst::ClockTime::from_useconds(since))
    }

    /// The current file, made when there is none.
    fn file(&mut self, now: DateTime<Utc>) -> Result<&mut LogFile, gst::ErrorMessage> {
        if self.file.is_none() {
            let path = PathBuf::from(numbered(&self.location, self.index));
            let file = LogFile::create(
                &path,
                self.settings.format,
                &self.settings.session_root,
                now,
                self.settings.sync_mode,
            )?;
            self.index += 1;
            if self.settings.max_files > 0 {
                self.written.push_back(path);
                while self.written.len() > self.settings.max_files as usize {
                    let Some(oldest) = self.written.pop_front() else { break };
                    if let Err(error) = std::fs::remove_file(&oldest) {
                        gst::warning!(CAT, "could not remove {}: {error}", oldest.display());
                    }
                }
            }
            self.file = Some(file);
        }
        Ok(self.file.as_mut().expect("made above"))
    }

    fn close(&mut self) -> Result<(), gst::ErrorMessage> {
        // Without a single buffer nothing ties running time to the wall.
        let end = self.origin.map_or_else(Utc::now, |origin| after(origin, self.last, 1));
        self.file.take().map_or(Ok(()), |file| file.close(end))
    }
}

/// Nanoseconds since 1970 of a reference timestamp, of the kinds that have a date.
fn unix_time(meta: &gst::ReferenceTimestampMeta) -> Option<gst::ClockTime> {
    /// From 1900, where NTP begins.
    const NTP_OFFSET: gst::ClockTime = gst::ClockTime::from_seconds(2_208_988_800);
    match meta.reference().structure(0)?.name().as_str() {
        "timestamp/x-ntp" => meta.timestamp().checked_sub(NTP_OFFSET),
        "timestamp/x-unix" => Some(meta.timestamp()),
        _ => None,
    }
}

/// `time` plus or minus a running time, in whole microseconds: that is what the log shows.
fn after(time: DateTime<Utc>, running_time: gst::ClockTime, sign: i64) -> DateTime<Utc> {
    let micros = i64::try_from(running_time.useconds()).unwrap_or(i64::MAX);
    time.checked_add_signed(TimeDelta::microseconds(micros.saturating_mul(sign)))
        .unwrap_or(time)
}

impl XmlLogSink {
    /// Writes the events of a buffer as one frame of the log.
    fn log(&self, buffer: &gst::BufferRef) -> Result<(), gst::ErrorMessage> {
        let mut guard = lock(&self.state);
        let Some(state) = guard.as_mut() else {
            return Err(gst::error_msg!(
                gst::CoreError::StateChange,
                ("the element was not started")
            ));
        };
        let running_time = state.running_time.of(buffer, &self.obj().segment(), &*self.obj());
        let elapsed = state.elapsed(buffer, running_time);
        state.last = elapsed;
        let timestamp = state.time(elapsed);
        let start = if state.index == 0 {
            state.time(gst::ClockTime::ZERO)
        } else {
            timestamp
        };
        // Made with the first buffer even when it carries no event: an empty session says that somebody looked.
        let file = state.file(start)?;
        if !meta::event::is_present(buffer) {
            return Ok(());
        }
        let events: Vec<_> = meta::event::read(buffer)
            .iter()
            .filter_map(|s| meta::event::from_structure(s))
            // The log's readers know detections only: a line in it means that something was seen.
            .filter(|event| event.state != EventState::End)
            .collect();
        if events.is_empty() {
            return Ok(());
        }
        file.append(timestamp, elapsed, &events)?;
        let size = file.bytes();
        let mut counters = lock(&self.counters);
        counters.events += events.len() as u64;
        counters.frames += 1;
        drop(counters);
        let limit = state.settings.max_size_bytes;
        if limit > 0 && size >= limit {
            state.close()?;
        }
        Ok(())
    }

    fn close(&self) -> Result<(), gst::ErrorMessage> {
        lock(&self.state).as_mut().map_or(Ok(()), State::close)
    }
}

#[glib::object_subclass]
impl ObjectSubclass for XmlLogSink {
    const NAME: &'static str = "GstNunchiXmlLogSink";
    type Type = super::XmlLogSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for XmlLogSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("File to write; %d or %05d in it is replaced by a running number, from 0")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("format", Format::default())
                    .nick("Format")
                    .blurb("Layout of the file")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("session-root")
                    .nick("Session root")
                    .blurb("Name of the root element in format=session, such as face_session or pose_session")
                    .default_value(Some(DEFAULT_ROOT))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("start-time")
                    .nick("Start time")
                    .blurb("Local time at running time zero, as 2025-10-18T17:34:26.292100; unset: now, when the first buffer comes")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("time-base", TimeBase::default())
                    .nick("Time base")
                    .blurb("What times count from, and by which clock")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("sync-mode", SyncMode::default())
                    .nick("Sync mode")
                    .blurb("When data goes to the disk for sure")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("max-size-bytes")
                    .nick("Maximum size")
                    .blurb("Start the next file once one has this many bytes (needs %d in the location); 0: never")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt::builder("max-files")
                    .nick("Maximum files")
                    .blurb("Remove the oldest file of this run once there are more; 0: keep all")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("events-written")
                    .nick("Events written")
                    .blurb("Events in the log since the element started")
                    .read_only()
                    .build(),
                glib::ParamSpecUInt64::builder("frames-written")
                    .nick("Frames written")
                    .blurb("Frames in the log since the element started")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                glib::subclass::Signal::builder("rotate")
                    .action()
                    .return_type::<bool>()
                    .class_handler(|values| {
                        let sink = values[0].get::<super::XmlLogSink>().ok()?;
                        Some(sink.imp().rotate().to_value())
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // The type of each value was checked by GObject against the ParamSpec.
        match pspec.name() {
            "location" => settings.location = value.get().expect("checked type"),
            "format" => settings.format = value.get().expect("checked type"),
            "session-root" => {
                settings.session_root = value
                    .get::<Option<String>>()
                    .expect("checked type")
                    .unwrap_or_else(|| DEFAULT_ROOT.to_string())
            }
            "start-time" => settings.start_time = value.get().expect("checked type"),
            "time-base" => settings.time_base = value.get().expect("checked type"),
            "sync-mode" => settings.sync_mode = value.get().expect("checked type"),
            "max-size-bytes" => settings.max_size_bytes = value.get().expect("checked type"),
            "max-files" => settings.max_files = value.get().expect("checked type"),
            name => unreachable!("property {name} is not writable"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "location" => lock(&self.settings).location.to_value(),
            "format" => lock(&self.settings).format.to_value(),
            "session-root" => lock(&self.settings).session_root.to_value(),
            "start-time" => lock(&self.settings).start_time.to_value(),
            "time-base" => lock(&self.settings).time_base.to_value(),
            "sync-mode" => lock(&self.settings).sync_mode.to_value(),
            "max-size-bytes" => lock(&self.settings).max_size_bytes.to_value(),
            "max-files" => lock(&self.settings).max_files.to_value(),
            "events-written" => lock(&self.counters).events.to_value(),
            "frames-written" => lock(&self.counters).frames.to_value(),
            name => unreachable!("unknown property {name}"),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        // A log is not a presentation: write as data comes. (`async` stays on: every frame comes by here, so the sink prerolls
        // at once; without it GStreamer 1.22 sometimes swallows the end of the stream behind decodebin.)
        obj.set_sync(false);
    }
}

impl XmlLogSink {
    /// Ends the current file; the next buffer starts the next one. False where the location has no number in it.
    fn rotate(&self) -> bool {
        let result = {
            let mut guard = lock(&self.state);
            match guard.as_mut() {
                Some(state) if numbered(&state.location, 0) != numbered(&state.location, 1) => state.close(),
                _ => return false,
            }
        };
        if let Err(error) = &result {
            self.post_error_message(error.clone());
        }
        result.is_ok()
    }
}

impl GstObjectImpl for XmlLogSink {}

impl ElementImpl for XmlLogSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "XML event log",
                "Sink/File",
                "Writes analysis events into an XML file that is well-formed at every instant",
                "The Nunchi developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            // ANY, because only metadata is read: the element may stand behind an encoder as well.
            vec![
                gst::PadTemplate::new(
                    "sink",
                    gst::PadDirection::Sink,
                    gst::PadPresence::Always,
                    &gst::Caps::new_any(),
                )
                .expect("a template of constant parts"),
            ]
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for XmlLogSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let location = settings.location.clone().filter(|l| !l.is_empty()).ok_or_else(|| {
            gst::error_msg!(
                gst::ResourceError::NotFound,
                ("No file to write to: set the property location")
            )
        })?;
        let has_number = numbered(&location, 0) != numbered(&location, 1);
        if settings.max_size_bytes > 0 && !has_number {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("max-size-bytes is set, but the location {location} has no %d for the number of the file")
            ));
        }
        let origin = match settings.start_time.as_deref().filter(|t| !t.is_empty()) {
            None => None,
            Some(text) => {
                let local = text.parse::<NaiveDateTime>().map_err(|e| {
                    gst::error_msg!(
                        gst::ResourceError::Settings,
                        ("start-time '{text}' is no time such as 2025-10-18T17:34:26.292100: {e}")
                    )
                })?;
                // In the hour that a clock put back repeats, the first is meant; in the one that it skips, UTC will do.
                Some(
                    Local
                        .from_local_datetime(&local)
                        .earliest()
                        .map_or(local.and_utc(), |t| t.to_utc()),
                )
            }
        };
        *lock(&self.counters) = Counters::default();
        let mut state = State {
            settings,
            location,
            file: None,
            index: 0,
            written: VecDeque::new(),
            origin,
            last: gst::ClockTime::ZERO,
            first: None,
            reference: None,
            began_by_reference: false,
            running_time: RunningTime::default(),
        };
        // A folder that cannot be written is reported now, not in the middle of a recording.
        let now = origin.unwrap_or_else(Utc::now);
        state.file(now)?;
        *lock(&self.state) = Some(state);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let result = self.close();
        lock(&self.state).take();
        result
    }

    /// Nothing here looks at pixels, so rows may be padded as the producer likes: a decoder beside a tee need not copy.
    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        self.parent_propose_allocation(query)
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.log(buffer).map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            self.post_error_message(error);
            gst::FlowError::Error
        })
    }
}
