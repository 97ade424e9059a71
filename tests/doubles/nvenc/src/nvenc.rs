//! The calls of `libnvidia-encode.so.1`.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use gst_video::VideoFormat;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::*;

use crate::behaviour::{Behaviour, Codec};
use crate::objects;
use crate::session::{self, Frame, Resource, Session};
use crate::software::{Rate, Setup};

type Handle = *mut c_void;
type Status = NVENCSTATUS;
use NVENCSTATUS::{
    NV_ENC_ERR_GENERIC, NV_ENC_ERR_INVALID_PARAM, NV_ENC_ERR_INVALID_PTR, NV_ENC_ERR_INVALID_VERSION,
    NV_ENC_ERR_UNSUPPORTED_PARAM, NV_ENC_SUCCESS,
};

/// Sizes below this are refused, as by real GPUs.
const MIN_SIZE: (u32, u32) = (32, 32);

const CODECS: [(Codec, GUID); 3] = [
    (Codec::H264, NV_ENC_CODEC_H264_GUID),
    (Codec::H265, NV_ENC_CODEC_HEVC_GUID),
    (Codec::Av1, NV_ENC_CODEC_AV1_GUID),
];

const PRESETS: [GUID; 7] = [
    NV_ENC_PRESET_P1_GUID,
    NV_ENC_PRESET_P2_GUID,
    NV_ENC_PRESET_P3_GUID,
    NV_ENC_PRESET_P4_GUID,
    NV_ENC_PRESET_P5_GUID,
    NV_ENC_PRESET_P6_GUID,
    NV_ENC_PRESET_P7_GUID,
];

fn codec(guid: GUID) -> Result<Codec, Status> {
    let found = CODECS.iter().find(|(_, known)| *known == guid);
    found.map(|&(codec, _)| codec).ok_or(NV_ENC_ERR_UNSUPPORTED_PARAM)
}

/// Runs the body of a function: its error, or a panic, becomes the status.
fn answer(body: impl FnOnce() -> Result<(), Status>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => NV_ENC_SUCCESS,
        Ok(Err(status)) => status,
        Err(_) => NV_ENC_ERR_GENERIC,
    }
}

/// As [`answer`], with the session. What a lost device was asked to give back is given back, with an error.
fn in_session(handle: Handle, body: impl FnOnce(&mut Session) -> Result<(), Status>) -> Status {
    answer(|| {
        let session = session::get(handle.addr()).ok_or(NV_ENC_ERR_INVALID_PTR)?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        session.check_thread();
        body(&mut session)?;
        if objects::lost() {
            Err(NV_ENC_ERR_GENERIC)
        } else {
            Ok(())
        }
    })
}

/// As [`in_session`], for what a lost device does not even begin.
fn at_work(handle: Handle, body: impl FnOnce(&mut Session) -> Result<(), Status>) -> Status {
    in_session(handle, |session| {
        if objects::lost() {
            return Err(NV_ENC_ERR_GENERIC);
        }
        body(session)
    })
}

/// # Safety
/// `params` is null or a structure that begins with its version.
unsafe fn check<T>(params: *const T, version: u32) -> Result<(), Status> {
    if params.is_null() {
        return Err(NV_ENC_ERR_INVALID_PTR);
    }
    // SAFETY: not null; every structure of NVENC begins so.
    if unsafe { params.cast::<u32>().read() } != version {
        return Err(NV_ENC_ERR_INVALID_VERSION);
    }
    Ok(())
}

/// # Safety
/// `to` is null or can be written.
unsafe fn put<T>(to: *mut T, value: T) -> Result<(), Status> {
    if to.is_null() {
        return Err(NV_ENC_ERR_INVALID_PTR);
    }
    // SAFETY: not null; the rest is the caller's word.
    unsafe { to.write(value) };
    Ok(())
}

/// # Safety
/// The field can be read; it may hold a number that its enumeration has not.
unsafe fn number<T>(field: *const T) -> u32 {
    const { assert!(size_of::<T>() == 4) };
    // SAFETY: enumerations of NVENC are 32 bits.
    unsafe { field.cast::<u32>().read() }
}

fn pointer(handle: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(handle)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> Status {
    let (major, minor) = Behaviour::of_environment().version;
    // SAFETY: the caller's pointer.
    answer(|| unsafe { put(version, major << 4 | minor) })
}

/// As the real one, it takes any version of the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn NvEncodeAPICreateInstance(list: *mut NV_ENCODE_API_FUNCTION_LIST) -> Status {
    answer(|| {
        if list.is_null() {
            return Err(NV_ENC_ERR_INVALID_PTR);
        }
        // SAFETY: the caller's structure.
        unsafe {
            (*list).nvEncOpenEncodeSessionEx = Some(open_session);
            (*list).nvEncGetEncodeGUIDCount = Some(guid_count);
            (*list).nvEncGetEncodeGUIDs = Some(guids);
            (*list).nvEncGetEncodeCaps = Some(caps);
            (*list).nvEncGetEncodePresetConfigEx = Some(preset);
            (*list).nvEncInitializeEncoder = Some(initialize);
            (*list).nvEncReconfigureEncoder = Some(reconfigure);
            (*list).nvEncGetSequenceParams = Some(sequence_params);
            (*list).nvEncCreateBitstreamBuffer = Some(create_bitstream);
            (*list).nvEncDestroyBitstreamBuffer = Some(destroy_bitstream);
            (*list).nvEncRegisterResource = Some(register);
            (*list).nvEncUnregisterResource = Some(unregister);
            (*list).nvEncMapInputResource = Some(map);
            (*list).nvEncUnmapInputResource = Some(unmap);
            (*list).nvEncEncodePicture = Some(encode);
            (*list).nvEncLockBitstream = Some(lock);
            (*list).nvEncUnlockBitstream = Some(unlock);
            (*list).nvEncDestroyEncoder = Some(destroy);
            (*list).nvEncGetLastErrorString = Some(last_error);
        }
        Ok(())
    })
}

unsafe extern "C" fn open_session(params: *mut NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, handle: *mut Handle) -> Status {
    answer(|| {
        // SAFETY: the caller's pointers.
        unsafe {
            check(params, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER)?;
            if (*params).apiVersion != NVENCAPI_VERSION {
                return Err(NV_ENC_ERR_INVALID_VERSION);
            }
            if number(&raw const (*params).deviceType) != NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA as u32 {
                return Err(NV_ENC_ERR_UNSUPPORTED_PARAM);
            }
            put(handle, std::ptr::null_mut())?;
            put(handle, pointer(session::open((*params).device.addr())?))
        }
    })
}

unsafe extern "C" fn guid_count(handle: Handle, count: *mut u32) -> Status {
    // SAFETY: the caller's pointer.
    at_work(handle, |session| unsafe {
        put(count, session.behaviour.codecs.len() as u32)
    })
}

unsafe extern "C" fn guids(handle: Handle, array: *mut GUID, room: u32, count: *mut u32) -> Status {
    at_work(handle, |session| {
        let offered = CODECS
            .iter()
            .filter(|(codec, _)| session.behaviour.codecs.contains(codec));
        let offered: Vec<_> = offered.map(|&(_, guid)| guid).take(room as usize).collect();
        if array.is_null() {
            return Err(NV_ENC_ERR_INVALID_PTR);
        }
        // SAFETY: the caller's array and its room.
        unsafe {
            array.copy_from_nonoverlapping(offered.as_ptr(), offered.len());
            put(count, offered.len() as u32)
        }
    })
}

unsafe extern "C" fn caps(handle: Handle, guid: GUID, params: *mut NV_ENC_CAPS_PARAM, value: *mut c_int) -> Status {
    use NV_ENC_CAPS::*;
    at_work(handle, |session| {
        // SAFETY: the caller's structure.
        let which = unsafe {
            check(params, NV_ENC_CAPS_PARAM_VER)?;
            number(&raw const (*params).capsToQuery)
        };
        let codec = codec(guid)?;
        let behaviour = &session.behaviour;
        if !behaviour.codecs.contains(&codec) {
            return Err(NV_ENC_ERR_UNSUPPORTED_PARAM);
        }
        let answers = [
            (NV_ENC_CAPS_WIDTH_MIN, MIN_SIZE.0),
            (NV_ENC_CAPS_HEIGHT_MIN, MIN_SIZE.1),
            (NV_ENC_CAPS_WIDTH_MAX, behaviour.size.0),
            (NV_ENC_CAPS_HEIGHT_MAX, behaviour.size.1),
            (NV_ENC_CAPS_NUM_MAX_BFRAMES, behaviour.b_frames),
            (
                NV_ENC_CAPS_SUPPORT_10BIT_ENCODE,
                (behaviour.ten_bit && codec != Codec::H264).into(),
            ),
            (NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE, behaviour.live_bitrate.into()),
        ];
        let found = answers.iter().find(|(known, _)| *known as u32 == which);
        // SAFETY: the caller's pointer.
        unsafe { put(value, found.map_or(0, |&(_, answer)| answer as c_int)) }
    })
}

unsafe extern "C" fn preset(
    handle: Handle,
    guid: GUID,
    preset: GUID,
    _: NV_ENC_TUNING_INFO,
    params: *mut NV_ENC_PRESET_CONFIG,
) -> Status {
    at_work(handle, |_| {
        codec(guid)?;
        if !PRESETS.contains(&preset) {
            return Err(NV_ENC_ERR_UNSUPPORTED_PARAM);
        }
        // SAFETY: the caller's structure.
        unsafe {
            check(params, NV_ENC_PRESET_CONFIG_VER)?;
            check(&raw const (*params).presetCfg, NV_ENC_CONFIG_VER)?;
            let config = &raw mut (*params).presetCfg;
            // Settings that a client must replace to get what it wants.
            (*config).gopLength = 250;
            (*config).frameIntervalP = 3;
            (*config).frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE::NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
            (*config).rcParams.version = NV_ENC_RC_PARAMS_VER;
            (*config).rcParams.averageBitRate = 10_000_000;
            (*config).rcParams.vbvBufferSize = 1;
        }
        Ok(())
    })
}

/// # Safety
/// `params` is a structure of the caller of the right version.
unsafe fn read_setup(params: *const NV_ENC_INITIALIZE_PARAMS) -> Result<(Setup, u32), Status> {
    // SAFETY: the caller's structures.
    unsafe {
        check(params, NV_ENC_INITIALIZE_PARAMS_VER)?;
        let config = (*params).encodeConfig;
        check(config.cast_const(), NV_ENC_CONFIG_VER)?;
        check(&raw const (*config).rcParams, NV_ENC_RC_PARAMS_VER)?;
        let codec = codec((*params).encodeGUID)?;
        let rc = &raw const (*config).rcParams;
        let rate = match number(&raw const (*rc).rateControlMode) {
            0 => Rate::Quantiser((*rc).constQP.qpInterP),
            1 | 2 if (*rc).maxBitRate != 0 && (*rc).maxBitRate < (*rc).averageBitRate => {
                return Err(NV_ENC_ERR_INVALID_PARAM);
            }
            1 | 2 => Rate::Bitrate((*rc).averageBitRate),
            _ => return Err(NV_ENC_ERR_INVALID_PARAM),
        };
        let specific = &raw const (*config).encodeCodecConfig;
        let idr = match codec {
            Codec::H264 => (*specific).h264Config.idrPeriod,
            Codec::H265 => (*specific).hevcConfig.idrPeriod,
            Codec::Av1 => (*specific).av1Config.idrPeriod,
        };
        let gop = (*config).gopLength;
        let interval = u32::try_from((*config).frameIntervalP).unwrap_or(0);
        let wrong = !PRESETS.contains(&(*params).presetGUID)
            || number(&raw const (*params).tuningInfo) == 0
            || number(&raw const (*config).frameFieldMode) != 1
            || (*params).enablePTD != 1
            || (*params).enableEncodeAsync != 0
            || (*params).frameRateNum == 0
            || (*params).frameRateDen == 0
            || (*params).darWidth == 0
            || (*params).darHeight == 0
            || (*params).encodeWidth < MIN_SIZE.0
            || (*params).encodeHeight < MIN_SIZE.1
            || (*params).maxEncodeWidth < (*params).encodeWidth
            || idr < gop
            || interval == 0
            || gop < interval;
        if wrong {
            return Err(NV_ENC_ERR_INVALID_PARAM);
        }
        let size = ((*params).encodeWidth, (*params).encodeHeight);
        let framerate = ((*params).frameRateNum, (*params).frameRateDen);
        Ok((session::setup(codec, size, framerate, gop, rate), interval))
    }
}

unsafe extern "C" fn initialize(handle: Handle, params: *mut NV_ENC_INITIALIZE_PARAMS) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure.
        let (setup, interval) = unsafe { read_setup(params) }?;
        session.initialize(setup, interval)
    })
}

unsafe extern "C" fn reconfigure(handle: Handle, params: *mut NV_ENC_RECONFIGURE_PARAMS) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure.
        let (setup, _) = unsafe {
            check(params, NV_ENC_RECONFIGURE_PARAMS_VER)?;
            read_setup(&raw const (*params).reInitEncodeParams)
        }?;
        session.reconfigure(&setup)
    })
}

unsafe extern "C" fn sequence_params(handle: Handle, params: *mut NV_ENC_SEQUENCE_PARAM_PAYLOAD) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure, which tells the room.
        unsafe {
            check(params, NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER)?;
            let bytes = session.headers()?;
            if (*params).spsppsBuffer.is_null() {
                return Err(NV_ENC_ERR_INVALID_PTR);
            }
            if bytes.len() > (*params).inBufferSize as usize {
                return Err(NVENCSTATUS::NV_ENC_ERR_NOT_ENOUGH_BUFFER);
            }
            (*params)
                .spsppsBuffer
                .cast::<u8>()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            put((*params).outSPSPPSPayloadSize, bytes.len() as u32)
        }
    })
}

unsafe extern "C" fn create_bitstream(handle: Handle, params: *mut NV_ENC_CREATE_BITSTREAM_BUFFER) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure.
        unsafe {
            check(params, NV_ENC_CREATE_BITSTREAM_BUFFER_VER)?;
            (*params).bitstreamBuffer = pointer(session.create_output()?);
        }
        Ok(())
    })
}

unsafe extern "C" fn destroy_bitstream(handle: Handle, output: NV_ENC_OUTPUT_PTR) -> Status {
    in_session(handle, |session| session.destroy_output(output.addr()))
}

unsafe extern "C" fn register(handle: Handle, params: *mut NV_ENC_REGISTER_RESOURCE) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure.
        unsafe {
            check(params, NV_ENC_REGISTER_RESOURCE_VER)?;
            let cuda = NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR as u32;
            let usage = number(&raw const (*params).bufferUsage);
            if number(&raw const (*params).resourceType) != cuda
                || usage != NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE as u32
            {
                return Err(NV_ENC_ERR_UNSUPPORTED_PARAM);
            }
            let resource = Resource {
                address: (*params).resourceToRegister.addr(),
                pitch: (*params).pitch as usize,
                format: format(number(&raw const (*params).bufferFormat))?,
                width: (*params).width,
                height: (*params).height,
            };
            (*params).registeredResource = pointer(session.register(resource)?);
        }
        Ok(())
    })
}

fn format(number: u32) -> Result<VideoFormat, Status> {
    use NV_ENC_BUFFER_FORMAT::*;
    let formats = [
        (NV_ENC_BUFFER_FORMAT_NV12, VideoFormat::Nv12),
        (NV_ENC_BUFFER_FORMAT_IYUV, VideoFormat::I420),
        (NV_ENC_BUFFER_FORMAT_YV12, VideoFormat::Yv12),
        (NV_ENC_BUFFER_FORMAT_YUV420_10BIT, VideoFormat::P01010le),
        (NV_ENC_BUFFER_FORMAT_ARGB, VideoFormat::Bgra),
        (NV_ENC_BUFFER_FORMAT_ABGR, VideoFormat::Rgba),
    ];
    let found = formats.iter().find(|(known, _)| *known as u32 == number);
    found.map(|&(_, format)| format).ok_or(NV_ENC_ERR_UNSUPPORTED_PARAM)
}

unsafe extern "C" fn unregister(handle: Handle, resource: NV_ENC_REGISTERED_PTR) -> Status {
    in_session(handle, |session| session.unregister(resource.addr()))
}

unsafe extern "C" fn map(handle: Handle, params: *mut NV_ENC_MAP_INPUT_RESOURCE) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure.
        unsafe {
            check(params, NV_ENC_MAP_INPUT_RESOURCE_VER)?;
            let (mapped, _) = session.map((*params).registeredResource.addr())?;
            (*params).mappedResource = pointer(mapped);
        }
        Ok(())
    })
}

unsafe extern "C" fn unmap(handle: Handle, mapped: NV_ENC_INPUT_PTR) -> Status {
    in_session(handle, |session| session.unmap(mapped.addr()))
}

unsafe extern "C" fn encode(handle: Handle, params: *mut NV_ENC_PIC_PARAMS) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure.
        unsafe {
            check(params, NV_ENC_PIC_PARAMS_VER)?;
            let flags = (*params).encodePicFlags;
            if flags & NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32 != 0 {
                return session.end();
            }
            if number(&raw const (*params).pictureStruct) != NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME as u32 {
                return Err(NV_ENC_ERR_INVALID_PARAM);
            }
            format(number(&raw const (*params).bufferFmt))?;
            session.encode(Frame {
                mapped: (*params).inputBuffer.addr(),
                output: (*params).outputBitstream.addr(),
                timestamp: (*params).inputTimeStamp,
                key: flags & NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32 != 0,
                width: (*params).inputWidth,
                height: (*params).inputHeight,
            })
        }
    })
}

unsafe extern "C" fn lock(handle: Handle, params: *mut NV_ENC_LOCK_BITSTREAM) -> Status {
    at_work(handle, |session| {
        // SAFETY: the caller's structure. The bytes stay where they are until the buffer is unlocked.
        unsafe {
            check(params, NV_ENC_LOCK_BITSTREAM_VER)?;
            let packet = session.lock((*params).outputBitstream.addr())?;
            (*params).bitstreamBufferPtr = packet.encoded.data.as_ptr().cast_mut().cast();
            (*params).bitstreamSizeInBytes = packet.encoded.data.len() as u32;
            (*params).outputTimeStamp = packet.timestamp;
            (*params).pictureStruct = NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME;
            (*params).pictureType = if packet.encoded.key {
                NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_IDR
            } else {
                NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_P
            };
        }
        Ok(())
    })
}

unsafe extern "C" fn unlock(handle: Handle, output: NV_ENC_OUTPUT_PTR) -> Status {
    in_session(handle, |session| session.unlock(output.addr()))
}

unsafe extern "C" fn destroy(handle: Handle) -> Status {
    answer(|| {
        session::close(handle.addr())?;
        if objects::lost() {
            Err(NV_ENC_ERR_GENERIC)
        } else {
            Ok(())
        }
    })
}

unsafe extern "C" fn last_error(handle: Handle) -> *const c_char {
    let session = session::get(handle.addr());
    // The text stays until the next error of the session.
    session.map_or(std::ptr::null(), |session| {
        session.lock().unwrap_or_else(PoisonError::into_inner).error().as_ptr()
    })
}
