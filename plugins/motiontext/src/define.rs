//! `define.…` references, replaced by what they name before anything else reads the document.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::error::{Error, Path};
use crate::parse::MOST_VALUES;

/// How deep values may lie in each other once references are replaced.
const MOST_DEPTH: usize = 128;

const PREFIX: &str = "define.";

/// A document with every reference replaced.
pub(crate) struct Resolved {
    /// Without `define`.
    pub(crate) document: Value,
    pub(crate) define: Map<String, Value>,
}

/// Replaces every reference, also those within `define` itself.
pub(crate) fn resolve(document: Value) -> Result<Resolved, Error> {
    let Value::Object(mut document) = document else {
        return Ok(Resolved {
            document,
            define: Map::new(),
        });
    };
    let define = match document.remove("define") {
        Some(Value::Object(define)) => define,
        Some(Value::Null) | None => Map::new(),
        Some(_) => return Err(Error::at("define", "must be an object")),
    };
    let mut resolver = Resolver {
        define: &define,
        under_way: Vec::new(),
        values: 0,
    };
    let root = Path::Root("");
    let mut resolved = Map::new();
    for (key, value) in document {
        let value = resolver.owned(value, &root.key(&key), 0)?;
        resolved.insert(key, value);
    }
    // Also what nothing refers to must make sense.
    let root = Path::Root("define");
    let mut definitions = Map::new();
    for (key, value) in &define {
        definitions.insert(key.clone(), resolver.value(value, &root.key(key), 0)?);
    }
    Ok(Resolved {
        document: Value::Object(resolved),
        define: definitions,
    })
}

struct Resolver<'a> {
    define: &'a Map<String, Value>,
    /// The references that are being replaced, outermost first.
    under_way: Vec<String>,
    /// How many were made: a few lines of references to references could make billions.
    values: usize,
}

impl Resolver<'_> {
    fn count(&mut self, copied: usize, path: &Path<'_>, depth: usize) -> Result<(), Error> {
        // Text that is copied counts by its length.
        self.values += 1 + copied / 64;
        if self.values > MOST_VALUES {
            return Err(Error::at(
                path,
                format!("more than {MOST_VALUES} values: split the scenario"),
            ));
        }
        if depth > MOST_DEPTH {
            return Err(Error::at(path, format!("nested more than {MOST_DEPTH} deep")));
        }
        Ok(())
    }

    /// As `value`, without a copy of what has no reference in it.
    fn owned(&mut self, value: Value, path: &Path<'_>, depth: usize) -> Result<Value, Error> {
        self.count(0, path, depth)?;
        Ok(match value {
            Value::String(text) if text.starts_with(PREFIX) => self.reference(&text, path, depth)?,
            Value::Array(mut list) => {
                for (index, item) in list.iter_mut().enumerate() {
                    *item = self.owned(item.take(), &path.item(index), depth + 1)?;
                }
                Value::Array(list)
            }
            Value::Object(mut map) => {
                for (key, item) in &mut map {
                    *item = self.owned(item.take(), &path.key(key), depth + 1)?;
                }
                Value::Object(map)
            }
            other => other,
        })
    }

    fn value(&mut self, value: &Value, path: &Path<'_>, depth: usize) -> Result<Value, Error> {
        self.count(value.as_str().map_or(0, str::len), path, depth)?;
        Ok(match value {
            Value::String(text) if text.starts_with(PREFIX) => self.reference(text, path, depth)?,
            Value::Array(list) => {
                let items = list.iter().enumerate();
                let items = items.map(|(index, item)| self.value(item, &path.item(index), depth + 1));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let mut copy = Map::new();
                for (key, item) in map {
                    let path = path.key(key);
                    self.count(key.len(), &path, depth)?;
                    copy.insert(key.clone(), self.value(item, &path, depth + 1)?);
                }
                Value::Object(copy)
            }
            other => other.clone(),
        })
    }

    fn reference(&mut self, text: &str, path: &Path<'_>, depth: usize) -> Result<Value, Error> {
        if self.under_way.iter().any(|other| other == text) {
            let chain = self.under_way.join(" -> ");
            return Err(Error::said(
                path,
                format!("Circular reference detected in define: {chain} -> {text}"),
            ));
        }
        if self.under_way.len() >= MOST_DEPTH {
            return Err(Error::at(
                path,
                format!("more than {MOST_DEPTH} references to references"),
            ));
        }
        let mut keys = text[PREFIX.len()..].split('.');
        let first = keys.next().unwrap_or_default();
        if first.is_empty() {
            return Err(Error::said(
                path,
                format!("Invalid define reference: \"{text}\" at {path}"),
            ));
        }
        let define = self.define;
        let Some(mut found) = define.get(first).map(Cow::Borrowed) else {
            return Err(Error::said(
                path,
                format!("Undefined define key: \"{first}\" referenced at {path}"),
            ));
        };
        self.under_way.push(text.to_owned());
        for key in keys {
            // A reference on the way to the property is followed, so that properties of references can be named too.
            let target = found
                .as_str()
                .filter(|target| target.starts_with(PREFIX))
                .map(str::to_owned);
            if let Some(target) = target {
                found = Cow::Owned(self.reference(&target, path, depth)?);
            }
            found = match found {
                Cow::Borrowed(value) => Cow::Borrowed(step(value, key, path)?),
                Cow::Owned(value) => Cow::Owned(step(&value, key, path)?.clone()),
            };
        }
        let value = self.value(&found, path, depth)?;
        self.under_way.pop();
        Ok(value)
    }
}

fn step<'a>(value: &'a Value, key: &str, path: &Path<'_>) -> Result<&'a Value, Error> {
    let missing = || Error::said(path, format!("Property \"{key}\" not found in define at {path}"));
    match value {
        Value::Object(map) => map.get(key).ok_or_else(missing),
        Value::Array(list) => key
            .parse::<usize>()
            .ok()
            .and_then(|index| list.get(index))
            .ok_or_else(missing),
        Value::Null => Err(Error::said(
            path,
            format!("Cannot access \"{key}\" on object at {path}"),
        )),
        _ => Err(Error::said(
            path,
            format!("Cannot access property \"{key}\" on non-object at {path}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(define: &Value, text: &str) -> Result<Value, String> {
        let document = json!({"define": define, "x": [{"y": text}]});
        resolve(document)
            .map(|resolved| resolved.document["x"][0]["y"].clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_properties_and_references_to_references() {
        let define = json!({"a": {"b": [1, {"c": "define.d"}]}, "d": "define.e.f", "e": {"f": 7, "g": "define.a"}});
        assert_eq!(resolved(&define, "define.a.b.0"), Ok(json!(1)));
        assert_eq!(resolved(&define, "define.a.b.1.c"), Ok(json!(7)));
        assert_eq!(resolved(&define, "define.e.g.b.1"), Ok(json!({"c": 7})));
        assert_eq!(resolved(&define, "undefined.a"), Ok(json!("undefined.a")));
        assert_eq!(resolved(&json!({"a": {"b": {"b": 3}}}), "define.a.b.b"), Ok(json!(3)));
    }

    #[test]
    fn what_cannot_be_resolved_names_the_place() {
        let define = json!({"a": {"b": 1, "n": null}});
        assert_eq!(
            resolved(&define, "define.z"),
            Err("Undefined define key: \"z\" referenced at x[0].y".into())
        );
        assert_eq!(
            resolved(&define, "define."),
            Err("Invalid define reference: \"define.\" at x[0].y".into())
        );
        assert_eq!(
            resolved(&define, "define.a.c"),
            Err("Property \"c\" not found in define at x[0].y".into())
        );
        assert_eq!(
            resolved(&define, "define.a.b.c"),
            Err("Cannot access property \"c\" on non-object at x[0].y".into())
        );
        assert_eq!(
            resolved(&define, "define.a.n.c"),
            Err("Cannot access \"c\" on object at x[0].y".into())
        );
    }

    #[test]
    fn cycles_and_explosions_end() {
        let cycle = json!({"a": "define.b", "b": {"c": "define.a.c"}});
        assert!(resolved(&cycle, "define.a.c").is_err_and(|text| text.starts_with("Circular reference")));
        let mut bomb = Map::new();
        bomb.insert("a0".into(), json!("x"));
        for level in 1..40 {
            bomb.insert(
                format!("a{level}"),
                json!([format!("define.a{}", level - 1), format!("define.a{}", level - 1)]),
            );
        }
        assert!(resolved(&bomb.into(), "define.a39").is_err_and(|text| text.contains("more than 1000000 values")));
        let mut deep = Map::new();
        deep.insert("a0".into(), json!("x"));
        for level in 1..200 {
            deep.insert(format!("a{level}"), json!([format!("define.a{}", level - 1)]));
        }
        assert!(resolved(&deep.into(), "define.a199").is_err_and(|text| text.contains("deep")));
        let chain: Map<_, _> = (1..100_000)
            .map(|level| (format!("a{level}"), json!(format!("define.a{}", level + 1))))
            .collect();
        assert!(resolved(&chain.into(), "define.a1").is_err_and(|text| text.contains("references")));
        let long = json!({"long": "x".repeat(1 << 20), "many": vec!["define.long"; 1000]});
        assert!(resolved(&long, "define.many").is_err_and(|text| text.contains("values")));
    }
}
