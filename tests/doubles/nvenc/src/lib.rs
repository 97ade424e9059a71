//! Stands in for `libnvidia-encode.so.1`, `libcuda.so.1` and `libnvrtc.so` in tests. See `README.md`.
//!
//! Every function checks what it is given and answers with the status of the real library; nothing here can bring the
//! process down, so that what goes wrong in a test is the caller's doing.

#![allow(clippy::missing_safety_doc, reason = "the contracts are NVIDIA's")]
#![allow(non_snake_case, reason = "the names are NVIDIA's")]

mod behaviour;
mod compute;
mod cuda;
mod nvenc;
mod nvrtc;
mod objects;
mod session;
mod software;
