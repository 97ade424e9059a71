//! The properties of `cudassd`: one place for names, ranges, defaults and storage.

use super::batch::Plan;
use crate::analyser::{Engine, Options, property};
use gst::{glib, prelude::*};
use nunchi_inference::engine::{EngineError, ModelSource};
use nunchi_inference::models;
use nunchi_inference::ssd::{self, Changes, Labels, Limits, Setup};
use std::path::Path;
use std::time::Duration;

/// Kinds of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiSsdFamily")]
pub enum Family {
    #[default]
    #[enum_value(name = "Found from the outputs", nick = "auto")]
    Auto,
    #[enum_value(name = "NVIDIA's SSD300 v1.1", nick = "ssd300")]
    Ssd300,
    #[enum_value(
        name = "torchvision's SSD300 (VGG-16) and SSDLite320 (MobileNetV3)",
        nick = "torchvision"
    )]
    TorchVision,
    #[enum_value(name = "TensorFlow Object Detection API, raw heads", nick = "tf")]
    Tf,
    #[enum_value(name = "Boxes and scores of every anchor, decoded in the graph", nick = "tf-decoded")]
    TfDecoded,
    #[enum_value(name = "Boxes after suppression in the graph", nick = "nms")]
    Nms,
}

impl From<Family> for ssd::Family {
    fn from(family: Family) -> Self {
        match family {
            Family::Auto => Self::Auto,
            Family::Ssd300 => Self::Ssd300,
            Family::TorchVision => Self::TorchVision,
            Family::Tf => Self::Tf,
            Family::TfDecoded => Self::TfDecoded,
            Family::Nms => Self::Nms,
        }
    }
}

/// Which part of the frame the network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiSsdPreprocess")]
pub enum Resize {
    #[default]
    #[enum_value(name = "As the family's authors do", nick = "auto")]
    Auto,
    #[enum_value(name = "All of it, proportions not kept", nick = "stretch")]
    Stretch,
    #[enum_value(
        name = "The largest part in its middle that has the input's proportions",
        nick = "center-crop"
    )]
    CenterCrop,
}

/// Order of the input's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiSsdChannelOrder")]
pub enum ChannelOrder {
    #[default]
    #[enum_value(name = "As the family's authors do", nick = "auto")]
    Auto,
    #[enum_value(name = "Red first", nick = "rgb")]
    Rgb,
    #[enum_value(name = "Blue first", nick = "bgr")]
    Bgr,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub options: Options,
    pub model: Option<String>,
    pub labels_file: Option<String>,
    pub family: Family,
    pub resize: Resize,
    pub channel_order: ChannelOrder,
    pub mean: Option<String>,
    pub std: Option<String>,
    pub score_threshold: f32,
    /// Negative: the family's.
    pub iou_threshold: f32,
    /// 0: the family's.
    pub max_objects: u32,
    pub classes: Option<String>,
    pub batch_size: u32,
    pub batch_timeout: u64,
    pub batch_group: String,
    pub detections_location: Option<String>,
    pub json_location: Option<String>,
    pub min_duration: u64,
    pub presence_timeout: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            options: Options::default(),
            model: None,
            labels_file: None,
            family: Family::default(),
            resize: Resize::default(),
            channel_order: ChannelOrder::default(),
            mean: None,
            std: None,
            score_threshold: 0.5,
            iou_threshold: -1.0,
            max_objects: 0,
            classes: None,
            batch_size: 1,
            batch_timeout: 40_000_000,
            batch_group: String::new(),
            detections_location: None,
            json_location: None,
            min_duration: 200_000_000,
            presence_timeout: 500_000_000,
        }
    }
}

impl AsRef<Options> for Settings {
    fn as_ref(&self) -> &Options {
        &self.options
    }
}

fn conflict(what: String, remedy: &str) -> EngineError {
    EngineError::Conflict {
        engine: "cudassd".to_owned(),
        what,
        remedy: remedy.to_owned(),
    }
}

/// Three numbers between commas, or one for all three.
fn three(name: &str, text: &str) -> Result<[f32; 3], EngineError> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    match numbers.as_deref() {
        Ok([one]) => Ok([*one; 3]),
        Ok([a, b, c]) => Ok([*a, *b, *c]),
        _ => Err(conflict(
            format!("{name}={text} is not what it takes"),
            "use one number for all channels, or three with commas between them, in the order of the input's channels",
        )),
    }
}

impl Settings {
    fn source(&self) -> ModelSource {
        property::source(self.model.as_ref(), models::object_detector())
    }

    /// How frames become the input, where not as the family's authors do it.
    fn preprocess(&self) -> Result<Changes, EngineError> {
        let numbers = |name, text: &Option<String>| text.as_ref().map(|text| three(name, text)).transpose();
        Ok(Changes {
            resize: match self.resize {
                Resize::Auto => None,
                Resize::Stretch => Some(ssd::Resize::Stretch),
                Resize::CenterCrop => Some(ssd::Resize::CentreCrop),
            },
            channels: match self.channel_order {
                ChannelOrder::Auto => None,
                ChannelOrder::Rgb => Some(ssd::ColourOrder::Rgb),
                ChannelOrder::Bgr => Some(ssd::ColourOrder::Bgr),
            },
            mean: numbers("mean", &self.mean)?,
            std: numbers("std", &self.std)?,
        })
    }

    /// What the network is made from.
    pub fn plan(&self) -> Result<Plan, EngineError> {
        let mut options = self.options.engine_options();
        options.batch = self.batch_size;
        let labels = self.labels_file.as_ref().map(|path| Labels::read(Path::new(path)));
        Ok(Plan {
            model: self.source(),
            options,
            setup: Setup {
                family: self.family.into(),
                preprocess: self.preprocess()?,
                labels: labels.transpose()?,
            },
            timeout: Duration::from_nanos(self.batch_timeout),
        })
    }

    /// Refuses settings that cannot work.
    pub fn check(&self) -> Result<(), EngineError> {
        if matches!(self.options.engine, Engine::Hailo | Engine::Tensors) || self.source().is_hef() {
            return Err(conflict(
                "it runs no networks that were compiled for a Hailo".to_owned(),
                "use engine=auto, onnxruntime, openvino or embedded and an ONNX model",
            ));
        }
        self.detections_location.as_deref().map_or(Ok(()), super::files::check)
    }

    /// What counts as an object; `own` are the family's limits.
    pub fn limits(&self, own: &Limits, classes: &[usize]) -> Limits {
        Limits {
            score_threshold: self.score_threshold,
            iou_threshold: if self.iou_threshold < 0.0 {
                own.iou_threshold
            } else {
                self.iou_threshold
            },
            per_class: own.per_class,
            max_detections: if self.max_objects == 0 {
                own.max_detections
            } else {
                self.max_objects as usize
            },
            classes: classes.to_vec(),
        }
    }

    /// The numbers of the classes that are wanted; none for all.
    pub fn wanted(&self, labels: &Labels) -> Result<Vec<usize>, EngineError> {
        let names = self.classes.as_deref().unwrap_or_default().split(',').map(str::trim);
        names
            .filter(|name| !name.is_empty())
            .map(|name| {
                labels.index(name).ok_or_else(|| {
                    let some: Vec<_> = (0..labels.len().min(8)).map(|index| labels.name(index)).collect();
                    conflict(
                        format!("classes names {name}, which the network does not know"),
                        &format!("it knows {} classes, such as {}", labels.len(), some.join(", ")),
                    )
                })
            })
            .collect()
    }

    /// Stores a property. GObject has checked type and range against the ParamSpec.
    pub fn set(&mut self, name: &str, new: &glib::Value) {
        match name {
            "model" => self.model = property::path(new),
            "labels-file" => self.labels_file = property::path(new),
            "model-family" => self.family = property::value(new),
            "preprocess" => self.resize = property::value(new),
            "channel-order" => self.channel_order = property::value(new),
            "mean" => self.mean = property::path(new),
            "std" => self.std = property::path(new),
            "score-threshold" => self.score_threshold = property::value(new),
            "iou-threshold" => self.iou_threshold = property::value(new),
            "max-objects" => self.max_objects = property::value(new),
            "classes" => self.classes = property::path(new),
            "batch-size" => self.batch_size = property::value(new),
            "batch-timeout" => self.batch_timeout = property::value(new),
            "batch-group" => self.batch_group = property::path(new).unwrap_or_default(),
            "detections-location" => self.detections_location = property::path(new),
            "json-location" => self.json_location = property::path(new),
            "min-duration" => self.min_duration = property::value(new),
            "presence-timeout" => self.presence_timeout = property::value(new),
            name => {
                if !self.options.set(name, new) {
                    unreachable!("property {name} is not writable");
                }
            }
        }
    }

    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "model" => self.model.to_value(),
            "labels-file" => self.labels_file.to_value(),
            "model-family" => self.family.to_value(),
            "preprocess" => self.resize.to_value(),
            "channel-order" => self.channel_order.to_value(),
            "mean" => self.mean.to_value(),
            "std" => self.std.to_value(),
            "score-threshold" => self.score_threshold.to_value(),
            "iou-threshold" => self.iou_threshold.to_value(),
            "max-objects" => self.max_objects.to_value(),
            "classes" => self.classes.to_value(),
            "batch-size" => self.batch_size.to_value(),
            "batch-timeout" => self.batch_timeout.to_value(),
            "batch-group" => self.batch_group.to_value(),
            "detections-location" => self.detections_location.to_value(),
            "json-location" => self.json_location.to_value(),
            "min-duration" => self.min_duration.to_value(),
            "presence-timeout" => self.presence_timeout.to_value(),
            name => self
                .options
                .get(name)
                .unwrap_or_else(|| unreachable!("unknown property {name}")),
        }
    }

    /// The writable properties.
    pub fn properties() -> Vec<glib::ParamSpec> {
        let d = Self::default();
        let text = |name: &str, nick: &str, blurb: &str, default: Option<&str>| {
            glib::ParamSpecString::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(default)
                .mutable_ready()
                .build()
        };
        let mut all = Options::common_properties();
        all.extend([
            property::model(
                "model",
                "Model",
                "ONNX file of an SSD network; empty: the embedded SSDLite MobileNetV2, trained on COCO",
            ),
            text(
                "labels-file",
                "Labels file",
                "Names of the classes, one a line; empty: COCO's where the network has as many, else numbers",
                None,
            ),
            glib::ParamSpecEnum::builder_with_default("model-family", d.family)
                .nick("Model family")
                .blurb("How the network's outputs are read")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("preprocess", d.resize)
                .nick("Preprocess")
                .blurb("Which part of the frame the network sees")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("channel-order", d.channel_order)
                .nick("Channel order")
                .blurb("Order of the input's colours")
                .mutable_ready()
                .build(),
            text(
                "mean",
                "Mean",
                "What is taken off the levels of 0 to 1, one number or three with commas; empty: the family's",
                None,
            ),
            text(
                "std",
                "Standard deviation",
                "By what they are divided then, one number or three with commas; empty: the family's",
                None,
            ),
            property::score(
                "score-threshold",
                "Score threshold",
                "Objects have a higher score",
                d.score_threshold,
            ),
            glib::ParamSpecFloat::builder("iou-threshold")
                .nick("IoU threshold")
                .blurb("Boxes of a class that overlap by more than this are one object; -1: as the family's authors set it")
                .minimum(-1.0)
                .maximum(1.0)
                .default_value(d.iou_threshold)
                .mutable_playing()
                .build(),
            property::count(
                "max-objects",
                "Maximum objects",
                "Objects in a frame at most, the best ones; 0: as the family's authors set it",
                (0, 1000, d.max_objects),
            ),
            text(
                "classes",
                "Classes",
                "Names of the classes that are looked for, with commas between them; empty: all",
                None,
            ),
            glib::ParamSpecUInt::builder("batch-size")
                .nick("Batch size")
                .blurb("Frames that go through the network at once, where the model leaves that open; each but one a frame of latency")
                .minimum(1)
                .maximum(256)
                .default_value(d.batch_size)
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt64::builder("batch-timeout")
                .nick("Batch time-out")
                .blurb("How long a frame waits for others of its batch at most, in nanoseconds")
                .maximum(3_600_000_000_000)
                .default_value(d.batch_timeout)
                .mutable_ready()
                .build(),
            text(
                "batch-group",
                "Batch group",
                "Elements of the process with the same name share one network and its batches; empty: shares with nobody",
                Some(""),
            ),
            text(
                "detections-location",
                "Detections location",
                "Text file for each frame, with its number from 1: infer%d.txt; five lines for each object",
                None,
            ),
            text(
                "json-location",
                "JSON location",
                "File of JSON lines: one for each frame that is read, with its objects",
                None,
            ),
            property::time(
                "min-duration",
                "Minimum duration",
                "How long a class must be there, or away, in nanoseconds, before an event tells so",
                d.min_duration,
            ),
            property::time(
                "presence-timeout",
                "Presence timeout",
                "How long an object may be out of sight, in nanoseconds, and still count as the same",
                d.presence_timeout,
            ),
        ]);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_one_number_or_three() {
        assert_eq!(three("mean", "0.5").unwrap(), [0.5; 3]);
        assert_eq!(three("mean", " 0.1, 0.2,0.3 ").unwrap(), [0.1, 0.2, 0.3]);
        for text in ["", "a", "1,2", "1,2,3,4", "1;2;3"] {
            let error = three("std", text).unwrap_err().to_string();
            assert!(error.contains("std"), "{error}");
        }
    }

    #[test]
    fn classes_are_found_by_name() {
        let of = |classes: &str| {
            let settings = Settings {
                classes: Some(classes.to_owned()),
                ..Settings::default()
            };
            settings.wanted(&Labels::coco())
        };
        assert_eq!(of("person, dog,").unwrap(), [0, 16]);
        assert_eq!(of("").unwrap(), [0; 0]);
        assert!(of("person,unicorn").unwrap_err().to_string().contains("unicorn"));
    }

    #[test]
    fn what_is_for_a_hailo_is_refused() {
        for engine in [Engine::Hailo, Engine::Tensors] {
            let mut settings = Settings::default();
            settings.options.engine = engine;
            assert!(settings.check().unwrap_err().to_string().contains("Hailo"));
        }
    }
}
