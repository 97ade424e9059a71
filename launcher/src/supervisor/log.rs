//! What a runner writes to its standard streams: kept in a file, and the last lines in memory for the report.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Lines kept for the exit record.
const TAIL: usize = 100;
/// A longer line is cut in the record.
const LINE: usize = 2000;
/// A child in trouble may write for ever; the disk is not for that.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Collects the output of one process over all its attempts.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    written: u64,
    lines: VecDeque<String>,
    partial: Vec<u8>,
}

impl Log {
    /// Logs to the file; when it cannot be made, only the last lines are kept.
    pub fn create(path: &Path) -> Self {
        Self {
            file: File::create(path).ok(),
            written: 0,
            lines: VecDeque::new(),
            partial: Vec::new(),
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(file) = &mut self.file {
            let room = usize::try_from(MAX_FILE - self.written)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            if file.write_all(&bytes[..room]).is_err() {
                self.file = None;
            }
            self.written += room as u64;
            if room < bytes.len() {
                self.file = None;
            }
        }
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else if self.partial.len() < LINE {
                self.partial.push(byte);
            }
        }
    }

    /// A line of the supervisor itself, marked as such.
    pub fn note(&mut self, text: &str) {
        if !self.partial.is_empty() {
            self.push(b"\n");
        }
        self.push(format!("nunchi: {text}\n").as_bytes());
    }

    /// The last lines.
    pub fn tail(&self) -> Vec<String> {
        let open = (!self.partial.is_empty()).then(|| String::from_utf8_lossy(&self.partial).into_owned());
        let all: Vec<String> = self.lines.iter().cloned().chain(open).collect();
        all[all.len().saturating_sub(TAIL)..].to_vec()
    }

    fn end_line(&mut self) {
        if self.lines.len() == TAIL {
            self.lines.pop_front();
        }
        self.lines
            .push_back(String::from_utf8_lossy(&self.partial).into_owned());
        self.partial.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_hundred_lines_and_an_open_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(&dir.path().join("p.log"));
        for i in 0..250 {
            log.push(format!("line {i}\n").as_bytes());
        }
        log.push(b"open");
        let tail = log.tail();
        assert_eq!(
            (tail.len(), tail[0].as_str(), tail[99].as_str()),
            (100, "line 151", "open")
        );
        assert!(
            std::fs::read_to_string(dir.path().join("p.log"))
                .unwrap()
                .starts_with("line 0\n")
        );
    }

    #[test]
    fn endless_lines_and_bad_text_are_bounded() {
        let mut log = Log::create(Path::new("/no/such/folder/p.log"));
        log.push(&[0xff; 100_000]);
        log.push(b"\n");
        assert!(log.tail()[0].len() <= LINE * 3);
    }
}
