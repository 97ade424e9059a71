//! The part of CUDA that Nunchi uses, through the driver's own interface: nothing of NVIDIA is linked.
//!
//! - [`Driver`]: `libcuda.so.1`, opened at the first use.
//! - [`Context`]: a GPU, and [`Current`] what can be done there in this thread: memory, copies.
//! - [`Stream`], [`Pinned`], [`Buffer`], [`Module`], [`Kernel`]: work that goes on while the processor does something else.
//! - [`compile`]: CUDA C to a module by NVRTC (`libnvrtc.so`), which comes with the CUDA toolkit.
//!
//! All of the functions are in the driver since CUDA 4.1; NVRTC is that of CUDA 11.2 or newer.

mod compute;
mod context;
mod driver;
mod error;
mod nvrtc;

pub use compute::{Buffer, Event, Kernel, Module, Pinned, Stream};
pub use context::{Context, Copy2d, Current, DevicePtr, RawContext};
pub use driver::{Driver, Functions, Missing, Search};
pub use error::Error;
pub use nvrtc::compile;
