//! Pictures that a browser drew, beside ours.

use std::fs;

use nunchi_motiontext::{Scenario, fonts::Fonts, image, raster::Raster, scene::Image};
use serde_json::{Value, json};

use super::{
    corpus::{STAGE, folder},
    similarity::similarity,
};

/// Every frame must be as much like the browser's as this.
pub const ENOUGH: f64 = 0.97;
/// Over which frames are laid to be compared: black, grey and white.
pub const GROUNDS: [u8; 3] = [0, 128, 255];

/// Frames that need not be: the beginning of their names, what they must reach over every ground instead, and why.
const EXCEPTIONS: [(&str, f64, &str); 3] = [
    (
        "p_flames_",
        0.71,
        "the picture of the flames is a flat square there, and is not ours",
    ),
    ("l_safe_clamp_sized_groups@", 0.09, "safeAreaClamp is not imitated"),
    ("l_safe_clamp_", 0.39, "safeAreaClamp is not imitated"),
];

/// What a frame must reach, and why that is less than others.
pub fn bound(name: &str) -> (f64, Option<&'static str>) {
    let exception = EXCEPTIONS.iter().find(|(start, ..)| name.starts_with(start));
    exception.map_or((ENOUGH, None), |(_, bound, reason)| (*bound, Some(reason)))
}

/// All frames are drawn from the scenario as it is, but for what upstream makes of it that nobody can have meant, and what playback does: there the
/// document is changed to say what the browser showed. The change in words, or `None` if there is none.
pub fn as_shown(name: &str, document: &mut Value) -> Option<&'static str> {
    let children = document["cues"][0]["root"]["children"].as_array_mut()?;
    match name {
        "l_flow_staggered" | "l_flow_staggered_vertical" => {
            let start = |node: &Value| node["displayTime"][0].as_f64().unwrap();
            children.sort_by(|a, b| start(a).total_cmp(&start(b)));
            Some("words in the order in which playback had them")
        }
        "l_text_styles" => {
            for style in children.iter_mut().filter_map(|node| node.get_mut("style")) {
                let sized = style.get("fontSize").or(style.get("fontSizeRel")).is_some();
                if sized && style.get("color").or(style.get("stroke")).is_none() {
                    style["color"] = json!("#000000");
                }
            }
            Some("sized text without a colour in black")
        }
        "l_text_multiline" => {
            for style in children.iter_mut().filter_map(|node| node.get_mut("style")) {
                style.as_object_mut()?.remove("textAlign");
            }
            Some("without textAlign")
        }
        "l_array_position" => {
            for layout in children.iter_mut().filter_map(|node| node.get_mut("layout")) {
                layout.as_object_mut()?.retain(|_, value| !value.is_array());
            }
            Some("without the position that is an array")
        }
        _ => None,
    }
}

/// A picture of the browser.
pub struct Golden {
    pub scenario: String,
    /// The scenario and the time.
    pub name: String,
    /// Seconds.
    pub t: f64,
}

/// All there are, in order.
pub fn goldens() -> Vec<Golden> {
    let mut goldens: Vec<Golden> = fs::read_dir(folder().join("frames"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".png")?;
            let (scenario, t) = name.split_once('@').unwrap();
            Some(Golden {
                scenario: scenario.to_owned(),
                name: name.to_owned(),
                t: t.parse().unwrap(),
            })
        })
        .collect();
    goldens.sort_by(|a, b| a.name.cmp(&b.name));
    goldens
}

impl Golden {
    pub fn read(&self) -> Image {
        let path = folder().join("frames").join(format!("{}.png", self.name));
        image::decode(&fs::read(path).unwrap(), image::MAX_PIXELS).unwrap()
    }
}

/// What we draw at that time.
pub fn draw(scenario: &Scenario, t: f64, fonts: &mut Fonts) -> Image {
    let (width, height) = STAGE;
    let scene = scenario.scene(t, STAGE, fonts);
    Image {
        width,
        height,
        pixels: Raster::new(width, height).draw(&scene, fonts).to_rgba(),
    }
}

/// Over each of the grounds.
pub fn similarities(a: &Image, b: &Image) -> [f64; 3] {
    GROUNDS.map(|ground| similarity(a, b, ground))
}
