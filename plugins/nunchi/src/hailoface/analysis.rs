//! Faces of a frame, and what is told of them.

use super::{
    reading::{FaceEvents, Reading},
    settings::Settings,
    tracker::{FaceFinder, Track, Tracker},
};
use crate::{
    analyser::{Analysis, Engine, Found, Frame, Pending, normalised, rectangle, with_track},
    meta::{
        self,
        landmark::{FACE_478, Landmarks},
        roi::{Attribute, Region},
    },
};
use nunchi_inference::{
    engine::{EngineError, Interrupt},
    face::{self, Detection, FaceNet, Mesh, Roi},
    frame::FrameView,
};

/// The `roi_type` of our regions and the label of `presence` events.
const LABEL: &str = "face";

/// The networks and the faces that are followed.
pub struct FaceAnalysis {
    net: FaceNet,
    /// Whether the tensors of the detector come with the frame.
    attached: bool,
    tracker: Tracker<FaceEvents>,
    inferences: u64,
}

/// The networks, on the CPU instead of the wanted device or not.
fn load(settings: &Settings, on_cpu: bool) -> Result<FaceNet, EngineError> {
    let (models, options) = (settings.models(on_cpu), settings.options.engine_options());
    FaceNet::load(&models, &if on_cpu { options.on_cpu() } else { options })
}

impl Analysis for FaceAnalysis {
    type Settings = Settings;
    const NAME: &'static str = "Face analysis";
    const NVDS_COMPONENT: i32 = 6801;

    fn load(settings: &Settings, on_cpu: bool) -> Result<Self, EngineError> {
        Ok(Self {
            attached: settings.options.are_tensors_attached(),
            net: load(settings, on_cpu)?,
            tracker: Tracker::default(),
            inferences: 0,
        })
    }

    fn move_to_cpu(&mut self, settings: &Settings) -> Result<(), EngineError> {
        self.net = load(settings, true)?;
        self.attached = false;
        Ok(())
    }

    fn set_interrupt(&mut self, interrupt: &Interrupt) {
        self.net.set_interrupt(interrupt);
    }

    fn engine(&self) -> (Engine, String) {
        let detector = Some(Engine::Tensors).filter(|_| self.attached);
        let engine = detector.unwrap_or_else(|| self.net.engine().into());
        (engine, self.net.device())
    }

    fn note(&self) -> Option<String> {
        self.net.note()
    }

    fn finish(
        &mut self,
        _slot: usize,
        frame: &Frame<'_>,
        settings: &Settings,
        events: &mut Pending,
    ) -> Result<Vec<Found>, EngineError> {
        let rules = settings.rules();
        let mut finder = InFrame {
            net: &mut self.net,
            frame,
            attached: self.attached,
            score_threshold: settings.score_threshold,
            iou_threshold: settings.iou_threshold,
        };
        let time = frame.time.nseconds();
        let ended = self.tracker.update(&mut finder, time, &settings.policy())?;
        let with_emotions =
            settings.emotion_interval > 0 && self.inferences.is_multiple_of(settings.emotion_interval.into());
        self.inferences += 1;
        let size = frame.size();
        end(ended, events);
        let mut faces = Vec::new();
        for track in self.tracker.visible_mut() {
            let reading = read(&mut self.net, frame.view()?, track, with_emotions, settings)?;
            let told = with_track(track.id, track.state.update(&reading, time, &rules));
            let index = describe(track, self.net.emotion_model(), size).map(|face| {
                faces.push(face);
                faces.len() - 1
            });
            events.extend(told.map(|event| (index, event)));
        }
        Ok(faces)
    }

    fn repeat(&self, size: (u32, u32)) -> Vec<Found> {
        let faces = self.tracker.visible();
        faces
            .filter_map(|track| describe(track, self.net.emotion_model(), size))
            .collect()
    }

    fn end_all(&mut self, events: &mut Pending) {
        end(self.tracker.clear(), events);
    }

    fn reset(&mut self) {
        self.tracker.clear();
        self.inferences = 0;
    }
}

/// Tells the ends of all that was going on with faces that are gone.
fn end(tracks: Vec<Track<FaceEvents>>, events: &mut Pending) {
    for mut track in tracks {
        let ends = with_track(track.id, track.state.finish());
        events.extend(ends.map(|event| (None, event)));
    }
}

/// The networks on one frame.
struct InFrame<'a> {
    net: &'a mut FaceNet,
    frame: &'a Frame<'a>,
    attached: bool,
    score_threshold: f32,
    iou_threshold: f32,
}

impl FaceFinder for InFrame<'_> {
    type Error = EngineError;
    fn detect(&mut self) -> Result<Vec<Detection>, EngineError> {
        let (score, iou) = (self.score_threshold, self.iou_threshold);
        if !self.attached {
            return self.net.detect(self.frame.view()?, score, iou);
        }
        let tensors = meta::hailo::tensors(self.frame.buffer)?;
        let outputs: Vec<_> = tensors.iter().map(|tensor| (tensor.info(), tensor.values())).collect();
        face::detections(&outputs, self.frame.size(), score, iou)
    }
    fn mesh(&mut self, roi: &Roi) -> Result<Mesh, EngineError> {
        self.net.mesh(self.frame.view()?, roi)
    }
}

/// Scores of one face.
fn read(
    net: &mut FaceNet,
    view: &FrameView<'_>,
    track: &mut Track<FaceEvents>,
    with_emotions: bool,
    settings: &Settings,
) -> Result<Reading, EngineError> {
    let scores = net.blendshapes(&track.mesh)?;
    if with_emotions {
        track.state.last_emotions = Some(net.emotion(view, track.bbox)?);
    }
    let (left_eye_closed, right_eye_closed) = face::eye_closedness(&scores);
    Ok(Reading {
        presence: track.mesh.presence,
        smile: face::smile(&scores),
        left_eye_closed,
        right_eye_closed,
        emotions: track.state.last_emotions.filter(|_| settings.emotion_interval > 0),
    })
}

/// The metadata of one face; `None` for one that lies outside of the frame.
fn describe(track: &Track<FaceEvents>, emotion_model: &'static str, size: (u32, u32)) -> Option<Found> {
    let rect = rectangle(track.bbox, size)?;
    let reading = &track.state.last;
    let verdict = |name, yes: &str, no: &str, active: bool, score: f32, model| Attribute {
        name,
        label: if active { yes } else { no }.to_string(),
        label_id: i32::from(active),
        // A score that is no number says nothing.
        confidence: Some(if active { score } else { 1.0 - score })
            .filter(|s| s.is_finite())
            .unwrap_or_default()
            .into(),
        model,
    };
    let mut attributes = vec![
        verdict(
            "smile",
            "smile",
            "no_smile",
            track.state.is_smiling(),
            reading.smile,
            "face_blendshapes_52",
        ),
        verdict(
            "eyes_closed",
            "eyes_closed",
            "eyes_open",
            track.state.are_eyes_closed(),
            reading.eyes_closed(),
            "face_blendshapes_52",
        ),
    ];
    if let Some((label, score)) = reading.emotion() {
        let label_id = face::EMOTIONS.iter().position(|e| *e == label).map_or(-1, |i| i as i32);
        attributes.push(Attribute {
            name: "emotion",
            label: label.to_string(),
            label_id,
            confidence: score.into(),
            model: emotion_model,
        });
    }
    let region = Region {
        label: LABEL,
        rect,
        confidence: reading.presence.into(),
        label_id: 0,
        track_id: track.id,
        attributes,
    };
    let (w, h) = (f64::from(size.0), f64::from(size.1));
    let presence = f64::from(track.mesh.presence);
    let landmarks = Landmarks {
        object_id: -1,
        track_id: track.id,
        layout: FACE_478.to_string(),
        bbox: normalised(track.bbox, size),
        points: track
            .mesh
            .points
            .iter()
            .map(|[x, y, _]| [f64::from(*x) / w, f64::from(*y) / h, presence])
            .collect(),
    };
    Some(Found {
        region,
        landmarks,
        first_seen: gst::ClockTime::from_nseconds(track.first_seen),
    })
}
