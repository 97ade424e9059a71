//! The calls of `libcuda.so.1`. Memory of the GPU is memory of the host.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::behaviour::Behaviour;
use crate::{compute, objects};

pub type Status = c_uint;
const SUCCESS: Status = 0;
pub const INVALID_VALUE: Status = 1;
pub const OUT_OF_MEMORY: Status = 2;
const NOT_INITIALIZED: Status = 3;
const NO_DEVICE: Status = 100;
const INVALID_DEVICE: Status = 101;
const INVALID_CONTEXT: Status = 201;
pub const NOT_FOUND: Status = 500;
pub const LAUNCH_FAILED: Status = 719;
const UNKNOWN: Status = 999;

const NAMES: [(Status, &std::ffi::CStr); 9] = [
    (INVALID_VALUE, c"CUDA_ERROR_INVALID_VALUE"),
    (OUT_OF_MEMORY, c"CUDA_ERROR_OUT_OF_MEMORY"),
    (NOT_INITIALIZED, c"CUDA_ERROR_NOT_INITIALIZED"),
    (NO_DEVICE, c"CUDA_ERROR_NO_DEVICE"),
    (INVALID_DEVICE, c"CUDA_ERROR_INVALID_DEVICE"),
    (INVALID_CONTEXT, c"CUDA_ERROR_INVALID_CONTEXT"),
    (NOT_FOUND, c"CUDA_ERROR_NOT_FOUND"),
    (LAUNCH_FAILED, c"CUDA_ERROR_LAUNCH_FAILED"),
    (UNKNOWN, c"CUDA_ERROR_UNKNOWN"),
];

/// Primary contexts are these and the number of the device.
const FIRST_CONTEXT: usize = 0x10_0000;
/// As a GPU of today aligns rows.
const PITCH: usize = 512;

const HOST: c_uint = 1;
const DEVICE: c_uint = 2;

struct Memory {
    size: usize,
    context: usize,
    id: u64,
}

#[derive(Default)]
struct Table {
    /// How often each primary context is retained.
    retained: BTreeMap<usize, usize>,
    memory: BTreeMap<usize, Memory>,
    last_id: u64,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
static INITIALISED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CURRENT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn current() -> Option<usize> {
    CURRENT.with_borrow(|stack| stack.last().copied())
}

pub fn is_context(handle: usize) -> bool {
    table().retained.get(&handle).is_some_and(|&count| count > 0)
}

/// The piece of memory around an address: its beginning and size.
fn range(table: &Table, address: usize) -> Option<(usize, &Memory)> {
    let (&base, memory) = table.memory.range(..=address).next_back()?;
    (address < base + memory.size).then_some((base, memory))
}

/// Whether so many bytes are there, in this context.
pub fn is_memory(address: usize, bytes: usize, context: usize) -> bool {
    let table = table();
    range(&table, address)
        .is_some_and(|(base, memory)| memory.context == context && address + bytes <= base + memory.size)
}

/// Whether so many bytes are there.
pub fn check_range(address: usize, bytes: usize) -> Result<(), Status> {
    let table = table();
    let there = range(&table, address).is_some_and(|(base, memory)| address + bytes <= base + memory.size);
    if there { Ok(()) } else { Err(INVALID_VALUE) }
}

fn answer(body: impl FnOnce() -> Result<(), Status>) -> Status {
    if !INITIALISED.load(Ordering::SeqCst) {
        return NOT_INITIALIZED;
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => SUCCESS,
        Ok(Err(status)) => status,
        Err(_) => UNKNOWN,
    }
}

/// As [`answer`], for what needs a device that works and a current context.
pub fn on_device(body: impl FnOnce(usize) -> Result<(), Status>) -> Status {
    answer(|| {
        let context = current().ok_or(INVALID_CONTEXT)?;
        body(context)?;
        if objects::lost() { Err(LAUNCH_FAILED) } else { Ok(()) }
    })
}

/// # Safety
/// `to` is null or can be written.
pub unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Status> {
    if to.is_null() {
        return Err(INVALID_VALUE);
    }
    // SAFETY: not null; the rest is the caller's word.
    unsafe { to.write(value) };
    Ok(())
}

fn check_device(device: c_int) -> Result<usize, Status> {
    let device = usize::try_from(device).map_err(|_| INVALID_DEVICE)?;
    if device < Behaviour::of_environment().devices {
        Ok(device)
    } else {
        Err(INVALID_DEVICE)
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> Status {
    if flags != 0 {
        return INVALID_VALUE;
    }
    if Behaviour::of_environment().devices == 0 {
        return NO_DEVICE;
    }
    INITIALISED.store(true, Ordering::SeqCst);
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> Status {
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(count, Behaviour::of_environment().devices as c_int) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> Status {
    // SAFETY: the caller's pointer.
    answer(|| check_device(ordinal).and_then(|_| unsafe { put(device, ordinal) }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> Status {
    answer(|| {
        check_device(device)?;
        let text = format!("Double GPU {device}\0");
        if name.is_null() || usize::try_from(length).is_ok_and(|length| length < text.len()) {
            return Err(INVALID_VALUE);
        }
        // SAFETY: as much room as the caller says.
        unsafe { name.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len()) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: c_int) -> Status {
    answer(|| {
        let handle = FIRST_CONTEXT + check_device(device)?;
        // SAFETY: the caller's pointer.
        unsafe { put(context, std::ptr::without_provenance_mut(handle)) }?;
        *table().retained.entry(handle).or_default() += 1;
        objects::handle();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> Status {
    answer(|| {
        let handle = FIRST_CONTEXT + check_device(device)?;
        let mut table = table();
        let count = table.retained.get_mut(&handle).filter(|count| **count > 0);
        *count.ok_or(INVALID_CONTEXT)? -= 1;
        objects::gone();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxPushCurrent_v2(context: *mut c_void) -> Status {
    answer(|| {
        if !is_context(context.addr()) {
            return Err(INVALID_CONTEXT);
        }
        CURRENT.with_borrow_mut(|stack| stack.push(context.addr()));
        objects::handle();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxPopCurrent_v2(context: *mut *mut c_void) -> Status {
    answer(|| {
        let popped = CURRENT.with_borrow_mut(Vec::pop).ok_or(INVALID_CONTEXT)?;
        objects::gone();
        // SAFETY: the caller's pointer.
        unsafe { put(context, std::ptr::without_provenance_mut(popped)) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(device: *mut c_int) -> Status {
    // SAFETY: the caller's pointer.
    on_device(|context| unsafe { put(device, (context - FIRST_CONTEXT) as c_int) })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> Status {
    on_device(compute::finish)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: c_int) -> Status {
    const MAJOR: c_int = 75;
    const MINOR: c_int = 76;
    answer(|| {
        check_device(device)?;
        let name = Behaviour::of_environment().architecture;
        let number: c_int = name.trim_start_matches("sm_").parse().map_err(|_| UNKNOWN)?;
        // SAFETY: the caller's pointer.
        unsafe {
            match attribute {
                MAJOR => put(value, number / 10),
                MINOR => put(value, number % 10),
                _ => Err(INVALID_VALUE),
            }
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocPitch_v2(
    pointer: *mut u64,
    pitch: *mut usize,
    row: usize,
    rows: usize,
    element: c_uint,
) -> Status {
    on_device(|context| {
        if objects::lost() {
            return Err(LAUNCH_FAILED);
        }
        if row == 0 || rows == 0 || ![4, 8, 16].contains(&element) {
            return Err(INVALID_VALUE);
        }
        let stride = row.next_multiple_of(PITCH);
        let size = stride.checked_mul(rows).ok_or(OUT_OF_MEMORY)?;
        let memory = allocate(context, size)?;
        // SAFETY: the caller's pointers.
        unsafe {
            put(pitch, stride)?;
            put(pointer, memory)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(pointer: *mut u64, size: usize) -> Status {
    on_device(|context| {
        if objects::lost() {
            return Err(LAUNCH_FAILED);
        }
        if size == 0 {
            return Err(INVALID_VALUE);
        }
        let memory = allocate(context, size)?;
        // SAFETY: the caller's pointer.
        unsafe { put(pointer, memory) }
    })
}

fn allocate(context: usize, size: usize) -> Result<u64, Status> {
    let layout = Layout::from_size_align(size, PITCH).map_err(|_| OUT_OF_MEMORY)?;
    let mut table = table();
    let used: usize = table.memory.values().map(|memory| memory.size).sum();
    if used.saturating_add(size) > Behaviour::of_environment().memory {
        return Err(OUT_OF_MEMORY);
    }
    // SAFETY: the size is not 0.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        return Err(OUT_OF_MEMORY);
    }
    table.last_id += 1;
    let id = table.last_id;
    let entry = Memory { size, context, id };
    table.memory.insert(memory.expose_provenance(), entry);
    objects::handle();
    Ok(memory.addr() as u64)
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(pointer: u64) -> Status {
    on_device(|context| {
        compute::finish(context)?;
        let base = pointer as usize;
        let memory = table().memory.remove(&base).ok_or(INVALID_VALUE)?;
        objects::gone();
        let layout = Layout::from_size_align(memory.size, PITCH).map_err(|_| UNKNOWN)?;
        // SAFETY: allocated above with this layout, and taken out of the table.
        unsafe { dealloc(std::ptr::with_exposed_provenance_mut(base), layout) };
        Ok(())
    })
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
pub struct Copy2d {
    src_x: usize,
    src_y: usize,
    src_type: c_uint,
    src_host: *const c_void,
    src_device: u64,
    src_array: *mut c_void,
    src_pitch: usize,
    dst_x: usize,
    dst_y: usize,
    dst_type: c_uint,
    dst_host: *mut c_void,
    dst_device: u64,
    dst_array: *mut c_void,
    dst_pitch: usize,
    width: usize,
    height: usize,
}

/// A side of a copy: type, address on the host, address on the device, pitch.
type Side = (c_uint, usize, u64, usize);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpy2D_v2(copy: *const Copy2d) -> Status {
    on_device(|_| {
        if objects::lost() {
            return Err(LAUNCH_FAILED);
        }
        // SAFETY: null or the caller's structure.
        let copy = unsafe { copy.as_ref() }.ok_or(INVALID_VALUE)?;
        if [copy.src_x, copy.src_y, copy.dst_x, copy.dst_y] != [0; 4] {
            return Err(INVALID_VALUE);
        }
        let table = table();
        let address = |(kind, host, device, pitch): Side| {
            if pitch < copy.width || copy.height == 0 {
                return Err(INVALID_VALUE);
            }
            let end = pitch * (copy.height - 1) + copy.width;
            match kind {
                HOST if host != 0 => Ok(host),
                DEVICE => range(&table, device as usize)
                    .filter(|(base, memory)| device as usize + end <= base + memory.size)
                    .map(|_| device as usize)
                    .ok_or(INVALID_VALUE),
                _ => Err(INVALID_VALUE),
            }
        };
        let source = address((
            copy.src_type,
            copy.src_host.expose_provenance(),
            copy.src_device,
            copy.src_pitch,
        ))?;
        let target = address((
            copy.dst_type,
            copy.dst_host.expose_provenance(),
            copy.dst_device,
            copy.dst_pitch,
        ))?;
        for row in 0..copy.height {
            let from = std::ptr::with_exposed_provenance::<u8>(source + row * copy.src_pitch);
            let to = std::ptr::with_exposed_provenance_mut::<u8>(target + row * copy.dst_pitch);
            // SAFETY: checked against the table, or the caller's word for memory of the host.
            unsafe { from.copy_to(to, copy.width) };
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetAddressRange_v2(base: *mut u64, size: *mut usize, pointer: u64) -> Status {
    on_device(|_| {
        let table = table();
        let (start, memory) = range(&table, pointer as usize).ok_or(INVALID_VALUE)?;
        // SAFETY: the caller's pointers.
        unsafe {
            put(base, start as u64)?;
            put(size, memory.size)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuPointerGetAttribute(data: *mut c_void, attribute: c_int, pointer: u64) -> Status {
    const CONTEXT: c_int = 1;
    const BUFFER_ID: c_int = 7;
    answer(|| {
        let table = table();
        let (_, memory) = range(&table, pointer as usize).ok_or(INVALID_VALUE)?;
        // SAFETY: the caller's pointer, as wide as the attribute.
        unsafe {
            match attribute {
                CONTEXT => put(data.cast(), memory.context),
                BUFFER_ID => put(data.cast(), memory.id),
                _ => Err(INVALID_VALUE),
            }
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(status: Status, name: *mut *const c_char) -> Status {
    match NAMES.iter().find(|(known, _)| *known == status) {
        // SAFETY: the caller's pointer.
        Some((_, text)) => unsafe { put(name, text.as_ptr()) }.err().unwrap_or(SUCCESS),
        None => INVALID_VALUE,
    }
}
