//! The manual test of `docs/nvenc.md`: lists the GPUs, then encodes a moving picture with each codec, from system memory
//! and from memory of the GPU, into files that another program decodes.
//!
//! `cargo run --release -p nunchi-nvenc --example nvenc -- FOLDER`
#![allow(clippy::print_stdout, reason = "what it finds is its purpose")]

use std::ffi::c_void;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use nunchi_nvenc::{Codec, Config, DevicePlane, Encoder, Error, Format, Packet, Plane, RateControl, gpus};

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
const FRAMES: u64 = 300;
/// More sessions than this are not tried.
const SESSIONS: usize = 12;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    for gpu in gpus()? {
        println!("GPU {}: {}", gpu.index, gpu.name);
        let encoders = match gpu.encoders {
            Ok(encoders) => encoders,
            Err(error) => {
                println!("  {error}");
                continue;
            }
        };
        for encoder in encoders {
            println!("  {encoder:?}");
            let config = Config {
                device: gpu.index,
                ..Config::new(encoder.codec, Format::Nv12, WIDTH as u32, HEIGHT as u32)
            };
            let extension = match encoder.codec {
                Codec::H264 => "h264",
                Codec::H265 => "h265",
                Codec::Av1 => "obu",
            };
            let file = |from| Path::new(&folder).join(format!("gpu{}-{from}.{extension}", gpu.index));
            report("system memory", from_system(&config, &file("system")));
            report("GPU memory", from_gpu(&config, &file("cuda")));
        }
        let config = Config {
            device: gpu.index,
            ..Config::new(Codec::H264, Format::Nv12, 16_384, 16_384)
        };
        println!("  too large: {}", told(Encoder::open(&config)));
        sessions(gpu.index);
    }
    Ok(())
}

fn report(from: &str, outcome: Result<String, Box<dyn std::error::Error>>) {
    match outcome {
        Ok(text) => println!("    {from}: {text}"),
        Err(error) => println!("    {from}: FAILED: {error}"),
    }
}

fn told(opened: Result<Encoder, Error>) -> String {
    opened.map_or_else(|error| error.to_string(), |_| "FAILED: it was taken".to_owned())
}

/// Opens encoders until one is refused.
fn sessions(device: u32) {
    let config = Config {
        device,
        ..Config::new(Codec::H264, Format::Nv12, WIDTH as u32, HEIGHT as u32)
    };
    let mut open = Vec::new();
    while open.len() < SESSIONS {
        match Encoder::open(&config) {
            Ok(encoder) => open.push(encoder),
            Err(error) => return println!("  {} sessions, then: {error}", open.len()),
        }
    }
    println!("  {} sessions", open.len());
}

/// Bars that move, and chroma that turns with them.
fn picture(number: u64) -> (Vec<u8>, Vec<u8>) {
    let luma = (0..WIDTH * HEIGHT).map(|at| ((at % WIDTH + at / WIDTH) as u64 / 4 + number) as u8);
    let chroma = (0..WIDTH * HEIGHT / 2).map(|at| (100 + (at / WIDTH + number as usize) % 56) as u8);
    (luma.collect(), chroma.collect())
}

/// Writes packets, counts them and sees that they come in order.
struct Output {
    file: File,
    next: u64,
    bytes: usize,
    start: Instant,
}

impl Output {
    fn new(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            next: 0,
            bytes: 0,
            start: Instant::now(),
        })
    }

    fn write(&mut self, packets: Vec<Packet>) -> Outcome {
        for packet in packets {
            if packet.index != self.next || (packet.index == 0 && !packet.key) {
                return Err(format!(
                    "packet {} came for {}, key frame: {}",
                    packet.index, self.next, packet.key
                )
                .into());
            }
            self.next += 1;
            self.bytes += packet.data.len();
            self.file.write_all(&packet.data)?;
        }
        Ok(())
    }

    fn end(&self) -> Result<String, Box<dyn std::error::Error>> {
        if self.next != FRAMES {
            return Err(format!("{} of {FRAMES} packets", self.next).into());
        }
        let speed = FRAMES as f64 / self.start.elapsed().as_secs_f64();
        Ok(format!(
            "{} of {FRAMES} packets, {} kB, {speed:.0} per second",
            self.next,
            self.bytes / 1000
        ))
    }
}

/// Half of the frames with another bit rate, and one key frame out of turn.
fn from_system(config: &Config, path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut encoder = Encoder::open(config)?;
    let mut output = Output::new(path)?;
    for number in 0..FRAMES {
        if number == FRAMES / 2 {
            encoder.set_rate(RateControl::Vbr {
                bitrate: 1_000_000,
                max_bitrate: 0,
            })?;
        }
        let (luma, chroma) = picture(number);
        let planes = [&luma, &chroma].map(|data| Plane { data, stride: WIDTH });
        output.write(encoder.encode(&planes, number, number == 100)?)?;
    }
    output.write(encoder.flush()?)?;
    output.end()
}

/// As many frames in memory of the GPU as are under way, and one more, round and round.
fn from_gpu(config: &Config, path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let cuda = Cuda::new(config.device)?;
    let pool: Vec<_> = (0..=config.delay())
        .map(|_| cuda.allocate())
        .collect::<Result<_, _>>()?;
    // SAFETY: the memory outlives the encoder, which is dropped before it.
    let mut encoder = unsafe { Encoder::open_for(config, pool[0].0) }?;
    let mut output = Output::new(path)?;
    for number in 0..FRAMES {
        let (pointer, pitch) = pool[number as usize % pool.len()];
        let (luma, chroma) = picture(number);
        let planes = [0, HEIGHT].map(|row| DevicePlane {
            pointer: pointer + (row * pitch) as u64,
            stride: pitch,
        });
        cuda.upload(&luma, planes[0])?;
        cuda.upload(&chroma, planes[1])?;
        // SAFETY: written again only when all frames but those under way have come.
        output.write(unsafe { encoder.encode_device(&planes, number, false) }?)?;
    }
    output.write(encoder.flush()?)?;
    drop(encoder);
    pool.iter().try_for_each(|&(pointer, _)| cuda.free(pointer))?;
    output.end()
}

/// The primary context of a GPU, as another library of the process would have it.
struct Cuda {
    library: libloading::Library,
    device: i32,
}

/// Calls a function of CUDA.
macro_rules! call {
    ($library:expr, $name:literal $(, $argument:expr => $type:ty)*) => {{
        // SAFETY: the C declaration of that name has these arguments.
        let status = unsafe { $library.get::<unsafe extern "C" fn($($type),*) -> u32>($name)?($($argument),*) };
        if status != 0 {
            return Err(format!("{} gave {status}", String::from_utf8_lossy($name)).into());
        }
    }};
}

impl Cuda {
    fn new(device: u32) -> Result<Self, Box<dyn std::error::Error>> {
        let name = std::env::var("NUNCHI_CUDA").unwrap_or_else(|_| "libcuda.so.1".into());
        // SAFETY: the driver, which the encoder opens as well.
        let library = unsafe { libloading::Library::new(name) }?;
        let device = i32::try_from(device)?;
        let mut context: *mut c_void = std::ptr::null_mut();
        call!(library, b"cuInit", 0 => u32);
        call!(library, b"cuDevicePrimaryCtxRetain", &mut context => *mut *mut c_void, device => i32);
        call!(library, b"cuCtxPushCurrent_v2", context => *mut c_void);
        Ok(Self { library, device })
    }

    fn allocate(&self) -> Result<(u64, usize), Box<dyn std::error::Error>> {
        let (mut pointer, mut pitch) = (0, 0);
        call!(self.library, b"cuMemAllocPitch_v2", &mut pointer => *mut u64, &mut pitch => *mut usize, WIDTH => usize, HEIGHT * 3 / 2 => usize, 16 => u32);
        Ok((pointer, pitch))
    }

    fn upload(&self, rows: &[u8], to: DevicePlane) -> Outcome {
        /// `CUDA_MEMCPY2D`: source and target are x, y, type, address on the host, address on the GPU, array, pitch.
        #[repr(C)]
        struct Copy2d {
            source: Side,
            target: Side,
            width: usize,
            height: usize,
        }
        #[repr(C)]
        struct Side {
            start: [usize; 2],
            kind: u32,
            host: *const c_void,
            device: u64,
            array: *const c_void,
            pitch: usize,
        }
        let side = |kind, host, device, pitch| Side {
            start: [0; 2],
            kind,
            host,
            device,
            array: std::ptr::null(),
            pitch,
        };
        let copy = Copy2d {
            source: side(1, rows.as_ptr().cast(), 0, WIDTH),
            target: side(2, std::ptr::null(), to.pointer, to.stride),
            width: WIDTH,
            height: rows.len() / WIDTH,
        };
        call!(self.library, b"cuMemcpy2D_v2", &copy => *const Copy2d);
        Ok(())
    }

    fn free(&self, pointer: u64) -> Outcome {
        call!(self.library, b"cuMemFree_v2", pointer => u64);
        Ok(())
    }

    fn close(&self) -> Outcome {
        let mut context: *mut c_void = std::ptr::null_mut();
        call!(self.library, b"cuCtxPopCurrent_v2", &mut context => *mut *mut c_void);
        call!(self.library, b"cuDevicePrimaryCtxRelease_v2", self.device => i32);
        Ok(())
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // The process ends soon in any case.
        let _ = self.close();
    }
}
