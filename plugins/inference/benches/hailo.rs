//! How much of a Hailo's latency frames in flight hide.
//!
//! `cargo bench -p nunchi-inference --bench hailo`, on the double of HailoRT: a result comes 20 ms after its frame began, four
//! frames are worked on at once. The yardstick is a loop on the C interface itself that always has as many frames under
//! way as the device takes. Frames per second by wall clock; the share is that of the yardstick.

#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]

#[path = "../tests/common/hailo.rs"]
mod double;

#[path = "common/yardstick.rs"]
mod yardstick;

use std::process::Command;
use std::time::Instant;

const BEHAVIOUR: &str = "latency=20,flight=4";
const FRAMES: u32 = 400;

fn main() {
    if std::env::var_os(double::LIBRARY).is_none() {
        let again = Command::new(std::env::current_exe().expect("a running program has a file"))
            .env(double::LIBRARY, double::double())
            .status();
        assert!(again.is_ok_and(|status| status.success()));
        return;
    }
    let hefs = double::Hefs::new();
    hefs.echo("echo.hef", BEHAVIOUR);
    let took = yardstick::run(&double::double(), &hefs.path("echo.hef"), FRAMES);
    let own = f64::from(FRAMES) / took.as_secs_f64();
    println!("{BEHAVIOUR}, {FRAMES} frames");
    println!("{:<22} {:>9} {:>7}", "", "frames/s", "share");
    println!("{:<22} {own:>9.1} {:>6.1}%", "the double itself", 100.0);
    for slots in [1, 2, 4, 5, 8] {
        let mut network = double::opened(&hefs.echo("echo.hef", BEHAVIOUR), &double::options());
        network.set_slots(slots).expect("no frame is in flight");
        let engine = per_second(|| {
            let (numbers, error) = double::stream(&mut *network, FRAMES);
            assert!(error.is_none() && numbers.iter().copied().eq(0..FRAMES));
        });
        let name = format!("engine, {slots} in flight");
        println!("{name:<22} {engine:>9.1} {:>6.1}%", 100.0 * engine / own);
    }
}

fn per_second(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    f64::from(FRAMES) / start.elapsed().as_secs_f64()
}
