//! The calls of `libnvrtc.so`: the system's C compiler makes a library of the kernels, whose path is the machine code.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::process::Command;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::behaviour::Behaviour;
use crate::objects;

type Status = c_int;
const SUCCESS: Status = 0;
const INVALID_INPUT: Status = 3;
const INVALID_PROGRAM: Status = 4;
const INVALID_OPTION: Status = 5;
const COMPILATION: Status = 6;

const SHIM: &str = include_str!("shim.h");

#[derive(Default)]
struct Program {
    source: String,
    log: Vec<u8>,
    /// Path of the library.
    code: Vec<u8>,
}

static PROGRAMS: LazyLock<Mutex<HashMap<usize, Program>>> = LazyLock::new(Mutex::default);

fn programs() -> MutexGuard<'static, HashMap<usize, Program>> {
    PROGRAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCreateProgram(
    program: *mut *mut c_void,
    source: *const c_char,
    _name: *const c_char,
    headers: c_int,
    _sources: *const *const c_char,
    _names: *const *const c_char,
) -> Status {
    if program.is_null() || source.is_null() || headers != 0 {
        return INVALID_INPUT;
    }
    // SAFETY: the caller's text.
    let source = unsafe { CStr::from_ptr(source) }.to_string_lossy().into_owned();
    let handle = objects::handle();
    programs().insert(
        handle,
        Program {
            source,
            ..Program::default()
        },
    );
    // SAFETY: not null.
    unsafe { program.write(std::ptr::without_provenance_mut(handle)) };
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcCompileProgram(
    program: *mut c_void,
    count: c_int,
    options: *const *const c_char,
) -> Status {
    let mut programs = programs();
    let Some(program) = programs.get_mut(&program.addr()) else {
        return INVALID_PROGRAM;
    };
    for index in 0..usize::try_from(count).unwrap_or_default() {
        // SAFETY: as many texts as the caller says.
        let option = unsafe { CStr::from_ptr(*options.add(index)) }.to_string_lossy();
        let known = match option.split_once('=') {
            Some(("--gpu-architecture", name)) => name == Behaviour::of_environment().architecture,
            Some(("--fmad", value)) => ["true", "false"].contains(&value),
            _ => false,
        };
        if !known {
            program.log = format!("double: error: invalid value for {option}\0").into_bytes();
            return INVALID_OPTION;
        }
    }
    match compile(&program.source) {
        Ok(path) => {
            program.code = path.into_bytes();
            SUCCESS
        }
        Err(log) => {
            program.log = [log.as_bytes(), b"\0"].concat();
            COMPILATION
        }
    }
}

fn compile(source: &str) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    let folder = std::env::temp_dir().join(format!("nvenc-double-{}-{}", std::process::id(), objects::number()));
    std::fs::create_dir_all(&folder).map_err(text)?;
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(path("shim.h"), SHIM).map_err(text)?;
    std::fs::write(path("kernels.cu"), source).map_err(text)?;
    let library = path("kernels.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(compiler)
        .args(["-x", "c", "-std=gnu11", "-O1", "-ffp-contract=off", "-Wno-psabi"])
        .args(["-shared", "-fPIC", "-include", &path("shim.h"), &path("kernels.cu")])
        .args(["-o", &library, "-lm"])
        .output()
        .map_err(text)?;
    if output.status.success() {
        return Ok(library);
    }
    // Nobody opens what is in it.
    let _ = std::fs::remove_dir_all(&folder);
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLogSize(program: *mut c_void, size: *mut usize) -> Status {
    // SAFETY: the caller's pointer.
    with(program, |program| unsafe { size.write(program.log.len()) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetProgramLog(program: *mut c_void, log: *mut c_char) -> Status {
    // SAFETY: as much room as was said.
    with(program, |program| unsafe {
        log.cast::<u8>()
            .copy_from_nonoverlapping(program.log.as_ptr(), program.log.len());
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetCUBINSize(program: *mut c_void, size: *mut usize) -> Status {
    // SAFETY: the caller's pointer.
    with(program, |program| unsafe { size.write(program.code.len()) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcGetCUBIN(program: *mut c_void, code: *mut c_char) -> Status {
    // SAFETY: as much room as was said.
    with(program, |program| unsafe {
        code.cast::<u8>()
            .copy_from_nonoverlapping(program.code.as_ptr(), program.code.len());
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrtcDestroyProgram(program: *mut *mut c_void) -> Status {
    if program.is_null() {
        return INVALID_PROGRAM;
    }
    // SAFETY: not null.
    let handle = unsafe { *program }.addr();
    match programs().remove(&handle) {
        Some(_) => {
            objects::gone();
            SUCCESS
        }
        None => INVALID_PROGRAM,
    }
}

fn with(program: *mut c_void, body: impl FnOnce(&Program)) -> Status {
    match programs().get(&program.addr()) {
        Some(program) => {
            body(program);
            SUCCESS
        }
        None => INVALID_PROGRAM,
    }
}
