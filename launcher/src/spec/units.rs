//! Durations written with their unit: `500ms`, `10s`, `2.5m`, `1h`.

use std::time::Duration;

/// A duration in a description, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// Longest duration taken; keeps every sum of deadlines far from overflow.
const MAX_SECONDS: f64 = 366.0 * 24.0 * 3600.0;

/// Reads `<number><unit>`; units are `ns us ms s m h`. Zero may stand without one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong = || format!("`{text}` is not a duration; write a number with a unit, such as 500ms, 10s or 2m");
    let value: f64 = number.trim_end().parse().map_err(|_| wrong())?;
    let scale = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" if value == 0.0 => 1.0,
        _ => return Err(wrong()),
    };
    let seconds = value * scale;
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return Err(format!("the duration `{text}` must lie between 0 and one year"));
    }
    // Through whole nanoseconds, so that 100ms is exactly that and not 0.1 rounded.
    Ok(Duration::from_nanos((seconds * 1e9).round() as u64))
}

/// The shortest text that reads back as the same duration.
pub fn format_duration(d: Duration) -> String {
    let ns = d.as_nanos();
    let units = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    match units.into_iter().find(|(_, scale)| ns.is_multiple_of(*scale)) {
        _ if ns == 0 => "0s".into(),
        Some((unit, scale)) => format!("{}{unit}", ns / scale),
        None => format!("{ns}ns"),
    }
}

impl Span {
    pub const fn seconds(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }
}

impl<'de> serde::Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        parse_duration(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format_duration(self.0))
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A number with its unit: ns, us, ms, s, m or h. For example 500ms, 10s, 2m.",
            "pattern": r"^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*(ns|us|ms|s|m|min|h)\s*$|^\s*0\s*$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_every_unit() {
        for (text, ns) in [
            ("1ns", 1),
            ("5us", 5_000),
            ("500ms", 500_000_000),
            ("10s", 10_000_000_000),
            ("1.5m", 90_000_000_000),
            ("2h", 7_200_000_000_000),
            ("0", 0),
            (" 3 s ", 3_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "",
            "10",
            "s",
            "10 parsecs",
            "-1s",
            "1e400s",
            "nan s",
            "inf",
            "5s5",
            "ten s",
            "99999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn formats_and_reads_back(ms in 0u64..100_000_000) {
            let d = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(d)), Ok(d));
        }
    }
}
