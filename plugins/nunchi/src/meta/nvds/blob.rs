//! Events as custom messages: one JSON object per event, in memory that the library copies and frees through us.

use super::abi::{CustomMessage, UserMeta};
use gst::glib;
use nunchi_events::{Event, SCHEMA_VERSION};
use std::ffi::{c_uint, c_void};

/// The event as a JSON object with `"version": 1`. A number that is none becomes `null`.
pub(super) fn json(event: &Event) -> Option<String> {
    let mut value = serde_json::to_value(event).ok()?;
    value
        .as_object_mut()?
        .insert("version".to_owned(), SCHEMA_VERSION.into());
    Some(value.to_string())
}

/// A message with its own copy of `text`, closed by a zero that `size` does not count: readers of both kinds exist.
pub(super) fn new(text: &str) -> *mut CustomMessage {
    // SAFETY: the pointer and the length are those of the string; the allocations are as large as what is written.
    unsafe { allocate(text.as_ptr(), text.len()) }
}

/// # Safety
/// `size` bytes must be readable at `text`.
unsafe fn allocate(text: *const u8, size: usize) -> *mut CustomMessage {
    // SAFETY: g_malloc returns that much memory or ends the process; the rest is the caller's promise.
    unsafe {
        let bytes = glib::ffi::g_malloc(size + 1).cast::<u8>();
        text.copy_to_nonoverlapping(bytes, size);
        bytes.add(size).write(0);
        let message = glib::ffi::g_malloc(size_of::<CustomMessage>()).cast::<CustomMessage>();
        message.write(CustomMessage {
            text: bytes.cast(),
            size: size as c_uint,
        });
        message
    }
}

/// `NvDsMetaCopyFunc`: a copy of the message of the user meta `data`.
///
/// Neither this nor [`release`] can panic: they are called from C.
///
/// # Safety
/// `data` must be a user meta that the bridge has filled, or a copy of one.
pub(super) unsafe extern "C" fn copy(data: *mut c_void, _: *mut c_void) -> *mut c_void {
    // SAFETY: the caller's promise; a released meta has no data.
    unsafe {
        let Some(message) = data
            .cast::<UserMeta>()
            .as_ref()
            .and_then(|user| user.data.cast::<CustomMessage>().as_ref())
        else {
            return std::ptr::null_mut();
        };
        allocate(message.text.cast(), message.size as usize).cast()
    }
}

/// `NvDsMetaReleaseFunc`: frees the message of the user meta `data`.
///
/// # Safety
/// As for [`copy`].
pub(super) unsafe extern "C" fn release(data: *mut c_void, _: *mut c_void) {
    // SAFETY: the caller's promise; both allocations are GLib's.
    unsafe {
        let Some(user) = data.cast::<UserMeta>().as_mut() else {
            return;
        };
        // The meta goes back to its pool with these functions still in it: it must not point to what was freed.
        let message = std::mem::replace(&mut user.data, std::ptr::null_mut()).cast::<CustomMessage>();
        if let Some(message) = message.as_ref() {
            glib::ffi::g_free(message.text.cast());
        }
        glib::ffi::g_free(message.cast());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nunchi_events::{AttrValue, State};

    fn user(data: *mut CustomMessage) -> UserMeta {
        UserMeta {
            base: super::super::abi::BaseMeta {
                batch: std::ptr::null_mut(),
                meta_type: 0,
                context: std::ptr::null_mut(),
                copy: None,
                release: None,
            },
            data: data.cast(),
        }
    }

    /// The text of a message, and whether a zero closes it.
    fn text(message: *mut c_void) -> (String, bool) {
        // SAFETY: the tests pass messages of this module.
        unsafe {
            let message = &*message.cast::<CustomMessage>();
            let bytes = std::slice::from_raw_parts(message.text.cast::<u8>(), message.size as usize + 1);
            let (zero, text) = bytes.split_last().unwrap();
            (String::from_utf8(text.to_vec()).unwrap(), *zero == 0)
        }
    }

    #[test]
    fn an_event_is_an_object_of_the_schema() {
        let mut event = Event::new("smile", State::Start, "Smile detected (0.93)");
        event.value = Some(0.93);
        event.track_id = Some(u64::MAX);
        let json = json(&event).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["version"], 1);
        assert_eq!(value["track-id"], u64::MAX);
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    #[test]
    fn a_number_that_is_none_becomes_null() {
        let mut event = Event::new("smile", State::Start, "");
        event.confidence = Some(f64::NAN);
        event.attrs.insert("x_min".into(), AttrValue::Float(f64::INFINITY));
        let value: serde_json::Value = serde_json::from_str(&json(&event).unwrap()).unwrap();
        assert!(value["confidence"].is_null() && value["attrs"]["x_min"].is_null());
    }

    #[test]
    fn a_copy_is_one_of_its_own() {
        for original in ["", "{}", "{\"message\":\"미소 \\u0000 \\\"\"}"] {
            let mut user = user(new(original));
            let data = (&raw mut user).cast();
            // SAFETY: `data` is a user meta of ours.
            unsafe {
                let copied = copy(data, std::ptr::null_mut());
                assert_ne!(copied, user.data);
                assert_eq!(text(user.data), (original.to_owned(), true));
                release(data, std::ptr::null_mut());
                assert!(user.data.is_null());
                assert_eq!(text(copied), (original.to_owned(), true));
                user.data = copied;
                release(data, std::ptr::null_mut());
            }
        }
    }

    #[test]
    fn what_was_released_is_neither_copied_nor_freed_again() {
        let mut user = user(new("x"));
        let data = (&raw mut user).cast();
        // SAFETY: `data` is a user meta of ours; null is allowed.
        unsafe {
            release(data, std::ptr::null_mut());
            release(data, std::ptr::null_mut());
            assert!(copy(data, std::ptr::null_mut()).is_null());
            release(std::ptr::null_mut(), std::ptr::null_mut());
            assert!(copy(std::ptr::null_mut(), std::ptr::null_mut()).is_null());
        }
    }
}
