//! What turns frames into files: converter, encoder, parser, muxer and file. One for each file whose video has another size; files that are cut by
//! time or size come from one.
//!
//! Muxer and file are a pipeline of their own, which plays as long as there are frames for it: the element is paused and stopped without them, so that
//! a file is finished also on the way down from PAUSED, and `splitmuxsink`, which is on its way to PLAYING until its first data comes, does not draw
//! the pipeline around into that.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::FileOut;
use super::container;
use super::encoders::{self, Family, Wanted};
use super::settings::{Codec, Container, Settings};
use super::sound;
use super::trial::Choice;

/// Segments of a playlist, where nobody says.
const HLS_SEGMENT: gst::ClockTime = gst::ClockTime::from_seconds(4);
/// The least side that encoders take. x265 writes beyond its memory below 64.
const LEAST_SIDE: i32 = 16;
const LEAST_SIDE_X265: i32 = 64;
/// Formats that every player knows, and those with ten bits.
const FORMATS: [&str; 2] = ["I420", "NV12"];
const DEEP_FORMATS: [&str; 4] = ["I420_10LE", "P010_10LE", "I420", "NV12"];

/// Whether the file is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Open,
    Finished,
    /// And an error was told.
    Failed,
}

/// Told by the bus, waited for by who stops or goes on to the next file.
#[derive(Debug)]
pub struct Done {
    end: Mutex<End>,
    changed: Condvar,
}

impl Done {
    fn new() -> Self {
        Self {
            end: Mutex::new(End::Open),
            changed: Condvar::new(),
        }
    }

    pub fn set(&self, end: End) {
        let mut now = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == End::Open {
            *now = end;
        }
        drop(now);
        self.changed.notify_all();
    }

    pub fn get(&self) -> End {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait(&self, until: Instant) -> End {
        let mut now = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        while *now == End::Open {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            (now, _) = self
                .changed
                .wait_timeout(now, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *now
    }
}

/// What the chain is made from.
pub struct Plan<'a> {
    pub settings: &'a Settings,
    pub container: Container,
    pub codec: Codec,
    pub location: &'a str,
    /// Of the next file.
    pub number: &'a Arc<AtomicU32>,
    pub choice: &'a Choice,
    pub caps: &'a gst::Caps,
    /// Names of the streams of sound.
    pub audio: Vec<String>,
}

pub struct Chain {
    elements: Vec<gst::Element>,
    pub encoder: gst::Element,
    pub family: Family,
    pub wanted: Wanted,
    /// Takes the frames.
    pub entry: gst::Pad,
    /// Muxer and file.
    files: gst::Pipeline,
    pub done: Arc<Done>,
    pub size: (i32, i32),
    audio: Vec<Sound>,
    container: Container,
    audio_bitrate: u32,
}

struct Sound {
    name: String,
    /// Of the muxer.
    target: gst::Pad,
    entry: Option<gst::Pad>,
}

pub(super) fn make(name: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(name).build().map_err(|_| {
        format!("the element {name} is missing: install the package of GStreamer's plugins that has it (good, bad, ugly or libav)")
    })
}

/// From the bin into the pipeline of the file, which are not to be in one.
fn link_across(source: &gst::Pad, target: &gst::Pad) -> Result<(), String> {
    let checks = gst::PadLinkCheck::DEFAULT - gst::PadLinkCheck::HIERARCHY;
    source
        .link_full(target, checks)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// As the bin, but never less than PAUSED: on the way down what waits is still encoded.
fn run(bin: &gst::Bin, element: &gst::Element) -> Result<(), String> {
    let state = bin.current_state().max(gst::State::Paused);
    match element.set_state(state) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{} does not start", element.name())),
    }
}

/// The width and height of frames, and the shape of their pixels.
pub fn size(caps: &gst::Caps) -> Option<(i32, i32)> {
    let structure = caps.structure(0)?;
    Some((structure.get("width").ok()?, structure.get("height").ok()?))
}

fn fps(caps: &gst::Caps) -> f64 {
    let rate = caps.structure(0).and_then(|s| s.get::<gst::Fraction>("framerate").ok());
    match rate {
        Some(rate) if rate.numer() > 0 && rate.denom() > 0 => f64::from(rate.numer()) / f64::from(rate.denom()),
        _ => 30.0,
    }
}

pub fn lies_in_memory_of_a_device(caps: &gst::Caps) -> bool {
    caps.features(0).is_some_and(|features| {
        features.size() > 0 && !features.is_any() && !features.contains(gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY)
    })
}

/// The size that encoders take which have chroma for two pixels: even, and no side too small.
fn encodable((width, height): (i32, i32), family: Family) -> (i32, i32) {
    let least = if family == Family::X265 {
        LEAST_SIDE_X265
    } else {
        LEAST_SIDE
    };
    let side = |side: i32| side.max(least).saturating_add(side.max(least) % 2);
    (side(width), side(height))
}

impl Chain {
    /// Makes everything within `bin`, not yet running. What fails leaves nothing behind.
    pub fn new(bin: &gst::Bin, plan: &Plan<'_>) -> Result<Self, String> {
        let mut elements = Vec::new();
        let result = Self::build(bin, plan, &mut elements);
        if result.is_err() {
            for element in &elements {
                // It was not started.
                let _ = bin.remove(element);
            }
        }
        result
    }

    fn build(bin: &gst::Bin, plan: &Plan<'_>, elements: &mut Vec<gst::Element>) -> Result<Self, String> {
        let size = size(plan.caps).ok_or("the video has no size")?;
        let family = plan.choice.candidate.family;
        let mut wanted = Wanted::new(
            plan.settings,
            size.0.unsigned_abs(),
            size.1.unsigned_abs(),
            fps(plan.caps),
        );
        // An MP4 that stays in fragments has no list of edits, which would take back the delay that reordering makes.
        wanted.reorder = plan.container != Container::Fmp4;
        let encoder = plan.choice.candidate.make(plan.codec)?;
        encoders::configure(&encoder, family, &wanted);
        let mut add = |element: &gst::Element| -> Result<(), String> {
            bin.add(element).map_err(|error| error.to_string())?;
            elements.push(element.clone());
            Ok(())
        };
        // From the frames to the muxer.
        let mut video = Vec::new();
        if !lies_in_memory_of_a_device(plan.caps) {
            video.push(make("videoconvert")?);
            let mut formats = gst::Caps::builder("video/x-raw").field("format", gst::List::new(formats(plan)));
            let fitting = encodable(size, family);
            if fitting != size {
                video.push(make("videoscale")?);
                formats = formats.field("width", fitting.0).field("height", fitting.1);
            }
            if family == Family::Nvv4l2 {
                video.push(make("nvvideoconvert").or_else(|_| make("nvvidconv"))?);
            } else {
                let filter = make("capsfilter")?;
                filter.set_property("caps", formats.build());
                video.push(filter);
            }
        }
        video.push(encoder.clone());
        let (_, parser) = encoders::media(plan.codec);
        let parser = make(parser)?;
        if matches!(plan.container, Container::Ts | Container::Hls) && parser.find_property("config-interval").is_some()
        {
            // Every key frame has what a player needs that begins there.
            parser.set_property("config-interval", -1);
        }
        video.push(parser.clone());
        for element in &video {
            add(element)?;
        }
        gst::Element::link_many(&video)
            .map_err(|_| format!("{} does not go with these frames", plan.choice.candidate.name))?;
        let outlet = Outlet::new(plan)?;
        let files = gst::Pipeline::new();
        files.add_many(&outlet.elements).map_err(|error| error.to_string())?;
        gst::Element::link_many(&outlet.elements).map_err(|error| error.to_string())?;
        let head = &outlet.elements[0];
        let target = requested(head, &outlet.video_pad).ok_or_else(|| format!("{} takes no video", head.name()))?;
        let source = parser.static_pad("src").ok_or("the parser has no source pad")?;
        link_across(&source, &target)?;
        let mut audio = Vec::new();
        for name in &plan.audio {
            let target = requested(head, &outlet.audio_pad).ok_or_else(|| {
                format!(
                    "{} takes no more streams of sound",
                    format!("container={:?}", plan.container).to_lowercase()
                )
            })?;
            audio.push(Sound {
                name: name.clone(),
                target,
                entry: None,
            });
        }
        let entry = video[0].static_pad("sink").ok_or("the encoder has no sink pad")?;
        Ok(Self {
            elements: std::mem::take(elements),
            encoder,
            family,
            wanted,
            entry,
            files,
            done: Arc::new(Done::new()),
            size,
            audio,
            container: plan.container,
            audio_bitrate: plan.settings.audio_bitrate,
        })
    }

    /// Runs everything. `listen` hears what the muxer and the file have to say.
    pub fn start(&self, bin: &gst::Bin, listen: impl Fn(gst::Message) + Send + Sync + 'static) -> Result<(), String> {
        let bus = self.files.bus().ok_or("the pipeline of the file has no bus")?;
        bus.set_sync_handler(move |_, message| {
            listen(message.clone());
            gst::BusSyncReply::Drop
        });
        if self.files.set_state(gst::State::Playing).is_err() {
            return Err("the file cannot be written".to_owned());
        }
        for element in self.elements.iter().rev() {
            run(bin, element)?;
        }
        Ok(())
    }

    pub fn has_sound(&self, name: &str) -> bool {
        self.audio.iter().any(|sound| sound.name == name)
    }

    /// The pad for a stream of sound of these caps, made when it is first known.
    pub fn sound(&mut self, bin: &gst::Bin, name: &str, caps: &gst::Caps) -> Result<gst::Pad, String> {
        let Some(index) = self.audio.iter().position(|sound| sound.name == name) else {
            return Err(format!("{name} was asked for after the file had begun"));
        };
        if let Some(entry) = &self.audio[index].entry {
            return Ok(entry.clone());
        }
        let structure = caps.structure(0).ok_or("the sound has no caps")?;
        let line = sound::line(&self.container.audio(), structure, self.audio_bitrate)?;
        let linked = (|| {
            bin.add_many(&line).map_err(|error| error.to_string())?;
            gst::Element::link_many(&line).map_err(|error| error.to_string())?;
            let source = line
                .last()
                .and_then(|last| last.static_pad("src"))
                .ok_or("no source pad")?;
            link_across(&source, &self.audio[index].target)?;
            for element in line.iter().rev() {
                run(bin, element)?;
            }
            line[0].static_pad("sink").ok_or_else(|| "no sink pad".to_owned())
        })();
        let linked = linked.map_err(|error: String| format!("the sound cannot be put into the file: {error}"));
        self.elements.extend(line);
        let entry = linked?;
        self.audio[index].entry = Some(entry.clone());
        Ok(entry)
    }

    /// Nothing comes of a stream of sound of which nothing has come yet.
    pub fn finish_sound(&self, name: &str) {
        if let Some(sound) = self.audio.iter().find(|sound| sound.name == name)
            && sound.entry.is_none()
        {
            sound.target.send_event(gst::event::Eos::new());
        }
    }

    /// Ends all streams, for a file after which another begins.
    pub fn finish_all(&self) {
        let ends = self
            .audio
            .iter()
            .map(|sound| sound.entry.as_ref().unwrap_or(&sound.target));
        for pad in std::iter::once(&self.entry).chain(ends) {
            pad.send_event(gst::event::Eos::new());
        }
    }

    /// Takes everything out of the bin.
    pub fn remove(self, bin: &gst::Bin) {
        // What does not stop is of no more use anyway.
        for element in &self.elements {
            let _ = element.set_state(gst::State::Null);
        }
        let _ = self.files.set_state(gst::State::Null);
        if let Some(bus) = self.files.bus() {
            bus.unset_sync_handler();
        }
        let _ = bin.remove_many(&self.elements);
    }
}

fn formats(plan: &Plan<'_>) -> Vec<gst::glib::SendValue> {
    let deep = plan
        .caps
        .structure(0)
        .and_then(|s| s.get::<&str>("format").ok())
        .is_some_and(|format| format.contains("_10") || format.contains("_12") || format.contains("_16"));
    let all: &[&str] = if deep && matches!(plan.codec, Codec::H265 | Codec::Av1) {
        &DEEP_FORMATS
    } else {
        &FORMATS
    };
    all.iter().map(|format| format.to_send_value()).collect()
}

fn requested(element: &gst::Element, name: &str) -> Option<gst::Pad> {
    element.static_pad(name).or_else(|| element.request_pad_simple(name))
}

/// Muxer and file, or what does both.
struct Outlet {
    elements: Vec<gst::Element>,
    video_pad: String,
    audio_pad: String,
}

impl Outlet {
    fn new(plan: &Plan<'_>) -> Result<Self, String> {
        let settings = plan.settings;
        let segmented = !settings.max_size_time.is_zero() || settings.max_size_bytes > 0;
        if plan.container == Container::Hls {
            return Self::playlist(plan);
        }
        let muxer = make(plan.container.muxer())?;
        tell_muxer(&muxer, plan);
        let file = gst::glib::Object::new::<FileOut>();
        let number = plan.number.fetch_add(1, Ordering::Relaxed);
        let first = container::file(plan.location, number);
        let faststart = settings.faststart && plan.container == Container::Mp4;
        file.configure(Some(&first), settings.overwrite, faststart);
        if segmented {
            return Self::segments(plan, &muxer, &file, number);
        }
        let (video, audio) = match plan.container {
            Container::Ts => ("sink_%d", "sink_%d"),
            _ => ("video_%u", "audio_%u"),
        };
        Ok(Self {
            elements: vec![muxer, file.upcast()],
            video_pad: video.to_owned(),
            audio_pad: audio.to_owned(),
        })
    }

    fn segments(plan: &Plan<'_>, muxer: &gst::Element, file: &FileOut, first: u32) -> Result<Self, String> {
        let split = make("splitmuxsink")?;
        split.set_property("muxer", muxer);
        split.set_property("sink", file);
        split.set_property("max-size-time", plan.settings.max_size_time.nseconds());
        split.set_property("max-size-bytes", plan.settings.max_size_bytes);
        // Then every file is as long as it is to be, whatever the distance of key frames.
        split.set_property("send-keyframe-requests", plan.settings.max_size_bytes == 0);
        let (location, next) = (plan.location.to_owned(), plan.number.clone());
        split.connect("format-location", false, move |values| {
            let number = values.get(1).and_then(|value| value.get::<u32>().ok()).unwrap_or(0);
            let number = first.saturating_add(number);
            next.store(number.saturating_add(1), Ordering::Relaxed);
            Some(container::file(&location, number).to_value())
        });
        Ok(Self {
            elements: vec![split],
            video_pad: "video".to_owned(),
            audio_pad: "audio_%u".to_owned(),
        })
    }

    fn playlist(plan: &Plan<'_>) -> Result<Self, String> {
        let sink = make("hlssink2")?;
        let settings = plan.settings;
        let length = if settings.max_size_time.is_zero() {
            HLS_SEGMENT
        } else {
            settings.max_size_time
        };
        let playlist = container::file(plan.location, plan.number.fetch_add(1, Ordering::Relaxed));
        sink.set_property("location", container::segments(&playlist));
        sink.set_property("playlist-location", &playlist);
        sink.set_property(
            "target-duration",
            u32::try_from(length.seconds().max(1)).unwrap_or(u32::MAX),
        );
        // All of it, unless only the last ones are kept.
        sink.set_property("playlist-length", settings.max_files);
        sink.set_property(
            "max-files",
            if settings.max_files == 0 {
                0
            } else {
                settings.max_files.saturating_add(1)
            },
        );
        Ok(Self {
            elements: vec![sink],
            video_pad: "video".to_owned(),
            audio_pad: "audio".to_owned(),
        })
    }
}

/// What makes the file survive a crash.
fn tell_muxer(muxer: &gst::Element, plan: &Plan<'_>) {
    let milliseconds = u32::try_from(plan.settings.fragment_duration.mseconds().max(1)).unwrap_or(u32::MAX);
    match plan.container {
        Container::Mp4 | Container::Auto => {
            muxer.set_property("fragment-duration", milliseconds);
            // Until the end a file of fragments, then a plain one. Since 1.20.
            muxer.set_property_from_str("fragment-mode", "first-moov-then-finalise");
        }
        Container::Fmp4 => muxer.set_property("fragment-duration", milliseconds),
        Container::Mkv => {
            muxer.set_property("offset-to-zero", true);
            muxer.set_property("writing-app", "Nunchi");
        }
        Container::Ts | Container::Avi | Container::Hls => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_encoders_take() {
        for (given, fitting) in [
            ((1280, 720), (1280, 720)),
            ((33, 17), (34, 18)),
            ((1, 1), (16, 16)),
            ((16, 15), (16, 16)),
            ((7679, 4320), (7680, 4320)),
        ] {
            assert_eq!(encodable(given, Family::X264), fitting, "{given:?}");
        }
        assert_eq!(encodable((34, 720), Family::X265), (64, 720));
    }

    #[test]
    fn an_end_is_told_once() {
        let done = Done::new();
        assert_eq!(done.wait(Instant::now()), End::Open);
        done.set(End::Failed);
        done.set(End::Finished);
        assert_eq!(done.wait(Instant::now()), End::Failed);
    }
}
