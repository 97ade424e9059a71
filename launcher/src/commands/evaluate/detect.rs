//! Objects in pictures, as results for COCO.

use std::collections::HashMap;
use std::path::Path;

use nunchi_inference::engine::{EngineError, EngineKind, EngineOptions, ModelSource};
use nunchi_inference::frame::{FrameView, PixelFormat, Plane};
use nunchi_inference::models;
use nunchi_inference::ssd::{Detector, Labels, Limits, Setup};
use nunchi_motiontext::image::decode;
use nunchi_motiontext::scene::Image;

use super::coco::{Annotations, Detection, Picture};
use crate::cli::EvaluateArgs;
use crate::exit::{Exit, Failure};
use crate::output::{ProgressView, note};
use crate::spec::read::io_reason;

/// Pictures have no more pixels.
const MOST_PIXELS: usize = 1 << 28;

fn failure(error: &EngineError) -> Failure {
    let exit = match error {
        EngineError::ModelMissing { .. } => Exit::NoInput,
        EngineError::Conflict { .. } => Exit::BadDescription,
        EngineError::Inference { .. } | EngineError::DeviceLost { .. } => Exit::Failed,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, error.to_string())
}

fn load(args: &EvaluateArgs) -> Result<Detector, EngineError> {
    let model = args
        .model
        .clone()
        .map_or_else(models::object_detector, ModelSource::File);
    let options = EngineOptions {
        kind: args.engine.parse::<EngineKind>()?,
        device: args.device.clone(),
        threads: args.threads,
        batch: args.batch,
        ..EngineOptions::default()
    };
    let setup = Setup {
        family: args.family.parse()?,
        labels: args.labels.as_deref().map(Labels::read).transpose()?,
        ..Setup::default()
    };
    Detector::load(&model, &options, &setup)
}

/// The category of each class of the network, by name.
fn categories(annotations: &Annotations, labels: &Labels) -> Result<Vec<Option<u64>>, Failure> {
    let by_name: HashMap<&str, u64> = annotations.categories.iter().map(|c| (c.name.as_str(), c.id)).collect();
    let all: Vec<_> = (0..labels.len())
        .map(|class| by_name.get(labels.name(class)).copied())
        .collect();
    let known = all.iter().flatten().count();
    if known == 0 {
        let message = "no class of the network has the name of a category in the annotations";
        return Err(Failure::new(Exit::BadDescription, message).hint(format!(
            "the network's first is `{}`, the annotations' `{}`; give the names with --labels",
            labels.name(0),
            annotations.categories[0].name
        )));
    }
    let missing: Vec<&str> = annotations
        .categories
        .iter()
        .map(|category| category.name.as_str())
        .filter(|name| labels.index(name).is_none())
        .collect();
    if !missing.is_empty() {
        note(format_args!(
            "warning: the network does not know {}",
            missing.join(", ")
        ));
    }
    Ok(all)
}

fn open(folder: &Path, picture: &Picture) -> Result<Image, Failure> {
    let path = folder.join(&picture.file_name);
    let failure = |why: String| {
        Failure::new(
            Exit::NoInput,
            format!("cannot read the picture {}: {why}", path.display()),
        )
    };
    if !crate::spec::check::stays_inside(&picture.file_name) {
        return Err(failure(
            "its name in the annotations leads out of the folder".to_owned(),
        ));
    }
    let bytes = std::fs::read(&path).map_err(|error| {
        failure(io_reason(&error)).hint("--images is the folder that the annotations' file names are in")
    })?;
    decode(&bytes, MOST_PIXELS).map_err(|error| failure(error.to_string()))
}

/// Sends all pictures of the annotations through the network.
pub fn detect(args: &EvaluateArgs, folder: &Path, annotations: &Annotations) -> Result<Vec<Detection>, Failure> {
    let mut detector = load(args).map_err(|error| failure(&error))?;
    let categories = categories(annotations, detector.labels())?;
    let limits = Limits {
        score_threshold: args.score_threshold,
        max_detections: 100,
        ..detector.default_limits()
    };
    limits.check().map_err(|error| failure(&error))?;
    let mut view = ProgressView::new("evaluate", args.quiet);
    view.lines()
        .line(&format!("{} on {}", detector.engine(), detector.device()));
    let total = annotations.pictures.len();
    let mut all = Vec::new();
    for (done, pictures) in (0..)
        .step_by(detector.batch())
        .zip(annotations.pictures.chunks(detector.batch()))
    {
        let mut sizes = Vec::with_capacity(pictures.len());
        for (index, picture) in pictures.iter().enumerate() {
            let image = open(folder, picture)?;
            let planes = [Plane {
                data: &image.pixels,
                stride: image.width as usize * 4,
            }];
            let (matrix, range) = Default::default();
            FrameView::new(PixelFormat::Rgbx, image.width, image.height, &planes, matrix, range)
                .map_err(|error| error.to_string())
                .and_then(|view| detector.fill(0, index, &view).map_err(|error| error.to_string()))
                .map_err(|why| Failure::new(Exit::Failed, format!("{}: {why}", picture.file_name)))?;
            sizes.push((image.width, image.height));
        }
        let found = detector.submit(0).and_then(|()| detector.finish(0, &sizes, &limits));
        let found = found.map_err(|error| failure(&error))?;
        for ((picture, size), found) in pictures.iter().zip(&sizes).zip(found) {
            all.extend(found.iter().filter_map(|found| {
                let [x0, y0, x1, y1] = found.rect.map(f64::from);
                let (width, height) = (f64::from(size.0), f64::from(size.1));
                Some(Detection {
                    image_id: picture.id,
                    category_id: categories.get(found.class).copied().flatten()?,
                    bbox: [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height],
                    score: found.score.into(),
                })
            }));
        }
        view.count(done + pictures.len(), total, "pictures");
    }
    view.finish();
    Ok(all)
}
