//! Characters, names and times as the log's format wants them.

use chrono::{Datelike, NaiveDateTime, Timelike};

/// Appends `text` as the value of an attribute in double quotes, with the escapes that Python's ElementTree uses, so that the bytes
/// are those of the older loggers. Characters that XML 1.0 forbids are left out.
pub(super) fn push_attribute(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#09;"),
            _ if is_xml_char(c) => out.push(c),
            _ => {}
        }
    }
}

/// Appends `text` as character data, escaped as ElementTree does; a carriage return as a reference, because a parser would make it a
/// line feed.
pub(super) fn push_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            _ if is_xml_char(c) => out.push(c),
            _ => {}
        }
    }
}

/// `Char` of XML 1.0, section 2.2 (surrogates are no `char`).
pub(super) fn is_xml_char(c: char) -> bool {
    !matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// A name of XML 1.0, section 2.3, restricted to ASCII and without a namespace's colon.
pub(super) fn is_plain_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// The longest start of `text` that has at most `limit` bytes.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Local time as Python's `datetime.isoformat()`: microseconds, or no fraction when they are 0.
pub(super) fn push_iso(out: &mut String, time: NaiveDateTime) {
    use std::fmt::Write;
    // chrono counts a leap second as nanoseconds beyond 10^9.
    let micros = (time.nanosecond() / 1000).min(999_999);
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    if micros > 0 {
        let _ = write!(out, ".{micros:06}");
    }
}

pub(super) fn parse_iso(text: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(text: &str) -> String {
        let mut out = String::new();
        push_attribute(&mut out, text);
        out
    }

    fn iso(text: &str) -> String {
        let mut out = String::new();
        push_iso(&mut out, parse_iso(text).unwrap());
        out
    }

    #[test]
    fn attributes_are_escaped_as_elementtree_does() {
        assert_eq!(
            attribute("a&b<c>d\"e'f\r\n\tg"),
            "a&amp;b&lt;c&gt;d&quot;e'f&#13;&#10;&#09;g"
        );
        assert_eq!(attribute("웃음 😀"), "웃음 😀");
    }

    #[test]
    fn forbidden_characters_are_dropped() {
        assert_eq!(attribute("a\0b\x1bc\u{fffe}d\u{ffff}e\x0bf\x7f"), "abcdef\x7f");
        let mut out = String::new();
        push_text(&mut out, "\x01<a>&\r");
        assert_eq!(out, "&lt;a&gt;&amp;&#13;");
    }

    #[test]
    fn names() {
        assert!(["face_session", "_a", "a-b.c9"].iter().all(|name| is_plain_name(name)));
        assert!(
            !["", "9a", "a b", "a:b", "-a", "é", "a>", "a/"]
                .iter()
                .any(|name| is_plain_name(name))
        );
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("😀", 3), "");
        assert_eq!(cut("ab", 9), "ab");
    }

    #[test]
    fn times_as_isoformat() {
        assert_eq!(iso("2025-10-18T17:34:26.292100"), "2025-10-18T17:34:26.292100");
        assert_eq!(iso("2025-10-18T17:34:26"), "2025-10-18T17:34:26");
        assert_eq!(iso("2025-10-18T17:34:26.000000999"), "2025-10-18T17:34:26");
        assert_eq!(iso("2025-01-02T03:04:05.000001"), "2025-01-02T03:04:05.000001");
        assert_eq!(iso("2016-12-31T23:59:60.5"), "2016-12-31T23:59:59.999999");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2025-10-18",
            "2025-10-18 17:34:26",
            "2025-13-18T17:34:26",
            "2025-10-18T17:34:26Z",
            "x",
        ] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }
}
