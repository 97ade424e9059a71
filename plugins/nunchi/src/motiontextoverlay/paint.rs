//! Blending a picture into a frame in system memory.

use super::negotiate;
use gst_video::{VideoColorMatrix, VideoColorRange, VideoFrameRef, VideoOverlayCompositionMeta, prelude::*};
use nunchi_motiontext::{
    blend::{self, Frame, Matrix, Plane, Range},
    raster::Picture,
};

type Writable<'a> = VideoFrameRef<&'a mut gst::BufferRef>;

/// Lays the picture over the frame's pixels.
pub fn paint(buffer: &mut gst::BufferRef, info: &gst_video::VideoInfo, picture: &Picture) -> Result<(), String> {
    blend_picture(&mut map(buffer, info)?, picture)
}

/// Lays what is attached to the buffer over its pixels, and then the picture.
pub fn paint_all(
    buffer: &mut gst::Buffer,
    info: &gst_video::VideoInfo,
    picture: Option<&Picture>,
) -> Result<(), String> {
    let attached = buffer
        .meta::<VideoOverlayCompositionMeta>()
        .map(|meta| meta.overlay_owned());
    let Some(attached) = attached else {
        return picture.map_or(Ok(()), |picture| paint(buffer.make_mut(), info, picture));
    };
    let buffer = buffer.make_mut();
    let mut frame = map(buffer, info)?;
    attached
        .blend(&mut frame)
        .map_err(|_| "what is attached to it cannot be blended".to_owned())?;
    if let Some(picture) = picture {
        blend_picture(&mut frame, picture)?;
    }
    drop(frame);
    if let Some(meta) = buffer.meta_mut::<VideoOverlayCompositionMeta>() {
        // It is in the pixels now; a locked one would be drawn twice at worst.
        let _ = meta.remove();
    }
    Ok(())
}

fn map<'a>(buffer: &'a mut gst::BufferRef, info: &gst_video::VideoInfo) -> Result<Writable<'a>, String> {
    VideoFrameRef::from_buffer_ref_writable(buffer, info)
        .map_err(|_| "it cannot be mapped for writing with its caps".to_owned())
}

fn blend_picture(frame: &mut Writable<'_>, picture: &Picture) -> Result<(), String> {
    let format = frame.format();
    let format = negotiate::blend_format(format).ok_or_else(|| format!("{} is not blended into", format.to_str()))?;
    let colorimetry = frame.info().colorimetry();
    let matrix = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 => Matrix::Bt709,
        VideoColorMatrix::Bt2020 => Matrix::Bt2020,
        _ => Matrix::Bt601,
    };
    let range = match colorimetry.range() {
        VideoColorRange::Range0_255 => Range::Full,
        _ => Range::Limited,
    };
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let count = frame.n_planes() as usize;
    let mut strides = [0; 4];
    for (ours, theirs) in strides.iter_mut().zip(frame.plane_stride()) {
        *ours = usize::try_from(*theirs).map_err(|_| "its strides are negative".to_owned())?;
    }
    let mut planes = frame
        .planes_data_mut()
        .into_iter()
        .zip(strides)
        .map(|(data, stride)| Plane { data, stride })
        .collect::<Vec<_>>();
    planes.truncate(count);
    blend::blend(
        picture,
        &mut Frame {
            format,
            width,
            height,
            planes: &mut planes,
            matrix,
            range,
        },
    )
    .map_err(|error| error.to_string())
}
