//! How the device is used.

use std::time::Duration;

use super::super::EngineError;
use super::KIND;

/// In what form values go to the device or come from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamFormat {
    /// As the HEF has them, mostly u8; [`TensorInfo::quantisation`](crate::engine::TensorInfo) says what they mean.
    Native,
    /// Real numbers as f32; HailoRT scales them.
    Float,
}

/// Options of the Hailo engine. The names are those of `hailonet`'s properties.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HailoOptions {
    /// Address of the device, such as `0000:01:00.0`; empty for any.
    pub device_id: String,
    /// Networks with the same id share one virtual device, in this process and, with the service, among processes.
    /// `UNIQUE` shares with nobody.
    pub vdevice_group_id: String,
    /// Whether the device is opened by HailoRT's service, which lends it to several processes. All of them must ask for it.
    pub multi_process_service: bool,
    /// Longest time that the network's frames wait for the threshold; 0 for none. Whole milliseconds.
    pub scheduler_timeout: Duration,
    /// Frames that wait before the network gets the device; 0 leaves it to HailoRT.
    pub scheduler_threshold: u32,
    /// 0 to 31, higher goes first.
    pub scheduler_priority: u8,
    /// Frames that are sent to the device at once; 0 leaves it to HailoRT.
    pub batch_size: u16,
    /// Form of the inputs.
    pub input: StreamFormat,
    /// Form of the outputs; lists of boxes are f32 in any case.
    pub output: StreamFormat,
    /// Bound of opening the device and configuring the network.
    pub start_timeout: Duration,
    /// Time after which a device that owes a result is taken for lost.
    pub frame_timeout: Duration,
}

impl Default for HailoOptions {
    fn default() -> Self {
        Self {
            device_id: String::new(),
            vdevice_group_id: "SHARED".to_owned(),
            multi_process_service: false,
            scheduler_timeout: Duration::ZERO,
            scheduler_threshold: 0,
            scheduler_priority: hailort_abi::PRIORITY_NORMAL,
            batch_size: 0,
            input: StreamFormat::Native,
            output: StreamFormat::Float,
            start_timeout: Duration::from_secs(5),
            frame_timeout: Duration::from_secs(2),
        }
    }
}

impl HailoOptions {
    /// Frames that the device takes in one go.
    pub(super) fn frames_at_once(&self) -> usize {
        u32::from(self.batch_size).max(self.scheduler_threshold) as usize
    }

    /// Refuses what HailoRT would refuse later with a number only.
    pub(super) fn check(&self) -> Result<(), EngineError> {
        let refused = |what: String, remedy: &str| {
            Err(EngineError::Conflict {
                engine: KIND.to_string(),
                what,
                remedy: remedy.to_owned(),
            })
        };
        let name = |text: &str| !text.contains('\0') && text.len() < hailort_abi::DEVICE_ID;
        if self.scheduler_priority > hailort_abi::PRIORITY_MAX {
            return refused(
                format!("scheduler-priority {}", self.scheduler_priority),
                "use 0 to 31; 16 is normal",
            );
        }
        if !name(&self.device_id) {
            return refused(
                format!("device-id \"{}\"", self.device_id),
                "use an address as `hailortcli scan` shows it, or none for any device",
            );
        }
        if self.vdevice_group_id.is_empty() || self.vdevice_group_id.contains('\0') {
            return refused(
                format!("vdevice-group-id \"{}\"", self.vdevice_group_id),
                "use a name such as SHARED, or UNIQUE",
            );
        }
        if self.multi_process_service && self.vdevice_group_id.as_bytes() == hailort_abi::UNIQUE.to_bytes() {
            return refused(
                "multi-process-service with vdevice-group-id=UNIQUE, which shares with nobody".to_owned(),
                "use vdevice-group-id=SHARED",
            );
        }
        if self.start_timeout.is_zero() || self.frame_timeout.as_millis() == 0 {
            return refused("a time-out of 0".to_owned(), "use a millisecond or more");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_taken() {
        assert_eq!(HailoOptions::default().check(), Ok(()));
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        let base = HailoOptions::default;
        let cases = [
            (
                HailoOptions {
                    scheduler_priority: 32,
                    ..base()
                },
                "scheduler-priority 32",
            ),
            (
                HailoOptions {
                    device_id: "x".repeat(32),
                    ..base()
                },
                "device-id",
            ),
            (
                HailoOptions {
                    device_id: "a\0b".into(),
                    ..base()
                },
                "device-id",
            ),
            (
                HailoOptions {
                    vdevice_group_id: String::new(),
                    ..base()
                },
                "vdevice-group-id",
            ),
            (
                HailoOptions {
                    vdevice_group_id: "UNIQUE".into(),
                    multi_process_service: true,
                    ..base()
                },
                "SHARED",
            ),
            (
                HailoOptions {
                    frame_timeout: Duration::from_micros(5),
                    ..base()
                },
                "time-out of 0",
            ),
            (
                HailoOptions {
                    start_timeout: Duration::ZERO,
                    ..base()
                },
                "time-out of 0",
            ),
        ];
        for (options, part) in cases {
            let error = options.check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
