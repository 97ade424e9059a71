//! `GstAnalyticsRelationMeta` (GStreamer ≥ 1.24), so that stock elements such as `objectdetectionoverlay` understand our
//! boxes.
//!
//! The plugin must load under GStreamer 1.20, so the library is opened at run time. The functions below have kept their
//! signatures since 1.24. One element that looks for a relation tests for `RELATE_TO` (objectdetectionoverlay), another
//! for `CONTAIN` (DL Streamer); `set_relation` assigns rather than adds, hence both bits in one call.

use crate::meta::roi::Region;
use gst::glib::{self, translate::IntoGlib};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{c_float, c_int, c_uint, c_void};
use std::sync::OnceLock;

const SONAME: &str = "libgstanalytics-1.0.so.0";
const REL_TYPE_CONTAIN: c_uint = 1 << 2;
const REL_TYPE_RELATE_TO: c_uint = 1 << 3;

/// `GstAnalyticsMtd`: a handle to an entry of the meta.
#[repr(C)]
struct Mtd {
    id: c_uint,
    meta: *mut c_void,
}

impl Mtd {
    const fn unset() -> Self {
        Mtd {
            id: 0,
            meta: std::ptr::null_mut(),
        }
    }
}

type BufferFn = unsafe extern "C" fn(*mut gst::ffi::GstBuffer) -> *mut c_void;
type AddOd = unsafe extern "C" fn(
    *mut c_void,
    glib::ffi::GQuark,
    c_int,
    c_int,
    c_int,
    c_int,
    c_float,
    *mut Mtd,
) -> glib::ffi::gboolean;
type AddCls = unsafe extern "C" fn(*mut c_void, c_float, glib::ffi::GQuark, *mut Mtd) -> glib::ffi::gboolean;
type AddTracking = unsafe extern "C" fn(*mut c_void, u64, gst::ffi::GstClockTime, *mut Mtd) -> glib::ffi::gboolean;
type SetRelation = unsafe extern "C" fn(*mut c_void, c_uint, c_uint, c_uint) -> glib::ffi::gboolean;

/// The functions used of libgstanalytics.
struct Analytics {
    get_meta: BufferFn,
    add_meta: BufferFn,
    add_od: AddOd,
    add_cls: AddCls,
    add_tracking: AddTracking,
    set_relation: SetRelation,
    // The function pointers are valid for as long as the library stays loaded: for ever, as it lives in a static.
    _library: Library,
}

impl Analytics {
    fn open() -> Option<Self> {
        // SAFETY: loading libgstanalytics runs no code but GLib's and GStreamer's own constructors, which already ran.
        let library = unsafe { Library::open(Some(SONAME), RTLD_NOW | RTLD_LOCAL) }.ok()?;
        // SAFETY: the types above are the declarations in gst/analytics/gstanalyticsmeta.h and gstanalyticsobjectdetectionmtd.h,
        // gstanalyticsclassificationmtd.h, gstanalyticsobjecttrackingmtd.h, unchanged since 1.24.
        unsafe {
            Some(Self {
                get_meta: *library.get(b"gst_buffer_get_analytics_relation_meta\0").ok()?,
                add_meta: *library.get(b"gst_buffer_add_analytics_relation_meta\0").ok()?,
                add_od: *library.get(b"gst_analytics_relation_meta_add_od_mtd\0").ok()?,
                add_cls: *library.get(b"gst_analytics_relation_meta_add_one_cls_mtd\0").ok()?,
                add_tracking: *library.get(b"gst_analytics_relation_meta_add_tracking_mtd\0").ok()?,
                set_relation: *library.get(b"gst_analytics_relation_meta_set_relation\0").ok()?,
                _library: library,
            })
        }
    }

    fn get() -> Option<&'static Self> {
        static ANALYTICS: OnceLock<Option<Analytics>> = OnceLock::new();
        ANALYTICS.get_or_init(Self::open).as_ref()
    }

    fn append(&self, buffer: &mut gst::BufferRef, region: &Region, first_seen: Option<gst::ClockTime>) -> bool {
        let (x, y, w, h) = region.rect;
        let label = glib::Quark::from_str(region.label).into_glib();
        let both = REL_TYPE_CONTAIN | REL_TYPE_RELATE_TO;
        // SAFETY: the buffer is writable (a `&mut BufferRef`), the meta belongs to it and stays valid while it is, and the
        // entries are plain handles that the library fills.
        unsafe {
            let mut meta = (self.get_meta)(buffer.as_mut_ptr());
            if meta.is_null() {
                meta = (self.add_meta)(buffer.as_mut_ptr());
            }
            if meta.is_null() {
                return false;
            }
            let mut object = Mtd::unset();
            let added = (self.add_od)(
                meta,
                label,
                x as c_int,
                y as c_int,
                w as c_int,
                h as c_int,
                region.confidence as c_float,
                &mut object,
            );
            if added == glib::ffi::GFALSE {
                return false;
            }
            let mut tracking = Mtd::unset();
            let seen = first_seen.into_glib();
            if (self.add_tracking)(meta, region.track_id, seen, &mut tracking) != glib::ffi::GFALSE {
                (self.set_relation)(meta, both, object.id, tracking.id);
            }
            for attribute in &region.attributes {
                let class = glib::Quark::from_str(&attribute.label).into_glib();
                let mut cls = Mtd::unset();
                if (self.add_cls)(meta, attribute.confidence as c_float, class, &mut cls) != glib::ffi::GFALSE {
                    (self.set_relation)(meta, both, object.id, cls.id);
                }
            }
        }
        true
    }
}

/// Whether libgstanalytics is there (GStreamer ≥ 1.24).
pub fn is_available() -> bool {
    Analytics::get().is_some()
}

/// Adds the region with its track and its attributes to the buffer's analytics meta. False without the library.
pub fn append(buffer: &mut gst::BufferRef, region: &Region, first_seen: Option<gst::ClockTime>) -> bool {
    Analytics::get().is_some_and(|analytics| analytics.append(buffer, region, first_seen))
}
