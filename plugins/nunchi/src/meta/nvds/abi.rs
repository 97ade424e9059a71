//! The parts of DeepStream's metadata that the bridge touches, in our own declarations.
//!
//! Offsets are of 64-bit Linux, the only place where DeepStream is. The order of the fields is the one of `nvdsmeta.h`
//! and `nvll_osd_struct.h` from 6.2 to 9.1. What lies behind `rect_params` of an object moved at 9.0, when the
//! rectangle grew by a rotation angle; [`Layout`] holds what differs.

use gst::glib::ffi::GList;
use std::ffi::{c_char, c_int, c_uint, c_void};

pub(super) type CopyFn = unsafe extern "C" fn(*mut c_void, *mut c_void) -> *mut c_void;
pub(super) type ReleaseFn = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// `NVDS_BATCH_META`: a batch of video frames, and none of audio.
pub(super) const BATCH_META: c_int = 1;
/// Size of `obj_label` with its closing zero.
pub(super) const LABEL_SIZE: usize = 128;
/// Size of `NvDsUserMeta` in every version.
const USER_SIZE: c_uint = 48;

/// `NvDsBaseMeta`, with which every other one begins.
#[repr(C)]
pub(super) struct BaseMeta {
    pub batch: *mut BatchMeta,
    pub meta_type: c_int,
    pub context: *mut c_void,
    pub copy: Option<CopyFn>,
    pub release: Option<ReleaseFn>,
}

/// The beginning of `NvDsMetaPool`.
#[repr(C)]
pub(super) struct MetaPool {
    meta_type: c_int,
    max_elements: c_uint,
    element_size: c_uint,
}

/// The beginning of `NvDsBatchMeta`.
#[repr(C)]
pub(super) struct BatchMeta {
    pub base: BaseMeta,
    max_frames: c_uint,
    pub num_frames: c_uint,
    frame_pool: *mut MetaPool,
    object_pool: *mut MetaPool,
    classifier_pool: *mut MetaPool,
    display_pool: *mut MetaPool,
    user_pool: *mut MetaPool,
    label_pool: *mut MetaPool,
    pub frames: *mut GList,
}

/// The beginning of `NvDsFrameMeta`.
#[repr(C)]
pub(super) struct FrameMeta {
    base: BaseMeta,
    pad_index: c_uint,
    pub batch_id: c_uint,
    frame_num: c_int,
    buf_pts: u64,
    ntp_timestamp: u64,
    source_id: c_uint,
    surfaces: c_int,
    pub source_width: c_uint,
    pub source_height: c_uint,
    surface_type: c_uint,
    surface_index: c_uint,
    num_objects: c_uint,
    pub inferred: c_int,
    objects: *mut GList,
    displays: *mut GList,
    users: *mut GList,
    misc: [i64; 4],
    pub pipeline_width: c_uint,
    pub pipeline_height: c_uint,
}

/// `NvBbox_Coords`: left, top, width, height in pixels.
pub(super) type Coordinates = [f32; 4];
/// `NvOSD_ColorParams`: red, green, blue, alpha, 0 to 1.
pub(super) type Colour = [f64; 4];

/// The beginning of `NvDsObjectMeta`, up to the border of `rect_params`.
#[repr(C)]
pub(super) struct ObjectMeta {
    base: BaseMeta,
    parent: *mut ObjectMeta,
    pub component: c_int,
    pub class: c_int,
    pub id: u64,
    pub detector_box: Coordinates,
    tracker_box: Coordinates,
    pub confidence: f32,
    tracker_confidence: f32,
    pub rect: Coordinates,
    pub border_width: c_uint,
    pub border_colour: Colour,
}

/// `NvOSD_TextParams`.
#[repr(C)]
pub(super) struct TextParams {
    /// Allocated by GLib; the library frees it with the object.
    pub text: *mut c_char,
    pub x: c_uint,
    pub y: c_uint,
    /// The library copies the pointer and never frees it.
    pub font_name: *const c_char,
    pub font_size: c_uint,
    pub font_colour: Colour,
    pub has_background: c_int,
    pub background: Colour,
}

/// `NvDsUserMeta`.
#[repr(C)]
pub(super) struct UserMeta {
    pub base: BaseMeta,
    pub data: *mut c_void,
}

/// `NvDsCustomMsgInfo`, which `nvmsgconv` puts into its payload.
#[repr(C)]
pub(super) struct CustomMessage {
    pub text: *mut c_char,
    pub size: c_uint,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(offset_of!(BatchMeta, object_pool) == 56 && offset_of!(BatchMeta, frames) == 96);
    assert!(offset_of!(FrameMeta, batch_id) == 44 && offset_of!(FrameMeta, buf_pts) == 56);
    assert!(offset_of!(FrameMeta, source_id) == 72 && offset_of!(FrameMeta, objects) == 104);
    assert!(offset_of!(FrameMeta, users) == 120 && offset_of!(FrameMeta, pipeline_width) == 160);
    assert!(offset_of!(ObjectMeta, class) == 52 && offset_of!(ObjectMeta, id) == 56);
    assert!(offset_of!(ObjectMeta, confidence) == 96 && offset_of!(ObjectMeta, rect) == 104);
    assert!(size_of::<TextParams>() == 104 && size_of::<UserMeta>() == USER_SIZE as usize);
};

/// Where an object's fields are in one version of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub text: usize,
    pub label: usize,
}

/// Sizes of the elements of a batch's pools, which tell the version: `nvds_version()` is in a library that need not be
/// there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    pub object: u32,
    pub frame: u32,
    pub user: u32,
}

impl Sizes {
    /// # Safety
    /// `batch` must be a batch meta of the library.
    pub(super) unsafe fn of(batch: *const BatchMeta) -> Self {
        let size = |pool: *const MetaPool| {
            // SAFETY: a pool of the batch is null or lives as long as it.
            unsafe { pool.as_ref() }.map_or(0, |pool| pool.element_size)
        };
        // SAFETY: the caller's promise.
        let batch = unsafe { &*batch };
        Self {
            object: size(batch.object_pool),
            frame: size(batch.frame_pool),
            user: size(batch.user_pool),
        }
    }

    /// `None` for a version that we do not know.
    pub(super) fn layout(self) -> Option<Layout> {
        match self {
            // 6.2 to 7.1, and 8.0, whose frames also name their sensor.
            Self {
                object: 544,
                frame: 200 | 232,
                user: USER_SIZE,
            } => Some(Layout { text: 232, label: 336 }),
            // 9.0 and 9.1.
            Self {
                object: 552,
                frame: 232,
                user: USER_SIZE,
            } => Some(Layout { text: 240, label: 344 }),
            _ => None,
        }
    }
}

/// The number of `NVDS_CUSTOM_MSG_BLOB` where `NVDS_AUDIO_BATCH_META` has `audio_batch`, or `None` where we do not know.
///
/// The number grew whenever a kind of metadata was added: 22 in 6.2, 29 from 8.0 on. The kinds from the audio batch to
/// the custom message follow each other unchanged in all these versions, and all additions came before them; so the
/// library's own number of the former gives the latter.
pub(super) fn custom_message(audio_batch: c_int) -> Option<c_int> {
    (18..=25).contains(&audio_batch).then_some(audio_batch + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_tell_the_layout() {
        let layout = |object, frame, user| Sizes { object, frame, user }.layout();
        assert_eq!(layout(544, 200, 48), Some(Layout { text: 232, label: 336 }));
        assert_eq!(layout(544, 232, 48), Some(Layout { text: 232, label: 336 }));
        assert_eq!(layout(552, 232, 48), Some(Layout { text: 240, label: 344 }));
    }

    #[test]
    fn unknown_sizes_have_no_layout() {
        // The second is 5.0, whose frames do not know the size of the picture; the third never was.
        for (object, frame, user) in [
            (0, 0, 0),
            (544, 192, 48),
            (552, 200, 48),
            (560, 232, 48),
            (552, 232, 56),
        ] {
            let sizes = Sizes { object, frame, user };
            assert_eq!(sizes.layout(), None, "{sizes:?}");
        }
    }

    #[test]
    fn the_number_of_the_message_follows_the_audio_batch() {
        assert_eq!([18, 25].map(custom_message), [Some(22), Some(29)]);
        assert_eq!([-1, 0, 17, 26, c_int::MAX].map(custom_message), [None; 5]);
    }
}
