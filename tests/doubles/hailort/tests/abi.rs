//! The double as C sees it: byte by byte, with none of the declarations that the engine and the double share.

use std::ffi::{CString, c_char, c_void};
use std::path::PathBuf;

use libloading::Library;

const SUCCESS: u32 = 0;

fn library() -> Library {
    let tests = std::env::current_exe().unwrap();
    let file: Vec<PathBuf> = tests
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("libhailort_double.so"))
        .filter(|path| path.exists())
        .collect();
    // SAFETY: our own library, without initialisers.
    unsafe { Library::new(file.first().expect("cargo builds the library before its tests")) }.unwrap()
}

/// Memory in which it shows when more is written than a structure has.
fn guarded(bytes: usize) -> Vec<u8> {
    vec![0xee; bytes + 64]
}

#[track_caller]
fn assert_fits(memory: &[u8], bytes: usize) {
    assert!(
        memory[bytes..].iter().all(|&b| b == 0xee),
        "more than {bytes} bytes were written"
    );
    assert!(
        memory[bytes - 1] != 0xee || memory[bytes - 4..bytes] != [0xee; 4],
        "fewer than {bytes} bytes were written"
    );
}

fn word(memory: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(memory[at..at + 4].try_into().unwrap())
}

fn float(memory: &[u8], at: usize) -> f32 {
    f32::from_ne_bytes(memory[at..at + 4].try_into().unwrap())
}

type Pointer = *mut c_void;

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

#[test]
fn the_structures_have_the_sizes_of_4_20_and_later() {
    let library = library();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.hef");
    let json = br#"{"group": "net", "network": {"affine": [1, 0]},
        "inputs": [{"name": "net/in", "shape": [4, 5, 3], "scale": 0.25, "zero_point": 7}],
        "outputs": [{"name": "net/boxes", "shape": [1, 1, 6], "nms": {"order": "by_class", "classes": 80, "boxes": 100}}]}"#;
    std::fs::write(&path, [b"\x01HEF", json.as_slice()].concat()).unwrap();

    let mut params = guarded(40);
    let pointer = params.as_mut_ptr().cast::<c_void>();
    assert_eq!(
        call!(library, b"hailo_init_vdevice_params", pointer => Pointer),
        SUCCESS
    );
    assert_eq!(
        (word(&params, 0), word(&params, 16), params[32]),
        (1, 1, 0),
        "one device, round robin, no service"
    );
    assert!(params[40..].iter().all(|&b| b == 0xee));
    let mut device: Pointer = std::ptr::null_mut();
    assert_eq!(
        call!(library, b"hailo_create_vdevice", pointer => Pointer, &mut device => *mut Pointer),
        SUCCESS
    );

    let name = CString::new(path.to_str().unwrap()).unwrap();
    let mut hef: Pointer = std::ptr::null_mut();
    let status = call!(library, b"hailo_create_hef_file", &mut hef => *mut Pointer, name.as_ptr() => *const c_char);
    assert_eq!(status, SUCCESS);

    let mut infos = guarded(2 * 436);
    let mut count = 2usize;
    let first = std::ptr::null();
    let status = call!(library, b"hailo_hef_get_all_vstream_infos", hef => Pointer, first => *const c_char,
        infos.as_mut_ptr().cast::<c_void>() => Pointer, &mut count => *mut usize);
    assert_eq!((status, count), (SUCCESS, 2));
    assert_fits(&infos, 2 * 436);
    let (input, output) = infos.split_at(436);
    assert_eq!(
        (&input[..7], word(input, 388)),
        (b"net/in\0".as_slice(), 0),
        "name, host to device"
    );
    assert_eq!(
        (word(input, 404), word(input, 408), word(input, 412)),
        (4, 5, 3),
        "height, width, channels"
    );
    assert_eq!((float(input, 420), float(input, 424)), (7.0, 0.25), "zero point, scale");
    assert_eq!(
        (word(output, 388), word(output, 396)),
        (1, 22),
        "device to host, NMS_BY_CLASS"
    );
    assert_eq!(
        (word(output, 404), word(output, 408)),
        (80, 100),
        "classes, boxes of each"
    );

    let mut configure = guarded(84_488);
    let pointer = configure.as_mut_ptr().cast::<c_void>();
    let status = call!(library, b"hailo_init_configure_params_by_vdevice", hef => Pointer, device => Pointer, pointer => Pointer);
    assert_eq!(status, SUCCESS);
    assert_fits(&configure, 84_488);
    let mut group: Pointer = std::ptr::null_mut();
    let mut count = 1usize;
    let status = call!(library, b"hailo_configure_vdevice", device => Pointer, hef => Pointer, pointer => Pointer,
        &mut group => *mut Pointer, &mut count => *mut usize);
    assert_eq!((status, count), (SUCCESS, 1));

    let mut params = guarded(156);
    let status = call!(library, b"hailo_make_input_vstream_params", group => Pointer, false => bool, 0 => u32,
        params.as_mut_ptr().cast::<c_void>() => Pointer, &mut count => *mut usize);
    assert_eq!((status, count), (SUCCESS, 1));
    assert_fits(&params, 156);
    assert_eq!((word(&params, 140), word(&params, 144)), (10_000, 2), "time-out, queue");
}

#[test]
fn made_up_and_released_handles_are_errors() {
    let library = library();
    let made_up: Pointer = std::ptr::without_provenance_mut(0x1234_5678);
    assert_eq!(call!(library, b"hailo_release_hef", made_up => Pointer), 2);
    assert_eq!(call!(library, b"hailo_release_vdevice", made_up => Pointer), 2);
    let mut byte = 0u8;
    let buffer: Pointer = (&raw mut byte).cast();
    let status = call!(library, b"hailo_vstream_read_raw_buffer", made_up => Pointer, buffer => Pointer, 1 => usize);
    assert_eq!(status, 2);
    let null: Pointer = std::ptr::null_mut();
    assert_eq!(
        call!(library, b"hailo_create_vdevice", null => Pointer, null => Pointer),
        2
    );
    assert_eq!(call!(library, b"hailo_get_library_version", null => Pointer), 2);
}
