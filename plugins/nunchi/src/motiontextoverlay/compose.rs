//! Pictures as `GstVideoOverlayComposition`, for whoever downstream lays them over the frame.

use gst_video::{VideoOverlayComposition, VideoOverlayCompositionMeta, VideoOverlayFormatFlags, VideoOverlayRectangle};
use nunchi_motiontext::raster::{Picture, Tile};
use std::sync::Arc;

/// The pixels of a tile as bytes, in the machine's own order, as GStreamer has them, too.
struct Pixels(Arc<Tile>);

impl AsRef<[u8]> for Pixels {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: any pixels are valid bytes, and bytes need no alignment.
        let (_, bytes, _) = unsafe { self.0.pixels().align_to::<u8>() };
        bytes
    }
}

/// Makes compositions. A tile that stays gives the same rectangle, a picture that stays the same composition, so that what
/// was uploaded to a GPU can be used again.
#[derive(Default)]
pub struct Composer {
    tiles: Vec<(Arc<Tile>, VideoOverlayRectangle)>,
    last: Option<(Arc<Picture>, VideoOverlayComposition)>,
}

impl Composer {
    /// Attaches the picture, over what is attached already.
    pub fn attach(&mut self, picture: &Arc<Picture>, buffer: &mut gst::BufferRef) -> Result<(), &'static str> {
        let composition = self.composition(picture)?;
        match buffer.meta_mut::<VideoOverlayCompositionMeta>() {
            Some(mut meta) => {
                let mut both = meta.overlay().copy();
                let all = both.get_mut().ok_or("its overlay cannot be copied")?;
                composition.iter().for_each(|rectangle| all.add_rectangle(&rectangle));
                meta.set_overlay(&both);
            }
            None => {
                VideoOverlayCompositionMeta::add(buffer, &composition);
            }
        }
        Ok(())
    }

    fn composition(&mut self, picture: &Arc<Picture>) -> Result<VideoOverlayComposition, &'static str> {
        if let Some((last, composition)) = &self.last
            && Arc::ptr_eq(last, picture)
        {
            return Ok(composition.clone());
        }
        let mut tiles = Vec::with_capacity(picture.tiles.len());
        for tile in &picture.tiles {
            let known = self.tiles.iter().find(|(last, _)| Arc::ptr_eq(last, tile));
            let rectangle = match known {
                Some((_, rectangle)) => rectangle.clone(),
                None => rectangle(tile)?,
            };
            tiles.push((tile.clone(), rectangle));
        }
        let composition = VideoOverlayComposition::new(tiles.iter().map(|(_, rectangle)| rectangle))
            .map_err(|_| "no overlay can be made")?;
        self.tiles = tiles;
        self.last = Some((picture.clone(), composition.clone()));
        Ok(composition)
    }
}

fn rectangle(tile: &Arc<Tile>) -> Result<VideoOverlayRectangle, &'static str> {
    let (width, height) = (tile.width(), tile.height());
    let mut buffer = gst::Buffer::from_slice(Pixels(tile.clone()));
    // GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB
    let format = if cfg!(target_endian = "little") {
        gst_video::VideoFormat::Bgra
    } else {
        gst_video::VideoFormat::Argb
    };
    let writable = buffer.get_mut().ok_or("its overlay is held by somebody else")?;
    gst_video::VideoMeta::add(writable, gst_video::VideoFrameFlags::empty(), format, width, height)
        .map_err(|_| "its overlay is too small for its size")?;
    // Tiles lie within the frame, whose sides are at most MAX_SIDE.
    let (x, y) = (tile.x() as i32, tile.y() as i32);
    Ok(VideoOverlayRectangle::new_raw(
        &buffer,
        x,
        y,
        width,
        height,
        VideoOverlayFormatFlags::PREMULTIPLIED_ALPHA,
    ))
}
