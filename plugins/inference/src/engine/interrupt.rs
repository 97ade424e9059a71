//! Giving up what a thread waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Has threads that wait for a device stop waiting. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on waiting ends with [`EngineError::Interrupted`](super::EngineError::Interrupted).
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Waiting is allowed again.
    pub fn lift(&self) {
        self.0.store(false, Ordering::Release);
    }

    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
