//! Why something cannot be done on the GPU, and what helps.

/// The texts name the cause and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The driver's library is not there or is not what its name says.
    #[error("{library} cannot be opened: {reason}; install NVIDIA's driver, or set {variable} to the library")]
    Library {
        library: &'static str,
        reason: String,
        variable: &'static str,
    },
    /// NVRTC is not there or is not what its name says.
    #[error("NVRTC cannot be opened: {reason}; install the CUDA toolkit's libnvrtc, or set {variable} to the library")]
    Nvrtc { reason: String, variable: &'static str },
    /// CUDA finds no GPU.
    #[error("no NVIDIA GPU answers ({reason}); see whether `nvidia-smi` lists one")]
    NoDevice { reason: String },
    /// There are GPUs, but not so many.
    #[error("there is no GPU {device}: this machine has {count}, counted from 0")]
    DeviceIndex { device: u32, count: u32 },
    /// The memory of the GPU, or memory of the host that the GPU can reach, is full.
    #[error("the memory of the GPU is full ({during}); end what else uses it")]
    Memory { during: &'static str },
    /// A call was refused. The next one may succeed.
    #[error("CUDA failed in {call}: {reason}")]
    Call { call: &'static str, reason: String },
    /// The GPU is gone: it was reset, unplugged or crashed. No call to it will succeed.
    #[error("the GPU was lost during {call} ({reason}); see `dmesg | grep -i xid`, then start again")]
    Lost { call: &'static str, reason: String },
    /// Kernels that this NVRTC does not take.
    #[error("NVRTC does not compile the kernels for {architecture}: {log}; take the NVRTC of a newer CUDA")]
    Compile { architecture: String, log: String },
}
