//! Which scenario is shown: that of the properties, or the last one from the request pad.

use super::feed::{Due, Fed};
use super::imp::{MotionTextOverlay, Stream, lock};
use super::settings::Settings;
use super::still;
use gst::{prelude::*, subclass::prelude::*};
use nunchi_motiontext::{
    Warning,
    player::{OpenError, Player},
};
use std::sync::Arc;

/// So many warnings are kept for the property, and so many are written out in a message.
const MAX_WARNINGS: usize = 500;
const MAX_TOLD: usize = 5;

/// The scenario that properties ask for.
#[derive(Default)]
pub struct Wanted {
    pub settings: Settings,
    /// Changes are loaded at once.
    pub started: bool,
    /// Loaded, and to be shown from the next frame on; `Some(None)`: nothing is to be shown.
    pub next: Option<Option<Box<Player>>>,
    /// What is shown came in-band, from this, and is read anew where a property changes how.
    pub fed: Option<Arc<[u8]>>,
}

impl MotionTextOverlay {
    pub(super) fn start(&self) -> Result<(), gst::StateChangeError> {
        *lock(&self.stream) = Stream::default();
        lock(&self.warnings).clear();
        self.feed.start();
        let mut wanted = lock(&self.wanted);
        let both = wanted.settings.location.is_some() && wanted.settings.scenario.is_some();
        wanted.started = !both;
        wanted.next = None;
        drop(wanted);
        if both {
            gst::element_imp_error!(
                self,
                gst::LibraryError::Settings,
                ("location and scenario are both set: set one of them")
            );
            return Err(gst::StateChangeError);
        }
        self.load().map_err(|error| {
            lock(&self.wanted).started = false;
            match error {
                OpenError::File { .. } | OpenError::Fonts(_) => {
                    gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{error}"));
                }
                OpenError::Scenario { .. } | OpenError::Text(_) => {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Decode,
                        ("The scenario cannot be shown: {error}")
                    );
                }
            }
            gst::StateChangeError
        })
    }

    /// Loads what the properties ask for and puts it in place for the next frame.
    pub(super) fn load(&self) -> Result<(), OpenError> {
        let loading = lock(&self.loading);
        let warnings = loop {
            let (settings, fed) = {
                let wanted = lock(&self.wanted);
                (wanted.settings.clone(), wanted.fed.clone())
            };
            let loaded = match &fed {
                Some(json) => Some(parse(json, &settings)?),
                None => open(&settings)?,
            };
            let (player, warnings) = loaded.unzip();
            let mut wanted = lock(&self.wanted);
            // Another one may have been taken meanwhile; no more than that, as its pad waits for this to end.
            if wanted.fed.as_ref().map(Arc::as_ptr) == fed.as_ref().map(Arc::as_ptr) {
                wanted.next = Some(player.map(Box::new));
                break warnings.unwrap_or_default();
            }
        };
        if let Some(json) = self.feed.waiting() {
            let settings = lock(&self.wanted).settings.clone();
            let player = Box::new(parse(&json, &settings)?.0);
            self.feed.exchange(Fed { player, json });
        }
        let before = std::mem::take(&mut *lock(&self.warnings));
        let new = self.keep(&warnings);
        drop(loading);
        if new.is_empty() && !before.is_empty() {
            self.obj().notify("warnings");
        }
        self.tell(new);
        Ok(())
    }

    /// Keeps and reports what is shown differently than its author may think.
    pub(super) fn warn(&self, new: &[Warning]) {
        self.tell(self.keep(new));
    }

    fn keep(&self, new: &[Warning]) -> Vec<String> {
        let new: Vec<String> = new.iter().map(ToString::to_string).collect();
        let mut warnings = lock(&self.warnings);
        let room = MAX_WARNINGS.saturating_sub(warnings.len());
        warnings.extend(new.iter().take(room).cloned());
        new
    }

    fn tell(&self, new: Vec<String>) {
        if new.is_empty() {
            return;
        }
        self.obj().notify("warnings");
        let mut text = new[..new.len().min(MAX_TOLD)].join("; ");
        if new.len() > MAX_TOLD {
            text.push_str(&format!("; and {} more (property warnings)", new.len() - MAX_TOLD));
        }
        let details = gst::Structure::builder("motiontext-warnings")
            .field("warnings", gst::Array::new(new))
            .build();
        gst::element_imp_warning!(self, gst::StreamError::Format, ("The scenario: {text}"), details: details);
    }

    pub(super) fn feed_chain(&self, buffer: &gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        match self.feed.due(buffer) {
            Some(due) => {
                let json = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
                self.feed_scenario(Arc::from(&*json), due)?;
            }
            None => self.feed.append(buffer)?,
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// A scenario that cannot be shown costs a warning; the one before stays.
    fn feed_scenario(&self, json: Arc<[u8]>, due: Due) -> Result<(), gst::FlowError> {
        self.feed.room(due.from)?;
        let loading = lock(&self.loading);
        let settings = lock(&self.wanted).settings.clone();
        let (player, warnings) = match parse(&json, &settings) {
            Ok(parsed) => parsed,
            Err(error) => {
                drop(loading);
                self.feed.reach(due.until);
                self.refused(&error);
                return Ok(());
            }
        };
        let player = Box::new(player);
        let put = self.feed.put(due, Fed { player, json });
        drop(loading);
        self.warn(&warnings);
        put?;
        self.feed.taken(due.from)
    }

    pub(super) fn refused(&self, error: &OpenError) {
        gst::element_imp_warning!(
            self,
            gst::StreamError::Decode,
            ("The scenario cannot be shown: {error}. The one before stays.")
        );
    }

    pub(super) fn feed_event(&self, event: &gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::FlushStart(_) => self.feed.close(gst::FlowError::Flushing),
            EventView::FlushStop(_) => self.feed.flushed(event.seqnum()),
            EventView::StreamStart(_) => self.feed.start_stream(),
            EventView::Segment(segment) => self.feed.set_segment(segment.segment()),
            EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                self.feed.gap(start, duration);
            }
            EventView::Eos(_) => {
                if let Some(json) = self.feed.complete() {
                    // It has no time to wait for, and a closed pad needs it no more.
                    let _ = self.feed_scenario(json.into(), Due::WHOLE);
                }
                self.feed.reach(Due::WHOLE.until);
            }
            _ => {}
        }
        // Nothing of it is of the video.
        true
    }
}

fn open(settings: &Settings) -> Result<Option<(Player, Vec<Warning>)>, OpenError> {
    let options = settings.options();
    let fonts = settings.fonts_dir.as_deref();
    Ok(match (&settings.location, &settings.scenario) {
        (Some(path), _) => Some(Player::open(path, &options, fonts, &mut still::stills())?),
        (None, Some(json)) => Some(parse(json.as_bytes(), settings)?),
        (None, None) => None,
    })
}

/// A scenario without a folder of its own.
fn parse(json: &[u8], settings: &Settings) -> Result<(Player, Vec<Warning>), OpenError> {
    let fonts = settings.fonts_dir.as_deref();
    Player::parse(json, &settings.options(), fonts, &mut still::stills())
}
