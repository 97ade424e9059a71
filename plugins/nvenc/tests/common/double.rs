//! The double of NVIDIA's driver, and where it is.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;
use std::process::Command;

pub const NVENC: &str = "NUNCHI_NVENC";
pub const CUDA: &str = "NUNCHI_CUDA";
pub const BEHAVIOUR: &str = "NVENC_DOUBLE";

/// The double's library: beside the tests, or where `cargo build` puts it. The newer one, so that neither is stale.
pub fn double() -> String {
    let tests = std::env::current_exe().unwrap();
    let folders = tests.ancestors().skip(1).take(2);
    let built = folders.map(|folder| folder.join("libnvenc_double.so"));
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let newest = built.filter(|path| path.exists()).max_by_key(age);
    let newest = newest.expect("libnvenc_double.so: run `cargo build --release --workspace`");
    newest.to_str().expect("a path of this machine in UTF-8").to_owned()
}

/// Runs the rest of a test in a process of its own, whose driver is the double and behaves so.
#[track_caller]
pub fn on_the_double(test: &str, behaviour: &str) -> bool {
    let double = double();
    in_a_process(test, &[(NVENC, &double), (CUDA, &double), (BEHAVIOUR, behaviour)])
}

/// Runs one test of this binary again in a process of its own, in which libraries are looked for as `variables` say.
#[track_caller]
pub fn in_a_process(test: &str, variables: &[(&str, &str)]) -> bool {
    const MARK: &str = "NUNCHI_TEST_IN_A_PROCESS";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Asks the double that the encoder has opened.
fn ask(name: &std::ffi::CStr) -> usize {
    // SAFETY: the double; opening it again gives the one that is open. The function takes nothing and gives a number.
    unsafe {
        let library = libloading::Library::new(double()).unwrap();
        library.get::<extern "C" fn() -> usize>(name).unwrap()()
    }
}

/// How many objects of the driver are not given back.
pub fn objects() -> usize {
    ask(c"nvenc_double_objects")
}

/// Everything was given back, and in the right order.
#[track_caller]
pub fn assert_clean() {
    assert_eq!(
        (objects(), ask(c"nvenc_double_misuses")),
        (0, 0),
        "left behind, misuses"
    );
}

/// Memory of the GPU in the primary context of a device, as another element would have it.
pub struct Memory {
    library: libloading::Library,
    device: i32,
    pub pointer: u64,
    pub pitch: usize,
}

/// Calls a function of CUDA, which must succeed.
macro_rules! cuda {
    ($library:expr, $name:literal $(, $argument:expr => $type:ty)*) => {{
        // SAFETY: the C declaration of that name has these arguments.
        let status = unsafe {
            let function = $library.get::<unsafe extern "C" fn($($type),*) -> u32>($name).unwrap();
            function($($argument),*)
        };
        assert_eq!(status, 0, "{:?}", $name);
    }};
}

impl Memory {
    pub fn new(device: i32, row: usize, rows: usize) -> Self {
        // SAFETY: the double, whose initialisers do nothing.
        let library = unsafe { libloading::Library::new(double()) }.unwrap();
        let mut context = std::ptr::null_mut();
        let (mut pointer, mut pitch) = (0u64, 0usize);
        cuda!(library, b"cuInit", 0 => u32);
        cuda!(library, b"cuDevicePrimaryCtxRetain", &mut context => *mut *mut std::ffi::c_void, device => i32);
        cuda!(library, b"cuCtxPushCurrent_v2", context => *mut std::ffi::c_void);
        cuda!(library, b"cuMemAllocPitch_v2", &mut pointer => *mut u64, &mut pitch => *mut usize, row => usize, rows => usize, 16 => u32);
        cuda!(library, b"cuCtxPopCurrent_v2", &mut context => *mut *mut std::ffi::c_void);
        Self {
            library,
            device,
            pointer,
            pitch,
        }
    }

    /// Writes rows, wherever the memory is: the double's is that of the host.
    pub fn write(&self, offset: usize, stride: usize, rows: &[u8], row: usize) {
        for (index, bytes) in rows.chunks(row).enumerate() {
            let to = std::ptr::with_exposed_provenance_mut::<u8>(self.pointer as usize + offset + index * stride);
            // SAFETY: the tests write within what they allocated.
            unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let mut context: *mut std::ffi::c_void = std::ptr::null_mut();
        cuda!(self.library, b"cuDevicePrimaryCtxRetain", &mut context => *mut *mut std::ffi::c_void, self.device => i32);
        cuda!(self.library, b"cuCtxPushCurrent_v2", context => *mut std::ffi::c_void);
        cuda!(self.library, b"cuMemFree_v2", self.pointer => u64);
        cuda!(self.library, b"cuCtxPopCurrent_v2", &mut context => *mut *mut std::ffi::c_void);
        for _ in 0..2 {
            cuda!(self.library, b"cuDevicePrimaryCtxRelease_v2", self.device => i32);
        }
    }
}
