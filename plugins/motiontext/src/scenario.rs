//! A scenario that can be shown.

use std::sync::Arc;

use crate::effects::Effect;
use crate::error::{Error, Warning};
use crate::fonts::Fonts;
use crate::layout::{self, Figure, Measure};
use crate::model::{Content, Dialect, Document, Node, Span};
use crate::parse::{self, Asset, Options, Parsed};
use crate::scene::{Image, Scene};

/// A parsed scenario. What it shows depends on the time and the size of the stage alone.
pub struct Scenario {
    document: Document,
    options: Options,
    assets: Vec<Asset>,
    /// Of the assets, in their order.
    pictures: Vec<Option<Arc<Image>>>,
    changes: Changes,
}

impl Scenario {
    /// Reads a scenario of version 2.0 or 1.3.
    ///
    /// Returns it with what is left out or taken differently than its author may think, or says why it cannot be shown: it is no JSON, of an
    /// unknown version, contradicts itself, or is too large.
    pub fn parse(json: &[u8], options: &Options) -> Result<(Self, Vec<Warning>), Error> {
        let (Parsed { document, assets }, warnings) = parse::parse(json, options)?;
        let pictures = vec![None; assets.len()];
        let changes = Changes::of(&document);
        Ok((
            Self {
                document,
                options: options.clone(),
                assets,
                pictures,
                changes,
            },
            warnings,
        ))
    }

    /// What it wants from outside. Nothing is loaded by itself.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// Gives the picture of an asset, by its index in [`Self::assets`]. Without it the node is not drawn.
    pub fn set_picture(&mut self, asset: usize, picture: Arc<Image>) {
        if let Some(place) = self.pictures.get_mut(asset) {
            *place = Some(picture);
        }
    }

    /// From when to when there may be something to see, seconds; none if there never is.
    pub fn lifetime(&self) -> Option<Span> {
        let mut lives = self.document.cues.iter().map(|cue| cue.life);
        let first = lives.next()?;
        Some(lives.fold(first, |all, life| Span {
            start: all.start.min(life.start),
            end: all.end.max(life.end),
        }))
    }

    /// Until when the scene stays as it is at `t`, seconds: for every time from `t` on that is less. It is `t` itself while something moves.
    pub fn still_until(&self, t: f64) -> f64 {
        let until = self.changes.until(self.snapped(t));
        match self.document.snap {
            None => until,
            // A time is rounded to the step if it is less than half a frame before it.
            Some(fps) => (until - 0.5 / fps).max(t),
        }
    }

    /// The scene at `t` seconds on a stage of so many px.
    pub fn scene(&self, t: f64, size: (u32, u32), fonts: &mut Fonts) -> Scene {
        layout::scene(self.figures(t, size, fonts))
    }

    /// What the scene is made of, with the places of all boxes.
    pub fn figures(&self, t: f64, (width, height): (u32, u32), measure: &mut dyn Measure) -> Vec<Figure> {
        if width == 0 || height == 0 || !t.is_finite() {
            return Vec::new();
        }
        let stage = [f64::from(width), f64::from(height)];
        layout::figures(
            &self.document,
            &self.options,
            &self.pictures,
            self.snapped(t),
            stage,
            measure,
        )
    }

    fn snapped(&self, t: f64) -> f64 {
        match self.document.snap {
            Some(fps) => (t * fps).round() / fps,
            None => t,
        }
    }
}

/// When something changes.
struct Changes {
    /// Times at which something appears or goes, in order.
    steps: Vec<f64>,
    /// Times in which something moves, in order of their starts, and the latest end of each and all before it.
    moving: Vec<(f64, f64)>,
}

impl Changes {
    fn of(document: &Document) -> Self {
        let mut all = Self {
            steps: Vec::new(),
            moving: Vec::new(),
        };
        for cue in &document.cues {
            all.steps.extend([cue.life.start, cue.life.end]);
            all.node(&cue.root, document.dialect);
        }
        all.steps.retain(|time| time.is_finite());
        all.steps.sort_by(f64::total_cmp);
        all.steps.dedup();
        all.moving.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut latest = f64::NEG_INFINITY;
        for (_, end) in &mut all.moving {
            latest = latest.max(*end);
            *end = latest;
        }
        all
    }

    fn node(&mut self, node: &Node, dialect: Dialect) {
        self.steps.extend([node.time.start, node.time.end]);
        for Effect { window, .. } in &node.chain {
            self.steps.extend([window.start, window.end]);
            let shown = if dialect == Dialect::V2 && !node.time.is_finite() {
                Span::ALWAYS
            } else {
                node.time
            };
            let (start, end) = (window.start.max(shown.start), window.end.min(shown.end));
            if start < end {
                self.moving.push((start, end));
            }
        }
        if let Content::Group { children, .. } = &node.content {
            children.iter().for_each(|child| self.node(child, dialect));
        }
    }

    fn until(&self, t: f64) -> f64 {
        let next = self.steps.partition_point(|step| *step <= t);
        // At its last instant a thing is still there, and after it no more.
        if next > 0 && self.steps[next - 1] == t {
            return t;
        }
        let begun = self.moving.partition_point(|(start, _)| *start <= t);
        if begun > 0 && self.moving[begun - 1].1 >= t {
            return t;
        }
        self.steps.get(next).copied().unwrap_or(f64::INFINITY)
    }
}
