//! The driver's libraries, opened at the first use.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as nv;

use crate::{Error, cuda};

/// Both libraries, open. They stay for the life of the process, because the driver keeps threads of its own.
pub struct Driver {
    pub cuda: cuda::Functions,
    pub nvenc: Functions,
    _files: [Library; 2],
}

/// Where a library is looked for: at the path that the variable gives and nowhere else, or by its name.
struct Search {
    name: &'static str,
    variable: &'static str,
}

const CUDA: Search = Search {
    name: "libcuda.so.1",
    variable: "NUNCHI_CUDA",
};
const NVENC: Search = Search {
    name: "libnvidia-encode.so.1",
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
        let nvenc_file = NVENC.open()?;
        // First of all: another version's functions are not what is declared here. Creating an instance says nothing of it.
        check_version(max_version(&nvenc_file)?)?;
        let cuda_file = CUDA.open()?;
        // SAFETY: libcuda keeps its functions of these names since CUDA 4 (those with _v2 since then).
        let cuda = unsafe { cuda::Functions::load(|name| CUDA.symbol(&cuda_file, name)) }?;
        let nvenc = Functions::create(&nvenc_file)?;
        Ok(Self {
            cuda,
            nvenc,
            _files: [cuda_file, nvenc_file],
        })
    }
}

impl Search {
    fn open(&self) -> Result<Library, Error> {
        let path = match std::env::var_os(self.variable).filter(|value| !value.is_empty()) {
            // Made absolute so that a wrong value is reported and never looked up elsewhere.
            Some(path) => std::path::absolute(&path).unwrap_or_else(|_| path.into()),
            None => PathBuf::from(self.name),
        };
        // SAFETY: a library of the driver, or what the user gives in its place; its initialisers run as with any plugin.
        unsafe { Library::new(&path) }.map_err(|error| {
            // What the loader says stands in the source of the error.
            let said = std::error::Error::source(&error).map(ToString::to_string);
            self.error(said.unwrap_or_else(|| error.to_string()))
        })
    }

    fn symbol(&self, file: &Library, name: &CStr) -> Result<*const c_void, Error> {
        // SAFETY: only the address is taken here.
        let symbol = unsafe { file.get::<*const c_void>(name) };
        match symbol.map(|symbol| *symbol) {
            Ok(symbol) if !symbol.is_null() => Ok(symbol),
            _ => Err(self.error(format!("it has no {}", name.to_string_lossy()))),
        }
    }

    fn error(&self, reason: String) -> Error {
        Error::Library {
            library: self.name,
            reason,
            variable: self.variable,
        }
    }
}

/// The newest interface that the driver offers: major << 4 | minor.
fn max_version(file: &Library) -> Result<u32, Error> {
    let ask = NVENC.symbol(file, c"NvEncodeAPIGetMaxSupportedVersion")?;
    // SAFETY: this function has had one signature since the first version.
    let ask = unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn(*mut u32) -> u32>(ask) };
    let mut version = 0;
    // SAFETY: a valid pointer.
    match unsafe { ask(&mut version) } {
        0 => Ok(version),
        status => Err(NVENC.error(format!("it does not tell its version (status {status})"))),
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
                let create = NVENC.symbol(file, c"NvEncodeAPICreateInstance")?;
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
                    return Err(NVENC.error(format!("it gives no functions (status {status})")));
                }
                let missing = |name: &str| NVENC.error(format!("it has no {name}"));
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
    fn a_missing_library_names_the_remedy() {
        let search = Search {
            name: "libnothing-of-this-name.so.1",
            variable: "NUNCHI_NO_SUCH_VARIABLE",
        };
        let text = search.open().err().unwrap().to_string();
        for part in ["libnothing-of-this-name.so.1", "530.41", "NUNCHI_NO_SUCH_VARIABLE"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn another_library_is_not_taken_for_the_driver() {
        let search = Search {
            name: "libc.so.6",
            variable: "NUNCHI_NO_SUCH_VARIABLE",
        };
        let file = search.open().unwrap();
        let text = search
            .symbol(&file, c"NvEncodeAPICreateInstance")
            .unwrap_err()
            .to_string();
        assert!(text.contains("it has no NvEncodeAPICreateInstance"), "{text}");
    }
}
