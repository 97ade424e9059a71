//! Work that goes on beside the processor: streams, memory for it, kernels.
//!
//! What is queued in a [`Stream`] is done in its order. Memory must stay as long as queued work uses it: the owner of both waits
//! for the stream before it drops or reuses the memory, which is why queueing is `unsafe`.

use std::ffi::{CString, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use crate::Error;
use crate::context::{Context, DevicePtr};
use crate::driver::Handle;

/// `CU_STREAM_NON_BLOCKING`: it does not wait for the default stream of others.
const NON_BLOCKING: c_uint = 1;
/// `CU_EVENT_DISABLE_TIMING`.
const NO_TIMING: c_uint = 2;

/// A queue of work.
pub struct Stream {
    context: Arc<Context>,
    raw: Handle,
}

// SAFETY: a handle of the driver, which any thread may use.
unsafe impl Send for Stream {}

impl Stream {
    /// # Errors
    /// What the driver says.
    pub fn new(context: &Arc<Context>) -> Result<Self, Error> {
        let (_current, cuda) = (context.enter()?, context.cuda());
        let mut raw = ptr::null_mut();
        // SAFETY: a valid pointer; a context is current.
        cuda.check("cuStreamCreate", unsafe {
            (cuda.cuStreamCreate)(&mut raw, NON_BLOCKING)
        })?;
        let context = Arc::clone(context);
        Ok(Self { context, raw })
    }

    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Waits until all that was queued is done.
    ///
    /// # Errors
    /// What has failed of it.
    pub fn synchronize(&self) -> Result<(), Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        // SAFETY: a live stream.
        cuda.check("cuStreamSynchronize", unsafe { (cuda.cuStreamSynchronize)(self.raw) })
    }

    /// The event happens when all that was queued until now is done.
    ///
    /// # Errors
    /// What the driver says.
    pub fn record(&self, event: &Event) -> Result<(), Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        // SAFETY: live handles of the context.
        cuda.check("cuEventRecord", unsafe { (cuda.cuEventRecord)(event.raw, self.raw) })
    }

    /// What is queued from now on waits for the event.
    ///
    /// # Errors
    /// What the driver says.
    pub fn wait(&self, event: &Event) -> Result<(), Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        // SAFETY: live handles of the context.
        cuda.check("cuStreamWaitEvent", unsafe {
            (cuda.cuStreamWaitEvent)(self.raw, event.raw, 0)
        })
    }

    /// Queues a copy to the GPU.
    ///
    /// # Safety
    /// Both are as long and stay so until the copy is done; nobody writes `from` until then.
    ///
    /// # Errors
    /// What the driver says.
    pub unsafe fn upload(&self, from: &[u8], to: DevicePtr) -> Result<(), Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        // SAFETY: as the caller says.
        cuda.check("cuMemcpyHtoDAsync", unsafe {
            (cuda.cuMemcpyHtoDAsync_v2)(to, from.as_ptr().cast(), from.len(), self.raw)
        })
    }

    /// Queues a copy from the GPU.
    ///
    /// # Safety
    /// Both are as long and stay so until the copy is done; nobody uses `to` until then.
    ///
    /// # Errors
    /// What the driver says.
    pub unsafe fn download(&self, from: DevicePtr, to: &mut [u8]) -> Result<(), Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        // SAFETY: as the caller says.
        cuda.check("cuMemcpyDtoHAsync", unsafe {
            (cuda.cuMemcpyDtoHAsync_v2)(to.as_mut_ptr().cast(), from, to.len(), self.raw)
        })
    }

    /// Queues a copy from the memory of another context, on whichever GPU that is.
    ///
    /// # Safety
    /// Both have so many bytes until the copy is done.
    ///
    /// # Errors
    /// What the driver says.
    pub unsafe fn copy_from(
        &self,
        from: DevicePtr,
        theirs: &Context,
        to: DevicePtr,
        bytes: usize,
    ) -> Result<(), Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        // SAFETY: as the caller says; both contexts are alive.
        cuda.check("cuMemcpyPeerAsync", unsafe {
            (cuda.cuMemcpyPeerAsync)(to, self.context.raw(), from, theirs.raw(), bytes, self.raw)
        })
    }

    /// Queues writing zeroes.
    ///
    /// # Safety
    /// There are so many bytes until it is done.
    ///
    /// # Errors
    /// What the driver says.
    pub unsafe fn zero(&self, at: DevicePtr, bytes: usize) -> Result<(), Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        // SAFETY: as the caller says.
        cuda.check("cuMemsetD8Async", unsafe {
            (cuda.cuMemsetD8Async)(at, 0, bytes, self.raw)
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: created once, in `new`. Nothing is left to do where it fails.
            let _ = unsafe { (self.context.cuda().cuStreamDestroy_v2)(self.raw) };
        }
    }
}

/// A mark between streams.
pub struct Event {
    context: Arc<Context>,
    raw: Handle,
}

// SAFETY: a handle of the driver, which any thread may use.
unsafe impl Send for Event {}

impl Event {
    /// # Errors
    /// What the driver says.
    pub fn new(context: &Arc<Context>) -> Result<Self, Error> {
        let (_current, cuda) = (context.enter()?, context.cuda());
        let mut raw = ptr::null_mut();
        // SAFETY: a valid pointer; a context is current.
        cuda.check("cuEventCreate", unsafe { (cuda.cuEventCreate)(&mut raw, NO_TIMING) })?;
        let context = Arc::clone(context);
        Ok(Self { context, raw })
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: created once, in `new`.
            let _ = unsafe { (self.context.cuda().cuEventDestroy_v2)(self.raw) };
        }
    }
}

/// Memory of the GPU.
pub struct Buffer {
    context: Arc<Context>,
    pointer: DevicePtr,
    bytes: usize,
}

impl Buffer {
    /// # Errors
    /// [`Error::Memory`].
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, Error> {
        let (_current, cuda) = (context.enter()?, context.cuda());
        let mut pointer = 0;
        // SAFETY: a valid pointer; a context is current.
        cuda.check("cuMemAlloc", unsafe {
            (cuda.cuMemAlloc_v2)(&mut pointer, bytes.max(1))
        })?;
        let context = Arc::clone(context);
        Ok(Self {
            context,
            pointer,
            bytes,
        })
    }

    pub fn pointer(&self) -> DevicePtr {
        self.pointer
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Ok(current) = self.context.enter() {
            current.free(self.pointer);
        }
    }
}

/// Memory of the host that the GPU copies without the processor's help, all zeroes at first.
pub struct Pinned {
    context: Arc<Context>,
    pointer: *mut u8,
    bytes: usize,
}

// SAFETY: memory that belongs to this alone.
unsafe impl Send for Pinned {}

impl Pinned {
    /// # Errors
    /// [`Error::Memory`].
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, Error> {
        let (_current, cuda) = (context.enter()?, context.cuda());
        let bytes = bytes.max(1);
        let mut pointer = ptr::null_mut();
        // SAFETY: a valid pointer; a context is current.
        cuda.check("cuMemHostAlloc", unsafe {
            (cuda.cuMemHostAlloc)(&mut pointer, bytes, 0)
        })?;
        let pointer = pointer.cast::<u8>();
        // SAFETY: so many bytes were given.
        unsafe { pointer.write_bytes(0, bytes) };
        Ok(Self {
            context: Arc::clone(context),
            pointer,
            bytes,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: allocated with this length, written in `new`.
        unsafe { std::slice::from_raw_parts(self.pointer, self.bytes) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.pointer, self.bytes) }
    }

    /// The bytes as floats, as many as fit.
    pub fn floats_mut(&mut self) -> &mut [f32] {
        // SAFETY: pinned memory starts at a page; any bits are a float.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.cast(), self.bytes / 4) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: allocated once, in `new`.
            let _ = unsafe { (self.context.cuda().cuMemFreeHost)(self.pointer.cast()) };
        }
    }
}

/// Kernels on a GPU.
pub struct Module {
    context: Arc<Context>,
    raw: Handle,
}

// SAFETY: a handle of the driver, which any thread may use.
unsafe impl Send for Module {}

impl Module {
    /// Loads what [`compile`](crate::compile) made.
    ///
    /// # Errors
    /// It is for another GPU; what the driver says.
    pub fn load(context: &Arc<Context>, image: &[u8]) -> Result<Self, Error> {
        let (_current, cuda) = (context.enter()?, context.cuda());
        // The driver finds the end of it by itself; text would need a zero.
        let image = [image, &[0]].concat();
        let mut raw = ptr::null_mut();
        // SAFETY: a valid pointer, an image that NVRTC made.
        cuda.check("cuModuleLoadData", unsafe {
            (cuda.cuModuleLoadData)(&mut raw, image.as_ptr().cast())
        })?;
        let context = Arc::clone(context);
        Ok(Self { context, raw })
    }

    /// A kernel that takes one `P`.
    ///
    /// # Safety
    /// The kernel of that name has one parameter of the same layout.
    ///
    /// # Errors
    /// There is none of that name.
    pub unsafe fn kernel<P: Copy>(&self, name: &str) -> Result<Kernel<P>, Error> {
        let (_current, cuda) = (self.context.enter()?, self.context.cuda());
        let text = CString::new(name).map_err(|_| Error::Call {
            call: "cuModuleGetFunction",
            reason: "a name with a zero".to_owned(),
        })?;
        let mut raw = ptr::null_mut();
        // SAFETY: a valid pointer, a live module, a text with its zero.
        cuda.check("cuModuleGetFunction", unsafe {
            (cuda.cuModuleGetFunction)(&mut raw, self.raw, text.as_ptr())
        })?;
        Ok(Kernel {
            raw,
            parameters: PhantomData,
        })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if let Ok(_current) = self.context.enter() {
            // SAFETY: loaded once, in `load`; its kernels are used through their owner only, who drops them with it.
            let _ = unsafe { (self.context.cuda().cuModuleUnload)(self.raw) };
        }
    }
}

/// A function of a [`Module`].
pub struct Kernel<P> {
    raw: Handle,
    parameters: PhantomData<fn(P)>,
}

// SAFETY: a handle of the driver, which any thread may use.
unsafe impl<P> Send for Kernel<P> {}

impl<P: Copy> Kernel<P> {
    /// Queues a run of it by `grid` blocks of `block` threads.
    ///
    /// # Safety
    /// The module is loaded in the stream's context; what the parameters point to is there until the kernel is done.
    ///
    /// # Errors
    /// What the driver says.
    pub unsafe fn launch(&self, stream: &Stream, grid: [u32; 3], block: u32, parameters: &P) -> Result<(), Error> {
        let (_current, cuda) = (stream.context.enter()?, stream.context.cuda());
        let mut one = [ptr::from_ref(parameters).cast_mut().cast::<c_void>()];
        let [x, y, z] = grid;
        // SAFETY: as the caller says; the parameters are copied before this returns.
        let status = unsafe {
            (cuda.cuLaunchKernel)(
                self.raw,
                x,
                y,
                z,
                block,
                1,
                1,
                0,
                stream.raw,
                one.as_mut_ptr(),
                ptr::null_mut(),
            )
        };
        cuda.check("cuLaunchKernel", status)
    }
}
