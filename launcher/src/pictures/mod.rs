//! Reading faces off single pictures, for clients that send one now and then.
//!
//! The networks live in a child process with a thread for each core ([`worker`]), so that a library that crashes on a picture takes
//! nothing else with it, and the weights are there once. The server's side is a [`Pool`]: a bounded queue in front of the child, which
//! it starts again when it is gone or late. Pictures go over a socket pair as they came ([`frames`]); the server never decodes one.

mod analysis;
mod frames;
mod pool;
pub mod worker;

pub use pool::{Answer, Pool, Refused, Settings, State};

/// Largest picture in bytes.
pub const MOST_BYTES: usize = 10 * 1024 * 1024;
