//! A session of the encoder, and what its statuses mean.

use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;

use nunchi_cuda::Context;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use crate::library::{Driver, Functions, Zeroed};
use crate::{Codec, Error};

pub const NEED_MORE_INPUT: u32 = nv::NVENCSTATUS::NV_ENC_ERR_NEED_MORE_INPUT as u32;
pub const ENCODER_BUSY: u32 = nv::NVENCSTATUS::NV_ENC_ERR_ENCODER_BUSY as u32;
const NO_ENCODE_DEVICE: u32 = nv::NVENCSTATUS::NV_ENC_ERR_NO_ENCODE_DEVICE as u32;
const UNSUPPORTED_DEVICE: u32 = nv::NVENCSTATUS::NV_ENC_ERR_UNSUPPORTED_DEVICE as u32;
const DEVICE_NOT_EXIST: u32 = nv::NVENCSTATUS::NV_ENC_ERR_DEVICE_NOT_EXIST as u32;
const OUT_OF_MEMORY: u32 = nv::NVENCSTATUS::NV_ENC_ERR_OUT_OF_MEMORY as u32;
const INCOMPATIBLE_CLIENT_KEY: u32 = nv::NVENCSTATUS::NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY as u32;

/// Names of the statuses from 1 on, as the documentation has them.
const NAMES: [&str; 26] = [
    "NO_ENCODE_DEVICE",
    "UNSUPPORTED_DEVICE",
    "INVALID_ENCODERDEVICE",
    "INVALID_DEVICE",
    "DEVICE_NOT_EXIST",
    "INVALID_PTR",
    "INVALID_EVENT",
    "INVALID_PARAM",
    "INVALID_CALL",
    "OUT_OF_MEMORY",
    "ENCODER_NOT_INITIALIZED",
    "UNSUPPORTED_PARAM",
    "LOCK_BUSY",
    "NOT_ENOUGH_BUFFER",
    "INVALID_VERSION",
    "MAP_FAILED",
    "NEED_MORE_INPUT",
    "ENCODER_BUSY",
    "EVENT_NOT_REGISTERD",
    "GENERIC",
    "INCOMPATIBLE_CLIENT_KEY",
    "UNIMPLEMENTED",
    "RESOURCE_REGISTER_FAILED",
    "RESOURCE_NOT_REGISTERED",
    "RESOURCE_NOT_MAPPED",
    "NEED_MORE_OUTPUT",
];

fn name(status: u32) -> String {
    let known = (status as usize).checked_sub(1).and_then(|index| NAMES.get(index));
    known.map_or_else(|| format!("status {status}"), |name| format!("NV_ENC_ERR_{name}"))
}

pub fn guid(codec: Codec) -> nv::GUID {
    match codec {
        Codec::H264 => nv::NV_ENC_CODEC_H264_GUID,
        Codec::H265 => nv::NV_ENC_CODEC_HEVC_GUID,
        Codec::Av1 => nv::NV_ENC_CODEC_AV1_GUID,
    }
}

/// An open session. What belongs to it must be given back before it is dropped, which ends it.
pub struct Session {
    handle: *mut c_void,
    context: Arc<Context>,
    driver: Arc<Driver>,
}

// SAFETY: a session may be used from any thread, one at a time: all that changes it takes the encoder by &mut.
unsafe impl Send for Session {}

impl Session {
    pub fn open(driver: Arc<Driver>, context: Context) -> Result<Self, Error> {
        let context = Arc::new(context);
        let mut params = Zeroed::<nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>::new();
        let params = params.pointer();
        let mut handle = ptr::null_mut();
        // SAFETY: our own structure, and a context that lives as long as the session.
        let status = unsafe {
            (*params).version = nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER;
            (*params).deviceType = nv::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA;
            (*params).device = context.raw();
            (*params).apiVersion = nv::NVENCAPI_VERSION;
            (driver.nvenc.open_session)(params, &mut handle)
        };
        // Made first: a session that could not be opened must be destroyed too, when there is a handle.
        let session = Self {
            handle,
            context,
            driver,
        };
        match status {
            0 if !handle.is_null() => Ok(session),
            status => Err(session.refused(status)),
        }
    }

    /// Why no session is opened.
    fn refused(&self, status: u32) -> Error {
        let gpu = self.context.gpu.clone();
        match status {
            NO_ENCODE_DEVICE | UNSUPPORTED_DEVICE => Error::NoEncoder { gpu },
            OUT_OF_MEMORY | INCOMPATIBLE_CLIENT_KEY => Error::Sessions {
                gpu,
                reason: name(status),
            },
            // A session without a handle has no last error.
            status => Error::Encode {
                call: "nvEncOpenEncodeSessionEx",
                reason: name(status),
            },
        }
    }

    pub fn context(&self) -> Arc<Context> {
        Arc::clone(&self.context)
    }

    pub fn gpu(&self) -> String {
        self.context.gpu.clone()
    }

    pub fn handle(&self) -> *mut c_void {
        self.handle
    }

    pub fn api(&self) -> &Functions {
        &self.driver.nvenc
    }

    pub fn check(&self, call: &'static str, status: u32) -> Result<(), Error> {
        if status == 0 {
            return Ok(());
        }
        if status == OUT_OF_MEMORY {
            return Err(Error::Memory { during: call });
        }
        let reason = self.reason(status);
        // NVENC gives its general error when the device goes; CUDA tells whether it did.
        let answers = self.context.enter().and_then(|current| current.synchronize());
        if status == DEVICE_NOT_EXIST || answers.is_err() {
            return Err(Error::Lost { call, reason });
        }
        Err(Error::Encode { call, reason })
    }

    /// The status, and what the driver says of it.
    fn reason(&self, status: u32) -> String {
        // SAFETY: a session; the text is the driver's and is copied at once.
        let text = unsafe {
            let text = (self.api().last_error)(self.handle);
            if text.is_null() {
                String::new()
            } else {
                CStr::from_ptr(text).to_string_lossy().trim().to_owned()
            }
        };
        if text.is_empty() {
            name(status)
        } else {
            format!("{}: {text}", name(status))
        }
    }

    /// What the GPU encodes. Never nothing.
    pub fn codecs(&self) -> Result<Vec<Codec>, Error> {
        let (mut count, mut filled) = (0, 0);
        // SAFETY: a session, valid pointers, an array and its length.
        let guids = unsafe {
            self.check(
                "nvEncGetEncodeGUIDCount",
                (self.api().guid_count)(self.handle, &mut count),
            )?;
            let mut guids = vec![nv::GUID::default(); count as usize];
            let status = (self.api().guids)(self.handle, guids.as_mut_ptr(), count, &mut filled);
            self.check("nvEncGetEncodeGUIDs", status)?;
            guids.truncate(filled as usize);
            guids
        };
        let codecs: Vec<_> = Codec::ALL
            .into_iter()
            .filter(|&codec| guids.contains(&guid(codec)))
            .collect();
        if codecs.is_empty() {
            return Err(Error::NoEncoder { gpu: self.gpu() });
        }
        Ok(codecs)
    }

    pub fn capability(&self, codec: Codec, which: nv::NV_ENC_CAPS) -> Result<u32, Error> {
        let mut params = Zeroed::<nv::NV_ENC_CAPS_PARAM>::new();
        let params = params.pointer();
        let mut value: c_int = 0;
        // SAFETY: a session, our own structure, a valid pointer.
        let status = unsafe {
            (*params).version = nv::NV_ENC_CAPS_PARAM_VER;
            (*params).capsToQuery = which;
            (self.api().caps)(self.handle, guid(codec), params, &mut value)
        };
        self.check("nvEncGetEncodeCaps", status)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.handle.is_null() {
            return;
        }
        let current = self.context.enter();
        // SAFETY: the last use of the session.
        let _ = unsafe { (self.api().destroy)(self.handle) };
        drop(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_names() {
        for (status, text) in [
            (
                nv::NVENCSTATUS::NV_ENC_ERR_NO_ENCODE_DEVICE as u32,
                "NV_ENC_ERR_NO_ENCODE_DEVICE",
            ),
            (OUT_OF_MEMORY, "NV_ENC_ERR_OUT_OF_MEMORY"),
            (NEED_MORE_INPUT, "NV_ENC_ERR_NEED_MORE_INPUT"),
            (
                nv::NVENCSTATUS::NV_ENC_ERR_NEED_MORE_OUTPUT as u32,
                "NV_ENC_ERR_NEED_MORE_OUTPUT",
            ),
        ] {
            assert_eq!(name(status), text);
        }
    }

    #[test]
    fn a_status_of_a_newer_driver_is_told_as_a_number() {
        assert_eq!(name(99), "status 99");
    }
}
