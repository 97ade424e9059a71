//! The virtual devices of this process: one per group id, shared by its networks.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hailort_abi::{ConfigureParams, DeviceId, MAX_GROUPS, NetworkGroup, ROUND_ROBIN, Status, UNIQUE, VDeviceParams};

use super::super::{EngineError, ModelSource};
use super::hef::Hef;
use super::library::Library;
use super::options::HailoOptions;
use super::{KIND, conflict, unsupported};

/// What the networks of one virtual device have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    group_id: String,
    device_id: String,
    service: bool,
}

struct VDevice {
    library: Arc<Library>,
    handle: hailort_abi::VDevice,
    key: Key,
    lost: AtomicBool,
    /// Configured groups that nobody uses. HailoRT frees them only with the device, so they are used again.
    idle: Mutex<Vec<Configured>>,
}

/// A network group, with what makes two of them equal.
pub(super) struct Configured {
    pub handle: NetworkGroup,
    digest: u64,
    batch_size: u16,
    _hef: Hef,
}

impl Drop for VDevice {
    fn drop(&mut self) {
        self.idle.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        // SAFETY: created by us, released once; its streams and HEFs are gone.
        let _ = unsafe { (self.library.api.hailo_release_vdevice)(self.handle) };
    }
}

/// Held while a device is created or released, so that nobody asks for the chip while it is being given back. Those are
/// calls that may hang: only threads that somebody waits for with a bound take this lock.
static OPEN: Mutex<Vec<Weak<VDevice>>> = Mutex::new(Vec::new());

/// A network's share of a virtual device. The last one releases it.
pub(super) struct Lease(Option<Arc<VDevice>>);

impl Drop for Lease {
    fn drop(&mut self) {
        let _open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        self.0 = None;
    }
}

impl Lease {
    pub fn open(library: &Arc<Library>, options: &HailoOptions) -> Result<Self, EngineError> {
        let key = Key {
            group_id: options.vdevice_group_id.clone(),
            device_id: options.device_id.clone(),
            service: options.multi_process_service,
        };
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|device| device.strong_count() > 0);
        let of_group = |device: &Arc<VDevice>| {
            device.key.group_id == key.group_id
                && key.group_id.as_bytes() != UNIQUE.to_bytes()
                && !device.lost.load(Ordering::Relaxed)
        };
        if let Some(device) = open.iter().filter_map(Weak::upgrade).find(of_group) {
            if device.key == key {
                return Ok(Self(Some(device)));
            }
            return Err(conflict(
                format!(
                    "vdevice-group-id {} is open with another device-id or multi-process-service",
                    key.group_id
                ),
                "use the same for all its networks, or another vdevice-group-id",
            ));
        }
        let handle = create(library, &key)?;
        let device = Arc::new(VDevice {
            library: Arc::clone(library),
            handle,
            key,
            lost: AtomicBool::new(false),
            idle: Mutex::default(),
        });
        open.push(Arc::downgrade(&device));
        Ok(Self(Some(device)))
    }

    fn device(&self) -> Option<&VDevice> {
        self.0.as_deref()
    }

    /// Nobody else gets this device.
    pub fn lose(&self) {
        if let Some(device) = self.device() {
            device.lost.store(true, Ordering::Relaxed);
        }
    }

    /// The network group of a HEF, configured now unless an equal one is idle.
    pub fn configure(
        &self,
        source: &ModelSource,
        hef: Hef,
        digest: u64,
        batch_size: u16,
    ) -> Result<Configured, EngineError> {
        let device = self
            .device()
            .ok_or_else(|| unsupported("the device is closed".into(), "start again"))?;
        let mut idle = device.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let equal = |group: &Configured| group.digest == digest && group.batch_size == batch_size;
        if let Some(at) = idle.iter().position(equal) {
            return Ok(idle.swap_remove(at));
        }
        drop(idle);
        let handle = device.configure(source, &hef, batch_size)?;
        Ok(Configured {
            handle,
            digest,
            batch_size,
            _hef: hef,
        })
    }

    /// Takes back a group that works, for the next one who wants it.
    pub fn reuse(&self, group: Configured) {
        if let Some(device) = self.device() {
            device.idle.lock().unwrap_or_else(PoisonError::into_inner).push(group);
        }
    }
}

impl VDevice {
    fn configure(&self, source: &ModelSource, hef: &Hef, batch_size: u16) -> Result<NetworkGroup, EngineError> {
        let api = &self.library.api;
        // 84 KB.
        let mut params = Box::<ConfigureParams>::new_zeroed();
        // SAFETY: valid handles and memory of the structure's size; zeroes are valid in every field.
        let mut params = unsafe {
            (api.hailo_init_configure_params_by_vdevice)(hef.handle, self.handle, params.as_mut_ptr())
                .ok()
                .map_err(|status| not_configured(source, status))?;
            params.assume_init()
        };
        if params.group_count != 1 {
            return Err(EngineError::ModelShape {
                model: source.to_string(),
                expected: "a HEF with one network group".to_owned(),
                found: format!("{} of them", params.group_count),
            });
        }
        params.groups[0].batch_size = batch_size;
        let mut groups = [NetworkGroup::NULL; MAX_GROUPS];
        let mut count = groups.len();
        // SAFETY: valid handles, parameters that the library filled, an array and its length.
        let status = unsafe {
            (api.hailo_configure_vdevice)(self.handle, hef.handle, &mut *params, groups.as_mut_ptr(), &mut count)
        };
        status.ok().map_err(|status| not_configured(source, status))?;
        Ok(groups[0])
    }
}

fn create(library: &Library, key: &Key) -> Result<hailort_abi::VDevice, EngineError> {
    let group_id = CString::new(key.group_id.as_str()).unwrap_or_default();
    let mut device_id = DeviceId {
        id: hailort_abi::array(&key.device_id),
    };
    let mut params = VDeviceParams {
        device_count: 1,
        device_ids: std::ptr::null_mut(),
        scheduling_algorithm: ROUND_ROBIN,
        group_id: UNIQUE.as_ptr(),
        multi_process_service: false,
    };
    let mut handle = hailort_abi::VDevice::NULL;
    // SAFETY: valid pointers, to texts and a device id that outlive the calls.
    let status = unsafe {
        let status = (library.api.hailo_init_vdevice_params)(&mut params);
        params.device_count = 1;
        params.scheduling_algorithm = ROUND_ROBIN;
        params.group_id = group_id.as_ptr();
        params.multi_process_service = key.service;
        if !key.device_id.is_empty() {
            params.device_ids = &mut device_id;
        }
        match status {
            Status::SUCCESS => (library.api.hailo_create_vdevice)(&mut params, &mut handle),
            failure => failure,
        }
    };
    status.ok().map_err(|status| not_opened(library, key, status))?;
    Ok(handle)
}

/// Why there is no device, and what to do about it.
fn not_opened(library: &Library, key: &Key, status: Status) -> EngineError {
    let none = || library.scan().is_ok_and(|devices| devices.is_empty());
    let wanted = match key.device_id.as_str() {
        "" => String::new(),
        id => format!(" {id}"),
    };
    match status {
        Status::OUT_OF_PHYSICAL_DEVICES if none() => unsupported(
            format!("no Hailo device was found ({status})"),
            "see that the module is seated, that PCIe is on, and that `hailortcli scan` finds it",
        ),
        Status::OUT_OF_PHYSICAL_DEVICES | Status::DEVICE_IN_USE => unsupported(
            format!("the Hailo device{wanted} is not free ({status})"),
            "see `hailortcli scan`; for several programs on one device start hailort.service and set \
             multi-process-service=true in all of them, within one program use the same vdevice-group-id",
        ),
        Status::CONNECTION_REFUSED | Status::RPC_FAILED | Status::COMMUNICATION_CLOSED if key.service => unsupported(
            format!("HailoRT's service does not answer ({status})"),
            "run `sudo systemctl enable --now hailort.service`, or set multi-process-service=false",
        ),
        Status::INVALID_SERVICE_VERSION => unsupported(
            format!("HailoRT's service is of another version ({status})"),
            "restart hailort.service after installing one version of HailoRT",
        ),
        Status::DRIVER_NOT_INSTALLED
        | Status::INVALID_DRIVER_VERSION
        | Status::DRIVER_INVALID_IOCTL
        | Status::DRIVER_INVALID_RESPONSE
        | Status::UNSUPPORTED_FW_VERSION => unsupported(
            format!("the driver or firmware does not fit ({status})"),
            "install driver, firmware and library of one version of HailoRT and restart",
        ),
        _ => unsupported(
            format!("the Hailo device{wanted} cannot be opened ({status})"),
            "see `dmesg | grep -i hailo`",
        ),
    }
}

fn not_configured(source: &ModelSource, status: Status) -> EngineError {
    match status {
        // Before 4.21 a HEF for another chip is only invalid.
        Status::HEF_NOT_COMPATIBLE_WITH_DEVICE | Status::INVALID_DEVICE_ARCHITECTURE | Status::INVALID_HEF => {
            EngineError::ModelShape {
                model: source.to_string(),
                expected: "a HEF that was compiled for this device".to_owned(),
                found: format!("one for another chip ({status})"),
            }
        }
        Status::HEF_NOT_SUPPORTED | Status::HEF_FILE_CORRUPTED => EngineError::ModelCorrupt {
            model: source.to_string(),
            engine: KIND,
            reason: status.to_string(),
        },
        _ => unsupported(
            format!("{source} cannot be configured ({status})"),
            "see `hailortcli run` with the same file",
        ),
    }
}
