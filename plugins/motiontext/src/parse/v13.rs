//! Documents of version 1.3, with their own rules of time.

use std::sync::Arc;

use serde_json::Value;

use super::chain::{self, Base};
use super::reader::{Reader, number};
use super::v2::{Kind, TrackStyle, Tracks, kind, panel, text};
use super::{layout, style};
use crate::error::{Error, Path};
use crate::model::{
    Align, Anchor, Arrange, ChildrenLayout, Content, Cue, Dialect, Document, Layout, Mode, Node, Span, TextStyle,
};

pub(super) fn document(reader: &mut Reader<'_>, mut value: Value) -> Result<Document, Error> {
    let said = |path: &str, message: &str| Err(Error::said(path, message));
    let definitions = value["definitions"].take();
    if definitions.is_object() {
        replace_definitions(&mut value["cues"], &definitions);
    }
    match value["timebase"]["unit"].as_str() {
        None | Some("seconds" | "tc") => {}
        Some(unit) => {
            return said(
                "timebase.unit",
                &format!("timebase.unit must be \"seconds\" or \"tc\", got \"{unit}\""),
            );
        }
    }
    if value["tracks"].as_array().is_none_or(Vec::is_empty) {
        return said("tracks", "tracks must be a non-empty array");
    }
    if !value["cues"].is_array() {
        return said("cues", "cues must be an array");
    }
    let fps = value["timebase"].get("fps").and_then(number).filter(|fps| *fps > 0.0);
    let snap = fps.filter(|_| value["behavior"]["snapToFrame"] == true);
    let root = Path::Root("");
    let stage = root.key("stage");
    let safe = layout::insets(reader, &value["stage"]["safeArea"], &stage.key("safeArea"));
    let policies: Vec<bool> = value["tracks"].as_array().into_iter().flatten().map(ignores).collect();
    let mut tracks = Tracks::read(reader, &value["tracks"], safe, &root.key("tracks"))?;
    for (track, _) in &mut tracks.list {
        // Constraints came with 2.0.
        let anchor = if track.subtitle { Anchor::BOTTOM } else { Anchor::CENTER };
        track.constraints = crate::model::Constraints {
            breakout: true,
            anchor: Some(anchor),
            ..Default::default()
        };
    }
    let mut cues = Vec::new();
    let path = root.key("cues");
    for (index, cue) in value["cues"].as_array().into_iter().flatten().enumerate() {
        let path = path.item(index);
        let track = match cue["track"].as_str() {
            None => 0,
            Some(name) => tracks
                .find(name)
                .ok_or_else(|| Error::at(path.key("track"), format!("Unknown track ID \"{name}\"")))?,
        };
        let path = path.key("root");
        if !cue["root"].is_object() {
            return Err(Error::at(path, "Root node is required and must be an object"));
        }
        let (track_data, style) = &tracks.list[track];
        let around = Around {
            time: Span::ALWAYS,
            style: style.style.clone(),
            track: style,
            anchor: track_data.constraints.anchor,
            separate: policies[track],
        };
        let root = node(reader, &cue["root"], &around, &path)?;
        let life = life(&root);
        cues.push(Cue { track, life, root });
    }
    let tracks = tracks.list.into_iter().map(|(track, _)| track).collect();
    Ok(Document {
        dialect: Dialect::V13,
        snap,
        tracks,
        cues,
    })
}

fn ignores(track: &Value) -> bool {
    !matches!(track["overlapPolicy"].as_str(), Some("push" | "stack"))
}

/// `definitions.KEY` stands for a value in the parameters of effects, one level deep.
fn replace_definitions(value: &mut Value, definitions: &Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|item| replace_definitions(item, definitions)),
        Value::Object(map) => {
            for (key, item) in map {
                if let ("params", Value::Object(params)) = (key.as_str(), &mut *item) {
                    for param in params.values_mut() {
                        let defined = param
                            .as_str()
                            .and_then(|text| definitions.get(text.strip_prefix("definitions.")?));
                        if let Some(defined) = defined {
                            *param = defined.clone();
                        }
                    }
                } else {
                    replace_definitions(item, definitions);
                }
            }
        }
        _ => {}
    }
}

struct Around<'a> {
    time: Span,
    style: Arc<TextStyle>,
    track: &'a TrackStyle,
    anchor: Option<Anchor>,
    /// Children do not make room for each other.
    separate: bool,
}

fn node(reader: &mut Reader<'_>, value: &Value, around: &Around<'_>, path: &Path<'_>) -> Result<Node, Error> {
    let number_of = reader.count_node();
    let id: Arc<str> = value["id"]
        .as_str()
        .map_or_else(|| format!("node-{number_of}").into(), Into::into);
    let mut time = |key: &str, or: f64| reader.field(value, key, "a time", path, number).unwrap_or(or);
    let time = Span {
        start: time("absStart", around.time.start),
        end: time("absEnd", around.time.end),
    };
    if time.end <= time.start {
        return Err(Error::at(
            path,
            format!("absEnd ({}) must be greater than absStart ({})", time.end, time.start),
        ));
    }
    let base = Base {
        dialect: Dialect::V13,
        id: &id,
        time,
        palette: None,
    };
    let chain = chain::chain(reader, &value["pluginChain"], base, &path.key("pluginChain"))?;
    let style = if value["style"].is_object() {
        Arc::new(style::text(reader, &value["style"], &path.key("style")).over(&around.style))
    } else {
        around.style.clone()
    };
    let mut layout = layout::layout(reader, &value["layout"], &path.key("layout"));
    layout.anchor = layout.anchor.or(around.anchor);
    let content = match kind(value) {
        Kind::Text => Content::Text(text(reader, value, path)),
        Kind::Group | Kind::Unknown => {
            let panel = Box::new(panel(reader, value, around.track, path));
            layout.children = Some(arrange(&layout, around.separate));
            let around = Around {
                time,
                style: style.clone(),
                ..*around
            };
            let path = path.key("children");
            let list = value["children"].as_array().into_iter().flatten().enumerate();
            let children = list.map(|(index, child)| node(reader, child, &around, &path.item(index)));
            Content::Group {
                children: children.collect::<Result<_, _>>()?,
                panel,
            }
        }
        Kind::Picture(kind) => Content::Picture(reader.asset(kind, &value["src"], &path.key("src"))),
    };
    Ok(Node {
        id,
        time,
        layout,
        style,
        chain,
        breakout: None,
        content,
    })
}

/// Words follow each other; `flow`, and a track on which things push each other, puts them below each other.
fn arrange(layout: &Layout, separate: bool) -> ChildrenLayout {
    let words = separate && layout.mode != Some(Mode::Flow);
    ChildrenLayout {
        arrange: if layout.mode == Some(Mode::Grid) {
            Arrange::Grid
        } else {
            Arrange::Flow
        },
        vertical: !words,
        gap: layout.gap.unwrap_or(0.0),
        gap_em: if words { 0.33 } else { 0.0 },
        wrap: words,
        max_width: None,
        max_width_rel: None,
        align: Align::Center,
        justify: Align::Center,
    }
}

/// From the first node's start to the last one's end.
fn life(node: &Node) -> Span {
    match &node.content {
        Content::Group { children, .. } if !children.is_empty() => {
            let all = Span {
                start: f64::INFINITY,
                end: f64::NEG_INFINITY,
            };
            children.iter().map(life).fold(all, |all, one| Span {
                start: all.start.min(one.start),
                end: all.end.max(one.end),
            })
        }
        _ => node.time,
    }
}

/// Counted from the start and from the end of the node, then taken into its time.
pub(super) fn window(spec: &Value, time: Span, path: &Path<'_>) -> Result<Span, Error> {
    if !time.is_finite() {
        return Ok(time);
    }
    let offset = |seconds: &str, share: &str| {
        let share = || spec.get(share).and_then(number).map(|share| share * time.length());
        spec.get(seconds).and_then(number).or_else(share).unwrap_or(0.0)
    };
    let (start, end) = (
        time.start + offset("relStart", "relStartPct"),
        time.end + offset("relEnd", "relEndPct"),
    );
    if end < start {
        return Err(Error::at(
            path,
            format!("the effect ends at {end} before it begins at {start}"),
        ));
    }
    Ok(Span {
        start: start.clamp(time.start, time.end),
        end: end.clamp(time.start, time.end),
    })
}
