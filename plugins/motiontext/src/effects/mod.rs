//! What the effects of a node do to it at one time. All are pure functions of their parameters and their progress.

mod builtin;
mod channel;
mod cwi;
mod decor;
mod params;
mod text_in;

pub(crate) use params::{BuiltinKind, CwiKind, Glow, Plugin, Shake};

use crate::model::{Dialect, Span};
use crate::parse::Profile;
use crate::scene::{Filter, Rgba, Shadow};

/// One link of a node's chain.
#[derive(Debug, Clone)]
pub(crate) struct Effect {
    pub(crate) plugin: Plugin,
    /// Seconds of the scenario.
    pub(crate) window: Span,
    pub(crate) compose: Compose,
    pub(crate) half: Half,
    /// What its random amounts are made from.
    pub(crate) seed: u64,
}

impl Effect {
    /// Whether it moves the node as a whole, and nothing in it.
    pub(crate) fn only_moves(&self) -> bool {
        self.half == Half::Channel || matches!(self.plugin, Plugin::Spin { .. } | Plugin::Builtin { .. })
    }
}

/// How a channel joins what effects before it have set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compose {
    Replace,
    Add,
    Multiply,
}

/// Which half of an effect acts that has both: the one that moves the node, or the one that moves what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Both,
    Channel,
    Inner,
}

/// What moves a node as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Channels {
    /// px
    pub(crate) tx: Option<f64>,
    pub(crate) ty: Option<f64>,
    pub(crate) sx: Option<f64>,
    pub(crate) sy: Option<f64>,
    /// degrees
    pub(crate) rotate: Option<f64>,
    pub(crate) opacity: Option<f64>,
}

impl Channels {
    fn each(&mut self) -> [&mut Option<f64>; 6] {
        let Self {
            tx,
            ty,
            sx,
            sy,
            rotate,
            opacity,
        } = self;
        [tx, ty, sx, sy, rotate, opacity]
    }

    fn join(&mut self, mut other: Self, compose: Compose) {
        for (mine, theirs) in self.each().into_iter().zip(other.each()) {
            let Some(value) = *theirs else { continue };
            *mine = Some(match (*mine, compose) {
                (Some(mine), Compose::Add) => mine + value,
                (Some(mine), Compose::Multiply) => mine * value,
                _ => value,
            });
        }
    }
}

/// How a box differs from plain text at its place. Steps: shift, turn, scale, about the origin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Look {
    /// px
    pub(crate) shift: [f64; 2],
    pub(crate) scale: [f64; 2],
    /// Degrees about the axes x, y and z.
    pub(crate) turn: [f64; 3],
    /// Degrees
    pub(crate) skew: f64,
    /// Shares of the box.
    pub(crate) origin: [f64; 2],
    pub(crate) opacity: f64,
    pub(crate) color: Option<Rgba>,
    pub(crate) shadows: Option<Vec<Shadow>>,
    pub(crate) filters: Vec<Filter>,
    /// On its way, and not where it began or came to rest.
    pub(crate) moves: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            shift: [0.0; 2],
            scale: [1.0; 2],
            turn: [0.0; 3],
            skew: 0.0,
            origin: [0.5; 2],
            opacity: 1.0,
            color: None,
            shadows: None,
            filters: Vec::new(),
            moves: false,
        }
    }
}

/// What is in a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Inner {
    /// Of all of it, outermost first.
    pub(crate) whole: Vec<Look>,
    pub(crate) units: Units,
    /// Behind the text.
    pub(crate) under: Vec<Under>,
    /// Copies of the text in front of it.
    pub(crate) ghosts: Vec<Look>,
}

/// Into what the text is cut.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Units {
    #[default]
    Whole,
    Letters {
        looks: Vec<Look>,
        /// They turn in space, seen from so many px.
        perspective: Option<f64>,
        /// The plain text stays above them.
        with_text: bool,
    },
    Words {
        looks: Vec<Look>,
        /// Left and right of each, in font sizes.
        margin: f64,
        /// What overflows a word is cut off, which also changes where its base line is.
        clip: bool,
    },
    /// The first so many letters and a cursor.
    Typed {
        shown: usize,
        cursor: Option<String>,
        cursor_visible: bool,
    },
}

/// Something as large as the text, behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Under {
    Glow { color: Rgba, opacity: f64 },
    Flames { opacity: f64 },
}

/// What effects need to know of the text that they act on.
pub(crate) struct Subject<'a> {
    pub(crate) letters: usize,
    pub(crate) words: usize,
    /// The first shadow that the text has without effects.
    pub(crate) shadow: Option<Shadow>,
    pub(crate) profile: Profile,
    pub(crate) dialect: Dialect,
    pub(crate) pinned_random: Option<f64>,
    pub(crate) chain: &'a [Effect],
}

impl Subject<'_> {
    fn is_preview(&self) -> bool {
        self.profile == Profile::Preview
    }

    /// The shadow at a time, which a glow may have replaced.
    fn shadow_at(&self, t: f64) -> Option<Shadow> {
        let glow = self.chain.iter().rev().find_map(|effect| match &effect.plugin {
            Plugin::Glow(glow) if t >= effect.window.start => decor::glow_shadows(glow, self.progress(effect, t), self)
                .into_iter()
                .next(),
            _ => None,
        });
        glow.or(self.shadow)
    }

    /// How far an effect is, 0..=1.
    fn progress(&self, effect: &Effect, t: f64) -> f64 {
        let Span { start, end } = effect.window;
        if end > start {
            ((t - start) / (end - start)).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// A random amount of -1..=1 that is the same whenever it is asked for.
    fn random(&self, effect: &Effect, unit: usize, slot: u64) -> f64 {
        if let Some(pinned) = self.pinned_random {
            return pinned;
        }
        // SplitMix64 (Steele, Lea, Flood 2014) over the three.
        let mut x =
            effect.seed ^ (unit as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ slot.wrapping_mul(0xd1b5_4a32_d192_ed03);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^= x >> 31;
        (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// FNV-1a, for seeds.
pub(crate) fn seed(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter().chain(&[0xff]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// What the chain does to the node as a whole. In the profile preview a channel keeps its last value when no window sets it any more.
pub(crate) fn channels(subject: &Subject<'_>, t: f64) -> Channels {
    let mut now = channels_within(subject, t);
    if !subject.is_preview() || subject.dialect == Dialect::V13 {
        return now;
    }
    let mut ends: Vec<f64> = subject
        .chain
        .iter()
        .map(|effect| effect.window.end)
        .filter(|end| *end < t)
        .collect();
    ends.sort_by(f64::total_cmp);
    for end in ends.into_iter().rev() {
        let mut last = channels_within(subject, end);
        for (value, last) in now.each().into_iter().zip(last.each()) {
            *value = value.or(*last);
        }
    }
    now
}

fn channels_within(subject: &Subject<'_>, t: f64) -> Channels {
    let mut all = Channels::default();
    for effect in subject.chain {
        if effect.half != Half::Inner && effect.window.holds(t) {
            let progress = subject.progress(effect, t);
            if let Some(channels) = channel::channels(effect, progress, subject) {
                all.join(channels, effect.compose);
            }
        }
    }
    all
}

/// What the chain does within the node. An effect does nothing before its window and stays as it ended after it.
pub(crate) fn inner(subject: &Subject<'_>, t: f64) -> Inner {
    let mut inner = Inner::default();
    for effect in subject.chain {
        if effect.half == Half::Channel || t < effect.window.start || effect.window.end < effect.window.start {
            continue;
        }
        let progress = subject.progress(effect, t);
        match &effect.plugin {
            Plugin::Pulse { .. } | Plugin::BobY { .. } => {
                inner.whole.extend(channel::inner_half(effect, progress, subject));
            }
            Plugin::CwiColor { .. }
            | Plugin::CwiBouncing { .. }
            | Plugin::CwiLoud { .. }
            | Plugin::CwiWhisper { .. } => {
                cwi::apply(effect, progress, subject, &mut inner);
            }
            Plugin::Cwi { .. } => cwi::apply_archived(effect, t, subject, &mut inner),
            Plugin::FadeIn { .. }
            | Plugin::SlideUp { .. }
            | Plugin::ScalePop { .. }
            | Plugin::Elastic { .. }
            | Plugin::Rotation { .. }
            | Plugin::Magnetic { .. } => {
                if subject.is_preview() {
                    // Upstream throws away what is there, light and ghosts with it.
                    inner.under.clear();
                    inner.ghosts.clear();
                }
                inner.units = text_in::units(effect, progress, subject);
            }
            Plugin::Glow(_)
            | Plugin::Flames { .. }
            | Plugin::Typewriter { .. }
            | Plugin::FlipType { .. }
            | Plugin::Glitch { .. } => decor::apply(effect, progress, subject, &mut inner),
            Plugin::Spin { .. } | Plugin::Builtin { .. } => {}
        }
    }
    inner
}

/// From one colour to another, channel by channel.
pub(crate) fn mix(from: Rgba, to: Rgba, share: f64) -> Rgba {
    let share = share as f32;
    let one = |from: f32, to: f32| (from + (to - from) * share).clamp(0.0, 1.0);
    Rgba {
        r: one(from.r, to.r),
        g: one(from.g, to.g),
        b: one(from.b, to.b),
        a: one(from.a, to.a),
    }
}

/// From one shadow to another.
pub(crate) fn mix_shadow(from: Shadow, to: Shadow, share: f64) -> Shadow {
    let one = |from: f32, to: f32| from + (to - from) * share as f32;
    Shadow {
        dx: one(from.dx, to.dx),
        dy: one(from.dy, to.dy),
        blur: one(from.blur, to.blur).max(0.0),
        color: mix(from.color, to.color, share),
    }
}
