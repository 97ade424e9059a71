//! Effects that move a node as a whole.

use std::f64::consts::{PI, TAU};

use super::{Channels, Effect, Half, Look, Plugin, Subject, builtin};
use crate::ease::Ease;

/// None for effects that only act within the node.
pub(super) fn channels(effect: &Effect, p: f64, subject: &Subject<'_>) -> Option<Channels> {
    Some(match effect.plugin {
        Plugin::Spin { turns } => Channels {
            rotate: Some(360.0 * p * turns),
            ..Channels::default()
        },
        Plugin::Pulse { scale, cycles } => {
            let scale = 1.0 + (scale - 1.0) * (0.5 - 0.5 * (TAU * p * cycles).cos());
            Channels {
                sx: Some(scale),
                sy: Some(scale),
                ..Channels::default()
            }
        }
        Plugin::BobY { amplitude, cycles } => Channels {
            ty: Some(amplitude * (TAU * p * cycles).sin()),
            ..Channels::default()
        },
        Plugin::CwiBouncing { wave, .. } => {
            let e = Ease::InOut(3).at(p);
            let scale = 1.0 + 0.05 * (PI * e).sin();
            Channels {
                tx: Some(0.3 * (TAU * e).sin()),
                ty: Some(-0.3 * wave * (PI * e).sin()),
                sx: Some(scale),
                sy: Some(scale),
                ..Channels::default()
            }
        }
        Plugin::Builtin {
            kind,
            ease,
            amount,
            other,
        } => builtin::channels(kind, ease, amount, other, p, subject.dialect),
        _ => return None,
    })
}

/// The half of `pulse` and `bobY` that acts on what is in the node. Upstream adds it to the other half and always plays one cycle of it; the
/// specification has one effect once.
pub(super) fn inner_half(effect: &Effect, p: f64, subject: &Subject<'_>) -> Option<Look> {
    if !subject.is_preview() && effect.half == Half::Both {
        return None;
    }
    let cycle = |cycles: f64| if subject.is_preview() { p } else { (p * cycles).fract() };
    let back_and_forth = |p: f64| Ease::SineInOut.at(if p < 0.5 { 2.0 * p } else { 2.0 - 2.0 * p });
    let moves = p > 0.0 && p < 1.0;
    Some(match effect.plugin {
        Plugin::Pulse { scale, cycles } => Look {
            scale: [1.0 + (scale - 1.0) * back_and_forth(cycle(cycles)); 2],
            moves,
            ..Look::default()
        },
        Plugin::BobY { amplitude, cycles } => Look {
            shift: [0.0, amplitude * back_and_forth(cycle(cycles))],
            moves,
            ..Look::default()
        },
        _ => return None,
    })
}
