//! Documents of version 2.0.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::assets::AssetKind;
use super::chain::{self, Base};
use super::reader::{Reader, number};
use super::{layout, style};
use crate::define::{self, Resolved};
use crate::error::{Error, Path};
use crate::model::{Content, Cue, Dialect, Document, Insets, Node, PanelStyle, Span, TextStyle, Track};

/// Longer texts are cut, characters.
pub(super) const LONGEST_TEXT: usize = 10_000;

/// Definitions of fonts, which many references may multiply.
const MOST_FONTS: usize = 256;

pub(super) fn document(reader: &mut Reader<'_>, value: Value) -> Result<Document, Error> {
    let Resolved {
        document: value,
        define,
    } = define::resolve(value)?;
    let palette = [value.get("speakerPalette"), define.get("speakerPalette")];
    let palette = palette.into_iter().flatten().find(|palette| palette.is_object());
    let root = Path::Root("define");
    let mut fonts = 0;
    for (key, value) in &define {
        define_fonts(reader, key, value, &root.key(key), &mut fonts);
    }
    let said = |path: &str, message: &str| Err(Error::said(path, message));
    for key in ["timebase", "stage"] {
        if !value[key].is_object() {
            return said(key, &format!("Missing required field: {key}"));
        }
    }
    for key in ["tracks", "cues"] {
        if !value[key].is_array() {
            return said(key, &format!("{key} must be an array"));
        }
    }
    let unit = &value["timebase"]["unit"];
    if unit != "seconds" {
        let shown = unit.as_str().map_or_else(|| unit.to_string(), str::to_owned);
        return said(
            "timebase.unit",
            &format!("timebase.unit must be \"seconds\", got \"{shown}\""),
        );
    }
    let fps = match &value["timebase"]["fps"] {
        Value::Null => None,
        fps => match number(fps).filter(|fps| fps.is_normal() && *fps > 0.0) {
            Some(fps) => Some(fps),
            None => return said("timebase.fps", "timebase.fps must be a positive number"),
        },
    };
    let aspect = &value["stage"]["baseAspect"];
    if !["16:9", "9:16", "auto"].iter().any(|known| aspect == known) {
        return said("stage.baseAspect", "stage.baseAspect must be one of: 16:9, 9:16, auto");
    }
    let snap = fps.filter(|_| value["behavior"]["snapToFrame"] == true);
    let root = Path::Root("");
    let stage = root.key("stage");
    let safe = layout::insets(reader, &value["stage"]["safeArea"], &stage.key("safeArea"));
    let tracks = Tracks::read(reader, &value["tracks"], safe, &root.key("tracks"))?;
    let mut scope = Scope {
        palette,
        ids: HashSet::new(),
        cues: &value["cues"],
    };
    let mut cues = Vec::new();
    let path = root.key("cues");
    for (index, cue) in value["cues"].as_array().into_iter().flatten().enumerate() {
        cues.push(scope.cue(reader, cue, &tracks, &path.item(index))?);
    }
    if !reader.is_preview() {
        // Upstream draws in the order of the document.
        cues.sort_by(|a, b| {
            let key = |cue: &Cue| (tracks.list[cue.track].0.layer, cue.root.layout.z);
            let ((layer_a, z_a), (layer_b, z_b)) = (key(a), key(b));
            layer_a.total_cmp(&layer_b).then(z_a.total_cmp(&z_b))
        });
    }
    let tracks = tracks.list.into_iter().map(|(track, _)| track).collect();
    Ok(Document {
        dialect: Dialect::V2,
        snap,
        tracks,
        cues,
    })
}

/// Fonts go by the name of their family and by the key under which they are defined, however deep.
fn define_fonts(reader: &mut Reader<'_>, key: &str, value: &Value, path: &Path<'_>, count: &mut usize) {
    match value {
        Value::Object(map) if map.get("type").is_some_and(|kind| kind == "font") => {
            *count += 1;
            if *count > MOST_FONTS {
                let message = format!("more than {MOST_FONTS} fonts: left out");
                return reader.warnings.add(path, message);
            }
            let family = value["family"].as_str().into_iter();
            let families = family.chain([key]).map(str::to_owned).collect();
            reader.asset(AssetKind::Font { families }, value, path);
        }
        Value::Object(map) => {
            for (key, value) in map {
                define_fonts(reader, key, value, &path.key(key), count);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                define_fonts(reader, key, value, &path.item(index), count);
            }
        }
        _ => {}
    }
}

/// What the nodes of a track take from it.
#[derive(Default)]
pub(super) struct TrackStyle {
    pub(super) style: Arc<TextStyle>,
    pub(super) panel: Option<PanelStyle>,
    /// What its text style says of boxes.
    pub(super) legacy: Option<PanelStyle>,
}

pub(super) struct Tracks {
    pub(super) list: Vec<(Track, TrackStyle)>,
    names: HashMap<String, usize>,
}

impl Tracks {
    pub(super) fn read(reader: &mut Reader<'_>, value: &Value, safe: Insets, path: &Path<'_>) -> Result<Self, Error> {
        let mut tracks = Self {
            list: Vec::new(),
            names: HashMap::new(),
        };
        for (index, value) in value.as_array().into_iter().flatten().enumerate() {
            let path = path.item(index);
            let id = value["id"].as_str().unwrap_or_default();
            if tracks.names.insert(id.to_owned(), index).is_some() {
                return Err(Error::said(path.key("id"), format!("Duplicate track ID: \"{id}\"")));
            }
            let subtitle = value["type"].as_str() != Some("free");
            let own = layout::insets(reader, &value["safeArea"], &path.key("safeArea"));
            let constraints = layout::constraints(
                reader,
                &value["defaultConstraints"],
                subtitle,
                &path.key("defaultConstraints"),
            );
            let text = &value["defaultStyle"];
            let text_path = path.key("defaultStyle");
            let boxes = &value["defaultBoxStyle"];
            let style = TrackStyle {
                style: Arc::new(style::text(reader, text, &text_path)),
                panel: boxes
                    .is_object()
                    .then(|| style::panel(reader, boxes, &path.key("defaultBoxStyle"))),
                legacy: style::speaks_of_panel(text).then(|| style::panel(reader, text, &text_path)),
            };
            let layer = reader.number(value, "layer", &path).unwrap_or(0.0);
            tracks.list.push((
                Track {
                    layer,
                    subtitle,
                    constraints,
                    safe: safe.larger(own),
                },
                style,
            ));
        }
        Ok(tracks)
    }

    pub(super) fn find(&self, id: &str) -> Option<usize> {
        self.names.get(id).copied()
    }
}

/// Two finite times; text in percent is a share of the parent's. Nothing is said by saying nothing.
fn time_range(value: &Value, parent: Span, path: &Path<'_>) -> Result<Option<Span>, Error> {
    let list = match value {
        Value::Null => return Ok(None),
        Value::Array(list) if list.len() == 2 => list,
        _ => return Err(Error::at(path, "timeRange must have exactly 2 elements [start, end]")),
    };
    let one = |value: &Value, name: &str| {
        let share = value
            .as_str()
            .and_then(|text| text.trim().strip_suffix('%'))
            .map(|text| number(&Value::from(text)));
        let time = match share {
            Some(Some(percent)) if parent.is_finite() => Some(parent.start + parent.length() * percent / 100.0),
            Some(_) => None,
            None => value.as_f64().filter(|_| value.is_number()).and_then(|_| number(value)),
        };
        time.ok_or_else(|| Error::at(path, format!("timeRange {name} must be a finite number")))
    };
    let (start, end) = (one(&list[0], "start")?, one(&list[1], "end")?);
    if start > end {
        return Err(Error::at(
            path,
            format!("timeRange start ({start}) must not be greater than end ({end})"),
        ));
    }
    Ok(Some(Span { start, end }))
}

/// The times that a cue's nodes name.
struct Extent(Option<Span>);

impl Extent {
    fn add(&mut self, span: Span) {
        let all = self.0.get_or_insert(span);
        *all = Span {
            start: all.start.min(span.start),
            end: all.end.max(span.end),
        };
    }
}

struct Scope<'a> {
    palette: Option<&'a Value>,
    /// Of cues and nodes.
    ids: HashSet<String>,
    cues: &'a Value,
}

/// Where an id is first given.
fn first_with(id: &str, cues: &Value) -> String {
    fn within(node: &Value, id: &str, path: &Path<'_>) -> Option<String> {
        if node["id"] == id {
            return Some(path.to_string());
        }
        let path = path.key("children");
        let mut children = node["children"].as_array().into_iter().flatten().enumerate();
        children.find_map(|(index, child)| within(child, id, &path.item(index)))
    }
    let root = Path::Root("cues");
    let mut cues = cues.as_array().into_iter().flatten().enumerate();
    let found = cues.find_map(|(index, cue)| {
        let path = root.item(index);
        if cue["id"] == id {
            Some(path.to_string())
        } else {
            within(&cue["root"], id, &path.key("root"))
        }
    });
    found.unwrap_or_default()
}

/// What a node takes from those around it.
struct Around<'a> {
    time: Span,
    style: Arc<TextStyle>,
    track: &'a TrackStyle,
}

impl<'a> Scope<'a> {
    fn id<'v>(
        &mut self,
        reader: &mut Reader<'_>,
        value: &'v Value,
        what: &str,
        path: &Path<'_>,
    ) -> Result<&'v str, Error> {
        let id = value["id"].as_str().filter(|id| !id.is_empty());
        let Some(id) = id else {
            return Err(Error::at(
                path.key("id"),
                format!("{what} ID is required and must be a non-empty string"),
            ));
        };
        if !self.ids.insert(id.to_owned()) {
            let message = format!("Duplicate {} ID: \"{id}\"", what.to_lowercase());
            if reader.options.strict_ids {
                let first = first_with(id, self.cues);
                return Err(Error::said(path, format!("{message} (conflicts with {first})")));
            }
            reader.warnings.add(path, message);
        }
        Ok(id)
    }

    fn cue(&mut self, reader: &mut Reader<'_>, value: &Value, tracks: &Tracks, path: &Path<'_>) -> Result<Cue, Error> {
        self.id(reader, value, "Cue", path)?;
        let at = path.key("track");
        let Some(name) = value["track"].as_str() else {
            return Err(Error::at(at, "Track reference is required and must be a string"));
        };
        let Some(track) = tracks.find(name) else {
            return Err(Error::at(at, format!("Unknown track ID \"{name}\"")));
        };
        let life = time_range(&value["domLifetime"], Span::ALWAYS, &path.key("domLifetime"))?;
        let time = time_range(&value["displayTime"], Span::ALWAYS, &path.key("displayTime"))?;
        let style = &tracks.list[track].1;
        let default = life.filter(|_| !reader.is_preview()).unwrap_or(Span::ALWAYS);
        let around = Around {
            time: time.unwrap_or(default),
            style: style.style.clone(),
            track: style,
        };
        let mut extent = Extent(None);
        let path = path.key("root");
        if !value["root"].is_object() {
            return Err(Error::at(path, "Root node is required and must be an object"));
        }
        let mut root = self.node(reader, &value["root"], &around, &mut extent, &path)?;
        // Upstream leaves half a second of air.
        let air = if reader.is_preview() { 0.5 } else { 0.0 };
        let found = extent.0.map(|all| Span {
            start: all.start - air,
            end: all.end + air,
        });
        let life = life.or(found).unwrap_or(Span {
            start: -1.0,
            end: f64::INFINITY,
        });
        if !reader.is_preview() {
            fill_times(&mut root, life);
        }
        if let Some(outside) = outside(&root, life) {
            reader.warnings.add(
                &path,
                format!("displayTime of {outside:?} is not within the cue's domLifetime"),
            );
        }
        Ok(Cue { track, life, root })
    }

    fn node(
        &mut self,
        reader: &mut Reader<'_>,
        value: &Value,
        around: &Around<'_>,
        extent: &mut Extent,
        path: &Path<'_>,
    ) -> Result<Node, Error> {
        let id = self.id(reader, value, "Node", path)?;
        let own_time = time_range(&value["displayTime"], around.time, &path.key("displayTime"))?;
        if let Some(time) = own_time {
            extent.add(time);
        }
        let time = own_time.unwrap_or(around.time);
        let base_time = [("baseTime"), ("base_time")]
            .into_iter()
            .find(|key| !value[*key].is_null());
        let base_time = match base_time {
            Some(key) => time_range(&value[key], around.time, &path.key(key))?,
            None => None,
        };
        let base = Base {
            dialect: Dialect::V2,
            id,
            time: base_time.unwrap_or(time),
            palette: self.palette,
        };
        let chain = chain::chain(reader, &value["pluginChain"], base, &path.key("pluginChain"))?;
        if !reader.is_preview() {
            chain.iter().for_each(|effect| extent.add(effect.window));
        }
        let style_path = path.key("style");
        let own_style = &value["style"];
        let style = if own_style.is_object() {
            Arc::new(style::text(reader, own_style, &style_path).over(&around.style))
        } else {
            around.style.clone()
        };
        let content = match kind(value) {
            Kind::Group => {
                let panel = Box::new(panel(reader, value, around.track, path));
                let around = Around {
                    time,
                    style: style.clone(),
                    track: around.track,
                };
                let path = path.key("children");
                let list = value["children"].as_array().into_iter().flatten().enumerate();
                let children = list.map(|(index, child)| self.node(reader, child, &around, extent, &path.item(index)));
                Content::Group {
                    children: children.collect::<Result<_, _>>()?,
                    panel,
                }
            }
            Kind::Text => Content::Text(text(reader, value, path)),
            Kind::Picture(kind) => {
                if kind == AssetKind::Video {
                    reader
                        .warnings
                        .add(path, "a video within a scenario is shown as a still");
                }
                Content::Picture(reader.asset(kind, &value["src"], &path.key("src")))
            }
            Kind::Unknown => {
                reader
                    .warnings
                    .add(path, "eType must be group, text, image or video: left out");
                Content::Picture(None)
            }
        };
        let layout = layout::layout(reader, &value["layout"], &path.key("layout"));
        let breakout = &value["effectScope"]["breakout"];
        let breakout = if reader.is_preview() || !breakout.is_object() {
            // Upstream does nothing with it.
            None
        } else {
            let path = path.key("effectScope");
            reader.number(breakout, "toLayer", &path.key("breakout"))
        };
        Ok(Node {
            id: id.into(),
            time,
            layout,
            style,
            chain,
            breakout,
            content,
        })
    }
}

pub(super) enum Kind {
    Group,
    Text,
    Picture(AssetKind),
    Unknown,
}

/// By its type under any of the names that it goes by, or by what it has.
pub(super) fn kind(value: &Value) -> Kind {
    let named = ["eType", "type", "e_type"]
        .into_iter()
        .find_map(|key| value[key].as_str());
    match named {
        Some("group") => Kind::Group,
        Some("text") => Kind::Text,
        Some("image") => Kind::Picture(AssetKind::Picture),
        Some("video") => Kind::Picture(AssetKind::Video),
        None if value["children"].is_array() => Kind::Group,
        None if value["text"].is_string() || value["content"].is_string() => Kind::Text,
        _ => Kind::Unknown,
    }
}

pub(super) fn text(reader: &mut Reader<'_>, value: &Value, path: &Path<'_>) -> Arc<str> {
    let text = ["text", "content"]
        .into_iter()
        .find_map(|key| value[key].as_str())
        .unwrap_or_default();
    match text.char_indices().nth(LONGEST_TEXT) {
        None => text.into(),
        Some((cut, _)) => {
            reader
                .warnings
                .add(path, format!("text of more than {LONGEST_TEXT} characters: cut"));
            text[..cut].into()
        }
    }
}

/// A group that has no box style may have one among its text style.
pub(super) fn panel(reader: &mut Reader<'_>, value: &Value, track: &TrackStyle, path: &Path<'_>) -> PanelStyle {
    let own = &value["boxStyle"];
    let default = PanelStyle::default();
    if own.is_object() || track.panel.is_some() {
        let under = track.panel.as_ref().unwrap_or(&default);
        return style::panel(reader, own, &path.key("boxStyle")).over(under);
    }
    let under = track.legacy.as_ref().unwrap_or(&default);
    if style::speaks_of_panel(&value["style"]) {
        return style::panel(reader, &value["style"], &path.key("style")).over(under);
    }
    under.clone()
}

/// Nodes that name no time at all are shown as long as the cue lives.
fn fill_times(node: &mut Node, life: Span) {
    if !node.time.is_finite() {
        node.time = life;
    }
    if let Content::Group { children, .. } = &mut node.content {
        children.iter_mut().for_each(|child| fill_times(child, life));
    }
}

/// The first node that is shown at a time at which its cue is not.
fn outside(node: &Node, life: Span) -> Option<&str> {
    if node.time.is_finite() && (node.time.start < life.start || node.time.end > life.end) {
        return Some(&node.id);
    }
    match &node.content {
        Content::Group { children, .. } => children.iter().find_map(|child| outside(child, life)),
        _ => None,
    }
}
