//! The double as C sees it: byte by byte, with none of the declarations that the encoder and the double share.

use std::ffi::c_void;
use std::path::PathBuf;

use libloading::Library;

type Pointer = *mut c_void;

const SUCCESS: u32 = 0;
const INVALID_PTR: u32 = 6;
const INVALID_VERSION: u32 = 15;
/// NVENC 12.1: minor << 24 | major.
const API: u32 = 1 << 24 | 12;
const OPEN_SESSION: usize = 30;

fn library() -> Library {
    let tests = std::env::current_exe().unwrap();
    let file: Vec<PathBuf> = tests
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("libnvenc_double.so"))
        .filter(|path| path.exists())
        .collect();
    // SAFETY: our own library, without initialisers.
    unsafe { Library::new(file.first().expect("cargo builds the library before its tests")) }.unwrap()
}

/// Calls a function of the library with the arguments, all of them as wide as a pointer.
macro_rules! call {
    ($library:expr, $name:literal $(, $argument:expr => $type:ty)*) => {{
        // SAFETY: the C declaration of that name has these arguments.
        unsafe {
            let function = $library.get::<unsafe extern "C" fn($($type),*) -> u32>($name).unwrap();
            function($($argument),*)
        }
    }};
}

fn version(structure: u32) -> u32 {
    API | structure << 16 | 7 << 28
}

/// The list of functions: version, reserved, 43 functions and more room, as the header has it.
fn functions(library: &Library) -> Vec<usize> {
    let mut list = vec![0usize; 1 + 43 + 275 + 16];
    list[0] = version(2) as usize;
    let status = call!(library, b"NvEncodeAPICreateInstance", list.as_mut_ptr().cast() => Pointer);
    assert_eq!(status, SUCCESS);
    list[1..].to_vec()
}

/// `NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS`: version, kind of device, device, reserved, version of the API.
fn open(functions: &[usize], words: [u32; 2], device: usize, api: u32) -> (u32, Pointer) {
    let mut params = vec![0u64; 256];
    params[0] = u64::from(words[1]) << 32 | u64::from(words[0]);
    params[1] = device as u64;
    params[3] = api.into();
    let mut session = std::ptr::null_mut();
    type Open = unsafe extern "C" fn(Pointer, *mut Pointer) -> u32;
    // SAFETY: the function at this place of the list has this signature.
    let status = unsafe {
        let open = std::mem::transmute::<usize, Open>(functions[OPEN_SESSION - 1]);
        open(params.as_mut_ptr().cast(), &mut session)
    };
    (status, session)
}

fn context(library: &Library) -> Pointer {
    let mut context: Pointer = std::ptr::null_mut();
    assert_eq!(call!(library, b"cuInit", 0 => u32), SUCCESS);
    let status = call!(library, b"cuDevicePrimaryCtxRetain", &mut context => *mut Pointer, 0 => i32);
    assert_eq!(status, SUCCESS);
    context
}

#[test]
fn the_version_is_major_and_minor_in_one_number() {
    let library = library();
    let mut number = 0u32;
    assert_eq!(
        call!(library, b"NvEncodeAPIGetMaxSupportedVersion", &mut number => *mut u32),
        SUCCESS
    );
    assert_eq!(number, 12 << 4 | 1);
    let null: *mut u32 = std::ptr::null_mut();
    let status = call!(library, b"NvEncodeAPIGetMaxSupportedVersion", null => *mut u32);
    assert_eq!(status, INVALID_PTR);
}

#[test]
fn sessions_are_opened_by_structures_of_the_right_version_only() {
    let library = library();
    let functions = functions(&library);
    let context = context(&library).addr();
    const CUDA: u32 = 1;
    for (words, device, api, wanted) in [
        ([version(2), CUDA], context, API, INVALID_VERSION),
        ([version(1), CUDA], context, API + 1, INVALID_VERSION),
        ([version(1), 0], context, API, 12),
        ([version(1), CUDA], context + 99, API, 3),
    ] {
        let (status, session) = open(&functions, words, device, api);
        assert_eq!((status, session.is_null()), (wanted, true));
    }
    let (status, session) = open(&functions, [version(1), CUDA], context, API);
    assert_eq!((status, session.is_null()), (SUCCESS, false));
}

#[test]
fn made_up_handles_are_errors() {
    let library = library();
    context(&library);
    let made_up: Pointer = std::ptr::without_provenance_mut(0x1234_5678);
    assert_eq!(call!(library, b"cuCtxPushCurrent_v2", made_up => Pointer), 201);
    assert_eq!(call!(library, b"cuMemFree_v2", 64 => u64), 201, "no context is current");
    let mut popped: Pointer = std::ptr::null_mut();
    assert_eq!(call!(library, b"cuCtxPopCurrent_v2", &mut popped => *mut Pointer), 201);
    let mut out = 0u64;
    let status =
        call!(library, b"cuPointerGetAttribute", (&raw mut out).cast() => Pointer, 1 => i32, 0x1234_5678 => u64);
    assert_eq!(status, 1);
    let null: Pointer = std::ptr::null_mut();
    assert_eq!(
        call!(library, b"NvEncodeAPICreateInstance", null => Pointer),
        INVALID_PTR
    );
}
