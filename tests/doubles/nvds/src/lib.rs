//! Stands in for libnvds_meta and libnvdsgst_meta of DeepStream 6.2, whose own are in no package: the functions that our
//! bridge and its tests use, with the sizes, offsets and numbers of that version, after its public headers.
//!
//! Two things differ from NVIDIA's. A pool never grows, so that tests can exhaust it. And lists are not followed beyond
//! what the batch says it holds, so that a test may leave one broken.
#![allow(
    clippy::missing_safety_doc,
    reason = "C functions, documented by the headers that they stand in for"
)]

use gst::{ffi, glib};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

const BATCH_META: c_int = 1;
const FRAME_META: c_int = 2;
const OBJECT_META: c_int = 3;
const USER_META: c_int = 7;
/// `NVDS_BATCH_GST_META`.
const BATCH_GST_META: c_int = 4097;

const FRAME_SIZE: c_uint = 200;
const OBJECT_SIZE: c_uint = 544;
const USER_SIZE: c_uint = 48;
/// `text_params.display_text` of an object.
const DISPLAY_TEXT: usize = 232;

type CopyFn = unsafe extern "C" fn(*mut c_void, *mut c_void) -> *mut c_void;
type ReleaseFn = unsafe extern "C" fn(*mut c_void, *mut c_void);
type List = *mut glib::ffi::GList;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Base {
    batch: *mut Batch,
    meta_type: c_int,
    context: *mut c_void,
    copy: Option<CopyFn>,
    release: Option<ReleaseFn>,
}

#[repr(C)]
pub struct Pool {
    meta_type: c_int,
    max_elements: c_uint,
    element_size: c_uint,
    num_empty: c_uint,
    num_full: c_uint,
    empty: List,
    full: List,
    copy: Option<CopyFn>,
    release: Option<ReleaseFn>,
}

#[repr(C)]
pub struct Batch {
    base: Base,
    max_frames: c_uint,
    num_frames: c_uint,
    frame_pool: *mut Pool,
    object_pool: *mut Pool,
    classifier_pool: *mut Pool,
    display_pool: *mut Pool,
    user_pool: *mut Pool,
    label_pool: *mut Pool,
    frames: List,
    users: List,
    mutex: glib::ffi::GRecMutex,
    misc: [i64; 4],
    reserved: [i64; 4],
}

#[repr(C)]
pub struct Frame {
    base: Base,
    before: [u8; 56],
    num_objects: c_uint,
    inferred: c_int,
    objects: List,
    displays: List,
    users: List,
    behind: [u8; 72],
}

#[repr(C)]
pub struct Object {
    base: Base,
    parent: *mut Object,
    behind: [u8; 496],
}

#[repr(C)]
pub struct User {
    base: Base,
    data: *mut c_void,
}

const _: () = {
    assert!(size_of::<Frame>() == FRAME_SIZE as usize && size_of::<Object>() == OBJECT_SIZE as usize);
    assert!(size_of::<User>() == USER_SIZE as usize && std::mem::offset_of!(Frame, objects) == 104);
};

/// `NvDsMeta`.
#[repr(C)]
pub struct GstNvDsMeta {
    meta: ffi::GstMeta,
    data: *mut c_void,
    user_data: *mut c_void,
    meta_type: c_int,
    copy: Option<CopyFn>,
    release: Option<ReleaseFn>,
    transform_to_user: *mut c_void,
    release_of_user: *mut c_void,
}

/// What [`nvds_create_audio_batch_meta`] says of itself: `NVDS_AUDIO_BATCH_META`.
static AUDIO_BATCH_META: AtomicI32 = AtomicI32::new(18);

/// Makes the double number its kinds of metadata otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn nvds_double_set_audio_batch_meta(meta_type: c_int) {
    AUDIO_BATCH_META.store(meta_type, Ordering::Relaxed);
}

// What makes the rest safe: these are C functions, called as the headers say: with elements of one batch that lives.

unsafe fn new_pool(
    batch: *mut Batch,
    count: c_uint,
    size: c_uint,
    meta_type: c_int,
    release: Option<ReleaseFn>,
) -> *mut Pool {
    // SAFETY: see above.
    unsafe {
        let mut empty: List = null_mut();
        for _ in 0..count {
            let element = glib::ffi::g_malloc0(size as usize).cast::<Base>();
            (*element).batch = batch;
            (*element).meta_type = meta_type;
            (*element).release = release;
            empty = glib::ffi::g_list_prepend(empty, element.cast());
        }
        let pool = glib::ffi::g_malloc0(size_of::<Pool>()).cast::<Pool>();
        (*pool).meta_type = meta_type;
        (*pool).max_elements = count;
        (*pool).element_size = size;
        (*pool).num_empty = count;
        (*pool).empty = empty;
        (*pool).release = release;
        pool
    }
}

unsafe fn free_pool(pool: *mut Pool) {
    // SAFETY: see above.
    unsafe {
        if pool.is_null() {
            return;
        }
        let mut link = (*pool).full;
        while !link.is_null() {
            let element = (*link).data;
            if let Some(release) = (*element.cast::<Base>()).release {
                release(element, null_mut());
            }
            link = (*link).next;
        }
        glib::ffi::g_list_free_full((*pool).empty, Some(glib::ffi::g_free));
        glib::ffi::g_list_free_full((*pool).full, Some(glib::ffi::g_free));
        glib::ffi::g_free(pool.cast());
    }
}

/// NULL when the pool is empty.
unsafe fn acquire(batch: *mut Batch, pool: *mut Pool) -> *mut c_void {
    // SAFETY: see above.
    unsafe {
        nvds_acquire_meta_lock(batch);
        let mut element = null_mut();
        let link = (*pool).empty;
        if !link.is_null() {
            (*pool).empty = glib::ffi::g_list_remove_link(link, link);
            (*pool).full = glib::ffi::g_list_concat(link, (*pool).full);
            (*pool).num_empty -= 1;
            (*pool).num_full += 1;
            element = (*link).data;
        }
        nvds_release_meta_lock(batch);
        element
    }
}

/// Everything of an element back to zero but what it begins with.
unsafe fn wipe(element: *mut c_void, size: c_uint) {
    // SAFETY: see above.
    unsafe {
        let rest = size_of::<Base>();
        element.cast::<u8>().add(rest).write_bytes(0, size as usize - rest);
    }
}

unsafe extern "C" fn release_object(data: *mut c_void, _: *mut c_void) {
    // SAFETY: see above.
    unsafe {
        glib::ffi::g_free(data.cast::<u8>().add(DISPLAY_TEXT).cast::<*mut c_void>().read());
        wipe(data, OBJECT_SIZE);
    }
}

/// The frame's elements are released by their pools, which go with it.
unsafe extern "C" fn release_frame(data: *mut c_void, _: *mut c_void) {
    // SAFETY: see above.
    unsafe {
        glib::ffi::g_list_free((*data.cast::<Frame>()).objects);
        glib::ffi::g_list_free((*data.cast::<Frame>()).users);
        wipe(data, FRAME_SIZE);
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_create_batch_meta(frames: c_uint) -> *mut Batch {
    // SAFETY: see above.
    unsafe {
        let batch = glib::ffi::g_malloc0(size_of::<Batch>()).cast::<Batch>();
        glib::ffi::g_rec_mutex_init(&raw mut (*batch).mutex);
        (*batch).base.batch = batch;
        (*batch).base.meta_type = BATCH_META;
        (*batch).frame_pool = new_pool(batch, frames, FRAME_SIZE, FRAME_META, Some(release_frame));
        (*batch).object_pool = new_pool(batch, 8 * frames, OBJECT_SIZE, OBJECT_META, Some(release_object));
        (*batch).user_pool = new_pool(batch, 8, USER_SIZE, USER_META, None);
        batch
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_destroy_batch_meta(batch: *mut Batch) -> glib::ffi::gboolean {
    // SAFETY: see above.
    unsafe {
        free_pool((*batch).frame_pool);
        free_pool((*batch).object_pool);
        free_pool((*batch).user_pool);
        glib::ffi::g_list_free((*batch).frames);
        glib::ffi::g_rec_mutex_clear(&raw mut (*batch).mutex);
        glib::ffi::g_free(batch.cast());
        glib::ffi::GTRUE
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_create_audio_batch_meta(frames: c_uint) -> *mut Batch {
    // SAFETY: see above.
    unsafe {
        let batch = nvds_create_batch_meta(frames);
        (*batch).base.meta_type = AUDIO_BATCH_META.load(Ordering::Relaxed);
        batch
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_destroy_audio_batch_meta(batch: *mut Batch) -> glib::ffi::gboolean {
    // SAFETY: see above.
    unsafe { nvds_destroy_batch_meta(batch) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_acquire_meta_lock(batch: *mut Batch) {
    // SAFETY: see above.
    unsafe { glib::ffi::g_rec_mutex_lock(&raw mut (*batch).mutex) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_release_meta_lock(batch: *mut Batch) {
    // SAFETY: see above.
    unsafe { glib::ffi::g_rec_mutex_unlock(&raw mut (*batch).mutex) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_acquire_frame_meta_from_pool(batch: *mut Batch) -> *mut Frame {
    // SAFETY: see above.
    unsafe { acquire(batch, (*batch).frame_pool).cast() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_acquire_obj_meta_from_pool(batch: *mut Batch) -> *mut Object {
    // SAFETY: see above.
    unsafe { acquire(batch, (*batch).object_pool).cast() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_acquire_user_meta_from_pool(batch: *mut Batch) -> *mut User {
    // SAFETY: see above.
    unsafe { acquire(batch, (*batch).user_pool).cast() }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_add_frame_meta_to_batch(batch: *mut Batch, frame: *mut Frame) {
    // SAFETY: see above.
    unsafe {
        (*batch).frames = glib::ffi::g_list_append((*batch).frames, frame.cast());
        (*batch).num_frames += 1;
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_add_obj_meta_to_frame(frame: *mut Frame, object: *mut Object, parent: *mut Object) {
    // SAFETY: see above.
    unsafe {
        (*frame).objects = glib::ffi::g_list_prepend((*frame).objects, object.cast());
        (*object).parent = parent;
        (*frame).num_objects += 1;
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_add_user_meta_to_frame(frame: *mut Frame, user: *mut User) {
    // SAFETY: see above.
    unsafe { (*frame).users = glib::ffi::g_list_prepend((*frame).users, user.cast()) }
}

unsafe fn copy_frame(from: *mut Frame, batch: *mut Batch) {
    // SAFETY: see above.
    unsafe {
        let to = nvds_acquire_frame_meta_from_pool(batch);
        (*to).before = (*from).before;
        (*to).inferred = (*from).inferred;
        (*to).behind = (*from).behind;
        nvds_add_frame_meta_to_batch(batch, to);
        let mut link = (*from).objects;
        while !link.is_null() {
            let (source, object) = ((*link).data.cast::<Object>(), nvds_acquire_obj_meta_from_pool(batch));
            (*object).behind = (*source).behind;
            let text = object.cast::<u8>().add(DISPLAY_TEXT).cast::<*mut c_char>();
            text.write(glib::ffi::g_strdup(text.read()));
            nvds_add_obj_meta_to_frame(to, object, null_mut());
            link = (*link).next;
        }
        let mut link = (*from).users;
        while !link.is_null() {
            let source = (*link).data.cast::<User>();
            if let Some(copy) = (*source).base.copy {
                let user = nvds_acquire_user_meta_from_pool(batch);
                (*user).base = Base {
                    batch,
                    ..(*source).base
                };
                (*user).data = copy(source.cast(), null_mut());
                nvds_add_user_meta_to_frame(to, user);
            }
            link = (*link).next;
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_batch_meta_copy_func(data: *mut c_void, _: *mut c_void) -> *mut c_void {
    // SAFETY: see above.
    unsafe {
        let from = data.cast::<Batch>();
        nvds_acquire_meta_lock(from);
        let batch = nvds_create_batch_meta((*from).max_frames);
        (*batch).max_frames = (*from).max_frames;
        let mut link = (*from).frames;
        for _ in 0..(*from).num_frames {
            copy_frame((*link).data.cast(), batch);
            link = (*link).next;
        }
        nvds_release_meta_lock(from);
        batch.cast()
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvds_batch_meta_release_func(data: *mut c_void, _: *mut c_void) {
    // SAFETY: see above.
    unsafe {
        nvds_destroy_batch_meta(data.cast());
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvds_meta_api_get_type() -> glib::ffi::GType {
    static API: OnceLock<glib::ffi::GType> = OnceLock::new();
    *API.get_or_init(|| {
        let mut tags = [c"nvdsmeta".as_ptr(), std::ptr::null()];
        // SAFETY: a list of strings that ends with null.
        unsafe { ffi::gst_meta_api_type_register(c"NvDsMetaAPI".as_ptr(), tags.as_mut_ptr()) }
    })
}

unsafe extern "C" fn init(_: *mut ffi::GstMeta, _: *mut c_void, _: *mut ffi::GstBuffer) -> glib::ffi::gboolean {
    glib::ffi::GTRUE
}

unsafe extern "C" fn free(meta: *mut ffi::GstMeta, _: *mut ffi::GstBuffer) {
    // SAFETY: see above.
    unsafe {
        let meta = meta.cast::<GstNvDsMeta>();
        if let Some(release) = (*meta).release {
            release((*meta).data, (*meta).user_data);
        }
    }
}

unsafe extern "C" fn transform(
    to: *mut ffi::GstBuffer,
    meta: *mut ffi::GstMeta,
    _: *mut ffi::GstBuffer,
    kind: glib::ffi::GQuark,
    _: *mut c_void,
) -> glib::ffi::gboolean {
    // SAFETY: see above.
    unsafe {
        if kind == glib::ffi::g_quark_from_string(c"gst-copy".as_ptr())
            && let Some(copy) = (*meta.cast::<GstNvDsMeta>()).copy
        {
            let from = meta.cast::<GstNvDsMeta>();
            let data = copy((*from).data, null_mut());
            let made = gst_buffer_add_nvds_meta(to, data, null_mut(), (*from).copy, (*from).release);
            (*made).meta_type = (*from).meta_type;
        }
        glib::ffi::GTRUE
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvds_meta_get_info() -> *const ffi::GstMetaInfo {
    static INFO: OnceLock<usize> = OnceLock::new();
    *INFO.get_or_init(|| {
        // SAFETY: the functions are those of this meta.
        let info = unsafe {
            ffi::gst_meta_register(
                nvds_meta_api_get_type(),
                c"NvDsMeta".as_ptr(),
                size_of::<GstNvDsMeta>(),
                Some(init),
                Some(free),
                Some(transform),
            )
        };
        info as usize
    }) as *const _
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gst_buffer_add_nvds_meta(
    buffer: *mut ffi::GstBuffer,
    data: *mut c_void,
    user_data: *mut c_void,
    copy: Option<CopyFn>,
    release: Option<ReleaseFn>,
) -> *mut GstNvDsMeta {
    // SAFETY: see above.
    unsafe {
        let meta = ffi::gst_buffer_add_meta(buffer, nvds_meta_get_info(), null_mut()).cast::<GstNvDsMeta>();
        (*meta).data = data;
        (*meta).user_data = user_data;
        (*meta).copy = copy;
        (*meta).release = release;
        meta
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn gst_buffer_get_nvds_batch_meta(buffer: *mut ffi::GstBuffer) -> *mut Batch {
    // SAFETY: see above.
    unsafe {
        let meta = ffi::gst_buffer_get_meta(buffer, nvds_meta_api_get_type()).cast::<GstNvDsMeta>();
        match meta.as_ref() {
            Some(meta) if meta.meta_type == BATCH_GST_META => meta.data.cast(),
            _ => null_mut(),
        }
    }
}
