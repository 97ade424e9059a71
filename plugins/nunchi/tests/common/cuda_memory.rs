//! Memory of GStreamer's type for CUDA, without its library.

use gst::glib;
use gst::subclass::prelude::*;

mod imp {
    use gst::glib;
    use gst::prelude::*;
    use gst::subclass::prelude::*;
    use std::ffi::c_void;

    /// A memory that is an address on the GPU, as GStreamer's CUDA library has it.
    #[repr(C)]
    struct CudaMemory {
        memory: gst::ffi::GstMemory,
        pointer: u64,
        /// Mapped for the processor, too.
        is_shared: bool,
    }

    unsafe extern "C" fn map(memory: *mut gst::ffi::GstMemory, _: usize, flags: gst::ffi::GstMapFlags) -> *mut c_void {
        // SAFETY: all memories of this allocator are of this form.
        let (pointer, is_shared) = unsafe {
            let memory = memory.cast::<CudaMemory>();
            ((*memory).pointer, (*memory).is_shared)
        };
        if flags & (gst::ffi::GST_MAP_FLAG_LAST << 1) == 0 && !is_shared {
            return std::ptr::null_mut();
        }
        std::ptr::with_exposed_provenance_mut(pointer as usize)
    }

    unsafe extern "C" fn unmap(_: *mut gst::ffi::GstMemory) {}

    #[derive(Default)]
    pub struct Allocator;

    #[glib::object_subclass]
    impl ObjectSubclass for Allocator {
        const NAME: &'static str = "NunchiTestCudaAllocator";
        type Type = super::Allocator;
        type ParentType = gst::Allocator;
    }

    impl ObjectImpl for Allocator {
        fn constructed(&self) {
            self.parent_constructed();
            let allocator: *mut gst::ffi::GstAllocator = self.obj().upcast_ref::<gst::Allocator>().as_ptr();
            // SAFETY: our own object, which nobody else has yet.
            unsafe {
                (*allocator).mem_type = c"CUDAMemory".as_ptr();
                (*allocator).mem_map = Some(map);
                (*allocator).mem_unmap = Some(unmap);
            }
        }
    }

    impl GstObjectImpl for Allocator {}

    // SAFETY: memories are made and freed as the same structure.
    unsafe impl AllocatorImpl for Allocator {
        unsafe fn free(&self, memory: *mut gst::ffi::GstMemory) {
            // SAFETY: made below.
            drop(unsafe { Box::from_raw(memory.cast::<CudaMemory>()) });
        }
    }

    impl Allocator {
        pub(super) fn wrap(&self, pointer: u64, size: usize, is_shared: bool) -> gst::Memory {
            // SAFETY: numbers and pointers, which are initialised next.
            let memory = unsafe { std::mem::zeroed() };
            let memory = Box::into_raw(Box::new(CudaMemory {
                memory,
                pointer,
                is_shared,
            }));
            // SAFETY: a structure that begins with a memory, owned by the result.
            unsafe {
                gst::ffi::gst_memory_init(
                    memory.cast(),
                    0,
                    self.obj().upcast_ref::<gst::Allocator>().as_ptr(),
                    std::ptr::null_mut(),
                    size,
                    0,
                    0,
                    size,
                );
                glib::translate::from_glib_full(memory.cast::<gst::ffi::GstMemory>())
            }
        }
    }
}

glib::wrapper! {
    pub struct Allocator(ObjectSubclass<imp::Allocator>) @extends gst::Allocator, gst::Object;
}

/// An address on the GPU as such a memory, which is there only.
#[allow(dead_code, reason = "each test binary uses its part")]
pub fn wrap(pointer: u64, size: usize) -> gst::Memory {
    let allocator: Allocator = glib::Object::new();
    allocator.imp().wrap(pointer, size, false)
}

/// The same, which mapping for the processor gives at the same address, as after a download.
#[allow(dead_code, reason = "each test binary uses its part")]
pub fn wrap_shared(pointer: u64, size: usize) -> gst::Memory {
    let allocator: Allocator = glib::Object::new();
    allocator.imp().wrap(pointer, size, true)
}
