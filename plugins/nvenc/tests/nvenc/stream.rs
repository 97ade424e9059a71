//! Frames in system memory.

use super::*;

#[test]
fn each_codec_gives_a_packet_for_each_frame_in_order() {
    if !on_the_double("stream::each_codec_gives_a_packet_for_each_frame_in_order", "") {
        return;
    }
    for codec in Codec::ALL {
        let mut encoder = Encoder::open(&Config { codec, ..config() }).unwrap();
        for number in 0..10 {
            let packets = encode(&mut encoder, number, false).unwrap();
            assert_eq!(indices(&packets), [number], "{codec}");
            assert_eq!(packets[0].key, number == 0, "{codec}");
        }
        assert_eq!(encoder.flush().unwrap(), []);
    }
    assert_clean();
}

#[test]
fn each_format_is_read_with_any_stride() {
    if !on_the_double("stream::each_format_is_read_with_any_stride", "") {
        return;
    }
    for format in [
        Format::Nv12,
        Format::I420,
        Format::Yv12,
        Format::Bgra,
        Format::Rgba,
        Format::P010,
    ] {
        let codec = if format.ten_bit() { Codec::H265 } else { Codec::H264 };
        let config = Config {
            codec,
            format,
            ..config()
        };
        let tight = frame(format, 7);
        let padded: Vec<_> = tight
            .iter()
            .map(|(data, row)| {
                let rows = data.chunks(*row).map(|row| [row, &[99; 13]].concat());
                (rows.collect::<Vec<_>>().concat(), row + 13)
            })
            .collect();
        let once = |frame| {
            Encoder::open(&config)
                .unwrap()
                .encode(&planes(frame), 0, false)
                .unwrap()
        };
        assert_eq!(once(&tight), once(&padded), "{format}");
        assert_ne!(once(&tight), once(&frame(format, 8)), "{format}");
    }
    assert_clean();
}

#[test]
fn planes_are_not_mixed_up() {
    if !on_the_double("stream::planes_are_not_mixed_up", "") {
        return;
    }
    let once = |format, frame: &[(Vec<u8>, usize)]| {
        let config = Config { format, ..config() };
        Encoder::open(&config)
            .unwrap()
            .encode(&planes(frame), 0, false)
            .unwrap()
    };
    let (luma, u, v) = ((vec![60; WIDTH * HEIGHT], WIDTH), 90u8, 200u8);
    let chroma = |value| (vec![value; WIDTH * HEIGHT / 4], WIDTH / 2);
    let pairs = ([u, v].repeat(WIDTH * HEIGHT / 4), WIDTH);
    let i420 = once(Format::I420, &[luma.clone(), chroma(u), chroma(v)]);
    assert_eq!(i420, once(Format::Yv12, &[luma.clone(), chroma(v), chroma(u)]));
    assert_eq!(i420, once(Format::Nv12, &[luma.clone(), pairs]));
    assert_ne!(i420, once(Format::I420, &[luma, chroma(v), chroma(u)]));
    let pixels = |bytes: [u8; 4]| [(bytes.repeat(WIDTH * HEIGHT), 4 * WIDTH)];
    let bgra = once(Format::Bgra, &pixels([10, 20, 200, 255]));
    assert_eq!(bgra, once(Format::Rgba, &pixels([200, 20, 10, 255])));
    assert_ne!(bgra, once(Format::Rgba, &pixels([10, 20, 200, 255])));
}

#[test]
fn key_frames_come_by_the_gop_and_where_asked_for() {
    if !on_the_double("stream::key_frames_come_by_the_gop_and_where_asked_for", "") {
        return;
    }
    let mut encoder = Encoder::open(&Config { gop: 5, ..config() }).unwrap();
    assert_eq!(keys(&all(&mut encoder, 0..12)), [0, 5, 10]);
    let mut encoder = Encoder::open(&Config { gop: 0, ..config() }).unwrap();
    let packets: Vec<_> = (0..80).flat_map(|n| encode(&mut encoder, n, n == 7).unwrap()).collect();
    assert_eq!(keys(&packets), [0, 7]);
}

#[test]
fn frames_that_are_held_back_come_in_the_order_of_decoding_and_all_at_the_end() {
    if !on_the_double(
        "stream::frames_that_are_held_back_come_in_the_order_of_decoding_and_all_at_the_end",
        "",
    ) {
        return;
    }
    for (b_frames, tuning) in [(2, Tuning::LowLatency), (0, Tuning::Quality), (3, Tuning::Quality)] {
        let config = Config {
            b_frames,
            tuning,
            ..config()
        };
        let mut encoder = Encoder::open(&config).unwrap();
        let mut packets = Vec::new();
        for number in 0..20 {
            packets.extend(encode(&mut encoder, number, false).unwrap());
            let held = number as usize + 1 - packets.len();
            assert!(held <= encoder.delay(), "{held} of {}", encoder.delay());
        }
        assert!(packets.len() < 20, "{b_frames} {tuning:?}");
        packets.extend(encoder.flush().unwrap());
        // A key frame, then each group with the frame first that the others refer to.
        let group = u64::from(b_frames) + 1;
        let groups = (0..20).step_by(group as usize).map(|at| (at + 1, (at + group).min(19)));
        let coded = groups
            .filter(|(first, last)| first <= last)
            .flat_map(|(first, last)| [last].into_iter().chain(first..last));
        assert_eq!(indices(&packets), [0].into_iter().chain(coded).collect::<Vec<_>>());
    }
    assert_clean();
}

#[test]
fn after_a_flush_frames_go_on_with_a_key_frame() {
    if !on_the_double("stream::after_a_flush_frames_go_on_with_a_key_frame", "") {
        return;
    }
    let mut encoder = Encoder::open(&config()).unwrap();
    assert_eq!(encoder.flush().unwrap(), [], "nothing was given yet");
    all(&mut encoder, 0..3);
    assert_eq!(keys(&all(&mut encoder, 3..6)), [3]);
    assert_eq!(encoder.flush().unwrap(), []);
}

#[test]
fn dropping_with_frames_under_way_gives_all_back() {
    if !on_the_double("stream::dropping_with_frames_under_way_gives_all_back", "") {
        return;
    }
    let config = Config {
        b_frames: 2,
        tuning: Tuning::Quality,
        ..config()
    };
    for frames in [0, 1, 4, 9] {
        let mut encoder = Encoder::open(&config).unwrap();
        for number in 0..frames {
            encode(&mut encoder, number, false).unwrap();
        }
        drop(encoder);
        assert_clean();
    }
}

#[test]
fn quality_and_bit_rate_are_heard() {
    if !on_the_double("stream::quality_and_bit_rate_are_heard", "") {
        return;
    }
    let size = |rate| {
        let mut encoder = Encoder::open(&Config { rate, ..config() }).unwrap();
        let packets: Vec<_> = (0..20)
            .flat_map(|n| encoder.encode(&planes(&noise(n)), n, false).unwrap())
            .collect();
        bytes(&packets)
    };
    let (good, bad) = (size(CONST_QP(90)), size(CONST_QP(10)));
    assert!(good > 3 * bad, "{good} {bad}");
    let (high, low) = (
        size(RateControl::Cbr { bitrate: 2_000_000 }),
        size(RateControl::Cbr { bitrate: 200_000 }),
    );
    assert!(high > 2 * low, "{high} {low}");
}

#[test]
fn the_bit_rate_changes_in_mid_stream_without_a_key_frame() {
    if !on_the_double("stream::the_bit_rate_changes_in_mid_stream_without_a_key_frame", "") {
        return;
    }
    let config = Config {
        rate: RateControl::Cbr { bitrate: 2_000_000 },
        ..config()
    };
    let mut encoder = Encoder::open(&config).unwrap();
    let some = |encoder: &mut Encoder, numbers: std::ops::Range<u64>| -> Vec<Packet> {
        numbers
            .flat_map(|n| encoder.encode(&planes(&noise(n)), n, false).unwrap())
            .collect()
    };
    some(&mut encoder, 0..10);
    let before = some(&mut encoder, 10..30);
    encoder.set_rate(RateControl::Cbr { bitrate: 200_000 }).unwrap();
    some(&mut encoder, 30..40);
    let after = some(&mut encoder, 40..60);
    assert!(
        bytes(&before) > 2 * bytes(&after),
        "{} {}",
        bytes(&before),
        bytes(&after)
    );
    assert_eq!(keys(&after), [0; 0]);
    assert_eq!(encoder.config().rate, RateControl::Cbr { bitrate: 200_000 });
}

#[test]
fn wrong_changes_of_the_rate_are_refused_and_change_nothing() {
    if !on_the_double(
        "stream::wrong_changes_of_the_rate_are_refused_and_change_nothing",
        "live-bitrate=off",
    ) {
        return;
    }
    let mut encoder = Encoder::open(&config()).unwrap();
    let rate = encoder.config().rate;
    let mut refused = |rate, part| assert_tells(&encoder.set_rate(rate).unwrap_err(), &[part]);
    refused(
        RateControl::Vbr {
            bitrate: 0,
            max_bitrate: 0,
        },
        "bit rate is 0",
    );
    refused(CONST_QP(50), "the kind of rate control");
    refused(
        RateControl::Vbr {
            bitrate: 100_000,
            max_bitrate: 0,
        },
        "changes in mid-stream",
    );
    assert_eq!(encoder.config().rate, rate);
    assert_eq!(all(&mut encoder, 0..3).len(), 3);
}

#[test]
fn headers_are_those_of_the_stream() {
    if !on_the_double("stream::headers_are_those_of_the_stream", "") {
        return;
    }
    for (codec, first) in [
        (Codec::H264, [0, 0, 0, 1, 0x67].as_slice()),
        (Codec::H265, &[0, 0, 0, 1, 0x40]),
        (Codec::Av1, &[0x0a]),
    ] {
        let mut encoder = Encoder::open(&Config { codec, ..config() }).unwrap();
        let headers = encoder.headers().unwrap();
        assert!(
            headers.starts_with(first) && headers.len() < 200,
            "{codec}: {headers:x?}"
        );
    }
}

#[test]
fn an_encoder_may_move_to_another_thread() {
    if !on_the_double("stream::an_encoder_may_move_to_another_thread", "") {
        return;
    }
    let mut encoder = Encoder::open(&config()).unwrap();
    encode(&mut encoder, 0, false).unwrap();
    let packets = std::thread::spawn(move || all(&mut encoder, 1..5)).join().unwrap();
    assert_eq!(indices(&packets), [1, 2, 3, 4]);
    assert_clean();
}
