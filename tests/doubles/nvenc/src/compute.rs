//! The calls of `libcuda.so.1` for work that goes on beside the processor. Nothing that is queued is done before somebody waits for it, so
//! that a wait that is missing shows: what a stream's queue reads and writes is read and written at the last moment allowed.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::behaviour::Behaviour;
use crate::cuda::{self, INVALID_VALUE, LAUNCH_FAILED, NOT_FOUND, OUT_OF_MEMORY, Status, check_range, on_device, put};
use crate::objects;

const PAGE: usize = 4096;

type Job = Box<dyn FnOnce() -> Result<(), Status> + Send>;

#[derive(Default)]
struct Stream {
    context: usize,
    jobs: VecDeque<Job>,
    /// Jobs since the beginning that are done.
    done: u64,
}

#[derive(Default)]
struct Table {
    streams: BTreeMap<usize, Stream>,
    /// Stream of the last record, and how many of its jobs come before it.
    events: BTreeMap<usize, (usize, u64)>,
    pinned: BTreeMap<usize, usize>,
    modules: BTreeMap<usize, Module>,
    functions: BTreeMap<usize, Function>,
    launches: u64,
}

struct Module {
    library: usize,
    folder: std::path::PathBuf,
}

type Body = unsafe extern "C" fn(*const c_void);
type Launch = unsafe extern "C" fn(Body, *const c_void, *const c_uint, c_uint) -> c_int;

#[derive(Clone, Copy)]
struct Function {
    body: Body,
    launch: Launch,
    bytes: usize,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
/// Kernels run one after the other.
static PROCESSOR: Mutex<()> = Mutex::new(());

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn null<T>() -> *mut T {
    std::ptr::null_mut()
}

/// Queues a job.
fn queue(stream: *mut c_void, job: impl FnOnce() -> Result<(), Status> + Send + 'static) -> Result<(), Status> {
    let mut table = table();
    let stream = table.streams.get_mut(&stream.addr()).ok_or(INVALID_VALUE)?;
    if cuda::current() != Some(stream.context) {
        objects::misuse("a stream was used in another context than its own");
    }
    stream.jobs.push_back(Box::new(job));
    Ok(())
}

/// Does what is queued in a stream, `until` so many of its jobs are done.
fn work(stream: usize, until: u64) -> Result<(), Status> {
    loop {
        let job = {
            let mut table = table();
            let Some(stream) = table.streams.get_mut(&stream) else {
                return Ok(());
            };
            if stream.done >= until {
                return Ok(());
            }
            let Some(job) = stream.jobs.pop_front() else {
                return Ok(());
            };
            stream.done += 1;
            job
        };
        if objects::lost() {
            return Err(LAUNCH_FAILED);
        }
        job()?;
    }
}

/// Does all that is queued in a context.
pub fn finish(context: usize) -> Result<(), Status> {
    let streams: Vec<_> = table()
        .streams
        .iter()
        .filter(|(_, stream)| stream.context == context)
        .map(|(&handle, _)| handle)
        .collect();
    streams.into_iter().try_for_each(|stream| work(stream, u64::MAX))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut *mut c_void, flags: c_uint) -> Status {
    on_device(|context| {
        if flags > 1 {
            return Err(INVALID_VALUE);
        }
        let handle = objects::handle();
        let new = Stream {
            context,
            ..Stream::default()
        };
        table().streams.insert(handle, new);
        // SAFETY: the caller's pointer.
        unsafe { put(stream, std::ptr::without_provenance_mut(handle)) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: *mut c_void) -> Status {
    on_device(|_| {
        let stream = table().streams.remove(&stream.addr()).ok_or(INVALID_VALUE)?;
        objects::gone();
        if !stream.jobs.is_empty() && !objects::lost() {
            objects::misuse("a stream was destroyed with work in it");
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: *mut c_void) -> Status {
    on_device(|_| work(stream.addr(), u64::MAX))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut *mut c_void, _flags: c_uint) -> Status {
    on_device(|_| {
        let handle = objects::handle();
        table().events.insert(handle, (0, 0));
        // SAFETY: the caller's pointer.
        unsafe { put(event, std::ptr::without_provenance_mut(handle)) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: *mut c_void) -> Status {
    on_device(|_| {
        table().events.remove(&event.addr()).ok_or(INVALID_VALUE)?;
        objects::gone();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: *mut c_void, stream: *mut c_void) -> Status {
    on_device(|_| {
        let mut table = table();
        let source = table.streams.get(&stream.addr()).ok_or(INVALID_VALUE)?;
        let mark = source.done + source.jobs.len() as u64;
        *table.events.get_mut(&event.addr()).ok_or(INVALID_VALUE)? = (stream.addr(), mark);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: *mut c_void, event: *mut c_void, _flags: c_uint) -> Status {
    on_device(|_| {
        let (source, mark) = *table().events.get(&event.addr()).ok_or(INVALID_VALUE)?;
        queue(stream, move || work(source, mark))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(pointer: *mut *mut c_void, bytes: usize, _flags: c_uint) -> Status {
    on_device(|_| {
        let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| OUT_OF_MEMORY)?;
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        // SAFETY: the size is not 0.
        let memory = unsafe { alloc(layout) };
        if memory.is_null() {
            return Err(OUT_OF_MEMORY);
        }
        table().pinned.insert(memory.expose_provenance(), bytes);
        objects::handle();
        // SAFETY: the caller's pointer.
        unsafe { put(pointer, memory.cast()) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeHost(pointer: *mut c_void) -> Status {
    on_device(|context| {
        let bytes = table().pinned.remove(&pointer.addr()).ok_or(INVALID_VALUE)?;
        finish(context)?;
        objects::gone();
        let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| INVALID_VALUE)?;
        // SAFETY: allocated above with this layout, and taken out of the table.
        unsafe { dealloc(pointer.cast(), layout) };
        Ok(())
    })
}

/// Moves bytes when its turn comes; `on` tells which addresses are the device's.
fn copy(stream: *mut c_void, from: usize, to: usize, bytes: usize, on: [bool; 2]) -> Result<(), Status> {
    let check = move || -> Result<(), Status> {
        for (address, device) in [from, to].into_iter().zip(on) {
            if device {
                check_range(address, bytes)?;
            }
        }
        Ok(())
    };
    check()?;
    queue(stream, move || {
        check()?;
        let from = std::ptr::with_exposed_provenance::<u8>(from);
        let to = std::ptr::with_exposed_provenance_mut::<u8>(to);
        // SAFETY: checked above, or the caller's word for memory of the host.
        unsafe { from.copy_to(to, bytes) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyHtoDAsync_v2(to: u64, from: *const c_void, bytes: usize, stream: *mut c_void) -> Status {
    on_device(|_| copy(stream, from.expose_provenance(), to as usize, bytes, [false, true]))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: *mut c_void) -> Status {
    on_device(|_| copy(stream, from as usize, to.expose_provenance(), bytes, [true, false]))
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyPeerAsync(
    to: u64,
    ours: *mut c_void,
    from: u64,
    theirs: *mut c_void,
    bytes: usize,
    stream: *mut c_void,
) -> Status {
    on_device(|_| {
        for (address, context) in [(to, ours), (from, theirs)] {
            if !cuda::is_memory(address as usize, bytes, context.addr()) {
                return Err(INVALID_VALUE);
            }
        }
        copy(stream, from as usize, to as usize, bytes, [true, true])
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(at: u64, value: u8, bytes: usize, stream: *mut c_void) -> Status {
    on_device(|_| {
        check_range(at as usize, bytes)?;
        queue(stream, move || {
            check_range(at as usize, bytes)?;
            // SAFETY: checked above.
            unsafe { std::ptr::with_exposed_provenance_mut::<u8>(at as usize).write_bytes(value, bytes) };
            Ok(())
        })
    })
}

#[link(name = "dl")]
unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(library: *mut c_void) -> c_int;
}

const NOW: c_int = 2;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut *mut c_void, image: *const c_void) -> Status {
    on_device(|_| {
        if image.is_null() {
            return Err(INVALID_VALUE);
        }
        // SAFETY: what the double's NVRTC gave, with the zero that every image ends with.
        let path = unsafe { CStr::from_ptr(image.cast()) };
        // SAFETY: a text with its zero.
        let library = unsafe { dlopen(path.as_ptr(), NOW) };
        if library.is_null() {
            return Err(INVALID_VALUE);
        }
        let folder = Path::new(&*path.to_string_lossy()).parent().map(Path::to_owned);
        let handle = objects::handle();
        let new = Module {
            library: library.expose_provenance(),
            folder: folder.unwrap_or_default(),
        };
        table().modules.insert(handle, new);
        // SAFETY: the caller's pointer.
        unsafe { put(module, std::ptr::without_provenance_mut(handle)) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: *mut c_void) -> Status {
    on_device(|context| {
        let module = table().modules.remove(&module.addr()).ok_or(INVALID_VALUE)?;
        finish(context)?;
        objects::gone();
        // SAFETY: opened in cuModuleLoadData, closed once.
        unsafe { dlclose(std::ptr::with_exposed_provenance_mut(module.library)) };
        // Nothing but the double's own files is in it.
        let _ = std::fs::remove_dir_all(module.folder);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut c_void,
    module: *mut c_void,
    name: *const c_char,
) -> Status {
    on_device(|_| {
        let mut table = table();
        let library = table.modules.get(&module.addr()).ok_or(INVALID_VALUE)?.library;
        // SAFETY: an open library, and a text with its zero.
        let symbol = |name: &CStr| unsafe { dlsym(std::ptr::with_exposed_provenance_mut(library), name.as_ptr()) };
        // SAFETY: the caller's text.
        let name = unsafe { CStr::from_ptr(name) };
        let bytes = std::ffi::CString::new(format!("{}_bytes", name.to_string_lossy())).map_err(|_| INVALID_VALUE)?;
        let (body, launch, bytes) = (symbol(name), symbol(c"shim_launch"), symbol(&bytes));
        if body == null() || launch == null() || bytes == null() {
            return Err(NOT_FOUND);
        }
        // SAFETY: the shim declares them so.
        let new = unsafe {
            Function {
                body: std::mem::transmute::<*mut c_void, Body>(body),
                launch: std::mem::transmute::<*mut c_void, Launch>(launch),
                bytes: *bytes.cast::<usize>(),
            }
        };
        table.functions.insert(body.addr(), new);
        // SAFETY: the caller's pointer.
        unsafe { put(function, body) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernel(
    function: *mut c_void,
    x: c_uint,
    y: c_uint,
    z: c_uint,
    threads: c_uint,
    threads_y: c_uint,
    threads_z: c_uint,
    shared: c_uint,
    stream: *mut c_void,
    parameters: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Status {
    on_device(|_| {
        let known = table().functions.get(&function.addr()).copied();
        let function = known.ok_or(INVALID_VALUE)?;
        let odd = [threads_y, threads_z] != [1, 1] || shared != 0 || !extra.is_null() || parameters.is_null();
        if odd || [x, y, z, threads].contains(&0) || threads > 1024 {
            return Err(INVALID_VALUE);
        }
        let mut bytes = vec![0u64; function.bytes.div_ceil(8)];
        // SAFETY: the kernel's one parameter, as large as the kernel says; it is copied now, as the real one does.
        unsafe {
            (*parameters)
                .cast::<u8>()
                .copy_to_nonoverlapping(bytes.as_mut_ptr().cast(), function.bytes);
        }
        let number = {
            let mut table = table();
            table.launches += 1;
            table.launches - 1
        };
        let lost = Behaviour::of_environment().lost_launch == Some(number);
        queue(stream, move || {
            if lost {
                objects::lose();
                return Err(LAUNCH_FAILED);
            }
            let _processor = PROCESSOR.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: the library is open, because modules are unloaded after a wait for what is queued.
            match unsafe { (function.launch)(function.body, bytes.as_ptr().cast(), [x, y, z].as_ptr(), threads) } {
                0 => Ok(()),
                _ => {
                    objects::misuse("threads of a block part at a barrier");
                    Err(LAUNCH_FAILED)
                }
            }
        })
    })
}
