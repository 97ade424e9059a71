//! People in a frame, and what is told of them.

use super::{
    posture::Person,
    rules::Verdict,
    settings::Settings,
    tracker::{Track, Tracker},
};
use crate::{
    analyser::{Analysis, Engine, Found, Frame, Pending, normalised, on_host, rectangle, with_track},
    meta::{
        self,
        hailo::Tensor,
        landmark::{BODY_17, Landmarks},
        roi::{Attribute, Region},
    },
};
use nunchi_inference::{
    engine::{DataType, EngineError, EngineKind, Interrupt, Layout, TensorInfo},
    frame::Pixels,
    pose::{Decoder, Family, Limits, Pose, PoseNet},
};

/// The `roi_type` of our regions.
const LABEL: &str = "person";
/// Frames in flight behind a live source where the user leaves it to us: while one is inferred the next one is made ready, and
/// it costs the latency of one frame.
const LIVE_DEPTH: usize = 2;

/// The network and the people who are followed.
pub struct PoseAnalysis {
    /// `None` where the tensors come with the frame.
    net: Option<PoseNet>,
    attached: Attached,
    /// Family of the network.
    model: &'static str,
    tracker: Tracker<Person>,
}

/// The network, on the CPU instead of the wanted device or not.
fn load(settings: &Settings, on_cpu: bool) -> Result<PoseNet, EngineError> {
    let (model, options) = (settings.model(on_cpu), settings.options.engine_options());
    PoseNet::load(&model, &if on_cpu { options.on_cpu() } else { options })
}

impl Analysis for PoseAnalysis {
    type Settings = Settings;
    const NAME: &'static str = "Pose analysis";
    const NVDS_COMPONENT: i32 = 6802;

    fn load(settings: &Settings, on_cpu: bool) -> Result<Self, EngineError> {
        let attached = settings.options.are_tensors_attached();
        let net = if attached { None } else { Some(load(settings, on_cpu)?) };
        Ok(Self {
            model: net.as_ref().map_or("", |net| net.family().as_str()),
            net,
            attached: Attached::default(),
            tracker: Tracker::default(),
        })
    }

    fn move_to_cpu(&mut self, settings: &Settings) -> Result<(), EngineError> {
        let net = load(settings, true)?;
        self.model = net.family().as_str();
        self.net = Some(net);
        Ok(())
    }

    fn set_interrupt(&mut self, interrupt: &Interrupt) {
        if let Some(net) = &mut self.net {
            net.set_interrupt(interrupt.clone());
        }
    }

    fn engine(&self) -> (Engine, String) {
        let attached = || (Engine::Tensors, "hailonet".to_owned());
        self.net
            .as_ref()
            .map_or_else(attached, |net| (net.engine().into(), net.device()))
    }

    fn note(&self) -> Option<String> {
        self.net.as_ref()?.note()
    }

    fn set_depth(&mut self, live: bool, settings: &Settings) -> usize {
        let Some(net) = &mut self.net else { return 1 };
        let wanted = match settings.frames_in_flight as usize {
            // The processor that would make the next frame ready is busy with this one.
            _ if net.engine() != EngineKind::Hailo => 1,
            0 if live => LIVE_DEPTH,
            wanted => wanted,
        };
        net.set_slots(wanted)
    }

    fn submit(&mut self, slot: usize, frame: Pixels<'_>, _settings: &Settings) -> Result<(), EngineError> {
        let view = on_host(&frame)?;
        self.net.as_mut().map_or(Ok(()), |net| net.submit(slot, view))
    }

    fn is_complete(&mut self, slot: usize) -> bool {
        self.net.as_mut().is_none_or(|net| net.is_complete(slot))
    }

    fn finish(
        &mut self,
        slot: usize,
        frame: &Frame<'_>,
        settings: &Settings,
        events: &mut Pending,
    ) -> Result<Vec<Found>, EngineError> {
        let (size, limits) = (frame.size(), settings.limits());
        let poses = match &mut self.net {
            Some(net) => net.finish(slot, size, &limits)?,
            None => {
                let (poses, family) = self.attached.read(frame, &limits)?;
                self.model = family.as_str();
                poses
            }
        };
        let model = self.model;
        let ended = self.tracker.update(&poses, frame.time.nseconds(), &settings.policy());
        end(ended, events);
        self.tracker.lost_mut().for_each(|track| track.state.lose_sight());
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
        let people = self.tracker.visible();
        people.filter_map(|track| describe(track, self.model, size)).collect()
    }

    fn end_all(&mut self, events: &mut Pending) {
        end(self.tracker.clear(), events);
    }

    fn reset(&mut self) {
        if let Some(net) = &mut self.net {
            net.clear();
        }
        self.tracker.clear();
    }
}

/// What reads tensors that come with the frame; made anew where a frame's are others than those of the one before.
#[derive(Default)]
struct Attached {
    size: (u32, u32),
    tensors: Vec<TensorInfo>,
    decoder: Option<Decoder>,
}

impl Attached {
    /// People of a frame. It is the network's input itself, so a pixel of the one is one of the other.
    fn read(&mut self, frame: &Frame<'_>, limits: &Limits) -> Result<(Vec<Pose>, Family), EngineError> {
        let tensors = meta::hailo::tensors(frame.buffer)?;
        let size = frame.size();
        if self.size != size || !self.tensors.iter().eq(tensors.iter().map(Tensor::info)) {
            self.size = size;
            self.tensors = tensors.iter().map(|tensor| tensor.info().clone()).collect();
            let input = TensorInfo {
                name: "frame".to_owned(),
                shape: vec![size.1 as usize, size.0 as usize, 3],
                data_type: DataType::U8,
                layout: Layout::Nhwc,
                quantisation: None,
            };
            self.decoder = Decoder::among(&input, &self.tensors);
        }
        let decoder = self.decoder.as_ref().ok_or_else(|| EngineError::Tensors {
            what: format!(
                "the tensors are those of no pose network with an input of {}x{}: {}",
                size.0,
                size.1,
                TensorInfo::list(&self.tensors)
            ),
            remedy: format!("use hailonet with a network of {}", Decoder::EXPECTED),
        })?;
        let values: Vec<_> = tensors.iter().map(Tensor::values).collect();
        Ok((decoder.decode(&values, size, limits), decoder.family()))
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
