//! The few calls of CUDA's driver interface that are needed: a context, memory, copies.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::Arc;

use crate::Error;
use crate::library::Driver;

pub type Result = c_uint;
pub type DevicePtr = u64;
type Device = c_int;
/// `CUcontext`.
pub type RawContext = *mut c_void;

const SUCCESS: Result = 0;
const OUT_OF_MEMORY: Result = 2;
/// After these no call succeeds any more: device unavailable (46), no device (100), ECC (214), illegal access (700),
/// time-out (702), destroyed context (709), traps and failures of a kernel (710, 714 to 719), unknown (999). See
/// `CUresult` in NVIDIA's documentation of the driver API.
const LOST: [Result; 13] = [46, 100, 214, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719];
const UNKNOWN: Result = 999;

const ATTRIBUTE_CONTEXT: c_int = 1;
const ATTRIBUTE_BUFFER_ID: c_int = 7;

const MEMORY_HOST: c_uint = 1;
const MEMORY_DEVICE: c_uint = 2;

/// `CUDA_MEMCPY2D`, version 2.
#[repr(C)]
pub struct Copy2d {
    src_x: usize,
    src_y: usize,
    src_type: c_uint,
    src_host: *const c_void,
    src_device: DevicePtr,
    src_array: *mut c_void,
    src_pitch: usize,
    dst_x: usize,
    dst_y: usize,
    dst_type: c_uint,
    dst_host: *mut c_void,
    dst_device: DevicePtr,
    dst_array: *mut c_void,
    dst_pitch: usize,
    width: usize,
    height: usize,
}

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*),)*) => {
        /// Addresses in `libcuda.so.1`.
        #[allow(non_snake_case, reason = "CUDA's names")]
        pub struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> Result,)*
        }

        impl Functions {
            /// # Safety
            /// `symbol` gives the functions of CUDA with these names.
            pub unsafe fn load<E>(symbol: impl Fn(&'static CStr) -> std::result::Result<*const c_void, E>) -> std::result::Result<Self, E> {
                Ok(Self {
                    $($name: {
                        const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                            Ok(name) => name,
                            Err(_) => panic!("a name holds no zero"),
                        };
                        // SAFETY: the function of that name has this signature.
                        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) -> Result>(symbol(NAME)?) }
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
    cuDevicePrimaryCtxRetain: fn(*mut RawContext, Device),
    cuDevicePrimaryCtxRelease_v2: fn(Device),
    cuCtxPushCurrent_v2: fn(RawContext),
    cuCtxPopCurrent_v2: fn(*mut RawContext),
    cuCtxGetDevice: fn(*mut Device),
    cuCtxSynchronize: fn(),
    cuMemAllocPitch_v2: fn(*mut DevicePtr, *mut usize, usize, usize, c_uint),
    cuMemFree_v2: fn(DevicePtr),
    cuMemcpy2D_v2: fn(*const Copy2d),
    cuMemGetAddressRange_v2: fn(*mut DevicePtr, *mut usize, DevicePtr),
    cuPointerGetAttribute: fn(*mut c_void, c_int, DevicePtr),
    cuGetErrorName: fn(Result, *mut *const c_char),
}

impl Functions {
    /// `CUDA_ERROR_NO_DEVICE` and the like.
    pub fn name(&self, result: Result) -> String {
        let mut name = ptr::null();
        // SAFETY: a valid pointer; the text that it gives is static.
        unsafe {
            if (self.cuGetErrorName)(result, &mut name) == SUCCESS && !name.is_null() {
                return CStr::from_ptr(name).to_string_lossy().into_owned();
            }
        }
        format!("CUDA error {result}")
    }

    fn error(&self, call: &'static str, result: Result) -> Error {
        match result {
            OUT_OF_MEMORY => Error::Memory { during: call },
            result if LOST.contains(&result) || result == UNKNOWN => Error::Lost {
                call,
                reason: self.name(result),
            },
            result => Error::Encode {
                call,
                reason: self.name(result),
            },
        }
    }

    fn check(&self, call: &'static str, result: Result) -> std::result::Result<(), Error> {
        if result == SUCCESS {
            Ok(())
        } else {
            Err(self.error(call, result))
        }
    }

    /// Initialises CUDA and counts the GPUs.
    pub fn count(&self) -> std::result::Result<u32, Error> {
        let none = |result| Error::NoDevice {
            reason: self.name(result),
        };
        // SAFETY: no arguments but flags, which are 0.
        let result = unsafe { (self.cuInit)(0) };
        if result != SUCCESS {
            return Err(none(result));
        }
        let mut count = 0;
        // SAFETY: a valid pointer.
        let result = unsafe { (self.cuDeviceGetCount)(&mut count) };
        if result != SUCCESS {
            return Err(none(result));
        }
        match u32::try_from(count) {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(Error::NoDevice {
                reason: "CUDA counts none".into(),
            }),
        }
    }
}

/// A context of CUDA: the device's own, which is shared with all that use it in this process, or that of somebody's memory.
pub struct Context {
    driver: Arc<Driver>,
    raw: RawContext,
    device: Device,
    /// To be released: the primary context.
    retained: bool,
    /// Name of the GPU, for messages.
    pub gpu: String,
}

// SAFETY: contexts of CUDA may be used from any thread; it is made current around each use.
unsafe impl Send for Context {}
// SAFETY: as above; nothing here changes after the beginning.
unsafe impl Sync for Context {}

/// The context is current in this thread until this is dropped.
pub struct Current<'a>(&'a Context);

impl Context {
    /// The primary context of a GPU.
    pub fn of_device(driver: Arc<Driver>, index: u32) -> std::result::Result<Self, Error> {
        let cuda = &driver.cuda;
        let count = cuda.count()?;
        if index >= count {
            return Err(Error::DeviceIndex { device: index, count });
        }
        let mut device = 0;
        // SAFETY: a valid pointer, a number that was checked.
        cuda.check("cuDeviceGet", unsafe {
            (cuda.cuDeviceGet)(&mut device, index as c_int)
        })?;
        let gpu = name_of(cuda, device);
        let mut raw = ptr::null_mut();
        // SAFETY: a valid pointer and a device.
        cuda.check("cuDevicePrimaryCtxRetain", unsafe {
            (cuda.cuDevicePrimaryCtxRetain)(&mut raw, device)
        })?;
        Ok(Self {
            driver,
            raw,
            device,
            retained: true,
            gpu,
        })
    }

    /// The context in which memory was allocated. Its owner keeps it for as long as the memory.
    pub fn of_pointer(driver: Arc<Driver>, pointer: DevicePtr) -> std::result::Result<Self, Error> {
        driver.cuda.count()?;
        let raw = owner(&driver.cuda, pointer)?;
        let mut context = Self {
            driver,
            raw,
            device: 0,
            retained: false,
            gpu: String::new(),
        };
        let mut device = 0;
        {
            let _current = context.enter()?;
            let cuda = context.cuda();
            // SAFETY: a valid pointer; the context is current.
            cuda.check("cuCtxGetDevice", unsafe { (cuda.cuCtxGetDevice)(&mut device) })?;
        }
        context.device = device;
        context.gpu = name_of(context.cuda(), device);
        Ok(context)
    }

    fn cuda(&self) -> &Functions {
        &self.driver.cuda
    }

    pub fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    pub fn raw(&self) -> RawContext {
        self.raw
    }

    pub fn enter(&self) -> std::result::Result<Current<'_>, Error> {
        // SAFETY: a live context: retained, or that of memory which its user keeps.
        let result = unsafe { (self.cuda().cuCtxPushCurrent_v2)(self.raw) };
        self.cuda().check("cuCtxPushCurrent", result)?;
        Ok(Current(self))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.retained {
            // SAFETY: retained once, in `of_device`.
            let _ = unsafe { (self.cuda().cuDevicePrimaryCtxRelease_v2)(self.device) };
        }
    }
}

/// What can be done while the context is current.
impl Current<'_> {
    fn cuda(&self) -> &Functions {
        self.0.cuda()
    }

    /// Waits until the work that was given to the context is done, and tells whether the device still answers.
    pub fn synchronize(&self) -> std::result::Result<(), Error> {
        // SAFETY: a context is current.
        let result = unsafe { (self.cuda().cuCtxSynchronize)() };
        self.cuda().check("cuCtxSynchronize", result)
    }

    /// Memory of `rows` rows of at least `row` bytes, and the bytes from one row to the next.
    pub fn allocate(&self, row: usize, rows: usize) -> std::result::Result<(DevicePtr, usize), Error> {
        let (mut pointer, mut pitch) = (0, 0);
        // SAFETY: valid pointers.
        let result = unsafe { (self.cuda().cuMemAllocPitch_v2)(&mut pointer, &mut pitch, row, rows, 16) };
        self.cuda().check("cuMemAllocPitch", result)?;
        Ok((pointer, pitch))
    }

    pub fn free(&self, pointer: DevicePtr) {
        // SAFETY: allocated above and freed once, by the owner of the surface.
        let _ = unsafe { (self.cuda().cuMemFree_v2)(pointer) };
    }

    /// # Safety
    /// The rows may be read and written as the copy says.
    pub unsafe fn copy(&self, copy: &Copy2d) -> std::result::Result<(), Error> {
        // SAFETY: as the caller says.
        let result = unsafe { (self.cuda().cuMemcpy2D_v2)(copy) };
        self.cuda().check("cuMemcpy2D", result)
    }

    /// How many bytes may be read from `pointer` on.
    pub fn bytes_from(&self, pointer: DevicePtr) -> std::result::Result<usize, Error> {
        let (mut base, mut size) = (0, 0);
        // SAFETY: valid pointers.
        let result = unsafe { (self.cuda().cuMemGetAddressRange_v2)(&mut base, &mut size, pointer) };
        self.cuda().check("cuMemGetAddressRange", result)?;
        Ok(usize::try_from(pointer - base).map_or(0, |before| size.saturating_sub(before)))
    }

    /// A number that no other piece of memory in this process has or had: an address may come again, this does not.
    pub fn buffer_id(&self, pointer: DevicePtr) -> std::result::Result<u64, Error> {
        let mut id = 0u64;
        // SAFETY: this attribute is 64 bits.
        let result = unsafe { (self.cuda().cuPointerGetAttribute)((&raw mut id).cast(), ATTRIBUTE_BUFFER_ID, pointer) };
        self.cuda().check("cuPointerGetAttribute", result)?;
        Ok(id)
    }

    /// Whether the memory belongs to this context.
    pub fn owns(&self, pointer: DevicePtr) -> std::result::Result<bool, Error> {
        Ok(owner(self.cuda(), pointer)? == self.0.raw)
    }
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let mut popped = ptr::null_mut();
        // SAFETY: pushed when this was made, in the same thread: the guard borrows and is not kept.
        let _ = unsafe { (self.cuda().cuCtxPopCurrent_v2)(&mut popped) };
    }
}

fn name_of(cuda: &Functions, device: Device) -> String {
    let mut name = [0u8; 128];
    // SAFETY: an array and its length; the text ends with a zero within it.
    let result = unsafe { (cuda.cuDeviceGetName)(name.as_mut_ptr().cast(), name.len() as c_int, device) };
    match CStr::from_bytes_until_nul(&name) {
        Ok(name) if result == SUCCESS => name.to_string_lossy().into_owned(),
        _ => "the GPU".to_owned(),
    }
}

fn owner(cuda: &Functions, pointer: DevicePtr) -> std::result::Result<RawContext, Error> {
    let mut raw: RawContext = ptr::null_mut();
    // SAFETY: this attribute is a pointer; addresses that are not of CUDA are answered with an error.
    let result = unsafe { (cuda.cuPointerGetAttribute)((&raw mut raw).cast(), ATTRIBUTE_CONTEXT, pointer) };
    cuda.check("cuPointerGetAttribute", result)?;
    if raw.is_null() {
        return Err(Error::Encode {
            call: "cuPointerGetAttribute",
            reason: "the memory belongs to no context of CUDA".into(),
        });
    }
    Ok(raw)
}

impl Copy2d {
    /// Rows into memory of the GPU.
    fn to_device(target: DevicePtr, target_pitch: usize, row: usize, rows: usize) -> Self {
        Self {
            src_x: 0,
            src_y: 0,
            src_type: MEMORY_HOST,
            src_host: ptr::null(),
            src_device: 0,
            src_array: ptr::null_mut(),
            src_pitch: 0,
            dst_x: 0,
            dst_y: 0,
            dst_type: MEMORY_DEVICE,
            dst_host: ptr::null_mut(),
            dst_device: target,
            dst_array: ptr::null_mut(),
            dst_pitch: target_pitch,
            width: row,
            height: rows,
        }
    }

    pub fn from_host(source: *const u8, pitch: usize, target: (DevicePtr, usize), row: usize, rows: usize) -> Self {
        Self {
            src_host: source.cast(),
            src_pitch: pitch,
            ..Self::to_device(target.0, target.1, row, rows)
        }
    }

    pub fn from_device(source: DevicePtr, pitch: usize, target: (DevicePtr, usize), row: usize, rows: usize) -> Self {
        Self {
            src_type: MEMORY_DEVICE,
            src_device: source,
            src_pitch: pitch,
            ..Self::to_device(target.0, target.1, row, rows)
        }
    }
}
