//! People in a frame, and what is told of them.

use super::{
    posture::Person,
    rules::Verdict,
    settings::Settings,
    tracker::{Track, Tracker},
};
use crate::{
    analyser::{Analysis, Found, Pending, normalised, rectangle, with_track},
    meta::{
        landmark::{BODY_17, Landmarks},
        roi::{Attribute, Region},
    },
};
use nunchi_inference::{
    engine::{EngineError, EngineKind},
    frame::FrameView,
    models,
    pose::PoseNet,
};

/// The `roi_type` of our regions.
const LABEL: &str = "person";
/// Frames in flight behind a live source where the user leaves it to us: while one is inferred the next one is made ready, and
/// it costs the latency of one frame.
const LIVE_DEPTH: usize = 2;

/// The network and the people who are followed.
pub struct PoseAnalysis {
    net: PoseNet,
    tracker: Tracker<Person>,
}

/// The network, on the CPU instead of the wanted device or not.
fn load(settings: &Settings, on_cpu: bool) -> Result<PoseNet, EngineError> {
    let (model, options) = (settings.model(), settings.options.engine_options());
    if !on_cpu {
        return PoseNet::load(&model, &options);
    }
    let model = if model.is_hef() { models::body_pose() } else { model };
    PoseNet::load(&model, &options.on_cpu())
}

impl Analysis for PoseAnalysis {
    type Settings = Settings;
    const NAME: &'static str = "Pose analysis";
    const NVDS_COMPONENT: i32 = 6802;

    fn load(settings: &Settings, on_cpu: bool) -> Result<Self, EngineError> {
        Ok(Self {
            net: load(settings, on_cpu)?,
            tracker: Tracker::default(),
        })
    }

    fn move_to_cpu(&mut self, settings: &Settings) -> Result<(), EngineError> {
        self.net = load(settings, true)?;
        Ok(())
    }

    fn engine(&self) -> (EngineKind, String) {
        (self.net.engine(), self.net.device())
    }

    fn note(&self) -> Option<String> {
        self.net.note()
    }

    fn set_depth(&mut self, live: bool, settings: &Settings) -> usize {
        let wanted = match settings.frames_in_flight as usize {
            // The processor that would make the next frame ready is busy with this one.
            _ if self.net.engine() != EngineKind::Hailo => 1,
            0 if live => LIVE_DEPTH,
            wanted => wanted,
        };
        self.net.set_slots(wanted)
    }

    fn submit(&mut self, slot: usize, view: &FrameView<'_>) -> Result<(), EngineError> {
        self.net.submit(slot, view)
    }

    fn is_complete(&mut self, slot: usize) -> bool {
        self.net.is_complete(slot)
    }

    fn finish(
        &mut self,
        slot: usize,
        view: &FrameView<'_>,
        time: gst::ClockTime,
        settings: &Settings,
        events: &mut Pending,
    ) -> Result<Vec<Found>, EngineError> {
        let size = (view.width(), view.height());
        let poses = self.net.finish(slot, size, &settings.limits())?;
        let model = self.net.family().as_str();
        end(self.tracker.update(&poses, time.nseconds(), &settings.policy()), events);
        let mut people = Vec::new();
        for track in self.tracker.visible_mut() {
            let told = track.state.update(
                &track.pose.keypoints,
                settings.keypoint_threshold,
                settings.smoothing,
                &settings.thresholds,
            );
            let index = describe(track, model, size).map(|person| {
                people.push(person);
                people.len() - 1
            });
            events.extend(with_track(track.id, told).map(|event| (index, event)));
        }
        Ok(people)
    }

    fn repeat(&self, size: (u32, u32)) -> Vec<Found> {
        let model = self.net.family().as_str();
        let people = self.tracker.visible();
        people.filter_map(|track| describe(track, model, size)).collect()
    }

    fn end_all(&mut self, events: &mut Pending) {
        end(self.tracker.clear(), events);
    }

    fn reset(&mut self) {
        self.net.clear();
        self.tracker.clear();
    }
}

/// Tells the ends of all that was going on with people who are gone.
fn end(tracks: Vec<Track<Person>>, events: &mut Pending) {
    for mut track in tracks {
        let ends = with_track(track.id, track.state.finish());
        events.extend(ends.map(|event| (None, event)));
    }
}

/// The metadata of one person; `None` for one who lies outside of the frame.
fn describe(track: &Track<Person>, model: &'static str, size: (u32, u32)) -> Option<Found> {
    let rect = rectangle(track.pose.bbox, size)?;
    // A rule that could not be applied says nothing.
    let verdicts = track.state.posture.iter().flat_map(|p| {
        [
            ("body_tilt", &p.body_tilt),
            ("head_tilt", &p.head_tilt),
            ("distance", &p.distance),
            ("gesture", &p.gesture),
        ]
    });
    let attributes = verdicts
        .filter(|(_, verdict)| verdict.label != Verdict::UNKNOWN)
        .map(|(name, verdict)| Attribute {
            name,
            label: verdict.label.to_string(),
            label_id: i32::from(verdict.detected),
            confidence: verdict.confidence,
            model,
        })
        .collect();
    let region = Region {
        label: LABEL,
        rect,
        confidence: track.pose.score.into(),
        label_id: 0,
        track_id: track.id,
        attributes,
    };
    let (w, h) = (f64::from(size.0), f64::from(size.1));
    let landmarks = Landmarks {
        object_id: -1,
        track_id: track.id,
        layout: BODY_17.to_string(),
        bbox: normalised(track.pose.bbox, size),
        points: track
            .state
            .points
            .iter()
            .map(|p| [f64::from(p.x) / w, f64::from(p.y) / h, f64::from(p.confidence)])
            .collect(),
    };
    Some(Found {
        region,
        landmarks,
        first_seen: gst::ClockTime::from_nseconds(track.first_seen),
    })
}
