//! The encoders that there may be, in the order in which they are tried, and how each is told what is wanted.

use gst::{glib, prelude::*};

use super::CAT;
use super::settings::{Codec, Preset, RateControl, Settings, Tune};
use crate::nvenc::{self, NvEnc};

/// Encoders whose properties mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// NVENC by GStreamer's own plugin.
    Nvcodec,
    /// NVENC by DeepStream's and Jetson's plugin.
    Nvv4l2,
    /// NVENC by the driver alone, an element of our own.
    Direct,
    Va,
    Vaapi,
    V4l2,
    X264,
    X265,
    OpenH264,
    Aom,
    AvMpeg4,
    /// One that the user named and that is not known here.
    Other,
}

impl Family {
    pub fn is_nvenc(self) -> bool {
        matches!(self, Self::Nvcodec | Self::Nvv4l2 | Self::Direct)
    }

    pub fn is_software(self) -> bool {
        matches!(
            self,
            Self::X264 | Self::X265 | Self::OpenH264 | Self::Aom | Self::AvMpeg4
        )
    }
}

/// An encoder that may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Of its factory, or `DIRECT`.
    pub name: String,
    pub family: Family,
}

/// The element that uses the driver alone has no factory.
pub const DIRECT: &str = "nvenc-direct";

const H264: [(&str, Family); 11] = [
    ("nvh264enc", Family::Nvcodec),
    ("nvcudah264enc", Family::Nvcodec),
    ("nvautogpuh264enc", Family::Nvcodec),
    ("nvv4l2h264enc", Family::Nvv4l2),
    (DIRECT, Family::Direct),
    ("vah264enc", Family::Va),
    ("vah264lpenc", Family::Va),
    ("vaapih264enc", Family::Vaapi),
    ("v4l2h264enc", Family::V4l2),
    ("x264enc", Family::X264),
    ("openh264enc", Family::OpenH264),
];
const H265: [(&str, Family); 10] = [
    ("nvh265enc", Family::Nvcodec),
    ("nvcudah265enc", Family::Nvcodec),
    ("nvautogpuh265enc", Family::Nvcodec),
    ("nvv4l2h265enc", Family::Nvv4l2),
    (DIRECT, Family::Direct),
    ("vah265enc", Family::Va),
    ("vah265lpenc", Family::Va),
    ("vaapih265enc", Family::Vaapi),
    ("v4l2h265enc", Family::V4l2),
    ("x265enc", Family::X265),
];
const AV1: [(&str, Family); 6] = [
    ("nvav1enc", Family::Nvcodec),
    ("nvcudaav1enc", Family::Nvcodec),
    ("nvv4l2av1enc", Family::Nvv4l2),
    (DIRECT, Family::Direct),
    ("vaav1enc", Family::Va),
    ("av1enc", Family::Aom),
];
const MPEG4: [(&str, Family); 1] = [("avenc_mpeg4", Family::AvMpeg4)];

/// All of a codec, the preferred first.
pub fn candidates(codec: Codec) -> Vec<Candidate> {
    let known: &[(&str, Family)] = match codec {
        Codec::Auto | Codec::H264 => &H264,
        Codec::H265 => &H265,
        Codec::Av1 => &AV1,
        Codec::Mpeg4 => &MPEG4,
    };
    let candidate = |(name, family): &(&str, Family)| Candidate {
        name: (*name).to_owned(),
        family: *family,
    };
    known.iter().map(candidate).collect()
}

/// Media type of a codec's encoded video, and the parser for it.
pub fn media(codec: Codec) -> (&'static str, &'static str) {
    match codec {
        Codec::Auto | Codec::H264 => ("video/x-h264", "h264parse"),
        Codec::H265 => ("video/x-h265", "h265parse"),
        Codec::Av1 => ("video/x-av1", "av1parse"),
        Codec::Mpeg4 => ("video/mpeg", "mpeg4videoparse"),
    }
}

impl Candidate {
    /// The element.
    pub fn make(&self, codec: Codec) -> Result<gst::Element, String> {
        if self.family != Family::Direct {
            return gst::ElementFactory::make(&self.name)
                .build()
                .map_err(|_| "not installed".to_owned());
        }
        direct_codec(codec).map(|codec| NvEnc::new(codec).upcast())
    }

    /// Caps that it takes, whatever the machine is.
    pub fn takes(&self) -> gst::Caps {
        if self.family == Family::Direct {
            let class = glib::Class::<NvEnc>::from_type(NvEnc::static_type());
            let template = class.and_then(|class| class.as_ref().pad_template("sink"));
            return template.map_or_else(gst::Caps::new_empty, |template| template.caps().clone());
        }
        let mut caps = gst::Caps::new_empty();
        if let Some(factory) = gst::ElementFactory::find(&self.name) {
            let templates = factory.static_pad_templates();
            for template in templates
                .iter()
                .filter(|template| template.direction() == gst::PadDirection::Sink)
            {
                caps.merge(template.caps());
            }
        }
        caps
    }
}

pub fn direct_codec(codec: Codec) -> Result<nvenc::Codec, String> {
    match codec {
        Codec::Auto | Codec::H264 => Ok(nvenc::Codec::H264),
        Codec::H265 => Ok(nvenc::Codec::H265),
        Codec::Av1 => Ok(nvenc::Codec::Av1),
        Codec::Mpeg4 => Err("NVENC does not encode MPEG-4 part 2".to_owned()),
    }
}

/// What is wanted of an encoder.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// kbit/s
    pub bitrate: u32,
    pub rc_mode: RateControl,
    /// 0..=100
    pub quality: u32,
    pub preset: Preset,
    pub tune: Tune,
    /// Frames.
    pub gop: u32,
    /// Frames may refer to later ones.
    pub reorder: bool,
}

impl Wanted {
    /// `fps`: frames a second, 30 where nobody knows.
    pub fn new(settings: &Settings, width: u32, height: u32, fps: f64) -> Self {
        Self {
            bitrate: if settings.bitrate == 0 {
                usual_bitrate(width, height, fps)
            } else {
                settings.bitrate
            },
            rc_mode: settings.rc_mode,
            quality: settings.quality,
            preset: settings.preset,
            tune: settings.tune,
            reorder: true,
            gop: if settings.gop_size == 0 {
                (2.0 * fps).round().clamp(1.0, 100_000.0) as u32
            } else {
                settings.gop_size
            },
        }
    }

    /// The quantiser of H.264 and H.265 for the quality: 45 is the worst that is of use, 10 as good as lossless.
    fn quantizer(&self) -> u32 {
        45 - (35 * self.quality.min(100) + 50) / 100
    }

    /// The same of MPEG-4 part 2, 31 to 2.
    fn mpeg4_quantizer(&self) -> u32 {
        31 - (29 * self.quality.min(100) + 50) / 100
    }

    /// 1, the fastest, to 7: NVENC's presets.
    fn level(&self) -> u32 {
        match self.preset {
            Preset::Ultrafast => 1,
            Preset::Superfast => 2,
            Preset::Veryfast => 3,
            Preset::Faster | Preset::Fast => 4,
            Preset::Medium => 5,
            Preset::Slow => 6,
            Preset::Slower => 7,
        }
    }

    fn preset_name(&self) -> &'static str {
        match self.preset {
            Preset::Ultrafast => "ultrafast",
            Preset::Superfast => "superfast",
            Preset::Veryfast => "veryfast",
            Preset::Faster => "faster",
            Preset::Fast => "fast",
            Preset::Medium => "medium",
            Preset::Slow => "slow",
            Preset::Slower => "slower",
        }
    }
}

/// A tenth of a bit for each pixel: 2.8 Mbit/s for 720p at 30 frames a second.
fn usual_bitrate(width: u32, height: u32, fps: f64) -> u32 {
    (f64::from(width) * f64::from(height) * fps * 0.1 / 1000.0).clamp(100.0, 100_000.0) as u32
}

/// The property by its text, where the encoder has it and takes that.
fn set(element: &gst::Element, name: &str, text: impl ToString) {
    let text = text.to_string();
    let Some(spec) = element.find_property(name) else {
        return;
    };
    match glib::Value::deserialize_with_pspec(&text, &spec) {
        Ok(value) => element.set_property_from_value(name, &value),
        Err(_) => gst::debug!(CAT, obj = element, "{name} does not take {text}"),
    }
}

/// Tells the encoder all of what is wanted.
pub fn configure(element: &gst::Element, family: Family, wanted: &Wanted) {
    let set = |name: &str, text: &dyn ToString| set(element, name, text.to_string());
    set_bitrate(element, family, wanted.bitrate);
    let (low_latency, constant) = (wanted.tune == Tune::LowLatency, wanted.rc_mode == RateControl::Cbr);
    let (by_quality, quantizer, level) = (
        wanted.rc_mode == RateControl::Quality,
        wanted.quantizer(),
        wanted.level(),
    );
    if !wanted.reorder {
        for name in ["bframes", "b-frames", "max-bframes"] {
            set(name, &0);
        }
    }
    match family {
        Family::X264 => {
            set("key-int-max", &wanted.gop);
            set("speed-preset", &wanted.preset_name());
            if low_latency {
                set("tune", &"zerolatency");
            }
            if !wanted.reorder {
                set("option-string", &"bframes=0");
            }
            match wanted.rc_mode {
                RateControl::Cbr => set("pass", &"cbr"),
                RateControl::Vbr => {
                    set("pass", &"cbr");
                    // Without its buffer the bitrate is that of the mean.
                    set("vbv-buf-capacity", &0);
                }
                RateControl::Quality => {
                    set("pass", &"qual");
                    set("quantizer", &quantizer);
                }
            }
        }
        Family::X265 => {
            set("key-int-max", &wanted.gop);
            set("speed-preset", &wanted.preset_name());
            if low_latency {
                set("tune", &"zerolatency");
            }
            let mut options = vec!["log-level=error".to_owned()];
            if !wanted.reorder {
                options.push("bframes=0".to_owned());
            }
            match wanted.rc_mode {
                RateControl::Cbr => options.push(format!("vbv-maxrate={0}:vbv-bufsize={0}", wanted.bitrate)),
                RateControl::Vbr => {}
                RateControl::Quality => options.push(format!("crf={quantizer}")),
            }
            set("option-string", &options.join(":"));
        }
        Family::OpenH264 => {
            set("gop-size", &wanted.gop);
            set("complexity", &(["low", "medium", "high"][(level as usize - 1) / 3]));
            set("rate-control", &(if by_quality { "off" } else { "bitrate" }));
            if by_quality {
                set("qp-min", &quantizer);
                set("qp-max", &quantizer);
            }
            // It drops frames by itself otherwise, and says nothing.
            set("enable-frame-skip", &false);
        }
        Family::Aom => {
            set("keyframe-max-dist", &wanted.gop);
            set("cpu-used", &(9_u32.saturating_sub(level).max(1)));
            set(
                "usage-profile",
                &(if low_latency || level <= 3 {
                    "realtime"
                } else {
                    "good-quality"
                }),
            );
            set(
                "end-usage",
                &(if by_quality {
                    "q"
                } else if constant {
                    "cbr"
                } else {
                    "vbr"
                }),
            );
            set("lag-in-frames", &(if low_latency || level <= 3 { 0 } else { 19 }));
            set("row-mt", &true);
            set(
                "threads",
                &std::thread::available_parallelism().map_or(1, |count| count.get().min(16)),
            );
            if by_quality {
                set("min-quantizer", &quantizer);
                set("max-quantizer", &quantizer);
            }
        }
        Family::AvMpeg4 => {
            set("gop-size", &wanted.gop);
            if by_quality {
                set("qmin", &wanted.mpeg4_quantizer());
                set("qmax", &wanted.mpeg4_quantizer());
            }
        }
        Family::Nvcodec => {
            set("gop-size", &wanted.gop);
            set("preset", &format!("p{level}"));
            set(
                "tune",
                &(if low_latency {
                    "ultra-low-latency"
                } else {
                    "high-quality"
                }),
            );
            set("zerolatency", &low_latency);
            set(
                "rc-mode",
                &(if by_quality {
                    "constqp"
                } else if constant {
                    "cbr"
                } else {
                    "vbr"
                }),
            );
            if by_quality {
                for name in ["qp-const", "qp-const-i", "qp-const-p", "qp-const-b"] {
                    set(name, &quantizer);
                }
            }
        }
        Family::Nvv4l2 => {
            set("iframeinterval", &wanted.gop);
            set("idrinterval", &wanted.gop);
            set("insert-sps-pps", &true);
            set("preset-id", &level);
            set(
                "tuning-info-id",
                &(if low_latency {
                    "LowLatencyPreset"
                } else {
                    "HighQualityPreset"
                }),
            );
            set(
                "control-rate",
                &(if constant {
                    "constant_bitrate"
                } else {
                    "variable_bitrate"
                }),
            );
            if by_quality {
                set("control-rate", &"constQp");
                set("quant-i-frames", &quantizer);
                set("quant-p-frames", &quantizer);
            }
        }
        Family::Direct => {
            set("gop-size", &wanted.gop);
            set("preset", &format!("p{level}"));
            set("tune", &(if low_latency { "low-latency" } else { "quality" }));
            set(
                "rc-mode",
                &(if by_quality {
                    "constqp"
                } else if constant {
                    "cbr"
                } else {
                    "vbr"
                }),
            );
            set("quality", &wanted.quality);
        }
        Family::Va => {
            set("key-int-max", &wanted.gop);
            set("target-usage", &(8 - level));
            set(
                "rate-control",
                &(if by_quality {
                    "cqp"
                } else if constant {
                    "cbr"
                } else {
                    "vbr"
                }),
            );
            if low_latency {
                set("b-frames", &0);
            }
            for name in ["qpi", "qpp", "qpb"].into_iter().filter(|_| by_quality) {
                set(name, &quantizer);
            }
        }
        Family::Vaapi => {
            set("keyframe-period", &wanted.gop);
            set("quality-level", &(8 - level));
            set(
                "rate-control",
                &(if by_quality {
                    "cqp"
                } else if constant {
                    "cbr"
                } else {
                    "vbr"
                }),
            );
            if by_quality {
                set("init-qp", &quantizer);
            }
        }
        Family::V4l2 => {
            let mode = i32::from(constant);
            let controls = gst::Structure::builder("controls")
                .field(
                    "video_bitrate",
                    i32::try_from(wanted.bitrate.saturating_mul(1000)).unwrap_or(i32::MAX),
                )
                .field("video_bitrate_mode", mode)
                .field("h264_i_frame_period", i32::try_from(wanted.gop).unwrap_or(i32::MAX))
                .field("repeat_sequence_header", 1)
                .build();
            if element.find_property("extra-controls").is_some() {
                element.set_property("extra-controls", &controls);
            }
        }
        Family::Other => {
            for name in ["key-int-max", "gop-size", "keyframe-max-dist"] {
                set(name, &wanted.gop);
            }
        }
    }
}

/// Most encoders take another while they run. False for those that do not. kbit/s.
pub fn set_bitrate(element: &gst::Element, family: Family, kbit: u32) -> bool {
    let bits = kbit.saturating_mul(1000);
    let (name, value) = match family {
        Family::OpenH264 | Family::AvMpeg4 | Family::Nvv4l2 => ("bitrate", bits),
        Family::Aom => ("target-bitrate", kbit),
        // By its controls, at the start.
        Family::V4l2 => return false,
        _ => ("bitrate", kbit),
    };
    set(element, name, value);
    element
        .find_property(name)
        .is_some_and(|spec| spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn better_quality_is_a_lower_quantizer() {
        let mut wanted = Wanted::new(&Settings::default(), 1280, 720, 30.0);
        let mut last = (u32::MAX, u32::MAX);
        for quality in [0, 1, 50, 99, 100] {
            wanted.quality = quality;
            let now = (wanted.quantizer(), wanted.mpeg4_quantizer());
            assert!(now.0 <= last.0 && now.1 <= last.1);
            assert!((10..=45).contains(&now.0) && (2..=31).contains(&now.1), "{now:?}");
            last = now;
        }
    }

    #[test]
    fn what_is_not_said_follows_from_the_video() {
        let settings = Settings::default();
        let wanted = Wanted::new(&settings, 1280, 720, 30.0);
        assert_eq!((wanted.bitrate, wanted.gop), (2764, 60));
        let tiny = Wanted::new(&settings, 1, 1, 0.0);
        assert_eq!((tiny.bitrate, tiny.gop), (100, 1));
        let settings = Settings {
            bitrate: 500,
            gop_size: 7,
            ..settings
        };
        let wanted = Wanted::new(&settings, 1280, 720, 30.0);
        assert_eq!((wanted.bitrate, wanted.gop), (500, 7));
    }

    #[test]
    fn hardware_comes_before_software() {
        for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Mpeg4] {
            let software: Vec<bool> = candidates(codec).iter().map(|c| c.family.is_software()).collect();
            assert!(software.is_sorted() && software.last() == Some(&true), "{codec:?}");
        }
        assert!(candidates(Codec::H264)[0].family.is_nvenc());
    }

    #[test]
    fn properties_that_an_encoder_lacks_do_no_harm() {
        gst::init().unwrap();
        let identity = gst::ElementFactory::make("identity").build().unwrap();
        let wanted = Wanted::new(&Settings::default(), 64, 64, 30.0);
        for family in [
            Family::X264,
            Family::Nvcodec,
            Family::Nvv4l2,
            Family::Va,
            Family::V4l2,
            Family::Other,
        ] {
            configure(&identity, family, &wanted);
            assert!(!set_bitrate(&identity, family, 1000));
        }
        // A value that the property does not take is left out.
        set(&identity, "sync", "perhaps");
        assert!(!identity.property::<bool>("sync"));
    }

    #[test]
    fn x264_is_told_what_is_wanted() {
        gst::init().unwrap();
        let Ok(x264) = gst::ElementFactory::make("x264enc").build() else {
            panic!("x264enc is missing: install gstreamer1.0-plugins-ugly");
        };
        let settings = Settings {
            bitrate: 1234,
            gop_size: 25,
            tune: Tune::LowLatency,
            preset: Preset::Ultrafast,
            ..Settings::default()
        };
        configure(&x264, Family::X264, &Wanted::new(&settings, 64, 64, 30.0));
        assert_eq!(x264.property::<u32>("bitrate"), 1234);
        assert_eq!(x264.property::<u32>("key-int-max"), 25);
        assert_eq!(x264.property::<u32>("vbv-buf-capacity"), 0);
        let preset = x264.property_value("speed-preset").serialize().unwrap();
        assert_eq!(preset, "ultrafast");
        assert!(set_bitrate(&x264, Family::X264, 99));
    }
}
