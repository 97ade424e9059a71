#![no_main]
//! Any text as a description: read, checked, and its launch lines scanned.

use libfuzzer_sys::fuzz_target;
use nunchi::spec::{check, read, template};

fuzz_target!(|text: &str| {
    let _ = template::placeholders(text);
    if let Ok(description) = read::parse(text) {
        let _ = check::check(&read::Loaded {
            path: "fuzz.yaml".into(),
            description,
        });
    }
});
