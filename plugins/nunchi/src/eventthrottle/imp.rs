use super::Key;
use crate::{meta, time::RunningTime};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use nunchi_events::throttle::{Config, Subject, Throttle, Verdict};
use std::sync::{LazyLock, Mutex, MutexGuard};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "eventthrottle",
        gst::DebugColorFlags::empty(),
        Some("Throttle of analysis events"),
    )
});

const DEFAULT_INTERVAL: gst::ClockTime = gst::ClockTime::from_seconds(2);
const DEFAULT_BURST: u32 = 1;
const DEFAULT_PASS_END: bool = true;
const DEFAULT_POST_MESSAGES: bool = true;

/// Name of the element messages that carry the events that passed.
const MESSAGE: &str = "nunchi-event";

#[derive(Debug, Clone, Copy)]
struct Settings {
    interval: gst::ClockTime,
    key: Key,
    burst: u32,
    pass_end: bool,
    post_messages: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: DEFAULT_INTERVAL,
            key: Key::default(),
            burst: DEFAULT_BURST,
            pass_end: DEFAULT_PASS_END,
            post_messages: DEFAULT_POST_MESSAGES,
        }
    }
}

impl Settings {
    fn config(&self) -> Config {
        Config {
            interval: self.interval.nseconds(),
            burst: self.burst,
            key: self.key.into(),
            pass_end: self.pass_end,
        }
    }
}

/// Locks are taken one at a time and never held while a message is posted.
#[derive(Default)]
pub struct EventThrottle {
    settings: Mutex<Settings>,
    /// `None` until the element starts.
    state: Mutex<Option<Throttle>>,
    time: Mutex<RunningTime>,
}

impl EventThrottle {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn state(&self) -> MutexGuard<'_, Option<Throttle>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Forgets what has passed: the stream starts anew. The counters stay.
    fn reset(&self) {
        *self.time() = RunningTime::default();
        if let Some(throttle) = self.state().as_mut() {
            throttle.reset();
        }
    }

    fn time(&self) -> MutexGuard<'_, RunningTime> {
        self.time.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Splits the buffer's events; returns those that pass, with the number suppressed before them noted on each.
    fn judge(&self, events: &[gst::Structure], time: gst::ClockTime) -> Vec<gst::Structure> {
        let stream = self.obj().sink_pad().stream_id();
        let mut state = self.state();
        let Some(throttle) = state.as_mut() else {
            return Vec::new();
        };
        events
            .iter()
            .filter_map(|event| {
                let object = event.get::<u64>("track-id").ok().or_else(|| {
                    let id = event.get::<i32>("object-id").ok()?;
                    u64::try_from(id).ok()
                });
                let subject = Subject {
                    kind: event.get::<&str>("type").unwrap_or_default(),
                    label: event.get::<&str>("label").unwrap_or_default(),
                    object,
                    stream: event
                        .get::<&str>("stream-id")
                        .ok()
                        .or(stream.as_ref().map(|s| s.as_str()))
                        .unwrap_or_default(),
                    state: meta::event::state(event),
                };
                match throttle.offer(&subject, time.nseconds()) {
                    Verdict::Pass { suppressed: 0 } => Some(event.clone()),
                    Verdict::Pass { suppressed } => {
                        let mut event = event.clone();
                        event.set("suppressed", suppressed);
                        Some(event)
                    }
                    Verdict::Suppress => None,
                }
            })
            .collect()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for EventThrottle {
    const NAME: &'static str = "GstNunchiEventThrottle";
    type Type = super::EventThrottle;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for EventThrottle {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecUInt64::builder("interval")
                    .nick("Interval")
                    .blurb("Least running time between two events of the same key, in nanoseconds (exactly this much passes)")
                    .default_value(DEFAULT_INTERVAL.nseconds())
                    .maximum(i64::MAX as u64)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("key", Key::default())
                    .nick("Key")
                    .blurb("Which events count as the same")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("burst")
                    .nick("Burst")
                    .blurb("How many events of a key pass within one interval")
                    .minimum(1)
                    .maximum(1000)
                    .default_value(DEFAULT_BURST)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("pass-end")
                    .nick("Pass end")
                    .blurb("Let the end of something through whose start or course has passed, whatever the interval")
                    .default_value(DEFAULT_PASS_END)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("post-messages")
                    .nick("Post messages")
                    .blurb("Post an element message 'nunchi-event' on the bus for each event that passes")
                    .default_value(DEFAULT_POST_MESSAGES)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("passed")
                    .nick("Passed")
                    .blurb("Events that passed since the element started")
                    .read_only()
                    .build(),
                glib::ParamSpecUInt64::builder("suppressed")
                    .nick("Suppressed")
                    .blurb("Events that were suppressed since the element started")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let settings = {
            let mut settings = self.settings();
            // The type of each value was checked by GObject against the ParamSpec.
            match pspec.name() {
                "interval" => settings.interval = gst::ClockTime::from_nseconds(value.get().expect("checked type")),
                "key" => settings.key = value.get().expect("checked type"),
                "burst" => settings.burst = value.get().expect("checked type"),
                "pass-end" => settings.pass_end = value.get().expect("checked type"),
                "post-messages" => settings.post_messages = value.get().expect("checked type"),
                name => unreachable!("property {name} is not writable"),
            }
            *settings
        };
        if let Some(throttle) = self.state().as_mut() {
            throttle.set_config(settings.config());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "interval" => self.settings().interval.nseconds().to_value(),
            "key" => self.settings().key.to_value(),
            "burst" => self.settings().burst.to_value(),
            "pass-end" => self.settings().pass_end.to_value(),
            "post-messages" => self.settings().post_messages.to_value(),
            "passed" => self.state().as_ref().map_or(0, Throttle::passed).to_value(),
            "suppressed" => self.state().as_ref().map_or(0, Throttle::suppressed).to_value(),
            name => unreachable!("unknown property {name}"),
        }
    }
}

impl GstObjectImpl for EventThrottle {}

impl ElementImpl for EventThrottle {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Event throttle",
                "Filter/Analyzer",
                "Lets an analysis event of one kind through at most once per interval",
                "The Nunchi developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            // ANY, because only metadata is touched: the element may stand behind an encoder as well.
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &gst::Caps::new_any())
                        .expect("a template of constant parts")
                })
                .to_vec()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for EventThrottle {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let config = self.settings().config();
        *self.state() = Some(Throttle::new(config));
        *self.time() = RunningTime::default();
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        // A new stream needs no reset: its id belongs to the key, and several may come through one pad in turns (funnel).
        if let gst::EventView::FlushStop(_) = event.view() {
            self.reset();
        }
        self.parent_sink_event(event)
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        // Also of buffers without events, so that one without a timestamp has the time of its neighbour.
        let time = self.time().of(buffer, &self.obj().segment(), &*self.obj());
        if !meta::event::is_present(buffer) {
            return Ok(gst::FlowSuccess::Ok);
        }
        let events = meta::event::read(buffer);
        let passing = self.judge(&events, time);
        gst::trace!(CAT, imp = self, "{} of {} events pass", passing.len(), events.len());
        let messages = if self.settings().post_messages {
            passing.clone()
        } else {
            Vec::new()
        };
        meta::event::replace(buffer, passing);
        for mut event in messages {
            event.set_name(MESSAGE);
            let message = gst::message::Element::builder(event).src(&*self.obj()).build();
            // Fails only where the element is in no pipeline: then nobody wants the message.
            let _ = self.obj().post_message(message);
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
