//! Values of parameters: from the command line or the default, checked against the declared type and range.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::read::{Loaded, nearest};
use super::units::parse_duration;
use super::{Param, ParamType, Scalar};
use crate::exit::{Exit, Failure};

/// Parameter values as the text that the element property takes, in the order of declaration.
pub type Values = IndexMap<String, String>;

/// Reads `key=value`.
pub fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form key=value")),
    }
}

/// The value of every parameter; or all faults at once.
///
/// A relative path given here is resolved against `cwd`, one that stands as a default against the description's folder.
pub fn resolve(loaded: &Loaded, cwd: &Path, given: &[(String, String)]) -> Result<Values, Vec<Failure>> {
    let params = &loaded.description.params;
    let mut faults = Vec::new();
    for (key, _) in given.iter().filter(|(key, _)| !params.contains_key(key)) {
        let known = params.keys().map(String::as_str);
        let hint = match (nearest(key, known.clone()), params.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "this pipeline takes no parameters".into(),
            (None, false) => format!("known parameters: {}", known.collect::<Vec<_>>().join(", ")),
        };
        faults.push(bad(format!("`{}` has no parameter `{key}`", loaded.description.name.value)).hint(hint));
    }
    let folder = loaded
        .folder()
        .canonicalize()
        .unwrap_or_else(|_| loaded.folder().to_path_buf());
    let mut values = Values::new();
    for (name, param) in params {
        let param = &param.value;
        // The last one wins, as everywhere on a command line.
        let value = match (given.iter().rev().find(|(key, _)| key == name), &param.default) {
            (Some((_, text)), _) => convert(param, text, cwd),
            (None, Some(default)) => convert(param, &default.to_string(), &folder),
            (None, None) => Err("is required".into()),
        };
        match value {
            Ok(value) => {
                values.insert(name.clone(), value);
            }
            Err(message) => {
                let hint = (!param.description.is_empty()).then(|| format!("{name}: {}", param.description));
                faults.push(bad(format!("parameter `{name}` {message}")).maybe_hint(hint));
            }
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

fn bad(message: String) -> Failure {
    Failure::new(Exit::BadDescription, message)
}

/// Checks one text against the declaration and gives what the property takes. The error continues "parameter `x` …".
pub fn convert(param: &Param, text: &str, base: &Path) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters".into());
    }
    if let Some(choices) = &param.choices
        && !choices.iter().any(|c| c.to_string() == text)
    {
        let known: Vec<_> = choices.iter().map(ToString::to_string).collect();
        let near = nearest(text, known.iter().map(String::as_str)).map(|n| format!(" (did you mean `{n}`?)"));
        return Err(format!(
            "is `{text}`, must be one of {}{}",
            known.join(", "),
            near.unwrap_or_default()
        ));
    }
    match param.kind {
        ParamType::String => {
            check_pattern(param, text)?;
            Ok(text.to_owned())
        }
        ParamType::Path => {
            // An empty default says that there may be none.
            if text.is_empty() {
                let may_be = matches!(&param.default, Some(Scalar::String(default)) if default.is_empty());
                return if may_be {
                    Ok(String::new())
                } else {
                    Err("is an empty path".into())
                };
            }
            check_pattern(param, text)?;
            absolute(base, text)
                .into_os_string()
                .into_string()
                .map_err(|_| "is not UTF-8".into())
        }
        ParamType::Boolean => match text {
            "true" | "false" => Ok(text.to_owned()),
            _ => Err(format!("is `{text}`, must be true or false")),
        },
        ParamType::Integer => {
            let value: i64 = text
                .parse()
                .map_err(|_| format!("is `{text}`, must be a whole number"))?;
            check_range(param, text, value as f64)?;
            Ok(value.to_string())
        }
        ParamType::Number => {
            let value: f64 = text.parse().map_err(|_| format!("is `{text}`, must be a number"))?;
            if !value.is_finite() {
                return Err(format!("is `{text}`, must be a finite number"));
            }
            check_range(param, text, value)?;
            Ok(value.to_string())
        }
        ParamType::Duration => {
            let value = parse_duration(text).map_err(|e| format!("is wrong: {e}"))?;
            check_range(param, text, value.as_nanos() as f64)?;
            Ok(value.as_nanos().to_string())
        }
    }
}

/// A bound as a number in the unit that the values are compared in (nanoseconds for durations).
pub fn bound(kind: ParamType, bound: &Scalar) -> Result<f64, String> {
    match (kind, bound) {
        (ParamType::Integer | ParamType::Number, Scalar::Integer(v)) => Ok(*v as f64),
        (ParamType::Number, Scalar::Number(v)) => Ok(*v),
        (ParamType::Duration, Scalar::String(text)) => parse_duration(text).map(|d| d.as_nanos() as f64),
        _ => Err(format!("`{bound}` is no bound for the type {kind:?}").to_lowercase()),
    }
}

/// Whether a YAML value is written as the type wants it: an unquoted 1.10 would reach a text as 1.1.
pub fn is_of(kind: ParamType, value: &Scalar) -> bool {
    match value {
        Scalar::Boolean(_) => kind == ParamType::Boolean,
        Scalar::Integer(0) if kind == ParamType::Duration => true,
        Scalar::Integer(_) => matches!(kind, ParamType::Integer | ParamType::Number),
        Scalar::Number(_) => kind == ParamType::Number,
        Scalar::String(_) => matches!(kind, ParamType::String | ParamType::Path | ParamType::Duration),
    }
}

fn check_range(param: &Param, text: &str, value: f64) -> Result<(), String> {
    let number = |b: &Option<Scalar>| b.as_ref().map(|b| bound(param.kind, b)).transpose();
    let (low, high) = (number(&param.minimum)?, number(&param.maximum)?);
    if low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high) {
        return Ok(());
    }
    Err(match (&param.minimum, &param.maximum) {
        (Some(low), Some(high)) => format!("is {text}, must lie between {low} and {high}"),
        (Some(low), None) => format!("is {text}, must be at least {low}"),
        (_, high) => format!(
            "is {text}, must be at most {}",
            high.as_ref().map(ToString::to_string).unwrap_or_default()
        ),
    })
}

fn check_pattern(param: &Param, text: &str) -> Result<(), String> {
    let Some(pattern) = &param.pattern else { return Ok(()) };
    let regex = whole_regex(pattern)?;
    if regex.is_match(text) {
        Ok(())
    } else {
        Err(format!("is `{text}`, must match {pattern}"))
    }
}

/// The expression made to match the whole text; its memory is bounded.
pub fn whole_regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|_| format!("has the pattern `{pattern}`, which is no regular expression"))
}

/// `text` against `base`, without `.`; a `..` stays, since the folder before it may be a link.
pub fn absolute(base: &Path, text: &str) -> PathBuf {
    base.join(text).components().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read;
    use proptest::prelude::*;

    fn loaded(params: &str) -> Loaded {
        let text = format!("version: 1\nname: t\nparams: {params}\nprocesses: {{p: {{launch: x}}}}\n");
        Loaded {
            path: "/no/such/folder/t.yaml".into(),
            description: read::parse(&text).unwrap(),
        }
    }

    fn one(params: &str, given: &str) -> Result<String, String> {
        let given: Vec<_> = given.split_whitespace().map(|g| parse_assignment(g).unwrap()).collect();
        match resolve(&loaded(params), Path::new("/cwd"), &given) {
            Ok(values) => Ok(values[0].clone()),
            Err(faults) => Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")),
        }
    }

    #[test]
    fn takes_good_values() {
        for (params, given, want) in [
            ("{a: {type: string, default: x}}", "", "x"),
            ("{a: {type: string, default: x}}", "a=y=z", "y=z"),
            ("{a: {type: string, default: x}}", "a=1 a=2", "2"),
            ("{a: {type: integer, minimum: 1, maximum: 9}}", "a=9", "9"),
            ("{a: {type: number, maximum: 0.5}}", "a=0.5", "0.5"),
            ("{a: {type: boolean, default: true}}", "", "true"),
            (
                "{a: {type: duration, default: 2s, minimum: 100ms}}",
                "a=100ms",
                "100000000",
            ),
            (
                "{a: {type: path, default: ../m/x.mp4}}",
                "",
                "/no/such/folder/../m/x.mp4",
            ),
            (
                "{a: {type: path, default: ../m/x.mp4}}",
                "a=./b/../c.mp4",
                "/cwd/b/../c.mp4",
            ),
            ("{a: {type: path}}", "a=/abs", "/abs"),
            ("{a: {type: path, default: ''}}", "", ""),
            ("{a: {type: path, default: ''}}", "a=b", "/cwd/b"),
            ("{a: {type: integer, enum: [1, 2]}}", "a=2", "2"),
            ("{a: {type: string, pattern: '[a-z]+'}}", "a=abc", "abc"),
        ] {
            assert_eq!(one(params, given).as_deref(), Ok(want), "{params} {given}");
        }
    }

    #[test]
    fn refuses_bad_values_and_names_the_parameter() {
        for (params, given, needle) in [
            ("{a: {type: string}}", "", "`a` is required"),
            (
                "{a: {type: integer, minimum: 1, maximum: 9}}",
                "a=10",
                "between 1 and 9",
            ),
            ("{a: {type: integer, minimum: 1}}", "a=0", "at least 1"),
            ("{a: {type: number, maximum: 1}}", "a=1.01", "at most 1"),
            ("{a: {type: integer}}", "a=1.5", "whole number"),
            ("{a: {type: integer}}", "a=99999999999999999999", "whole number"),
            ("{a: {type: number}}", "a=nan", "finite"),
            ("{a: {type: boolean}}", "a=yes", "true or false"),
            ("{a: {type: duration}}", "a=2", "duration"),
            ("{a: {type: duration, maximum: 1s}}", "a=2s", "at most 1s"),
            ("{a: {type: path}}", "a=", "empty"),
            ("{a: {type: path, default: x}}", "a=", "empty"),
            (
                "{a: {type: string, enum: [window, none]}}",
                "a=windw",
                "did you mean `window`",
            ),
            ("{a: {type: string, pattern: '[a-z]+'}}", "a=abc1", "must match"),
            (
                "{interval: {type: string, default: x}}",
                "intervall=1",
                "did you mean `interval`",
            ),
            ("{}", "a=1", "takes no parameters"),
        ] {
            let message = one(params, given).expect_err(params);
            assert!(message.contains(needle), "{params} {given} gave {message}");
        }
    }

    #[test]
    fn all_faults_come_at_once() {
        let l = loaded("{a: {type: integer}, b: {type: boolean}}");
        let given = [
            ("a".into(), "x".into()),
            ("b".into(), "x".into()),
            ("c".into(), "x".into()),
        ];
        assert_eq!(resolve(&l, Path::new("/"), &given).unwrap_err().len(), 3);
    }

    #[test]
    fn assignments_need_a_key() {
        assert!(parse_assignment("novalue").is_err());
        assert!(parse_assignment("=1").is_err());
    }

    proptest! {
        #[test]
        fn numbers_pass_exactly_within_their_bounds(v in -20i64..20) {
            prop_assert_eq!(one("{a: {type: integer, minimum: -5, maximum: 5}}", &format!("a={v}")).is_ok(), (-5..=5).contains(&v));
        }
    }
}
