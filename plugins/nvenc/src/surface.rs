//! Memory that NVENC reads.

use std::ffi::c_void;

use nunchi_cuda::{Current, DevicePtr};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use crate::library::Zeroed;
use crate::session::Session;
use crate::{Config, Error, Format};

/// A registered piece of memory of the GPU that holds one frame.
#[derive(Debug)]
pub struct Surface {
    pub pointer: DevicePtr,
    pub pitch: usize,
    registered: *mut c_void,
    /// Allocated here, not by whoever gives frames.
    own: bool,
}

impl Surface {
    /// New memory for a frame.
    pub fn allocate(session: &Session, current: &Current, config: &Config) -> Result<Self, Error> {
        let (width, height) = (config.width as usize, config.height as usize);
        let row = config.format.planes(width, height)[0].0;
        let (pointer, pitch) = current.allocate(row, config.format.rows(height))?;
        match register(session, config, pointer, pitch) {
            Ok(registered) => Ok(Self {
                pointer,
                pitch,
                registered,
                own: true,
            }),
            Err(error) => {
                current.free(pointer);
                Err(error)
            }
        }
    }

    /// Somebody else's memory, as it is.
    pub fn foreign(session: &Session, config: &Config, pointer: DevicePtr, pitch: usize) -> Result<Self, Error> {
        Ok(Self {
            pointer,
            pitch,
            registered: register(session, config, pointer, pitch)?,
            own: false,
        })
    }

    pub fn map(&self, session: &Session) -> Result<*mut c_void, Error> {
        let mut params = Zeroed::<nv::NV_ENC_MAP_INPUT_RESOURCE>::new();
        let params = params.pointer();
        // SAFETY: a session, our own structure, a registered resource.
        unsafe {
            (*params).version = nv::NV_ENC_MAP_INPUT_RESOURCE_VER;
            (*params).registeredResource = self.registered;
            let status = (session.api().map)(session.handle(), params);
            session.check("nvEncMapInputResource", status)?;
            Ok((*params).mappedResource)
        }
    }

    /// Gives everything back. Failures have no remedy: the session ends with them.
    pub fn release(self, session: &Session, current: &Current) {
        // SAFETY: registered once, in the constructor; not mapped.
        let _ = unsafe { (session.api().unregister)(session.handle(), self.registered) };
        if self.own {
            current.free(self.pointer);
        }
    }
}

fn register(session: &Session, config: &Config, pointer: DevicePtr, pitch: usize) -> Result<*mut c_void, Error> {
    let wrong = |_| Error::Config(format!("rows of {pitch} bytes are too long"));
    let mut params = Zeroed::<nv::NV_ENC_REGISTER_RESOURCE>::new();
    let params = params.pointer();
    // SAFETY: a session and our own structure; the memory is as large as the format says.
    unsafe {
        (*params).version = nv::NV_ENC_REGISTER_RESOURCE_VER;
        (*params).resourceType = nv::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        (*params).resourceToRegister = std::ptr::with_exposed_provenance_mut(pointer as usize);
        (*params).width = config.width;
        (*params).height = config.height;
        (*params).pitch = u32::try_from(pitch).map_err(wrong)?;
        (*params).bufferFormat = buffer_format(config.format);
        (*params).bufferUsage = nv::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE;
        let status = (session.api().register)(session.handle(), params);
        session.check("nvEncRegisterResource", status)?;
        Ok((*params).registeredResource)
    }
}

/// NVENC names packed formats by words of 32 bits, the reverse of their bytes.
pub fn buffer_format(format: Format) -> nv::NV_ENC_BUFFER_FORMAT {
    use nv::NV_ENC_BUFFER_FORMAT::*;
    match format {
        Format::Nv12 => NV_ENC_BUFFER_FORMAT_NV12,
        Format::I420 => NV_ENC_BUFFER_FORMAT_IYUV,
        Format::Yv12 => NV_ENC_BUFFER_FORMAT_YV12,
        Format::P010 => NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
        Format::Bgra => NV_ENC_BUFFER_FORMAT_ARGB,
        Format::Rgba => NV_ENC_BUFFER_FORMAT_ABGR,
    }
}
