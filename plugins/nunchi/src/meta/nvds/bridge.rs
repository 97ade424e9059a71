//! The library's functions, and what is done with them.

use super::{
    Findings, NvdsError, abi,
    abi::{BATCH_META, BatchMeta, Coordinates, FrameMeta, LABEL_SIZE, Layout, ObjectMeta, Sizes, TextParams, UserMeta},
    blob,
};
use crate::meta::roi::Region;
use gst::glib;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{OsStr, c_int, c_uint};
use std::path::Path;
use std::ptr::NonNull;

/// Depends on libnvds_meta.so, so that all symbols are found through this one.
const LIBRARY: &str = "libnvdsgst_meta.so";
/// Where NVIDIA's packages and containers have it.
const SYSTEM_FOLDER: &str = "/opt/nvidia/deepstream/deepstream/lib";
/// Folder to look in instead.
const VARIABLE: &str = "NUNCHI_NVDS";
/// `dlopen` only what is loaded already (Linux, `bits/dlfcn.h`).
const RTLD_NOLOAD: c_int = 4;
/// Frames looked at in a batch: more than any muxer puts into one, so that a broken list ends.
const MAX_FRAMES: usize = 4096;

// nvdsosd draws with these, as it does with what nvinfer adds.
const BORDER_WIDTH: c_uint = 3;
const BORDER_COLOUR: abi::Colour = [0.1, 0.9, 0.3, 1.0];
const FONT_SIZE: c_uint = 10;
const WHITE: abi::Colour = [1.0; 4];
const BLACK: abi::Colour = [0.0, 0.0, 0.0, 1.0];

type OnBatch = unsafe extern "C" fn(*mut BatchMeta);
type AcquireObject = unsafe extern "C" fn(*mut BatchMeta) -> *mut ObjectMeta;
type AcquireUser = unsafe extern "C" fn(*mut BatchMeta) -> *mut UserMeta;

/// The functions used of libnvdsgst_meta and libnvds_meta.
pub struct Bridge {
    batch_of: unsafe extern "C" fn(*mut gst::ffi::GstBuffer) -> *mut BatchMeta,
    lock: OnBatch,
    unlock: OnBatch,
    acquire_object: AcquireObject,
    add_object: unsafe extern "C" fn(*mut FrameMeta, *mut ObjectMeta, *mut ObjectMeta),
    acquire_user: AcquireUser,
    add_user: unsafe extern "C" fn(*mut FrameMeta, *mut UserMeta),
    /// `NVDS_CUSTOM_MSG_BLOB` in this version.
    message_type: c_int,
    // The function pointers are valid for as long as the library stays loaded: as long as this.
    _library: Library,
}

impl Bridge {
    /// Opens the library that the process already has, else the one in the folder `NUNCHI_NVDS`, else DeepStream's own.
    ///
    /// # Errors
    /// No library, or a version that is not known.
    pub fn find() -> Result<Self, NvdsError> {
        // A second copy would not know what the first one has attached: the process comes first.
        // SAFETY: opens nothing that is not there already.
        if let Ok(library) = unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD) } {
            return Self::with(library);
        }
        let folder = std::env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
        Self::open_in(Path::new(folder.as_deref().unwrap_or(OsStr::new(SYSTEM_FOLDER))))
    }

    /// Opens the library in a folder.
    ///
    /// # Errors
    /// As [`Bridge::find`].
    pub fn open_in(folder: &Path) -> Result<Self, NvdsError> {
        let path = folder.join(LIBRARY);
        // SAFETY: the library's constructors do nothing but what GLib's and GStreamer's, which have run, do.
        let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
            NvdsError::LibraryMissing {
                path,
                reason: error.to_string(),
            }
        })?;
        Self::with(library)
    }

    fn with(library: Library) -> Result<Self, NvdsError> {
        /// # Safety
        /// `T` must be the type of the function of that name.
        unsafe fn get<T: Copy>(library: &Library, name: &'static str) -> Result<T, NvdsError> {
            // SAFETY: the caller's promise.
            unsafe { library.get::<T>(name.as_bytes()) }
                .map(|symbol| *symbol)
                .map_err(|_| NvdsError::SymbolMissing { name })
        }
        // SAFETY: the types are the declarations in nvdsmeta.h, nvds_audio_meta.h and gstnvdsmeta.h, unchanged from 6.2 to 9.1.
        unsafe {
            let message_type = message_type(
                get(&library, "nvds_create_audio_batch_meta")?,
                get(&library, "nvds_destroy_audio_batch_meta")?,
            )?;
            Ok(Self {
                batch_of: get(&library, "gst_buffer_get_nvds_batch_meta")?,
                lock: get(&library, "nvds_acquire_meta_lock")?,
                unlock: get(&library, "nvds_release_meta_lock")?,
                acquire_object: get(&library, "nvds_acquire_obj_meta_from_pool")?,
                add_object: get(&library, "nvds_add_obj_meta_to_frame")?,
                acquire_user: get(&library, "nvds_acquire_user_meta_from_pool")?,
                add_user: get(&library, "nvds_add_user_meta_to_frame")?,
                message_type,
                _library: library,
            })
        }
    }

    /// Appends what was found to the buffer's batch meta. Does nothing where the buffer has none, or one of audio.
    ///
    /// # Errors
    /// A layout that is not known, a batch without a frame that is this picture, or an exhausted pool; what was appended
    /// before stays.
    pub fn append(&self, buffer: &mut gst::BufferRef, findings: &Findings<'_>) -> Result<(), NvdsError> {
        // SAFETY: the buffer is ours, and its metas live as long as it.
        let Some(batch) = NonNull::new(unsafe { (self.batch_of)(buffer.as_mut_ptr()) }) else {
            return Ok(());
        };
        let messages: Vec<String> = findings.events.iter().filter_map(blob::json).collect();
        let batch = Locked::new(self, batch);
        // SAFETY: a batch meta of the library, and its lock is held: nobody else changes it meanwhile.
        unsafe {
            if batch.meta().base.meta_type != BATCH_META {
                return Ok(());
            }
            let sizes = Sizes::of(batch.pointer.as_ptr());
            let layout = sizes.layout().ok_or(NvdsError::UnknownLayout(sizes))?;
            let frame = batch.frame()?;
            let scale = scale(frame.as_ref(), findings.size);
            for region in findings.regions {
                batch.add_object(frame, layout, region, scale, findings.component)?;
            }
            if findings.inferred {
                // nvtracker takes the objects of such frames for detections and follows those of the others by itself.
                (*frame.as_ptr()).inferred = glib::ffi::GTRUE;
            }
            for message in &messages {
                batch.add_message(frame, message)?;
            }
        }
        Ok(())
    }
}

/// The number of `NVDS_CUSTOM_MSG_BLOB`, by that of an audio batch.
///
/// # Safety
/// The functions must be `nvds_create_audio_batch_meta` and `nvds_destroy_audio_batch_meta`.
unsafe fn message_type(
    create: unsafe extern "C" fn(c_uint) -> *mut BatchMeta,
    destroy: unsafe extern "C" fn(*mut BatchMeta) -> glib::ffi::gboolean,
) -> Result<c_int, NvdsError> {
    // SAFETY: the caller's promise; what was created is destroyed and used no more.
    let audio_batch = unsafe {
        let batch = create(1);
        let Some(meta_type) = batch.as_ref().map(|batch| batch.base.meta_type) else {
            return Err(NvdsError::UnknownVersion { audio_batch: -1 });
        };
        destroy(batch);
        meta_type
    };
    abi::custom_message(audio_batch).ok_or(NvdsError::UnknownVersion { audio_batch })
}

/// A batch meta whose lock is held.
struct Locked<'a> {
    bridge: &'a Bridge,
    pointer: NonNull<BatchMeta>,
}

impl<'a> Locked<'a> {
    fn new(bridge: &'a Bridge, pointer: NonNull<BatchMeta>) -> Self {
        // SAFETY: a batch meta of the library; the lock is recursive, so that the pools' own locking goes through.
        unsafe { (bridge.lock)(pointer.as_ptr()) };
        Self { bridge, pointer }
    }

    fn meta(&self) -> &BatchMeta {
        // SAFETY: the batch meta lives as long as the buffer, which the caller of `append` holds.
        unsafe { self.pointer.as_ref() }
    }

    /// The frame that is this picture: the only one, or else the one on the batch's first surface. A buffer in system
    /// memory holds one picture, so that what is on other surfaces cannot be meant.
    ///
    /// # Safety
    /// The list must be one of frame metas; that it ends is not taken for granted.
    unsafe fn frame(&self) -> Result<NonNull<FrameMeta>, NvdsError> {
        let most = (self.meta().num_frames as usize).min(MAX_FRAMES);
        let mut frames = Vec::new();
        let mut link = self.meta().frames;
        // SAFETY: the caller's promise.
        while let Some(item) = unsafe { link.as_ref() } {
            match NonNull::new(item.data.cast::<FrameMeta>()) {
                Some(frame) if frames.len() < most => frames.push(frame),
                _ => return Err(NvdsError::BrokenList),
            }
            link = item.next;
        }
        if let [only] = frames[..] {
            return Ok(only);
        }
        let count = frames.len();
        // SAFETY: as above.
        frames.retain(|frame| unsafe { frame.as_ref() }.batch_id == 0);
        match frames[..] {
            [first] => Ok(first),
            _ => Err(NvdsError::NoFrame { frames: count }),
        }
    }

    /// # Safety
    /// `frame` must be one of the batch, whose objects have that layout.
    unsafe fn add_object(
        &self,
        frame: NonNull<FrameMeta>,
        layout: Layout,
        region: &Region,
        scale: (f32, f32),
        component: i32,
    ) -> Result<(), NvdsError> {
        // SAFETY: the pool's elements are zeroed and as large as the layout says, which the sizes have shown.
        unsafe {
            let object = (self.bridge.acquire_object)(self.pointer.as_ptr());
            if object.is_null() {
                return Err(NvdsError::PoolExhausted { what: "objects" });
            }
            let rect = scaled(region.rect, scale);
            (*object).component = component;
            (*object).class = region.label_id;
            (*object).id = region.track_id;
            (*object).confidence = Some(region.confidence as f32).filter(|c| c.is_finite()).unwrap_or(0.0);
            (*object).detector_box = rect;
            (*object).rect = rect;
            (*object).border_width = BORDER_WIDTH;
            (*object).border_colour = BORDER_COLOUR;
            let label = label(region.label);
            let start = object.cast::<u8>();
            let target = start.add(layout.label);
            target.write_bytes(0, LABEL_SIZE);
            target.copy_from_nonoverlapping(label.as_ptr(), label.len());
            start.add(layout.text).cast::<TextParams>().write(TextParams {
                text: glib::ffi::g_strndup(label.as_ptr().cast(), label.len()),
                x: rect[0] as c_uint,
                y: rect[1] as c_uint,
                font_name: c"Serif".as_ptr(),
                font_size: FONT_SIZE,
                font_colour: WHITE,
                has_background: glib::ffi::GTRUE,
                background: BLACK,
            });
            (self.bridge.add_object)(frame.as_ptr(), object, std::ptr::null_mut());
        }
        Ok(())
    }

    /// # Safety
    /// `frame` must be one of the batch.
    unsafe fn add_message(&self, frame: NonNull<FrameMeta>, text: &str) -> Result<(), NvdsError> {
        // SAFETY: the pool's elements are user metas, whose size was checked.
        unsafe {
            let user = (self.bridge.acquire_user)(self.pointer.as_ptr());
            if user.is_null() {
                return Err(NvdsError::PoolExhausted { what: "user metadata" });
            }
            (*user).data = blob::new(text).cast();
            (*user).base.meta_type = self.bridge.message_type;
            (*user).base.copy = Some(blob::copy);
            (*user).base.release = Some(blob::release);
            (self.bridge.add_user)(frame.as_ptr(), user);
        }
        Ok(())
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: the lock was taken by this thread when this was made.
        unsafe { (self.bridge.unlock)(self.pointer.as_ptr()) };
    }
}

/// From pixels of the picture to DeepStream's: those of the muxer's output, or of the source where the muxer does not
/// scale. That is how nvmsgconv reads boxes.
fn scale(frame: &FrameMeta, size: (u32, u32)) -> (f32, f32) {
    let factor = |ours: u32, theirs: [c_uint; 2]| {
        let theirs = theirs.into_iter().find(|side| *side != 0).unwrap_or(ours);
        theirs as f32 / ours.max(1) as f32
    };
    (
        factor(size.0, [frame.pipeline_width, frame.source_width]),
        factor(size.1, [frame.pipeline_height, frame.source_height]),
    )
}

fn scaled((x, y, w, h): (u32, u32, u32, u32), (by_x, by_y): (f32, f32)) -> Coordinates {
    [x as f32 * by_x, y as f32 * by_y, w as f32 * by_x, h as f32 * by_y]
}

/// As much of a label as DeepStream holds: whole characters, and nothing behind a zero.
fn label(text: &str) -> &str {
    let text = text.split('\0').next().unwrap_or_default();
    &text[..text.floor_char_boundary(LABEL_SIZE - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_end_at_whole_characters() {
        assert_eq!(label("face"), "face");
        assert_eq!(label(""), "");
        assert_eq!(label(&"x".repeat(127)).len(), 127);
        assert_eq!(label(&"x".repeat(500)).len(), 127);
        // Three bytes each: 42 of them are 126 bytes.
        assert_eq!(label(&"얼".repeat(43)), "얼".repeat(42));
        assert_eq!(label("face\0hidden"), "face");
    }

    #[test]
    fn a_box_without_a_picture_stays_finite() {
        // SAFETY: numbers and null pointers.
        let frame: FrameMeta = unsafe { std::mem::zeroed() };
        let rect = scaled((1, 2, 3, 4), scale(&frame, (0, 0)));
        assert!(rect.iter().all(|v| v.is_finite()), "{rect:?}");
    }
}
