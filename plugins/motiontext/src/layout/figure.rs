//! What is drawn, with its place: what a test can compare with another renderer, and what the scene is made of.

use std::sync::Arc;

use super::text::Line;
use crate::scene::{Blend, Content, Filter, Image, Item, Panel, Rgba, Scene, Shadow, Stroke, Text};
use crate::transform::Transform;

/// A box with what is drawn in it, then its children.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub kind: FigureKind,
    /// The id of its node.
    pub node: Arc<str>,
    /// Of a run.
    pub text: Arc<str>,
    /// px
    pub size: [f64; 2],
    /// From px of the box, its upper left corner first, to those of the stage.
    pub transform: Transform,
    /// The same as it is drawn: what is turned or scaled begins at a whole px in the profile preview, as in a browser.
    pub drawn: Transform,
    /// Of itself and its children, 0..=1.
    pub opacity: f64,
    pub blend: Blend,
    pub filters: Vec<Filter>,
    /// Nothing of it is drawn outside of its box, which has these corners.
    pub clip: Option<[f32; 4]>,
    pub paint: Paint,
    pub children: Vec<Figure>,
}

/// What a figure stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FigureKind {
    Group,
    /// The box that a text node takes in its group.
    Node,
    /// The box within it that effects move as a whole.
    Wrapper,
    /// A text, or a word or a letter of it.
    Run,
    /// Light or flames behind a text.
    Layer,
    Picture,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Paint {
    Nothing,
    Panel(Panel),
    Text {
        lines: Vec<Line>,
        color: Rgba,
        stroke: Option<Stroke>,
        shadows: Vec<Shadow>,
        turns_pixels: bool,
    },
    Glow {
        color: Rgba,
        solid: f32,
        radius: f32,
    },
    Image(Arc<Image>),
}

/// The items of figures, from back to front.
pub(crate) fn scene(figures: Vec<Figure>) -> Scene {
    let mut scene = Scene::default();
    figures.into_iter().for_each(|figure| add(figure, &mut scene.items));
    scene
}

fn add(figure: Figure, items: &mut Vec<Item>) {
    if figure.opacity <= 0.0 {
        return;
    }
    let matrix = figure.drawn;
    if !matrix.is_finite() || !figure.size.iter().all(|side| side.is_finite()) {
        return;
    }
    let (opacity, blend, clip) = (figure.opacity.min(1.0) as f32, figure.blend, figure.clip);
    let filters = figure.filters;
    let size = figure.size;
    let mut own = Vec::new();
    paint(figure.paint, size, &matrix, &mut own);
    figure.children.into_iter().for_each(|child| add(child, &mut own));
    let plain = opacity >= 1.0 && blend == Blend::Normal && filters.is_empty();
    if own.is_empty() {
        return;
    }
    if clip.is_none() && plain {
        items.append(&mut own);
        return;
    }
    // What applies to one thing alone needs no layer.
    if let (None, [only]) = (clip, own.as_mut_slice())
        && only.filters.is_empty()
        && only.blend == Blend::Normal
    {
        only.opacity *= opacity;
        only.blend = blend;
        only.filters = filters;
        items.append(&mut own);
        return;
    }
    let (transform, panel) = match clip {
        None => (Transform::IDENTITY, None),
        Some(radius) => {
            let Some(inverse) = matrix.inverse() else { return };
            for item in &mut own {
                item.transform = inverse.times(&item.transform);
            }
            let size = size.map(|side| side as f32);
            (
                matrix,
                Some(Panel {
                    size,
                    background: Rgba::WHITE,
                    border: None,
                    radius,
                }),
            )
        }
    };
    let content = Content::Layer {
        scene: Scene { items: own },
        clip: panel,
    };
    items.push(Item {
        transform,
        opacity,
        blend,
        filters,
        content,
    });
}

fn paint(paint: Paint, size: [f64; 2], matrix: &Transform, items: &mut Vec<Item>) {
    let size = size.map(|side| side as f32);
    let item = |transform: Transform, content| Item {
        transform,
        opacity: 1.0,
        blend: Blend::Normal,
        filters: Vec::new(),
        content,
    };
    match paint {
        Paint::Nothing => {}
        Paint::Panel(panel) => {
            if panel.background.a > 0.0
                || panel
                    .border
                    .is_some_and(|border| border.width > 0.0 && border.color.a > 0.0)
            {
                items.push(item(*matrix, Content::Box(panel)));
            }
        }
        Paint::Text {
            lines,
            color,
            stroke,
            shadows,
            turns_pixels,
        } => {
            for Line {
                shaped, x, baseline, ..
            } in lines
            {
                if !shaped.glyphs.is_empty() {
                    let text = Text {
                        shaped,
                        color,
                        stroke,
                        shadows: shadows.clone(),
                        turns_pixels,
                    };
                    items.push(item(
                        matrix.times(&Transform::translate([x, baseline])),
                        Content::Text(text),
                    ));
                }
            }
        }
        Paint::Glow { color, solid, radius } => items.push(item(
            *matrix,
            Content::Glow {
                size,
                color,
                solid,
                radius,
            },
        )),
        Paint::Image(image) => items.push(item(*matrix, Content::Image { image, size })),
    }
}

impl Figure {
    /// Left, top, width and height of the upright box around it on the stage.
    pub fn rect(&self) -> [f64; 4] {
        let [width, height] = self.size;
        let matrix = self.transform;
        let corners = [[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]].map(|corner| matrix.apply(corner));
        let least = |axis: usize| corners.iter().map(|corner| corner[axis]).fold(f64::INFINITY, f64::min);
        let most = |axis: usize| {
            corners
                .iter()
                .map(|corner| corner[axis])
                .fold(f64::NEG_INFINITY, f64::max)
        };
        [least(0), least(1), most(0) - least(0), most(1) - least(1)]
    }
}
