//! Pieces: parts of a launch line that a parameter chooses among. Their text is the description's; a value only names one.

use super::params::Values;
use super::{Description, template};

/// Longest launch line in bytes with its pieces in place: pieces in pieces multiply.
const MAX_LINE: usize = 64 * 1024;

/// The launch line with the piece that `values` choose in the place of each `${piece}`; or why there is none.
pub fn fill(description: &Description, launch: &str, values: &Values) -> Result<String, String> {
    let mut line = launch.to_owned();
    // A piece may hold those that stand above it, so the last one goes first.
    for (name, piece) in description.pieces.iter().rev() {
        let piece = &piece.value;
        let Some(text) = values.get(&piece.param).and_then(|choice| piece.values.get(choice)) else {
            continue;
        };
        let mut length = line.len();
        line = template::splice(&line, |hole| {
            length += if hole == name { text.value.len() } else { 0 };
            (hole == name && length <= MAX_LINE).then_some(&text.value)
        });
        if length > MAX_LINE {
            return Err(format!("is longer than {MAX_LINE} bytes with its pieces in place"));
        }
    }
    Ok(line)
}

/// The choices that `values` do not make: parameter and value, of every parameter that chooses a piece.
pub fn other_choices<'a>(description: &'a Description, values: &Values) -> Vec<(&'a str, &'a str)> {
    let mut others = Vec::new();
    for piece in description.pieces.values().map(|p| &p.value) {
        for choice in piece.values.keys() {
            let other = (piece.param.as_str(), choice.as_str());
            if values.get(&piece.param) != Some(choice) && !others.contains(&other) {
                others.push(other);
            }
        }
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::read;

    const TEXT: &str = "version: 1
name: t
params: {kind: {type: string, enum: [a, b]}, loud: {type: string, enum: ['on', 'off']}, f: {type: path}}
pieces:
  sound: {param: loud, values: {'on': 'audiotestsrc !', 'off': ''}}
  source: {param: kind, values: {a: '${sound} filesrc location=${f}', b: fakesrc}}
processes: {p: {launch: x}}";

    fn values(kind: &str, loud: &str) -> Values {
        [("kind", kind), ("loud", loud)]
            .map(|(k, v)| (k.into(), v.into()))
            .into()
    }

    #[test]
    fn the_chosen_text_stands_in_every_place_and_values_stay_placeholders() {
        let d = read::parse(TEXT).unwrap();
        for (kind, loud, want) in [
            (
                "a",
                "on",
                "audiotestsrc ! filesrc location=${f} ! n=${source} audiotestsrc ! filesrc location=${f}",
            ),
            (
                "a",
                "off",
                " filesrc location=${f} ! n=${source}  filesrc location=${f}",
            ),
            ("b", "on", "fakesrc ! n=${source} fakesrc"),
        ] {
            let line = fill(&d, "${source} ! n=${source} ${source}", &values(kind, loud));
            assert_eq!(line.as_deref(), Ok(want), "{kind} {loud}");
        }
    }

    #[test]
    fn a_value_that_looks_like_a_piece_is_none() {
        let d = read::parse(TEXT).unwrap();
        assert_eq!(
            fill(&d, "${source}", &values("${sound}", "on")).as_deref(),
            Ok("${source}")
        );
    }

    #[test]
    fn the_choices_not_made_are_listed_once() {
        let d = read::parse(TEXT).unwrap();
        assert_eq!(other_choices(&d, &values("a", "off")), [("loud", "on"), ("kind", "b")]);
    }

    #[test]
    fn pieces_that_multiply_are_cut_short() {
        let mut text = String::from(
            "version: 1\nname: t\nparams: {k: {type: string, enum: [a]}}\nprocesses: {p: {launch: x}}\npieces:\n",
        );
        text += "  p0: {param: k, values: {a: 'fakesrc'}}\n";
        for i in 1..40 {
            let ten = format!("${{p{}}} ", i - 1).repeat(10);
            text += &format!("  p{i}: {{param: k, values: {{a: '{ten}'}}}}\n");
        }
        let d = read::parse(&text).unwrap();
        let values = [("k".to_owned(), "a".to_owned())].into();
        assert!(fill(&d, "${p39}", &values).unwrap_err().contains("longer than"));
        assert_eq!(fill(&d, "${p1}", &values).unwrap().matches("fakesrc").count(), 10);
    }
}
