//! Which encoder works: each is tried for real with a few frames, for a driver may be missing, a GPU may have no encoder, or all its
//! sessions may be taken, and only an attempt tells.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::time::Duration;

use gst::prelude::*;

use super::encoders::{self, Candidate, Family};
use super::settings::{Codec, Fallback, Settings};
use super::{CAT, chain};

/// A driver that has not given a frame by then hangs.
const PATIENCE: Duration = Duration::from_secs(10);
/// Enough for an encoder that looks ahead to give something at the end, and larger than the least size of any NVENC.
const FRAMES: i32 = 3;
const ABSENT: &str = "not installed";
const SIZE: (u32, u32) = (320, 240);

/// The encoder that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub candidate: Candidate,
    /// Why it, and why not those before it.
    pub reason: String,
    /// It stands in for another that was asked for.
    pub fallback: bool,
}

/// The first that works and takes frames of this kind. The error says of each why not.
pub fn choose(settings: &Settings, codec: Codec, caps: &gst::Caps) -> Result<Choice, String> {
    let all = encoders::candidates(codec);
    let wanted = settings.encoder.as_str();
    let (mut first, mut rest) = match wanted {
        "auto" => (all, Vec::new()),
        "nvenc" => all.into_iter().partition(|candidate| candidate.family.is_nvenc()),
        "software" => (
            all.into_iter()
                .filter(|candidate| candidate.family.is_software())
                .collect(),
            Vec::new(),
        ),
        name => {
            let named = all
                .iter()
                .find(|candidate| candidate.name == name)
                .cloned()
                .unwrap_or(Candidate {
                    name: name.to_owned(),
                    family: Family::Other,
                });
            (vec![named], all)
        }
    };
    let mut failed = Vec::new();
    if let Some(candidate) = works(&mut first, caps, codec, &mut failed) {
        return Ok(Choice {
            reason: reason(&candidate, &failed),
            candidate,
            fallback: false,
        });
    }
    let tried = listed(&failed);
    if settings.fallback == Fallback::Software {
        rest.retain(|candidate| candidate.family.is_software());
        if let Some(candidate) = works(&mut rest, caps, codec, &mut failed) {
            return Ok(Choice {
                reason: reason(&candidate, &failed),
                candidate,
                fallback: true,
            });
        }
    }
    let (_, parser) = encoders::media(codec);
    Err(match wanted {
        "auto" | "software" => format!(
            "no encoder for {codec:?} works here ({tried}); {parser} and an encoder come with gstreamer1.0-plugins-bad, -ugly and gstreamer1.0-libav"
        ),
        "nvenc" => format!(
            "NVENC is not possible here ({tried}); fallback=software takes a software encoder instead, encoder=auto the first that works"
        ),
        name => format!("the encoder {name} is not possible here ({tried}); encoder=auto takes the first that works"),
    })
}

fn reason(candidate: &Candidate, failed: &[(String, String)]) -> String {
    if failed.is_empty() {
        format!("{} works", candidate.name)
    } else {
        format!("{} works; {}", candidate.name, listed(failed))
    }
}

/// Why each is not possible; those that are just not there in one.
fn listed(failed: &[(String, String)]) -> String {
    let (absent, broken): (Vec<_>, Vec<_>) = failed.iter().partition(|(_, error)| error == ABSENT);
    let mut parts: Vec<String> = broken.iter().map(|(name, error)| format!("{name}: {error}")).collect();
    if !absent.is_empty() {
        let names: Vec<&str> = absent.iter().map(|(name, _)| name.as_str()).collect();
        parts.push(format!("{ABSENT}: {}", names.join(", ")));
    }
    parts.join("; ")
}

fn works(
    candidates: &mut Vec<Candidate>,
    caps: &gst::Caps,
    codec: Codec,
    failed: &mut Vec<(String, String)>,
) -> Option<Candidate> {
    for candidate in candidates.drain(..) {
        match fits(&candidate, caps, codec).and_then(|()| tried(&candidate, codec)) {
            Ok(()) => return Some(candidate),
            Err(error) => failed.push((candidate.name, error)),
        }
    }
    None
}

/// Whether it is there, encodes that, and takes frames of this size from this memory.
fn fits(candidate: &Candidate, caps: &gst::Caps, codec: Codec) -> Result<(), String> {
    let (width, height) = size(caps).unwrap_or((SIZE.0 as i32, SIZE.1 as i32));
    if candidate.family == Family::Direct {
        let able = nunchi_nvenc::probe(0, encoders::direct_codec(codec)?.into()).map_err(|error| error.to_string())?;
        let within = |side: i32, least: u32, most: u32| (least..=most).contains(&side.unsigned_abs());
        if !within(width, able.min_width, able.max_width) || !within(height, able.min_height, able.max_height) {
            return Err(format!(
                "it takes frames from {}x{} to {}x{}, not of {width}x{height}",
                able.min_width, able.min_height, able.max_width, able.max_height
            ));
        }
    } else {
        let factory = gst::ElementFactory::find(&candidate.name).ok_or(ABSENT)?;
        if !factory.has_type(gst::ElementFactoryType::VIDEO_ENCODER) {
            return Err("it is no encoder for video".to_owned());
        }
        let (media, _) = encoders::media(codec);
        if !factory.can_src_any_caps(&gst::Caps::builder(media).build()) {
            return Err(format!("it does not encode {media}"));
        }
    }
    let takes = candidate.takes();
    let memory = caps.features(0).filter(|_| chain::lies_in_memory_of_a_device(caps));
    if let Some(memory) = memory
        && !takes.can_intersect(caps)
    {
        return Err(format!("it does not take frames in {memory}"));
    }
    // Software has its frames made to fit.
    let any_format = gst::Caps::builder("video/x-raw")
        .any_features()
        .field("width", width)
        .field("height", height)
        .build();
    if candidate.family.is_software() || takes.can_intersect(&any_format) {
        Ok(())
    } else {
        Err(format!("it does not take frames of {width}x{height}"))
    }
}

fn size(caps: &gst::Caps) -> Option<(i32, i32)> {
    let structure = caps.structure(0)?;
    Some((structure.get("width").ok()?, structure.get("height").ok()?))
}

/// What worked once works again if it is software; hardware may be taken by others meanwhile.
fn tried(candidate: &Candidate, codec: Codec) -> Result<(), String> {
    static KNOWN: LazyLock<Mutex<HashMap<String, ()>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if candidate.family.is_software() && known().contains_key(&candidate.name) {
        return Ok(());
    }
    let (done, result) = mpsc::channel();
    let asked = candidate.clone();
    // In a thread of its own, so that a driver that hangs does not take the pipeline with it.
    std::thread::Builder::new()
        .name("nunchi-trial".into())
        .spawn(move || {
            // Nobody listens any more if it took too long.
            let _ = done.send(encode(&asked, codec));
        })
        .map_err(|error| error.to_string())?;
    let result = result
        .recv_timeout(PATIENCE + Duration::from_secs(1))
        .map_err(|_| format!("it gave no frame within {} s", PATIENCE.as_secs()))?;
    gst::debug!(CAT, "trial of {}: {result:?}", candidate.name);
    result?;
    known().insert(candidate.name.clone(), ());
    Ok(())
}

fn encode(candidate: &Candidate, codec: Codec) -> Result<(), String> {
    let make = |name: &str| {
        gst::ElementFactory::make(name)
            .build()
            .map_err(|_| format!("{name} is not installed"))
    };
    let pipeline = gst::Pipeline::new();
    let (source, convert, encoder, sink) = (
        make("videotestsrc")?,
        make("videoconvert")?,
        candidate.make(codec)?,
        make("fakesink")?,
    );
    source.set_property("num-buffers", FRAMES);
    sink.set_property("async", false);
    let mut chain = vec![source.clone(), convert];
    // Its frames lie in memory of its own, where a converter of its own puts them.
    if candidate.family == Family::Nvv4l2 {
        chain.push(make("nvvideoconvert").or_else(|_| make("nvvidconv"))?);
    }
    chain.extend([encoder.clone(), sink]);
    pipeline.add_many(&chain).map_err(|error| error.to_string())?;
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", SIZE.0 as i32)
        .field("height", SIZE.1 as i32)
        .field("framerate", gst::Fraction::new(30, 1))
        .build();
    let linked = source
        .link_filtered(&chain[1], &caps)
        .and_then(|()| gst::Element::link_many(&chain[1..]));
    linked.map_err(|_| "it does not take I420 frames, converted or not".to_owned())?;
    let encoded = Arc::new(AtomicUsize::new(0));
    let pad = encoder.static_pad("src").ok_or("it has no source pad")?;
    let count = encoded.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    let outcome = played(&pipeline);
    // Whatever came of it, nothing of it stays.
    let _ = pipeline.set_state(gst::State::Null);
    outcome?;
    if encoded.load(Ordering::Relaxed) == 0 {
        return Err("it gave no frame".to_owned());
    }
    Ok(())
}

fn played(pipeline: &gst::Pipeline) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let told = |message: Option<gst::Message>| match message.as_deref().map(gst::MessageRef::view) {
        Some(gst::MessageView::Error(error)) => Err(text(error)),
        Some(_) => Ok(()),
        None => Err(format!("it gave no frame within {} s", PATIENCE.as_secs())),
    };
    if pipeline.set_state(gst::State::Playing).is_err() {
        let error = bus.pop_filtered(&wanted);
        return if error.is_some() {
            told(error)
        } else {
            Err("it does not start".to_owned())
        };
    }
    told(bus.timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).ok(), &wanted))
}

/// The error, and the first line of what the element says besides.
fn text(error: &gst::message::Error) -> String {
    let told = error.error().to_string();
    let more = error.debug().and_then(|debug| debug.lines().nth(1).map(str::to_owned));
    match more {
        Some(more) if !more.trim().is_empty() => format!("{told} ({})", more.trim()),
        _ => told,
    }
}
