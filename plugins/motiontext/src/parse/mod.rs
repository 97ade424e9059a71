//! From bytes to a [`Document`]: strict about what cannot be shown, kind about what can be guessed.

mod assets;
mod chain;
mod layout;
mod reader;
mod style;
mod v13;
mod v2;

use std::path::PathBuf;

use serde_json::Value;

pub use assets::{Asset, AssetKind, Source};

use crate::error::{Error, Path, Warning, Warnings};
use crate::model::{Dialect, Document};

/// How a scenario is read and shown.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub profile: Profile,
    pub offset_mode: OffsetMode,
    /// Assets lie in this folder or below. Without it the scenario has no files.
    pub folder: Option<PathBuf>,
    /// Assets may have `http:` and `https:` addresses.
    pub remote_assets: bool,
    /// Two nodes with one id are an error and not a warning.
    pub strict_ids: bool,
    /// px lengths are those of a stage of this height and scale with it; 0 takes them as they are.
    pub reference_height: f64,
    /// Every random amount is this (-1..=1), for comparison with pictures that were made so.
    pub pinned_random: Option<f64>,
}

/// What to follow where the existing renderer and the written specification differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// What authors saw in their editor.
    #[default]
    Preview,
    /// What the specification says.
    Document,
}

/// What the two bounds of a `timeOffset` count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetMode {
    /// `Boundary` in the profile preview, `Smart` in the profile document.
    #[default]
    Auto,
    /// The first from the start of the base time, the second from its end.
    Boundary,
    /// Both from the start.
    Start,
    /// Both from the start if both are percentages and the second is positive, otherwise as `Boundary`.
    Smart,
}

/// Documents larger than this are refused, bytes.
const MOST_BYTES: usize = 32 << 20;

/// So many values may a document have, before and after its references are replaced.
pub(crate) const MOST_VALUES: usize = 1_000_000;

/// What was read.
pub(crate) struct Parsed {
    pub(crate) document: Document,
    pub(crate) assets: Vec<Asset>,
}

/// Reads a scenario. Fails where upstream's parser fails, with its words, but for what is understood here and not there.
pub(crate) fn parse(json: &[u8], options: &Options) -> Result<(Parsed, Vec<Warning>), Error> {
    if json.len() > MOST_BYTES {
        let message = format!(
            "Scenario has {} bytes, at most {MOST_BYTES} are read: split it",
            json.len()
        );
        return Err(Error::said("", message));
    }
    // Before anything is kept of them: a value takes up to a hundred times the two bytes that it may be written in.
    if json.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > MOST_VALUES {
        return Err(Error::said(
            "",
            format!("Scenario has more than {MOST_VALUES} values: split it"),
        ));
    }
    let json = json.strip_prefix("\u{feff}".as_bytes()).unwrap_or(json);
    let value: Value =
        serde_json::from_slice(json).map_err(|error| Error::said("", format!("Scenario is not JSON: {error}")))?;
    if !value.is_object() {
        return Err(Error::said("", "Scenario must be a valid JSON object"));
    }
    let mut warnings = Warnings::default();
    let dialect = dialect(&value)?;
    let mut reader = reader::Reader::new(options, &mut warnings);
    let document = match dialect {
        Dialect::V2 => v2::document(&mut reader, value)?,
        Dialect::V13 => v13::document(&mut reader, value)?,
    };
    let assets = reader.into_assets();
    Ok((Parsed { document, assets }, warnings.into_list()))
}

fn dialect(value: &Value) -> Result<Dialect, Error> {
    match &value["version"] {
        Value::String(version) if version == "2.0" => Ok(Dialect::V2),
        Value::String(version) if version == "1.3" => Ok(Dialect::V13),
        Value::Null if looks_like_v2(value) => Ok(Dialect::V2),
        Value::Null => Ok(Dialect::V13),
        other => {
            let version = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            let version: String = version.chars().take(40).collect();
            Err(Error::said(
                Path::Root("version"),
                format!("Unsupported scenario version: {version}"),
            ))
        }
    }
}

/// A document without a version is of 2.0 if it has what 1.3 did not have.
fn looks_like_v2(value: &Value) -> bool {
    let cues = value["cues"].as_array().map_or(&[][..], Vec::as_slice);
    value["define"].is_object()
        || cues
            .iter()
            .any(|cue| cue["domLifetime"].is_array() || any_node(&cue["root"], &has_time_list))
        || (!cues.is_empty()
            && cues
                .iter()
                .all(|cue| !any_node(&cue["root"], &|node| !node["id"].is_string())))
}

fn has_time_list(node: &Value) -> bool {
    let in_chain = |effect: &Value| effect["time_offset"].is_array() || effect["timeOffset"].is_array();
    node["displayTime"].is_array()
        || node["pluginChain"]
            .as_array()
            .is_some_and(|chain| chain.iter().any(in_chain))
}

/// As deep as the JSON reader goes, which has its own bound.
fn any_node(node: &Value, test: &dyn Fn(&Value) -> bool) -> bool {
    node.is_object()
        && (test(node)
            || node["children"]
                .as_array()
                .is_some_and(|list| list.iter().any(|child| any_node(child, test))))
}
