#![no_main]
//! Any bytes on the socket, in two pieces, towards either side.

use libfuzzer_sys::fuzz_target;
use nunchi::ipc::{Decoder, FromRunner, ToRunner};

fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.len() / 2;
    let (mut up, mut down) = (Decoder::default(), Decoder::default());
    for piece in [&bytes[..middle], &bytes[middle..]] {
        up.push(piece);
        down.push(piece);
        while let Ok(Some(_)) = up.take::<FromRunner>() {}
        while let Ok(Some(_)) = down.take::<ToRunner>() {}
    }
});
