//! CUDA C to machine code, by NVRTC.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use libloading::Library;

use crate::Error;
use crate::driver::{Missing, Search};

const NVRTC: Search = Search {
    names: &[
        "libnvrtc.so",
        "libnvrtc.so.13",
        "libnvrtc.so.12",
        "libnvrtc.so.11.2",
        "/usr/local/cuda/lib64/libnvrtc.so",
    ],
    variable: "NUNCHI_NVRTC",
};

type Status = c_int;
type Program = *mut c_void;
/// `NVRTC_ERROR_COMPILATION` and, for an architecture that it does not know, `NVRTC_ERROR_INVALID_OPTION`.
const NOT_COMPILED: [Status; 2] = [6, 5];

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*),)*) => {
        #[allow(non_snake_case, reason = "NVRTC's names")]
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> Status,)*
        }

        impl Functions {
            /// # Safety
            /// The file is NVRTC.
            unsafe fn load(file: &Library) -> Result<Self, Missing> {
                Ok(Self {
                    $($name: {
                        const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                            Ok(name) => name,
                            Err(_) => panic!("a name holds no zero"),
                        };
                        // SAFETY: the function of that name has this signature.
                        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) -> Status>(Search::symbol(file, NAME)?) }
                    },)*
                })
            }
        }
    };
}

functions! {
    nvrtcCreateProgram: fn(*mut Program, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char),
    nvrtcCompileProgram: fn(Program, c_int, *const *const c_char),
    nvrtcGetProgramLogSize: fn(Program, *mut usize),
    nvrtcGetProgramLog: fn(Program, *mut c_char),
    nvrtcGetCUBINSize: fn(Program, *mut usize),
    nvrtcGetCUBIN: fn(Program, *mut c_char),
    nvrtcDestroyProgram: fn(*mut Program),
}

/// Compiles kernels to machine code for an architecture such as `sm_90`. Products and sums stay two operations, as on the processor.
///
/// # Errors
/// [`Error::Nvrtc`]; [`Error::Compile`] with what it says of the source.
pub fn compile(source: &str, architecture: &str) -> Result<Vec<u8>, Error> {
    let missing = |Missing(reason)| Error::Nvrtc {
        reason,
        variable: NVRTC.variable,
    };
    let file = NVRTC.open().map_err(missing)?;
    // SAFETY: these functions have had one signature since CUDA 11.1.
    let functions = unsafe { Functions::load(&file) }.map_err(missing)?;
    let text = |text: String| {
        CString::new(text).map_err(|_| Error::Call {
            call: "nvrtcCreateProgram",
            reason: "a source with a zero".to_owned(),
        })
    };
    let program = Source {
        source: text(source.to_owned())?,
        options: [
            text(format!("--gpu-architecture={architecture}"))?,
            text("--fmad=false".to_owned())?,
        ],
    };
    program.compile(&functions, architecture)
}

struct Source {
    source: CString,
    options: [CString; 2],
}

impl Source {
    fn compile(&self, nvrtc: &Functions, architecture: &str) -> Result<Vec<u8>, Error> {
        let mut program = ptr::null_mut();
        let none = ptr::null();
        // SAFETY: a valid pointer, texts with their zeroes, no headers.
        let status = unsafe {
            (nvrtc.nvrtcCreateProgram)(&mut program, self.source.as_ptr(), c"nunchi.cu".as_ptr(), 0, none, none)
        };
        check("nvrtcCreateProgram", status)?;
        let options = self.options.each_ref().map(|option| option.as_ptr());
        // SAFETY: a live program, as many options as are said, texts with their zeroes.
        let status = unsafe { (nvrtc.nvrtcCompileProgram)(program, options.len() as c_int, options.as_ptr()) };
        let image = if NOT_COMPILED.contains(&status) {
            // SAFETY: a live program and the functions of its log.
            let log = unsafe { bytes(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog) };
            Err(Error::Compile {
                architecture: architecture.to_owned(),
                log: told(&log.unwrap_or_default()),
            })
        } else {
            check("nvrtcCompileProgram", status).and_then(|()| {
                // SAFETY: a compiled program and the functions of its code.
                unsafe { bytes(program, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN) }
            })
        };
        // SAFETY: created above, destroyed once.
        let _ = unsafe { (nvrtc.nvrtcDestroyProgram)(&mut program) };
        image
    }
}

/// The first lines of a log, in one.
fn told(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines = text
        .lines()
        .map(|line| line.trim_matches(['\0', ' ']))
        .filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.take(3).collect();
    if lines.is_empty() {
        return "it does not say why".to_owned();
    }
    lines.join("; ")
}

/// # Safety
/// The functions give the size of something of the program, and the thing.
unsafe fn bytes(
    program: Program,
    size: unsafe extern "C" fn(Program, *mut usize) -> Status,
    get: unsafe extern "C" fn(Program, *mut c_char) -> Status,
) -> Result<Vec<u8>, Error> {
    let mut length = 0;
    // SAFETY: a live program and a valid pointer.
    check("nvrtcGetSize", unsafe { size(program, &mut length) })?;
    let mut bytes = vec![0u8; length];
    if length > 0 {
        // SAFETY: as much room as it has said.
        check("nvrtcGet", unsafe { get(program, bytes.as_mut_ptr().cast()) })?;
    }
    Ok(bytes)
}

fn check(call: &'static str, status: Status) -> Result<(), Error> {
    match status {
        0 => Ok(()),
        // NVRTC_ERROR_OUT_OF_MEMORY
        1 => Err(Error::Memory { during: call }),
        status => Err(Error::Call {
            call,
            reason: format!("NVRTC status {status}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_in_one_line() {
        assert_eq!(
            told(b"a.cu(1): error: x\n\n  y \nz\nmore\n\0"),
            "a.cu(1): error: x; y; z"
        );
        assert_eq!(told(b"\0"), "it does not say why");
    }
}
