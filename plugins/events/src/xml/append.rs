//! Appending inside a root element so that a kill at any moment leaves a well-formed document.
//!
//! The document always ends with its closing tags. To append a record, the closing tags are overwritten by `record + closing tags`.
//! A process that dies (SIGKILL, crash, out of memory) can leave a write half done, but Linux copies a buffered write page by page and
//! looks for a fatal signal only between two pages (`generic_perform_write`, `iomap_write_iter`). So:
//!
//! - **A write within one 4096-byte page of the file is all or nothing.** (Larger page sizes are multiples, so the rule holds there.)
//!   The bytes go out from a page-aligned buffer, because the other way for the kernel to copy half is a source page that is missing.
//! - When record and closing tags fit into the page that holds the closing tags, that is one write, the usual case.
//! - Otherwise the record is **staged** in a processing instruction, which may hold anything but `?>` (escaped text has no bare `>`
//!   after a `?`, see [`Appender::append`]). With `·` for a space, each line one write and each result well-formed:
//!
//! ```text
//! …</root>                                  before
//! …</root>·····························     1. spaces to the end of the record's place (any part of them is fine)
//! …</root>·····························<?p?>   2. the instruction's end, by itself a complete instruction after the root
//! …</root><?p··························<?p?>   3. now all in between is inside an instruction
//! …</root><?p·<frame…>…</frame></root>·<?p?>   4. the record and the new closing tags, in any number of pieces
//! …···········<frame…>…</frame></root>·<?p?>   5. old closing tags and instruction become spaces: the record is in
//! …···········<frame…>…</frame></root>         6. the rest is cut off
//! ```
//!
//! Writes 2, 3 and 5 are within one page: closing tags always lie in one page together with room for `<?p·` after them.
//! Spaces between elements are invisible to parsers. A record may be of any length.
//!
//! A write that fails half way (a full disk) is taken back at once. What is not covered:
//!
//! - a kill in the moment between such a failure and its taking back;
//! - another process that reads while a page is being copied: it may see a part of the page, and reads again;
//! - a power loss, after which pages may be missing in any combination.
//!
//! For these, [`read`](crate::xml::read) gives what comes before the damage.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

/// The unit in which the kernel copies; see the module's text.
pub(super) const PAGE: u64 = 4096;
/// Opens the staging instruction. The space is needed: a target must be followed by one.
const STAGE: &[u8] = b"<?p ";
/// Closes it, and is complete by itself.
const STAGE_END: &[u8] = b"<?p?>";
const SPACES: &[u8] = &[b' '; PAGE as usize];
/// Longest head and longest closing tags, in bytes.
pub(super) const MAX_CLOSING: usize = 1024;

/// The three operations that a document needs; a file, or a fake that can be cut and filled in tests.
pub(super) trait Storage {
    /// Like `pwrite`: may write less than asked.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn set_len(&self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        File::set_len(self, length)
    }
}

#[repr(align(4096))]
struct Page([u8; PAGE as usize]);

/// What must be put right before the next append, because it could not be done at once.
#[derive(Clone)]
enum Repair {
    /// The closing tags may be damaged, or something may stand after them.
    Closing,
    /// A record is (partly) staged in this range.
    Staged(Range<u64>),
}

/// A document that grows; see the module's text.
pub(super) struct Appender<S> {
    storage: S,
    /// What ends the document now, at `tail`.
    closing: Vec<u8>,
    tail: u64,
    /// What turns the empty root's tag into a start tag; empty after the first record.
    opening: &'static [u8],
    /// The closing tags once there is a record.
    footer: Vec<u8>,
    page: Box<Page>,
    repair: Option<Repair>,
}

impl<S: Storage> Appender<S> {
    /// `storage` holds a head of `head_len` bytes and then `empty`, which is ` />` and the closing tags of outer elements; `footer`
    /// closes the root when it has content. Head, `empty` and the room for staging lie in the first page; `footer` is at
    /// most [`MAX_CLOSING`] long.
    pub(super) fn new(storage: S, head_len: u64, empty: &str, footer: &str) -> Self {
        debug_assert!(head_len % PAGE + (empty.len() + STAGE.len()) as u64 <= PAGE && footer.len() <= MAX_CLOSING);
        Self {
            storage,
            closing: empty.into(),
            tail: head_len,
            opening: b">",
            footer: footer.into(),
            page: Box::new(Page([b' '; PAGE as usize])),
            repair: None,
        }
    }

    pub(super) fn storage(&self) -> &S {
        &self.storage
    }

    /// Length of the document in bytes.
    pub(super) fn len(&self) -> u64 {
        self.tail + self.closing.len() as u64
    }

    /// Appends one complete piece of markup, which must not contain `?>`.
    ///
    /// # Errors
    /// `InvalidInput` for a record with `?>`, and those of the storage. The document is then as before and well-formed; if even putting it right failed, that is tried again by
    /// the next append.
    pub(super) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        if record.windows(2).any(|pair| pair == b"?>") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a record must not hold a processing instruction",
            ));
        }
        self.repair()?;
        let room = self.opening.len() + record.len() + self.footer.len() + STAGE.len();
        let result = if self.tail % PAGE + room as u64 <= PAGE {
            self.in_place(record)
        } else {
            self.staged(record)
        };
        if result.is_err() {
            // The cause is what the caller wants to know; a failure here is met again by the next append.
            let _ = self.repair();
        }
        result
    }

    /// The usual case: one write within the page.
    fn in_place(&mut self, record: &[u8]) -> io::Result<()> {
        self.repair = Some(Repair::Closing);
        write_in_page(
            &self.storage,
            &mut self.page,
            self.tail,
            &[self.opening, record, &self.footer],
        )?;
        self.repair = None;
        self.advance(self.tail + (self.opening.len() + record.len()) as u64);
        Ok(())
    }

    /// Across a page boundary: the six steps of the module's text.
    fn staged(&mut self, record: &[u8]) -> io::Result<()> {
        let after_closing = self.len();
        let body = after_closing + STAGE.len() as u64;
        let footer = within_page(body + record.len() as u64, self.footer.len() + STAGE.len());
        let end = within_page(footer + self.footer.len() as u64, STAGE_END.len());

        self.repair = Some(Repair::Closing);
        write_spaces(&self.storage, after_closing..end)?;
        write_in_page(&self.storage, &mut self.page, end, &[STAGE_END])?;
        self.repair = Some(Repair::Staged(body..end));
        write_in_page(&self.storage, &mut self.page, after_closing, &[STAGE])?;
        write_all(&self.storage, record, body)?;
        write_all(&self.storage, &self.footer, footer)?;
        let blank = self.closing.len() + STAGE.len() - self.opening.len();
        write_in_page(
            &self.storage,
            &mut self.page,
            self.tail,
            &[self.opening, &SPACES[..blank]],
        )?;
        self.advance(footer);
        // The record is in; what still stands behind the closing tags is an instruction, and must go before the next append.
        self.repair = Some(Repair::Closing);
        let _ = self.repair();
        Ok(())
    }

    fn advance(&mut self, tail: u64) {
        self.tail = tail;
        self.opening = b"";
        self.closing.clone_from(&self.footer);
    }

    /// Puts the document back to what `tail` and `closing` say, through well-formed states where it is in one.
    pub(super) fn repair(&mut self) -> io::Result<()> {
        let Some(repair) = self.repair.clone() else {
            return Ok(());
        };
        let length = self.len();
        if let Repair::Staged(body) = repair {
            write_in_page(&self.storage, &mut self.page, self.tail, &[&self.closing, STAGE])?;
            write_spaces(&self.storage, body)?;
            write_in_page(&self.storage, &mut self.page, length, &[&SPACES[..STAGE.len()]])?;
        }
        write_in_page(&self.storage, &mut self.page, self.tail, &[&self.closing])?;
        self.storage.set_len(length)?;
        self.repair = None;
        Ok(())
    }
}

/// The first offset from `offset` on where `length` bytes lie within one page.
fn within_page(offset: u64, length: usize) -> u64 {
    if offset % PAGE + length as u64 <= PAGE {
        offset
    } else {
        offset.next_multiple_of(PAGE)
    }
}

/// Writes the parts, which together lie within one page, in one call from the aligned buffer.
fn write_in_page(storage: &impl Storage, page: &mut Page, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
    let mut length = 0;
    for part in parts {
        page.0[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    debug_assert!(offset % PAGE + length as u64 <= PAGE);
    write_all(storage, &page.0[..length], offset)
}

fn write_spaces(storage: &impl Storage, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let length = (range.end - at).min(PAGE);
        write_all(storage, &SPACES[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

fn write_all(storage: &impl Storage, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match storage.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                bytes = &bytes[written.min(bytes.len())..];
                offset += written as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "append_tests.rs"]
mod tests;
