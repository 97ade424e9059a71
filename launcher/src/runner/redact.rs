//! Keeps secrets out of everything that leaves the runner: messages, graphs, and its own standard streams.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use crate::exit::Failure;
use crate::spec::template;

/// Longest line that is copied.
const MAX_LINE: u64 = 64 * 1024;
/// For the last lines to be written.
const DRAIN_BOUND: Duration = Duration::from_secs(1);

/// User and password in a URL; greedy, since a password may hold an `@` or a `/`.
static CREDENTIALS: LazyLock<Option<regex::Regex>> = LazyLock::new(|| regex::Regex::new(r"://\S+@").ok());

/// Knows the secrets of this run.
#[derive(Debug, Clone)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl Redactor {
    /// Longer secrets first, so that one which contains another is replaced whole.
    pub fn new(secrets: Vec<String>) -> Self {
        let mut secrets: Vec<String> = secrets.iter().flat_map(|s| forms(s)).collect();
        secrets.retain(|s| !s.is_empty());
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// A failure fit to be shown.
    pub fn failure(&self, failure: Failure) -> Failure {
        Failure {
            message: self.clean(&failure.message),
            hint: failure.hint.map(|h| self.clean(&h)),
            ..failure
        }
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
        let original = std::io::stderr().as_fd().try_clone_to_owned().ok()?;
        let mut out = File::from(original.try_clone().ok()?);
        // SAFETY: plain system calls on descriptors that are open here.
        unsafe {
            libc::dup2(writer.as_raw_fd(), 1);
            libc::dup2(writer.as_raw_fd(), 2);
        }
        let redactor = self.clone();
        let (done, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("redact".into()).spawn(move || {
            redactor.copy(BufReader::new(reader), &mut out);
            let _ = done.send(());
        });
        thread.ok().map(|_| OutputFilter { original, ended })
    }

    /// Copies line by line until the end; of a longer line the rest is dropped, which could hold half a secret.
    fn copy(&self, mut from: impl BufRead, to: &mut impl Write) {
        let (mut line, mut inside) = (Vec::new(), false);
        while (&mut from)
            .take(MAX_LINE)
            .read_until(b'\n', &mut line)
            .is_ok_and(|n| n > 0)
        {
            let (ends, begins) = (line.ends_with(b"\n"), !inside);
            inside = !ends;
            if begins {
                let text = self.clean(&String::from_utf8_lossy(&line));
                if writeln!(to, "{}", text.trim_end_matches('\n')).is_err() {
                    return;
                }
            }
            line.clear();
        }
    }
}

/// A secret as it stands in text: plain, escaped once and twice as in a graph, as in a launch line, quoted by GstValue, and as in
/// a URL.
fn forms(secret: &str) -> Vec<String> {
    let once = strescape(secret);
    let percent = |keep: &str| {
        let one = |b: u8| match b {
            b if b.is_ascii_alphanumeric() || keep.as_bytes().contains(&b) => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        };
        secret.bytes().map(one).collect::<String>()
    };
    // GstValue puts a backslash before what is no letter, digit or one of these, and writes bytes beyond ASCII in octal.
    let quoted: String = (secret.bytes())
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"_-+/:.".contains(&b) => char::from(b).to_string(),
            0x20..0x7f => format!("\\{}", char::from(b)),
            b => format!("\\{b:03o}"),
        })
        .collect();
    let launch = template::escape(secret).unwrap_or_default();
    let twice = [strescape(&once), strescape(&quoted)];
    let plain = [
        secret.to_owned(),
        once,
        quoted,
        launch,
        percent("-._~"),
        percent("-._~/"),
    ];
    plain.into_iter().chain(twice).collect()
}

/// As `g_strescape`.
fn strescape(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'"' | b'\\' => format!("\\{}", char::from(b)),
            0x20..0x7f => char::from(b).to_string(),
            b => format!("\\{b:03o}"),
        })
        .collect()
}

/// Ends the filter when dropped, with everything written through.
#[derive(Debug)]
pub struct OutputFilter {
    original: OwnedFd,
    ended: mpsc::Receiver<()>,
}

impl Drop for OutputFilter {
    fn drop(&mut self) {
        // SAFETY: plain system calls; they close the last write ends of the pipe, which ends the thread.
        unsafe {
            libc::dup2(self.original.as_raw_fd(), 1);
            libc::dup2(self.original.as_raw_fd(), 2);
        }
        // A grandchild may hold a write end for as long as it lives.
        let _ = self.ended.recv_timeout(DRAIN_BOUND);
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

    #[test]
    fn a_password_with_odd_characters_vanishes_whole() {
        let r = Redactor::new(vec![]);
        assert_eq!(r.clean("rtsp://bob:top@sec/ret@host/x"), "rtsp://***@host/x");
    }

    #[test]
    fn escaped_secrets_vanish_too() {
        let secret = "p\"a\\s é?";
        let r = Redactor::new(vec![secret.into()]);
        for text in [
            "p\\\"a\\\\s \\303\\251?",
            "p\\\\\\\"a\\\\\\\\s \\\\303\\\\251?",
            "p%22a%5Cs%20%C3%A9%3F",
            &template::escape(secret).unwrap(),
        ] {
            assert_eq!(r.clean(text), "***", "{text}");
        }
        let failure = Failure::new(crate::exit::Exit::Failed, secret).hint(secret);
        assert_eq!(r.failure(failure).to_string(), "***\n  help: ***");
    }

    #[test]
    fn endless_lines_are_cut_and_the_next_one_comes_whole() {
        let mut text = vec![b'x'; 3_000_000];
        text.extend(b"\nsecret next\nlast");
        let mut out = Vec::new();
        Redactor::new(vec!["secret".into()]).copy(&text[..], &mut out);
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            (lines.len(), lines[0].len() as u64, lines[1], lines[2]),
            (3, MAX_LINE, "*** next", "last")
        );
    }
}
