//! `layout`, `defaultConstraints` and `safeArea`.

use serde_json::Value;

use super::reader::{Reader, number, px_or_length, share_or_length};
use crate::css::{self, Length};
use crate::error::Path;
use crate::model::{Align, Anchor, Arrange, ChildrenLayout, Constraints, Insets, Layout, Mode, Size, Transforms};

pub(super) fn layout(reader: &mut Reader<'_>, value: &Value, path: &Path<'_>) -> Layout {
    if !value.is_object() {
        if !value.is_null() {
            reader.warnings.add(path, "an object expected: ignored");
        }
        return Layout::default();
    }
    let size = if value["size"].is_array() {
        let list = reader.pair(value, "size", None, path, |value| Some(size(value)));
        list.unwrap_or_default()
    } else {
        [size(&value["size"]["width"]), size(&value["size"]["height"])]
    };
    Layout {
        mode: mode(reader, value, path),
        anchor: reader.field(value, "anchor", "one of tl tc tr cl cc cr bl bc br", path, |value| {
            Anchor::parse(value.as_str()?)
        }),
        position: reader.pair(value, "position", Length::Share(0.0), path, share_or_length),
        size,
        max: [size_of(value, "maxWidth"), size_of(value, "maxHeight")],
        padding: reader
            .pair(value, "padding", 0.0, path, number)
            .map(|pair| pair.map(|share| share.clamp(0.0, 10.0))),
        gap: reader.number(value, "gapRel", path).map(|gap| gap.clamp(0.0, 10.0)),
        transform: transforms(reader, &value["transform"], &path.key("transform")),
        origin: reader.field(value, "transformOrigin", "two CSS lengths", path, origin),
        z: reader.number(value, "zIndex", path).unwrap_or(0.0),
        clip: value["overflow"]
            .as_str()
            .is_some_and(|overflow| matches!(overflow, "clip" | "hidden")),
        safe_clamp: reader.flag(value, "safeAreaClamp", path).unwrap_or(false),
        shift: shift(reader, &value["override"], &path.key("override")),
        children: children(reader, &value["childrenLayout"], &path.key("childrenLayout")),
    }
}

fn mode(reader: &mut Reader<'_>, value: &Value, path: &Path<'_>) -> Option<Mode> {
    reader.field(value, "mode", "flow, grid or absolute", path, |value| {
        Some(match value.as_str()? {
            "flow" => Mode::Flow,
            "grid" => Mode::Grid,
            "absolute" => Mode::Absolute,
            _ => return None,
        })
    })
}

fn size_of(value: &Value, key: &str) -> Option<Size> {
    value.get(key).and_then(size)
}

/// `auto` is said by saying nothing.
fn size(value: &Value) -> Option<Size> {
    share_or_length(value).filter(|size| size.px(1.0) >= 0.0)
}

fn transforms(reader: &mut Reader<'_>, value: &Value, path: &Path<'_>) -> Transforms {
    let scale = match value["scale"] {
        Value::Number(_) => number(&value["scale"]).map(|scale| [scale; 2]),
        _ => reader.pair(value, "scale", 1.0, path, number),
    };
    Transforms {
        translate: reader.pair(value, "translate", Length::Share(0.0), path, share_or_length),
        scale: scale.map(|pair| pair.map(|scale| scale.clamp(-1e4, 1e4))),
        rotate: reader.field(value, "rotate", "{deg} or degrees", path, |value| match value {
            Value::Object(object) => number(object.get("deg")?),
            Value::String(text) => number(&Value::from(text.trim_end_matches("deg"))),
            _ => number(value),
        }),
        skew: reader.field(value, "skew", "{xDeg, yDeg}", path, |value| {
            let one = |long: &str, short: &str| {
                let value = value.get(long).or_else(|| value.get(short));
                // At 90 degrees a skew is infinite.
                value.map_or(Some(0.0), number).map(|deg| deg.clamp(-89.9, 89.9))
            };
            value.is_object().then_some([one("xDeg", "x")?, one("yDeg", "y")?])
        }),
    }
}

fn origin(value: &Value) -> Option<[Length; 2]> {
    let mut parts = value.as_str()?.split_whitespace();
    let one = |word: &str| match word {
        "left" | "top" => Some(Length::Share(0.0)),
        "center" => Some(Length::Share(0.5)),
        "right" | "bottom" => Some(Length::Share(1.0)),
        _ => css::length(word),
    };
    let first = parts.next()?;
    let x = one(first)?;
    let y = parts.next().map_or(Some(Length::Share(0.5)), one)?;
    // "top left" says the same as "left top".
    Some(if matches!(first, "top" | "bottom") {
        [y, x]
    } else {
        [x, y]
    })
}

fn shift(reader: &mut Reader<'_>, value: &Value, path: &Path<'_>) -> Option<(Option<[Size; 2]>, Transforms)> {
    if !value.is_object() {
        return None;
    }
    let offset = reader.pair(value, "offset", Length::Share(0.0), path, share_or_length);
    Some((offset, transforms(reader, &value["transform"], &path.key("transform"))))
}

fn children(reader: &mut Reader<'_>, value: &Value, path: &Path<'_>) -> Option<ChildrenLayout> {
    if !value.is_object() {
        return None;
    }
    let arrange = reader.field(value, "mode", "flow, grid or stack", path, |value| {
        Some(match value.as_str()? {
            "flow" => Arrange::Flow,
            "grid" => Arrange::Grid,
            "stack" | "absolute" => Arrange::Stack,
            _ => return None,
        })
    });
    let vertical = value["direction"].as_str() == Some("vertical");
    let align = |value: &Value| {
        Some(match value.as_str()? {
            "start" | "flex-start" => Align::Start,
            "center" => Align::Center,
            "end" | "flex-end" => Align::End,
            "space-between" => Align::Between,
            _ => return None,
        })
    };
    Some(ChildrenLayout {
        arrange: arrange.unwrap_or(Arrange::Flow),
        vertical,
        gap: reader.number(value, "gap", path).unwrap_or(0.0).clamp(0.0, 1.0),
        gap_em: 0.0,
        wrap: reader.flag(value, "wrap", path).unwrap_or(!vertical),
        max_width: reader.field(value, "maxWidth", "px or a CSS length", path, px_or_length),
        max_width_rel: reader.number(value, "maxWidthRel", path),
        align: reader
            .field(value, "align", "start, center or end", path, align)
            .unwrap_or(Align::Center),
        justify: reader
            .field(value, "justify", "start, center, end or space-between", path, align)
            .unwrap_or(Align::Center),
    })
}

/// What a track says about its boxes; saying it replaces all that its type says.
pub(super) fn constraints(reader: &mut Reader<'_>, value: &Value, subtitle: bool, path: &Path<'_>) -> Constraints {
    if !value.is_object() {
        return of_type(subtitle);
    }
    let share = |value: Option<f64>| value.filter(|share| (0.0..=10.0).contains(share));
    let breakout = value["constraintMode"].as_str() == Some("breakout");
    Constraints {
        of_type: false,
        mode: mode(reader, value, path),
        horizontal: value["direction"].as_str() == Some("horizontal"),
        breakout,
        min: [
            share(reader.number(value, "minWidth", path)),
            share(reader.number(value, "minHeight", path)),
        ],
        max: [
            share(reader.number(value, "maxWidth", path)),
            share(reader.number(value, "maxHeight", path)),
        ],
        gap: share(reader.number(value, "gap", path)).unwrap_or(0.0),
        padding: reader
            .pair(value, "padding", 0.0, path, number)
            .map(|pair| pair.map(|share| share.clamp(0.0, 10.0))),
        anchor: reader.field(value, "anchor", "one of tl tc tr cl cc cr bl bc br", path, |value| {
            Anchor::parse(value.as_str()?)
        }),
        safe: insets(reader, &value["safeArea"], &path.key("safeArea")),
    }
}

fn of_type(subtitle: bool) -> Constraints {
    if !subtitle {
        return Constraints {
            of_type: true,
            breakout: true,
            anchor: Some(Anchor::CENTER),
            ..Constraints::default()
        };
    }
    Constraints {
        of_type: true,
        mode: Some(Mode::Flow),
        horizontal: false,
        breakout: false,
        min: [Some(0.1), Some(0.05)],
        max: [Some(0.8), Some(0.4)],
        gap: 0.02,
        padding: Some([0.02, 0.015]),
        anchor: Some(Anchor::BOTTOM),
        safe: Insets {
            top: 0.0,
            bottom: 0.075,
            left: 0.05,
            right: 0.05,
        },
    }
}

pub(super) fn insets(reader: &mut Reader<'_>, value: &Value, path: &Path<'_>) -> Insets {
    let mut side = |key| reader.number(value, key, path).unwrap_or(0.0).clamp(0.0, 1.0);
    Insets {
        top: side("top"),
        bottom: side("bottom"),
        left: side("left"),
        right: side("right"),
    }
}
