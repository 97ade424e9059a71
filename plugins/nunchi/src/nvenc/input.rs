//! The planes of a buffer, in system memory or on the GPU.

use gst_video::{VideoFormat, VideoFrameExt, VideoInfo};
use nunchi_nvenc::{DevicePlane, Encoder, Error, Format, Packet, Plane};

/// Caps feature, and type of the memory, of GStreamer's CUDA library, which is not linked.
pub const CUDA: &str = "memory:CUDAMemory";
const CUDA_MEMORY: &std::ffi::CStr = c"CUDAMemory";
/// `GST_MAP_CUDA`: the pointer of a mapping is that of the GPU.
const MAP_CUDA: gst::ffi::GstMapFlags = gst::ffi::GST_MAP_FLAG_LAST << 1;

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

pub fn is_cuda(caps: &gst::CapsRef) -> bool {
    caps.features(0).is_some_and(|features| features.contains(CUDA))
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
    let memory = buffer.memory(0).filter(|_| buffer.n_memory() == 1);
    let memory = memory.ok_or(Refused::Buffer("its planes do not lie in one memory"))?;
    // SAFETY: a memory and a text that ends with a zero.
    let cuda = unsafe { gst::ffi::gst_memory_is_type(memory.as_mut_ptr(), CUDA_MEMORY.as_ptr()) };
    if cuda == gst::glib::ffi::GFALSE {
        return Err(Refused::Buffer("its caps say CUDA memory, which it is not"));
    }
    let pointer = map(&memory)?;
    let (offsets, strides) = match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
        None => (info.offset().to_vec(), info.stride().to_vec()),
    };
    let planes = offsets
        .into_iter()
        .zip(strides)
        .take(info.n_planes() as usize)
        .map(|(offset, stride)| {
            Some(DevicePlane {
                pointer: pointer.checked_add(offset as u64)?,
                stride: usize::try_from(stride).ok()?,
            })
        });
    let planes = planes
        .collect::<Option<_>>()
        .ok_or(Refused::Buffer("its strides are negative"))?;
    Ok((planes, memory))
}

/// The address on the GPU. Mapping brings there what is only in system memory; the address holds beyond the mapping, for
/// as long as the memory.
fn map(memory: &gst::Memory) -> Result<u64, Refused> {
    let mut info = std::mem::MaybeUninit::uninit();
    // SAFETY: a memory and room for the mapping, which is undone at once; the bytes are not touched.
    unsafe {
        let flags = gst::ffi::GST_MAP_READ | MAP_CUDA;
        if gst::ffi::gst_memory_map(memory.as_mut_ptr(), info.as_mut_ptr(), flags) == gst::glib::ffi::GFALSE {
            return Err(Refused::Buffer("its memory cannot be mapped for CUDA"));
        }
        let pointer = (*info.as_ptr()).data.addr() as u64;
        gst::ffi::gst_memory_unmap(memory.as_mut_ptr(), info.as_mut_ptr());
        Ok(pointer)
    }
}
