//! `nvencsink` with the software encoders that there are, its files read back by ffprobe and ffmpeg.

mod audio;
mod bad;
mod crash;
mod files;
mod flow;
mod nvenc;
mod properties;
mod states;

#[path = "../common/mod.rs"]
mod common;
#[path = "../../../nvenc/tests/common/double.rs"]
mod double;

use common::{init, parse};
use gst::prelude::*;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A pipeline whose element has the name `sink`.
#[track_caller]
fn pipeline(source: &str, location: &Path, properties: &str) -> gst::Pipeline {
    init();
    parse(&format!(
        "{source} ! nvencsink name=sink location=\"{}\" {properties}",
        location.display()
    ))
}

fn test_video(frames: u32, width: u32, height: u32) -> String {
    format!("videotestsrc num-buffers={frames} ! video/x-raw,format=I420,width={width},height={height},framerate=30/1")
}

fn sink(pipeline: &gst::Pipeline) -> gst::Element {
    pipeline.by_name("sink").unwrap()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The first child made by the factory.
fn child(sink: &gst::Element, factory: &str) -> Option<gst::Element> {
    let bin = sink.downcast_ref::<gst::Bin>().unwrap();
    bin.iterate_recurse()
        .into_iter()
        .flatten()
        .find(|element| element.factory().is_some_and(|made| made.name() == factory))
}

/// How often something happened, from 1.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What ffprobe says of a file: the packets of each stream, in the order of their times.
#[derive(Debug, Default)]
struct Probed {
    codec: String,
    width: u64,
    video: Vec<Packet>,
    audio: Vec<Packet>,
    audio_codec: String,
    /// Seconds
    duration: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Packet {
    /// Seconds
    at: f64,
    key: bool,
}

#[track_caller]
fn probe(path: &Path) -> Probed {
    try_probe(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn try_probe(path: &Path) -> Result<Probed, String> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "json",
            "-show_streams",
            "-show_format",
            "-show_packets",
        ])
        .arg(path)
        .output()
        .map_err(|error| format!("ffprobe: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let mut probed = Probed {
        duration: number(&told["format"]["duration"]).unwrap_or(0.0),
        ..Probed::default()
    };
    for stream in told["streams"].as_array().into_iter().flatten() {
        let codec = stream["codec_name"].as_str().unwrap_or_default().to_owned();
        if stream["codec_type"] == "video" {
            probed.codec = codec;
            probed.width = stream["width"].as_u64().unwrap_or(0);
        } else {
            probed.audio_codec = codec;
        }
    }
    for packet in told["packets"].as_array().into_iter().flatten() {
        let read = Packet {
            at: number(&packet["pts_time"])
                .or(number(&packet["dts_time"]))
                .ok_or("a packet without a time")?,
            key: packet["flags"].as_str().unwrap_or_default().starts_with('K'),
        };
        if packet["codec_type"] == "video" {
            probed.video.push(read);
        } else {
            probed.audio.push(read);
        }
    }
    for packets in [&mut probed.video, &mut probed.audio] {
        packets.sort_by(|a, b| a.at.total_cmp(&b.at));
    }
    Ok(probed)
}

fn number(value: &serde_json::Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

/// What ffmpeg decodes, and whether it complained.
#[track_caller]
fn decoded(path: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(arguments)
        .arg("-")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{}: {complaint}",
        path.display()
    );
    output.stdout
}

/// Frames that ffmpeg decodes from a time on.
#[track_caller]
fn frames_from(path: &Path, seconds: &str) -> usize {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-ss", seconds, "-i"])
        .arg(path)
        .args([
            "-an",
            "-vsync",
            "passthrough",
            "-vf",
            "scale=16:16",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.len() / 256
}

/// Messages of the element of that name.
fn told(messages: &[gst::Message], name: &str) -> Vec<gst::Structure> {
    messages
        .iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Element(element) => element.structure().map(|s| s.to_owned()),
            _ => None,
        })
        .filter(|structure| structure.name() == name)
        .collect()
}

fn warnings(messages: &[gst::Message]) -> Vec<String> {
    messages
        .iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(format!("{} {:?}", warning.error(), warning.debug())),
            _ => None,
        })
        .collect()
}

fn path(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}
