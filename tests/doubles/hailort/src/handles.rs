//! Handles are numbers that are looked up, so that a released or made-up one is an error and not a crash.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use hailort_abi::Status;

use crate::device::Device;
use crate::group::{End, Group};
use crate::hef::Hef;

#[derive(Clone)]
pub enum Object {
    Physical,
    Device(Arc<Device>),
    Hef(Arc<Hef>),
    Group(Arc<Group>),
    Input(End),
    Output(End),
}

#[derive(Default)]
struct Table {
    objects: HashMap<usize, Object>,
    last: usize,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn add(object: Object) -> *mut c_void {
    let mut table = table();
    table.last += 16;
    let handle = table.last;
    table.objects.insert(handle, object);
    std::ptr::without_provenance_mut(handle)
}

pub fn get(handle: *mut c_void) -> Result<Object, Status> {
    table()
        .objects
        .get(&handle.addr())
        .cloned()
        .ok_or(Status::INVALID_ARGUMENT)
}

pub fn remove(handle: *mut c_void) -> Result<Object, Status> {
    table().objects.remove(&handle.addr()).ok_or(Status::INVALID_ARGUMENT)
}

/// Groups go with their virtual device.
pub fn remove_groups_of(device: &Arc<Device>) {
    let gone = |object: &Object| matches!(object, Object::Group(group) if Arc::ptr_eq(&group.device, device));
    table().objects.retain(|_, object| !gone(object));
}

pub fn count() -> usize {
    table().objects.len()
}
