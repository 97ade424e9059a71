//! NVENC, the video encoder of NVIDIA's GPUs, through the driver's own interface (Video Codec SDK 12.1).
//!
//! Nothing of NVIDIA is linked: [`Encoder::open`] opens `libnvidia-encode.so.1` and `libcuda.so.1`, which come with the
//! driver. Types and constants are those of the crate `nvidia-video-codec-sdk`.
//!
//! ```no_run
//! use nunchi_nvenc::{Codec, Config, Encoder, Format, Plane};
//!
//! let config = Config::new(Codec::H264, Format::Nv12, 1280, 720);
//! let mut encoder = Encoder::open(&config)?;
//! let (luma, chroma) = (vec![128; 1280 * 720], vec![128; 1280 * 360]);
//! let planes = [Plane { data: &luma, stride: 1280 }, Plane { data: &chroma, stride: 1280 }];
//! let mut packets = encoder.encode(&planes, 0, false)?;
//! packets.extend(encoder.flush()?);
//! # Ok::<(), nunchi_nvenc::Error>(())
//! ```

mod capabilities;
mod config;
mod encoder;
mod error;
mod library;
mod session;
mod settings;
mod surface;

pub use capabilities::{Capabilities, Gpu, gpus, probe};
pub use config::{Codec, Color, Config, Format, Preset, RateControl, Tuning};
pub use encoder::{DevicePlane, Encoder, Packet, Plane};
pub use error::Error;
