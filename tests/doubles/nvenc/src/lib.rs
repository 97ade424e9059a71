//! Stands in for `libnvidia-encode.so.1` and `libcuda.so.1` in tests. See `README.md`.
//!
//! Every function checks what it is given and answers with the status of the real library; nothing here can bring the
//! process down, so that what goes wrong in a test is the caller's doing.

#![allow(clippy::missing_safety_doc, reason = "the contracts are NVIDIA's")]
#![allow(non_snake_case, reason = "the names are NVIDIA's")]

mod behaviour;
mod cuda;
mod nvenc;
mod objects;
mod session;
mod software;
