//! The contract between the server and its picture worker: length as 4 bytes, id as 8 bytes, both big-endian, then the payload. The length
//! is that of id and payload.
//!
//! A request's payload is the picture. An answer's is a [`Kind`] and its text: JSON for [`Kind::Read`], else the reason.

/// Longest payload: a picture, or an answer with all its faces.
pub const MOST: usize = super::MOST_BYTES + 1024;
const ID: usize = 8;

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The networks are loaded; with id 0, before any answer.
    Ready,
    /// The networks cannot be loaded; with id 0, and then the worker ends.
    Unavailable,
    Read,
    /// It is in no known format.
    NotAPicture,
    /// It is damaged or too large.
    Unreadable,
    /// The networks failed on it.
    Failed,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Ready,
        Self::Unavailable,
        Self::Read,
        Self::NotAPicture,
        Self::Unreadable,
        Self::Failed,
    ];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

/// The bytes before a payload of this length.
pub fn head(id: u64, payload: usize) -> [u8; 12] {
    let mut head = [0; 12];
    let length = u32::try_from(ID + payload).unwrap_or(u32::MAX);
    head[..4].copy_from_slice(&length.to_be_bytes());
    head[4..].copy_from_slice(&id.to_be_bytes());
    head
}

/// An answer as bytes.
pub fn answer(id: u64, kind: Kind, text: &str) -> Vec<u8> {
    let mut bytes = head(id, 1 + text.len()).to_vec();
    bytes.push(kind as u8);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A payload's kind and text; `None` for what is no answer.
pub fn read_answer(payload: &[u8]) -> Option<(Kind, &str)> {
    let (&kind, text) = payload.split_first()?;
    Some((Kind::of(kind)?, std::str::from_utf8(text).ok()?))
}

/// Why a stream cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes, which none has")]
pub struct BadLength(usize);

/// Cuts a stream of bytes into payloads, however it arrives.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        // What was taken goes when more comes, not with each payload.
        self.buffer.drain(..std::mem::take(&mut self.start));
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole payload and its id; `None` until more bytes come. After an error the stream is lost.
    pub fn take(&mut self) -> Result<Option<(u64, &[u8])>, BadLength> {
        let rest = &self.buffer[self.start..];
        let Some((head, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if !(ID..=ID + MOST).contains(&length) {
            return Err(BadLength(length));
        }
        let Some((id, _)) = rest.split_first_chunk::<ID>() else {
            return Ok(None);
        };
        let Some(payload) = rest.get(ID..length) else {
            return Ok(None);
        };
        self.start += 4 + length;
        Ok(Some((u64::from_be_bytes(*id), payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn payloads_survive_any_cut(
            payloads in prop::collection::vec((any::<u64>(), prop::collection::vec(any::<u8>(), 0..300)), 0..6),
            cut in 1usize..70,
        ) {
            let mut bytes = Vec::new();
            for (id, payload) in &payloads {
                bytes.extend(head(*id, payload.len()));
                bytes.extend(payload);
            }
            let mut decoder = Decoder::default();
            let mut read = Vec::new();
            for chunk in bytes.chunks(cut) {
                decoder.push(chunk);
                while let Some((id, payload)) = decoder.take().unwrap() {
                    read.push((id, payload.to_vec()));
                }
            }
            prop_assert_eq!(read, payloads);
        }

        #[test]
        fn rubbish_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some((_, payload))) = decoder.take() {
                let _ = read_answer(payload);
            }
        }
    }

    #[test]
    fn lengths_that_none_has_are_refused_before_the_bytes_come() {
        for length in [0u32, 7, u32::MAX, MOST as u32 + 9] {
            let mut decoder = Decoder::default();
            decoder.push(&length.to_be_bytes());
            assert!(decoder.take().is_err(), "{length}");
        }
    }

    #[test]
    fn answers_are_read_back() {
        for kind in Kind::ALL {
            let mut decoder = Decoder::default();
            decoder.push(&answer(7, kind, "{\"ä\":1}"));
            let (id, payload) = decoder.take().unwrap().unwrap();
            assert_eq!((id, read_answer(payload)), (7, Some((kind, "{\"ä\":1}"))));
        }
        for payload in [&b""[..], b"\x09x", b"\x02\xff"] {
            assert_eq!(read_answer(payload), None);
        }
    }
}
