//! The claims of the module's text, tried on a file that can be killed and filled.

use std::cell::RefCell;

use proptest::prelude::*;

use super::*;

const HEAD: &str = "<?xml version='1.0' encoding='utf-8'?>\n<log start=\"now\"";
const EMPTY: &str = " />";
const FOOTER: &str = "</log>";

#[derive(Clone, Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

impl Operation {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write(offset, bytes) => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                assert!(start <= file.len(), "a write never leaves a hole");
                file.resize(file.len().max(end), 0);
                file[start..end].copy_from_slice(bytes);
            }
            Self::SetLen(length) => {
                assert!(*length as usize <= file.len(), "a document is only ever cut");
                file.truncate(*length as usize);
            }
        }
    }

    /// The operation as a kill may leave it: cut between two pages of the file.
    fn cuts(&self) -> Vec<Self> {
        let Self::Write(offset, bytes) = self else {
            return Vec::new();
        };
        let first = (offset / PAGE + 1) * PAGE - offset;
        (first..bytes.len() as u64)
            .step_by(PAGE as usize)
            .map(|n| Self::Write(*offset, bytes[..n as usize].into()))
            .collect()
    }
}

/// A file that remembers what was done to it. Beyond `capacity` bytes it is full: what fits is written, then comes the error.
struct Fake {
    file: RefCell<Vec<u8>>,
    operations: RefCell<Vec<Operation>>,
    capacity: RefCell<u64>,
    /// Operations that still succeed; `None` for no end.
    lives: RefCell<Option<usize>>,
}

impl Fake {
    fn spend_life(&self) -> io::Result<()> {
        match &mut *self.lives.borrow_mut() {
            Some(0) => Err(io::Error::other("the device is gone")),
            Some(lives) => {
                *lives -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn apply(&self, operation: Operation) {
        operation.apply(&mut self.file.borrow_mut());
        self.operations.borrow_mut().push(operation);
    }
}

impl Storage for Fake {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.spend_life()?;
        let length = (bytes.len() as u64).min(self.capacity.borrow().saturating_sub(offset)) as usize;
        if length == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.apply(Operation::Write(offset, bytes[..length].into()));
        Ok(length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.spend_life()?;
        self.apply(Operation::SetLen(length));
        Ok(())
    }
}

fn document(pad: usize) -> Appender<Fake> {
    let head = format!("{HEAD} pad=\"{}\"", "p".repeat(pad));
    let file = RefCell::new(format!("{head}{EMPTY}").into_bytes());
    let fake = Fake {
        file,
        operations: RefCell::default(),
        capacity: RefCell::new(u64::MAX),
        lives: RefCell::new(None),
    };
    Appender::new(fake, head.len() as u64, EMPTY, FOOTER)
}

/// Record number `n` with `length` filler bytes, some of which try to end the staging instruction.
fn record(n: usize, length: usize) -> String {
    let filler: String = "<?p &gt; --&gt; ?&gt;]]&gt;"
        .replace('<', "&lt;")
        .chars()
        .cycle()
        .take(length)
        .collect();
    let filler = filler.rsplit_once('&').map_or(filler.as_str(), |(whole, _)| whole); // no half reference
    format!("<frame n=\"{n}\" filler=\"{filler}\" />")
}

/// Numbers of the records in a document, which a strict parser must accept.
#[track_caller]
fn records(file: &[u8]) -> Vec<usize> {
    let text = std::str::from_utf8(file).unwrap();
    let parsed = roxmltree::Document::parse(text)
        .unwrap_or_else(|error| panic!("{error} in …{:?}", &text[text.len().saturating_sub(200)..]));
    let root = parsed.root_element();
    assert!(
        root.children()
            .filter(|node| node.is_text())
            .all(|node| node.text().unwrap().trim().is_empty())
    );
    assert!(root.children().all(|node| node.is_text() || node.has_tag_name("frame")));
    root.children()
        .filter_map(|node| node.attribute("n"))
        .map(|n| n.parse().unwrap())
        .collect()
}

/// Appends all and then looks at every file that a kill may have left.
fn check_kills(pad: usize, lengths: &[usize]) {
    let mut document = document(pad);
    let mut states = vec![document.storage.file.borrow().clone()];
    let mut file = states[0].clone();
    for (n, length) in lengths.iter().enumerate() {
        document.append(record(n, *length).as_bytes()).unwrap();
        let operations = std::mem::take(&mut *document.storage.operations.borrow_mut());
        for operation in &operations {
            for state in operation.cuts().iter().chain([operation]) {
                let mut killed = file.clone();
                state.apply(&mut killed);
                states.push(killed);
            }
            operation.apply(&mut file);
        }
        for state in states.drain(..) {
            let found = records(&state);
            assert!(
                found.iter().copied().eq(0..n) || found.iter().copied().eq(0..=n),
                "{found:?} while {n} is appended"
            );
        }
        assert_eq!(file, *document.storage.file.borrow());
        assert_eq!(records(&file), (0..=n).collect::<Vec<_>>(), "the append is done");
        assert_eq!(file.len() as u64, document.len());
        assert!(file.ends_with(FOOTER.as_bytes()), "nothing after the closing tag");
    }
}

#[test]
fn an_append_within_a_page_is_one_write() {
    let mut document = document(0);
    for n in 0..20 {
        document.append(record(n, 50).as_bytes()).unwrap();
        assert_eq!(document.storage.operations.take().len(), 1);
    }
}

#[test]
fn without_page_crossing_there_is_no_padding() {
    let mut document = document(0);
    document.append(b"<a /><b />").unwrap();
    document.append(b"<c />").unwrap();
    let file = String::from_utf8(document.storage.file.take()).unwrap();
    assert_eq!(file, format!("{HEAD} pad=\"\"><a /><b /><c /></log>"));
}

#[test]
fn work_is_constant() {
    let mut document = document(0);
    for n in 0..2000 {
        document.append(record(n, 150).as_bytes()).unwrap();
        let operations = document.storage.operations.take();
        let bytes: usize = operations
            .iter()
            .map(|op| {
                if let Operation::Write(_, bytes) = op {
                    bytes.len()
                } else {
                    0
                }
            })
            .sum();
        assert!(
            operations.len() <= 9 && bytes < 600,
            "{} operations, {bytes} bytes",
            operations.len()
        );
    }
}

#[test]
fn a_kill_at_every_alignment_of_the_boundary() {
    // The second record ends at every offset around the boundary once.
    for length in 3700..4100 {
        check_kills(0, &[10, length, 30, 30]);
    }
}

#[test]
fn a_kill_with_the_first_record_at_every_alignment() {
    let room = PAGE as usize - HEAD.len() - " pad=\"\"".len() - EMPTY.len() - STAGE.len();
    for pad in room - 90..=room {
        check_kills(pad, &[20, 20]);
    }
}

#[test]
fn a_kill_with_records_of_several_pages() {
    check_kills(0, &[10_000, 10, 4096, 8192, 0, 20_000, 5]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_kill_anywhere(pad in 0..3000usize, lengths in prop::collection::vec(prop_oneof![0..300usize, 0..9000usize], 1..25)) {
        check_kills(pad, &lengths);
    }

    #[test]
    fn a_full_disk_loses_only_what_did_not_fit(
        lengths in prop::collection::vec(prop_oneof![0..300usize, 0..9000usize], 1..25),
        room in 0..20_000u64,
    ) {
        let mut document = document(0);
        let capacity = document.len() + room;
        *document.storage.capacity.borrow_mut() = capacity;
        let mut kept = Vec::new();
        for (n, length) in lengths.iter().enumerate() {
            let record = record(n, *length);
            match document.append(record.as_bytes()) {
                Ok(()) => kept.push(n),
                Err(error) => {
                    prop_assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                    // Padding, instruction and closing tags may not have fitted either.
                    prop_assert!(document.len() + record.len() as u64 + 2 * MAX_CLOSING as u64 > capacity);
                }
            }
            prop_assert_eq!(&records(&document.storage.file.borrow()), &kept);
            prop_assert_eq!(document.storage.file.borrow().len() as u64, document.len());
        }
        // Space was freed: it goes on.
        *document.storage.capacity.borrow_mut() = u64::MAX;
        document.append(record(99, 10).as_bytes()).unwrap();
        kept.push(99);
        prop_assert_eq!(records(&document.storage.file.borrow()), kept);
    }

    #[test]
    fn a_device_that_comes_back_finds_its_records(
        lengths in prop::collection::vec(prop_oneof![0..300usize, 0..9000usize], 1..20),
        lives in 0..60usize,
    ) {
        let mut document = document(0);
        *document.storage.lives.borrow_mut() = Some(lives);
        let mut kept = Vec::new();
        for (n, length) in lengths.iter().enumerate() {
            if document.append(record(n, *length).as_bytes()).is_ok() {
                kept.push(n);
            }
        }
        *document.storage.lives.borrow_mut() = None;
        document.append(record(99, 10).as_bytes()).unwrap();
        kept.push(99);
        prop_assert_eq!(records(&document.storage.file.borrow()), kept);
    }
}

#[test]
fn a_device_that_writes_nothing_is_an_error() {
    struct Nothing;
    impl Storage for Nothing {
        fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn set_len(&self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }
    let mut document = Appender::new(Nothing, 10, EMPTY, FOOTER);
    assert_eq!(document.append(b"<a />").unwrap_err().kind(), io::ErrorKind::WriteZero);
    assert_eq!(document.len(), 10 + EMPTY.len() as u64);
}
