//! The first picture of a video file, for video nodes of a scenario.

use gst::prelude::*;
use gst_video::prelude::*;
use nunchi_motiontext::{image::MAX_PIXELS, scene::Image};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// All files of a scenario together: those that have given no picture by then give none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Files that hold their media themselves. Of all else that decodebin could open, much is a list of other files and addresses.
const CONTAINERS: [&str; 8] = [
    "qtdemux",
    "matroskademux",
    "oggdemux",
    "flvdemux",
    "avidemux",
    "asfdemux",
    "tsdemux",
    "mpegpsdemux",
];

/// Takes the first frame out of one file after the other, or says why not.
pub fn stills() -> impl FnMut(&Path) -> Result<Image, String> {
    let mut left = PATIENCE;
    move |path| {
        if left.is_zero() {
            return Err(format!(
                "the videos before it took all of the {} s that there are for them",
                PATIENCE.as_secs()
            ));
        }
        let started = Instant::now();
        let found = still(path, left);
        left = left.saturating_sub(started.elapsed());
        found
    }
}

fn still(path: &Path, patience: Duration) -> Result<Image, String> {
    let broken = |error: gst::glib::BoolError| error.to_string();
    let make = |name: &str| {
        gst::ElementFactory::make(name)
            .build()
            .map_err(|_| format!("the element {name} is missing"))
    };
    let pipeline = gst::Pipeline::new();
    let (source, decoder, convert, filter, sink) = (
        make("filesrc")?,
        make("decodebin")?,
        make("videoconvert")?,
        make("capsfilter")?,
        make("fakesink")?,
    );
    source.set_property("location", path.to_string_lossy().as_ref());
    let caps = gst_video::VideoCapsBuilder::new()
        .format(gst_video::VideoFormat::Rgba)
        .build();
    filter.set_property("caps", &caps);
    pipeline
        .add_many([&source, &decoder, &convert, &filter, &sink])
        .map_err(broken)?;
    source.link(&decoder).map_err(broken)?;
    gst::Element::link_many([&convert, &filter, &sink]).map_err(broken)?;
    let refused = restrict(&decoder)?;
    let target = convert.static_pad("sink").ok_or("videoconvert has no sink pad")?;
    decoder.connect_pad_added(move |_, pad| {
        let video = pad
            .query_caps(None)
            .structure(0)
            .is_some_and(|s| s.name() == "video/x-raw");
        if video && !target.is_linked() {
            // What cannot be linked gives no picture, which is told below.
            let _ = pad.link(&target);
        }
    });
    let found = prerolled(&pipeline, &sink, patience);
    // Whatever came of it, nothing of it stays.
    let _ = pipeline.set_state(gst::State::Null);
    let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
    found.map_err(|reason| refused.unwrap_or(reason))
}

/// Lets only what decodes the file's own bytes into the pipeline. What it refused is kept, with the reason.
fn restrict(decoder: &gst::Element) -> Result<Arc<Mutex<Option<String>>>, String> {
    let unknown = "decodebin has no signal autoplug-select";
    let answers = gst::glib::subclass::SignalId::lookup("autoplug-select", decoder.type_()).ok_or(unknown)?;
    let answers = gst::glib::EnumClass::with_type(answers.query().return_type().type_()).ok_or(unknown)?;
    if ["try", "skip"].iter().any(|nick| answers.value_by_nick(nick).is_none()) {
        return Err(unknown.to_owned());
    }
    let refused = Arc::new(Mutex::new(None));
    let told = refused.clone();
    decoder.connect("autoplug-select", false, move |arguments| {
        let caps = arguments.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let factory = arguments.get(3).and_then(|f| f.get::<gst::ElementFactory>().ok());
        if factory.is_some_and(|factory| is_of_the_file(&factory)) {
            return answers.to_value_by_nick("try");
        }
        let kind = caps.as_ref().and_then(|caps| caps.structure(0)).map(|s| s.name());
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!(
            "it is {}, which is no video file that is opened here",
            kind.map_or("of an unknown kind", |name| name.as_str())
        ));
        answers.to_value_by_nick("skip")
    });
    Ok(refused)
}

/// Whether the element opens nothing beside what it is given.
fn is_of_the_file(factory: &gst::ElementFactory) -> bool {
    let class = factory.metadata(gst::ELEMENT_METADATA_KLASS).unwrap_or_default();
    let decodes = class.starts_with("Codec/")
        && class.split('/').any(|part| part == "Parser" || part == "Decoder")
        && class.split('/').all(|part| {
            matches!(
                part,
                "Codec" | "Parser" | "Decoder" | "Converter" | "Video" | "Image" | "Audio" | "Subtitle" | "Hardware"
            )
        });
    decodes || CONTAINERS.contains(&factory.name().as_str())
}

fn prerolled(pipeline: &gst::Pipeline, sink: &gst::Element, patience: Duration) -> Result<Image, String> {
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    if pipeline.set_state(gst::State::Paused).is_err() {
        return Err(error(&bus).unwrap_or_else(|| "it cannot be opened".to_owned()));
    }
    let message = bus.timed_pop_filtered(
        gst::ClockTime::try_from(patience).unwrap_or(gst::ClockTime::ZERO),
        &[
            gst::MessageType::AsyncDone,
            gst::MessageType::Error,
            gst::MessageType::Eos,
        ],
    );
    match message.as_deref().map(gst::MessageRef::view) {
        Some(gst::MessageView::AsyncDone(_)) => {}
        Some(gst::MessageView::Error(error)) => return Err(error.error().to_string()),
        Some(_) => return Err("it has no picture".to_owned()),
        None => return Err(format!("it gave no picture within {:.1} s", patience.as_secs_f64())),
    }
    let sample = sink
        .property::<Option<gst::Sample>>("last-sample")
        .ok_or("it has no picture")?;
    image(&sample)
}

fn error(bus: &gst::Bus) -> Option<String> {
    let message = bus.pop_filtered(&[gst::MessageType::Error])?;
    match message.view() {
        gst::MessageView::Error(error) => Some(error.error().to_string()),
        _ => None,
    }
}

fn image(sample: &gst::Sample) -> Result<Image, String> {
    let unreadable = "its picture cannot be read";
    let info = gst_video::VideoInfo::from_caps(sample.caps().ok_or(unreadable)?).map_err(|_| unreadable)?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer().ok_or(unreadable)?, &info)
        .map_err(|_| unreadable)?;
    let (width, height) = (info.width() as usize, info.height() as usize);
    if width * height > MAX_PIXELS {
        return Err(format!(
            "it has {width} x {height} pixels, more than {MAX_PIXELS} in all"
        ));
    }
    let data = frame.plane_data(0).map_err(|_| unreadable)?;
    let stride = usize::try_from(frame.plane_stride()[0]).map_err(|_| unreadable)?;
    let mut pixels = Vec::with_capacity(width * height * 4);
    for row in data.chunks(stride).take(height) {
        pixels.extend_from_slice(row.get(..width * 4).ok_or(unreadable)?);
    }
    Ok(Image {
        width: info.width(),
        height: info.height(),
        pixels,
    })
}
