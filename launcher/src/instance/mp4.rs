//! What the head of an MP4 says of time (ISO/IEC 14496-12).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Longest `moov` that is read; one of many hours has some megabytes.
const MOST: u64 = 256 * 1024 * 1024;

/// Seconds from the beginning of a recording to its first picture, where the sound begins before it; 0 in a file without such a gap.
///
/// # Errors
/// The file cannot be read, or has no `moov`, as one that was cut off before its end.
pub fn first_picture(path: &Path) -> io::Result<f64> {
    let moov = moov(&mut File::open(path)?)?;
    let offset = boxes(&moov)
        .filter(|(kind, _)| kind == b"trak")
        .map(|(_, trak)| trak)
        .find(|trak| handler(trak).is_some_and(|kind| kind == *b"vide"))
        .and_then(|trak| empty_edit(trak, movie_timescale(&moov)?));
    Ok(offset.unwrap_or(0.0))
}

fn moov(file: &mut File) -> io::Result<Vec<u8>> {
    let end = file.metadata()?.len();
    let mut at = 0;
    while at + 8 <= end {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        let count = file.read(&mut head)?;
        let (size, kind, header) = head_of(&head[..count]).ok_or(io::ErrorKind::InvalidData)?;
        // 0: the last box, up to the end.
        let size = if size == 0 { end - at } else { size };
        if size < header {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if kind == *b"moov" {
            let length = size - header;
            if length > MOST || at + size > end {
                return Err(io::ErrorKind::InvalidData.into());
            }
            file.seek(SeekFrom::Start(at + header))?;
            let mut bytes = vec![0; length as usize];
            file.read_exact(&mut bytes)?;
            return Ok(bytes);
        }
        at = at.saturating_add(size);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it has no moov"))
}

/// Size, kind and length of a box's head.
fn head_of(bytes: &[u8]) -> Option<(u64, [u8; 4], u64)> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?);
    let kind = *bytes.get(4..)?.first_chunk()?;
    match size {
        1 => Some((u64::from_be_bytes(*bytes.get(8..)?.first_chunk()?), kind, 16)),
        size => Some((u64::from(size), kind, 8)),
    }
}

/// The boxes in a box, as far as they are whole.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (size, kind, header) = head_of(bytes)?;
        let size = usize::try_from(size).ok()?;
        let body = bytes.get(header as usize..size)?;
        bytes = &bytes[size..];
        Some((kind, body))
    })
}

fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, name| {
        boxes(bytes).find(|(kind, _)| kind == *name).map(|(_, body)| body)
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn handler(trak: &[u8]) -> Option<[u8; 4]> {
    find(trak, &[b"mdia", b"hdlr"])?.get(8..)?.first_chunk().copied()
}

/// Units in a second of the times of edits.
fn movie_timescale(moov: &[u8]) -> Option<u32> {
    let head = find(moov, &[b"mvhd"])?;
    // Behind creation and modification, of 4 bytes each or of 8.
    let at = if head.first()? == &1 { 20 } else { 12 };
    u32_at(head, at).filter(|scale| *scale > 0)
}

/// Seconds in which a track shows nothing yet.
fn empty_edit(trak: &[u8], timescale: u32) -> Option<f64> {
    let list = find(trak, &[b"edts", b"elst"])?;
    if u32_at(list, 4)? == 0 {
        return None;
    }
    let (duration, media_time) = if list.first()? == &1 {
        (u64_at(list, 8)?, u64_at(list, 16)? as i64)
    } else {
        (u64::from(u32_at(list, 8)?), i64::from(u32_at(list, 12)? as i32))
    };
    (media_time == -1).then(|| duration as f64 / f64::from(timescale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bx(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(body);
        out
    }

    fn movie(handler: &[u8; 4], edit: Option<(u32, i32)>) -> Vec<u8> {
        let mvhd = bx(b"mvhd", &[&[0; 12][..], &1000u32.to_be_bytes(), &[0; 20]].concat());
        let mdia = bx(b"mdia", &bx(b"hdlr", &[&[0; 8][..], handler, &[0; 12]].concat()));
        let elst = edit.map(|(duration, time)| {
            let entry = [duration.to_be_bytes(), time.to_be_bytes(), [0, 1, 0, 0]].concat();
            bx(b"edts", &bx(b"elst", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &entry].concat()))
        });
        let trak = bx(b"trak", &[elst.unwrap_or_default(), mdia].concat());
        [bx(b"ftyp", b"isom"), bx(b"moov", &[mvhd, trak].concat())].concat()
    }

    fn read(bytes: &[u8]) -> io::Result<f64> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), bytes)?;
        first_picture(file.path())
    }

    #[test]
    fn the_gap_before_the_picture_is_told() {
        assert_eq!(read(&movie(b"vide", Some((250, -1)))).unwrap(), 0.25);
        assert_eq!(read(&movie(b"vide", Some((250, 0)))).unwrap(), 0.0);
        assert_eq!(read(&movie(b"vide", None)).unwrap(), 0.0);
        assert_eq!(read(&movie(b"soun", Some((250, -1)))).unwrap(), 0.0);
    }

    #[test]
    fn what_is_no_recording_is_an_error() {
        let whole = movie(b"vide", Some((250, -1)));
        for bytes in [
            &b""[..],
            b"no film",
            &whole[..whole.len() - 1],
            &bx(b"ftyp", b"isom"),
            &[0, 0, 0, 3, 1, 1, 1, 1],
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn damage_is_no_panic(at in 0usize..200, byte: u8, cut in 0usize..200) {
            let mut bytes = movie(b"vide", Some((250, -1)));
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = read(&bytes);
        }
    }
}
