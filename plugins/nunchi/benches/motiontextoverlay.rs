//! Frames per second of `motiontextoverlay` alone: one thread, I420, a line of eight words in Korean and English.
//!
//! `cargo bench --workspace --bench motiontextoverlay`. Frames of a pool are pushed into the element, and what it pushes is
//! given back; nothing else runs. Each figure is the median of the rounds.

#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]

use gst::prelude::*;
use std::time::Instant;

/// As an editor writes a caption: a box with one word after the other. In the first all letters move all the time.
const MOVING: &str = include_str!("captions/moving.json");
const STATIC: &str = include_str!("captions/static.json");
const FRAMES: u64 = 600;
const ROUNDS: usize = 5;
const FONTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../motiontext/tests/fonts");

fn main() {
    gst::init().expect("GStreamer");
    gstnunchi::plugin_register_static().expect("the plugin");
    for (name, height, scenario, goal) in [
        ("720p, each letter", 720, MOVING, 500.0),
        ("720p, static", 720, STATIC, 3000.0),
        ("1080p, each letter", 1080, MOVING, 200.0),
        ("1080p, static", 1080, STATIC, 0.0),
    ] {
        let mut rates: Vec<f64> = (0..ROUNDS).map(|_| rate(height, scenario)).collect();
        rates.sort_by(f64::total_cmp);
        let rate = rates[ROUNDS / 2];
        let goal = if goal > 0.0 {
            format!("{:.1} x the goal of {goal}", rate / goal)
        } else {
            String::new()
        };
        println!("{name:<20} {rate:>8.0} frames/s  {goal}");
    }
}

fn rate(height: u32, scenario: &str) -> f64 {
    let overlay = gst::ElementFactory::make("motiontextoverlay")
        .property("fonts-dir", FONTS)
        .property("scenario", scenario)
        .build()
        .expect("the element");
    let anything = gst::PadTemplate::new(
        "sink",
        gst::PadDirection::Sink,
        gst::PadPresence::Always,
        &gst::Caps::new_any(),
    );
    let sink = gst::Pad::builder_from_template(&anything.expect("constant arguments"))
        .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
        .event_function(|_, _, _| true)
        .build();
    let source = gst::Pad::builder(gst::PadDirection::Src).name("source").build();
    for pad in [&sink, &source] {
        pad.set_active(true).expect("a new pad");
    }
    let (into, out) = (overlay.static_pad("sink"), overlay.static_pad("src"));
    source.link(&into.expect("its sink")).expect("linked");
    out.expect("its source").link(&sink).expect("linked");
    overlay.set_state(gst::State::Playing).expect("it plays");

    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, height * 16 / 9, height)
        .build()
        .expect("valid");
    let caps = info.to_caps().expect("valid");
    source.push_event(gst::event::StreamStart::new("bench"));
    source.push_event(gst::event::Caps::new(&caps));
    source.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(Some(&caps), info.size() as u32, 2, 4);
    pool.set_config(config).expect("valid");
    pool.set_active(true).expect("memory");
    let push = |n: u64| {
        let mut buffer = pool.acquire_buffer(None).expect("a frame");
        buffer
            .get_mut()
            .expect("ours")
            .set_pts(n * 16 * gst::ClockTime::MSECOND);
        source.push(buffer).expect("it goes through");
    };
    // Fonts and glyphs are read with the first frames.
    (0..20).for_each(push);
    let start = Instant::now();
    (20..20 + FRAMES).for_each(push);
    let rate = FRAMES as f64 / start.elapsed().as_secs_f64();
    overlay.set_state(gst::State::Null).expect("it stops");
    pool.set_active(false).expect("it stops");
    rate
}
