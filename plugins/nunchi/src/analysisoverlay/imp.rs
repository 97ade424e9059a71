use super::canvas::Canvas;
use super::captions::Captions;
use super::read::{self, Selection};
use super::scene::{Painter, Scene, Style};
use gst::{glib, prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};
use gst_video::{VideoFormat, prelude::*};
use std::sync::{LazyLock, Mutex, MutexGuard};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "analysisoverlay",
        gst::DebugColorFlags::empty(),
        Some("Overlay of analysis results"),
    )
});

const DEFAULT_CAPTION_DURATION: gst::ClockTime = gst::ClockTime::SECOND;
const DEFAULT_MIN_CONFIDENCE: f64 = 0.0;
const MAX_LINE_WIDTH: u32 = 64;
const MAX_FONT_SIZE: u32 = 256;

/// Formats that the analysers do not read but that are drawn into just as easily: components of 8 bits.
const MORE_FORMATS: [VideoFormat; 9] = [
    VideoFormat::Y42b,
    VideoFormat::Y444,
    VideoFormat::Nv16,
    VideoFormat::Nv61,
    VideoFormat::Nv24,
    VideoFormat::Yvyu,
    VideoFormat::A420,
    VideoFormat::Ayuv,
    VideoFormat::Gbr,
];

#[derive(Debug, Clone, Copy)]
struct Settings {
    draw_boxes: bool,
    draw_labels: bool,
    draw_landmarks: bool,
    draw_captions: bool,
    line_width: u32,
    font_size: u32,
    caption_duration: gst::ClockTime,
    min_confidence: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            draw_boxes: true,
            draw_labels: true,
            draw_landmarks: true,
            draw_captions: true,
            line_width: 0,
            font_size: 0,
            caption_duration: DEFAULT_CAPTION_DURATION,
            min_confidence: DEFAULT_MIN_CONFIDENCE,
        }
    }
}

#[derive(Default)]
struct State {
    /// `None` until caps are set.
    info: Option<gst_video::VideoInfo>,
    captions: Captions,
    painter: Painter,
    /// Frames that could not be drawn into since the start; only the first is reported on the bus.
    failed: u64,
}

/// The two locks are taken one at a time; none is held while something is pushed or posted.
#[derive(Default)]
pub struct AnalysisOverlay {
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

impl AnalysisOverlay {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn running_time(&self, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
        let segment = self.obj().segment();
        segment.downcast_ref::<gst::ClockTime>()?.to_running_time(buffer.pts()?)
    }

    /// What is to be drawn on the buffer; moves the captions on.
    fn scene(&self, buffer: &gst::BufferRef, settings: &Settings, state: &mut State, size: (u32, u32)) -> Scene {
        let time = self.running_time(buffer).map(gst::ClockTime::nseconds);
        state.captions.advance(time, settings.caption_duration.nseconds());
        read::events(buffer, &mut state.captions);
        if buffer.flags().contains(gst::BufferFlags::GAP) {
            // There is no picture in it.
            return Scene::default();
        }
        let mut scene = read::scene(
            buffer,
            size,
            &Selection {
                regions: settings.draw_boxes || settings.draw_labels,
                labels: settings.draw_labels,
                landmarks: settings.draw_landmarks,
                min_confidence: settings.min_confidence,
            },
        );
        if settings.draw_captions {
            scene.captions = read::caption_lines(&state.captions);
        }
        scene
    }

    fn paint(
        buffer: &mut gst::BufferRef,
        info: &gst_video::VideoInfo,
        painter: &mut Painter,
        scene: &Scene,
        style: &Style,
    ) -> Result<(), &'static str> {
        let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, info)
            .map_err(|_| "it cannot be mapped for writing with its caps")?;
        let layout = read::layout(frame.info()).ok_or("its strides are negative")?;
        let mut canvas = Canvas::new(layout, frame.planes_data_mut()).ok_or("its planes are too small for its caps")?;
        painter.paint(&mut canvas, scene, style);
        Ok(())
    }
}

#[glib::object_subclass]
impl ObjectSubclass for AnalysisOverlay {
    const NAME: &'static str = "GstNunchiAnalysisOverlay";
    type Type = super::AnalysisOverlay;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for AnalysisOverlay {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let toggle = |name: &'static str, nick: &'static str, blurb: &'static str| {
                glib::ParamSpecBoolean::builder(name)
                    .nick(nick)
                    .blurb(blurb)
                    .default_value(true)
                    .mutable_playing()
                    .build()
            };
            vec![
                toggle("draw-boxes", "Draw boxes", "Draw the box of each region of interest"),
                toggle(
                    "draw-labels",
                    "Draw labels",
                    "Draw label, track, score and classifications of each region",
                ),
                toggle(
                    "draw-landmarks",
                    "Draw landmarks",
                    "Draw keypoints and the lines between them",
                ),
                toggle(
                    "draw-captions",
                    "Draw captions",
                    "Show the messages of events at the bottom left",
                ),
                glib::ParamSpecUInt::builder("line-width")
                    .nick("Line width")
                    .blurb("Width of the lines in pixels (0 = by the height of the frame)")
                    .maximum(MAX_LINE_WIDTH)
                    .default_value(0)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt::builder("font-size")
                    .nick("Font size")
                    .blurb("Height of a line of text in pixels (0 = by the height of the frame)")
                    .maximum(MAX_FONT_SIZE)
                    .default_value(0)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecUInt64::builder("caption-duration")
                    .nick("Caption duration")
                    .blurb("How long the caption of an event stays, in running time (ns)")
                    .default_value(DEFAULT_CAPTION_DURATION.nseconds())
                    .mutable_playing()
                    .build(),
                glib::ParamSpecDouble::builder("min-confidence")
                    .nick("Minimum confidence")
                    .blurb("Regions, classifications and keypoints with a lower score are not drawn")
                    .minimum(0.0)
                    .maximum(1.0)
                    .default_value(DEFAULT_MIN_CONFIDENCE)
                    .mutable_playing()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings();
        // GObject has checked type and range.
        match pspec.name() {
            "draw-boxes" => settings.draw_boxes = value.get().unwrap_or(settings.draw_boxes),
            "draw-labels" => settings.draw_labels = value.get().unwrap_or(settings.draw_labels),
            "draw-landmarks" => settings.draw_landmarks = value.get().unwrap_or(settings.draw_landmarks),
            "draw-captions" => settings.draw_captions = value.get().unwrap_or(settings.draw_captions),
            "line-width" => settings.line_width = value.get().unwrap_or(settings.line_width),
            "font-size" => settings.font_size = value.get().unwrap_or(settings.font_size),
            "caption-duration" => {
                // ClockTime has no value for "none"; the largest time is as good as for ever.
                let duration = value
                    .get::<u64>()
                    .unwrap_or_default()
                    .min(gst::ClockTime::MAX.nseconds());
                settings.caption_duration = gst::ClockTime::from_nseconds(duration);
            }
            "min-confidence" => settings.min_confidence = value.get().unwrap_or(settings.min_confidence),
            name => gst::error!(CAT, imp = self, "No such property: {name}"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = *self.settings();
        match pspec.name() {
            "draw-boxes" => settings.draw_boxes.to_value(),
            "draw-labels" => settings.draw_labels.to_value(),
            "draw-landmarks" => settings.draw_landmarks.to_value(),
            "draw-captions" => settings.draw_captions.to_value(),
            "line-width" => settings.line_width.to_value(),
            "font-size" => settings.font_size.to_value(),
            "caption-duration" => settings.caption_duration.nseconds().to_value(),
            "min-confidence" => settings.min_confidence.to_value(),
            _ => pspec.default_value().clone(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        // Otherwise the base class takes the flag off gap buffers, which pass here as they came.
        self.obj().set_gap_aware(true);
    }
}

impl GstObjectImpl for AnalysisOverlay {}

impl ElementImpl for AnalysisOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Analysis overlay",
                "Filter/Effect/Video",
                "Draws regions, keypoints and events that analysers found into the picture",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let formats = crate::frame::FORMATS.into_iter().chain(MORE_FORMATS);
            let caps = gst_video::VideoCapsBuilder::new().format_list(formats).build();
            let template = |name, direction| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).expect("constant arguments")
            };
            vec![
                template("sink", gst::PadDirection::Sink),
                template("src", gst::PadDirection::Src),
            ]
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for AnalysisOverlay {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        *self.state() = State::default();
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *self.state() = State::default();
        Ok(())
    }

    fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let info = gst_video::VideoInfo::from_caps(incaps)
            .map_err(|_| gst::loggable_error!(CAT, "Not raw video: {incaps}"))?;
        self.state().info = Some(info);
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        use gst::EventView;
        if matches!(
            event.view(),
            EventView::FlushStop(_) | EventView::StreamStart(_) | EventView::Segment(_)
        ) {
            self.state().captions.clear();
        }
        self.parent_sink_event(event)
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = *self.settings();
        let mut guard = self.state();
        let state = &mut *guard;
        let Some(info) = state.info.clone() else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let scene = self.scene(buffer, &settings, state, (info.width(), info.height()));
        if scene.is_empty() {
            return Ok(gst::FlowSuccess::Ok);
        }
        let style = Style {
            boxes: settings.draw_boxes,
            line_width: settings.line_width,
            font_size: settings.font_size,
        };
        if let Err(reason) = Self::paint(buffer, &info, &mut state.painter, &scene, &style) {
            state.failed += 1;
            let first = state.failed == 1;
            drop(guard);
            gst::debug!(CAT, imp = self, "A frame cannot be drawn into: {reason}");
            if first {
                gst::element_imp_warning!(
                    self,
                    gst::StreamError::Format,
                    ("A frame cannot be drawn into: {reason}. It passes as it is."),
                    ["pts {:?}, {} bytes, {info:?}", buffer.pts(), buffer.size()]
                );
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }
}
