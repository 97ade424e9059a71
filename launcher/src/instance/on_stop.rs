//! What a description asks for after the last process has ended.

use std::path::PathBuf;

use nunchi_events::xml::Timeline;
use serde::Serialize;

use super::mp4;
use super::run_dir::RunDir;
use crate::exit::{Exit, Failure};
use crate::spec::read::io_reason;
use crate::spec::{Action, Description, MergeXml};

/// What a merge found.
#[derive(Debug, Default, Serialize)]
pub struct Merged {
    pub output: PathBuf,
    pub frames: usize,
    /// Logs that were not written.
    pub missing: Vec<PathBuf>,
    /// Logs that end early; what stands before that is in the output.
    pub truncated: Vec<PathBuf>,
}

/// Carries out the actions; a fault in one does not keep the next from running.
pub fn run(description: &Description, folder: &RunDir) -> (Vec<Merged>, Vec<Failure>) {
    let (mut done, mut faults) = (Vec::new(), Vec::new());
    for action in &description.on_stop {
        let Action::MergeXml(merge) = &action.value;
        match merge_xml(merge, folder) {
            Ok(merged) => done.push(merged),
            Err(why) => {
                let to = folder.path.join(&merge.output);
                faults.push(Failure::new(
                    Exit::CannotWrite,
                    format!("merge-xml into {}: {why}", to.display()),
                ));
            }
        }
    }
    (done, faults)
}

fn merge_xml(merge: &MergeXml, folder: &RunDir) -> Result<Merged, String> {
    let output = folder.path.join(&merge.output);
    // Whatever earlier runs left in the folder is not of this one.
    let all = merge.inputs.iter().flat_map(|input| folder.attempts(input));
    let (inputs, missing): (Vec<_>, Vec<_>) = all.partition(|p| folder.written(p).is_some());
    if inputs.is_empty() {
        return Err("none of its inputs was written".into());
    }
    if let Some(parent) = output.parent() {
        std::fs::create_dir_all(parent).map_err(|e| io_reason(&e))?;
    }
    let mut missing = missing;
    let report = match timeline(merge, folder, &mut missing) {
        Some(timeline) => nunchi_events::xml::merge_onto(&inputs, &output, &timeline),
        None => nunchi_events::xml::merge(&inputs, &output),
    };
    let report = report.map_err(|e| e.to_string())?;
    Ok(Merged {
        output,
        frames: report.frames,
        missing: missing.into_iter().chain(report.missing).collect(),
        truncated: report.truncated,
    })
}

/// That of the video that the logs belong to. What it would need and is not there, is `missing`.
fn timeline(merge: &MergeXml, folder: &RunDir, missing: &mut Vec<PathBuf>) -> Option<Timeline> {
    let video = folder.path.join(merge.video.as_ref()?);
    let offset = mp4::first_picture(&video).unwrap_or_else(|_| {
        missing.push(video);
        0.0
    });
    let first_picture = merge.frames.as_ref().and_then(|frames| {
        let frames = folder.path.join(frames);
        let start = nunchi_events::xml::read(&frames).ok().and_then(|log| log.start_time);
        if start.is_none() {
            missing.push(frames);
        }
        start
    });
    Some(Timeline { first_picture, offset })
}
