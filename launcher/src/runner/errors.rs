//! Turns GStreamer's errors into one clear sentence with a remedy and the right exit code.

use gst::glib;
use gst::prelude::*;

use super::counters::{Counters, Cut};
use super::prepare::location;
use crate::exit::{Exit, Failure};
use crate::output::clock;

/// What is known besides the error itself.
pub struct Context<'a> {
    pub pipeline: &'a gst::Pipeline,
    pub counters: &'a Counters,
    /// Kinds of stream that demultiplexers found, such as `audio/mpeg`.
    pub streams: &'a [String],
    /// Decoders and the like that an element asked for in vain.
    pub missing: &'a [String],
    /// Whether data has flowed yet.
    pub ready: bool,
}

/// The failure that an error message means; `debug` is what it says to developers.
pub fn explain(error: &glib::Error, debug: Option<&str>, source: Option<&gst::Object>, cx: &Context<'_>) -> Failure {
    let element = source.and_then(|s| s.downcast_ref::<gst::Element>());
    let factory = element
        .and_then(gst::Element::factory)
        .map(|f| f.name().to_string())
        .unwrap_or_default();
    let own = |exit| Failure::new(exit, format!("{}{}", speaker(element), one_line(error.message())));
    if !cx.missing.is_empty() && !cx.ready {
        let what = cx.missing.join(", ");
        let input = input(cx.pipeline).map(|i| format!("{i}: ")).unwrap_or_default();
        return Failure::new(Exit::Unavailable, format!("{input}no plugin for {what}"))
            .hint("install gstreamer1.0-libav, gstreamer1.0-plugins-bad or gstreamer1.0-plugins-ugly");
    }
    if let Some(((w0, h0), (w1, h1))) = cx.counters.size_change()
        && is_format_trouble(error, debug)
    {
        return Failure::new(
            Exit::Failed,
            format!(
                "the picture changes from {w0}x{h0} to {w1}x{h1} in mid-stream, and `{factory}` cannot follow: {}",
                one_line(error.message())
            ),
        )
        .hint("put `videoscale ! video/x-raw,width=…,height=…` in front of it");
    }
    if let Some(kind) = error.kind::<gst::ResourceError>() {
        use gst::ResourceError as R;
        let reads = element.is_some_and(|e| e.num_sink_pads() == 0);
        return match kind {
            R::NoSpaceLeft => no_space(element),
            R::OpenWrite | R::Write => cannot_write(error, element),
            R::NotFound | R::OpenRead | R::OpenReadWrite | R::Read if reads => match device_or_file(element) {
                Some(what) => Failure::new(
                    Exit::NoInput,
                    format!("cannot read {what}: {}", one_line(error.message())),
                )
                .hint("check that it exists and that you may read it"),
                None => own(Exit::NoInput),
            },
            // A model: nothing gets better by trying again.
            R::OpenRead => own(Exit::NoInput),
            R::NotFound => own(Exit::Unavailable),
            R::Read if !cx.ready => own(Exit::Unavailable),
            R::Busy => own(Exit::Busy).hint("another program uses the device; close it or try again later"),
            R::NotAuthorized => own(Exit::NoPermission),
            R::Settings => own(Exit::BadDescription),
            _ => own(Exit::Failed),
        };
    }
    if let Some(kind) = error.kind::<gst::StreamError>() {
        use gst::StreamError as S;
        return match kind {
            // `not-linked` before the first picture: the decoder found streams, but not the one that is asked for.
            S::Failed if !cx.ready && unlinked(cx.pipeline) => no_stream(cx),
            S::TypeNotFound | S::WrongType if !cx.ready => not_media(cx),
            S::CodecNotFound => own(Exit::Unavailable).hint("install gstreamer1.0-libav"),
            S::Demux if !cx.ready => damaged(cx),
            S::Format | S::Decode | S::Demux => own(Exit::Failed).hint("the input is damaged from here on"),
            _ => own(Exit::Failed),
        };
    }
    if let Some(kind) = error.kind::<gst::CoreError>() {
        return match kind {
            gst::CoreError::MissingPlugin => own(Exit::Unavailable).hint("`nunchi doctor` tells what to install"),
            _ => own(Exit::Failed),
        };
    }
    if error.matches(gst::LibraryError::Settings) {
        return own(Exit::BadDescription);
    }
    // A library without its device, mostly.
    if error.matches(gst::LibraryError::Init) {
        return own(Exit::Unavailable);
    }
    own(Exit::Failed)
}

/// The stream that the pipeline is made for is not in the input.
pub fn no_stream(cx: &Context<'_>) -> Failure {
    let input = input(cx.pipeline).unwrap_or_else(|| "the input".into());
    let found = match cx.streams {
        [] => "nothing that can be used".into(),
        streams => streams.join(", "),
    };
    let what = if cx
        .streams
        .iter()
        .any(|s| s.starts_with("video/") || s.starts_with("image/"))
    {
        "lacks a stream that the pipeline needs"
    } else {
        "has no video"
    };
    Failure::new(Exit::Unavailable, format!("{input} {what} (found: {found})"))
}

fn not_media(cx: &Context<'_>) -> Failure {
    let input = input(cx.pipeline).unwrap_or_else(|| "the input".into());
    Failure::new(
        Exit::Unavailable,
        format!("{input} is not a video, or of a kind that is not supported"),
    )
    .hint("`gst-discoverer-1.0 FILE` tells what a file holds")
}

fn damaged(cx: &Context<'_>) -> Failure {
    let input = input(cx.pipeline).unwrap_or_else(|| "the input".into());
    Failure::new(
        Exit::Unavailable,
        format!("{input} is damaged or cut short: it holds no stream that can be played"),
    )
    .hint("an MP4 whose recording was cut off lacks its index; try to repair it, or record in fragments")
}

/// A file that had to end where the picture changed its size.
pub fn size_changed(cut: &Cut) -> Failure {
    let Cut { muxer, from, to, at } = cut;
    let message = format!(
        "the picture changes from {}x{} to {}x{} at {}, and a file of `{muxer}` holds one size: the run ends there",
        from.0,
        from.1,
        to.0,
        to.1,
        clock(*at)
    );
    Failure::new(Exit::Incomplete, message)
        .hint("cut the input there, or put `videoscale ! video/x-raw,width=…,height=…` in front of the encoder")
}

/// The input of this name ended before its time.
pub fn cut_short(pipeline: &gst::Pipeline, (end, whole): (u64, u64)) -> Option<Failure> {
    let message = format!(
        "{} ends at {} of {}: it is cut short or damaged",
        input(pipeline)?,
        clock(end),
        clock(whole)
    );
    Some(Failure::new(Exit::Incomplete, message).hint("what came before is written"))
}

fn no_space(element: Option<&gst::Element>) -> Failure {
    let what = element
        .and_then(location)
        .map(|l| format!(" while writing {l}"))
        .unwrap_or_default();
    Failure::new(Exit::CannotWrite, format!("no space left on the disk{what}"))
        .hint("what was written before is kept; free some space or choose another folder with --run-dir")
}

fn cannot_write(error: &glib::Error, element: Option<&gst::Element>) -> Failure {
    match element.and_then(location) {
        Some(path) => Failure::new(
            Exit::CannotWrite,
            format!("cannot write {path}: {}", one_line(error.message())),
        )
        .hint("check the permissions, or choose another folder with --run-dir"),
        None => Failure::new(Exit::CannotWrite, one_line(error.message())),
    }
}

/// The path that the first source of the pipeline reads.
fn input(pipeline: &gst::Pipeline) -> Option<String> {
    pipeline
        .iterate_sources()
        .into_iter()
        .flatten()
        .find_map(|e| location(&e))
}

/// Who says it: `` `rtspsrc` (rtsp://host/x):  ``. The runner takes credentials out of what it sends.
fn speaker(element: Option<&gst::Element>) -> String {
    let Some((element, factory)) = element.and_then(|e| Some((e, e.factory()?))) else {
        return String::new();
    };
    let url = || {
        let readable = |name: &&str| {
            let pspec = element.find_property(name);
            pspec
                .is_some_and(|p| p.value_type() == glib::Type::STRING && p.flags().contains(glib::ParamFlags::READABLE))
        };
        let mut names = ["location", "uri"].into_iter().filter(readable);
        names.find_map(|name| element.property::<Option<String>>(name))
    };
    let what = device_or_file(Some(element))
        .or_else(url)
        .unwrap_or_else(|| element.name().to_string());
    format!("`{}` ({what}): ", factory.name())
}

fn device_or_file(element: Option<&gst::Element>) -> Option<String> {
    let element = element?;
    location(element).or_else(|| {
        let pspec = element.find_property("device")?;
        (pspec.value_type() == glib::Type::STRING)
            .then(|| element.property::<Option<String>>("device"))
            .flatten()
            .filter(|device| !device.is_empty())
    })
}

fn is_format_trouble(error: &glib::Error, debug: Option<&str>) -> bool {
    // A source says no more than that the stream failed; the flow that made it do so stands in the text for developers.
    let unnegotiated = || debug.is_some_and(|text| text.contains("not-negotiated"));
    error.matches(gst::CoreError::Negotiation)
        || (error.matches(gst::StreamError::Failed) && unnegotiated())
        || error.matches(gst::StreamError::Format)
        || error.matches(gst::StreamError::WrongType)
        || error.matches(gst::StreamError::Encode)
        || error.matches(gst::StreamError::Mux)
}

/// Whether an element at the top still waits for its input.
fn unlinked(pipeline: &gst::Pipeline) -> bool {
    super::named(pipeline.upcast_ref())
        .iter()
        .flat_map(gst::Element::sink_pads)
        .any(|p| !p.is_linked())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
