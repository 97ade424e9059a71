//! `libcuda.so.1`, opened at the first use, and where libraries of NVIDIA are looked for.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use libloading::Library;

use crate::Error;
use crate::context::{Copy2d, DevicePtr, RawContext};

/// A status; 0 is success.
pub(crate) type Status = c_uint;
pub(crate) type Device = c_int;
/// Handles of streams, events, modules and functions.
pub(crate) type Handle = *mut c_void;

pub(crate) const SUCCESS: Status = 0;
const OUT_OF_MEMORY: Status = 2;
/// After these no call succeeds any more: device unavailable (46), no device (100), ECC (214), illegal access (700),
/// time-out (702), destroyed context (709), traps and failures of a kernel (710, 714 to 719), unknown (999). See
/// `CUresult` in NVIDIA's documentation of the driver API.
const LOST: [Status; 14] = [46, 100, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999];

/// Where a library is looked for: at the path that the variable gives and nowhere else, or by its names.
#[derive(Debug)]
pub struct Search {
    pub names: &'static [&'static str],
    pub variable: &'static str,
}

/// Why a library is not there, or is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub String);

impl Search {
    /// Opens the first that is there.
    ///
    /// # Errors
    /// What the loader says of the first name.
    pub fn open(&self) -> Result<Library, Missing> {
        let paths = match std::env::var_os(self.variable).filter(|value| !value.is_empty()) {
            // Made absolute so that a wrong value is reported and never looked up elsewhere.
            Some(path) => vec![std::path::absolute(&path).unwrap_or_else(|_| path.into())],
            None => self.names.iter().map(PathBuf::from).collect(),
        };
        let mut refused = None;
        for path in paths {
            // SAFETY: a library of NVIDIA, or what the user gives in its place; its initialisers run as with any plugin.
            match unsafe { Library::new(&path) } {
                Ok(library) => return Ok(library),
                Err(error) => {
                    // What the loader says stands in the source of the error.
                    let said = std::error::Error::source(&error).map(ToString::to_string);
                    refused.get_or_insert(said.unwrap_or_else(|| error.to_string()));
                }
            }
        }
        Err(Missing(refused.unwrap_or_default()))
    }

    /// The address of a function.
    ///
    /// # Errors
    /// It is not there.
    pub fn symbol(file: &Library, name: &CStr) -> Result<*const c_void, Missing> {
        // SAFETY: only the address is taken here.
        let symbol = unsafe { file.get::<*const c_void>(name) };
        match symbol.map(|symbol| *symbol) {
            Ok(symbol) if !symbol.is_null() => Ok(symbol),
            _ => Err(Missing(format!("it has no {}", name.to_string_lossy()))),
        }
    }
}

const CUDA: Search = Search {
    names: &["libcuda.so.1"],
    variable: "NUNCHI_CUDA",
};

/// The driver, open. It stays for the life of the process, because it keeps threads of its own.
pub struct Driver {
    pub(crate) functions: Functions,
    _file: Library,
}

static DRIVER: Mutex<Option<Arc<Driver>>> = Mutex::new(None);

impl Driver {
    /// Opens the library at the first call; a failure is tried anew at the next.
    ///
    /// # Errors
    /// [`Error::Library`].
    pub fn get() -> Result<Arc<Self>, Error> {
        let mut driver = DRIVER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = &*driver {
            return Ok(Arc::clone(driver));
        }
        let error = |Missing(reason)| Error::Library {
            library: CUDA.names[0],
            reason,
            variable: CUDA.variable,
        };
        let file = CUDA.open().map_err(error)?;
        // SAFETY: libcuda keeps its functions of these names since CUDA 4 (those with _v2 since then).
        let functions = unsafe { Functions::load(|name| Search::symbol(&file, name)) }.map_err(error)?;
        let opened = Self { functions, _file: file };
        Ok(Arc::clone(driver.insert(Arc::new(opened))))
    }

    /// Initialises CUDA and counts the GPUs.
    ///
    /// # Errors
    /// [`Error::NoDevice`].
    pub fn count(&self) -> Result<u32, Error> {
        let cuda = &self.functions;
        let none = |status| Error::NoDevice {
            reason: cuda.name(status),
        };
        // SAFETY: no arguments but flags, which are 0.
        let status = unsafe { (cuda.cuInit)(0) };
        if status != SUCCESS {
            return Err(none(status));
        }
        let mut count = 0;
        // SAFETY: a valid pointer.
        let status = unsafe { (cuda.cuDeviceGetCount)(&mut count) };
        if status != SUCCESS {
            return Err(none(status));
        }
        match u32::try_from(count) {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(Error::NoDevice {
                reason: "CUDA counts none".into(),
            }),
        }
    }
}

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*),)*) => {
        /// Addresses in `libcuda.so.1`.
        #[allow(non_snake_case, reason = "CUDA's names")]
        pub struct Functions {
            $(pub(crate) $name: unsafe extern "C" fn($($argument),*) -> Status,)*
        }

        impl Functions {
            /// # Safety
            /// `symbol` gives the functions of CUDA with these names.
            unsafe fn load<E>(symbol: impl Fn(&'static CStr) -> Result<*const c_void, E>) -> Result<Self, E> {
                Ok(Self {
                    $($name: {
                        const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                            Ok(name) => name,
                            Err(_) => panic!("a name holds no zero"),
                        };
                        // SAFETY: the function of that name has this signature.
                        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) -> Status>(symbol(NAME)?) }
                    },)*
                })
            }
        }
    };
}

functions! {
    cuInit: fn(c_uint),
    cuDeviceGetCount: fn(*mut c_int),
    cuDeviceGet: fn(*mut Device, c_int),
    cuDeviceGetName: fn(*mut c_char, c_int, Device),
    cuDeviceGetAttribute: fn(*mut c_int, c_int, Device),
    cuDevicePrimaryCtxRetain: fn(*mut RawContext, Device),
    cuDevicePrimaryCtxRelease_v2: fn(Device),
    cuCtxPushCurrent_v2: fn(RawContext),
    cuCtxPopCurrent_v2: fn(*mut RawContext),
    cuCtxGetDevice: fn(*mut Device),
    cuCtxSynchronize: fn(),
    cuMemAlloc_v2: fn(*mut DevicePtr, usize),
    cuMemAllocPitch_v2: fn(*mut DevicePtr, *mut usize, usize, usize, c_uint),
    cuMemFree_v2: fn(DevicePtr),
    cuMemHostAlloc: fn(*mut *mut c_void, usize, c_uint),
    cuMemFreeHost: fn(*mut c_void),
    cuMemcpy2D_v2: fn(*const Copy2d),
    cuMemcpyHtoDAsync_v2: fn(DevicePtr, *const c_void, usize, Handle),
    cuMemcpyDtoHAsync_v2: fn(*mut c_void, DevicePtr, usize, Handle),
    cuMemcpyPeerAsync: fn(DevicePtr, RawContext, DevicePtr, RawContext, usize, Handle),
    cuMemsetD8Async: fn(DevicePtr, u8, usize, Handle),
    cuMemGetAddressRange_v2: fn(*mut DevicePtr, *mut usize, DevicePtr),
    cuPointerGetAttribute: fn(*mut c_void, c_int, DevicePtr),
    cuStreamCreate: fn(*mut Handle, c_uint),
    cuStreamDestroy_v2: fn(Handle),
    cuStreamSynchronize: fn(Handle),
    cuStreamWaitEvent: fn(Handle, Handle, c_uint),
    cuEventCreate: fn(*mut Handle, c_uint),
    cuEventRecord: fn(Handle, Handle),
    cuEventDestroy_v2: fn(Handle),
    cuModuleLoadData: fn(*mut Handle, *const c_void),
    cuModuleUnload: fn(Handle),
    cuModuleGetFunction: fn(*mut Handle, Handle, *const c_char),
    cuLaunchKernel: fn(Handle, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Handle, *mut *mut c_void, *mut *mut c_void),
    cuGetErrorName: fn(Status, *mut *const c_char),
}

impl Functions {
    /// `CUDA_ERROR_NO_DEVICE` and the like.
    pub(crate) fn name(&self, status: Status) -> String {
        let mut name = ptr::null();
        // SAFETY: a valid pointer; the text that it gives is static.
        unsafe {
            if (self.cuGetErrorName)(status, &mut name) == SUCCESS && !name.is_null() {
                return CStr::from_ptr(name).to_string_lossy().into_owned();
            }
        }
        format!("CUDA error {status}")
    }

    pub(crate) fn check(&self, call: &'static str, status: Status) -> Result<(), Error> {
        match status {
            SUCCESS => Ok(()),
            OUT_OF_MEMORY => Err(Error::Memory { during: call }),
            status => {
                let reason = self.name(status);
                Err(if LOST.contains(&status) {
                    Error::Lost { call, reason }
                } else {
                    Error::Call { call, reason }
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_told() {
        let search = Search {
            names: &["libnothing-of-this-name.so.1", "libnothing-else.so"],
            variable: "NUNCHI_NO_SUCH_VARIABLE",
        };
        let Missing(text) = search.open().err().unwrap();
        assert!(text.contains("libnothing-of-this-name.so.1"), "{text}");
    }

    #[test]
    fn the_second_name_is_taken_where_the_first_is_not_there_and_has_no_functions_of_cuda() {
        let search = Search {
            names: &["libnothing-of-this-name.so.1", "libc.so.6"],
            variable: "NUNCHI_NO_SUCH_VARIABLE",
        };
        let file = search.open().unwrap();
        let Missing(text) = Search::symbol(&file, c"cuInit").unwrap_err();
        assert_eq!(text, "it has no cuInit");
    }
}
