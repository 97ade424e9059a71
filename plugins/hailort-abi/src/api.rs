//! The functions.

use super::*;

macro_rules! api {
    ($($name:ident($($type:ty),* $(,)?);)*) => {
        /// The functions of one opened library. The double builds one from its own functions, so that a signature which
        /// differs does not compile.
        #[derive(Debug, Clone, Copy)]
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($type),*) -> Status,)*
        }

        impl Api {
            /// Looks every function up.
            ///
            /// # Errors
            /// The first that `symbol` has not.
            ///
            /// # Safety
            /// `symbol` gives, for each name, a function of HailoRT 4.20 to 4.23 that stays loaded while this lives.
            pub unsafe fn load<E>(symbol: impl Fn(&'static CStr) -> Result<*const c_void, E>) -> Result<Self, E> {
                const fn name(text: &'static str) -> &'static CStr {
                    match CStr::from_bytes_with_nul(text.as_bytes()) {
                        Ok(name) => name,
                        Err(_) => panic!("a name ends with its zero"),
                    }
                }
                Ok(Self {
                    $($name: {
                        let pointer = symbol(const { name(concat!(stringify!($name), "\0")) })?;
                        // SAFETY: the caller vouches that this is the function of that name, whose signature this is.
                        unsafe { std::mem::transmute::<*const c_void, unsafe extern "C" fn($($type),*) -> Status>(pointer) }
                    },)*
                })
            }
        }
    };
}

api! {
    hailo_get_library_version(*mut Version);
    // Parameters (null), array, its length.
    hailo_scan_devices(*mut c_void, *mut DeviceId, *mut usize);
    hailo_create_device_by_id(*const DeviceId, *mut Device);
    hailo_identify(Device, *mut DeviceIdentity);
    hailo_release_device(Device);

    hailo_init_vdevice_params(*mut VDeviceParams);
    hailo_create_vdevice(*mut VDeviceParams, *mut VDevice);
    hailo_release_vdevice(VDevice);

    hailo_create_hef_file(*mut Hef, *const c_char);
    // Crashes on a length of 0.
    hailo_create_hef_buffer(*mut Hef, *const c_void, usize);
    hailo_release_hef(Hef);
    hailo_get_network_groups_infos(Hef, *mut NetworkGroupInfo, *mut usize);
    // HEF, name of a group (null for the first), array, its length.
    hailo_hef_get_all_vstream_infos(Hef, *const c_char, *mut VStreamInfo, *mut usize);

    hailo_init_configure_params_by_vdevice(Hef, VDevice, *mut ConfigureParams);
    hailo_configure_vdevice(VDevice, Hef, *mut ConfigureParams, *mut NetworkGroup, *mut usize);
    hailo_shutdown_network_group(NetworkGroup);
    // Group, value, name of a network (null for all).
    hailo_set_scheduler_timeout(NetworkGroup, u32, *const c_char);
    hailo_set_scheduler_threshold(NetworkGroup, u32, *const c_char);
    hailo_set_scheduler_priority(NetworkGroup, u8, *const c_char);

    // Group, unused, format type, array, its length.
    hailo_make_input_vstream_params(NetworkGroup, bool, u32, *mut VStreamParamsByName, *mut usize);
    hailo_make_output_vstream_params(NetworkGroup, bool, u32, *mut VStreamParamsByName, *mut usize);
    hailo_create_input_vstreams(NetworkGroup, *const VStreamParamsByName, usize, *mut InputVStream);
    hailo_create_output_vstreams(NetworkGroup, *const VStreamParamsByName, usize, *mut OutputVStream);
    hailo_get_input_vstream_info(InputVStream, *mut VStreamInfo);
    hailo_get_output_vstream_info(OutputVStream, *mut VStreamInfo);
    hailo_get_input_vstream_user_format(InputVStream, *mut Format);
    hailo_get_output_vstream_user_format(OutputVStream, *mut Format);
    hailo_get_input_vstream_frame_size(InputVStream, *mut usize);
    hailo_get_output_vstream_frame_size(OutputVStream, *mut usize);
    hailo_vstream_write_raw_buffer(InputVStream, *const c_void, usize);
    hailo_vstream_read_raw_buffer(OutputVStream, *mut c_void, usize);
    hailo_release_input_vstreams(*const InputVStream, usize);
    hailo_release_output_vstreams(*const OutputVStream, usize);
}
