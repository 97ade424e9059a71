//! GStreamer's video frames as the inference crate sees them.

use crate::cuda;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFormat, prelude::*};
use nunchi_inference::frame::{DeviceFrame, DevicePlane, FrameError, FrameView, Matrix, PixelFormat, Plane, Range};
use std::fmt;

/// Why the pixels of a frame cannot be read.
#[derive(Debug)]
pub enum Unreadable {
    Format(VideoFormat),
    Plane(u32),
    Frame(FrameError),
    Buffer(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(format) => write!(f, "pixel format {} is not supported", format.to_str()),
            Self::Plane(plane) => write!(f, "plane {plane} is not mapped"),
            Self::Frame(error) => error.fmt(f),
            Self::Buffer(reason) => f.write_str(reason),
        }
    }
}

/// The raw formats whose pixels the analysers read, in the order in which they are proposed: those that a decoder or a
/// camera gives come first, so that nobody converts for our sake.
pub const FORMATS: [VideoFormat; 17] = [
    VideoFormat::I420,
    VideoFormat::Nv12,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Gray8,
];

/// System-memory raw video in any of [`FORMATS`], of the sizes that a [`FrameView`] takes.
pub fn caps() -> gst::Caps {
    let side = 1..=FrameView::MAX_SIDE as i32;
    gst_video::VideoCapsBuilder::new()
        .format_list(FORMATS)
        .width_range(side.clone())
        .height_range(side)
        .build()
}

fn pixel_format(format: VideoFormat) -> Option<PixelFormat> {
    Some(match format {
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Yv12 => PixelFormat::Yv12,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::Nv21 => PixelFormat::Nv21,
        VideoFormat::Yuy2 => PixelFormat::Yuy2,
        VideoFormat::Uyvy => PixelFormat::Uyvy,
        VideoFormat::Rgb => PixelFormat::Rgb,
        VideoFormat::Bgr => PixelFormat::Bgr,
        VideoFormat::Rgbx | VideoFormat::Rgba => PixelFormat::Rgbx,
        VideoFormat::Bgrx | VideoFormat::Bgra => PixelFormat::Bgrx,
        VideoFormat::Xrgb | VideoFormat::Argb => PixelFormat::Xrgb,
        VideoFormat::Xbgr | VideoFormat::Abgr => PixelFormat::Xbgr,
        VideoFormat::Gray8 => PixelFormat::Gray8,
        _ => return None,
    })
}

/// Borrows a mapped frame. Planes are given in memory order, as the format has them (so V before U for YV12).
pub fn view<'a>(frame: &'a gst_video::VideoFrameRef<&'a gst::BufferRef>) -> Result<FrameView<'a>, Unreadable> {
    let info = frame.info();
    let format = pixel_format(info.format()).ok_or(Unreadable::Format(info.format()))?;
    let mut planes = [Plane { data: &[], stride: 0 }; 3];
    let count = info.n_planes().min(3) as usize;
    for (index, plane) in planes.iter_mut().enumerate().take(count) {
        let data = frame
            .plane_data(index as u32)
            .map_err(|_| Unreadable::Plane(index as u32))?;
        // A negative stride (bottom-up pictures) never comes with system memory here; treating it as 0 makes the check fail.
        *plane = Plane {
            data,
            stride: usize::try_from(info.stride()[index]).unwrap_or(0),
        };
    }
    let (matrix, range) = colours(info);
    FrameView::new(format, info.width(), info.height(), &planes[..count], matrix, range).map_err(Unreadable::Frame)
}

/// A frame in CUDA memory, which the buffer keeps.
pub fn device(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Result<DeviceFrame, Unreadable> {
    let format = pixel_format(info.format()).ok_or(Unreadable::Format(info.format()))?;
    let (planes, _memory) = cuda::planes(buffer, info).map_err(Unreadable::Buffer)?;
    let plane = |cuda::Plane { pointer, stride }| DevicePlane { pointer, stride };
    let planes: Vec<_> = planes.into_iter().map(plane).collect();
    let (matrix, range) = colours(info);
    // SAFETY: memory of CUDA, which stays while the buffer holds it.
    unsafe { DeviceFrame::new(format, info.width(), info.height(), &planes, matrix, range) }.map_err(Unreadable::Frame)
}

fn colours(info: &gst_video::VideoInfo) -> (Matrix, Range) {
    let colorimetry = info.colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 => Matrix::Bt709,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        _ => Matrix::Bt601,
    };
    let range = match colorimetry.range() {
        VideoColorRange::Range0_255 => Range::Full,
        _ => Range::Limited,
    };
    (matrix, range)
}
