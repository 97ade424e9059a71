//! `nunchi doctor --hef FILE …`: the networks of files compiled for a Hailo, and what our elements take them for.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::doctor::ask_child;
use crate::cli::Format;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::runner::HefFact;

pub fn run(files: &[PathBuf], format: Format) -> Exit {
    // Each in a child of its own, so that one which crashes the library leaves the others readable.
    let facts: Vec<HefFact> = files.iter().map(|file| read(file)).collect();
    match format {
        Format::Json => output::print(&format!(
            "{:#}\n",
            json!({"version": env!("CARGO_PKG_VERSION"), "hefs": facts})
        )),
        Format::Text => {
            facts
                .iter()
                .filter(|f| f.error.is_none())
                .for_each(|f| output::print(&text(f)));
            facts.iter().filter_map(|f| f.error.as_ref()).for_each(output::error);
        }
    }
    facts.iter().find_map(|f| f.error.as_ref()).map_or(Exit::Ok, |f| f.exit)
}

fn read(file: &Path) -> HefFact {
    let arguments = ["runner", "--hef"].map(OsStr::new);
    ask_child(&[&arguments[..], &[file.as_os_str()]].concat()).unwrap_or_else(|why| HefFact {
        file: file.into(),
        networks: Vec::new(),
        family: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        error: Some(Failure::new(
            Exit::Unavailable,
            format!("reading {} {why}", file.display()),
        )),
    })
}

fn text(fact: &HefFact) -> String {
    let mut out = format!("{}\n", fact.file.display());
    let mut row = |name: &str, about: &str| out += &format!("  {name:<8} {about}\n");
    match fact.networks.as_slice() {
        [one] => row("network", one),
        several => row(
            "networks",
            &format!("{}; our elements run files with one", several.join(", ")),
        ),
    }
    match &fact.family {
        Some(f) => row("family", &format!("{}: {} {}=", f.name, f.element, f.property)),
        None => row("family", "unknown: none of our elements reads it"),
    }
    fact.inputs.iter().for_each(|t| row("input", &t.text));
    fact.outputs.iter().for_each(|t| row("output", &t.text));
    out.push('\n');
    out
}
