//! The few values that scenarios write as CSS: colours, lengths, shadows.

use crate::scene::Rgba;

impl Rgba {
    pub(crate) const WHITE: Self = Self::opaque(1.0, 1.0, 1.0);
    pub(crate) const BLACK: Self = Self::opaque(0.0, 0.0, 0.0);

    pub(crate) const fn opaque(r: f32, g: f32, b: f32) -> Self {
        Self { r, g, b, a: 1.0 }
    }

    /// From bytes, red first.
    pub(crate) fn bytes(r: u8, g: u8, b: u8) -> Self {
        Self::opaque(f32::from(r) / 255.0, f32::from(g) / 255.0, f32::from(b) / 255.0)
    }

    fn rgb24(rgb: u32) -> Self {
        let [_, r, g, b] = rgb.to_be_bytes();
        Self::bytes(r, g, b)
    }
}

/// A CSS colour: `#rgb`, `#rgba`, `#rrggbb`, `#rrggbbaa`, `rgb()`, `rgba()`, `hsl()`, `hsla()`, a name, `transparent`.
pub(crate) fn color(text: &str) -> Option<Rgba> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix('#') {
        return hex_color(hex);
    }
    let lower = text.to_ascii_lowercase();
    if let Some((name, rest)) = lower.split_once('(') {
        let arguments = rest.strip_suffix(')')?;
        let parts: Vec<&str> = arguments
            .split([',', '/', ' '])
            .filter(|part| !part.is_empty())
            .collect();
        if parts.len() != 3 && parts.len() != 4 {
            return None;
        }
        let alpha = parts.get(3).map_or(Some(1.0), |part| share(part, 1.0))?;
        return match name.trim() {
            "rgb" | "rgba" => Some(Rgba {
                r: share(parts[0], 255.0)?,
                g: share(parts[1], 255.0)?,
                b: share(parts[2], 255.0)?,
                a: alpha,
            }),
            "hsl" | "hsla" => hsl(parts[0], parts[1], parts[2], alpha),
            _ => None,
        };
    }
    if lower == "transparent" {
        return Some(Rgba::default());
    }
    let found = NAMES.binary_search_by_key(&lower.as_str(), |(name, _)| name).ok()?;
    Some(Rgba::rgb24(NAMES[found].1))
}

/// Whether a colour is written `#rgb` or `#rrggbb`.
pub(crate) fn is_plain_hex(text: &str) -> bool {
    let text = text.trim();
    matches!(text.len(), 4 | 7) && text.starts_with('#') && hex_color(&text[1..]).is_some()
}

fn hex_color(hex: &str) -> Option<Rgba> {
    if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(hex, 16).ok()?;
    let [r, g, b, a] = match hex.len() {
        3 => short(value << 4 | 0xf),
        4 => short(value),
        6 => (value << 8 | 0xff).to_be_bytes(),
        8 => value.to_be_bytes(),
        _ => return None,
    };
    Some(Rgba {
        a: f32::from(a) / 255.0,
        ..Rgba::bytes(r, g, b)
    })
}

/// Each of four hexadecimal digits twice.
fn short(value: u32) -> [u8; 4] {
    [12, 8, 4, 0].map(|shift| ((value >> shift & 0xf) * 0x11) as u8)
}

/// A number of so many, or a percentage, as a share of 0..=1.
fn share(text: &str, whole: f32) -> Option<f32> {
    let share = match text.strip_suffix('%') {
        Some(percent) => finite(percent)? as f32 / 100.0,
        None => finite(text)? as f32 / whole,
    };
    Some(share.clamp(0.0, 1.0))
}

fn hsl(hue: &str, saturation: &str, lightness: &str, alpha: f32) -> Option<Rgba> {
    let hue = finite(hue.strip_suffix("deg").unwrap_or(hue))?.rem_euclid(360.0) as f32;
    let (s, l) = (share(saturation, 100.0)?, share(lightness, 100.0)?);
    // CSS Color 4, section 7.1.
    let channel = |n: f32| {
        let k = (n + hue / 30.0) % 12.0;
        l - s * l.min(1.0 - l) * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
    };
    Some(Rgba {
        r: channel(0.0),
        g: channel(8.0),
        b: channel(4.0),
        a: alpha,
    })
}

fn finite(text: &str) -> Option<f64> {
    // Rust also reads "inf" and "nan", which CSS does not know.
    let text = text.trim();
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// A CSS length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Length {
    Px(f64),
    /// Of what the property refers to, 1 = all of it.
    Share(f64),
}

impl Length {
    pub(crate) fn px(self, whole: f64) -> f64 {
        match self {
            Length::Px(px) => px,
            Length::Share(share) => share * whole,
        }
    }
}

/// A length: `px`, `rem` (16 px), `em` (of 16 px: the size that text has where nothing sets it), `%`, or a bare number of px.
pub(crate) fn length(text: &str) -> Option<Length> {
    let text = text.trim();
    let split = text
        .find(|c: char| c.is_ascii_alphabetic() || c == '%')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number = finite(number)?;
    match unit {
        "" | "px" => Some(Length::Px(number)),
        "em" | "rem" => Some(Length::Px(number * 16.0)),
        "%" => Some(Length::Share(number / 100.0)),
        _ => None,
    }
}

/// Top, right, bottom and left; of corners: top left, top right, bottom right, bottom left.
pub(crate) type Sides = [Length; 4];

/// One to four lengths.
pub(crate) fn sides(text: &str) -> Option<Sides> {
    let list = text.split_whitespace().map(length).collect::<Option<Vec<_>>>()?;
    match *list.as_slice() {
        [all] => Some([all; 4]),
        [y, x] => Some([y, x, y, x]),
        [top, x, bottom] => Some([top, x, bottom, x]),
        [top, right, bottom, left] => Some([top, right, bottom, left]),
        _ => None,
    }
}

/// A shadow of text; no colour means that of the text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ShadowSpec {
    pub(crate) offset: [f64; 2],
    pub(crate) blur: f64,
    pub(crate) color: Option<Rgba>,
}

/// `none`, or a list of `dx dy blur? color?`, the colour first or last.
pub(crate) fn shadows(text: &str) -> Option<Vec<ShadowSpec>> {
    if text.trim() == "none" {
        return Some(Vec::new());
    }
    split_outside_parentheses(text, |c| c == ',')
        .into_iter()
        .map(shadow)
        .collect()
}

fn shadow(text: &str) -> Option<ShadowSpec> {
    let mut lengths = Vec::new();
    let mut tint = None;
    for word in split_outside_parentheses(text, char::is_whitespace)
        .into_iter()
        .filter(|word| !word.is_empty())
    {
        match length(word) {
            Some(Length::Px(px)) => lengths.push(px),
            Some(Length::Share(_)) => return None,
            None => tint = Some(color(word)?),
        }
    }
    let (offset, blur) = match *lengths.as_slice() {
        [dx, dy] => ([dx, dy], 0.0),
        [dx, dy, blur] if blur >= 0.0 => ([dx, dy], blur),
        _ => return None,
    };
    Some(ShadowSpec {
        offset,
        blur,
        color: tint,
    })
}

fn split_outside_parentheses(text: &str, separator: impl Fn(char) -> bool) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 && separator(c) => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// CSS Color 4, section 6.1, in the order of the alphabet.
#[rustfmt::skip]
const NAMES: [(&str, u32); 148] = [
    ("aliceblue", 0xf0f8ff), ("antiquewhite", 0xfaebd7), ("aqua", 0x00ffff), ("aquamarine", 0x7fffd4),
    ("azure", 0xf0ffff), ("beige", 0xf5f5dc), ("bisque", 0xffe4c4), ("black", 0x000000), ("blanchedalmond", 0xffebcd),
    ("blue", 0x0000ff), ("blueviolet", 0x8a2be2), ("brown", 0xa52a2a), ("burlywood", 0xdeb887), ("cadetblue", 0x5f9ea0),
    ("chartreuse", 0x7fff00), ("chocolate", 0xd2691e), ("coral", 0xff7f50), ("cornflowerblue", 0x6495ed),
    ("cornsilk", 0xfff8dc), ("crimson", 0xdc143c), ("cyan", 0x00ffff), ("darkblue", 0x00008b), ("darkcyan", 0x008b8b),
    ("darkgoldenrod", 0xb8860b), ("darkgray", 0xa9a9a9), ("darkgreen", 0x006400), ("darkgrey", 0xa9a9a9),
    ("darkkhaki", 0xbdb76b), ("darkmagenta", 0x8b008b), ("darkolivegreen", 0x556b2f), ("darkorange", 0xff8c00),
    ("darkorchid", 0x9932cc), ("darkred", 0x8b0000), ("darksalmon", 0xe9967a), ("darkseagreen", 0x8fbc8f),
    ("darkslateblue", 0x483d8b), ("darkslategray", 0x2f4f4f), ("darkslategrey", 0x2f4f4f), ("darkturquoise", 0x00ced1),
    ("darkviolet", 0x9400d3), ("deeppink", 0xff1493), ("deepskyblue", 0x00bfff), ("dimgray", 0x696969),
    ("dimgrey", 0x696969), ("dodgerblue", 0x1e90ff), ("firebrick", 0xb22222), ("floralwhite", 0xfffaf0),
    ("forestgreen", 0x228b22), ("fuchsia", 0xff00ff), ("gainsboro", 0xdcdcdc), ("ghostwhite", 0xf8f8ff),
    ("gold", 0xffd700), ("goldenrod", 0xdaa520), ("gray", 0x808080), ("green", 0x008000), ("greenyellow", 0xadff2f),
    ("grey", 0x808080), ("honeydew", 0xf0fff0), ("hotpink", 0xff69b4), ("indianred", 0xcd5c5c), ("indigo", 0x4b0082),
    ("ivory", 0xfffff0), ("khaki", 0xf0e68c), ("lavender", 0xe6e6fa), ("lavenderblush", 0xfff0f5),
    ("lawngreen", 0x7cfc00), ("lemonchiffon", 0xfffacd), ("lightblue", 0xadd8e6), ("lightcoral", 0xf08080),
    ("lightcyan", 0xe0ffff), ("lightgoldenrodyellow", 0xfafad2), ("lightgray", 0xd3d3d3), ("lightgreen", 0x90ee90),
    ("lightgrey", 0xd3d3d3), ("lightpink", 0xffb6c1), ("lightsalmon", 0xffa07a), ("lightseagreen", 0x20b2aa),
    ("lightskyblue", 0x87cefa), ("lightslategray", 0x778899), ("lightslategrey", 0x778899),
    ("lightsteelblue", 0xb0c4de), ("lightyellow", 0xffffe0), ("lime", 0x00ff00), ("limegreen", 0x32cd32),
    ("linen", 0xfaf0e6), ("magenta", 0xff00ff), ("maroon", 0x800000), ("mediumaquamarine", 0x66cdaa),
    ("mediumblue", 0x0000cd), ("mediumorchid", 0xba55d3), ("mediumpurple", 0x9370db), ("mediumseagreen", 0x3cb371),
    ("mediumslateblue", 0x7b68ee), ("mediumspringgreen", 0x00fa9a), ("mediumturquoise", 0x48d1cc),
    ("mediumvioletred", 0xc71585), ("midnightblue", 0x191970), ("mintcream", 0xf5fffa), ("mistyrose", 0xffe4e1),
    ("moccasin", 0xffe4b5), ("navajowhite", 0xffdead), ("navy", 0x000080), ("oldlace", 0xfdf5e6), ("olive", 0x808000),
    ("olivedrab", 0x6b8e23), ("orange", 0xffa500), ("orangered", 0xff4500), ("orchid", 0xda70d6),
    ("palegoldenrod", 0xeee8aa), ("palegreen", 0x98fb98), ("paleturquoise", 0xafeeee), ("palevioletred", 0xdb7093),
    ("papayawhip", 0xffefd5), ("peachpuff", 0xffdab9), ("peru", 0xcd853f), ("pink", 0xffc0cb), ("plum", 0xdda0dd),
    ("powderblue", 0xb0e0e6), ("purple", 0x800080), ("rebeccapurple", 0x663399), ("red", 0xff0000),
    ("rosybrown", 0xbc8f8f), ("royalblue", 0x4169e1), ("saddlebrown", 0x8b4513), ("salmon", 0xfa8072),
    ("sandybrown", 0xf4a460), ("seagreen", 0x2e8b57), ("seashell", 0xfff5ee), ("sienna", 0xa0522d),
    ("silver", 0xc0c0c0), ("skyblue", 0x87ceeb), ("slateblue", 0x6a5acd), ("slategray", 0x708090),
    ("slategrey", 0x708090), ("snow", 0xfffafa), ("springgreen", 0x00ff7f), ("steelblue", 0x4682b4), ("tan", 0xd2b48c),
    ("teal", 0x008080), ("thistle", 0xd8bfd8), ("tomato", 0xff6347), ("turquoise", 0x40e0d0), ("violet", 0xee82ee),
    ("wheat", 0xf5deb3), ("white", 0xffffff), ("whitesmoke", 0xf5f5f5), ("yellow", 0xffff00), ("yellowgreen", 0x9acd32),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_every_form() {
        let orange = Rgba::bytes(255, 136, 0);
        for text in [
            "#f80",
            "#ff8800",
            " #FF8800ff",
            "#f80f",
            "rgb(255,136,0)",
            "rgb(255 136 0 / 100%)",
            "rgba(255, 136, 0, 1)",
        ] {
            assert_eq!(color(text), Some(orange), "{text}");
        }
        assert_eq!(color("rgba(0,0,0,.5)").map(|c| c.a), Some(0.5));
        assert_eq!(color("Teal"), Some(Rgba::bytes(0, 128, 128)));
        assert_eq!(color("hsl(120, 100%, 50%)"), Some(Rgba::opaque(0.0, 1.0, 0.0)));
        assert_eq!(color("transparent").map(|c| c.a), Some(0.0));
        assert!(NAMES.is_sorted_by_key(|(name, _)| name));
    }

    #[test]
    fn what_is_no_colour() {
        for text in [
            "",
            "#",
            "#12",
            "#12345",
            "#ggg",
            "#+12",
            "#é1",
            "rgb(1,2)",
            "rgb(1,2,3,4,5)",
            "rgb(nan,0,0)",
            "rgb(1,2,3",
            "nocolor",
            "cmyk(1,2,3)",
            "hsl(inf,1%,1%)",
        ] {
            assert_eq!(color(text), None, "{text}");
        }
        assert!(!is_plain_hex("rgb(1,2,3)") && !is_plain_hex("#12345678") && is_plain_hex("#abc"));
    }

    #[test]
    fn lengths_and_sides() {
        assert_eq!(length("12px"), Some(Length::Px(12.0)));
        assert_eq!(length("2rem"), Some(Length::Px(32.0)));
        assert_eq!(length(" 50% "), Some(Length::Share(0.5)));
        assert_eq!(length("-.5em"), Some(Length::Px(-8.0)));
        assert_eq!(
            sides("1px 2px 3px").map(|s| s.map(|l| l.px(0.0))),
            Some([1.0, 2.0, 3.0, 2.0])
        );
        for text in ["", "px", "1e999px", "12furlong", "calc(1px)", "NaNpx"] {
            assert_eq!(length(text), None, "{text}");
        }
        assert_eq!(sides("1px 2px 3px 4px 5px"), None);
    }

    #[test]
    fn lists_of_shadows() {
        let list = shadows("4px 4px 0 #ff00ff, rgba(0, 0, 0, .5) 0 0 10px").unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[1].blur, 10.0);
        assert_eq!(list[1].color.map(|c| c.a), Some(0.5));
        assert_eq!(shadows("none"), Some(Vec::new()));
        for text in [
            "",
            "1px",
            "1px 2px 3px 4px red",
            "1px 2px -1px",
            "1px 2px nocolor",
            "1px 2px,",
            "10% 1px",
        ] {
            assert_eq!(shadows(text), None, "{text}");
        }
    }
}
