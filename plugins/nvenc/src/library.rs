//! The driver's libraries, opened at the first use.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;
use nunchi_cuda::{Missing, Search};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use crate::Error;

/// Both libraries, open. They stay for the life of the process, because the driver keeps threads of its own.
pub struct Driver {
    pub cuda: Arc<nunchi_cuda::Driver>,
    pub nvenc: Functions,
    _file: Library,
}

const NVENC: Search = Search {
    names: &["libnvidia-encode.so.1"],
    variable: "NUNCHI_NVENC",
};

static DRIVER: Mutex<Option<Arc<Driver>>> = Mutex::new(None);

impl Driver {
    /// Opens the libraries at the first call; a failure is tried anew at the next.
    pub fn get() -> Result<Arc<Self>, Error> {
        let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &*driver {
            return Ok(Arc::clone(driver));
        }
        Ok(Arc::clone(driver.insert(Arc::new(Self::open()?))))
    }

    fn open() -> Result<Self, Error> {
        let file = NVENC.open().map_err(|Missing(reason)| no_nvenc(reason))?;
        // First of all: another version's functions are not what is declared here. Creating an instance says nothing of it.
        check_version(max_version(&file)?)?;
        let cuda = nunchi_cuda::Driver::get()?;
        let nvenc = Functions::create(&file)?;
        Ok(Self {
            cuda,
            nvenc,
            _file: file,
        })
    }
}

fn symbol(file: &Library, name: &CStr) -> Result<*const c_void, Error> {
    Search::symbol(file, name).map_err(|Missing(reason)| no_nvenc(reason))
}

fn no_nvenc(reason: String) -> Error {
    Error::Library {
        library: NVENC.names[0],
        reason,
        variable: NVENC.variable,
    }
}

/// The newest interface that the driver offers: major << 4 | minor.
fn max_version(file: &Library) -> Result<u32, Error> {
    let ask = symbol(file, c"NvEncodeAPIGetMaxSupportedVersion")?;
    // SAFETY: this function has had one signature since the first version.
    let ask = unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut u32) -> u32>(ask) };
    let mut version = 0;
    // SAFETY: a valid pointer.
    match unsafe { ask(&mut version) } {
        0 => Ok(version),
        status => Err(no_nvenc(format!("it does not tell its version (status {status})"))),
    }
}

fn check_version(offered: u32) -> Result<(), Error> {
    if offered >= nv::NVENCAPI_MAJOR_VERSION << 4 | nv::NVENCAPI_MINOR_VERSION {
        return Ok(());
    }
    Err(Error::DriverTooOld {
        major: offered >> 4,
        minor: offered & 0xf,
    })
}

macro_rules! functions {
    ($($field:ident: $name:ident($($argument:ty),*),)*) => {
        /// NVENC's functions. A status is a number here and no `NVENCSTATUS`, because a newer driver may give one that
        /// this enumeration does not have.
        pub struct Functions {
            $(pub $field: unsafe extern "C" fn($($argument),*) -> u32,)*
            pub last_error: unsafe extern "C" fn(*mut c_void) -> *const std::ffi::c_char,
        }

        impl Functions {
            fn create(file: &Library) -> Result<Self, Error> {
                let create = symbol(file, c"NvEncodeAPICreateInstance")?;
                // SAFETY: the signature of this function since the first version.
                let create = unsafe {
                    std::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut nv::NV_ENCODE_API_FUNCTION_LIST) -> u32>(create)
                };
                // Zeroes are an empty list: each function is an Option.
                let mut list = Zeroed::<nv::NV_ENCODE_API_FUNCTION_LIST>::new();
                let list = list.pointer();
                // SAFETY: our own list with the version that the header tells.
                let status = unsafe {
                    (*list).version = nv::NV_ENCODE_API_FUNCTION_LIST_VER;
                    create(list)
                };
                if status != 0 {
                    return Err(no_nvenc(format!("it gives no functions (status {status})")));
                }
                let missing = |name: &str| no_nvenc(format!("it has no {name}"));
                Ok(Self {
                    $($field: {
                        // SAFETY: the list was filled.
                        let function = unsafe { (*list).$name }.ok_or_else(|| missing(stringify!($name)))?;
                        // SAFETY: the same signature, but that enumerations are the numbers that they are in C.
                        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) -> u32>(function as *const c_void) }
                    },)*
                    // SAFETY: as above.
                    last_error: unsafe { (*list).nvEncGetLastErrorString }.ok_or_else(|| missing("nvEncGetLastErrorString"))?,
                })
            }
        }
    };
}

type Session = *mut c_void;

functions! {
    open_session: nvEncOpenEncodeSessionEx(*mut nv::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut Session),
    guid_count: nvEncGetEncodeGUIDCount(Session, *mut u32),
    guids: nvEncGetEncodeGUIDs(Session, *mut nv::GUID, u32, *mut u32),
    caps: nvEncGetEncodeCaps(Session, nv::GUID, *mut nv::NV_ENC_CAPS_PARAM, *mut std::ffi::c_int),
    preset: nvEncGetEncodePresetConfigEx(Session, nv::GUID, nv::GUID, u32, *mut nv::NV_ENC_PRESET_CONFIG),
    initialize: nvEncInitializeEncoder(Session, *mut nv::NV_ENC_INITIALIZE_PARAMS),
    reconfigure: nvEncReconfigureEncoder(Session, *mut nv::NV_ENC_RECONFIGURE_PARAMS),
    sequence_params: nvEncGetSequenceParams(Session, *mut nv::NV_ENC_SEQUENCE_PARAM_PAYLOAD),
    create_bitstream: nvEncCreateBitstreamBuffer(Session, *mut nv::NV_ENC_CREATE_BITSTREAM_BUFFER),
    destroy_bitstream: nvEncDestroyBitstreamBuffer(Session, *mut c_void),
    register: nvEncRegisterResource(Session, *mut nv::NV_ENC_REGISTER_RESOURCE),
    unregister: nvEncUnregisterResource(Session, *mut c_void),
    map: nvEncMapInputResource(Session, *mut nv::NV_ENC_MAP_INPUT_RESOURCE),
    unmap: nvEncUnmapInputResource(Session, *mut c_void),
    encode: nvEncEncodePicture(Session, *mut nv::NV_ENC_PIC_PARAMS),
    lock: nvEncLockBitstream(Session, *mut nv::NV_ENC_LOCK_BITSTREAM),
    unlock: nvEncUnlockBitstream(Session, *mut c_void),
    destroy: nvEncDestroyEncoder(Session),
}

/// A structure of C, all zeroes, filled through its pointer only: zero is not a value of all enumerations in it.
pub struct Zeroed<T>(Box<MaybeUninit<T>>);

impl<T> Zeroed<T> {
    pub fn new() -> Self {
        let mut memory = Box::<T>::new_uninit();
        // SAFETY: memory for one T.
        unsafe { memory.as_mut_ptr().write_bytes(0, 1) };
        Self(memory)
    }

    pub fn pointer(&mut self) -> *mut T {
        self.0.as_mut_ptr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_header_and_newer_ones_are_taken() {
        for (major, minor) in [(12, 1), (12, 2), (13, 0)] {
            assert_eq!(check_version(major << 4 | minor), Ok(()));
        }
        for (major, minor) in [(12, 0), (11, 1), (0, 0)] {
            assert_eq!(
                check_version(major << 4 | minor),
                Err(Error::DriverTooOld { major, minor })
            );
        }
    }

    #[test]
    fn what_is_missing_names_the_remedy() {
        let text = no_nvenc("it is not there".to_owned()).to_string();
        for part in ["libnvidia-encode.so.1", "it is not there", "530.41", "NUNCHI_NVENC"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn another_library_is_not_taken_for_the_driver() {
        let other = Search {
            names: &["libc.so.6"],
            variable: "NUNCHI_NO_SUCH_VARIABLE",
        };
        let file = other.open().unwrap();
        let text = symbol(&file, c"NvEncodeAPICreateInstance").unwrap_err().to_string();
        assert!(text.contains("it has no NvEncodeAPICreateInstance"), "{text}");
    }
}
