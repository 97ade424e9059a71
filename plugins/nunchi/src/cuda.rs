//! Buffers in the memory of an NVIDIA GPU, as GStreamer's CUDA library has them, which is not linked.

use gst_video::VideoInfo;

/// The feature in caps.
pub const FEATURE: &str = "memory:CUDAMemory";
/// The type of the memory.
const CUDA_MEMORY: &std::ffi::CStr = c"CUDAMemory";
/// `GST_MAP_CUDA`: the pointer of a mapping is that of the GPU.
const MAP_CUDA: gst::ffi::GstMapFlags = gst::ffi::GST_MAP_FLAG_LAST << 1;

pub fn has_feature(caps: &gst::CapsRef) -> bool {
    caps.features(0).is_some_and(|features| features.contains(FEATURE))
}

/// The one memory of a buffer, if it is CUDA's.
pub fn memory(buffer: &gst::BufferRef) -> Option<gst::Memory> {
    let memory = buffer.memory(0).filter(|_| buffer.n_memory() == 1)?;
    // SAFETY: a memory and a text that ends with a zero.
    let cuda = unsafe { gst::ffi::gst_memory_is_type(memory.as_mut_ptr(), CUDA_MEMORY.as_ptr()) };
    (cuda != gst::glib::ffi::GFALSE).then_some(memory)
}

/// A plane: its address on the GPU, and bytes from row to row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plane {
    pub pointer: u64,
    pub stride: usize,
}

/// The planes of a frame. They hold for as long as the memory.
///
/// # Errors
/// What is wrong with the buffer.
pub fn planes(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(Vec<Plane>, gst::Memory), &'static str> {
    if buffer.n_memory() != 1 {
        return Err("its planes do not lie in one memory");
    }
    let memory = memory(buffer).ok_or("its caps say CUDA memory, which it is not")?;
    let pointer = map(&memory)?;
    let (offsets, strides) = match buffer.meta::<gst_video::VideoMeta>() {
        Some(meta) => (meta.offset().to_vec(), meta.stride().to_vec()),
        None => (info.offset().to_vec(), info.stride().to_vec()),
    };
    let plane = |(offset, stride): (usize, i32)| {
        Some(Plane {
            pointer: pointer.checked_add(offset as u64)?,
            stride: usize::try_from(stride).ok()?,
        })
    };
    let planes = offsets
        .into_iter()
        .zip(strides)
        .take(info.n_planes() as usize)
        .map(plane);
    let planes = planes.collect::<Option<_>>().ok_or("its strides are negative")?;
    Ok((planes, memory))
}

/// The address on the GPU. Mapping brings there what is only in system memory; the address holds beyond the mapping, for
/// as long as the memory.
fn map(memory: &gst::Memory) -> Result<u64, &'static str> {
    let mut info = std::mem::MaybeUninit::uninit();
    // SAFETY: a memory and room for the mapping, which is undone at once; the bytes are not touched.
    unsafe {
        let flags = gst::ffi::GST_MAP_READ | MAP_CUDA;
        if gst::ffi::gst_memory_map(memory.as_mut_ptr(), info.as_mut_ptr(), flags) == gst::glib::ffi::GFALSE {
            return Err("its memory cannot be mapped for CUDA");
        }
        let pointer = (*info.as_ptr()).data.addr() as u64;
        gst::ffi::gst_memory_unmap(memory.as_mut_ptr(), info.as_mut_ptr());
        Ok(pointer)
    }
}
