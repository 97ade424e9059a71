//! What is alive, and what was done wrong.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Handles that are not given back: contexts, memory, sessions, resources, mappings, buffers.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Breaches of the order of calls that the real library would not tell.
static MISUSES: AtomicUsize = AtomicUsize::new(0);
static LAST: AtomicUsize = AtomicUsize::new(0);
static LOST: AtomicBool = AtomicBool::new(false);

/// A number that stands for an object and is never used again.
pub fn handle() -> usize {
    LIVE.fetch_add(1, Ordering::SeqCst);
    number()
}

/// A number that is never given again.
pub fn number() -> usize {
    LAST.fetch_add(16, Ordering::SeqCst) + 16
}

pub fn gone() {
    LIVE.fetch_sub(1, Ordering::SeqCst);
}

pub fn misuse(what: &str) {
    MISUSES.fetch_add(1, Ordering::SeqCst);
    eprintln!("nvenc double: {what}");
}

/// The device fails from now on.
pub fn lose() {
    LOST.store(true, Ordering::SeqCst);
}

pub fn lost() -> bool {
    LOST.load(Ordering::SeqCst)
}

/// How many objects are not given back: a test's question to the double.
#[unsafe(no_mangle)]
pub extern "C" fn nvenc_double_objects() -> usize {
    LIVE.load(Ordering::SeqCst)
}

/// How often the order of calls was broken: a test's question to the double.
#[unsafe(no_mangle)]
pub extern "C" fn nvenc_double_misuses() -> usize {
    MISUSES.load(Ordering::SeqCst)
}
