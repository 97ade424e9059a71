//! The first picture of a video file, for video nodes of a scenario.

use gst::prelude::*;
use gst_video::prelude::*;
use nunchi_motiontext::{image::MAX_PIXELS, scene::Image};
use std::path::Path;

/// A file that has given no picture by then gives none.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// Decodes the first frame, or says why not.
pub fn still(path: &Path) -> Result<Image, String> {
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
    let found = prerolled(&pipeline, &sink);
    // Whatever came of it, nothing of it stays.
    let _ = pipeline.set_state(gst::State::Null);
    found
}

fn prerolled(pipeline: &gst::Pipeline, sink: &gst::Element) -> Result<Image, String> {
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    if pipeline.set_state(gst::State::Paused).is_err() {
        return Err(error(&bus).unwrap_or_else(|| "it cannot be opened".to_owned()));
    }
    let message = bus.timed_pop_filtered(
        PATIENCE,
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
        None => return Err(format!("it gave no picture within {} s", PATIENCE.seconds())),
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
