//! The index of an MP4 moved in front of the media, so that a player can begin before it has the whole file.
//!
//! ISO/IEC 14496-12: boxes are a 32-bit size and a type of four letters; size 1 has 64 bits behind the type, size 0 goes to the end. The chunk
//! offsets in `stco` (32 bits) and `co64` (64 bits) count from the start of the file, so all grow by the size of what moves in front.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Larger indexes are left where they are.
const MAX_MOOV: u64 = 1 << 30;
/// Boxes on the way to the chunk offsets.
const CONTAINERS: [&[u8; 4]; 5] = [b"moov", b"trak", b"mdia", b"minf", b"stbl"];

struct Part {
    kind: [u8; 4],
    start: u64,
    size: u64,
}

/// Copies the file with the index in front. False, and nothing is written, if it is there already or cannot be moved.
pub fn copy(from: &mut File, to: &mut File) -> io::Result<bool> {
    let parts = parts(from)?;
    let position = |kind: &[u8; 4]| parts.iter().position(|part| part.kind == *kind);
    let (Some(index), Some(media)) = (position(b"moov"), position(b"mdat")) else {
        return Ok(false);
    };
    if index < media || parts[index].size > MAX_MOOV {
        return Ok(false);
    }
    let mut moov = Vec::new();
    from.seek(SeekFrom::Start(parts[index].start))?;
    Read::by_ref(from).take(parts[index].size).read_to_end(&mut moov)?;
    if !shifted(&mut moov, parts[index].size, 0) {
        return Ok(false);
    }
    let mut copied = |part: &Part, to: &mut File| -> io::Result<()> {
        from.seek(SeekFrom::Start(part.start))?;
        let copied = io::copy(&mut from.take(part.size), to)?;
        if copied == part.size {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file ends within a box",
            ))
        }
    };
    // What was in front of the media stays so.
    for part in &parts[..media] {
        copied(part, to)?;
    }
    to.write_all(&moov)?;
    for (at, part) in parts.iter().enumerate().skip(media) {
        if at != index {
            copied(part, to)?;
        }
    }
    Ok(true)
}

fn parts(file: &mut File) -> io::Result<Vec<Part>> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut parts, mut start) = (Vec::new(), 0);
    while start + 8 <= end {
        file.seek(SeekFrom::Start(start))?;
        let mut head = [0; 16];
        file.read_exact(&mut head[..8])?;
        let short = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        let size = match short {
            0 => end - start,
            1 => {
                file.read_exact(&mut head[8..])?;
                u64::from_be_bytes(std::array::from_fn(|at| head[8 + at]))
            }
            size => size,
        };
        if size < 8 || size > end - start {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a box of {size} bytes at {start}"),
            ));
        }
        parts.push(Part {
            kind: std::array::from_fn(|at| head[4 + at]),
            start,
            size,
        });
        start += size;
    }
    Ok(parts)
}

/// Adds `by` to all chunk offsets in the boxes. False if one does not fit any more, or the boxes are none.
fn shifted(boxes: &mut [u8], by: u64, depth: usize) -> bool {
    let mut rest = boxes;
    while rest.len() >= 8 {
        let size = u32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        if size < 8 || size > rest.len() {
            return false;
        }
        let (this, next) = rest.split_at_mut(size);
        let (head, body) = this.split_at_mut(8);
        let fits = match &head[4..] {
            b"stco" => offsets::<4>(body, by),
            b"co64" => offsets::<8>(body, by),
            kind if CONTAINERS.iter().any(|container| *container == kind) => {
                depth < CONTAINERS.len() && shifted(body, by, depth + 1)
            }
            _ => true,
        };
        if !fits {
            return false;
        }
        rest = next;
    }
    rest.is_empty()
}

/// The offsets behind version, flags and count, of so many bytes each.
fn offsets<const BYTES: usize>(body: &mut [u8], by: u64) -> bool {
    let Some((head, offsets)) = body.split_at_mut_checked(8) else {
        return false;
    };
    let count = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
    if offsets.len() / BYTES < count {
        return false;
    }
    offsets.chunks_exact_mut(BYTES).take(count).all(|offset| {
        let old = offset.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let Some(new) = old
            .checked_add(by)
            .filter(|new| BYTES == 8 || *new <= u64::from(u32::MAX))
        else {
            return false;
        };
        offset.copy_from_slice(&new.to_be_bytes()[8 - BYTES..]);
        true
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(body);
        out
    }

    fn chunks(kind: &[u8; 4], offsets: &[u64]) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend((offsets.len() as u32).to_be_bytes());
        for offset in offsets {
            let bytes = offset.to_be_bytes();
            body.extend(if kind == b"stco" { &bytes[4..] } else { &bytes[..] });
        }
        part(kind, &body)
    }

    fn moov(tables: &[u8]) -> Vec<u8> {
        let stbl = part(b"stbl", tables);
        part(b"moov", &part(b"trak", &part(b"mdia", &part(b"minf", &stbl))))
    }

    fn copied(content: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let (mut from, mut to) = (tempfile::tempfile()?, tempfile::tempfile()?);
        from.write_all(content)?;
        let done = copy(&mut from, &mut to)?;
        let mut out = Vec::new();
        to.rewind()?;
        to.read_to_end(&mut out)?;
        assert!(done || out.is_empty());
        Ok(done.then_some(out))
    }

    #[test]
    fn the_index_goes_in_front_and_points_to_the_same_bytes() {
        let head = part(b"ftyp", b"isom");
        let media = part(b"mdat", b"0123456789");
        let first = (head.len() + 8) as u64;
        for kind in [b"stco", b"co64"] {
            let index = moov(&chunks(kind, &[first, first + 5]));
            let file = [head.clone(), media.clone(), index.clone(), part(b"free", b"x")].concat();
            let out = copied(&file).unwrap().unwrap();
            let moved = [first, first + 5].map(|offset| offset + index.len() as u64);
            let expected = [
                head.clone(),
                moov(&chunks(kind, &moved)),
                media.clone(),
                part(b"free", b"x"),
            ]
            .concat();
            assert_eq!(out, expected);
            assert_eq!(out[moved[1] as usize], b'5');
        }
    }

    #[test]
    fn what_needs_no_move_or_cannot_be_moved_stays() {
        let (head, media) = (part(b"ftyp", b"isom"), part(b"mdat", b"01"));
        let good = moov(&chunks(b"stco", &[24]));
        assert_eq!(
            copied(&[head.clone(), good.clone(), media.clone()].concat()).unwrap(),
            None
        );
        assert_eq!(copied(&[head.clone(), media.clone()].concat()).unwrap(), None);
        assert_eq!(copied(&good).unwrap(), None);
        assert_eq!(copied(b"").unwrap(), None);
        let far = moov(&chunks(b"stco", &[u64::from(u32::MAX) - 3]));
        assert_eq!(copied(&[media.clone(), far].concat()).unwrap(), None);
        let mut short = chunks(b"stco", &[1, 2]);
        short[15] = 9;
        assert_eq!(copied(&[media.clone(), moov(&short)].concat()).unwrap(), None);
        assert_eq!(copied(&[media, moov(b"1234567")].concat()).unwrap(), None);
    }

    #[test]
    fn boxes_that_lie_about_their_size_are_an_error() {
        let good = [part(b"mdat", b"01"), moov(&chunks(b"stco", &[8]))].concat();
        for size in [3_u32, 7, 1, 4_000_000_000] {
            let mut bad = good.clone();
            bad[..4].copy_from_slice(&size.to_be_bytes());
            assert!(copied(&bad).is_err(), "{size}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in prop::sample::select(vec![*b"moov", *b"stbl", *b"stco", *b"co64"])) {
            let file = [part(b"mdat", b"0"), part(b"moov", &part(&kind, &bytes))].concat();
            let _ = copied(&file);
            let _ = copied(&bytes);
        }
    }
}
