//! Virtual devices, and who holds the physical one.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hailort_abi::{DeviceId, Status, array};

use crate::behaviour::Behaviour;

/// A virtual device. The last of its handles frees the physical one.
pub struct Device {
    group: String,
    service: bool,
    pub lost: AtomicBool,
    /// Holds the lock among processes.
    _file: Option<File>,
}

static OPEN: Mutex<Vec<Weak<Device>>> = Mutex::new(Vec::new());

/// The address of physical device `index`.
pub fn id(index: usize) -> DeviceId {
    DeviceId {
        id: array(&format!("0000:{:02x}:00.0", index + 1)),
    }
}

/// As `hailo_create_vdevice`: equal groups share, and each other one takes a physical device.
pub fn open(group: &str, service: bool) -> Result<Arc<Device>, Status> {
    let behaviour = Behaviour::of_environment();
    if service && !behaviour.service {
        return Err(Status::CONNECTION_REFUSED);
    }
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|device| device.strong_count() > 0);
    let known = |device: &Arc<Device>| {
        group != "UNIQUE" && device.group == group && device.service == service && !device.lost.load(Ordering::Relaxed)
    };
    if let Some(device) = open.iter().filter_map(Weak::upgrade).find(known) {
        return Ok(device);
    }
    // The service holds the device once, whatever runs on it.
    let held = open
        .iter()
        .filter_map(Weak::upgrade)
        .filter(|device| !(service && device.service));
    if held.count() >= behaviour.devices {
        return Err(Status::OUT_OF_PHYSICAL_DEVICES);
    }
    let file = match &behaviour.device_file {
        None => None,
        Some(path) => {
            let file = File::options().create(true).append(true).open(path);
            let file = file.map_err(|_| Status::DRIVER_OPERATION_FAILED)?;
            let locked = if service {
                file.try_lock_shared()
            } else {
                file.try_lock()
            };
            locked.map_err(|_| Status::OUT_OF_PHYSICAL_DEVICES)?;
            Some(file)
        }
    };
    let device = Arc::new(Device {
        group: group.to_owned(),
        service,
        lost: AtomicBool::new(false),
        _file: file,
    });
    open.push(Arc::downgrade(&device));
    Ok(device)
}

impl Device {
    pub fn check(&self) -> Result<(), Status> {
        if self.lost.load(Ordering::Relaxed) {
            Err(Status::DRIVER_OPERATION_FAILED)
        } else {
            Ok(())
        }
    }
}
