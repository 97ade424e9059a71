//! Appends a million events to a session log and prints the rate and the memory that it took.

use std::{
    error::Error,
    fs,
    io::{self, Write},
    time::{Duration, Instant},
};

use chrono::{NaiveDateTime, TimeDelta};
use nunchi_events::xml::{LogFrame, SessionWriter, SyncPolicy};

const EVENTS: u32 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log.xml");
    let start = NaiveDateTime::default();
    let mut log = SessionWriter::create(&path, "face_session", start, SyncPolicy::default())?;
    let results = [("emotion", "happy (0.87)")];

    let before = resident_kib()?;
    let clock = Instant::now();
    for n in 0..EVENTS {
        let timestamp = start + TimeDelta::milliseconds(i64::from(n) * 33);
        log.append(&LogFrame {
            timestamp,
            elapsed_seconds: f64::from(n) / 30.0,
            results: &results,
        })?;
    }
    let seconds = clock.elapsed().as_secs_f64();
    let after = resident_kib()?;
    let bytes = log.bytes();
    let clock = Instant::now();
    log.close(start + TimeDelta::hours(10), Duration::from_secs(36_000))?;

    let mut out = io::stdout();
    writeln!(
        out,
        "xml append   {:>10.0} events/s  ({EVENTS} events, {} MB, {seconds:.2} s)",
        f64::from(EVENTS) / seconds,
        bytes / 1_000_000
    )?;
    writeln!(out, "xml memory   {before} KiB before, {after} KiB after")?;
    writeln!(
        out,
        "xml close    {:.2} s, {} KiB after",
        clock.elapsed().as_secs_f64(),
        resident_kib()?
    )?;
    Ok(())
}

/// `VmRSS` of this process.
fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .ok_or("no VmRSS in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
