//! `nunchi evaluate`: how good a network is on annotated pictures, as COCO measures it.

mod coco;
mod detect;
mod score;

use std::path::Path;

use serde::Serialize;

use crate::cli::{EvaluateArgs, Format};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::spec::read::io_reason;
use coco::{Annotations, Detection};
use score::Scores;

#[derive(Serialize)]
struct Account<'a> {
    pictures: usize,
    detections: usize,
    #[serde(flatten)]
    scores: &'a Scores,
}

pub fn run(args: &EvaluateArgs) -> Exit {
    match evaluate(args) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            output::error(&failure);
            failure.exit
        }
    }
}

fn evaluate(args: &EvaluateArgs) -> Result<(), Failure> {
    let annotations = Annotations::read(&args.coco)?;
    let found = match (&args.results, &args.images) {
        (Some(results), _) => annotations.read_results(results)?,
        (None, Some(folder)) => detect::detect(args, folder, &annotations)?,
        (None, None) => {
            let message = "give the folder of the pictures with --images, or what was found in them with --results";
            return Err(Failure::new(Exit::Usage, message));
        }
    };
    if let Some(path) = &args.save {
        save(path, &found)?;
    }
    let scores = score::evaluate(&annotations, &found);
    let account = Account {
        pictures: annotations.pictures.len(),
        detections: found.len(),
        scores: &scores,
    };
    match args.format {
        Format::Text => output::print(&text(&account, args.per_category)),
        Format::Json => {
            let json = serde_json::to_string_pretty(&account)
                .map_err(|error| Failure::new(Exit::Internal, format!("cannot write the scores: {error}")))?;
            output::print(&(json + "\n"));
        }
    }
    Ok(())
}

/// In place only when it is whole.
fn save(path: &Path, found: &[Detection]) -> Result<(), Failure> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    serde_json::to_vec(found)
        .map_err(std::io::Error::from)
        .and_then(|json| std::fs::write(&part, json))
        .and_then(|()| std::fs::rename(&part, path))
        .map_err(|error| {
            Failure::new(
                Exit::CannotWrite,
                format!("cannot write {}: {}", path.display(), io_reason(&error)),
            )
        })
}

fn text(account: &Account<'_>, per_category: bool) -> String {
    let mut text = String::new();
    for row in &account.scores.rows {
        text += &row.line();
        text.push('\n');
    }
    if per_category {
        let width = account
            .scores
            .categories
            .iter()
            .map(|(name, _)| name.chars().count())
            .max();
        for (name, value) in &account.scores.categories {
            text += &format!(" {name:<width$} {value:.3}\n", width = width.unwrap_or(0));
        }
    }
    text
}
