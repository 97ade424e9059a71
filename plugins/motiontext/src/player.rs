//! A scenario with all that it takes to show it: fonts, pictures, the raster, and what was drawn last.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::{Error, Warning},
    fonts::{FontError, Fonts, MAX_BYTES as MAX_FONT_BYTES},
    load::{self, read},
    parse::Options,
    raster::{Picture, Raster},
    scenario::Scenario,
    scene::{Image, Transform},
};

/// Scenarios are read up to here, bytes; the parser takes less and says so.
const MAX_SCENARIO: u64 = 64 << 20;

/// Why a scenario cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read the scenario {}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Scenario { path: PathBuf, error: Error },
    #[error(transparent)]
    Text(#[from] Error),
    #[error(transparent)]
    Fonts(#[from] FontError),
}

/// What the scenario is drawn on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// px, at most [`crate::raster::MAX_SIDE`] each.
    pub width: u32,
    pub height: u32,
    /// Width of a pixel in units of its height; 1 where pixels are square.
    pub pixel_aspect: f64,
}

/// Takes the first picture out of a video file, or says why there is none.
pub type Still<'a> = &'a mut dyn FnMut(&Path) -> Result<Image, String>;

/// Shows one scenario: pictures by time, each drawn at most once while nothing changes.
pub struct Player {
    scenario: Scenario,
    fonts: Fonts,
    raster: Option<(Stage, Raster)>,
    /// The last picture, from when to when it is right, seconds.
    last: Option<(f64, f64, Arc<Picture>)>,
    /// How many families, characters and files were told as missing.
    told: [usize; 3],
}

impl Player {
    /// Opens the scenario in a file, whose folder and those below hold its assets.
    ///
    /// Fonts are looked for in the scenario's assets, in `fonts` and in the system, in this order. Returns what is shown differently than its
    /// author may think, too. `still` is asked for the pictures of video nodes.
    pub fn open(
        path: &Path,
        options: &Options,
        fonts: Option<&Path>,
        still: Still<'_>,
    ) -> Result<(Self, Vec<Warning>), OpenError> {
        let json = read(path, MAX_SCENARIO).map_err(|error| OpenError::File {
            path: path.to_owned(),
            error,
        })?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let options = Options {
            folder: Some(folder),
            ..options.clone()
        };
        Self::parse(&json, &options, fonts, still).map_err(|error| match error {
            OpenError::Text(error) => OpenError::Scenario {
                path: path.to_owned(),
                error,
            },
            other => other,
        })
    }

    /// As [`Self::open`], with the scenario itself. Its assets lie in `options.folder`; without one it has none.
    pub fn parse(
        json: &[u8],
        options: &Options,
        fonts_dir: Option<&Path>,
        still: Still<'_>,
    ) -> Result<(Self, Vec<Warning>), OpenError> {
        let (mut scenario, mut warnings) = Scenario::parse(json, options)?;
        let mut fonts = Fonts::new();
        warnings.extend(load::load(&mut scenario, &mut fonts, still));
        if let Some(folder) = fonts_dir {
            fonts.add_folder(folder)?;
        }
        fonts.add_system();
        let player = Self {
            scenario,
            fonts,
            raster: None,
            last: None,
            told: [0; 3],
        };
        Ok((player, warnings))
    }

    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// What is to be seen at `t` seconds. While nothing changes it is the same object.
    pub fn picture(&mut self, t: f64, stage: Stage) -> Arc<Picture> {
        if self.raster.as_ref().is_none_or(|(last, _)| *last != stage) {
            self.raster = Some((stage, Raster::new(stage.width, stage.height)));
            self.last = None;
        }
        if let Some((from, until, picture)) = &self.last
            && (*from == t || (*from..*until).contains(&t))
        {
            return picture.clone();
        }
        // Where pixels are not square the scenario is laid out as it will be seen, and drawn squeezed.
        let aspect = if stage.pixel_aspect.is_finite() && stage.pixel_aspect > 0.0 {
            stage.pixel_aspect
        } else {
            1.0
        };
        let seen = (f64::from(stage.width) * aspect).round().max(1.0) as u32;
        let mut scene = self.scenario.scene(t, (seen, stage.height), &mut self.fonts);
        if seen != stage.width {
            let squeeze = f64::from(stage.width) / f64::from(seen);
            for item in &mut scene.items {
                let Transform(map) = &mut item.transform;
                map[..3].iter_mut().for_each(|x| *x *= squeeze);
            }
        }
        let fonts = &self.fonts;
        let (_, raster) = self
            .raster
            .get_or_insert_with(|| (stage, Raster::new(stage.width, stage.height)));
        let picture = raster.draw(&scene, fonts);
        self.last = Some((t, self.scenario.still_until(t), picture.clone()));
        picture
    }

    /// What was found missing since the last call: fonts, characters that no font has, and fonts that are too much.
    pub fn missing(&mut self) -> Vec<Warning> {
        let found = self.fonts.warnings();
        let now = [found.families.len(), found.characters.len(), found.files.len()];
        if now == self.told {
            return Vec::new();
        }
        let mut messages = Vec::new();
        if now[0] > self.told[0] {
            let families: Vec<&str> = found.families.iter().map(String::as_str).collect();
            messages.push(format!(
                "no font of the family {}: another one is taken; install it or give its folder as fonts-dir",
                families.join(", ")
            ));
        }
        if now[1] > self.told[1] {
            let characters: Vec<String> = found
                .characters
                .iter()
                .map(|c| format!("{c} (U+{:04X})", u32::from(*c)))
                .collect();
            messages.push(format!(
                "no font has {}: install one that has, or give its folder as fonts-dir",
                characters.join(", ")
            ));
        }
        if now[2] > self.told[2] {
            let files: Vec<_> = found.files.iter().map(|file| file.display().to_string()).collect();
            messages.push(format!(
                "all fonts together have more than {MAX_FONT_BYTES} bytes: {} left out; use fewer fonts",
                files.join(", ")
            ));
        }
        self.told = now;
        let warning = |message| Warning {
            path: "fonts".to_owned(),
            message,
        };
        messages.into_iter().map(warning).collect()
    }
}
