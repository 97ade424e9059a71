//! Whatever the two inputs (split at the first NUL byte) are, the output is well-formed for a strict parser.
//! Run: `cargo +nightly fuzz run merge` in `plugins/events`.
#![no_main]

use std::{cell::LazyCell, fs};

use libfuzzer_sys::fuzz_target;
use nunchi_events::xml::merge;
use tempfile::TempDir;

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| TempDir::new().expect("a folder for the inputs"));
}

fuzz_target!(|bytes: &[u8]| {
    FOLDER.with(|folder| {
        let mut parts = bytes.splitn(2, |byte| *byte == 0);
        let inputs = ["a.xml", "b.xml"].map(|name| folder.path().join(name));
        for input in &inputs {
            fs::write(input, parts.next().unwrap_or_default()).expect("the input can be written");
        }
        let output = folder.path().join("log.xml");
        if let Ok(report) = merge(&inputs, &output) {
            let text = fs::read_to_string(&output).expect("the output is UTF-8");
            let document = roxmltree::Document::parse(&text).expect("the output is well-formed");
            assert_eq!(document.root_element().children().count(), report.frames);
        }
    });
});
