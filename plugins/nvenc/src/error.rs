//! Why something cannot be encoded, and what helps.

use crate::{Codec, Format};

/// The texts name the cause and the remedy; they are shown to users as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A library of the driver is not there or is not what its name says.
    #[error(
        "{library} cannot be opened: {reason}; install NVIDIA's driver (530.41 or newer), or set {variable} to the library"
    )]
    Library {
        library: &'static str,
        reason: String,
        variable: &'static str,
    },
    /// The driver speaks an older interface than this crate.
    #[error(
        "NVIDIA's driver is too old: it offers NVENC {major}.{minor}, 12.1 is needed; install driver 530.41 or newer"
    )]
    DriverTooOld { major: u32, minor: u32 },
    /// CUDA finds no GPU.
    #[error(
        "no NVIDIA GPU answers ({reason}); see whether `nvidia-smi` lists one (in a container: start it with the GPU and the capability `video`)"
    )]
    NoDevice { reason: String },
    /// There are GPUs, but not so many.
    #[error("there is no GPU {device}: this machine has {count}, counted from 0")]
    DeviceIndex { device: u32, count: u32 },
    /// The GPU has no encoder, as A100, H100 and H200.
    #[error(
        "{gpu} has no video encoder (NVENC), as A100, H100 and H200 have none; take another GPU or encode in software"
    )]
    NoEncoder { gpu: String },
    /// The encoder of the GPU is for other codecs.
    #[error("{gpu} does not encode {codec}, only {offered}; take one of these or another GPU")]
    Codec { gpu: String, codec: Codec, offered: String },
    /// Outside of what the encoder takes.
    #[error(
        "{gpu} does not encode {codec} of {width}x{height}: {min_width}x{min_height} to {max_width}x{max_height} are supported; scale the video"
    )]
    Size {
        gpu: String,
        codec: Codec,
        width: u32,
        height: u32,
        min_width: u32,
        min_height: u32,
        max_width: u32,
        max_height: u32,
    },
    /// The GPU cannot do what the configuration asks for.
    #[error("{gpu} does not encode {codec} {what}")]
    Unsupported { gpu: String, codec: Codec, what: String },
    /// Consumer GPUs limit how many encoders run at once.
    #[error(
        "{gpu} opens no further encoder ({reason}): its limit of sessions is reached or its memory is full; end another encoder"
    )]
    Sessions { gpu: String, reason: String },
    /// The memory of the GPU is full.
    #[error("the memory of the GPU is full ({during}); end what else uses it, or encode smaller frames")]
    Memory { during: &'static str },
    /// The encoder refused a call. It may go on with the next frame or not.
    #[error("NVENC failed in {call}: {reason}")]
    Encode { call: &'static str, reason: String },
    /// The GPU is gone: it was reset, unplugged or crashed. No call to it will succeed.
    #[error("the GPU was lost during {call} ({reason}); see `dmesg | grep -i xid`, then start again")]
    Lost { call: &'static str, reason: String },
    /// A wrong configuration.
    #[error("{0}")]
    Config(String),
    /// A frame that is not as the configuration says.
    #[error("a frame of {format} {width}x{height} cannot be read: {reason}")]
    Frame {
        format: Format,
        width: u32,
        height: u32,
        reason: String,
    },
}

impl From<nunchi_cuda::Error> for Error {
    fn from(error: nunchi_cuda::Error) -> Self {
        match error {
            nunchi_cuda::Error::Library {
                library,
                reason,
                variable,
            } => Self::Library {
                library,
                reason,
                variable,
            },
            nunchi_cuda::Error::NoDevice { reason } => Self::NoDevice { reason },
            nunchi_cuda::Error::DeviceIndex { device, count } => Self::DeviceIndex { device, count },
            nunchi_cuda::Error::Memory { during } => Self::Memory { during },
            nunchi_cuda::Error::Lost { call, reason } => Self::Lost { call, reason },
            nunchi_cuda::Error::Call { call, reason } => Self::Encode { call, reason },
            other => Self::Encode {
                call: "CUDA",
                reason: other.to_string(),
            },
        }
    }
}

impl Error {
    /// Whether another attempt with the same configuration is pointless on this machine as it is.
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            Self::Sessions { .. } | Self::Memory { .. } | Self::Encode { .. } | Self::Lost { .. } | Self::Frame { .. }
        )
    }
}
