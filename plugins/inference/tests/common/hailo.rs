//! HEFs for the double of HailoRT, and where it is.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nunchi_inference::engine::hailo::{HailoOptions, StreamFormat};
use nunchi_inference::engine::{EngineError, EngineOptions, ModelSource, Network, load};
use serde_json::{Value, json};

pub const LIBRARY: &str = "NUNCHI_HAILORT";
pub const BEHAVIOUR: &str = "HAILORT_DOUBLE";

/// The double's library: beside the tests, or where `cargo build` puts it. The newer one, so that neither is stale.
pub fn double() -> String {
    let tests = std::env::current_exe().unwrap();
    let folders = tests.ancestors().skip(1).take(2);
    let built = folders.map(|folder| folder.join("libhailort_double.so"));
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let newest = built.filter(|path| path.exists()).max_by_key(age);
    let newest = newest.expect("libhailort_double.so: run `cargo build --release --workspace`");
    newest.to_str().expect("a path of this machine in UTF-8").to_owned()
}

/// A folder of HEFs.
pub struct Hefs(tempfile::TempDir);

impl Hefs {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> ModelSource {
        std::fs::write(self.path(name), bytes).unwrap();
        ModelSource::File(self.path(name))
    }

    pub fn json(&self, name: &str, manifest: &Value) -> ModelSource {
        let text = serde_json::to_vec(manifest).unwrap();
        self.write(name, &[b"\x01HEF", text.as_slice()].concat())
    }

    /// Gives back its four bytes as floats.
    pub fn echo(&self, name: &str, behaviour: &str) -> ModelSource {
        self.json(name, &echo(behaviour))
    }
}

pub fn echo(behaviour: &str) -> Value {
    json!({
        "group": "echo",
        "network": {"affine": [1, 0]},
        "inputs": [{"name": "echo/in", "shape": [1, 1, 4], "scale": 1}],
        "outputs": [{"name": "echo/out", "shape": [1, 1, 4]}],
        "behaviour": behaviour,
    })
}

/// The face detector as a HEF: pixels in, and outputs that are quantised when a scale is given.
pub fn detector(scale: f32) -> Value {
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/face_detection_short_range.onnx");
    json!({
        "group": "detector",
        "network": {"onnx": onnx},
        "inputs": [{"name": "detector/in", "shape": [128, 128, 3], "scale": 1.0 / 127.5, "zero_point": 127.5}],
        "outputs": [
            {"name": "detector/scores", "shape": [1, 896, 1], "from": "scores", "scale": scale, "zero_point": 200},
            {"name": "detector/boxes", "shape": [1, 896, 16], "from": "regressors", "scale": scale, "zero_point": 128},
        ],
    })
}

pub fn options() -> HailoOptions {
    HailoOptions::default()
}

/// Bounds that a test can wait for.
pub fn hasty() -> HailoOptions {
    HailoOptions {
        frame_timeout: Duration::from_millis(300),
        ..options()
    }
}

pub fn floats() -> HailoOptions {
    HailoOptions {
        input: StreamFormat::Float,
        ..options()
    }
}

pub fn open(source: &ModelSource, hailo: &HailoOptions) -> Result<Box<dyn Network>, EngineError> {
    let options = EngineOptions {
        hailo: hailo.clone(),
        ..EngineOptions::default()
    };
    load(source, &options)
}

#[track_caller]
pub fn opened(source: &ModelSource, hailo: &HailoOptions) -> Box<dyn Network> {
    match open(source, hailo) {
        Ok(network) => network,
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
pub fn refused(source: &ModelSource, hailo: &HailoOptions) -> EngineError {
    match open(source, hailo) {
        Ok(_) => panic!("{source} was loaded with {hailo:?}"),
        Err(error) => error,
    }
}

/// Sends the number of a frame through the echo network.
pub fn send(network: &mut dyn Network, slot: usize, number: u32) -> Result<(), EngineError> {
    network.input(slot, 0)?.u8()?.copy_from_slice(&number.to_le_bytes());
    network.submit(slot)
}

/// The number that comes back.
pub fn receive(network: &mut dyn Network, slot: usize) -> Result<u32, EngineError> {
    network.complete(slot, Duration::from_secs(20))?;
    let bytes: Vec<u8> = network.output(slot, 0)?.f32()?.iter().map(|&x| x as u8).collect();
    Ok(u32::from_le_bytes(bytes.try_into().unwrap()))
}

/// Sends frames `0..frames` with every slot in flight, up to the first error, and gives what came back, in the order of
/// completion, and that error. What was done before it is still fetched.
pub fn stream(network: &mut dyn Network, frames: u32) -> (Vec<u32>, Option<EngineError>) {
    let slots = network.slots() as u32;
    let mut numbers = Vec::new();
    let mut error = None;
    let (mut sent, mut fetched) = (0, 0);
    loop {
        if error.is_none() && sent < frames && sent - fetched < slots {
            match send(network, (sent % slots) as usize, sent) {
                Ok(()) => sent += 1,
                Err(failure) => error = Some(failure),
            }
        } else if fetched < sent {
            match receive(network, (fetched % slots) as usize) {
                Ok(number) => numbers.push(number),
                Err(failure) => error = error.or(Some(failure)),
            }
            fetched += 1;
        } else {
            return (numbers, error);
        }
    }
}

/// How many handles of the double are open, asked of the library that the engine has opened.
pub fn handles() -> usize {
    // SAFETY: the double; opening it again gives the one that is open. The function takes nothing and gives a number.
    unsafe {
        let library = libloading::Library::new(double()).unwrap();
        library
            .get::<extern "C" fn() -> usize>(c"hailort_double_handles")
            .unwrap()()
    }
}

pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits until `done`, for as long as a busy machine may need.
#[track_caller]
pub fn eventually(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
