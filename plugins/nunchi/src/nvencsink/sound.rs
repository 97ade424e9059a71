//! Sound on its way into the file: encoded as the container has it, or passed on as it is.

use gst::prelude::*;

use super::chain::make;
use super::container::Audio;

/// The elements for sound of these caps, not yet linked.
pub fn line(audio: &Audio, structure: &gst::StructureRef, kbit: u32) -> Result<Vec<gst::Element>, String> {
    if structure.name() != "audio/x-raw" {
        return Ok(vec![make(parser(structure))?]);
    }
    // Whatever comes later, the file keeps the rate and channels of the first sound.
    let filter = make("capsfilter")?;
    filter.set_property("caps", first_caps(structure));
    let encoder = encoder(audio, kbit)?;
    Ok(vec![
        make("audioconvert")?,
        make("audioresample")?,
        filter,
        encoder,
        make(audio.parser)?,
    ])
}

fn first_caps(structure: &gst::StructureRef) -> gst::Caps {
    let mut caps = gst::Caps::builder("audio/x-raw");
    if let Ok(rate) = structure.get::<i32>("rate") {
        caps = caps.field("rate", usual_rate(rate));
    }
    if let Ok(channels) = structure.get::<i32>("channels") {
        caps = caps.field("channels", channels.clamp(1, 2));
    }
    caps.build()
}

/// The nearest rate that AAC, MP3 and MP2 have in common.
fn usual_rate(rate: i32) -> i32 {
    const RATES: [i32; 6] = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
    RATES
        .into_iter()
        .min_by_key(|known| (known - rate).abs())
        .unwrap_or(48_000)
}

fn encoder(audio: &Audio, kbit: u32) -> Result<gst::Element, String> {
    let found = audio.encoders.iter().find_map(|name| Some((*name, make(name).ok()?)));
    let (name, encoder) = found.ok_or_else(|| {
        format!(
            "no encoder for the sound: one of {} is needed (gstreamer1.0-libav, -plugins-ugly or -bad)",
            audio.encoders.join(", ")
        )
    })?;
    if let Some(spec) = encoder.find_property("bitrate") {
        // kbit/s in lame, bit/s elsewhere.
        let rate = if name == "lamemp3enc" { kbit } else { kbit * 1000 };
        if let Ok(value) = gst::glib::Value::deserialize_with_pspec(&rate.to_string(), &spec) {
            encoder.set_property_from_value("bitrate", &value);
        }
    }
    if let Some(pad) = encoder.static_pad("src") {
        take_back(&pad, delay(name));
    }
    Ok(encoder)
}

/// Samples by which what a decoder gives lies behind what went into the encoder, measured with a click in a file.
fn delay(encoder: &str) -> u64 {
    match encoder {
        "avenc_aac" => 1024,
        "voaacenc" => 1600,
        "lamemp3enc" => 1105,
        _ => 0,
    }
}

/// GStreamer's encoders stamp packets as if there were no delay. Here they are stamped as they sound, and what would come before the first
/// sample is left out.
fn take_back(pad: &gst::Pad, samples: u64) {
    if samples == 0 {
        return;
    }
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let rate = pad
            .current_caps()
            .and_then(|caps| caps.structure(0)?.get::<i32>("rate").ok())
            .and_then(|rate| u64::try_from(rate).ok())
            .filter(|rate| *rate > 0);
        let (Some(rate), Some(buffer)) = (rate, info.buffer_mut()) else {
            return gst::PadProbeReturn::Ok;
        };
        let delay = gst::ClockTime::SECOND.mul_div_round(samples, rate).unwrap_or_default();
        let Some(at) = buffer.pts() else {
            return gst::PadProbeReturn::Ok;
        };
        // Half of it is nearer to the start than to the next packet.
        let early = at + delay / 2 < delay;
        let at = at.saturating_sub(delay);
        let buffer = buffer.make_mut();
        buffer.set_pts(at);
        buffer.set_dts(gst::ClockTime::NONE);
        if early {
            gst::PadProbeReturn::Drop
        } else {
            gst::PadProbeReturn::Ok
        }
    });
}

fn parser(structure: &gst::StructureRef) -> &'static str {
    match structure.name().as_str() {
        "audio/x-opus" => "opusparse",
        "audio/x-flac" => "flacparse",
        "audio/x-vorbis" => "vorbisparse",
        _ if structure.get::<i32>("mpegversion") == Ok(1) => "mpegaudioparse",
        _ => "aacparse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_that_encoders_have() {
        assert_eq!(
            [8000, 44_100, 96_000, 11_025].map(usual_rate),
            [16_000, 44_100, 48_000, 16_000]
        );
    }

    #[test]
    fn parsers_go_by_the_caps() {
        gst::init().unwrap();
        for (caps, name) in [
            ("audio/mpeg, mpegversion=(int)4", "aacparse"),
            ("audio/mpeg, mpegversion=(int)1, layer=(int)3", "mpegaudioparse"),
            ("audio/x-opus", "opusparse"),
            ("audio/x-flac", "flacparse"),
        ] {
            let caps: gst::Caps = caps.parse().unwrap();
            assert_eq!(parser(caps.structure(0).unwrap()), name);
        }
    }
}
