//! Reading pictures: PNG, JPEG and WebP.

use std::io::Cursor;

use zune_core::{colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::JpegDecoder;

use crate::scene::Image;

/// Pictures of scenarios have no more.
pub const MAX_PIXELS: usize = 32 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("it is neither PNG nor JPEG nor WebP")]
    Unknown,
    #[error("it has {width} x {height} pixels, more than {most} in all")]
    TooLarge { width: usize, height: usize, most: usize },
    #[error("it is broken: {0}")]
    Broken(String),
}

/// Reads a picture, whose first bytes tell its kind. Of a moving picture, the first frame. One with more pixels than `most` is refused before
/// any of them is read.
pub fn decode(data: &[u8], most: usize) -> Result<Image, ImageError> {
    if data.starts_with(b"\x89PNG\r\n\x1a\n") {
        png(data, most)
    } else if data.starts_with(b"\xff\xd8\xff") {
        jpeg(data, most)
    } else if data.len() > 12 && data.starts_with(b"RIFF") && &data[8..12] == b"WEBP" {
        webp(data, most)
    } else {
        Err(ImageError::Unknown)
    }
}

fn broken(error: impl ToString) -> ImageError {
    ImageError::Broken(error.to_string())
}

/// The number of pixels, if they are not too many.
fn checked(width: usize, height: usize, most: usize) -> Result<usize, ImageError> {
    width
        .checked_mul(height)
        .filter(|pixels| *pixels <= most)
        .ok_or(ImageError::TooLarge { width, height, most })
}

fn png(data: &[u8], most: usize) -> Result<Image, ImageError> {
    let mut decoder = png::Decoder::new_with_limits(
        Cursor::new(data),
        png::Limits {
            bytes: most.saturating_mul(8).saturating_add(1 << 20),
        },
    );
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (width, height) = (reader.info().width, reader.info().height);
    let count = checked(width as usize, height as usize, most)?;
    let mut bytes = vec![0; reader.output_buffer_size().unwrap_or(0)];
    let info = reader.next_frame(&mut bytes).map_err(broken)?;
    bytes.truncate(info.buffer_size());
    let pixels = match info.color_type {
        png::ColorType::Rgba => bytes,
        png::ColorType::GrayscaleAlpha => bytes.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
        other => return Err(broken(format!("unexpected colours {other:?}"))),
    };
    if pixels.len() != count * 4 {
        return Err(broken("pixels are missing"));
    }
    Ok(Image { width, height, pixels })
}

fn jpeg(data: &[u8], most: usize) -> Result<Image, ImageError> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGBA);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(data), options);
    decoder.decode_headers().map_err(|error| broken(format!("{error:?}")))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| broken("it has no size"))?;
    let count = checked(width, height, most)?;
    let pixels = decoder.decode().map_err(|error| broken(format!("{error:?}")))?;
    if pixels.len() != count * 4 {
        return Err(broken("pixels are missing"));
    }
    Ok(Image {
        width: width as u32,
        height: height as u32,
        pixels,
    })
}

fn webp(data: &[u8], most: usize) -> Result<Image, ImageError> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(data)).map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let count = checked(width as usize, height as usize, most)?;
    decoder.set_memory_limit(most.saturating_mul(8));
    let mut bytes = vec![0; decoder.output_buffer_size().ok_or_else(|| broken("it has no size"))?];
    decoder.read_image(&mut bytes).map_err(broken)?;
    let pixels: Vec<u8> = if decoder.has_alpha() {
        bytes
    } else {
        bytes.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect()
    };
    if pixels.len() != count * 4 {
        return Err(broken("pixels are missing"));
    }
    Ok(Image { width, height, pixels })
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
