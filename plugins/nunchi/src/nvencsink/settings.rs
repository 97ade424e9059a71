//! The properties of the element.

use gst::{glib, prelude::*};
use std::sync::LazyLock;

/// Frames that may wait before any is dropped, and the bytes of them: the figures of the system that this replaces.
pub const MAX_BUFFERS: usize = 60;
/// Where the source waits for the encoder, so few keep both busy.
pub const MAX_BUFFERS_BLOCKING: usize = 6;
const MAX_BYTES: u64 = 360_000_000;

/// What the video is encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, glib::Enum)]
#[enum_type(name = "GstNunchiCodec")]
pub enum Codec {
    #[default]
    #[enum_value(name = "MPEG-4 part 2 in AVI, H.264 elsewhere", nick = "auto")]
    Auto,
    #[enum_value(name = "H.264 (AVC)", nick = "h264")]
    H264,
    #[enum_value(name = "H.265 (HEVC)", nick = "h265")]
    H265,
    #[enum_value(name = "AV1", nick = "av1")]
    Av1,
    #[enum_value(name = "MPEG-4 part 2", nick = "mpeg4")]
    Mpeg4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, glib::Enum)]
#[enum_type(name = "GstNunchiContainer")]
pub enum Container {
    #[default]
    #[enum_value(name = "By the ending of the location; MP4 if it has none", nick = "auto")]
    Auto,
    #[enum_value(name = "MP4, whole up to the last fragment at any time", nick = "mp4")]
    Mp4,
    #[enum_value(name = "MP4 that stays in fragments", nick = "fmp4")]
    Fmp4,
    #[enum_value(name = "Matroska", nick = "mkv")]
    Mkv,
    #[enum_value(name = "MPEG transport stream", nick = "ts")]
    Ts,
    #[enum_value(name = "AVI", nick = "avi")]
    Avi,
    #[enum_value(name = "HTTP Live Streaming: a playlist and its segments", nick = "hls")]
    Hls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiRateControl")]
pub enum RateControl {
    #[enum_value(name = "Constant bitrate", nick = "cbr")]
    Cbr,
    #[default]
    #[enum_value(name = "Variable bitrate with this mean", nick = "vbr")]
    Vbr,
    #[enum_value(name = "Constant quality", nick = "quality")]
    Quality,
}

/// The terms of x264. NVENC's P1 to P7 stand for ultrafast to slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, glib::Enum)]
#[enum_type(name = "GstNunchiEncoderPreset")]
pub enum Preset {
    #[enum_value(name = "Ultrafast (NVENC P1)", nick = "ultrafast")]
    Ultrafast,
    #[enum_value(name = "Superfast (NVENC P2)", nick = "superfast")]
    Superfast,
    #[default]
    #[enum_value(name = "Very fast (NVENC P3)", nick = "veryfast")]
    Veryfast,
    #[enum_value(name = "Faster (NVENC P4)", nick = "faster")]
    Faster,
    #[enum_value(name = "Fast (NVENC P4)", nick = "fast")]
    Fast,
    #[enum_value(name = "Medium (NVENC P5)", nick = "medium")]
    Medium,
    #[enum_value(name = "Slow (NVENC P6)", nick = "slow")]
    Slow,
    #[enum_value(name = "Slower (NVENC P7)", nick = "slower")]
    Slower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiEncoderTune")]
pub enum Tune {
    #[default]
    #[enum_value(name = "The best picture for the bits", nick = "quality")]
    Quality,
    #[enum_value(name = "Each frame comes out at once", nick = "low-latency")]
    LowLatency,
}

/// What happens to frames when more come than can be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiDropPolicy")]
pub enum DropPolicy {
    #[default]
    #[enum_value(name = "Block, for live sources drop-oldest", nick = "auto")]
    Auto,
    #[enum_value(name = "The source waits; nothing is dropped", nick = "block")]
    Block,
    #[enum_value(name = "The frame that comes is dropped", nick = "drop-newest")]
    DropNewest,
    #[enum_value(name = "The frame that waits longest is dropped", nick = "drop-oldest")]
    DropOldest,
    #[enum_value(
        name = "All that wait are dropped, and the next is a key frame",
        nick = "skip-to-keyframe"
    )]
    SkipToKeyframe,
}

/// Whether something else may stand in for an encoder that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiEncoderFallback")]
pub enum Fallback {
    #[default]
    #[enum_value(name = "An error says why it is not possible", nick = "error")]
    Error,
    #[enum_value(name = "A software encoder takes over, with a warning", nick = "software")]
    Software,
}

/// What to do when the size of the video changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiSizeChange")]
pub enum SizeChange {
    #[default]
    #[enum_value(name = "Begin the next file", nick = "new-segment")]
    NewSegment,
    #[enum_value(name = "End with an error; what was written is whole", nick = "error")]
    Error,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub location: Option<String>,
    pub codec: Codec,
    /// `auto`, `nvenc`, `software`, or the name of an element.
    pub encoder: String,
    pub fallback: Fallback,
    /// kbit/s; 0: by the size of the video.
    pub bitrate: u32,
    pub rc_mode: RateControl,
    /// 0..=100
    pub quality: u32,
    pub preset: Preset,
    pub tune: Tune,
    /// Frames; 0: two seconds of them.
    pub gop_size: u32,
    pub container: Container,
    pub max_size_time: gst::ClockTime,
    pub max_size_bytes: u64,
    pub max_files: u32,
    pub fragment_duration: gst::ClockTime,
    pub faststart: bool,
    pub overwrite: bool,
    pub size_change: SizeChange,
    pub audio_bitrate: u32,
    pub drop_policy: DropPolicy,
    pub max_buffers: u32,
    pub max_bytes: u64,
    /// MB of the process; 0: no limit.
    pub memory_limit: u32,
    pub adaptive: bool,
    pub finalize_timeout: gst::ClockTime,
    pub sync: bool,
    pub stats_interval: gst::ClockTime,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            location: None,
            codec: Codec::default(),
            encoder: "auto".to_owned(),
            fallback: Fallback::default(),
            bitrate: 0,
            rc_mode: RateControl::default(),
            quality: 60,
            preset: Preset::default(),
            tune: Tune::default(),
            gop_size: 0,
            container: Container::default(),
            max_size_time: gst::ClockTime::ZERO,
            max_size_bytes: 0,
            max_files: 0,
            fragment_duration: gst::ClockTime::SECOND,
            faststart: false,
            overwrite: false,
            size_change: SizeChange::default(),
            audio_bitrate: 128,
            drop_policy: DropPolicy::default(),
            max_buffers: 0,
            max_bytes: MAX_BYTES,
            memory_limit: 0,
            adaptive: false,
            finalize_timeout: gst::ClockTime::from_seconds(30),
            sync: false,
            stats_interval: gst::ClockTime::from_seconds(5),
        }
    }
}

/// One row for each property: how it is declared, and how it is read and written.
macro_rules! fields {
    ($($name:literal => $field:ident: $kind:ident),* $(,)?) => {
        impl Settings {
            /// Sets the property, whose type and range GObject has checked. Whether there is one of that name.
            pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
                match name {
                    $($name => self.$field = fields!(@set $kind value),)*
                    _ => return false,
                }
                true
            }

            pub fn get(&self, name: &str) -> Option<glib::Value> {
                Some(match name {
                    $($name => fields!(@get $kind self.$field),)*
                    _ => return None,
                })
            }
        }
    };
    (@set time $value:ident) => { gst::ClockTime::from_nseconds($value.get().unwrap_or_default()) };
    (@set text $value:ident) => { $value.get::<Option<String>>().ok().flatten().filter(|text| !text.is_empty()).unwrap_or_else(|| "auto".to_owned()) };
    (@set plain $value:ident) => { $value.get().unwrap_or_default() };
    (@get time $field:expr) => { $field.nseconds().to_value() };
    (@get $kind:ident $field:expr) => { $field.to_value() };
}

fields! {
    "location" => location: plain,
    "codec" => codec: plain,
    "encoder" => encoder: text,
    "fallback" => fallback: plain,
    "bitrate" => bitrate: plain,
    "rc-mode" => rc_mode: plain,
    "quality" => quality: plain,
    "preset" => preset: plain,
    "tune" => tune: plain,
    "gop-size" => gop_size: plain,
    "container" => container: plain,
    "max-size-time" => max_size_time: time,
    "max-size-bytes" => max_size_bytes: plain,
    "max-files" => max_files: plain,
    "fragment-duration" => fragment_duration: time,
    "faststart" => faststart: plain,
    "overwrite" => overwrite: plain,
    "size-change" => size_change: plain,
    "audio-bitrate" => audio_bitrate: plain,
    "drop-policy" => drop_policy: plain,
    "max-buffers" => max_buffers: plain,
    "max-bytes" => max_bytes: plain,
    "memory-limit" => memory_limit: plain,
    "adaptive" => adaptive: plain,
    "finalize-timeout" => finalize_timeout: time,
    "sync" => sync: plain,
    "stats-interval" => stats_interval: time,
}

/// Those that are read at the start only; the others act while playing.
const AT_START: [&str; 19] = [
    "location",
    "codec",
    "encoder",
    "fallback",
    "rc-mode",
    "quality",
    "preset",
    "tune",
    "gop-size",
    "container",
    "max-size-time",
    "max-size-bytes",
    "max-files",
    "fragment-duration",
    "faststart",
    "overwrite",
    "audio-bitrate",
    "sync",
    "stats-interval",
];

pub fn is_at_start(name: &str) -> bool {
    AT_START.contains(&name)
}

pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let defaults = Settings::default();
        let number = |name: &str, nick: &str, blurb: &str, most: u32, default: u32| {
            let spec = glib::ParamSpecUInt::builder(name)
                .nick(nick)
                .blurb(blurb)
                .maximum(most)
                .default_value(default);
            if is_at_start(name) {
                spec.mutable_ready().build()
            } else {
                spec.mutable_playing().build()
            }
        };
        let large = |name: &str, nick: &str, blurb: &str, default: u64| {
            let spec = glib::ParamSpecUInt64::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(default);
            if is_at_start(name) {
                spec.mutable_ready().build()
            } else {
                spec.mutable_playing().build()
            }
        };
        let switch = |name: &str, nick: &str, blurb: &str, default: bool| {
            let spec = glib::ParamSpecBoolean::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(default);
            if is_at_start(name) {
                spec.mutable_ready().build()
            } else {
                spec.mutable_playing().build()
            }
        };
        let count = |name: &str, nick: &str, blurb: &str| {
            glib::ParamSpecUInt64::builder(name)
                .nick(nick)
                .blurb(blurb)
                .read_only()
                .build()
        };
        let measure = |name: &str, nick: &str, blurb: &str, most: f64| {
            glib::ParamSpecDouble::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(0.0)
                .maximum(most)
                .read_only()
                .build()
        };
        let text = |name: &str, nick: &str, blurb: &str| {
            glib::ParamSpecString::builder(name)
                .nick(nick)
                .blurb(blurb)
                .read_only()
                .build()
        };
        vec![
            glib::ParamSpecString::builder("location")
                .nick("Location")
                .blurb("File to write; %d or %05d in it is replaced by the number of the file, from 0. For HLS the playlist")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("codec", defaults.codec)
                .nick("Codec")
                .blurb("What the video is encoded as")
                .mutable_ready()
                .build(),
            glib::ParamSpecString::builder("encoder")
                .nick("Encoder")
                .blurb("auto: the first that works here, NVENC before other hardware before software; nvenc; software; or the name of an encoder element")
                .default_value(Some("auto"))
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("fallback", defaults.fallback)
                .nick("Fallback")
                .blurb("What to do when the encoder that was asked for is not possible")
                .mutable_ready()
                .build(),
            number("bitrate", "Bitrate", "Of the video, kbit/s (0 = a tenth of a bit for each pixel)", 2_000_000, defaults.bitrate),
            glib::ParamSpecEnum::builder_with_default("rc-mode", defaults.rc_mode)
                .nick("Rate control")
                .blurb("How the bits are spread")
                .mutable_ready()
                .build(),
            number("quality", "Quality", "Of rc-mode=quality, 0 the worst, 100 the best", 100, defaults.quality),
            glib::ParamSpecEnum::builder_with_default("preset", defaults.preset)
                .nick("Preset")
                .blurb("Speed against picture for the bits")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("tune", defaults.tune)
                .nick("Tune")
                .blurb("What the encoder is for")
                .mutable_ready()
                .build(),
            number("gop-size", "GOP size", "Frames from one key frame to the next at most (0 = two seconds)", 100_000, defaults.gop_size),
            glib::ParamSpecEnum::builder_with_default("container", defaults.container)
                .nick("Container")
                .blurb("Format of the file")
                .mutable_ready()
                .build(),
            large("max-size-time", "Maximum time", "Begin the next file after so long, at a key frame (ns; needs %d in the location; 0 = never; HLS: length of a segment, 0 = 4 s)", 0),
            large("max-size-bytes", "Maximum size", "Begin the next file after so many bytes, at a key frame (needs %d in the location; 0 = never)", 0),
            number("max-files", "Maximum files", "Remove the oldest file of this run once there are more (0 = keep all)", u32::MAX, 0),
            large("fragment-duration", "Fragment duration", "Of MP4: what a crash may cost (ns; rounded up to a key frame)", defaults.fragment_duration.nseconds()),
            switch("faststart", "Fast start", "Put the index of an MP4 in front at the end, so that players can begin before they have all of it", false),
            switch("overwrite", "Overwrite", "Replace a file that is there; otherwise it is an error", false),
            glib::ParamSpecEnum::builder_with_default("size-change", defaults.size_change)
                .nick("Change of size")
                .blurb("What to do when the size of the video changes")
                .mutable_playing()
                .build(),
            number("audio-bitrate", "Audio bitrate", "kbit/s, for audio that is not encoded yet", 1_000, defaults.audio_bitrate),
            glib::ParamSpecEnum::builder_with_default("drop-policy", defaults.drop_policy)
                .nick("Drop policy")
                .blurb("What happens to frames when more come than can be encoded")
                .mutable_playing()
                .build(),
            number("max-buffers", "Maximum buffers", "Frames that may wait for the encoder (0 = 6 where the source can wait, 60 where frames are dropped)", u32::MAX, 0),
            large("max-bytes", "Maximum bytes", "Bytes of frames that may wait for the encoder (0 = no limit)", MAX_BYTES),
            number("memory-limit", "Memory limit", "While the process has more than this resident (MB), one frame only may wait (0 = no limit)", u32::MAX, 0),
            switch("adaptive", "Adaptive", "Spend fewer bits while frames pile up, before any is dropped", false),
            large("finalize-timeout", "Finalize timeout", "How long a stop may wait for the file to be finished (ns)", defaults.finalize_timeout.nseconds()),
            switch("sync", "Sync", "Take frames at the speed of the clock", false),
            large("stats-interval", "Statistics interval", "Time between messages nunchi-encode-stats (ns; 0 = none)", defaults.stats_interval.nseconds()),
            text("encoder-used", "Encoder used", "The encoder that was chosen"),
            text("encoder-reason", "Encoder reason", "Why it was chosen, and why those before it were not"),
            count("processed-frames", "Processed frames", "Frames that were encoded"),
            count("dropped-frames", "Dropped frames", "Frames that were dropped"),
            measure("drop-rate", "Drop rate", "Share of the frames that were dropped", 1.0),
            count("encoded-bytes", "Encoded bytes", "Of video, as encoded"),
            count("queue-level", "Queue level", "Frames that wait for the encoder"),
            measure("encode-fps", "Encode rate", "Frames encoded in a second, lately", f64::MAX),
            count("memory-peak-mb", "Memory peak", "The most that the process had resident, MB"),
            count("latency", "Latency", "From a frame's arrival to its coming out of the encoder, lately (ns)"),
        ]
    });
    &PROPERTIES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_that_can_be_written_is_kept() {
        gst::init().unwrap();
        let mut settings = Settings::default();
        for spec in properties()
            .iter()
            .filter(|spec| spec.flags().contains(glib::ParamFlags::WRITABLE))
        {
            let value = settings.get(spec.name()).unwrap_or_else(|| panic!("{}", spec.name()));
            assert_eq!(value.type_(), spec.value_type(), "{}", spec.name());
            assert!(settings.set(spec.name(), &value), "{}", spec.name());
        }
        assert!(!settings.set("latency", &0_u64.to_value()));
        assert!(settings.get("no-such").is_none());
        assert!(AT_START.iter().all(|name| settings.get(name).is_some()));
    }

    #[test]
    fn an_empty_encoder_is_auto() {
        let mut settings = Settings::default();
        settings.set("encoder", &"".to_value());
        assert_eq!(settings.encoder, "auto");
    }
}
