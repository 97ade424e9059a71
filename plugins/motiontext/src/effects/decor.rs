//! Effects that add something to the text: light, flames, a cursor, ghosts.

use super::params::Glow;
use super::{Effect, Inner, Look, Plugin, Subject, Under, Units};
use crate::ease::{Ease, Ticks, Tween, moved};
use crate::scene::{Filter, Rgba, Shadow};

pub(super) fn apply(effect: &Effect, p: f64, subject: &Subject<'_>, inner: &mut Inner) {
    match &effect.plugin {
        Plugin::Glow(glow) => {
            let look = Look {
                shadows: Some(glow_shadows(glow, p, subject)),
                ..Look::default()
            };
            inner.whole.push(look);
            let color = Rgba {
                a: (glow.color.a * glow.intensity as f32).clamp(0.0, 1.0),
                ..glow.color
            };
            inner.under.push(Under::Glow {
                color,
                opacity: strength(glow, p, subject),
            });
        }
        Plugin::Flames {
            opacity,
            flicker,
            cycles,
        } => {
            let (top, end) = ((opacity + flicker).min(1.0), (opacity - flicker).max(0.0));
            inner.under.push(Under::Flames {
                opacity: there_and_on(*opacity, top, end, *cycles, p, subject),
            });
        }
        Plugin::Typewriter { speed, cursor, blink } => {
            // Upstream plays it over one second, whatever the window.
            let time = p * if subject.is_preview() {
                1.0
            } else {
                effect.window.length()
            };
            let shown = ((time / speed).floor().max(0.0) as usize).min(subject.letters);
            let cursor_visible = !blink || (2.0 * time).floor() % 2.0 == 0.0;
            inner.units = Units::Typed {
                shown,
                cursor: cursor.clone(),
                cursor_visible,
            };
        }
        Plugin::FlipType { speed, delay } => inner.units = flip_type(p, *speed, *delay, subject.letters),
        Plugin::Glitch {
            intensity,
            length,
            separation,
            noise,
        } => {
            glitch(
                effect,
                p * length,
                *intensity,
                *length,
                [*separation, *noise],
                subject,
                inner,
            );
        }
        _ => {}
    }
}

/// From `start` to `top` and on to `end` in each cycle. Upstream always plays one.
fn there_and_on(start: f64, top: f64, end: f64, cycles: f64, p: f64, subject: &Subject<'_>) -> f64 {
    let p = if subject.is_preview() || p >= 1.0 {
        p
    } else {
        (p * cycles).fract()
    };
    let sine = Ease::SineInOut;
    if p < 0.5 {
        start + (top - start) * sine.at(2.0 * p)
    } else {
        top + (end - top) * sine.at(2.0 * p - 1.0)
    }
}

fn strength(glow: &Glow, p: f64, subject: &Subject<'_>) -> f64 {
    let i = glow.intensity;
    if !glow.pulse {
        return i;
    }
    there_and_on(i, (i + 0.3).min(1.0), (i - 0.2).max(0.0), glow.cycles, p, subject)
}

pub(super) fn glow_shadows(glow: &Glow, p: f64, subject: &Subject<'_>) -> Vec<Shadow> {
    let strength = strength(glow, p, subject) as f32;
    let one = |blur: f32, share: f32| {
        let color = Rgba {
            a: (glow.color.a * strength * share).clamp(0.0, 1.0),
            ..glow.color
        };
        Shadow {
            dx: 0.0,
            dy: 0.0,
            blur,
            color,
        }
    };
    vec![one(6.0, 1.0), one(12.0, 0.8), one(18.0, 0.6)]
}

fn flip_type(p: f64, speed: f64, delay: f64, letters: usize) -> Units {
    let count = letters.max(1) as f64;
    let end = (delay + count / speed).min(1.0);
    let start = |index: usize| delay + index as f64 * (end - delay).max(0.0) / count;
    let length = |index: usize| (1.0 - start(index)).clamp(1e-3, 0.1);
    let whole = (0..letters)
        .map(|index| start(index) + length(index))
        .fold(0.0, f64::max);
    let looks = (0..letters).map(|index| {
        let share = Ease::BackOut(1.7).at((p * whole - start(index)) / length(index));
        Look {
            opacity: share.clamp(0.0, 1.0),
            scale: [0.8 + 0.2 * share; 2],
            ..Look::default()
        }
    });
    Units::Letters {
        looks: looks.collect(),
        perspective: None,
        with_text: false,
    }
}

fn glitch(
    effect: &Effect,
    time: f64,
    intensity: f64,
    length: f64,
    [separation, noise]: [bool; 2],
    subject: &Subject<'_>,
    inner: &mut Inner,
) {
    let reset = |to: f64| Tween::new(length - 0.2, 0.2, to, Ease::Out(3));
    let random = |slot| subject.random(effect, 0, slot);
    let through = |initial: f64, tweens: &[Tween]| {
        let mut tweens = tweens.to_vec();
        tweens.push(reset(initial));
        tweens.sort_by(|a, b| a.start.total_cmp(&b.start));
        moved(initial, &tweens, time, Ticks::NONE)
    };
    let blink = |start: f64, length: f64, cycles| Tween::new(start, length, 0.0, Ease::DEFAULT).back_and_forth(cycles);
    let mut look = Look {
        opacity: through(1.0, &[blink(0.5, 0.05, 2), blink(1.0, 0.03, 3)]).clamp(0.0, 1.0),
        ..Look::default()
    };
    if noise {
        let peak = |initial: f64, to: f64| {
            moved(
                initial,
                &[Tween::new(0.3, 0.1, to, Ease::DEFAULT).back_and_forth(2)],
                time,
                Ticks::NONE,
            ) as f32
        };
        if time > 0.3 && time < 0.5 {
            // Upstream lets the noise begin at nothing, that is, in black and grey.
            let plain = if subject.is_preview() { 0.0 } else { 1.0 };
            look.filters = vec![
                Filter::Blur(peak(0.0, 1.0)),
                Filter::Saturate(peak(plain, 2.0)),
                Filter::Contrast(peak(plain, 1.2)),
            ];
        }
    }
    if !subject.is_preview() {
        // Upstream sets these where a browser ignores them.
        let shake = |to: f64| [Tween::new(0.0, 0.1, to, Ease::DEFAULT).back_and_forth(4)];
        look.shift = [
            through(0.0, &shake(intensity * random(0))),
            through(0.0, &shake(intensity / 2.0 * random(1))),
        ];
        let twist = |to: f64| [Tween::new(1.2, 0.05, to, Ease::DEFAULT).back_and_forth(2)];
        look.scale = [1.0, through(1.0, &twist(0.8))];
        look.skew = through(0.0, &twist(5.0 * random(2)));
    }
    inner.ghosts.clear();
    if separation {
        let ghost = |color: Rgba, start: f64, step: f64, cycles: u32, slot: u64| {
            let to = |to: f64| [Tween::new(start, step, to, Ease::Linear).back_and_forth(cycles)];
            let faint = 0.3 + 0.5 * (0.5 + 0.5 * random(slot + 1));
            Look {
                shift: [through(0.0, &to(intensity / 2.0 * random(slot))), 0.0],
                opacity: through(0.5, &to(faint)).clamp(0.0, 1.0),
                color: Some(color),
                ..Look::default()
            }
        };
        inner
            .ghosts
            .push(ghost(Rgba::opaque(1.0, 0.0, 64.0 / 255.0), 0.0, 0.05, 6, 3));
        inner.ghosts.push(ghost(Rgba::opaque(0.0, 1.0, 1.0), 0.1, 0.07, 5, 5));
    }
    look.color = Some(Rgba::WHITE);
    inner.units = Units::Whole;
    inner.whole.push(look);
}
