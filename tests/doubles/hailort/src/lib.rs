//! Stands in for `libhailort.so` in tests. See `README.md`.
//!
//! Every function checks what it is given and answers with the status of the real library; nothing here can bring the
//! process down, so that what goes wrong in a test is the engine's doing.

#![allow(clippy::missing_safety_doc, reason = "the contract is HailoRT's, in hailort-abi")]

mod behaviour;
mod device;
mod group;
mod handles;
mod hef;
mod model;

use std::ffi::{CStr, OsStr, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hailort_abi::*;

use behaviour::Behaviour;
use group::{End, Group};
use handles::Object;

/// As the real library's defaults.
const TIMEOUT_MS: u32 = 10_000;
const QUEUE: u32 = 2;

// The signatures are those that the engine calls.
const _: Api = Api {
    hailo_get_library_version,
    hailo_scan_devices,
    hailo_create_device_by_id,
    hailo_identify,
    hailo_release_device,
    hailo_init_vdevice_params,
    hailo_create_vdevice,
    hailo_release_vdevice,
    hailo_create_hef_file,
    hailo_create_hef_buffer,
    hailo_release_hef,
    hailo_get_network_groups_infos,
    hailo_hef_get_all_vstream_infos,
    hailo_init_configure_params_by_vdevice,
    hailo_configure_vdevice,
    hailo_shutdown_network_group,
    hailo_set_scheduler_timeout,
    hailo_set_scheduler_threshold,
    hailo_set_scheduler_priority,
    hailo_make_input_vstream_params,
    hailo_make_output_vstream_params,
    hailo_create_input_vstreams,
    hailo_create_output_vstreams,
    hailo_get_input_vstream_info,
    hailo_get_output_vstream_info,
    hailo_get_input_vstream_user_format,
    hailo_get_output_vstream_user_format,
    hailo_get_input_vstream_frame_size,
    hailo_get_output_vstream_frame_size,
    hailo_vstream_write_raw_buffer,
    hailo_vstream_read_raw_buffer,
    hailo_release_input_vstreams,
    hailo_release_output_vstreams,
};

/// Runs the body of a function: its error, or a panic, becomes the status.
fn answer(body: impl FnOnce() -> Result<(), Status>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::SUCCESS,
        Ok(Err(status)) => status,
        Err(_) => Status::INTERNAL_FAILURE,
    }
}

/// Stores a result of a call.
///
/// # Safety
/// `to` is null or can be written.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Status> {
    if to.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    // SAFETY: not null; the rest is the caller's word.
    unsafe { to.write(value) };
    Ok(())
}

/// Stores results in an array of the caller, which tells its length in `count` and learns theirs there.
///
/// # Safety
/// `count` is null or valid, `array` has room for `*count`.
unsafe fn put_all<T>(array: *mut T, count: *mut usize, values: impl IntoIterator<Item = T>) -> Result<(), Status> {
    if count.is_null() || array.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    let values: Vec<T> = values.into_iter().collect();
    // SAFETY: not null; the rest is the caller's word.
    let room = unsafe { count.replace(values.len()) };
    if values.len() > room {
        return Err(Status::INSUFFICIENT_BUFFER);
    }
    for (index, value) in values.into_iter().enumerate() {
        // SAFETY: within the room that the caller told.
        unsafe { array.add(index).write(value) };
    }
    Ok(())
}

/// # Safety
/// `text` is null or ends with a zero.
unsafe fn string<'a>(text: *const c_char) -> Result<&'a CStr, Status> {
    if text.is_null() {
        return Err(Status::INVALID_ARGUMENT);
    }
    // SAFETY: as the caller says.
    Ok(unsafe { CStr::from_ptr(text) })
}

fn hef(handle: Hef) -> Result<Arc<hef::Hef>, Status> {
    match handles::get(handle.0)? {
        Object::Hef(hef) => Ok(hef),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn vdevice(handle: VDevice) -> Result<Arc<device::Device>, Status> {
    match handles::get(handle.0)? {
        Object::Device(device) => device.check().map(|()| device),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn group(handle: NetworkGroup) -> Result<Arc<Group>, Status> {
    match handles::get(handle.0)? {
        Object::Group(group) => Ok(group),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn input(handle: InputVStream) -> Result<End, Status> {
    match handles::get(handle.0)? {
        Object::Input(end) => Ok(end),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

fn output(handle: OutputVStream) -> Result<End, Status> {
    match handles::get(handle.0)? {
        Object::Output(end) => Ok(end),
        _ => Err(Status::INVALID_ARGUMENT),
    }
}

/// How many handles are not released: a test's question to the double.
#[unsafe(no_mangle)]
pub extern "C" fn hailort_double_handles() -> usize {
    handles::count()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_library_version(version: *mut Version) -> Status {
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(version, Behaviour::of_environment().version) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_scan_devices(_: *mut c_void, ids: *mut DeviceId, count: *mut usize) -> Status {
    let devices = Behaviour::of_environment().devices;
    // SAFETY: the caller's pointers.
    answer(|| unsafe { put_all(ids, count, (0..devices).map(device::id)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_create_device_by_id(id: *const DeviceId, device: *mut Device) -> Status {
    answer(|| {
        if id.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: the caller's pointers.
        unsafe { put(device, Device(handles::add(Object::Physical))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_identify(device: Device, identity: *mut DeviceIdentity) -> Status {
    answer(|| {
        let Object::Physical = handles::get(device.0)? else {
            return Err(Status::INVALID_ARGUMENT);
        };
        let value = DeviceIdentity {
            protocol_version: 2,
            firmware: Behaviour::of_environment().version,
            logger_version: 0,
            board_name_length: 7,
            board_name: array("Hailo-8"),
            is_release: 1,
            extended_context_switch_buffer: 0,
            architecture: 1,
            serial_number_length: 6,
            serial_number: array("DOUBLE"),
            part_number_length: 6,
            part_number: array("DOUBLE"),
            product_name_length: 14,
            product_name: array("HAILORT DOUBLE"),
        };
        // SAFETY: the caller's pointer.
        unsafe { put(identity, value) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_release_device(device: Device) -> Status {
    answer(|| handles::remove(device.0).map(drop))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_init_vdevice_params(params: *mut VDeviceParams) -> Status {
    let value = VDeviceParams {
        device_count: 1,
        device_ids: std::ptr::null_mut(),
        scheduling_algorithm: ROUND_ROBIN,
        group_id: UNIQUE.as_ptr(),
        multi_process_service: false,
    };
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(params, value) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_create_vdevice(params: *mut VDeviceParams, vdevice: *mut VDevice) -> Status {
    answer(|| {
        // SAFETY: the caller's pointer, null or valid.
        let params = unsafe { params.as_ref() }.ok_or(Status::INVALID_ARGUMENT)?;
        if params.scheduling_algorithm != ROUND_ROBIN || params.device_count != 1 {
            return Err(Status::NOT_IMPLEMENTED);
        }
        // SAFETY: the caller's pointer, null or valid.
        if let Some(wanted) = unsafe { params.device_ids.as_ref() } {
            let devices = Behaviour::of_environment().devices;
            if !(0..devices).any(|index| device::id(index).id == wanted.id) {
                return Err(Status::OUT_OF_PHYSICAL_DEVICES);
            }
        }
        // SAFETY: the caller's pointer.
        let group = unsafe { string(params.group_id) }?.to_string_lossy();
        let device = device::open(&group, params.multi_process_service)?;
        // SAFETY: the caller's pointer.
        unsafe { put(vdevice, VDevice(handles::add(Object::Device(device)))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_release_vdevice(vdevice: VDevice) -> Status {
    answer(|| match handles::remove(vdevice.0)? {
        Object::Device(device) => {
            handles::remove_groups_of(&device);
            Ok(())
        }
        _ => Err(Status::INVALID_ARGUMENT),
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_create_hef_file(hef: *mut Hef, file_name: *const c_char) -> Status {
    answer(|| {
        // SAFETY: the caller's pointer.
        let name = unsafe { string(file_name) }?;
        let read = hef::Hef::of_file(Path::new(OsStr::from_bytes(name.to_bytes())))?;
        // SAFETY: the caller's pointer.
        unsafe { put(hef, Hef(handles::add(Object::Hef(Arc::new(read))))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_create_hef_buffer(hef: *mut Hef, buffer: *const c_void, size: usize) -> Status {
    answer(|| {
        if buffer.is_null() || size == 0 {
            // The real library crashes here.
            return Err(Status::INTERNAL_FAILURE);
        }
        // SAFETY: the caller's buffer of that size.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), size) };
        let read = hef::Hef::parse(bytes, Path::new(""))?;
        // SAFETY: the caller's pointer.
        unsafe { put(hef, Hef(handles::add(Object::Hef(Arc::new(read))))) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_release_hef(hef: Hef) -> Status {
    answer(|| handles::remove(hef.0).map(drop))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_network_groups_infos(
    handle: Hef,
    infos: *mut NetworkGroupInfo,
    count: *mut usize,
) -> Status {
    answer(|| {
        let hef = hef(handle)?;
        let info = NetworkGroupInfo {
            name: array(&hef.group),
            is_multi_context: 0,
        };
        // SAFETY: the caller's pointers.
        unsafe { put_all(infos, count, vec![info; hef.groups]) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_hef_get_all_vstream_infos(
    handle: Hef,
    _: *const c_char,
    infos: *mut VStreamInfo,
    count: *mut usize,
) -> Status {
    // SAFETY: the caller's pointers.
    answer(|| unsafe { put_all(infos, count, hef(handle)?.infos()) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_init_configure_params_by_vdevice(
    handle: Hef,
    device: VDevice,
    params: *mut ConfigureParams,
) -> Status {
    answer(|| {
        vdevice(device)?;
        let hef = hef(handle)?;
        if params.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: the caller's pointer, not null. All of it is written, as the real library may do: a caller whose
        // structure is smaller shows here.
        let params = unsafe {
            params.write_bytes(0, 1);
            &mut *params
        };
        params.group_count = hef.groups.min(MAX_GROUPS);
        for group in &mut params.groups[..hef.groups.min(MAX_GROUPS)] {
            group.name = array(&hef.group);
            group.network_count = 1;
            group.networks[0].name = array(&format!("{0}/{0}", hef.group));
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_configure_vdevice(
    device: VDevice,
    handle: Hef,
    params: *mut ConfigureParams,
    groups: *mut NetworkGroup,
    count: *mut usize,
) -> Status {
    answer(|| {
        let (device, hef) = (vdevice(device)?, hef(handle)?);
        // SAFETY: the caller's pointer, null or valid.
        let params = unsafe { params.as_ref() }.ok_or(Status::INVALID_ARGUMENT)?;
        if params.group_count != hef.groups || groups.is_null() || count.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        if hef.arch != "HAILO8" {
            return Err(Status::HEF_NOT_COMPATIBLE_WITH_DEVICE);
        }
        let add = |_| {
            let group = Group::new(Arc::clone(&hef), Arc::clone(&device))?;
            Ok(NetworkGroup(handles::add(Object::Group(Arc::new(group)))))
        };
        let added: Vec<NetworkGroup> = (0..hef.groups).map(add).collect::<Result<_, _>>()?;
        // SAFETY: the caller's pointers.
        unsafe { put_all(groups, count, added) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_shutdown_network_group(handle: NetworkGroup) -> Status {
    answer(|| {
        group(handle)?.shut();
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_set_scheduler_timeout(handle: NetworkGroup, _: u32, _: *const c_char) -> Status {
    answer(|| group(handle).map(drop))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_set_scheduler_threshold(handle: NetworkGroup, _: u32, _: *const c_char) -> Status {
    answer(|| group(handle).map(drop))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_set_scheduler_priority(handle: NetworkGroup, value: u8, _: *const c_char) -> Status {
    answer(|| match value {
        0..=PRIORITY_MAX => group(handle).map(drop),
        _ => Err(Status::INVALID_ARGUMENT),
    })
}

fn params(streams: &[hef::Stream], kind: u32) -> Vec<VStreamParamsByName> {
    let one = |stream: &hef::Stream| VStreamParamsByName {
        name: array(&stream.name),
        params: VStreamParams {
            user_buffer_format: Format {
                kind,
                ..Format::default()
            },
            timeout_ms: TIMEOUT_MS,
            queue_size: QUEUE,
            ..VStreamParams::default()
        },
    };
    streams.iter().map(one).collect()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_make_input_vstream_params(
    handle: NetworkGroup,
    _: bool,
    kind: u32,
    array: *mut VStreamParamsByName,
    count: *mut usize,
) -> Status {
    // SAFETY: the caller's pointers.
    answer(|| unsafe { put_all(array, count, params(&group(handle)?.hef.inputs, kind)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_make_output_vstream_params(
    handle: NetworkGroup,
    _: bool,
    kind: u32,
    array: *mut VStreamParamsByName,
    count: *mut usize,
) -> Status {
    // SAFETY: the caller's pointers.
    answer(|| unsafe { put_all(array, count, params(&group(handle)?.hef.outputs, kind)) })
}

/// The ends that `params` ask for.
///
/// # Safety
/// `array` holds `count`.
unsafe fn ends(
    handle: NetworkGroup,
    array: *const VStreamParamsByName,
    count: usize,
    streams: impl Fn(&hef::Hef) -> &[hef::Stream],
) -> Result<Vec<End>, Status> {
    let group = group(handle)?;
    group.device.check()?;
    if array.is_null() || count == 0 {
        return Err(Status::INVALID_ARGUMENT);
    }
    // SAFETY: as the caller says.
    let wanted = unsafe { std::slice::from_raw_parts(array, count) };
    let end = |wanted: &VStreamParamsByName| {
        let streams = streams(&group.hef);
        let name = text(&wanted.name);
        let index = streams
            .iter()
            .position(|stream| stream.name == name)
            .ok_or(Status::NOT_FOUND)?;
        Ok(End {
            group: Arc::clone(&group),
            index,
            format: streams[index].format(wanted.params.user_buffer_format.kind),
            timeout: Duration::from_millis(wanted.params.timeout_ms.into()),
            queue: wanted.params.queue_size as usize,
        })
    };
    let ends = wanted.iter().map(end).collect();
    group.reset();
    ends
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_create_input_vstreams(
    handle: NetworkGroup,
    params: *const VStreamParamsByName,
    count: usize,
    streams: *mut InputVStream,
) -> Status {
    answer(|| {
        // SAFETY: the caller's pointers.
        let ends = unsafe { ends(handle, params, count, |hef| &hef.inputs) }?;
        let handles = ends
            .into_iter()
            .map(|end| InputVStream(handles::add(Object::Input(end))));
        // SAFETY: the caller's array of `count`.
        unsafe { put_all(streams, &mut { count }, handles) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_create_output_vstreams(
    handle: NetworkGroup,
    params: *const VStreamParamsByName,
    count: usize,
    streams: *mut OutputVStream,
) -> Status {
    answer(|| {
        // SAFETY: the caller's pointers.
        let ends = unsafe { ends(handle, params, count, |hef| &hef.outputs) }?;
        let handles = ends
            .into_iter()
            .map(|end| OutputVStream(handles::add(Object::Output(end))));
        // SAFETY: the caller's array of `count`.
        unsafe { put_all(streams, &mut { count }, handles) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_input_vstream_info(stream: InputVStream, info: *mut VStreamInfo) -> Status {
    answer(|| {
        let end = input(stream)?;
        // SAFETY: the caller's pointer.
        unsafe { put(info, end.group.hef.inputs[end.index].info()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_output_vstream_info(stream: OutputVStream, info: *mut VStreamInfo) -> Status {
    answer(|| {
        let end = output(stream)?;
        // SAFETY: the caller's pointer.
        unsafe { put(info, end.group.hef.outputs[end.index].info()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_input_vstream_user_format(stream: InputVStream, format: *mut Format) -> Status {
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(format, input(stream)?.format) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_output_vstream_user_format(stream: OutputVStream, format: *mut Format) -> Status {
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(format, output(stream)?.format) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_input_vstream_frame_size(stream: InputVStream, size: *mut usize) -> Status {
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(size, input(stream)?.frame_size(true)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_get_output_vstream_frame_size(stream: OutputVStream, size: *mut usize) -> Status {
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(size, output(stream)?.frame_size(false)) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_vstream_write_raw_buffer(
    stream: InputVStream,
    buffer: *const c_void,
    size: usize,
) -> Status {
    answer(|| {
        let end = input(stream)?;
        if buffer.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: the caller's buffer of that size.
        end.write(unsafe { std::slice::from_raw_parts(buffer.cast(), size) })
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_vstream_read_raw_buffer(
    stream: OutputVStream,
    buffer: *mut c_void,
    size: usize,
) -> Status {
    answer(|| {
        let end = output(stream)?;
        if buffer.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: the caller's buffer of that size, initialised.
        end.read(unsafe { std::slice::from_raw_parts_mut(buffer.cast(), size) })
    })
}

/// # Safety
/// `streams` holds `count` handles.
unsafe fn release(streams: *const *mut c_void, count: usize) -> Status {
    answer(|| {
        if streams.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: as the caller says.
        let handles = unsafe { std::slice::from_raw_parts(streams, count) };
        handles.iter().try_for_each(|&handle| handles::remove(handle).map(drop))
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_release_input_vstreams(streams: *const InputVStream, count: usize) -> Status {
    // SAFETY: the caller's array; a handle is transparent.
    unsafe { release(streams.cast(), count) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn hailo_release_output_vstreams(streams: *const OutputVStream, count: usize) -> Status {
    // SAFETY: the caller's array; a handle is transparent.
    unsafe { release(streams.cast(), count) }
}
