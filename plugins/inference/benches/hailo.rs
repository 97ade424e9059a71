//! How much of a Hailo's latency frames in flight hide.
//!
//! `cargo bench -p nunchi-inference --bench hailo`, on the double of HailoRT: a result comes 20 ms after its frame began, four
//! frames are worked on at once. The yardstick is a loop on the C interface itself that always has as many frames under
//! way as the device takes. Frames per second by wall clock; the share is that of the yardstick.

#![allow(clippy::print_stdout, reason = "the table is what a benchmark is for")]

#[path = "../tests/common/hailo.rs"]
mod double;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::Instant;

use hailort_abi::{
    Api, ConfigureParams, Hef, InputVStream, NetworkGroup, OutputVStream, UNIQUE, VDevice, VDeviceParams,
    VStreamParamsByName, format_type,
};

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
    let own = per_second(|| own_loop(&hefs));
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

/// One thread writes as fast as the device takes frames, one reads.
fn own_loop(hefs: &double::Hefs) {
    let name = CString::new(hefs.path("echo.hef").as_os_str().as_bytes()).expect("no zero in the path");
    // SAFETY: the double, called in HailoRT's order with valid pointers; the threads end before the streams are released.
    unsafe {
        let library = libloading::Library::new(double::double()).expect("the double");
        let api = Api::load(|symbol| library.get::<*const _>(symbol).map(|symbol| *symbol)).expect("all functions");
        let mut params = std::mem::zeroed::<VDeviceParams>();
        (api.hailo_init_vdevice_params)(&mut params).ok().expect("defaults");
        params.group_id = UNIQUE.as_ptr();
        let (mut device, mut hef, mut group) = (VDevice::NULL, Hef::NULL, [NetworkGroup::NULL; 8]);
        (api.hailo_create_vdevice)(&mut params, &mut device)
            .ok()
            .expect("a device");
        (api.hailo_create_hef_file)(&mut hef, name.as_ptr())
            .ok()
            .expect("a HEF");
        let mut params = Box::<ConfigureParams>::new_zeroed().assume_init();
        (api.hailo_init_configure_params_by_vdevice)(hef, device, &mut *params)
            .ok()
            .expect("parameters");
        (api.hailo_configure_vdevice)(device, hef, &mut *params, group.as_mut_ptr(), &mut 8)
            .ok()
            .expect("a group");
        let mut params = VStreamParamsByName::default();
        let (mut input, mut output) = (InputVStream::NULL, OutputVStream::NULL);
        (api.hailo_make_input_vstream_params)(group[0], false, format_type::AUTO, &mut params, &mut 1)
            .ok()
            .expect("input");
        (api.hailo_create_input_vstreams)(group[0], &params, 1, &mut input)
            .ok()
            .expect("input");
        (api.hailo_make_output_vstream_params)(group[0], false, format_type::FLOAT32, &mut params, &mut 1)
            .ok()
            .expect("output");
        (api.hailo_create_output_vstreams)(group[0], &params, 1, &mut output)
            .ok()
            .expect("output");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for frame in 0..FRAMES {
                    let bytes = frame.to_le_bytes();
                    (api.hailo_vstream_write_raw_buffer)(input, bytes.as_ptr().cast(), 4)
                        .ok()
                        .expect("written");
                }
            });
            let mut values = [0.0f32; 4];
            for _ in 0..FRAMES {
                (api.hailo_vstream_read_raw_buffer)(output, values.as_mut_ptr().cast(), 16)
                    .ok()
                    .expect("read");
            }
        });
        for status in [
            (api.hailo_release_output_vstreams)(&output, 1),
            (api.hailo_release_input_vstreams)(&input, 1),
            (api.hailo_release_hef)(hef),
            (api.hailo_release_vdevice)(device),
        ] {
            status.ok().expect("released");
        }
    }
}
