//! Which caps go with which: a picture is either attached to the frame, which the caps' feature
//! `meta:GstVideoOverlayComposition` tells, or blended into frames of a known format in system memory.

use gst_video::{CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION as OVERLAY, VideoFormat};
use nunchi_motiontext::{blend, raster::MAX_SIDE};

/// Formats that are blended into, those that decoders and cameras give first.
const FORMATS: [(VideoFormat, blend::Format); 19] = [
    (VideoFormat::I420, blend::Format::I420),
    (VideoFormat::Nv12, blend::Format::Nv12),
    (VideoFormat::Yuy2, blend::Format::Yuy2),
    (VideoFormat::Uyvy, blend::Format::Uyvy),
    (VideoFormat::Yv12, blend::Format::Yv12),
    (VideoFormat::Nv21, blend::Format::Nv21),
    (VideoFormat::Y42b, blend::Format::Y42b),
    (VideoFormat::Y444, blend::Format::Y444),
    (VideoFormat::Rgb, blend::Format::Rgb),
    (VideoFormat::Bgr, blend::Format::Bgr),
    (VideoFormat::Rgbx, blend::Format::Rgbx),
    (VideoFormat::Bgrx, blend::Format::Bgrx),
    (VideoFormat::Xrgb, blend::Format::Xrgb),
    (VideoFormat::Xbgr, blend::Format::Xbgr),
    (VideoFormat::Rgba, blend::Format::Rgba),
    (VideoFormat::Bgra, blend::Format::Bgra),
    (VideoFormat::Argb, blend::Format::Argb),
    (VideoFormat::Abgr, blend::Format::Abgr),
    (VideoFormat::Gray8, blend::Format::Gray8),
];

pub fn blend_format(format: VideoFormat) -> Option<blend::Format> {
    FORMATS
        .iter()
        .find(|(ours, _)| *ours == format)
        .map(|(_, theirs)| *theirs)
}

/// What is blended into.
pub fn blended() -> gst::Caps {
    let side = 1..=MAX_SIDE as i32;
    gst_video::VideoCapsBuilder::new()
        .format_list(FORMATS.map(|(format, _)| format))
        .width_range(side.clone())
        .height_range(side)
        .build()
}

/// What a pad may have: what is blended into, and anything that somebody downstream lays a picture over.
pub fn template() -> gst::Caps {
    let mut caps = blended();
    let side = 1..=MAX_SIDE as i32;
    caps.merge(
        gst_video::VideoCapsBuilder::new()
            .any_features()
            .width_range(side.clone())
            .height_range(side)
            .build(),
    );
    caps
}

/// Whether the caps tell of attached pictures.
pub fn has_overlay(caps: &gst::CapsRef) -> bool {
    caps.features(0).is_some_and(|features| features.contains(OVERLAY))
}

pub fn with_overlay(caps: &gst::CapsRef) -> gst::Caps {
    changed(caps, true, |features| {
        if !features.is_any() && !features.contains(OVERLAY) {
            features.add(OVERLAY);
        }
    })
}

pub fn without_overlay(caps: &gst::CapsRef) -> gst::Caps {
    changed(caps, false, |features| features.remove(OVERLAY))
}

/// The structures of the caps with other features. `all`: even those that had none of ours.
fn changed(caps: &gst::CapsRef, all: bool, change: impl Fn(&mut gst::CapsFeatures)) -> gst::Caps {
    let mut out = gst::Caps::new_empty();
    let caps_out = out.make_mut();
    for (structure, features) in caps.iter_with_features() {
        if all || features.contains(OVERLAY) {
            let mut features = features.to_owned();
            change(&mut features);
            caps_out.append_structure_full(structure.to_owned(), Some(features));
        }
    }
    out
}

/// What the sink pad takes, where the src pad's peer takes `peer`; the best first.
pub fn sink_caps(peer: &gst::Caps) -> gst::Caps {
    let overlaid = only_overlaid(peer);
    // Ordinary formats first: a source that may choose shall not choose an exotic one.
    let mut caps = peer.intersect_with_mode(&blended(), gst::CapsIntersectMode::First);
    // Pictures that came attached are blended, too.
    let attached = with_overlay(&caps);
    caps.merge(without_overlay(&overlaid));
    caps.merge(overlaid);
    caps.merge(attached);
    caps.intersect_with_mode(&template(), gst::CapsIntersectMode::First)
}

/// What the src pad gives, where the sink pad's peer gives `peer`; the best first.
pub fn src_caps(peer: &gst::Caps) -> gst::Caps {
    let mut caps = with_overlay(peer);
    let mut plain = peer.clone();
    plain.merge(without_overlay(peer));
    caps.merge(plain.intersect_with_mode(&blended(), gst::CapsIntersectMode::First));
    caps.intersect_with_mode(&template(), gst::CapsIntersectMode::First)
}

/// Of the caps, those with attached pictures; all of them where the features are not named.
fn only_overlaid(caps: &gst::Caps) -> gst::Caps {
    if caps.is_any() {
        return with_overlay(&template());
    }
    let mut out = gst::Caps::new_empty();
    let caps_out = out.make_mut();
    for (structure, features) in caps.iter_with_features() {
        if features.contains(OVERLAY) || features.is_any() {
            caps_out.append_structure_full(structure.to_owned(), Some(features.to_owned()));
        }
    }
    out
}
