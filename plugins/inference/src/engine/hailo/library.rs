//! `libhailort`, opened at run time, and what it tells of this machine.

use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hailort_abi::{ARCHITECTURES, Api, DeviceId, DeviceIdentity, Status, Version};

use super::super::library::Search;
use super::super::{EngineError, EngineStatus};
use super::KIND;
use super::session::bounded;

const SEARCH: Search = Search {
    name: "HailoRT",
    variable: "NUNCHI_HAILORT",
    folder: "hailort",
    prefix: "libhailort.so",
    sonames: &[
        "libhailort.so",
        "libhailort.so.4.23.0",
        "libhailort.so.4.22.0",
        "libhailort.so.4.21.0",
        "libhailort.so.4.20.0",
    ],
    install: "install HailoRT 4.23 (Raspberry Pi OS: `sudo apt install hailo-all`; elsewhere from hailo.ai/developer-zone)",
};
/// Releases whose structures `hailort-abi` describes.
const ACCEPTED: std::ops::RangeInclusive<(u32, u32)> = (4, 20)..=(4, 23);
/// More devices than one machine has.
const MAX_DEVICES: usize = 32;
/// For finding all devices and asking each what it is.
const SCAN_TIMEOUT: Duration = Duration::from_secs(10);

/// The opened library. It stays for the life of the process, because it keeps threads of its own.
pub(super) struct Library {
    pub api: Api,
    version: Version,
    path: String,
    _file: libloading::Library,
}

static LIBRARY: Mutex<Option<Arc<Library>>> = Mutex::new(None);

impl Library {
    /// Opens the library at the first call; a failure is tried anew at the next.
    pub fn get() -> Result<Arc<Self>, EngineError> {
        let mut library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*library {
            return Ok(Arc::clone(library));
        }
        quieten();
        // The search forgets why a name of the system's loader was refused, which is what a wrong version needs told.
        let refused = RefCell::new(None);
        let opened = SEARCH.open(|path| {
            open(path).map_err(|reason| {
                if let Reason::Version(text) = &reason {
                    *refused.borrow_mut() = Some(format!("{}: {text}", path.display()));
                }
                reason.into_text()
            })
        });
        let opened = opened.map_err(|error| match (error, refused.into_inner()) {
            (EngineError::LibraryMissing { library, install, .. }, Some(reason)) => EngineError::LibraryMissing {
                library,
                reason,
                install,
            },
            (error, _) => error,
        })?;
        Ok(Arc::clone(library.insert(Arc::new(opened))))
    }

    /// The devices of this machine, by address.
    pub fn scan(&self) -> Result<Vec<DeviceId>, Status> {
        let mut ids = [DeviceId { id: [0; 32] }; MAX_DEVICES];
        let mut count = ids.len();
        // SAFETY: an array and its length.
        unsafe { (self.api.hailo_scan_devices)(std::ptr::null_mut(), ids.as_mut_ptr(), &mut count) }.ok()?;
        Ok(ids[..count.min(MAX_DEVICES)].to_vec())
    }

    /// Architecture and firmware of one device.
    fn identify(&self, id: &DeviceId) -> Result<DeviceIdentity, Status> {
        let mut device = hailort_abi::Device::NULL;
        let mut identity = std::mem::MaybeUninit::<DeviceIdentity>::zeroed();
        // SAFETY: valid pointers; the device is released below, after its last use; zeroes are a valid identity.
        unsafe {
            (self.api.hailo_create_device_by_id)(id, &mut device).ok()?;
            let status = (self.api.hailo_identify)(device, identity.as_mut_ptr());
            let _ = (self.api.hailo_release_device)(device);
            status.ok().map(|()| identity.assume_init())
        }
    }
}

/// HailoRT would write `hailort.log` into the working folder, and errors that we report anyhow to standard error.
fn quieten() {
    for (name, value) in [
        ("HAILORT_LOGGER_PATH", "NONE"),
        ("HAILORT_CONSOLE_LOGGER_LEVEL", "critical"),
    ] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the library reads it with getenv while it is loaded, so there is no other way. It happens once, when
            // the first element that wants the device starts, before threads of that library exist.
            unsafe { std::env::set_var(name, value) };
        }
    }
}

/// Why a file is not the library.
enum Reason {
    /// It cannot be opened, or is something else.
    Other(String),
    Version(String),
}

impl Reason {
    fn into_text(self) -> String {
        match self {
            Self::Other(text) | Self::Version(text) => text,
        }
    }
}

fn open(path: &Path) -> Result<Library, Reason> {
    let missing = |name: &CStr| Reason::Other(format!("it is not HailoRT: it has no {}", name.to_string_lossy()));
    // SAFETY: the file is a shared library that the user or the system put there to be loaded; its initialisers run as with
    // any plugin.
    let file = unsafe { libloading::Library::new(path) }.map_err(|error| Reason::Other(error.to_string()))?;
    // SAFETY: this call has had one signature since the first release, so it may be asked of any version.
    let version = unsafe {
        const NAME: &CStr = c"hailo_get_library_version";
        let ask = file.get::<unsafe extern "C" fn(*mut Version) -> Status>(NAME);
        let mut version = Version::default();
        let status = ask.map_err(|_| missing(NAME))?(&mut version);
        status.ok().map_err(|status| Reason::Other(status.to_string()))?;
        version
    };
    if !ACCEPTED.contains(&(version.major, version.minor)) {
        return Err(Reason::Version(wrong_version(version)));
    }
    let symbol = |name: &'static CStr| {
        // SAFETY: only the address is taken here.
        let symbol = unsafe { file.get::<*const c_void>(name) };
        symbol.map(|symbol| *symbol).map_err(|_| missing(name))
    };
    // SAFETY: the version says that these are the functions that hailort-abi describes; the file stays open beside them.
    let api = unsafe { Api::load(symbol) }?;
    Ok(Library {
        api,
        version,
        path: path.display().to_string(),
        _file: file,
    })
}

fn wrong_version(version: Version) -> String {
    let why = match version.major {
        5.. => "it no longer serves the Hailo-8",
        4 if version.minor > ACCEPTED.end().1 => "it is not known yet",
        _ => "it is too old",
    };
    format!("it is HailoRT {version}, but 4.20 to 4.23 are needed: {why}")
}

/// For diagnosis: the library and the devices that answer. A driver that hangs is among what is to be found out.
pub(in super::super) fn status() -> EngineStatus {
    let opened = Library::get().map(|library| {
        let asked = Arc::clone(&library);
        let devices = bounded("hailo-scan", SCAN_TIMEOUT, move || match asked.scan() {
            Ok(ids) => ids.iter().map(|id| describe(&asked, id)).collect(),
            Err(status) => vec![format!("the scan for devices failed: {status}")],
        });
        let late = || {
            vec![format!(
                "no device answered within {SCAN_TIMEOUT:?}; see `dmesg | grep -i hailo`"
            )]
        };
        (
            library.version.to_string(),
            library.path.clone(),
            devices.unwrap_or_else(late),
        )
    });
    EngineStatus::new(KIND, opened)
}

fn describe(library: &Library, id: &DeviceId) -> String {
    let name = hailort_abi::text(&id.id);
    match library.identify(id) {
        Ok(identity) => {
            let architecture = ARCHITECTURES.get(identity.architecture as usize).unwrap_or(&"unknown");
            format!("{architecture} {name} firmware {}", identity.firmware)
        }
        Err(status) => format!("{name} does not answer: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_version_is_told_with_the_reason() {
        let text = |major, minor| {
            wrong_version(Version {
                major,
                minor,
                revision: 0,
            })
        };
        assert!(text(5, 2).contains("5.2.0") && text(5, 2).contains("no longer serves"));
        assert!(text(4, 19).contains("too old"));
        assert!(text(4, 24).contains("not known"));
    }

    #[test]
    fn the_accepted_versions_are_those_of_the_declarations() {
        for minor in 20..=23 {
            assert!(ACCEPTED.contains(&(4, minor)));
        }
        for (major, minor) in [(4, 19), (4, 24), (5, 0), (3, 21)] {
            assert!(!ACCEPTED.contains(&(major, minor)));
        }
    }
}
