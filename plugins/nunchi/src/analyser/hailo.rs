//! Properties of the Hailo engine, named as `hailonet` names them.

use super::{engine::SchedulingAlgorithm, property};
use gst::{glib, prelude::*};
use nunchi_inference::engine::{ModelSource, hailo::HailoOptions};
use std::time::Duration;

/// How a HEF is run; each default is the engine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hailo {
    pub hef_path: Option<String>,
    device_id: Option<String>,
    vdevice_group_id: String,
    multi_process_service: bool,
    pub scheduling: SchedulingAlgorithm,
    scheduler_timeout_ms: u32,
    scheduler_threshold: u32,
    scheduler_priority: u32,
    batch_size: u32,
    /// Milliseconds.
    timeout: u32,
}

impl Default for Hailo {
    fn default() -> Self {
        let engine = HailoOptions::default();
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Self {
            hef_path: None,
            device_id: None,
            vdevice_group_id: engine.vdevice_group_id,
            multi_process_service: engine.multi_process_service,
            scheduling: SchedulingAlgorithm::default(),
            scheduler_timeout_ms: ms(engine.scheduler_timeout),
            scheduler_threshold: engine.scheduler_threshold,
            scheduler_priority: engine.scheduler_priority.into(),
            batch_size: engine.batch_size.into(),
            timeout: ms(engine.frame_timeout),
        }
    }
}

impl Hailo {
    pub fn options(&self) -> HailoOptions {
        let ms = |time: u32| Duration::from_millis(time.into());
        // The ranges of the properties fit.
        let narrow = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        HailoOptions {
            device_id: self.device_id.clone().unwrap_or_default(),
            vdevice_group_id: self.vdevice_group_id.clone(),
            multi_process_service: self.multi_process_service,
            scheduler_timeout: ms(self.scheduler_timeout_ms),
            scheduler_threshold: self.scheduler_threshold,
            scheduler_priority: u8::try_from(self.scheduler_priority).unwrap_or(u8::MAX),
            batch_size: narrow(self.batch_size),
            frame_timeout: ms(self.timeout),
            ..HailoOptions::default()
        }
    }

    /// The model that the element's main network is: the HEF where one is given.
    pub fn or(&self, model: ModelSource) -> ModelSource {
        self.hef_path
            .as_ref()
            .map_or(model, |path| ModelSource::File(path.into()))
    }

    /// Stores a property; false where it is none of these.
    pub fn set(&mut self, name: &str, new: &glib::Value) -> bool {
        match name {
            "hef-path" => self.hef_path = property::path(new),
            "device-id" => self.device_id = property::path(new),
            "vdevice-group-id" => self.vdevice_group_id = property::value::<Option<String>>(new).unwrap_or_default(),
            "multi-process-service" => self.multi_process_service = property::value(new),
            "scheduling-algorithm" => self.scheduling = property::value(new),
            "scheduler-timeout-ms" => self.scheduler_timeout_ms = property::value(new),
            "scheduler-threshold" => self.scheduler_threshold = property::value(new),
            "scheduler-priority" => self.scheduler_priority = property::value(new),
            "batch-size" => self.batch_size = property::value(new),
            "inference-timeout-ms" => self.timeout = property::value(new),
            _ => return false,
        }
        true
    }

    /// The value of a property; `None` where it is none of these.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "hef-path" => self.hef_path.to_value(),
            "device-id" => self.device_id.to_value(),
            "vdevice-group-id" => self.vdevice_group_id.to_value(),
            "multi-process-service" => self.multi_process_service.to_value(),
            "scheduling-algorithm" => self.scheduling.to_value(),
            "scheduler-timeout-ms" => self.scheduler_timeout_ms.to_value(),
            "scheduler-threshold" => self.scheduler_threshold.to_value(),
            "scheduler-priority" => self.scheduler_priority.to_value(),
            "batch-size" => self.batch_size.to_value(),
            "inference-timeout-ms" => self.timeout.to_value(),
            _ => return None,
        })
    }

    pub fn properties() -> Vec<glib::ParamSpec> {
        let d = Self::default();
        let text = |name: &str, nick: &str, blurb: &str, default: Option<&str>| {
            glib::ParamSpecString::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(default)
                .mutable_ready()
                .build()
        };
        let number = |name: &str, nick: &str, blurb: &str, (least, most, default): (u32, u32, u32)| {
            glib::ParamSpecUInt::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(least)
                .maximum(most)
                .default_value(default)
                .mutable_ready()
                .build()
        };
        vec![
            text(
                "hef-path",
                "HEF path",
                "Network compiled for a Hailo, in place of the element's main model",
                None,
            ),
            text(
                "device-id",
                "Device id",
                "Address of the Hailo, such as 0000:01:00.0; empty: any",
                None,
            ),
            text(
                "vdevice-group-id",
                "Virtual device group",
                "Elements with the same id share one device; UNIQUE shares with nobody",
                Some(&d.vdevice_group_id),
            ),
            glib::ParamSpecBoolean::builder("multi-process-service")
                .nick("Multi-process service")
                .blurb("Open the device through HailoRT's service, which lends it to several processes; all of them must ask for it")
                .default_value(d.multi_process_service)
                .mutable_ready()
                .build(),
            glib::ParamSpecEnum::builder_with_default("scheduling-algorithm", d.scheduling)
                .nick("Scheduling algorithm")
                .blurb("How networks share the device; only round-robin, which hailonet's users give, is taken")
                .mutable_ready()
                .build(),
            number(
                "scheduler-timeout-ms",
                "Scheduler time-out",
                "Longest time that frames wait for scheduler-threshold, in milliseconds; 0: none",
                (0, 60_000, d.scheduler_timeout_ms),
            ),
            number(
                "scheduler-threshold",
                "Scheduler threshold",
                "Frames that wait before the network gets the device; 0: HailoRT's choice",
                (0, 1024, d.scheduler_threshold),
            ),
            number(
                "scheduler-priority",
                "Scheduler priority",
                "Which network goes first, the highest of 0 to 31",
                (0, 31, d.scheduler_priority),
            ),
            number(
                "batch-size",
                "Batch size",
                "Frames that are sent to the device at once; 0: HailoRT's choice",
                (0, 64, d.batch_size),
            ),
            number(
                "inference-timeout-ms",
                "Inference time-out",
                "A Hailo that owes a result for longer, in milliseconds, is taken for lost",
                (1, 600_000, d.timeout),
            ),
        ]
    }
}
