//! Reading pictures: PNG, JPEG and WebP.

use crate::scene::Image;

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("it is neither PNG nor JPEG nor WebP")]
    Unknown,
    #[error("it has {width} x {height} pixels, more than {MAX_PIXELS} in all")]
    TooLarge { width: usize, height: usize },
    #[error("it is broken: {0}")]
    Broken(String),
}

/// Larger pictures are refused.
pub const MAX_PIXELS: usize = 32 << 20;

pub fn decode(_data: &[u8]) -> Result<Image, ImageError> {
    Err(ImageError::Unknown)
}
