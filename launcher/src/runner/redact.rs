//! Keeps secrets out of everything that leaves the runner: messages, graphs, and its own standard streams.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::LazyLock;
use std::thread::JoinHandle;

/// User and password in a URL.
static CREDENTIALS: LazyLock<Option<regex::Regex>> = LazyLock::new(|| regex::Regex::new(r"://[^/@\s]+@").ok());

/// Knows the secrets of this run.
#[derive(Debug, Clone)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Longer secrets first, so that one which contains another is replaced whole.
    pub fn new(mut secrets: Vec<String>) -> Self {
        secrets.retain(|s| !s.is_empty());
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Self { secrets }
    }

    /// The text with every secret, and every user and password in a URL, replaced by `***`.
    pub fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "***");
        }
        match &*CREDENTIALS {
            Some(regex) => regex.replace_all(&text, "://***@").into_owned(),
            None => text,
        }
    }

    /// When there are secrets: everything that libraries write to standard output and error goes through [`Self::clean`].
    pub fn filter_output(&self) -> Option<OutputFilter> {
        if self.secrets.is_empty() {
            return None;
        }
        let (reader, writer) = std::io::pipe().ok()?;
        // SAFETY: plain system calls on descriptors that are open here; `dup` returns a new one that we own.
        let original = unsafe {
            let fd = libc::dup(2);
            (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))?
        };
        // SAFETY: as above.
        unsafe {
            libc::dup2(writer.as_raw_fd(), 1);
            libc::dup2(writer.as_raw_fd(), 2);
        }
        let (redactor, mut out) = (self.clone(), File::from(original.try_clone().ok()?));
        let thread = std::thread::Builder::new().name("redact".into()).spawn(move || {
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                let line = redactor.clean(&String::from_utf8_lossy(&line));
                if writeln!(out, "{line}").is_err() {
                    return;
                }
            }
        });
        Some(OutputFilter {
            original,
            thread: thread.ok(),
        })
    }
}

/// Ends the filter when dropped, with everything written through.
#[derive(Debug)]
pub struct OutputFilter {
    original: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Drop for OutputFilter {
    fn drop(&mut self) {
        // SAFETY: plain system calls; they close the last write ends of the pipe, which ends the thread.
        unsafe {
            libc::dup2(self.original.as_raw_fd(), 1);
            libc::dup2(self.original.as_raw_fd(), 2);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_credentials_vanish() {
        let r = Redactor::new(vec!["key".into(), "key-long".into(), String::new()]);
        assert_eq!(r.clean("a key-long b key c"), "a *** b *** c");
        assert_eq!(
            r.clean("rtsp://bob:pw@host/x http://host/y"),
            "rtsp://***@host/x http://host/y"
        );
        assert_eq!(r.clean("nothing here"), "nothing here");
    }
}
