//! Where everything is at one time: from the document to figures, which the scene is made of.

mod build;
mod figure;
mod flow;
mod paint;
mod place;
mod text;
mod typeset;

use std::sync::Arc;

pub(crate) use figure::scene;
pub use figure::{Figure, FigureKind, Paint};
pub use text::{Line, Measure};

use crate::model::Document;
use crate::parse::Options;
use crate::scene::Image;

/// The figures on a stage of a size, from back to front.
pub(crate) fn figures(
    document: &Document,
    options: &Options,
    pictures: &[Option<Arc<Image>>],
    time: f64,
    stage: [f64; 2],
    measure: &mut dyn Measure,
) -> Vec<Figure> {
    let mut builder = build::Builder {
        document,
        options,
        pictures,
        time,
        stage,
        measure,
    };
    let root = builder.stage();
    if root.children.is_empty() {
        return Vec::new();
    }
    let scale = builder.px_scale();
    let fragment = flow::stage(&root, stage, builder.measure);
    let painter = paint::Painter {
        document,
        options,
        time,
        scale,
        stage,
    };
    painter.figures(&root, &fragment)
}
