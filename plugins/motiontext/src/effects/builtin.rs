//! What the first versions had built in, and scenarios still ask for.

use std::f64::consts::{PI, TAU};

use super::{BuiltinKind, Channels};
use crate::ease::Ease;
use crate::model::Dialect;

/// `amount` and `other` as the kind has them.
pub(super) fn channels(kind: BuiltinKind, ease: Ease, amount: f64, other: f64, p: f64, dialect: Dialect) -> Channels {
    let old = dialect == Dialect::V13;
    let (ease_in, ease_out) = (Ease::In(3), Ease::Out(3));
    let shifted = |[x, y]: [f64; 2], by: f64| Channels {
        tx: (x != 0.0).then_some(x * by),
        ty: (y != 0.0).then_some(y * by),
        ..Channels::default()
    };
    let scaled = |scale: f64| Channels {
        sx: Some(scale),
        sy: Some(scale),
        ..Channels::default()
    };
    let faded = |opacity: f64| Channels {
        opacity: Some(opacity.clamp(0.0, 1.0)),
        ..Channels::default()
    };
    match kind {
        BuiltinKind::FadeIn => faded(if old { ease_out.at(p) } else { ease.at(p) }),
        BuiltinKind::FadeOut => faded(if old { 1.0 - p } else { 1.0 - ease.at(p) }),
        BuiltinKind::SlideIn(from) => shifted(from, amount * (1.0 - ease_out.at(p))),
        BuiltinKind::SlideOut(to) => shifted(to, amount * ease_in.at(p)),
        BuiltinKind::ScaleIn => scaled(amount + (other - amount) * ease_out.at(p)),
        BuiltinKind::ScaleOut => scaled(amount + (other - amount) * ease_in.at(p)),
        BuiltinKind::Pop if old => scaled(1.0 + (amount - 1.0) * Ease::BackOut(1.7).at(p)),
        BuiltinKind::Pop => {
            scaled(1.0 + (amount - 1.0) * Ease::BackOut(1.70158).at(p) * (1.0 + other * (4.0 * PI * p).sin()))
        }
        BuiltinKind::Wave(along) => shifted(along, amount * (TAU * p * other).sin()),
        BuiltinKind::Shake(along) => shifted(along, amount * (TAU * p * other).sin()),
        BuiltinKind::Bounce => Channels {
            sy: Some(Ease::BounceOut.at(p)),
            ..Channels::default()
        },
        BuiltinKind::Flip { vertical } => {
            let scale = Some((PI * p).cos().abs());
            if vertical {
                Channels {
                    sy: scale,
                    ..Channels::default()
                }
            } else {
                Channels {
                    sx: scale,
                    ..Channels::default()
                }
            }
        }
    }
}
