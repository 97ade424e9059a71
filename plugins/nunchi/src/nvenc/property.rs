//! What is set on the element.

use gst::{glib, prelude::*};
use nunchi_nvenc as nvenc;

pub const MAX_GOP: u32 = i32::MAX as u32;
/// kbit/s, of which the driver takes bits in 32 bits.
const MAX_BITRATE: u32 = 2_000_000;

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiNvEncCodec")]
pub enum Codec {
    #[default]
    #[enum_value(name = "H.264", nick = "h264")]
    H264,
    #[enum_value(name = "H.265", nick = "h265")]
    H265,
    #[enum_value(name = "AV1", nick = "av1")]
    Av1,
}

impl From<Codec> for nvenc::Codec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::H264 => Self::H264,
            Codec::H265 => Self::H265,
            Codec::Av1 => Self::Av1,
        }
    }
}

/// What stays the same from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiNvEncRcMode")]
pub enum RcMode {
    #[enum_value(name = "A constant bit rate", nick = "cbr")]
    Cbr,
    #[default]
    #[enum_value(name = "A bit rate on average", nick = "vbr")]
    Vbr,
    #[enum_value(name = "A constant quantiser, from the quality", nick = "constqp")]
    ConstQp,
}

/// From the fastest to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiNvEncPreset")]
pub enum Preset {
    #[enum_value(name = "P1: fastest", nick = "p1")]
    P1 = 1,
    #[enum_value(name = "P2: faster", nick = "p2")]
    P2,
    #[enum_value(name = "P3: fast", nick = "p3")]
    P3,
    #[default]
    #[enum_value(name = "P4: medium", nick = "p4")]
    P4,
    #[enum_value(name = "P5: good", nick = "p5")]
    P5,
    #[enum_value(name = "P6: better", nick = "p6")]
    P6,
    #[enum_value(name = "P7: best", nick = "p7")]
    P7,
}

/// What the encoder is tuned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstNunchiNvEncTune")]
pub enum Tune {
    #[enum_value(name = "Low latency: each frame comes out at once", nick = "low-latency")]
    LowLatency,
    #[default]
    #[enum_value(name = "Quality: two frames are under way", nick = "quality")]
    Quality,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub codec: Codec,
    pub device: u32,
    /// kbit/s.
    pub bitrate: u32,
    /// kbit/s; 0: the encoder's choice.
    pub max_bitrate: u32,
    pub rc_mode: RcMode,
    pub quality: u32,
    pub preset: Preset,
    pub tune: Tune,
    pub gop_size: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            codec: Codec::default(),
            device: 0,
            bitrate: 4000,
            max_bitrate: 0,
            rc_mode: RcMode::default(),
            quality: 75,
            preset: Preset::default(),
            tune: Tune::default(),
            gop_size: 60,
        }
    }
}

impl Settings {
    pub fn rate(&self) -> nvenc::RateControl {
        let bits = |kilobits: u32| kilobits.saturating_mul(1000);
        match self.rc_mode {
            RcMode::Cbr => nvenc::RateControl::Cbr {
                bitrate: bits(self.bitrate),
            },
            RcMode::Vbr => nvenc::RateControl::Vbr {
                bitrate: bits(self.bitrate),
                max_bitrate: bits(self.max_bitrate),
            },
            RcMode::ConstQp => nvenc::RateControl::ConstQp { quality: self.quality },
        }
    }

    /// For a video of that form.
    pub fn config(&self, format: nvenc::Format, info: &gst_video::VideoInfo) -> nvenc::Config {
        // The fraction guides the rate control only; videos without one have any.
        let framerate = match fraction(info.fps()) {
            (0, _) => (30, 1),
            framerate => framerate,
        };
        nvenc::Config {
            device: self.device,
            framerate,
            pixel_aspect: pixel_aspect(info.par()),
            rate: self.rate(),
            preset: nvenc::Preset::new(self.preset as u32),
            tuning: match self.tune {
                Tune::LowLatency => nvenc::Tuning::LowLatency,
                Tune::Quality => nvenc::Tuning::Quality,
            },
            gop: self.gop_size,
            color: color(&info.colorimetry()),
            ..nvenc::Config::new(self.codec.into(), format, info.width(), info.height())
        }
    }

    pub fn properties() -> Vec<glib::ParamSpec> {
        let bitrate = |name: &'static str, nick: &'static str, blurb: &'static str, minimum: u32, default: u32| {
            glib::ParamSpecUInt::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(minimum)
                .maximum(MAX_BITRATE)
                .default_value(default)
                .mutable_playing()
                .build()
        };
        let default = Self::default();
        vec![
            glib::ParamSpecEnum::builder::<Codec>("codec")
                .nick("Codec")
                .blurb("What comes out")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("device")
                .nick("Device")
                .blurb("Number of the GPU; frames in CUDA memory are encoded where they are")
                .default_value(default.device)
                .mutable_ready()
                .build(),
            bitrate(
                "bitrate",
                "Bit rate",
                "Bit rate on average (kbit/s)",
                1,
                default.bitrate,
            ),
            bitrate(
                "max-bitrate",
                "Maximal bit rate",
                "Maximal bit rate with rc-mode=vbr (kbit/s; 0 = one and a half times the average)",
                0,
                default.max_bitrate,
            ),
            glib::ParamSpecEnum::builder_with_default("rc-mode", default.rc_mode)
                .nick("Rate control")
                .blurb("What stays the same from frame to frame")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("quality")
                .nick("Quality")
                .blurb("Quality with rc-mode=constqp, from 0 (worst) to 100 (best)")
                .maximum(100)
                .default_value(default.quality)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("preset", default.preset)
                .nick("Preset")
                .blurb("How much effort is made")
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("tune", default.tune)
                .nick("Tune")
                .blurb("What the encoder is tuned for")
                .mutable_ready()
                .build(),
            glib::ParamSpecUInt::builder("gop-size")
                .nick("GOP size")
                .blurb("Frames from one key frame to the next (0 = only the first one, and those asked for)")
                .maximum(MAX_GOP)
                .default_value(default.gop_size)
                .mutable_ready()
                .build(),
        ]
    }

    pub fn set(&mut self, name: &str, value: &glib::Value) {
        let number = || value.get().unwrap_or_default();
        match name {
            "codec" => self.codec = value.get().unwrap_or_default(),
            "device" => self.device = number(),
            "bitrate" => self.bitrate = number(),
            "max-bitrate" => self.max_bitrate = number(),
            "rc-mode" => self.rc_mode = value.get().unwrap_or_default(),
            "quality" => self.quality = number(),
            "preset" => self.preset = value.get().unwrap_or_default(),
            "tune" => self.tune = value.get().unwrap_or_default(),
            "gop-size" => self.gop_size = number(),
            _ => {}
        }
    }

    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "codec" => self.codec.to_value(),
            "device" => self.device.to_value(),
            "bitrate" => self.bitrate.to_value(),
            "max-bitrate" => self.max_bitrate.to_value(),
            "rc-mode" => self.rc_mode.to_value(),
            "quality" => self.quality.to_value(),
            "preset" => self.preset.to_value(),
            "tune" => self.tune.to_value(),
            "gop-size" => self.gop_size.to_value(),
            _ => return None,
        })
    }
}

fn fraction(fraction: gst::Fraction) -> (u32, u32) {
    (fraction.numer().unsigned_abs(), fraction.denom().unsigned_abs())
}

/// The stream carries it in 16 bits; what does not fit is left square.
fn pixel_aspect(par: gst::Fraction) -> (u32, u32) {
    let fits = |side| (1..=u32::from(u16::MAX)).contains(&side);
    match fraction(par) {
        (width, height) if fits(width) && fits(height) => (width, height),
        _ => (1, 1),
    }
}

/// Code points of H.273, unless nothing is known.
fn color(colorimetry: &gst_video::VideoColorimetry) -> Option<nvenc::Color> {
    const UNSPECIFIED: u8 = 2;
    let code = |code: u32| u8::try_from(code).unwrap_or(UNSPECIFIED);
    let color = nvenc::Color {
        primaries: code(colorimetry.primaries().to_iso()),
        transfer: code(colorimetry.transfer().to_iso()),
        matrix: code(colorimetry.matrix().to_iso()),
        full_range: colorimetry.range() == gst_video::VideoColorRange::Range0_255,
    };
    let known = [color.primaries, color.transfer, color.matrix] != [UNSPECIFIED; 3];
    known.then_some(color)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_video::{VideoFormat, VideoInfo};

    fn info() -> gst_video::VideoInfoBuilder<'static> {
        gst::init().unwrap();
        VideoInfo::builder(VideoFormat::Nv12, 64, 48)
    }

    fn config(info: &VideoInfo) -> nvenc::Config {
        Settings::default().config(nvenc::Format::Nv12, info)
    }

    #[test]
    fn odd_fractions_become_something_that_the_encoder_takes() {
        let still = info().fps(gst::Fraction::new(0, 1)).par(gst::Fraction::new(100_000, 1));
        let config = config(&still.build().unwrap());
        assert_eq!((config.framerate, config.pixel_aspect), ((30, 1), (1, 1)));
    }

    #[test]
    fn colours_are_told_by_the_numbers_of_the_standard() {
        gst::init().unwrap();
        let bt709 = "bt709".parse::<gst_video::VideoColorimetry>().unwrap();
        let color = config(&info().colorimetry(&bt709).build().unwrap()).color.unwrap();
        assert_eq!((color.primaries, color.transfer, color.matrix), (1, 1, 1));
        assert!(!color.full_range);
        let jpeg = "1:4:0:0".parse::<gst_video::VideoColorimetry>().unwrap();
        assert!(
            config(&info().colorimetry(&jpeg).build().unwrap())
                .color
                .unwrap()
                .full_range
        );
    }

    #[test]
    fn bit_rates_are_bits() {
        let mut settings = Settings::default();
        let average = |bitrate, max_bitrate| nvenc::RateControl::Vbr { bitrate, max_bitrate };
        assert_eq!(settings.rate(), average(4_000_000, 0));
        settings.max_bitrate = MAX_BITRATE;
        assert_eq!(settings.rate(), average(4_000_000, 2_000_000_000));
        settings.rc_mode = RcMode::ConstQp;
        assert_eq!(settings.rate(), nvenc::RateControl::ConstQp { quality: 75 });
    }
}
