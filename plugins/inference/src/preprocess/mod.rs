//! From frame to input tensor in one pass: resize, letterbox or rotated crop, colour conversion and scaling, without an
//! RGB copy of the frame.
//!
//! Positions are pixel indices: (0, 0) is the centre of the first pixel. Sampling is bilinear in luma or RGB; chroma
//! is taken from the nearest sample, which moves landmarks by a small fraction of a pixel.

mod geometry;
mod sampler;
mod source;
mod target;

use thiserror::Error;

pub use geometry::{Border, Letterbox, Sampling, Window};
pub(crate) use source::{Arrangement, arrangement, conversion};
pub use target::{Channels, Scaling};

use crate::frame::FrameView;
use target::Target;

/// The tensor's memory does not have the size that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the tensor holds {found} elements, {expected} are needed")]
pub struct TargetError {
    pub expected: usize,
    pub found: usize,
}

/// Fills a `channels` x `height` x `width` tensor of floats (NCHW). Each value is the sample (a whole level, 0..=255) times
/// [`Scaling::scale`] plus [`Scaling::offset`].
pub fn fill_nchw_f32(
    frame: &FrameView<'_>,
    sampling: &Sampling,
    (width, height): (usize, usize),
    channels: Channels,
    scaling: Scaling,
    tensor: &mut [f32],
) -> Result<(), TargetError> {
    fits(tensor.len(), width * height * channels.count())?;
    let mut target = Target::planar(tensor, width, height, channels, scaling);
    sampler::run(frame, sampling, &mut target);
    Ok(())
}

/// The same for a `height` x `width` x `channels` tensor (NHWC).
pub fn fill_nhwc_f32(
    frame: &FrameView<'_>,
    sampling: &Sampling,
    (width, height): (usize, usize),
    channels: Channels,
    scaling: Scaling,
    tensor: &mut [f32],
) -> Result<(), TargetError> {
    fits(tensor.len(), width * height * channels.count())?;
    let mut target = Target::interleaved_floats(tensor, width, height, channels, scaling);
    sampler::run(frame, sampling, &mut target);
    Ok(())
}

/// Fills a `height` x `width` x `channels` tensor of bytes (NHWC), as quantised networks take it.
pub fn fill_nhwc_u8(
    frame: &FrameView<'_>,
    sampling: &Sampling,
    (width, height): (usize, usize),
    channels: Channels,
    tensor: &mut [u8],
) -> Result<(), TargetError> {
    fits(tensor.len(), width * height * channels.count())?;
    let mut target = Target::interleaved(tensor, width, height, channels);
    sampler::run(frame, sampling, &mut target);
    Ok(())
}

fn fits(found: usize, expected: usize) -> Result<(), TargetError> {
    if found == expected {
        Ok(())
    } else {
        Err(TargetError { expected, found })
    }
}

#[cfg(test)]
mod tests;
