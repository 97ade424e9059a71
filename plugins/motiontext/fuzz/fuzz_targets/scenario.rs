//! No bytes make the parser or the layout panic, in either profile. Run: `cargo +nightly fuzz run scenario` in `plugins/motiontext`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nunchi_motiontext::{Options, Profile, Scenario, fonts::Fonts};

fuzz_target!(|bytes: &[u8]| {
    for profile in [Profile::Preview, Profile::Document] {
        let options = Options { profile, ..Options::default() };
        let Ok((scenario, _)) = Scenario::parse(bytes, &options) else { return };
        let mut fonts = Fonts::new();
        for t in [0.0, 1.0, 2.5] {
            let scene = scenario.scene(t, (640, 360), &mut fonts);
            assert!(scene.items.iter().all(|item| item.transform.0.iter().all(|value| value.is_finite())));
            assert!(scenario.still_until(t) >= t);
        }
    }
});
