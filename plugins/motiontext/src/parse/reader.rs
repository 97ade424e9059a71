//! Reading single values, kindly.

use std::collections::HashMap;

use serde_json::Value;

use super::assets::{self, Asset, AssetKind, Source};
use super::{OffsetMode, Options, Profile};
use crate::css::{self, Length};
use crate::error::{Path, Warnings};
use crate::scene::Rgba;

/// Numbers are taken into this range, so that nothing computed from them overflows: far beyond any stage or time.
const LARGEST: f64 = 1e7;

/// What reading needs beside the document.
pub(crate) struct Reader<'a> {
    pub(crate) options: &'a Options,
    pub(crate) warnings: &'a mut Warnings,
    assets: Vec<Asset>,
    /// Their indices: many nodes may show the same.
    known: HashMap<(AssetKind, Source), usize>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(options: &'a Options, warnings: &'a mut Warnings) -> Self {
        Self {
            options,
            warnings,
            assets: Vec::new(),
            known: HashMap::new(),
            nodes: 0,
        }
    }

    pub(crate) fn into_assets(self) -> Vec<Asset> {
        self.assets
    }

    pub(crate) fn is_preview(&self) -> bool {
        self.options.profile == Profile::Preview
    }

    pub(crate) fn offset_mode(&self) -> OffsetMode {
        match self.options.offset_mode {
            OffsetMode::Auto if self.is_preview() => OffsetMode::Boundary,
            OffsetMode::Auto => OffsetMode::Smart,
            other => other,
        }
    }

    /// One more node; how many there are.
    pub(crate) fn count_node(&mut self) -> usize {
        self.nodes += 1;
        self.nodes
    }

    /// The index of an asset that a value names: a path, or an object with `src` or `url`.
    pub(crate) fn asset(&mut self, kind: AssetKind, value: &Value, path: &Path<'_>) -> Option<usize> {
        match assets::read(value, self.options) {
            Ok(source) => {
                let next = self.assets.len();
                let index = *self.known.entry((kind.clone(), source.clone())).or_insert(next);
                if index == next {
                    let path = path.to_string();
                    self.assets.push(Asset { kind, source, path });
                }
                Some(index)
            }
            Err(reason) => {
                self.warnings.add(path, reason);
                None
            }
        }
    }

    fn expected(&mut self, what: &str, value: &Value, path: &Path<'_>) {
        let mut found = value.to_string();
        if found.len() > 60 {
            found = found.chars().take(60).chain(['…']).collect();
        }
        self.warnings
            .add(path, format!("{what} expected, not {found}: ignored"));
    }

    /// A field read by `read`; what it cannot read is warned about and left out.
    pub(crate) fn field<T>(
        &mut self,
        object: &Value,
        key: &str,
        what: &str,
        path: &Path<'_>,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = object.get(key).filter(|value| !value.is_null())?;
        let result = read(value);
        if result.is_none() {
            self.expected(what, value, &path.key(key));
        }
        result
    }

    pub(crate) fn number(&mut self, object: &Value, key: &str, path: &Path<'_>) -> Option<f64> {
        self.field(object, key, "a number", path, number)
    }

    pub(crate) fn flag(&mut self, object: &Value, key: &str, path: &Path<'_>) -> Option<bool> {
        self.field(object, key, "true or false", path, Value::as_bool)
    }

    pub(crate) fn color(&mut self, object: &Value, key: &str, path: &Path<'_>) -> Option<Rgba> {
        self.field(object, key, "a CSS colour", path, |value| css::color(value.as_str()?))
    }

    /// `{x, y}` or `[x, y]`; one that is missing is `or`.
    pub(crate) fn pair<T: Copy>(
        &mut self,
        object: &Value,
        key: &str,
        or: T,
        path: &Path<'_>,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<[T; 2]> {
        self.field(object, key, "{x, y} or [x, y]", path, |value| {
            let one = |value: &Value| if value.is_null() { Some(or) } else { read(value) };
            match value {
                Value::Object(map) if map.contains_key("x") || map.contains_key("y") => {
                    Some([one(&value["x"])?, one(&value["y"])?])
                }
                Value::Array(list) if list.len() == 2 => Some([one(&list[0])?, one(&list[1])?]),
                _ => None,
            }
        })
    }
}

/// A finite number, or text that is one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => match css::length(text)? {
            Length::Px(px) if text.trim_end().ends_with(|c: char| c.is_ascii_digit() || c == '.') => px,
            _ => return None,
        },
        _ => return None,
    };
    number.is_finite().then(|| number.clamp(-LARGEST, LARGEST))
}

/// A number is a share, text a CSS length.
pub(crate) fn share_or_length(value: &Value) -> Option<Length> {
    match value {
        Value::String(text) => css::length(text).map(bounded),
        _ => number(value).map(Length::Share),
    }
}

/// A number is px, text a CSS length.
pub(crate) fn px_or_length(value: &Value) -> Option<Length> {
    match value {
        Value::String(text) => css::length(text).map(bounded),
        _ => number(value).map(Length::Px),
    }
}

fn bounded(length: Length) -> Length {
    match length {
        Length::Px(px) => Length::Px(px.clamp(-LARGEST, LARGEST)),
        Length::Share(share) => Length::Share(share.clamp(-LARGEST, LARGEST)),
    }
}
