//! Frames in memory of the GPU.

use super::double::{Memory, objects};
use super::*;
use nunchi_nvenc::DevicePlane;

/// A frame of NV12 in memory of the GPU, as NVENC wants it.
fn upload(device: i32, number: u64) -> Memory {
    let memory = Memory::new(device, WIDTH, HEIGHT * 3 / 2);
    let frame = frame(Format::Nv12, number);
    memory.write(0, memory.pitch, &frame[0].0, WIDTH);
    memory.write(memory.pitch * HEIGHT, memory.pitch, &frame[1].0, WIDTH);
    memory
}

fn nv12(memory: &Memory) -> [DevicePlane; 2] {
    let plane = |rows: usize| DevicePlane {
        pointer: memory.pointer + (rows * memory.pitch) as u64,
        stride: memory.pitch,
    };
    [plane(0), plane(HEIGHT)]
}

fn open_for(config: &Config, memory: &Memory) -> Result<Encoder, Error> {
    // SAFETY: the tests keep the memory.
    unsafe { Encoder::open_for(config, memory.pointer) }
}

fn encode(encoder: &mut Encoder, planes: &[DevicePlane], index: u64) -> Result<Vec<Packet>, Error> {
    // SAFETY: the tests keep the memory and do not write into it.
    unsafe { encoder.encode_device(planes, index, false) }
}

#[test]
fn frames_are_read_where_they_are_and_registered_once() {
    if !on_the_double("device::frames_are_read_where_they_are_and_registered_once", "") {
        return;
    }
    let pool: Vec<_> = (0..3).map(|number| upload(0, number)).collect();
    let mut encoder = open_for(&config(), &pool[0]).unwrap();
    let mut other = Encoder::open(&config()).unwrap();
    let mut after_the_first = 0;
    for number in 0..12 {
        let packets = encode(&mut encoder, &nv12(&pool[number as usize % 3]), number).unwrap();
        let frame = frame(Format::Nv12, number % 3);
        assert_eq!(packets, other.encode(&planes(&frame), number, false).unwrap());
        if number == 2 {
            after_the_first = objects();
        }
    }
    assert_eq!(objects(), after_the_first, "nothing more is registered or allocated");
    drop((encoder, other, pool));
    assert_clean();
}

#[test]
fn planes_that_lie_otherwise_are_copied() {
    if !on_the_double("device::planes_that_lie_otherwise_are_copied", "") {
        return;
    }
    let config = Config {
        format: Format::I420,
        ..config()
    };
    // As GStreamer lays out I420: all planes with the stride of the luma.
    let memory = Memory::new(0, WIDTH, 2 * HEIGHT);
    let frame = frame(Format::I420, 3);
    let mut device = Vec::new();
    let mut offset = 0;
    for (data, row) in &frame {
        memory.write(offset, memory.pitch, data, *row);
        device.push(DevicePlane {
            pointer: memory.pointer + offset as u64,
            stride: memory.pitch,
        });
        offset += data.len() / row * memory.pitch;
    }
    let packets = encode(&mut open_for(&config, &memory).unwrap(), &device, 0).unwrap();
    assert_eq!(
        packets,
        Encoder::open(&config)
            .unwrap()
            .encode(&planes(&frame), 0, false)
            .unwrap()
    );
    drop(memory);
    assert_clean();
}

#[test]
fn the_session_is_on_the_gpu_of_the_memory() {
    if !on_the_double("device::the_session_is_on_the_gpu_of_the_memory", "devices=2") {
        return;
    }
    let memory = upload(1, 0);
    let mut encoder = open_for(&config(), &memory).unwrap();
    assert_eq!(encoder.gpu(), "Double GPU 1");
    // Memory of another GPU.
    let other = upload(0, 0);
    let error = encode(&mut encoder, &nv12(&other), 0).unwrap_err();
    assert_tells(&error, &["NV12 128x96", "another context"]);
    assert_eq!(indices(&encode(&mut encoder, &nv12(&memory), 1).unwrap()), [1]);
    drop((encoder, memory, other));
    assert_clean();
}

#[test]
fn an_address_that_comes_again_as_other_memory_is_registered_anew() {
    if !on_the_double(
        "device::an_address_that_comes_again_as_other_memory_is_registered_anew",
        "",
    ) {
        return;
    }
    let keep = upload(0, 0);
    let mut encoder = open_for(&config(), &keep).unwrap();
    let mut again = false;
    let mut last = 0;
    for number in 0..200 {
        let memory = upload(0, number);
        again |= memory.pointer == last;
        last = memory.pointer;
        assert_eq!(
            indices(&encode(&mut encoder, &nv12(&memory), number).unwrap()),
            [number]
        );
    }
    assert!(again, "the allocator never gave an address again");
    assert!(objects() < 150, "what is gone does not stay registered: {}", objects());
    drop((encoder, keep));
    assert_clean();
}

#[test]
fn memory_that_is_not_of_cuda_is_refused() {
    if !on_the_double("device::memory_that_is_not_of_cuda_is_refused", "") {
        return;
    }
    let host = [0u8; 64];
    // SAFETY: what is no memory of CUDA is refused.
    let error = unsafe { Encoder::open_for(&config(), host.as_ptr().addr() as u64) }
        .err()
        .unwrap();
    assert_tells(&error, &["cuPointerGetAttribute", "CUDA_ERROR_INVALID_VALUE"]);
    assert_clean();
}

#[test]
fn memory_that_is_too_small_is_refused() {
    if !on_the_double("device::memory_that_is_too_small_is_refused", "") {
        return;
    }
    let memory = upload(0, 0);
    let mut encoder = open_for(&config(), &memory).unwrap();
    let [luma, chroma] = nv12(&memory);
    let behind = DevicePlane {
        pointer: chroma.pointer + 1024,
        ..chroma
    };
    let narrow = DevicePlane { stride: 64, ..luma };
    for (planes, part) in [
        (vec![luma, behind], "plane 1 has"),
        (vec![narrow, chroma], "plane 0 has"),
        (vec![luma], "1 planes, not 2"),
    ] {
        assert_tells(&encode(&mut encoder, &planes, 0).unwrap_err(), &[part]);
    }
    drop((encoder, memory));
    assert_clean();
}
