//! One module for each verb.

pub mod doctor;
pub mod evaluate;
pub mod hef;
pub mod list;
pub mod motiontext;
pub mod run;
pub mod serve;
pub mod validate;

use std::path::PathBuf;

use crate::exit::{Exit, Failure};

/// This executable, which is the runner as well.
fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|e| Failure::new(Exit::Internal, format!("cannot find the own executable: {e}")))
}

/// One thread is enough for waiting.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Exit::Internal, format!("cannot wait for events: {e}")))
}
