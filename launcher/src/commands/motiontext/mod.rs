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

/// A result that is one of its own inputs, under whatever name, would be the last of it.
fn spares(out: &Path, inputs: &[&Path]) -> Result<(), Failure> {
    let Ok(real) = out.canonicalize() else {
        // It is not there yet.
        return Ok(());
    };
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| input == real) {
            return Err(Failure::new(
                Exit::Usage,
                format!("{} would replace its own input {}", out.display(), input.display()),
            )
            .hint("give another file to write"));
        }
    }
    Ok(())
}

fn failure(error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::File { .. } | OpenError::Fonts(_) => Exit::NoInput,
        OpenError::Scenario { .. } | OpenError::Text(_) => Exit::BadDescription,
    };
    Failure::new(exit, error.to_string())
}
