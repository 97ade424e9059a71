//! "Caption with intention": words that are coloured while they are spoken, and loud and soft ones.

use std::f64::consts::{PI, TAU};

use super::{CwiKind, Effect, Inner, Look, Plugin, Subject, Units, mix};
use crate::ease::Ease;
use crate::scene::Rgba;

/// Words that are not yet spoken.
const UNSPOKEN: Rgba = Rgba { a: 0.9, ..Rgba::WHITE };

pub(super) fn apply(effect: &Effect, p: f64, subject: &Subject<'_>, inner: &mut Inner) {
    match effect.plugin {
        Plugin::CwiColor { target, mixes, bulk } => {
            let looks = letters(inner, subject.letters);
            let count = looks.len() as f64;
            for (index, look) in looks.iter_mut().enumerate() {
                look.color = Some(if p >= 0.985 {
                    target
                } else if bulk {
                    toward(target, mixes, Ease::Out(3).at(p))
                } else {
                    let share = (p * count + 1e-4 - index as f64).clamp(0.0, 1.0);
                    match share {
                        0.0 => UNSPOKEN,
                        1.0 => target,
                        share => toward(target, mixes, Ease::Out(3).at(share)),
                    }
                });
            }
        }
        Plugin::CwiBouncing { wave, letter } => {
            if p <= 0.0 && subject.is_preview() {
                // Upstream cuts the word anew when this begins, and the colour is back one instant later.
                inner.units = Units::Whole;
            }
            let looks = letters(inner, subject.letters);
            let last = looks.len().saturating_sub(1).max(1) as f64;
            for (index, look) in looks.iter_mut().enumerate() {
                let start = index as f64 * (1.0 - letter) / last;
                let u = (p - start) / letter;
                if u > 0.0 && u < 1.0 {
                    let e = Ease::InOut(3).at(u);
                    look.shift = [0.6 * (TAU * e).sin(), -wave * (PI * e).sin()];
                    look.moves = true;
                }
            }
        }
        Plugin::CwiLoud { scale, lift, tremble } => {
            let Envelope { f, hold } = envelope(p);
            let c = f.powf(1.5);
            let phase = PI * p * tremble.frequency;
            let ring = hold.map_or(0.0, |h| 0.06 * (-3.0 * h).exp() * (36.0 * PI * h).sin());
            let scale = 1.0 + (scale - 1.0) * f + 0.03 * c * (1.2 * phase).sin() + ring;
            let shift = [
                0.8 * tremble.amplitude * c * (1.6 * phase).sin(),
                -lift * f + 0.5 * tremble.amplitude * c * (1.9 * phase).cos(),
            ];
            word(
                inner,
                Look {
                    shift,
                    scale: [scale; 2],
                    ..Look::default()
                },
            );
        }
        Plugin::CwiWhisper {
            scale: smallest,
            drop,
            flutter,
        } => {
            let Envelope { f, hold } = envelope(p);
            let wave = 0.8 * flutter.amplitude * f * (1.6 * PI * p * flutter.frequency).sin();
            let ring = hold.map_or(0.0, |h| -0.05 * (-3.0 * h).exp() * (32.0 * PI * h).sin());
            let scale = smallest.max(1.0 - (1.0 - smallest) * f - wave + ring);
            word(
                inner,
                Look {
                    shift: [0.0, drop * f],
                    scale: [scale; 2],
                    ..Look::default()
                },
            );
        }
        _ => {}
    }
}

/// The first version of the family: one effect of four kinds, which acts between two times of its own.
pub(super) fn apply_archived(effect: &Effect, t: f64, subject: &Subject<'_>, inner: &mut Inner) {
    let Plugin::Cwi {
        kind,
        target,
        from,
        to,
        pop,
        tremble,
    } = effect.plugin
    else {
        return;
    };
    let now = t - effect.window.start;
    let p = ((now - from) / (to - from).max(1e-9)).clamp(0.0, 1.0);
    if kind == CwiKind::Color {
        let color = if now < from {
            UNSPOKEN
        } else {
            mix(UNSPOKEN, target, Ease::Out(3).at(p))
        };
        for look in letters(inner, subject.letters) {
            look.color = Some(color);
        }
        return;
    }
    if now < from || now >= to {
        word(inner, Look::default());
        return;
    }
    let phase = TAU * p * tremble.frequency;
    let (shift, scale) = match kind {
        CwiKind::Whisper => ([0.0; 2], 0.6),
        CwiKind::Loud => {
            let a = tremble.amplitude;
            (
                [a * phase.sin(), 0.6 * a * phase.cos() - 8.0],
                2.4 + 0.1 * (PI * p).sin(),
            )
        }
        _ => (
            [0.0, 3.0 * (TAU * p).sin()],
            1.0 + (pop - 1.0) * Ease::Out(3).at(1.2 * p),
        ),
    };
    word(
        inner,
        Look {
            shift,
            scale: [scale; 2],
            color: Some(target),
            ..Look::default()
        },
    );
}

/// From white: what is spoken first turns from the colour of the unspoken without its transparency.
fn toward(target: Rgba, mixes: bool, share: f64) -> Rgba {
    if mixes {
        mix(Rgba::WHITE, target, share)
    } else {
        Rgba::WHITE
    }
}

/// The letters of the word, in the colour of the unspoken if none of the family has cut it into letters yet.
fn letters(inner: &mut Inner, count: usize) -> &mut Vec<Look> {
    if !matches!(inner.units, Units::Letters { perspective: None, .. }) {
        let looks = vec![
            Look {
                color: Some(UNSPOKEN),
                ..Look::default()
            };
            count
        ];
        inner.units = Units::Letters {
            looks,
            perspective: None,
            with_text: false,
        };
    }
    match &mut inner.units {
        Units::Letters { looks, .. } => looks,
        _ => unreachable!("just made so"),
    }
}

/// The word as a whole; letters in it keep their colours.
fn word(inner: &mut Inner, look: Look) {
    let color = look.color.or(matches!(inner.units, Units::Whole).then_some(UNSPOKEN));
    inner.whole.push(Look { color, ..look });
}

struct Envelope {
    f: f64,
    /// How far the time at full strength is.
    hold: Option<f64>,
}

/// Up in the first 12 %, down in the last.
fn envelope(p: f64) -> Envelope {
    const EDGE: f64 = 0.12;
    if p < EDGE {
        Envelope {
            f: Ease::Out(3).at(p / EDGE),
            hold: None,
        }
    } else if p > 1.0 - EDGE {
        Envelope {
            f: 1.0 - ((p - (1.0 - EDGE)) / EDGE).powi(3),
            hold: None,
        }
    } else {
        Envelope {
            f: 1.0,
            hold: Some((p - EDGE) / (1.0 - 2.0 * EDGE)),
        }
    }
}
