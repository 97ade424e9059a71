//! `hailo_status`.

use std::fmt;

/// What a call answered.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

macro_rules! statuses {
    ($($value:literal $name:ident),* $(,)?) => {
        impl Status {
            $(pub const $name: Self = Self($value);)*

            fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!("HAILO_", stringify!($name))),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    0 SUCCESS,
    2 INVALID_ARGUMENT,
    3 OUT_OF_HOST_MEMORY,
    4 TIMEOUT,
    5 INSUFFICIENT_BUFFER,
    6 INVALID_OPERATION,
    7 NOT_IMPLEMENTED,
    8 INTERNAL_FAILURE,
    13 OPEN_FILE_FAILURE,
    14 FILE_OPERATION_FAILURE,
    16 UNSUPPORTED_FW_VERSION,
    18 FW_CONTROL_FAILURE,
    25 INVALID_FRAME,
    26 INVALID_HEF,
    36 DRIVER_OPERATION_FAILED,
    57 SHUTDOWN_EVENT_SIGNALED,
    61 NOT_FOUND,
    62 COMMUNICATION_CLOSED,
    63 STREAM_ABORT,
    64 DRIVER_NOT_INSTALLED,
    65 NOT_AVAILABLE,
    69 NETWORK_GROUP_NOT_ACTIVATED,
    71 OUT_OF_FW_MEMORY,
    72 STREAM_NOT_ACTIVATED,
    73 DEVICE_IN_USE,
    74 OUT_OF_PHYSICAL_DEVICES,
    75 INVALID_DEVICE_ARCHITECTURE,
    76 INVALID_DRIVER_VERSION,
    77 RPC_FAILED,
    78 INVALID_SERVICE_VERSION,
    79 NOT_SUPPORTED,
    80 NMS_BURST_INVALID_DATA,
    81 OUT_OF_HOST_CMA_MEMORY,
    85 DRIVER_INVALID_RESPONSE,
    86 DRIVER_INVALID_IOCTL,
    87 DRIVER_TIMEOUT,
    88 DRIVER_INTERRUPTED,
    89 CONNECTION_REFUSED,
    90 DRIVER_WAIT_CANCELED,
    91 HEF_FILE_CORRUPTED,
    92 HEF_NOT_SUPPORTED,
    93 HEF_NOT_COMPATIBLE_WITH_DEVICE,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name().unwrap_or("HailoRT status"), self.0)
    }
}

impl Status {
    /// The status as a result.
    pub fn ok(self) -> Result<(), Self> {
        if self == Self::SUCCESS { Ok(()) } else { Err(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_tell_name_and_number() {
        assert_eq!(
            Status::OUT_OF_PHYSICAL_DEVICES.to_string(),
            "HAILO_OUT_OF_PHYSICAL_DEVICES (74)"
        );
        assert_eq!(Status(1234).to_string(), "HailoRT status (1234)");
        assert_eq!(Status(4).ok(), Err(Status::TIMEOUT));
        assert_eq!(Status(0).ok(), Ok(()));
    }
}
