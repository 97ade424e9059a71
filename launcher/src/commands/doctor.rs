//! `nunchi doctor`: what this machine offers, and what to install for the rest.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nunchi_motiontext::fonts::{FontStyle, Fonts};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::own_program;
use crate::cli::Format;
use crate::exit::Exit;
use crate::output;
use crate::runner::{ElementFact, Facts};
use crate::spec::read::io_reason;

/// A first scan of all plugins, and engines that look for their devices.
const INSPECT_BOUND: Duration = Duration::from_secs(120);

pub fn run(format: Format) -> Exit {
    let facts = inspect();
    let devices = devices();
    let fonts = FontFacts::look();
    let missing = required_missing(&facts);
    match format {
        Format::Json => output::print(&format!(
            "{:#}\n",
            json!({"version": env!("CARGO_PKG_VERSION"), "facts": facts, "devices": devices.iter().map(Device::json).collect::<Vec<_>>(), "fonts": {"count": fonts.count, "korean": fonts.korean}, "required_missing": missing})
        )),
        Format::Text => output::print(&text(&facts, &devices, &fonts, &missing)),
    }
    if missing.is_empty() {
        Exit::Ok
    } else {
        Exit::Unavailable
    }
}

/// Looks in a child; a crash or hang of it is a finding, too.
fn inspect() -> Facts {
    ask_child(&["runner", "--inspect"].map(OsStr::new)).unwrap_or_else(|why| Facts {
        error: Some(format!("looking at GStreamer {why}")),
        ..Facts::default()
    })
}

/// What a child of this program answers on its standard output, as JSON; else why there is no answer ("crashed …").
pub fn ask_child<T: DeserializeOwned>(arguments: &[&OsStr]) -> Result<T, String> {
    let program = own_program().map_err(|failure| format!("is impossible: {}", failure.message))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("is impossible: {}", io_reason(&e)))?;
    let (sender, receiver) = std::sync::mpsc::channel();
    // Read in a thread, so that a full pipe cannot block the child, nor a silent child us.
    if let Some(mut stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = std::io::Read::read_to_string(&mut stdout, &mut text);
            let _ = sender.send(text);
        });
    }
    let text = receiver.recv_timeout(INSPECT_BOUND);
    if text.is_err() {
        let _ = child.kill();
    }
    let status = child.wait();
    let text = text.map_err(|_| format!("took longer than {} s", INSPECT_BOUND.as_secs()))?;
    serde_json::from_str(&text).map_err(|_| format!("crashed ({})", status.map_or("?".into(), |s| s.to_string())))
}

fn required_missing(facts: &Facts) -> Vec<String> {
    let mut missing: Vec<String> = facts.error.iter().cloned().collect();
    if facts.error.is_some() {
        return missing;
    }
    missing.extend(facts.elements.iter().filter(|e| !e.found).map(|e| e.name.clone()));
    for (what, group) in [
        ("an H.264 encoder", &facts.encoders),
        ("an H.264 decoder", &facts.decoders),
    ] {
        if group.iter().all(|e| !e.found) {
            missing.push(what.into());
        }
    }
    if facts.engines.iter().all(|e| !e.available) {
        missing.push("an inference engine".into());
    }
    missing
}

/// What captions can be written with.
struct FontFacts {
    count: usize,
    /// Whether one has Hangul.
    korean: bool,
}

impl FontFacts {
    fn look() -> Self {
        let mut fonts = Fonts::new();
        let count = fonts.add_system();
        let letter = '가';
        fonts.shape(
            &letter.to_string(),
            &FontStyle {
                families: Vec::new(),
                size: 16.0,
                weight: 400,
                italic: false,
                letter_spacing: 0.0,
            },
        );
        Self {
            count,
            korean: !fonts.warnings().characters.contains(&letter),
        }
    }

    fn rows(&self) -> Vec<(bool, String, String)> {
        let about = match self.korean {
            true => String::new(),
            false => "for Korean captions: apt install fonts-nanum".to_owned(),
        };
        vec![
            (self.count > 0, "fonts".to_owned(), format!("{} found", self.count)),
            (self.korean, "Hangul".to_owned(), about),
        ]
    }
}

struct Device {
    kind: &'static str,
    found: Vec<String>,
    remedy: &'static str,
}

impl Device {
    fn json(&self) -> serde_json::Value {
        json!({"kind": self.kind, "found": self.found, "remedy": if self.found.is_empty() { Some(self.remedy) } else { None }})
    }
}

fn devices() -> Vec<Device> {
    let nvidia_lib = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib/wsl/lib",
        "/usr/local/cuda/compat",
    ]
    .iter()
    .map(|dir| format!("{dir}/libcuda.so.1"))
    .find(|p| Path::new(p).exists());
    let mut nvidia = in_dev("nvidia", true);
    nvidia.extend(nvidia_lib);
    vec![
        Device {
            kind: "cameras",
            found: in_dev("video", true),
            remedy: "plug in a webcam; in a container, pass /dev/video0 in",
        },
        Device {
            kind: "Hailo",
            found: in_dev("hailo", true),
            remedy: "optional: a Hailo accelerator with its driver",
        },
        Device {
            kind: "NVIDIA",
            found: nvidia,
            remedy: "optional: an NVIDIA GPU with its driver",
        },
        Device {
            kind: "GPU (VA-API)",
            found: in_dev("dri/renderD", true),
            remedy: "optional: an Intel or AMD GPU, /dev/dri",
        },
    ]
}

/// Files of /dev named `prefix` and a number.
fn in_dev(prefix: &str, numbered: bool) -> Vec<String> {
    let (folder, start) = match prefix.rsplit_once('/') {
        Some((folder, start)) => (format!("/dev/{folder}"), start),
        None => ("/dev".into(), prefix),
    };
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let is_number = |rest: &str| !numbered || (!rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()));
    let mut found: Vec<String> = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| n.strip_prefix(start).is_some_and(is_number))
        .map(|n| format!("{folder}/{n}"))
        .collect();
    found.sort();
    found
}

fn text(facts: &Facts, devices: &[Device], fonts: &FontFacts, missing: &[String]) -> String {
    let mut out = String::new();
    let mut section = |title: &str, rows: Vec<(bool, String, String)>| {
        out += &format!("{title}\n");
        let width = rows.iter().map(|(_, name, _)| name.chars().count()).max().unwrap_or(0);
        for (found, name, about) in rows {
            let mark = if found { "ok" } else { "--" };
            out += format!("  {mark}  {name:<width$}  {about}").trim_end();
            out.push('\n');
        }
        out.push('\n');
    };
    if let Some(error) = &facts.error {
        section("GStreamer", vec![(false, "GStreamer".into(), error.clone())]);
    } else {
        let engines = facts.engines.iter().map(|e| {
            let about = match e.available {
                true => format!("{} {}", e.version, e.devices.join(", ")),
                false => e.remedy.clone().unwrap_or_default(),
            };
            (e.available, e.name.clone(), about.trim().to_owned())
        });
        section("Inference engines (one is enough; more are faster)", engines.collect());
        let codecs = facts
            .codecs
            .iter()
            .map(|c| (c.available, c.codec.clone(), c.reason.clone()));
        section("What nvencsink encodes with", codecs.collect());
    }
    section(
        "Devices",
        devices
            .iter()
            .map(|d| {
                let about = if d.found.is_empty() {
                    d.remedy.to_owned()
                } else {
                    d.found.join(", ")
                };
                (!d.found.is_empty(), d.kind.to_owned(), about)
            })
            .collect(),
    );
    section("Fonts for captions", fonts.rows());
    if facts.error.is_none() {
        section(
            "Encoders for H.264 (one is enough)",
            facts.encoders.iter().map(row).collect(),
        );
        section(
            "Decoders for H.264 (one is enough)",
            facts.decoders.iter().map(row).collect(),
        );
        section(
            &format!("Elements (GStreamer {})", facts.gstreamer),
            facts.elements.iter().map(row).collect(),
        );
    }
    out += &match missing {
        [] => "Everything that is needed is there.\n".to_owned(),
        missing => format!("Missing: {}\n", missing.join(", ")),
    };
    let mut packages: Vec<&str> = facts
        .elements
        .iter()
        .filter(|e| !e.found)
        .filter_map(|e| e.package.as_deref())
        .collect();
    // Of codecs one is enough; the first is the one to install.
    for group in [&facts.encoders, &facts.decoders] {
        if group.iter().all(|e| !e.found) {
            packages.extend(group.first().and_then(|e| e.package.as_deref()));
        }
    }
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        out += &format!("Install: apt install {}\n", packages.join(" "));
    }
    out
}

fn row(e: &ElementFact) -> (bool, String, String) {
    let about = match (&e.package, e.found) {
        (_, true) => e.plugin.clone(),
        (Some(package), false) => format!("install {package}"),
        (None, false) => String::new(),
    };
    (e.found, e.name.clone(), about)
}
