//! Objects in a frame, and what is told of them.

use super::batch::{Member, Watch};
use super::files;
use super::presence::Presence;
use super::settings::Settings;
use super::tracker::{Known, Tracker};
use crate::analyser::{Analysis, Engine, Found, Frame, Pending, normalised, rectangle};
use crate::meta::{landmark::Landmarks, roi::Region};
use gst::glib;
use nunchi_inference::engine::{EngineError, Interrupt};
use nunchi_inference::frame::Pixels;
use nunchi_inference::ssd::{Detection, Labels, Limits};

/// The network, and what is remembered of the objects.
pub struct SsdAnalysis {
    member: Member,
    labels: Labels,
    /// As `roi_type` has them.
    names: Vec<&'static str>,
    own_limits: Limits,
    classes: Vec<usize>,
    tracker: Tracker,
    presence: Presence,
    last: Vec<(Detection, Known)>,
    patience: gst::ClockTime,
    lines: Option<files::Lines>,
}

impl SsdAnalysis {
    pub fn watch(&self) -> Watch {
        self.member.watch()
    }

    fn describe(&self, &(object, known): &(Detection, Known), size: (u32, u32)) -> Option<Found> {
        let [x0, y0, x1, y1] = object.rect;
        let (width, height) = (size.0 as f32, size.1 as f32);
        let bbox = [x0 * width, y0 * height, x1 * width, y1 * height];
        let region = Region {
            label: self.names.get(object.class).copied().unwrap_or_default(),
            rect: rectangle(bbox, size)?,
            confidence: object.score.into(),
            label_id: i32::try_from(object.class).unwrap_or(-1),
            track_id: known.id,
            attributes: Vec::new(),
        };
        let landmarks = Landmarks {
            object_id: -1,
            track_id: known.id,
            layout: String::new(),
            bbox: normalised(bbox, size),
            points: Vec::new(),
        };
        Some(Found {
            region,
            landmarks,
            first_seen: gst::ClockTime::from_nseconds(known.first_seen),
        })
    }
}

impl Analysis for SsdAnalysis {
    type Settings = Settings;
    const NAME: &'static str = "Object detection";
    const NVDS_COMPONENT: i32 = 6803;

    fn load(settings: &Settings, on_cpu: bool) -> Result<Self, EngineError> {
        let member = Member::join(&settings.batch_group, &settings.plan()?, on_cpu)?;
        let (labels, own_limits) = member.knowledge()?;
        let names = (0..labels.len())
            .map(|index| glib::Quark::from_str(labels.name(index)).as_str().as_str())
            .collect();
        Ok(Self {
            names,
            own_limits,
            classes: settings.wanted(&labels)?,
            labels,
            member,
            tracker: Tracker::default(),
            presence: Presence::default(),
            last: Vec::new(),
            patience: gst::ClockTime::from_nseconds(settings.batch_timeout),
            lines: settings
                .json_location
                .as_deref()
                .map(files::Lines::create)
                .transpose()?,
        })
    }

    fn move_to_cpu(&mut self, _settings: &Settings) -> Result<(), EngineError> {
        self.member.move_to_cpu()
    }

    fn set_interrupt(&mut self, _interrupt: &Interrupt) {
        // Nothing waits for anything but the processor or the GPU.
    }

    fn engine(&self) -> (Engine, String) {
        let (engine, device) = self.member.engine();
        (engine.into(), device)
    }

    fn note(&self) -> Option<String> {
        self.member.note()
    }

    fn news(&mut self) -> Option<String> {
        self.member.news()
    }

    fn set_depth(&mut self, _live: bool, _settings: &Settings) -> usize {
        self.member.depth()
    }

    fn patience(&self) -> Option<gst::ClockTime> {
        Some(self.patience)
    }

    fn takes_device_frames(&self) -> bool {
        self.member.takes_device_frames()
    }

    fn submit(&mut self, slot: usize, frame: Pixels<'_>, settings: &Settings) -> Result<(), EngineError> {
        let limits = settings.limits(&self.own_limits, &self.classes);
        self.member.submit(slot, frame, limits)
    }

    fn is_complete(&mut self, slot: usize) -> bool {
        self.member.is_complete(slot)
    }

    fn finish(
        &mut self,
        slot: usize,
        frame: &Frame<'_>,
        settings: &Settings,
        events: &mut Pending,
    ) -> Result<Vec<Found>, EngineError> {
        let objects = self.member.finish(slot)?;
        let (time, size) = (frame.time.nseconds(), frame.size());
        let known = self.tracker.update(&objects, time, settings.presence_timeout);
        let told = self
            .presence
            .update(&objects, time, settings.min_duration, &self.labels);
        self.last = objects.iter().copied().zip(known).collect();
        let found = self.repeat(size);
        // They are of a class, not of one object.
        events.extend(told.into_iter().map(|event| (None, event)));
        if let Some(location) = &settings.detections_location {
            files::write(location, frame.number, &objects)?;
        }
        if let Some(lines) = &mut self.lines {
            lines.append(frame, &self.last, &self.labels)?;
        }
        Ok(found)
    }

    fn repeat(&self, size: (u32, u32)) -> Vec<Found> {
        self.last
            .iter()
            .filter_map(|object| self.describe(object, size))
            .collect()
    }

    fn end_all(&mut self, events: &mut Pending) {
        let ends = self.presence.finish(&self.labels);
        events.extend(ends.into_iter().map(|event| (None, event)));
        self.tracker.clear();
        self.last.clear();
    }

    fn reset(&mut self) {
        self.member.clear();
        self.tracker.clear();
        self.presence.clear();
        self.last.clear();
    }
}
