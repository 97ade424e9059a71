//! `style` and `boxStyle`.

use serde_json::Value;

use super::assets::AssetKind;
use super::reader::{Reader, number, px_or_length, share_or_length};
use crate::css::{self, Length, ShadowSpec};
use crate::error::Path;
use crate::model::{Align, PanelStyle, StrokeStyle, TextStyle, WhiteSpace};
use crate::scene::Rgba;

/// What a group's style may hold that is meant for its box, and an old habit.
const PANEL_KEYS: [&str; 6] = [
    "backgroundColor",
    "boxBg",
    "border",
    "padding",
    "borderRadius",
    "opacity",
];

/// Shadows of one text: each is as much work as the text itself.
const MAX_SHADOWS: usize = 32;

/// Whether a style speaks of a box.
pub(super) fn speaks_of_panel(style: &Value) -> bool {
    PANEL_KEYS
        .iter()
        .any(|key| style.get(*key).is_some_and(|value| !value.is_null()))
}

pub(super) fn text(reader: &mut Reader<'_>, style: &Value, path: &Path<'_>) -> TextStyle {
    if !style.is_object() {
        return TextStyle::default();
    }
    let text_length = |value: &Value| px_or_length(value).filter(|length| length.px(1.0) > 0.0);
    TextStyle {
        color: reader.color(style, "color", path),
        families: families(reader, style, path),
        size: reader.field(style, "fontSize", "a CSS length", path, text_length),
        size_rel: reader.field(style, "fontSizeRel", "a positive number", path, |value| {
            number(value).filter(|size| *size > 0.0)
        }),
        weight: reader.field(style, "fontWeight", "1 to 1000, normal or bold", path, weight),
        italic: reader.field(style, "fontStyle", "normal or italic", path, |value| {
            Some(matches!(value.as_str()?, "italic" | "oblique"))
        }),
        line_height: reader
            .field(style, "lineHeight", "a number or a CSS length", path, line_height)
            .flatten(),
        letter_spacing: reader.field(style, "letterSpacing", "a CSS length", path, |value| {
            Some(px_or_length(value)?.px(16.0))
        }),
        shadows: shadows(reader, style, path),
        stroke: reader.field(style, "stroke", "{widthRel, color}", path, |value| {
            let width = value.get("widthRel").and_then(number).map(Length::Share);
            Some(StrokeStyle {
                width: width.or_else(|| value.get("width").and_then(px_or_length))?,
                color: value["color"].as_str().map_or(Some(Rgba::BLACK), css::color)?,
            })
        }),
        align: reader
            .field(style, "align", "left, center or right", path, align)
            .or_else(|| reader.field(style, "textAlign", "left, center or right", path, align)),
        white_space: reader.field(
            style,
            "whiteSpace",
            "wrap, normal, nowrap, pre or pre-wrap",
            path,
            |value| {
                Some(match value.as_str()? {
                    "wrap" | "normal" | "pre-line" => WhiteSpace::Normal,
                    "nowrap" => WhiteSpace::NoWrap,
                    "pre" => WhiteSpace::Pre,
                    "pre-wrap" | "break-spaces" => WhiteSpace::PreWrap,
                    _ => return None,
                })
            },
        ),
        opacity: reader
            .number(style, "opacity", path)
            .map(|opacity| opacity.clamp(0.0, 1.0)),
    }
}

pub(super) fn panel(reader: &mut Reader<'_>, style: &Value, path: &Path<'_>) -> PanelStyle {
    if !style.is_object() {
        return PanelStyle::default();
    }
    let border = style.get("border").filter(|border| border.is_object());
    PanelStyle {
        background: reader
            .color(style, "backgroundColor", path)
            .or_else(|| reader.color(style, "boxBg", path)),
        border: reader.field(style, "border", "{widthRel, color, radiusRel}", path, |value| {
            let object = value.as_object()?;
            let width = object.get("widthRel").and_then(number).map(Length::Share);
            Some(StrokeStyle {
                width: width
                    .or_else(|| object.get("width").and_then(px_or_length))
                    .unwrap_or(Length::Px(0.0)),
                color: value["color"].as_str().map_or(Some(Rgba::BLACK), css::color)?,
            })
        }),
        border_radius: border.and_then(|border| {
            let share = border.get("radiusRel").and_then(number).map(Length::Share);
            share.or_else(|| border.get("radius").and_then(px_or_length))
        }),
        radius: reader.field(style, "borderRadius", "a share or CSS lengths", path, sides),
        padding: reader.field(
            style,
            "padding",
            "CSS lengths, {x, y} or {top, right, bottom, left}",
            path,
            padding,
        ),
        opacity: reader
            .number(style, "opacity", path)
            .map(|opacity| opacity.clamp(0.0, 1.0)),
    }
}

/// Text is one to four CSS lengths, a number a share.
fn sides(value: &Value) -> Option<css::Sides> {
    match value {
        Value::String(text) => css::sides(text),
        _ => number(value).map(|share| [Length::Share(share); 4]),
    }
}

fn padding(value: &Value) -> Option<css::Sides> {
    let Value::Object(object) = value else {
        return sides(value);
    };
    let side = |key: &str| object.get(key).map_or(Some(Length::Px(0.0)), share_or_length);
    if object.contains_key("x") || object.contains_key("y") {
        let (x, y) = (side("x")?, side("y")?);
        return Some([y, x, y, x]);
    }
    Some([side("top")?, side("right")?, side("bottom")?, side("left")?])
}

/// A list of names, or a font asset: its family and what falls back for it.
fn shadows(reader: &mut Reader<'_>, style: &Value, path: &Path<'_>) -> Option<Vec<ShadowSpec>> {
    let mut list = reader.field(style, "textShadow", "a list of shadows", path, |value| {
        css::shadows(value.as_str()?)
    })?;
    if list.len() > MAX_SHADOWS {
        let message = format!("{} shadows: the first {MAX_SHADOWS} are drawn", list.len());
        reader.warnings.add(&path.key("textShadow"), message);
        list.truncate(MAX_SHADOWS);
    }
    Some(list)
}

fn families(reader: &mut Reader<'_>, style: &Value, path: &Path<'_>) -> Option<Vec<String>> {
    let value = style.get("fontFamily").filter(|value| !value.is_null())?;
    let split = |text: &str| -> Vec<String> {
        let names = text
            .split(',')
            .map(|name| name.trim().trim_matches(['"', '\'']).to_owned());
        names
            .filter(|name| !name.is_empty() && name.len() < 200)
            .take(16)
            .collect()
    };
    let path = path.key("fontFamily");
    let names = match value {
        Value::String(text) => split(text),
        Value::Object(asset) => {
            let mut names = asset
                .get("family")
                .and_then(Value::as_str)
                .map(split)
                .unwrap_or_default();
            if names.is_empty() {
                // A font without a name is asked for by the address that it has.
                names.extend(
                    asset
                        .get("src")
                        .or_else(|| asset.get("url"))
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
            }
            reader.asset(
                AssetKind::Font {
                    families: names.clone(),
                },
                value,
                &path,
            );
            for name in asset
                .get("fallback")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
            {
                names.extend(split(name));
            }
            names
        }
        _ => Vec::new(),
    };
    if names.is_empty() {
        reader.warnings.add(&path, "names of fonts expected: ignored");
        return None;
    }
    Some(names)
}

fn weight(value: &Value) -> Option<u16> {
    match value.as_str() {
        Some("normal") => Some(400),
        Some("bold" | "bolder") => Some(700),
        Some("lighter" | "light") => Some(300),
        Some("medium") => Some(500),
        Some("semibold") => Some(600),
        _ => number(value)
            .filter(|weight| (1.0..=1000.0).contains(weight))
            .map(|weight| weight as u16),
    }
}

/// A number is times the font's size. `normal` is said by saying nothing.
fn line_height(value: &Value) -> Option<Option<Length>> {
    if value.as_str() == Some("normal") {
        return Some(None);
    }
    let height = number(value).map(Length::Share).or_else(|| px_or_length(value))?;
    (height.px(1.0) >= 0.0).then_some(Some(height))
}

fn align(value: &Value) -> Option<Align> {
    Some(match value.as_str()? {
        "left" | "start" => Align::Start,
        "center" | "justify" => Align::Center,
        "right" | "end" => Align::End,
        _ => return None,
    })
}
