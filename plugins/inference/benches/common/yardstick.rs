//! What a device gives at most: a loop on HailoRT's C interface itself, with as many frames under way as the device takes.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hailort_abi::{
    Api, ConfigureParams, Hef, InputVStream, NetworkGroup, OutputVStream, UNIQUE, VDevice, VDeviceParams,
    VStreamParamsByName, format_type,
};

/// Sends frames through a HEF of one input and one output: one thread writes as fast as the device takes them, one reads.
/// Gives the time from the first write to the last read: a pipeline is timed without its start, too.
pub fn run(library: &str, hef: &Path, frames: u32) -> Duration {
    let name = CString::new(hef.as_os_str().as_bytes()).expect("no zero in the path");
    // SAFETY: the double, called in HailoRT's order with valid pointers; the threads end before the streams are released.
    unsafe {
        let library = libloading::Library::new(library).expect("the double");
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
        let mut sizes = (0, 0);
        (api.hailo_get_input_vstream_frame_size)(input, &mut sizes.0)
            .ok()
            .expect("a size");
        (api.hailo_get_output_vstream_frame_size)(output, &mut sizes.1)
            .ok()
            .expect("a size");
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let frame = vec![0u8; sizes.0];
                for _ in 0..frames {
                    (api.hailo_vstream_write_raw_buffer)(input, frame.as_ptr().cast(), frame.len())
                        .ok()
                        .expect("written");
                }
            });
            let mut values = vec![0.0f32; sizes.1 / size_of::<f32>()];
            for _ in 0..frames {
                (api.hailo_vstream_read_raw_buffer)(output, values.as_mut_ptr().cast(), sizes.1)
                    .ok()
                    .expect("read");
            }
        });
        let took = start.elapsed();
        for status in [
            (api.hailo_release_output_vstreams)(&output, 1),
            (api.hailo_release_input_vstreams)(&input, 1),
            (api.hailo_release_hef)(hef),
            (api.hailo_release_vdevice)(device),
        ] {
            status.ok().expect("released");
        }
        took
    }
}
