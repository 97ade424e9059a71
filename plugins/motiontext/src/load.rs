//! Pictures and fonts of a scenario, from its files.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    error::{Path as Place, Warning, Warnings},
    fonts::{FontError, Fonts},
    image::{self, ImageError, MAX_PIXELS},
    parse::{Asset, AssetKind, Source},
    player::Still,
    scenario::Scenario,
    scene::Image,
};

/// A picture or font, bytes.
const MAX_ASSET: u64 = 64 << 20;
/// All pictures of a scenario together, pixels.
const MAX_PICTURES: usize = 4 * MAX_PIXELS;

/// Loads the assets. What cannot be had is left out with a warning.
pub fn load(scenario: &mut Scenario, fonts: &mut Fonts, still: Still<'_>) -> Vec<Warning> {
    let mut warnings = Warnings::default();
    let mut loader = Loader {
        fonts,
        still,
        pixels: MAX_PICTURES,
        files: HashMap::new(),
    };
    for (index, asset) in scenario.assets().to_vec().into_iter().enumerate() {
        match loader.load(&asset) {
            Ok(Some(picture)) => scenario.set_picture(index, Arc::new(picture)),
            Ok(None) => {}
            Err(message) => warnings.add(&Place::Root(&asset.path), message),
        }
    }
    warnings.into_list()
}

struct Loader<'a> {
    fonts: &'a mut Fonts,
    still: Still<'a>,
    /// That pictures may still have.
    pixels: usize,
    /// Of fonts, which may go by several names.
    files: HashMap<PathBuf, Result<Arc<[u8]>, String>>,
}

impl Loader<'_> {
    /// The picture, if it is one.
    fn load(&mut self, asset: &Asset) -> Result<Option<Image>, String> {
        let file = match &asset.source {
            Source::File(file) => file,
            Source::Url(url) => return Err(format!("{url} is not fetched: save it beside the scenario")),
        };
        if let AssetKind::Font { families } = &asset.kind {
            return self.font(file, families).map(|()| None);
        }
        let picture = self.picture(file, &asset.kind);
        picture
            .map(Some)
            .map_err(|reason| format!("cannot show {}: {reason}", file.display()))
    }

    fn font(&mut self, file: &Path, families: &[String]) -> Result<(), String> {
        let data = match self.files.get(file) {
            Some(known) => known.clone(),
            None => {
                let data = self.font_file(file);
                self.files.insert(file.to_owned(), data.clone());
                data
            }
        }?;
        for family in families {
            self.fonts
                .add_data(family, data.clone())
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn font_file(&self, file: &Path) -> Result<Arc<[u8]>, String> {
        // Not read for nothing.
        if file
            .metadata()
            .is_ok_and(|found| found.len() > self.fonts.room() as u64)
        {
            return Err(FontError::TooMuch(file.display().to_string()).to_string());
        }
        read(file, MAX_ASSET)
            .map(Arc::from)
            .map_err(|error| format!("cannot read the font {}: {error}", file.display()))
    }

    fn picture(&mut self, file: &Path, kind: &AssetKind) -> Result<Image, String> {
        let beyond = || format!("all pictures together have more than {MAX_PICTURES} pixels");
        if self.pixels == 0 {
            return Err(beyond());
        }
        let picture = if *kind == AssetKind::Video {
            regular(file).map_err(|error| error.to_string())?;
            (self.still)(file)?
        } else {
            let data = read(file, MAX_ASSET).map_err(|error| error.to_string())?;
            image::decode(&data, self.pixels.min(MAX_PIXELS)).map_err(|error| match error {
                ImageError::TooLarge { most, .. } if most < MAX_PIXELS => beyond(),
                other => other.to_string(),
            })?
        };
        let left = self
            .pixels
            .checked_sub(picture.width as usize * picture.height as usize);
        // What does not fit ends it: otherwise each of many would be decoded for nothing.
        self.pixels = left.unwrap_or(0);
        left.map(|_| picture).ok_or_else(beyond)
    }
}

/// An ordinary file: pipes and devices may never end, and opening a pipe may wait for ever.
fn regular(path: &Path) -> io::Result<()> {
    if path.metadata()?.is_file() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"))
    }
}

/// The whole file, which must be an ordinary one.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    regular(path)?;
    let mut data = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut data)?;
    if data.len() as u64 > most {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes"),
        ));
    }
    Ok(data)
}
