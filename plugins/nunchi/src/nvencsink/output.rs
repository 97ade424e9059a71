//! The end of the line: what a muxer writes, into a file that has its name only when it is whole.
//!
//! Not `filesink`, because that writes under the final name, never tells the disk to keep what it has, and waits for a preroll, so that a
//! file could not be finished on the way down from PAUSED. It has no factory; `splitmuxsink` takes it as an object.

use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gst::{glib, prelude::*, subclass::prelude::*};

use super::CAT;
use super::writer::{Error, Published, Writer};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Default)]
struct Settings {
    location: Option<String>,
    overwrite: bool,
    faststart: bool,
}

#[derive(Default)]
enum State {
    /// Nothing came yet.
    #[default]
    Empty,
    Open(Writer),
    /// It was told; nothing is written any more.
    Failed,
}

pub struct FileOut {
    sinkpad: gst::Pad,
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

impl FileOut {
    pub fn configure(&self, location: Option<&str>, overwrite: bool, faststart: bool) {
        *lock(&self.settings) = Settings {
            location: location.map(str::to_owned),
            overwrite,
            faststart,
        };
    }

    fn open(&self) -> Result<Writer, Error> {
        let settings = lock(&self.settings).clone();
        let path = PathBuf::from(settings.location.unwrap_or_default());
        let writer = Writer::create(&path, settings.overwrite)?;
        if let Some(recovered) = writer.recovered() {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Write,
                (
                    "An earlier recording was cut short; what there is of it is in {}",
                    recovered.display()
                )
            );
        }
        Ok(writer)
    }

    /// Lets `act` use the open file; the first failure is told, and ends it.
    fn with(&self, act: impl FnOnce(&mut Writer) -> Result<(), Error>) -> Result<(), gst::FlowError> {
        let result = {
            let mut state = lock(&self.state);
            if matches!(*state, State::Empty) {
                drop(state);
                let opened = self.open();
                state = lock(&self.state);
                match opened {
                    Ok(writer) => *state = State::Open(writer),
                    Err(error) => {
                        *state = State::Failed;
                        drop(state);
                        self.tell(&error);
                        return Err(gst::FlowError::Error);
                    }
                }
            }
            match &mut *state {
                State::Open(writer) => {
                    let result = act(writer);
                    if result.is_err() {
                        *state = State::Failed;
                    }
                    result
                }
                State::Failed | State::Empty => return Err(gst::FlowError::Error),
            }
        };
        result.map_err(|error| {
            self.tell(&error);
            gst::FlowError::Error
        })
    }

    fn tell(&self, error: &Error) {
        match error {
            Error::Full { .. } => gst::element_imp_error!(self, gst::ResourceError::NoSpaceLeft, ("{error}")),
            Error::Write { .. } | Error::Publish { .. } => {
                gst::element_imp_error!(self, gst::ResourceError::Write, ("{error}"));
            }
            _ => gst::element_imp_error!(self, gst::ResourceError::OpenWrite, ("{error}")),
        }
    }

    fn chain(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        self.with(|writer| writer.write(&map))?;
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Segment(segment) => {
                let start = segment
                    .segment()
                    .downcast_ref::<gst::format::Bytes>()
                    .and_then(gst::FormattedSegment::start);
                let open = matches!(*lock(&self.state), State::Open(_));
                match start {
                    Some(start) if open => self
                        .with(|writer| {
                            writer.seek(*start);
                            Ok(())
                        })
                        .is_ok(),
                    _ => true,
                }
            }
            gst::EventView::Eos(_) => {
                let finished = self.finish();
                // After an error there is no end that anybody could take for a good one.
                if finished {
                    let end = gst::message::Eos::builder()
                        .src(&*self.obj())
                        .seqnum(event.seqnum())
                        .build();
                    // Without a bus nobody waits for it.
                    let _ = self.obj().post_message(end);
                }
                finished
            }
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    /// Whether the file is whole and has its name, or there never was anything to write.
    fn finish(&self) -> bool {
        let last = std::mem::take(&mut *lock(&self.state));
        let writer = match last {
            State::Empty => return true,
            State::Failed => {
                *lock(&self.state) = State::Failed;
                return false;
            }
            State::Open(writer) => writer,
        };
        let faststart = lock(&self.settings).faststart;
        match writer.finish(faststart) {
            Ok(Published { path, bytes }) => {
                gst::info!(CAT, imp = self, "{} is written, {bytes} bytes", path.display());
                let structure = gst::Structure::builder("nunchi-file-written")
                    .field("location", path.to_string_lossy().as_ref())
                    .field("bytes", bytes)
                    .build();
                let message = gst::message::Element::builder(structure).src(&*self.obj()).build();
                let _ = self.obj().post_message(message);
                true
            }
            Err(error) => {
                *lock(&self.state) = State::Failed;
                self.tell(&error);
                false
            }
        }
    }

    fn query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Seeking(seeking) => {
                if seeking.format() != gst::Format::Bytes {
                    return false;
                }
                seeking.set(true, gst::format::Bytes::ZERO, gst::format::Bytes::NONE);
                true
            }
            gst::QueryViewMut::Formats(formats) => {
                formats.set([gst::Format::Default, gst::Format::Bytes]);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FileOut {
    const NAME: &'static str = "GstNunchiFileOut";
    type Type = super::FileOut;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = class.pad_template("sink").expect("declared below");
        let sinkpad = gst::Pad::builder_from_template(&template)
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |this| this.chain(&buffer))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.query(pad, query))
            })
            .build();
        Self {
            sinkpad,
            settings: Mutex::default(),
            state: Mutex::default(),
        }
    }
}

impl ObjectImpl for FileOut {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("File to write")
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, _pspec: &glib::ParamSpec) {
        lock(&self.settings).location = value.get().ok().flatten();
    }

    fn property(&self, _id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
        lock(&self.settings).location.to_value()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.add_pad(&self.sinkpad)
            .expect("a new element has no pad of that name");
        obj.set_element_flags(gst::ElementFlags::SINK);
    }
}

impl GstObjectImpl for FileOut {}

impl ElementImpl for FileOut {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
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

    fn change_state(&self, transition: gst::StateChange) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady {
            // Not finished: what there is stays under its temporary name.
            *lock(&self.state) = State::Empty;
        }
        result
    }
}
