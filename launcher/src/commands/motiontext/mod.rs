//! `nunchi motiontext`: scenarios without a pipeline of one's own.

pub mod frame;
pub mod render;
pub mod validate;

use std::path::Path;

use nunchi_motiontext::player::{OpenError, Player};
use nunchi_motiontext::{OffsetMode, Options, Profile, Warning};

use crate::cli::{self, MotionTextOptions};
use crate::exit::{Exit, Failure};

/// Opens a scenario for drawing it here. GStreamer is not started for it, so a video node shows nothing.
fn open(file: &Path, options: &MotionTextOptions) -> Result<(Player, Vec<Warning>), OpenError> {
    let still = &mut |_: &Path| Err("a picture of a video is taken by `render` and motiontextoverlay only".to_owned());
    let profile = match options.profile {
        cli::Profile::Preview => Profile::Preview,
        cli::Profile::Document => Profile::Document,
    };
    let offset_mode = match options.offset_mode {
        cli::OffsetMode::Auto => OffsetMode::Auto,
        cli::OffsetMode::Boundary => OffsetMode::Boundary,
        cli::OffsetMode::Start => OffsetMode::Start,
    };
    let read = Options {
        profile,
        offset_mode,
        ..Options::default()
    };
    Player::open(file, &read, options.fonts_dir.as_deref(), still)
}

fn failure(error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::File { .. } | OpenError::Fonts(_) => Exit::NoInput,
        OpenError::Scenario { .. } | OpenError::Text(_) => Exit::BadDescription,
    };
    Failure::new(exit, error.to_string())
}
