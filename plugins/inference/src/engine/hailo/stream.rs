//! Streams: a thread for each, because HailoRT's calls wait for the device.

use std::ffi::c_void;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use hailort_abi::Status;

use super::super::{DataType, TensorInfo, TensorMut, TensorRef};

/// The memory of one tensor of one slot.
pub(super) enum Buffer {
    F32(Vec<f32>),
    U8(Vec<u8>),
    U16(Vec<u16>),
}

impl Buffer {
    pub fn new(info: &TensorInfo) -> Self {
        match info.data_type {
            DataType::F32 => Self::F32(vec![0.0; info.len()]),
            DataType::U16 => Self::U16(vec![0; info.len()]),
            // HailoRT has no wider whole numbers.
            DataType::U8 | DataType::I32 | DataType::I64 => Self::U8(vec![0; info.len() * info.data_type.size()]),
        }
    }

    pub fn get(&self) -> TensorRef<'_> {
        match self {
            Self::F32(data) => TensorRef::F32(data),
            Self::U8(data) => TensorRef::U8(data),
            Self::U16(data) => TensorRef::U16(data),
        }
    }

    pub fn get_mut(&mut self) -> TensorMut<'_> {
        match self {
            Self::F32(data) => TensorMut::F32(data),
            Self::U8(data) => TensorMut::U8(data),
            Self::U16(data) => TensorMut::U16(data),
        }
    }

    /// Whether some value is no number, which only a device gone wrong gives.
    pub fn has_nan(&self) -> bool {
        match self {
            // A product that is 0 but for NaN and infinity, in a form that is calculated for many values at once.
            Self::F32(data) => !(data.iter().map(|value| value * 0.0).sum::<f32>() == 0.0),
            Self::U8(_) | Self::U16(_) => false,
        }
    }

    /// Address and length in bytes.
    fn raw(&mut self) -> (*mut c_void, usize) {
        match self {
            Self::F32(data) => (data.as_mut_ptr().cast(), size_of_val(&**data)),
            Self::U8(data) => (data.as_mut_ptr().cast(), size_of_val(&**data)),
            Self::U16(data) => (data.as_mut_ptr().cast(), size_of_val(&**data)),
        }
    }
}

/// A buffer on its way through a stream. It is owned by whoever works on it, so a thread that never comes back from the
/// library keeps the memory that the library may still write to.
pub(super) struct Job {
    pub slot: usize,
    pub buffer: Buffer,
}

/// A buffer that has been written or read, or was not.
pub(super) struct Done {
    pub stream: StreamId,
    pub job: Job,
    pub status: Status,
}

/// A stream of the network, by its place among the inputs or outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamId {
    Input(usize),
    Output(usize),
}

/// The thread of one stream. Ends when the sender of its jobs is dropped, or after a failure that the stream does not
/// outlive.
pub(super) struct Worker {
    pub jobs: Sender<Job>,
    pub thread: JoinHandle<()>,
}

impl Worker {
    /// `transfer` writes or reads one frame of that many bytes.
    pub fn spawn(
        stream: StreamId,
        done: Sender<Done>,
        transfer: impl Fn(*mut c_void, usize) -> Status + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, received): (_, Receiver<Job>) = channel();
        let name = match stream {
            StreamId::Input(_) => "hailo-write",
            StreamId::Output(_) => "hailo-read",
        };
        let run = move || {
            for mut job in received {
                let (address, bytes) = job.buffer.raw();
                let status = transfer(address, bytes);
                let ends = status != Status::SUCCESS && !is_bad_frame(stream, status);
                if done.send(Done { stream, job, status }).is_err() || ends {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { jobs, thread })
    }
}

/// Whether only this frame is bad, and the stream goes on with the next one. A frame that could not be written has no result:
/// every reader would take the next frame's for it, so that ends the network.
pub(super) fn is_bad_frame(stream: StreamId, status: Status) -> bool {
    matches!(stream, StreamId::Output(_)) && matches!(status, Status::INVALID_FRAME | Status::NMS_BURST_INVALID_DATA)
}
