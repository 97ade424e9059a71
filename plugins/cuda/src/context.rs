//! A GPU: its context, memory there, copies.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;
use std::sync::Arc;

use crate::Error;
use crate::driver::{Device, Driver, Functions, SUCCESS};

pub type DevicePtr = u64;
/// `CUcontext`.
pub type RawContext = *mut c_void;

const ATTRIBUTE_CONTEXT: c_int = 1;
const ATTRIBUTE_BUFFER_ID: c_int = 7;
/// Of a device: its compute capability.
const ATTRIBUTE_MAJOR: c_int = 75;
const ATTRIBUTE_MINOR: c_int = 76;

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
    pub fn of_device(driver: Arc<Driver>, index: u32) -> Result<Self, Error> {
        let cuda = &driver.functions;
        let count = driver.count()?;
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
    pub fn of_pointer(driver: Arc<Driver>, pointer: DevicePtr) -> Result<Self, Error> {
        driver.count()?;
        let raw = owner(&driver.functions, pointer)?;
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

    pub(crate) fn cuda(&self) -> &Functions {
        &self.driver.functions
    }

    /// As in `sm_90`, the name of its machine code.
    ///
    /// # Errors
    /// The device does not answer.
    pub fn architecture(&self) -> Result<String, Error> {
        let cuda = self.cuda();
        let ask = |attribute| {
            let mut value = 0;
            // SAFETY: a valid pointer.
            let status = unsafe { (cuda.cuDeviceGetAttribute)(&mut value, attribute, self.device) };
            cuda.check("cuDeviceGetAttribute", status).map(|()| value)
        };
        Ok(format!("sm_{}{}", ask(ATTRIBUTE_MAJOR)?, ask(ATTRIBUTE_MINOR)?))
    }

    pub fn raw(&self) -> RawContext {
        self.raw
    }

    pub fn enter(&self) -> Result<Current<'_>, Error> {
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
    pub(crate) fn cuda(&self) -> &Functions {
        self.0.cuda()
    }

    pub fn context(&self) -> &Context {
        self.0
    }

    /// Waits until the work that was given to the context is done, and tells whether the device still answers.
    pub fn synchronize(&self) -> Result<(), Error> {
        // SAFETY: a context is current.
        let result = unsafe { (self.cuda().cuCtxSynchronize)() };
        self.cuda().check("cuCtxSynchronize", result)
    }

    /// Memory of `rows` rows of at least `row` bytes, and the bytes from one row to the next.
    pub fn allocate(&self, row: usize, rows: usize) -> Result<(DevicePtr, usize), Error> {
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
    pub unsafe fn copy(&self, copy: &Copy2d) -> Result<(), Error> {
        // SAFETY: as the caller says.
        let result = unsafe { (self.cuda().cuMemcpy2D_v2)(copy) };
        self.cuda().check("cuMemcpy2D", result)
    }

    /// How many bytes may be read from `pointer` on.
    pub fn bytes_from(&self, pointer: DevicePtr) -> Result<usize, Error> {
        let (mut base, mut size) = (0, 0);
        // SAFETY: valid pointers.
        let result = unsafe { (self.cuda().cuMemGetAddressRange_v2)(&mut base, &mut size, pointer) };
        self.cuda().check("cuMemGetAddressRange", result)?;
        Ok(usize::try_from(pointer - base).map_or(0, |before| size.saturating_sub(before)))
    }

    /// A number that no other piece of memory in this process has or had: an address may come again, this does not.
    pub fn buffer_id(&self, pointer: DevicePtr) -> Result<u64, Error> {
        let mut id = 0u64;
        // SAFETY: this attribute is 64 bits.
        let result = unsafe { (self.cuda().cuPointerGetAttribute)((&raw mut id).cast(), ATTRIBUTE_BUFFER_ID, pointer) };
        self.cuda().check("cuPointerGetAttribute", result)?;
        Ok(id)
    }

    /// Whether the memory belongs to this context.
    pub fn owns(&self, pointer: DevicePtr) -> Result<bool, Error> {
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

fn owner(cuda: &Functions, pointer: DevicePtr) -> Result<RawContext, Error> {
    let mut raw: RawContext = ptr::null_mut();
    // SAFETY: this attribute is a pointer; addresses that are not of CUDA are answered with an error.
    let result = unsafe { (cuda.cuPointerGetAttribute)((&raw mut raw).cast(), ATTRIBUTE_CONTEXT, pointer) };
    cuda.check("cuPointerGetAttribute", result)?;
    if raw.is_null() {
        return Err(Error::Call {
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
