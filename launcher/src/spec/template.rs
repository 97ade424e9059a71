//! Placeholders in a launch line.
//!
//! `${…}` may stand only as (part of) the value of a `property=value` word. What replaces it is escaped character by
//! character, so the value stays one word of the gst-launch grammar and can never add an element, a link or a property.
//! A word that is `${…}` and nothing else stands for a piece of the launch line, whose text is the description's own.

use std::fmt;
use std::ops::Range;

/// Stands for a value that is not known while a description is checked: a secret, or one that nothing plausible is known for.
/// No text holds this character.
pub const UNKNOWN: &str = "\u{fdd0}";

/// What stands between `${` and `}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// A parameter of the description.
    Param(String),
    /// The folder of this run.
    RunDir,
    /// A secret from the environment of the launcher.
    Env(String),
    /// A secret from a file, without its final newline.
    File(String),
    /// Where a process serves its streams.
    Url(String),
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Param(name) => write!(f, "${{{name}}}"),
            Self::RunDir => f.write_str("${run_dir}"),
            Self::Env(name) => write!(f, "${{env:{name}}}"),
            Self::File(path) => write!(f, "${{file:{path}}}"),
            Self::Url(process) => write!(f, "${{{process}.url}}"),
        }
    }
}

impl Placeholder {
    fn parse(inner: &str) -> Option<Self> {
        if let Some(name) = inner.strip_prefix("env:") {
            return is_name(name).then(|| Self::Env(name.into()));
        }
        if let Some(path) = inner.strip_prefix("file:") {
            return (!path.is_empty()).then(|| Self::File(path.into()));
        }
        if let Some(process) = inner.strip_suffix(".url") {
            return is_name(process).then(|| Self::Url(process.into()));
        }
        match inner {
            "run_dir" => Some(Self::RunDir),
            _ => is_name(inner).then(|| Self::Param(inner.into())),
        }
    }
}

/// Letters, digits, `_` and `-`, starting with a letter or `_`: names of parameters and environment variables.
pub fn is_name(s: &str) -> bool {
    let mut chars = s.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A word of the gst-launch grammar: an element, a property assignment, a link sign, caps, or a pad reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub range: Range<usize>,
}

/// Splits at white space outside quotes and escapes, as gst-launch does.
pub fn words(launch: &str) -> Vec<Word> {
    let mut out = Vec::new();
    let mut start = None;
    let mut quote = None;
    let mut braces = false;
    let mut chars = launch.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() && quote.is_none() && !braces {
            if let Some(start) = start.take() {
                out.push(Word { range: start..at });
            }
            continue;
        }
        start.get_or_insert(at);
        match c {
            '\\' => {
                chars.next();
            }
            // A path in ${file:…} may hold blanks.
            '$' if chars.peek().is_some_and(|(_, n)| *n == '{') => braces = true,
            '}' if braces => braces = false,
            '"' | '\'' if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ => {}
        }
    }
    if let Some(start) = start {
        out.push(Word {
            range: start..launch.len(),
        });
    }
    out
}

/// Splits `property=value`; `None` for every other word.
pub fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let mut chars = name.chars();
    let ok = chars.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '%' | ':'));
    ok.then_some((name, value))
}

enum Part<'a> {
    Text(&'a str),
    Hole(Placeholder),
}

/// The parts of one word, or why its placeholders cannot stand there. `None`: the word has none.
fn parts(word: &str) -> Option<Result<(&str, Vec<Part<'_>>), String>> {
    word.contains("${").then(|| {
        let (name, value) = assignment(word).ok_or_else(|| {
            format!("in `{word}` the placeholder stands where no value can; write it as property=${{…}} or bind the parameter to a property")
        })?;
        let unquoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
        let (mut rest, quoted) = match unquoted {
            Some(inner) => (inner, true),
            None => (value, false),
        };
        let mut parts = Vec::new();
        while let Some(open) = rest.find("${") {
            if open > 0 {
                parts.push(Part::Text(&rest[..open]));
            }
            let close = rest[open..].find('}').ok_or_else(|| format!("`${{` in `{word}` has no closing brace"))? + open;
            let inner = &rest[open + 2..close];
            let hole = Placeholder::parse(inner)
                .ok_or_else(|| format!("`${{{inner}}}` is not a placeholder; known are ${{param}}, ${{run_dir}}, ${{env:NAME}}, ${{file:/path}} and ${{process.url}}"))?;
            parts.push(Part::Hole(hole));
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest));
        }
        for part in &parts {
            if let Part::Text(text) = part {
                let path_like = |c: char| c.is_alphanumeric() || "_./:%+@~-".contains(c) || (quoted && c == ' ');
                if let Some(bad) = text.chars().find(|c| !path_like(*c)) {
                    return Err(format!(
                        "in `{word}` the placeholder is mixed with `{bad}`; it must be the whole value or part of a path"
                    ));
                }
            }
        }
        Ok((name, parts))
    })
}

/// All placeholders of the launch line, in order; or every fault.
pub fn placeholders(launch: &str) -> Result<Vec<Placeholder>, Vec<String>> {
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for word in words(launch) {
        match parts(&launch[word.range]) {
            None => {}
            Some(Err(fault)) => faults.push(fault),
            Some(Ok((_, parts))) => found.extend(parts.into_iter().filter_map(|p| match p {
                Part::Hole(h) => Some(h),
                Part::Text(_) => None,
            })),
        }
    }
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// The launch line with every placeholder replaced by the escaped text that `lookup` gives for it.
pub fn expand<E: From<String>>(
    launch: &str,
    mut lookup: impl FnMut(&Placeholder) -> Result<String, E>,
) -> Result<String, E> {
    let mut out = String::with_capacity(launch.len());
    let mut copied = 0;
    for word in words(launch) {
        let Some(parts) = parts(&launch[word.range.clone()]) else {
            continue;
        };
        let (name, parts) = parts.map_err(E::from)?;
        let mut value = String::new();
        for part in &parts {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Hole(hole) => value.push_str(&lookup(hole)?),
            }
        }
        out.push_str(&launch[copied..word.range.start]);
        out.push_str(name);
        out.push('=');
        out.push_str(&escape(&value).map_err(E::from)?);
        copied = word.range.end;
    }
    out.push_str(&launch[copied..]);
    Ok(out)
}

/// The line with `text(name)` in the place of every word that is `${name}` and nothing else; where it gives none the word stays.
pub fn splice<'a>(launch: &str, mut text: impl FnMut(&str) -> Option<&'a str>) -> String {
    let mut out = String::with_capacity(launch.len());
    let mut copied = 0;
    for word in words(launch) {
        let alone = launch[word.range.clone()]
            .strip_prefix("${")
            .and_then(|w| w.strip_suffix('}'));
        if let Some(text) = alone.and_then(&mut text) {
            out.push_str(&launch[copied..word.range.start]);
            out.push_str(text);
            copied = word.range.end;
        }
    }
    out.push_str(&launch[copied..]);
    out
}

/// Whether every quote and escape ends within the text, so that what follows it stands for itself.
pub fn is_closed(text: &str) -> bool {
    let followed = format!("{text} .");
    words(&followed)
        .last()
        .is_some_and(|last| &followed[last.range.clone()] == ".")
}

/// The line without the words whose value is not known.
pub fn without_unknown(launch: &str) -> String {
    let mut out = String::with_capacity(launch.len());
    let mut copied = 0;
    for word in words(launch)
        .into_iter()
        .filter(|w| launch[w.range.clone()].contains(UNKNOWN))
    {
        out.push_str(&launch[copied..word.range.start]);
        copied = word.range.end;
    }
    out.push_str(&launch[copied..]);
    out
}

/// Writes any text as one unquoted value of the gst-launch grammar.
///
/// Backslashes instead of quotes: the grammar's lexer takes the longest match, so a quoted value that ends in a
/// backslash would swallow the line up to the next quote.
pub fn escape(value: &str) -> Result<String, String> {
    if let Some(bad) = value.chars().find(|c| c.is_control()) {
        return Err(format!("a value must not hold control characters (found {bad:?})"));
    }
    if value.is_empty() {
        return Ok("\"\"".into());
    }
    // Two cases go in GstValue's own quoted form: a leading quote, which GstValue would take off, and a trailing
    // backslash, since the lexer would read `\\ ` as a backslash and an escaped blank, and swallow the next word.
    let wrapped;
    let value = if value.starts_with('"') || value.ends_with('\\') {
        let mut w = String::from("\"");
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => w.push(char::from(byte)),
                _ => w.push_str(&format!("\\{byte:03o}")),
            }
        }
        w.push('"');
        wrapped = w;
        &wrapped
    } else {
        value
    };
    let mut out = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-/.".contains(c) || c.is_whitespace() {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(out)
}

/// Takes back gst-launch's quoting of a value: the text that the property gets.
pub fn unescape(value: &str) -> String {
    let inner = ['"', '\'']
        .iter()
        .find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q))
        .unwrap_or(value);
    let mut out = String::with_capacity(inner.len());
    let (mut quoted, mut previous) = (false, ' ');
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let mut put = c;
        if c == '\\' && !quoted {
            match chars.next() {
                Some(next) => put = next,
                None => break,
            }
        } else if c == '"' && (!quoted || previous != '\\') {
            quoted = !quoted;
        }
        out.push(put);
        previous = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(launch: &str) -> Vec<&str> {
        words(launch).into_iter().map(|w| &launch[w.range]).collect()
    }

    fn fill(launch: &str, with: &str) -> Result<String, String> {
        expand(launch, |_| Ok::<_, String>(with.to_owned()))
    }

    #[test]
    fn splits_like_the_shell_of_gst_launch() {
        assert_eq!(
            texts("a  b=\"x y\" !\n c='p q' d\\ e t. ${file:/a b}"),
            ["a", "b=\"x y\"", "!", "c='p q'", "d\\ e", "t.", "${file:/a b}"]
        );
        assert!(texts(" \n\t").is_empty());
    }

    #[test]
    fn finds_every_kind_of_placeholder() {
        let found =
            placeholders("filesrc location=${input} ! a b=${env:KEY} c=\"${file:/run/a b}\" d=${run_dir}/x.xml")
                .unwrap();
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["${input}", "${env:KEY}", "${file:/run/a b}", "${run_dir}"]);
    }

    #[test]
    fn refuses_placeholders_that_are_no_value() {
        for launch in [
            "${element} ! fakesink",
            "fakesrc ! ${x}",
            "fakesrc ${x}=1 ! fakesink",
            "fakesrc ! video/x-raw,width=${w} ! fakesink",
            "a caps=video/x-raw,width=${w}",
            "a b=${x",
            "a b=${}",
            "a b=${1x}",
            "a b=${env:}",
            "a b=${file:}",
            "a b=${x y}",
            "a b=${x};c",
            "t.${pad} ! fakesink",
        ] {
            assert!(placeholders(launch).is_err(), "{launch}");
        }
    }

    #[test]
    fn lone_words_are_replaced_and_nothing_else() {
        let pick = |name: &str| (name == "a").then_some("x ! y");
        assert_eq!(
            splice("${a} !\n ${b} c=${a} \"${a}\" ${a}. ${a}", pick),
            "x ! y !\n ${b} c=${a} \"${a}\" ${a}. x ! y"
        );
    }

    #[test]
    fn an_open_quote_or_escape_is_seen() {
        for text in ["", "a b=\"c d\"", "a b='c'", "a\\ b"] {
            assert!(is_closed(text), "{text}");
        }
        for text in ["a b=\"c", "a b='c \"", "a\\", "a b=${c"] {
            assert!(!is_closed(text), "{text}");
        }
    }

    #[test]
    fn lists_all_faults() {
        assert_eq!(placeholders("${a} ! ${b} x=${c}").unwrap_err().len(), 2);
    }

    #[test]
    fn hostile_value_stays_one_word() {
        let out = fill(
            "filesrc location=${x} ! fakesink",
            "a\" ! filesink location=/etc/passwd \\",
        )
        .unwrap();
        assert_eq!(texts(&out).len(), 4, "{out}");
        let out = fill(
            "filesrc location=${x} ! fakesink",
            "a\" ! filesink location=/etc/passwd",
        )
        .unwrap();
        assert_eq!(
            unescape(assignment(texts(&out)[1]).unwrap().1),
            "a\" ! filesink location=/etc/passwd"
        );
    }

    #[test]
    fn control_characters_are_refused() {
        assert!(fill("a b=${x}", "line\nbreak").is_err());
        assert!(fill("a b=${x}", "nul\0").is_err());
    }

    #[test]
    fn part_of_a_path_is_one_value() {
        assert_eq!(
            fill("a l=\"${run_dir}/my file.xml\" !", "/r u").unwrap(),
            "a l=/r\\ u/my\\ file.xml !"
        );
        assert_eq!(fill("a l=${x}", "").unwrap(), "a l=\"\"");
    }

    proptest! {
        #[test]
        fn any_value_is_one_word_and_reads_back(value in "[^\\p{Cc}\"][^\\p{Cc}]{0,40}[a-z]") {
            let out = fill("a b=${x} c=1 ! d", &value).unwrap();
            let words = texts(&out);
            prop_assert_eq!(words.len(), 5);
            prop_assert_eq!(unescape(assignment(words[1]).unwrap().1), value);
        }

        #[test]
        fn any_text_is_scanned_without_panic(text in "\\PC{0,60}") {
            let _ = placeholders(&text);
            let _ = fill(&text, "v");
        }
    }
}
