//! Kills a writer in the middle of its work, many times, and reads with a strict parser what it left.
//!
//! The writer is this program, started again with a path; it prints one line when the log exists.

use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use chrono::NaiveDateTime;
use nunchi_events::xml::{LogFrame, SessionWriter, SyncPolicy, read};

const ROUNDS: u32 = 80;
const WRITER: &str = "--write";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let outcome = match arguments.as_slice() {
        [_, mode, path] if mode == WRITER => write_until_killed(Path::new(path)),
        // Test runners ask for the names of the tests, and then again for those that are ignored.
        all if all.iter().any(|a| a == "--list") => {
            if !all.iter().any(|a| a == "--ignored") {
                let _ = writeln!(io::stdout(), "a_killed_writer_leaves_a_log_that_parses: test");
            }
            Ok(())
        }
        _ => kill_writers(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kill test failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Frame number n has `elapsed_seconds` n/10, and a message whose length goes through everything from nothing to several pages.
fn write_until_killed(path: &Path) -> Outcome<()> {
    let time = NaiveDateTime::default();
    let mut log = SessionWriter::create(path, "face_session", time, SyncPolicy::None)?;
    writeln!(io::stdout(), "ready")?;
    let text = "text & more <text> ".repeat(600);
    for n in 0u64.. {
        let length = if n % 40 == 0 {
            n as usize * 7 % text.len()
        } else {
            n as usize * 7 % 300
        };
        let results = [("smile", &text[..length]), ("emotion", "happy")];
        log.append(&LogFrame {
            timestamp: time,
            elapsed_seconds: n as f64 / 10.0,
            results: &results,
        })?;
        if n == 200_000 {
            return Err("nobody killed the writer".into());
        }
    }
    Ok(())
}

fn kill_writers() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("log.xml");
    let (mut frames, mut largest) = (0, 0);
    for round in 0..ROUNDS {
        let mut writer = Command::new(env::current_exe()?)
            .arg(WRITER)
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut ready = String::new();
        BufReader::new(writer.stdout.take().ok_or("no pipe")?).read_line(&mut ready)?;
        // Not a wait for something: any moment will do, and these are spread from the first append to some thousand later.
        thread::sleep(Duration::from_micros(
            u64::from(round * round % 37) * 300 + u64::from(round) * 17,
        ));
        writer.kill()?;
        let status = writer.wait()?;
        if status.code().is_some() {
            return Err(format!("round {round}: the writer ended by itself: {status}").into());
        }
        let count = check(&path).map_err(|error| format!("round {round}: {error}"))?;
        frames += count;
        largest = largest.max(fs::metadata(&path)?.len());
    }
    if frames < ROUNDS as usize || largest < 4 * 4096 {
        return Err(
            format!("only {frames} frames were written, {largest} bytes at most: the rounds prove nothing").into(),
        );
    }
    writeln!(
        io::stdout(),
        "{ROUNDS} writers killed, {frames} frames read, largest log {largest} bytes"
    )?;
    Ok(())
}

/// The number of frames in a log that must be well-formed and have all its frames from the first on.
fn check(path: &Path) -> Outcome<usize> {
    let text = fs::read_to_string(path)?;
    let strict = roxmltree::Document::parse(&text)?;
    let expected = strict
        .root_element()
        .children()
        .filter(|node| node.has_tag_name("frame"))
        .count();
    let session = read(path)?;
    if session.truncated || session.frames.len() != expected {
        return Err(format!(
            "{} of {expected} frames, truncated: {}",
            session.frames.len(),
            session.truncated
        )
        .into());
    }
    for (n, frame) in session.frames.iter().enumerate() {
        if (frame.elapsed_seconds - n as f64 / 10.0).abs() > 1e-6 || frame.results.len() != 2 {
            return Err(format!("frame {n} is {frame:?}").into());
        }
    }
    Ok(expected)
}
