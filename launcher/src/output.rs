//! What people see: results on standard output, progress and errors on standard error.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ipc::Progress;

/// Without a terminal a line is printed this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Writes to standard output; a reader that has gone away is no fault of ours.
pub fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(harmless(text).as_bytes());
}

/// What would steer the terminal, as a name or a description of somebody else's may hold, is written out.
fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return text.into();
    }
    let write_out = |c: char| match steers(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(write_out).collect()
}

/// Writes one line to standard error.
pub fn note(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(&text.to_string()));
}

/// Writes one fault to standard error.
pub fn error(fault: impl Display) {
    note(format_args!("error: {fault}"));
}

/// How far a run has come: a bar on a terminal, else a line every few seconds.
pub struct ProgressView {
    bar: Option<ProgressBar>,
    quiet: bool,
    begun: Option<Instant>,
    next_line: Instant,
    title: String,
}

impl ProgressView {
    pub fn new(title: &str, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            bar.set_style(spinner());
            bar.set_prefix(title.to_owned());
            bar.set_message("starting");
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            quiet,
            begun: None,
            next_line: Instant::now() + LINE_EVERY,
            title: title.to_owned(),
        }
    }

    /// For lines between the progress.
    pub fn lines(&self) -> Lines {
        Lines {
            bar: self.bar.clone(),
            quiet: self.quiet,
        }
    }

    pub fn progress(&mut self, progress: &Progress) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let text = describe(progress, begun.elapsed());
        match &self.bar {
            Some(bar) => {
                if let Some(duration) = progress.duration {
                    if bar.length().is_none() {
                        bar.set_style(whole_bar());
                    }
                    bar.set_length(duration);
                    bar.set_position(progress.position.unwrap_or(0).min(duration));
                }
                bar.set_message(text);
            }
            None if !self.quiet && Instant::now() >= self.next_line => {
                self.next_line = Instant::now() + LINE_EVERY;
                note(format_args!("{}: {text}", self.title));
            }
            None => {}
        }
    }

    /// How many things are done, for work that is no pipeline.
    pub fn count(&mut self, done: usize, total: usize, things: &str) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let text = describe_count(done, total, things, begun.elapsed());
        match &self.bar {
            Some(bar) => {
                if bar.length().is_none() {
                    bar.set_style(whole_bar());
                }
                bar.set_length(total as u64);
                bar.set_position(done as u64);
                bar.set_message(text);
            }
            None if !self.quiet && Instant::now() >= self.next_line => {
                self.next_line = Instant::now() + LINE_EVERY;
                note(format_args!("{}: {text}", self.title));
            }
            None => {}
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// See [`ProgressView::lines`].
#[derive(Debug, Clone)]
pub struct Lines {
    bar: Option<ProgressBar>,
    quiet: bool,
}

impl Lines {
    pub fn line(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(harmless(text)),
            None => note(text),
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix}  {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn whole_bar() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}%  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// `300 of 5000 pictures, 29.8 per second, 2:37 left`
fn describe_count(done: usize, total: usize, things: &str, elapsed: Duration) -> String {
    let mut text = format!("{done} of {total} {things}");
    let seconds = elapsed.as_secs_f64();
    if seconds >= 0.5 && done > 0 {
        text += &format!(", {:.1} per second", done as f64 / seconds);
        let left = seconds * total.saturating_sub(done) as f64 / done as f64;
        text += &format!(", {} left", clock((left * 1e9) as u64));
    }
    text
}

/// `300 frames, 29.8 fps, 0:10 of 0:25, 0:15 left`
fn describe(p: &Progress, elapsed: Duration) -> String {
    let mut text = format!("{} frames", p.frames);
    let seconds = elapsed.as_secs_f64();
    if seconds >= 0.5 {
        text += &format!(", {:.1} fps", p.frames as f64 / seconds);
    }
    if let Some(position) = p.position {
        text += &format!(", {}", clock(position));
        if let Some(duration) = p.duration {
            text += &format!(" of {}", clock(duration));
            if seconds >= 1.0 && position > 0 && position < duration {
                let left = seconds * (duration - position) as f64 / position as f64;
                text += &format!(", {} left", clock((left * 1e9) as u64));
            }
        }
    }
    text
}

/// Nanoseconds as `h:mm:ss` or `m:ss`.
pub fn clock(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// A size as people read it.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        assert_eq!(harmless("plain\ntext, 눈치\n"), "plain\ntext, 눈치\n");
        assert_eq!(harmless("\u{1b}[2Jgone\r\u{9b}x\n"), "\\u{1b}[2Jgone\\r\\u{9b}x\n");
    }

    #[test]
    fn progress_reads_well() {
        let p = Progress {
            frames: 300,
            position: Some(10_000_000_000),
            duration: Some(25_000_000_000),
            warnings: 0,
            sinks: vec![],
        };
        assert_eq!(
            describe(&p, Duration::from_secs(10)),
            "300 frames, 30.0 fps, 0:10 of 0:25, 0:15 left"
        );
        assert_eq!(describe(&Progress::default(), Duration::ZERO), "0 frames");
        assert_eq!(clock(3_725_000_000_000), "1:02:05");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(
            [size(0), size(1023), size(1536), size(5 << 30)],
            ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
        );
    }
}
