use super::*;

const PNG: &[u8] = include_bytes!("../tests/images/alpha.png");
const GREY: &[u8] = include_bytes!("../tests/images/grey.png");
const PALETTE: &[u8] = include_bytes!("../tests/images/palette.png");
const JPEG: &[u8] = include_bytes!("../tests/images/plain.jpg");
const WEBP: &[u8] = include_bytes!("../tests/images/alpha.webp");
const PLAIN_WEBP: &[u8] = include_bytes!("../tests/images/plain.webp");

fn pixel(image: &Image, x: usize, y: usize) -> [u8; 4] {
    let at = (y * image.width as usize + x) * 4;
    image.pixels[at..at + 4].try_into().unwrap()
}

#[test]
fn every_kind_is_read_with_its_alpha() {
    for data in [PNG, WEBP] {
        let image = decode(data, MAX_PIXELS).unwrap();
        assert_eq!((image.width, image.height), (12, 7));
        assert_eq!(pixel(&image, 3, 2), [60, 60, 128, 255]);
        assert_eq!(pixel(&image, 11, 6), [220, 180, 128, 100]);
    }
}

#[test]
fn kinds_without_alpha_are_opaque() {
    for data in [GREY, PALETTE, JPEG, PLAIN_WEBP] {
        let image = decode(data, MAX_PIXELS).unwrap();
        assert_eq!(image.pixels.len(), 12 * 7 * 4);
        assert!(image.pixels.chunks_exact(4).all(|pixel| pixel[3] == 255));
    }
    let [r, g, b, _] = pixel(&decode(JPEG, MAX_PIXELS).unwrap(), 6, 3);
    assert!(r > 190 && g < 50 && b < 50, "{r} {g} {b}");
}

#[test]
fn other_data_is_refused() {
    for data in [&b""[..], b"GIF89a", b"<svg/>", b"RIFF\0\0\0\0WAVE", b"\x89PN"] {
        assert!(matches!(decode(data, MAX_PIXELS), Err(ImageError::Unknown)), "{data:?}");
    }
}

#[test]
fn cut_off_and_damaged_pictures_are_errors_or_pictures_but_never_a_panic() {
    for whole in [PNG, GREY, PALETTE, JPEG, WEBP, PLAIN_WEBP] {
        for length in 0..whole.len() {
            if let Ok(image) = decode(&whole[..length], MAX_PIXELS) {
                assert_eq!(image.pixels.len(), 12 * 7 * 4);
            }
            let mut damaged = whole.to_vec();
            damaged[length] ^= 0x5a;
            if let Ok(image) = decode(&damaged, MAX_PIXELS) {
                assert_eq!(image.pixels.len(), image.width as usize * image.height as usize * 4);
            }
        }
    }
}

#[test]
fn a_picture_that_says_it_is_huge_is_refused_unread() {
    let mut huge = PNG.to_vec();
    huge[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    huge[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    // The header's checksum, so that the size is what is wrong.
    let crc = crc32(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = decode(&huge, MAX_PIXELS).unwrap_err();
    assert!(
        matches!(
            error,
            ImageError::TooLarge {
                width: 60_000,
                height: 60_000,
                most: MAX_PIXELS,
            }
        ),
        "{error}"
    );
}

/// PNG, annex D.
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
    })
}
