//! How much of a Hailo's throughput reaches a pipeline.
//!
//! `cargo bench --workspace --bench hailopose`, on the double of HailoRT: a result comes 20 ms after its frame began, four
//! frames are worked on at once. The yardstick is a loop on the C interface itself with the same network. Frames per second by
//! wall clock, from the first frame that enters `hailopose` to the last one that leaves it; the share is that of the yardstick.

#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]

#[path = "../../inference/tests/common/hailo.rs"]
mod double;
#[path = "../../inference/benches/common/yardstick.rs"]
mod yardstick;

use gst::prelude::*;
use serde_json::json;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const BEHAVIOUR: &str = "latency=20,flight=4";
const FRAMES: u32 = 400;
const BOUND: gst::ClockTime = gst::ClockTime::from_seconds(120);

fn main() {
    if std::env::var_os(double::LIBRARY).is_none() {
        let again = Command::new(std::env::current_exe().expect("a running program has a file"))
            .env(double::LIBRARY, double::double())
            .status();
        assert!(again.is_ok_and(|status| status.success()));
        return;
    }
    gst::init().expect("GStreamer");
    gstnunchi::plugin_register_static().expect("the plugin");
    let hefs = double::Hefs::new();
    // Shaped as MoveNet is; the numbers mean nothing.
    hefs.json(
        "pose.hef",
        &json!({
            "group": "pose",
            "network": {"affine": [1.0 / 255.0, 0]},
            "inputs": [{"name": "pose/in", "shape": [192, 192, 3], "scale": 1}],
            "outputs": [{"name": "pose/out", "shape": [1, 17, 3]}],
            "behaviour": BEHAVIOUR,
        }),
    );
    let hef = hefs.path("pose.hef");
    let took = yardstick::run(&double::double(), &hef, FRAMES);
    let own = f64::from(FRAMES) / took.as_secs_f64();
    println!("{BEHAVIOUR}, {FRAMES} frames of 640x360");
    println!("{:<24} {:>9} {:>7}", "", "frames/s", "share");
    println!("{:<24} {own:>9.1} {:>6.1}%", "the double itself", 100.0);
    for (name, depth) in [
        ("pipeline, 1 in flight", 1),
        ("pipeline, 4 in flight", 4),
        ("pipeline, the default", 0),
    ] {
        let rate = pipeline(&format!(
            "hailopose engine=hailo hef-path={} frames-in-flight={depth}",
            hef.display()
        ));
        println!("{name:<24} {rate:>9.1} {:>6.1}%", 100.0 * rate / own);
    }
}

/// Frames per second of a pipeline around the element.
fn pipeline(element: &str) -> f64 {
    let line = format!(
        "videotestsrc num-buffers={FRAMES} ! video/x-raw,format=I420,width=640,height=360 ! {element} name=pose ! fakesink sync=false"
    );
    let pipeline = gst::parse::launch(&line).expect("a pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let pose = pipeline.by_name("pose").expect("the element");
    let first = passing(&pose, "sink", 1);
    let last = passing(&pose, "src", FRAMES);
    pipeline.set_state(gst::State::Playing).expect("it starts");
    let bus = pipeline.bus().expect("a bus");
    let end = bus.timed_pop_filtered(BOUND, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert!(end.is_some_and(|message| message.type_() == gst::MessageType::Eos));
    pipeline.set_state(gst::State::Null).expect("it stops");
    let at = |moment: &Mutex<Option<Instant>>| moment.lock().expect("no panic").expect("all frames pass");
    f64::from(FRAMES) / (at(&last) - at(&first)).as_secs_f64()
}

/// When the frame of that number, counted from 1, passes a pad.
fn passing(element: &gst::Element, pad: &str, number: u32) -> Arc<Mutex<Option<Instant>>> {
    let moment = Arc::new(Mutex::new(None));
    let (kept, seen) = (moment.clone(), Mutex::new(0));
    let pad = element.static_pad(pad).expect("it has this pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let mut seen = seen.lock().expect("no panic");
        *seen += 1;
        if *seen == number {
            *kept.lock().expect("no panic") = Some(Instant::now());
        }
        gst::PadProbeReturn::Ok
    });
    moment
}
