//! The encoder on the double of NVIDIA's driver.

mod device;
#[path = "../common/double.rs"]
mod double;
mod faults;
mod stream;

use double::{assert_clean, on_the_double};
use nunchi_nvenc::{Codec, Config, Encoder, Error, Format, Packet, Plane, RateControl, Tuning};

const WIDTH: usize = 128;
const HEIGHT: usize = 96;

/// A video of H.264 in which no frame is held back.
fn config() -> Config {
    Config {
        tuning: Tuning::LowLatency,
        ..Config::new(Codec::H264, Format::Nv12, WIDTH as u32, HEIGHT as u32)
    }
}

/// A frame whose pixels depend on its number, tightly packed: bytes and stride of each plane.
fn frame(format: Format, number: u64) -> Vec<(Vec<u8>, usize)> {
    let plane = |row: usize, rows: usize| {
        let pixel = |at: usize| ((at % row + 3 * (at / row)) as u64 + 5 * number) as u8;
        ((0..row * rows).map(pixel).collect(), row)
    };
    match format {
        Format::Nv12 => vec![plane(WIDTH, HEIGHT), plane(WIDTH, HEIGHT / 2)],
        Format::P010 => vec![plane(2 * WIDTH, HEIGHT), plane(2 * WIDTH, HEIGHT / 2)],
        Format::I420 | Format::Yv12 => {
            let chroma = plane(WIDTH / 2, HEIGHT / 2);
            vec![plane(WIDTH, HEIGHT), chroma.clone(), chroma]
        }
        Format::Bgra | Format::Rgba => vec![plane(4 * WIDTH, HEIGHT)],
    }
}

/// Noise, which costs bits.
fn noise(number: u64) -> Vec<(Vec<u8>, usize)> {
    let mut seed = number + 1;
    let mut next = move || {
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as u8
    };
    let luma = (0..WIDTH * HEIGHT).map(|_| next()).collect();
    vec![(luma, WIDTH), (vec![128; WIDTH * HEIGHT / 2], WIDTH)]
}

fn planes(frame: &[(Vec<u8>, usize)]) -> Vec<Plane<'_>> {
    frame
        .iter()
        .map(|(data, stride)| Plane { data, stride: *stride })
        .collect()
}

fn encode(encoder: &mut Encoder, number: u64, key: bool) -> Result<Vec<Packet>, Error> {
    let frame = frame(encoder.config().format, number);
    encoder.encode(&planes(&frame), number, key)
}

/// Encodes frames and flushes.
#[track_caller]
fn all(encoder: &mut Encoder, numbers: std::ops::Range<u64>) -> Vec<Packet> {
    let mut packets: Vec<_> = numbers
        .flat_map(|number| encode(encoder, number, false).unwrap())
        .collect();
    packets.extend(encoder.flush().unwrap());
    packets
}

fn indices(packets: &[Packet]) -> Vec<u64> {
    packets.iter().map(|packet| packet.index).collect()
}

fn keys(packets: &[Packet]) -> Vec<u64> {
    let keys = packets.iter().filter(|packet| packet.key);
    keys.map(|packet| packet.index).collect()
}

fn bytes(packets: &[Packet]) -> usize {
    packets.iter().map(|packet| packet.data.len()).sum()
}

#[track_caller]
fn refused(config: &Config) -> Error {
    match Encoder::open(config) {
        Ok(_) => panic!("{config:?} was taken"),
        Err(error) => error,
    }
}

#[track_caller]
fn assert_tells(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "no '{part}' in: {text}");
    }
}

const CONST_QP: fn(u32) -> RateControl = |quality| RateControl::ConstQp { quality };
