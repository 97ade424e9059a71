//! The planes of a buffer, in system memory or on the GPU.

use crate::cuda;
use gst_video::{VideoFormat, VideoFrameExt, VideoInfo};
use nunchi_nvenc::{DevicePlane, Encoder, Error, Format, Packet, Plane};

pub const FORMATS: [(VideoFormat, Format); 6] = [
    (VideoFormat::Nv12, Format::Nv12),
    (VideoFormat::I420, Format::I420),
    (VideoFormat::Yv12, Format::Yv12),
    (VideoFormat::Bgra, Format::Bgra),
    (VideoFormat::Rgba, Format::Rgba),
    (VideoFormat::P01010le, Format::P010),
];

pub fn format(format: VideoFormat) -> Option<Format> {
    FORMATS
        .iter()
        .find(|(known, _)| *known == format)
        .map(|&(_, format)| format)
}

/// Why a buffer is not encoded.
pub enum Refused {
    /// It is not what its caps say.
    Buffer(&'static str),
    Encoder(Error),
}

/// Encodes a frame in system memory.
pub fn encode(
    encoder: &mut Encoder,
    buffer: &gst::BufferRef,
    info: &VideoInfo,
    index: u64,
    key: bool,
) -> Result<Vec<Packet>, Refused> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info)
        .map_err(|_| Refused::Buffer("it cannot be mapped with its caps"))?;
    let planes = (0..frame.n_planes()).map(|index| {
        let stride = usize::try_from(frame.plane_stride()[index as usize]).ok()?;
        let data = frame.plane_data(index).ok()?;
        Some(Plane { data, stride })
    });
    let planes: Vec<_> = planes
        .collect::<Option<_>>()
        .ok_or(Refused::Buffer("its strides are negative"))?;
    encoder.encode(&planes, index, key).map_err(Refused::Encoder)
}

/// The planes of a frame in CUDA memory, and that memory.
pub fn device_planes(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(Vec<DevicePlane>, gst::Memory), Refused> {
    let (planes, memory) = cuda::planes(buffer, info).map_err(Refused::Buffer)?;
    let plane = |cuda::Plane { pointer, stride }| DevicePlane { pointer, stride };
    Ok((planes.into_iter().map(plane).collect(), memory))
}
