//! The part of HailoRT's C interface that the Hailo engine calls, and that its test double offers.
//!
//! Own declarations, no code of HailoRT. They hold for 4.20 to 4.23, which serve the Hailo-8 and the Hailo-8L, on 64-bit
//! machines; the sizes are asserted below. Release 5 has other structures: ask `hailo_get_library_version` before any
//! other call.

mod api;
pub mod status;

use std::ffi::{CStr, c_char, c_void};
use std::fmt;

pub use api::Api;
pub use status::Status;

/// Bytes of a stream's name with its final zero.
pub const NAME: usize = 128;
/// Bytes of "group/network" with its final zero.
pub const NETWORK_NAME: usize = NAME + 1 + NAME;
/// Most streams of a network group.
pub const MAX_STREAMS: usize = 40;
/// Most network groups of a HEF.
pub const MAX_GROUPS: usize = 8;
/// Most networks of a network group.
pub const MAX_NETWORKS: usize = 8;
/// Bytes of a device's name, such as a PCIe address.
pub const DEVICE_ID: usize = 32;
/// `group_id` of a virtual device that is not shared.
pub const UNIQUE: &CStr = c"UNIQUE";

/// `hailo_scheduling_algorithm_t`
pub const ROUND_ROBIN: u32 = 1;
/// Scheduling priorities run from 0 to this one.
pub const PRIORITY_MAX: u8 = 31;
/// Scheduling priority of who asks for none.
pub const PRIORITY_NORMAL: u8 = 16;

/// `hailo_format_type_t`
pub mod format_type {
    pub const AUTO: u32 = 0;
    pub const UINT8: u32 = 1;
    pub const UINT16: u32 = 2;
    pub const FLOAT32: u32 = 3;
}

/// `hailo_format_order_t`: those that the engine meets.
pub mod format_order {
    pub const AUTO: u32 = 0;
    pub const NHWC: u32 = 1;
    pub const FCR: u32 = 3;
    pub const F8CR: u32 = 4;
    pub const NHW: u32 = 5;
    pub const NC: u32 = 6;
    pub const NMS_WITH_BYTE_MASK: u32 = 20;
    /// The device's side; the host sees one of the next two.
    pub const NMS_ON_CHIP: u32 = 21;
    pub const NMS_BY_CLASS: u32 = 22;
    pub const NMS_BY_SCORE: u32 = 23;
}

/// `hailo_stream_direction_t`
pub const HOST_TO_DEVICE: u32 = 0;
/// `hailo_stream_direction_t`
pub const DEVICE_TO_HOST: u32 = 1;

/// Names of `hailo_device_architecture_t`, by value.
pub const ARCHITECTURES: [&str; 8] = [
    "HAILO8_A0",
    "HAILO8",
    "HAILO8L",
    "HAILO15H",
    "HAILO15L",
    "HAILO15M",
    "HAILO10H",
    "MARS",
];

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub *mut c_void);

        impl $name {
            pub const NULL: Self = Self(std::ptr::null_mut());
        }

        // SAFETY: a handle is a value that only HailoRT reads, and HailoRT binds nothing to a thread. Every call that
        // takes one is unsafe and answers for itself.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}
    )*};
}

handles! {
    /// `hailo_device`
    Device,
    /// `hailo_vdevice`
    VDevice,
    /// `hailo_hef`
    Hef,
    /// `hailo_configured_network_group`; owned by the virtual device
    NetworkGroup,
    /// `hailo_input_vstream`
    InputVStream,
    /// `hailo_output_vstream`
    OutputVStream,
}

/// `hailo_version_t`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub revision: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.revision)
    }
}

/// `hailo_device_id_t`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DeviceId {
    pub id: [c_char; DEVICE_ID],
}

/// `hailo_vdevice_params_t`
#[repr(C)]
#[derive(Debug)]
pub struct VDeviceParams {
    pub device_count: u32,
    /// Null for any.
    pub device_ids: *mut DeviceId,
    pub scheduling_algorithm: u32,
    pub group_id: *const c_char,
    pub multi_process_service: bool,
}

/// `hailo_device_identity_t`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct DeviceIdentity {
    pub protocol_version: u32,
    pub firmware: Version,
    pub logger_version: u32,
    pub board_name_length: u8,
    pub board_name: [c_char; 32],
    pub is_release: u8,
    pub extended_context_switch_buffer: u8,
    pub architecture: u32,
    pub serial_number_length: u8,
    pub serial_number: [c_char; 16],
    pub part_number_length: u8,
    pub part_number: [c_char; 16],
    pub product_name_length: u8,
    pub product_name: [c_char; 42],
}

/// `hailo_format_t`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Format {
    /// One of [`format_type`].
    pub kind: u32,
    /// One of [`format_order`].
    pub order: u32,
    pub flags: u32,
}

/// `hailo_quant_info_t`: real value = scale * (stored value - zero point).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct QuantInfo {
    pub zero_point: f32,
    pub scale: f32,
    pub limit_min: f32,
    pub limit_max: f32,
}

/// `hailo_vstream_params_t`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct VStreamParams {
    pub user_buffer_format: Format,
    pub timeout_ms: u32,
    pub queue_size: u32,
    pub vstream_stats_flags: u32,
    pub pipeline_elements_stats_flags: u32,
}

/// `hailo_input_vstream_params_by_name_t`, `hailo_output_vstream_params_by_name_t`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct VStreamParamsByName {
    pub name: [c_char; NAME],
    pub params: VStreamParams,
}

impl Default for VStreamParamsByName {
    fn default() -> Self {
        Self {
            name: [0; NAME],
            params: VStreamParams::default(),
        }
    }
}

/// `hailo_vstream_info_t`. `shape` is a union: height, width and channels of a picture, or classes, boxes per class and
/// two more numbers of a detection list, whose places changed from 4.20 to 4.21.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct VStreamInfo {
    pub name: [c_char; NAME],
    pub network_name: [c_char; NETWORK_NAME],
    /// [`HOST_TO_DEVICE`] or [`DEVICE_TO_HOST`].
    pub direction: u32,
    /// As the HEF has it; what the host sees is asked of the stream.
    pub format: Format,
    pub shape: [u32; 4],
    pub quant_info: QuantInfo,
}

impl Default for VStreamInfo {
    fn default() -> Self {
        Self {
            name: [0; NAME],
            network_name: [0; NETWORK_NAME],
            direction: HOST_TO_DEVICE,
            format: Format::default(),
            shape: [0; 4],
            quant_info: QuantInfo::default(),
        }
    }
}

/// `hailo_tensor_metadata_t`, which stock GStreamer elements tell of a tensor from 4.22 on. `shape` is a union as in
/// [`VStreamInfo`], of the 4.21 kind.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TensorMetadata {
    pub name: [c_char; NAME],
    /// One of [`format_type`].
    pub kind: u32,
    /// Not 0 for a list of boxes.
    pub is_nms: u8,
    pub shape: [u32; 4],
    pub quant_info: QuantInfo,
}

/// `hailo_network_group_info_t`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NetworkGroupInfo {
    pub name: [c_char; NAME],
    pub is_multi_context: u8,
}

/// `hailo_stream_parameters_by_name_t`, which the library fills and reads.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct StreamParamsByName {
    pub name: [c_char; NAME],
    pub params: [u32; 20],
}

/// `hailo_network_parameters_by_name_t`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct NetworkParamsByName {
    pub name: [c_char; NETWORK_NAME],
    pub batch_size: u16,
}

/// `hailo_configure_network_group_params_t`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct GroupParams {
    pub name: [c_char; NAME],
    pub batch_size: u16,
    pub power_mode: u32,
    pub latency_flags: u32,
    pub stream_count: usize,
    pub streams: [StreamParamsByName; MAX_STREAMS],
    pub network_count: usize,
    pub networks: [NetworkParamsByName; MAX_NETWORKS],
}

/// `hailo_configure_params_t`: 84 KB, so keep it off the stack.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct ConfigureParams {
    pub group_count: usize,
    pub groups: [GroupParams; MAX_GROUPS],
}

/// Bytes of one packed `hailo_detection_t` of NMS_BY_SCORE: four f32 of the box, the score, a u16 of the class.
pub const DETECTION: usize = 22;

const _: () = {
    assert!(size_of::<VDeviceParams>() == 40);
    assert!(size_of::<DeviceId>() == 32);
    assert!(size_of::<Format>() == 12);
    assert!(size_of::<QuantInfo>() == 16);
    assert!(size_of::<VStreamParams>() == 28);
    assert!(size_of::<VStreamParamsByName>() == 156);
    assert!(size_of::<VStreamInfo>() == 436);
    assert!(std::mem::offset_of!(VStreamInfo, quant_info) == 420);
    assert!(size_of::<TensorMetadata>() == 168);
    assert!(std::mem::offset_of!(TensorMetadata, shape) == 136);
    assert!(size_of::<ConfigureParams>() == 84_488);
    assert!(std::mem::offset_of!(GroupParams, batch_size) == 128);
};

/// Text of a fixed array up to its zero, or up to its end when the zero is missing.
pub fn text(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array
        .iter()
        .map(|&c| c.to_ne_bytes()[0])
        .take_while(|&b| b != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Text as a fixed array with a final zero, cut when it is too long.
pub fn array<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    let room = N.saturating_sub(1);
    for (to, from) in array.iter_mut().zip(text.bytes().take(room)) {
        *to = c_char::from_ne_bytes([from]);
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_into_arrays_and_back() {
        let name: [c_char; 8] = array("conv1");
        assert_eq!(text(&name), "conv1");
        let cut: [c_char; 4] = array("conv1");
        assert_eq!(text(&cut), "con");
    }

    #[test]
    fn an_array_without_a_zero_ends_at_its_end() {
        let full = array::<4>("abc").map(|c| if c == 0 { c_char::from_ne_bytes([b'd']) } else { c });
        assert_eq!(text(&full), "abcd");
        assert_eq!(text(&[]), "");
    }
}
