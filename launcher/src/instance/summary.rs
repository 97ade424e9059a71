//! The short account of a run, on standard output and as `summary.json` in the run folder.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Serialize;

use super::on_stop::Merged;
use super::run_dir::RunDir;
use crate::exit::Failure;
use crate::output::size;
use crate::supervisor::ProcessOutcome;

#[derive(Debug, Serialize)]
pub struct Summary {
    pub pipeline: String,
    pub description: String,
    /// `finished`, `ended by the user`, `timed out`, `ended by force` or `failed`.
    pub result: String,
    pub exit_code: u8,
    pub error: Option<Failure>,
    /// RFC 3339, local time.
    pub started: String,
    pub seconds: f64,
    pub frames: u64,
    /// Frames by the time from the first data to the end.
    pub fps: f64,
    /// Events by type.
    pub events: BTreeMap<String, u64>,
    pub outputs: Vec<Output>,
    /// Logs that were joined.
    pub merged: Vec<Merged>,
    pub run_dir: PathBuf,
    pub logs: PathBuf,
    pub processes: IndexMap<String, ProcessOutcome>,
}

/// A file, or a folder of files, that the description promises.
#[derive(Debug, Serialize)]
pub struct Output {
    pub name: String,
    pub path: PathBuf,
    /// How many there are in a folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// `null`: it was not written.
    pub bytes: Option<u64>,
}

impl Output {
    pub fn look(name: &str, path: &str, folder: &RunDir) -> Self {
        let place = folder.path.join(path);
        let (files, bytes) = if path.ends_with('/') {
            let (files, bytes) = folder.written_in(&place);
            (Some(files), (files > 0).then_some(bytes))
        } else {
            (None, folder.written(&place))
        };
        Self {
            name: name.into(),
            path: place,
            files,
            bytes,
        }
    }
}

impl Summary {
    pub fn json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Written beside and renamed, so that a reader never sees half of it.
    pub fn save(&self) -> std::io::Result<()> {
        let part = self.run_dir.join("summary.json.part");
        let written = std::fs::write(&part, self.json()?)
            .and_then(|()| std::fs::rename(&part, self.run_dir.join("summary.json")));
        if written.is_err() {
            let _ = std::fs::remove_file(part);
        }
        written
    }

    pub fn text(&self) -> String {
        let mut out = format!("{}: {} after {:.1} s\n", self.pipeline, self.result, self.seconds);
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(out, "  {name:<10} {value}");
        };
        row("frames", &format!("{} ({:.1} per second)", self.frames, self.fps));
        let events: Vec<String> = self.events.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
        row(
            "events",
            if events.is_empty() {
                "none".into()
            } else {
                events.join(", ")
            }
            .as_str(),
        );
        for output in &self.outputs {
            let size = output.bytes.map_or("not written".into(), size);
            let files = output.files.filter(|&files| files > 0).map(|files| match files {
                1 => "1 file, ".to_owned(),
                more => format!("{more} files, "),
            });
            row(
                &output.name,
                &format!("{} ({}{size})", short(&output.path), files.unwrap_or_default()),
            );
        }
        for merged in &self.merged {
            for (logs, what) in [(&merged.missing, "was not written"), (&merged.truncated, "ends early")] {
                for log in logs {
                    row(
                        "note",
                        &format!("{} {what}; {} lacks it", short(log), short(&merged.output)),
                    );
                }
            }
        }
        let warnings: u64 = (self.processes.values().flat_map(|p| &p.attempts))
            .map(|a| a.progress.warnings)
            .sum();
        if warnings > 0 {
            row("warnings", &warnings.to_string());
        }
        row("logs", &short(&self.logs));
        out
    }
}

/// A path below the current folder without that folder.
fn short(path: &Path) -> String {
    let cwd = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&cwd).unwrap_or(path).display().to_string()
}
