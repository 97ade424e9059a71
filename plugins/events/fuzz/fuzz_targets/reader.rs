//! No bytes make the reader panic, and what it returns is sound. Run: `cargo +nightly fuzz run reader` in `plugins/events`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nunchi_events::xml::Session;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(session) = Session::parse(bytes) {
        assert!(session.frames.iter().all(|frame| frame.elapsed_seconds.is_finite()));
    }
});
