//! What was found, in files: a text file for each frame, and a line of JSON for each in one file.
//!
//! A text file has five lines for each object, the least sure first: x0, y0, x1, y1 as parts of the frame, and the number of the class.

use super::tracker::Known;
use crate::analyser::Frame;
use crate::meta;
use crate::xmllogsink::numbered;
use nunchi_inference::engine::EngineError;
use nunchi_inference::ssd::{Detection, Labels};
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Frames are numbered from here on.
const FIRST: u64 = 1;

fn conflict(what: String, remedy: &str) -> EngineError {
    EngineError::Conflict {
        engine: "cudassd".to_owned(),
        what,
        remedy: remedy.to_owned(),
    }
}

/// A file of JSON lines.
pub struct Lines {
    file: File,
    path: String,
}

impl Lines {
    /// Makes the file anew.
    pub fn create(path: &str) -> Result<Self, EngineError> {
        let file = File::create(path).map_err(|error| {
            conflict(
                format!("json-location: {path} cannot be made: {error}"),
                "name a file in a folder that is there and can be written to",
            )
        })?;
        let path = path.to_owned();
        Ok(Self { file, path })
    }

    /// Appends a frame: its number from 1, the file that it was read from where that is known, running time in seconds, size in pixels, and the objects in it, the surest first, with their boxes in pixels.
    pub fn append(
        &mut self,
        frame: &Frame<'_>,
        objects: &[(Detection, Known)],
        labels: &Labels,
    ) -> Result<(), EngineError> {
        let (width, height) = frame.size();
        // Single precision has seven digits.
        let score = |score: f32| (f64::from(score) * 1e6).round() / 1e6;
        let pixels = |part: f32, side: u32| (f64::from(part) * f64::from(side) * 1e3).round() / 1e3;
        let object = |(found, known): &(Detection, Known)| {
            let [x0, y0, x1, y1] = found.rect;
            json!({
                "label": labels.name(found.class),
                "class": found.class,
                "confidence": score(found.score),
                "box": [pixels(x0, width), pixels(y0, height), pixels(x1, width), pixels(y1, height)],
                "track": known.id,
            })
        };
        let mut line = json!({
            "frame": frame.number.saturating_add(FIRST),
            "time": frame.time.nseconds() as f64 / 1e9,
            "width": width,
            "height": height,
            "objects": objects.iter().map(object).collect::<Vec<_>>(),
        });
        if let Some(name) = meta::file::read(frame.buffer) {
            line["file"] = name.into();
        }
        // In one piece, so that a kill leaves whole lines.
        self.file.write_all(format!("{line}\n").as_bytes()).map_err(|error| {
            conflict(
                format!("json-location: {} cannot be written: {error}", self.path),
                "make room",
            )
        })
    }
}

/// Refuses a location that does not do, before anything is read.
pub fn check(location: &str) -> Result<(), EngineError> {
    if numbered(location, 0) == numbered(location, 1) {
        return Err(conflict(
            format!("detections-location={location} names one file for all frames"),
            "put the number of the frame in it, such as infer%d.txt",
        ));
    }
    let path = numbered(location, 0);
    let folder = Path::new(&path)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        return Err(conflict(
            format!("detections-location is in {}, which is no folder", folder.display()),
            "make it first",
        ));
    }
    Ok(())
}

/// Writes the objects of frame `number` of the stream.
pub fn write(location: &str, number: u64, objects: &[Detection]) -> Result<(), EngineError> {
    let number = u32::try_from(number.saturating_add(FIRST)).unwrap_or(u32::MAX);
    let path = numbered(location, number);
    std::fs::write(&path, text(objects)).map_err(|error| {
        conflict(
            format!("{path} cannot be written: {error}"),
            "make room, or set detections-location to a folder that can be written to",
        )
    })
}

fn text(objects: &[Detection]) -> String {
    let mut text = String::new();
    for object in objects.iter().rev() {
        for side in object.rect {
            // A string takes everything.
            let _ = writeln!(text, "{side}");
        }
        let _ = writeln!(text, "{}", object.class);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_lines_for_each_object_the_least_sure_first() {
        let objects = [
            Detection {
                class: 16,
                score: 0.9,
                rect: [0.25, 0.5, 1.0, 0.75],
            },
            Detection {
                class: 0,
                score: 0.4,
                rect: [0.0, 0.1, 0.2, 0.3],
            },
        ];
        assert_eq!(text(&objects), "0\n0.1\n0.2\n0.3\n0\n0.25\n0.5\n1\n0.75\n16\n");
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn a_location_has_a_number_and_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        check(&at("infer%d.txt")).unwrap();
        check("infer%05d.txt").unwrap();
        for (location, says) in [(at("infer.txt"), "infer%d.txt"), (at("no/infer%d.txt"), "no folder")] {
            let error = check(&location).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        write(&at("infer%d.txt"), 0, &[]).unwrap();
        assert_eq!(std::fs::read(folder.path().join("infer1.txt")).unwrap(), b"");
        let error = write(&at("no/infer%d.txt"), 6, &[]).unwrap_err().to_string();
        assert!(error.contains("infer7.txt"), "{error}");
    }
}
