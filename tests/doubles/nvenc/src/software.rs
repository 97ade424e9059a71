//! The encoder behind the double: a software encoder of GStreamer, frame by frame.

use gst::prelude::*;
use gst_check::Harness;
use gst_video::prelude::*;

use crate::behaviour::Codec;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// Bits per second.
    Bitrate(u32),
    Quantiser(u32),
}

#[derive(Debug, Clone)]
pub struct Setup {
    pub codec: Codec,
    pub width: u32,
    pub height: u32,
    pub framerate: (u32, u32),
    pub gop: u32,
    pub rate: Rate,
}

/// Starts with the first frame, which tells the format.
pub struct Software {
    setup: Setup,
    running: Option<(gst_video::VideoInfo, Harness)>,
    frames: u64,
}

/// An encoded frame, and whether it is a key frame.
pub struct Encoded {
    pub data: Vec<u8>,
    pub key: bool,
}

impl Software {
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            running: None,
            frames: 0,
        }
    }

    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    pub fn set_rate(&mut self, rate: Rate) {
        self.setup.rate = rate;
        let (Some((_, harness)), Rate::Bitrate(bitrate)) = (&mut self.running, rate) else {
            return;
        };
        let (factory, property) = match self.setup.codec {
            Codec::H264 => ("x264enc", "bitrate"),
            Codec::H265 => ("x265enc", "bitrate"),
            Codec::Av1 => ("av1enc", "target-bitrate"),
        };
        if let Some(element) = harness.find_element(factory) {
            element.set_property(property, kilobits(bitrate));
        }
    }

    /// # Safety
    /// `address` is the beginning of a frame of that format, laid out as NVENC wants it with that pitch.
    pub unsafe fn encode(
        &mut self,
        format: gst_video::VideoFormat,
        address: usize,
        pitch: usize,
        key: bool,
    ) -> Result<Encoded, String> {
        if self.running.as_ref().is_none_or(|(info, _)| info.format() != format) {
            self.start(format)?;
        }
        let Some((info, harness)) = &mut self.running else {
            return Err("the software encoder did not start".into());
        };
        // SAFETY: as the caller says.
        let mut buffer = unsafe { read(info, address, pitch) }?;
        {
            let buffer = buffer.get_mut().ok_or("a new buffer is shared")?;
            let fps = info.fps();
            buffer.set_pts(gst::ClockTime::SECOND.mul_div_floor(self.frames * fps.denom() as u64, fps.numer() as u64));
        }
        if key && self.frames > 0 {
            let event = gst_video::DownstreamForceKeyUnitEvent::builder()
                .all_headers(true)
                .build();
            harness.push_event(event);
        }
        self.frames += 1;
        harness
            .push(buffer)
            .map_err(|error| format!("the software encoder failed: {error}"))?;
        let encoded = harness.try_pull().ok_or("the software encoder gave nothing")?;
        let key = !encoded.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let map = encoded.map_readable().map_err(|error| error.to_string())?;
        Ok(Encoded {
            data: map.to_vec(),
            key,
        })
    }

    fn start(&mut self, format: gst_video::VideoFormat) -> Result<(), String> {
        gst::init().map_err(|error| error.to_string())?;
        let Setup {
            width,
            height,
            framerate: (numerator, denominator),
            ..
        } = self.setup;
        let info = gst_video::VideoInfo::builder(format, width, height)
            .fps(gst::Fraction::new(numerator as i32, denominator as i32))
            .build()
            .map_err(|error| error.to_string())?;
        let line = line(&self.setup, format);
        for factory in line
            .split([' ', '!'])
            .filter(|word| word.ends_with("enc") || word.ends_with("parse"))
        {
            if gst::ElementFactory::find(factory).is_none() {
                return Err(format!("the double needs the element {factory}"));
            }
        }
        let mut harness = Harness::new_parse(&line);
        harness.set_src_caps(info.to_caps().map_err(|error| error.to_string())?);
        self.running = Some((info, harness));
        Ok(())
    }
}

fn kilobits(bitrate: u32) -> u32 {
    (bitrate / 1000).clamp(1, 2_000_000)
}

/// Without delay: each frame comes out at once.
fn line(setup: &Setup, format: gst_video::VideoFormat) -> String {
    // Else the encoders would be given 4:4:4 where they take it.
    let format = match format {
        gst_video::VideoFormat::P01010le => "I420_10LE",
        _ => "I420",
    };
    let convert = format!("videoconvert ! capsfilter caps=video/x-raw,format={format}");
    // The encoders take signed numbers.
    let gop = setup.gop.min(100_000);
    let rate = match (setup.codec, setup.rate) {
        (Codec::Av1, Rate::Bitrate(bitrate)) => format!("target-bitrate={}", kilobits(bitrate)),
        (_, Rate::Bitrate(bitrate)) => format!("bitrate={}", kilobits(bitrate)),
        (Codec::H264, Rate::Quantiser(qp)) => format!("pass=quant quantizer={}", qp.min(50)),
        (Codec::H265, Rate::Quantiser(qp)) => format!("qp={}", qp.min(51)),
        (Codec::Av1, Rate::Quantiser(qp)) => format!("end-usage=q min-quantizer={0} max-quantizer={0}", qp / 4),
    };
    match setup.codec {
        Codec::H264 => format!(
            "{convert} ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={gop} option-string=scenecut=0 {rate} ! \
             h264parse config-interval=-1 ! capsfilter caps=\"video/x-h264,stream-format=byte-stream,alignment=au\""
        ),
        Codec::H265 => format!(
            "{convert} ! x265enc tune=zerolatency speed-preset=ultrafast log-level=none key-int-max={gop} \
             option-string=scenecut=0:pools=1:frame-threads=1 {rate} ! h265parse config-interval=-1 ! \
             capsfilter caps=\"video/x-h265,stream-format=byte-stream,alignment=au\""
        ),
        Codec::Av1 => format!(
            "{convert} ! av1enc usage-profile=realtime cpu-used=8 lag-in-frames=0 threads=1 keyframe-max-dist={gop} {rate} ! \
             av1parse ! capsfilter caps=\"video/x-av1,stream-format=obu-stream,alignment=tu\""
        ),
    }
}

/// # Safety
/// As [`Software::encode`].
unsafe fn read(info: &gst_video::VideoInfo, address: usize, pitch: usize) -> Result<gst::Buffer, String> {
    let buffer = gst::Buffer::with_size(info.size()).map_err(|error| error.to_string())?;
    let mut frame =
        gst_video::VideoFrame::from_buffer_writable(buffer, info).map_err(|_| "a new buffer cannot be mapped")?;
    let format = info.format_info();
    let mut from = address;
    for plane in 0..info.n_planes() {
        // The first component of each plane tells its size; halved chroma that is not interleaved has half the pitch.
        let component = (0..info.n_components())
            .find(|&c| format.plane()[c as usize] == plane)
            .unwrap_or(0);
        let rows = frame.comp_height(component) as usize;
        let row = frame.comp_width(component) as usize * frame.comp_pstride(component) as usize;
        let pitch = if plane > 0 && info.n_planes() == 3 {
            pitch / 2
        } else {
            pitch
        };
        let stride = frame.plane_stride()[plane as usize] as usize;
        let data = frame.plane_data_mut(plane).map_err(|error| error.to_string())?;
        for line in 0..rows {
            let source = std::ptr::with_exposed_provenance::<u8>(from + line * pitch);
            // SAFETY: within the frame, as the caller says.
            let source = unsafe { std::slice::from_raw_parts(source, row) };
            data[line * stride..][..row].copy_from_slice(source);
        }
        from += rows * pitch;
    }
    Ok(frame.into_buffer())
}

/// The headers at the front of a key frame: parameter sets of H.264 and H.265, the sequence header of AV1.
pub fn headers(codec: Codec, data: &[u8]) -> Vec<u8> {
    match codec {
        Codec::H264 => nal_units(data, |unit| matches!(unit[0] & 0x1f, 7 | 8)),
        Codec::H265 => nal_units(data, |unit| (32..=34).contains(&(unit[0] >> 1 & 0x3f))),
        Codec::Av1 => sequence_header(data),
    }
}

fn nal_units(data: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let starts: Vec<usize> = (0..data.len().saturating_sub(3))
        .filter(|&at| data[at..at + 3] == [0, 0, 1])
        .collect();
    let mut found = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(data.len());
        let unit = &data[start + 3..end];
        if wanted(unit) {
            found.extend([0, 0, 0, 1]);
            // The zero of the next start code of four bytes.
            found.extend(unit.strip_suffix(&[0]).unwrap_or(unit));
        }
    }
    found
}

fn sequence_header(mut data: &[u8]) -> Vec<u8> {
    const SEQUENCE_HEADER: u8 = 1;
    while let [header, rest @ ..] = data {
        let extension = usize::from(header >> 2 & 1);
        let mut size = 0usize;
        let mut used = 0;
        // leb128
        for (index, byte) in rest.iter().skip(extension).take(4).enumerate() {
            size |= usize::from(byte & 0x7f) << (7 * index);
            used = index + 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = (1 + extension + used + size).min(data.len());
        if header >> 3 & 0xf == SEQUENCE_HEADER {
            return data[..end].to_vec();
        }
        data = &data[end..];
    }
    Vec::new()
}
