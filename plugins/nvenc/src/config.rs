//! What is to be encoded, and how.

use std::fmt;

use crate::Error;

/// Frames from one key frame to the next.
const GOP: u32 = 60;
/// Bits per second.
const BITRATE: u32 = 4_000_000;
/// More than any encoder takes; the GPU's own limit is asked for when it is opened.
const MAX_SIDE: u32 = 16_384;
/// Where latency does not matter: enough frames under way that the encoder never waits.
const OVERLAP: usize = 2;
/// NVENC knows no more.
const MAX_B_FRAMES: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    H264,
    H265,
    Av1,
}

impl Codec {
    pub const ALL: [Self; 3] = [Self::H264, Self::H265, Self::Av1];

    /// The largest quantiser.
    pub(crate) fn max_qp(self) -> u32 {
        match self {
            Self::H264 | Self::H265 => 51,
            Self::Av1 => 255,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Av1 => "AV1",
        })
    }
}

/// How pixels lie in memory. Names are those of GStreamer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Luma, then a plane of pairs of U and V, 8 bits each.
    Nv12,
    /// Luma, U, V.
    I420,
    /// Luma, V, U.
    Yv12,
    /// As NV12 with 16 bits each, of which the upper 10 count. H.265 and AV1 only.
    P010,
    /// Bytes blue, green, red, alpha. The encoder converts to YUV (BT.601) and leaves alpha out.
    Bgra,
    /// Bytes red, green, blue, alpha.
    Rgba,
}

impl Format {
    pub fn ten_bit(self) -> bool {
        self == Self::P010
    }

    pub fn rgb(self) -> bool {
        matches!(self, Self::Bgra | Self::Rgba)
    }

    /// Bytes of a row, and rows, of each plane of a frame. Width and height are even.
    pub(crate) fn planes(self, width: usize, height: usize) -> Vec<(usize, usize)> {
        match self {
            Self::Nv12 => vec![(width, height), (width, height / 2)],
            Self::P010 => vec![(2 * width, height), (2 * width, height / 2)],
            Self::I420 | Self::Yv12 => vec![(width, height), (width / 2, height / 2), (width / 2, height / 2)],
            Self::Bgra | Self::Rgba => vec![(4 * width, height)],
        }
    }

    /// Where each plane begins, and its stride, in the one piece of memory that NVENC reads: planes follow each other, and
    /// the stride of halved chroma is half of the luma's.
    pub(crate) fn layout(self, pitch: usize, height: usize) -> Vec<(usize, usize)> {
        let luma = pitch * height;
        match self {
            Self::Nv12 | Self::P010 => vec![(0, pitch), (luma, pitch)],
            Self::I420 | Self::Yv12 => vec![(0, pitch), (luma, pitch / 2), (luma + luma / 4, pitch / 2)],
            Self::Bgra | Self::Rgba => vec![(0, pitch)],
        }
    }

    /// Rows of a surface, in rows of the first plane.
    pub(crate) fn rows(self, height: usize) -> usize {
        if self.rgb() { height } else { height + height / 2 }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nv12 => "NV12",
            Self::I420 => "I420",
            Self::Yv12 => "YV12",
            Self::P010 => "P010_10LE",
            Self::Bgra => "BGRA",
            Self::Rgba => "RGBA",
        })
    }
}

/// Bit rates are in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateControl {
    /// A constant bit rate.
    Cbr { bitrate: u32 },
    /// A bit rate on average, up to a maximum (0: the driver's choice).
    Vbr { bitrate: u32, max_bitrate: u32 },
    /// A constant quantiser, from 0 (worst) to 100 (best) of `quality`.
    ConstQp { quality: u32 },
}

/// From the fastest to the best; [`Preset::new`] takes the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset(u32);

impl Preset {
    /// 1 (fastest) to 7 (best); others become the nearest.
    pub fn new(number: u32) -> Self {
        Self(number.clamp(1, 7))
    }

    pub fn number(self) -> u32 {
        self.0
    }
}

impl Default for Preset {
    fn default() -> Self {
        Self(4)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tuning {
    LowLatency,
    #[default]
    Quality,
}

/// How colours are to be shown: code points of ISO/IEC 23091-2 (H.273), which the stream then carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    pub primaries: u8,
    pub transfer: u8,
    pub matrix: u8,
    pub full_range: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Number of the GPU, as CUDA counts them, from 0.
    pub device: u32,
    pub codec: Codec,
    pub format: Format,
    /// In pixels; even.
    pub width: u32,
    /// In pixels; even.
    pub height: u32,
    /// Frames per second, as a fraction. It guides the rate control only.
    pub framerate: (u32, u32),
    /// Width of a pixel to its height.
    pub pixel_aspect: (u32, u32),
    pub rate: RateControl,
    pub preset: Preset,
    pub tuning: Tuning,
    /// Frames from one key frame to the next; 0: the first frame, and those asked for.
    pub gop: u32,
    /// B frames between two others, 0 to 4.
    pub b_frames: u32,
    pub color: Option<Color>,
}

impl Config {
    /// Such a video at 30 frames per second, 4 Mbit/s on average and a key frame every 60 frames.
    pub fn new(codec: Codec, format: Format, width: u32, height: u32) -> Self {
        Self {
            device: 0,
            codec,
            format,
            width,
            height,
            framerate: (30, 1),
            pixel_aspect: (1, 1),
            rate: RateControl::Vbr {
                bitrate: BITRATE,
                max_bitrate: 0,
            },
            preset: Preset::default(),
            tuning: Tuning::default(),
            gop: GOP,
            b_frames: 0,
            color: None,
        }
    }

    /// How many frames the encoder holds back at most.
    pub fn delay(&self) -> usize {
        self.b_frames as usize + self.overlap()
    }

    /// Frames that are under way while the next one is uploaded.
    pub(crate) fn overlap(&self) -> usize {
        match self.tuning {
            Tuning::LowLatency => 0,
            Tuning::Quality => OVERLAP,
        }
    }

    /// What is wrong on any GPU.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Config(text));
        let Self { width, height, .. } = *self;
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return wrong(format!(
                "the size is {width}x{height}: each side must be from 2 to {MAX_SIDE}"
            ));
        }
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return wrong(format!(
                "the size is {width}x{height}: NVENC takes even sides only; crop or scale by a pixel"
            ));
        }
        if self.framerate.0 == 0 || self.framerate.1 == 0 {
            return wrong(format!("the frame rate is {}/{}", self.framerate.0, self.framerate.1));
        }
        if self.pixel_aspect.0 == 0 || self.pixel_aspect.1 == 0 {
            return wrong(format!(
                "the pixel aspect is {}/{}",
                self.pixel_aspect.0, self.pixel_aspect.1
            ));
        }
        if self.b_frames > MAX_B_FRAMES {
            return wrong(format!("{} B frames in a row: at most {MAX_B_FRAMES}", self.b_frames));
        }
        if self.gop != 0 && self.gop <= self.b_frames {
            return wrong(format!(
                "a key frame every {} frames leaves no room for {} B frames",
                self.gop, self.b_frames
            ));
        }
        if self.format.ten_bit() && self.codec == Codec::H264 {
            return wrong(
                "NVENC encodes 10 bits as H.265 or AV1, not as H.264; choose one of these or convert to NV12".into(),
            );
        }
        self.rate.check()
    }
}

impl RateControl {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Config(text));
        match *self {
            Self::Cbr { bitrate: 0 } | Self::Vbr { bitrate: 0, .. } => wrong("the bit rate is 0".into()),
            Self::Vbr { bitrate, max_bitrate } if max_bitrate != 0 && max_bitrate < bitrate => wrong(format!(
                "the maximal bit rate {max_bitrate} is below the average {bitrate}"
            )),
            Self::ConstQp { quality } if quality > 100 => wrong(format!("the quality {quality} is above 100")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Config), part: &str) {
        let mut config = Config::new(Codec::H264, Format::Nv12, 64, 48);
        config.check().unwrap();
        change(&mut config);
        let text = config.check().unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }

    #[test]
    fn wrong_configurations_are_told() {
        refused(|c| c.width = 0, "0x48");
        refused(|c| c.height = 20_000, "16384");
        refused(|c| c.width = 63, "even");
        refused(|c| c.framerate = (0, 1), "0/1");
        refused(|c| c.pixel_aspect = (1, 0), "1/0");
        refused(|c| c.b_frames = 5, "at most 4");
        refused(|c| (c.gop, c.b_frames) = (2, 2), "no room");
        refused(|c| c.format = Format::P010, "H.265");
        refused(|c| c.rate = RateControl::Cbr { bitrate: 0 }, "bit rate is 0");
        refused(|c| c.rate = RateControl::ConstQp { quality: 101 }, "above 100");
        let rate = RateControl::Vbr {
            bitrate: 2,
            max_bitrate: 1,
        };
        refused(|c| c.rate = rate, "below the average");
    }

    #[test]
    fn a_surface_holds_its_planes_and_no_more() {
        for format in [Format::Nv12, Format::I420, Format::Yv12, Format::P010, Format::Bgra] {
            let (width, height) = (64, 48);
            let planes = format.planes(width, height);
            let pitch = planes[0].0;
            let mut end = 0;
            for ((row, rows), (offset, stride)) in planes.into_iter().zip(format.layout(pitch, height)) {
                assert_eq!((offset, stride), (end, row), "{format}");
                end = offset + stride * rows;
            }
            assert_eq!(end, pitch * format.rows(height), "{format}");
        }
    }

    #[test]
    fn presets_are_one_to_seven() {
        assert_eq!([0, 1, 4, 7, 8].map(|n| Preset::new(n).number()), [1, 1, 4, 7, 7]);
    }
}
