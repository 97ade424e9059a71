//! Effects that bring letters or words in one after the other. Each has a time line of its own, which its window is spread over.

use super::{Effect, Look, Plugin, Subject, Units, mix, mix_shadow};
use crate::ease::{Ease, Ticks, Tween};
use crate::scene::{Filter, Rgba, Shadow};

const OUT: Ease = Ease::Out(3);

/// The letters or words at progress `p`.
pub(super) fn units(effect: &Effect, p: f64, subject: &Subject<'_>) -> Units {
    let (letters, words) = (subject.letters, subject.words);
    // Each moves for some time, and shines or trembles on until its own time line ends.
    let each = |count: usize, stagger: f64, [moves, end]: [f64; 2], look: &dyn Fn(usize, Time) -> Look| -> Vec<Look> {
        let whole = count.saturating_sub(1) as f64 * stagger + end;
        let pace = effect.window.length() / whole;
        let time = |start: f64| Time {
            now: p * whole - start,
            ticks: if subject.is_preview() {
                Ticks::new(effect.window.start + start * pace, pace)
            } else {
                Ticks::NONE
            },
        };
        let look = |index: usize| {
            let time = time(index as f64 * stagger);
            Look {
                moves: time.now > 1e-9 && time.now < moves - 1e-9,
                ..look(index, time)
            }
        };
        (0..count).map(look).collect()
    };
    let of_letters = |looks, perspective| Units::Letters {
        looks,
        perspective,
        with_text: false,
    };
    match effect.plugin {
        Plugin::FadeIn {
            stagger,
            length,
            opacity,
            scale,
            ease,
        } => {
            let whole = letters.saturating_sub(1) as f64 * stagger + length + 0.4;
            let fade = Fade {
                length,
                opacity,
                scale,
                ease,
            };
            let look = |index: usize, time: Time| {
                let starts = effect.window.start + effect.window.length() * (index as f64 * stagger / whole);
                fade.letter(time, subject.shadow_at(starts), subject)
            };
            of_letters(each(letters, stagger, [length, length + 0.4], &look), None)
        }
        Plugin::SlideUp {
            distance,
            length,
            stagger,
            ease,
            settles,
            blur,
        } => {
            let tail = if settles { 1.2 * length } else { length };
            let look = |_: usize, time: Time| slide_up(time, distance, length, ease, settles, blur);
            Units::Words {
                looks: each(words, stagger, [tail; 2], &look),
                margin: 0.0,
                clip: true,
            }
        }
        Plugin::ScalePop {
            scale,
            length,
            stagger,
            bounce,
            color,
        } => {
            let tail = length.max(0.8 * length + 0.2);
            let look = |_: usize, time: Time| scale_pop(time, scale, length, bounce, color, subject.shadow);
            of_letters(each(letters, stagger, [tail; 2], &look), None)
        }
        Plugin::Elastic {
            bounce,
            length,
            stagger,
            scale,
            overshoot,
        } => {
            let look = |index: usize, time: Time| {
                let lean = 3.0 * subject.random(effect, index, 0);
                elastic(time, bounce, length, scale, overshoot, lean, subject.shadow)
            };
            Units::Words {
                looks: each(words, stagger, [0.7 * length, 0.8 * length + 0.5], &look),
                margin: 0.1,
                clip: false,
            }
        }
        Plugin::Rotation {
            degrees,
            length,
            stagger,
            perspective,
            axes,
        } => {
            let tail = length.max(0.8 * length + 0.3);
            let look = |index: usize, time: Time| {
                let jitter = [
                    3.0 * subject.random(effect, index, 0),
                    5.0 * subject.random(effect, index, 1),
                ];
                rotation(time, degrees, length, axes, jitter)
            };
            let looks = each(letters, stagger, [tail; 2], &look);
            Units::Letters {
                looks,
                perspective: Some(perspective),
                with_text: subject.is_preview(),
            }
        }
        Plugin::Magnetic {
            strength,
            length,
            delay,
            elasticity,
        } => {
            let tail = length.max(0.7 * length + 0.4);
            let whole = letters.saturating_sub(1) as f64 * delay + tail;
            let look = |index: usize, time: Time| {
                let random = |slot| subject.random(effect, index, slot);
                let pull = [strength * random(0), strength / 2.0 * random(1), 15.0 * random(2)];
                let tremble = [2.0 * random(3), random(4)];
                let appears = p * whole - index as f64 * 0.05;
                Look {
                    opacity: OUT.at(appears / 0.3),
                    ..magnetic(time, length, elasticity, pull, tremble)
                }
            };
            of_letters(each(letters, delay, [tail; 2], &look), None)
        }
        _ => Units::Whole,
    }
}

/// When a letter or word is looked at, on its own time line.
#[derive(Clone, Copy)]
struct Time {
    now: f64,
    ticks: Ticks,
}

impl Time {
    fn moved(self, initial: f64, tweens: &[Tween]) -> f64 {
        crate::ease::moved(initial, tweens, self.now, self.ticks)
    }
}

/// A colour that goes to another from `start` on, for `length`.
fn tint(from: Rgba, to: Rgba, start: f64, length: f64, ease: Ease, time: f64) -> Rgba {
    mix(from, to, ease.at((time - start) / length.max(1e-9)))
}

struct Fade {
    length: f64,
    opacity: f64,
    scale: f64,
    ease: Ease,
}

impl Fade {
    fn letter(&self, time: Time, shadow: Option<Shadow>, subject: &Subject<'_>) -> Look {
        const GREY: f32 = 0.6;
        const LIGHT: Rgba = Rgba { a: 0.3, ..Rgba::WHITE };
        const GONE: Rgba = Rgba { a: 0.0, ..Rgba::WHITE };
        let Self { length: d, ease, .. } = *self;
        let share = ease.at(time.now / d.max(1e-9));
        let pulse = Tween::new(0.6 * d, 0.2 * d, 1.03, OUT).back_and_forth(2);
        let mut look = Look {
            scale: [time.moved(self.scale, &[Tween::new(0.0, d, 1.0, ease), pulse]); 2],
            opacity: (self.opacity + (1.0 - self.opacity) * share).clamp(0.0, 1.0),
            color: Some(mix(Rgba::opaque(GREY, GREY, GREY), Rgba::WHITE, share)),
            ..Look::default()
        };
        if time.now <= 1e-9 {
            return look;
        }
        // Upstream lets the brightness begin at nothing.
        let dark = if subject.is_preview() { 0.0 } else { 1.0 };
        let brightness = time.moved(
            dark,
            &[Tween::new(0.0, d, 1.3, ease), Tween::new(d, 0.4, 1.0, Ease::DEFAULT)],
        );
        look.filters = vec![Filter::Brightness(brightness.max(0.0) as f32)];
        let lit = Shadow {
            dx: 0.0,
            dy: 0.0,
            blur: 5.0,
            color: LIGHT,
        };
        let now = mix_shadow(
            shadow.unwrap_or(Shadow {
                blur: 0.0,
                color: GONE,
                ..lit
            }),
            lit,
            share,
        );
        let gone = Shadow {
            blur: 0.0,
            color: GONE,
            ..lit
        };
        look.shadows = Some(vec![mix_shadow(now, gone, Ease::DEFAULT.at((time.now - d) / 0.4))]);
        look
    }
}

fn slide_up(time: Time, distance: f64, d: f64, ease: Ease, settles: bool, blur: bool) -> Look {
    const GREY: f32 = 136.0 / 255.0;
    let share = ease.at(time.now / d.max(1e-9));
    let mut rise = vec![Tween::new(0.0, d, 0.0, ease)];
    if settles {
        rise.push(Tween::new(0.8 * d, 0.2 * d, -2.0, Ease::DEFAULT));
        rise.push(Tween::new(d, 0.2 * d, 0.0, Ease::InOut(2)));
    }
    let blur = if blur { (3.0 * (1.0 - share)).max(0.0) } else { 0.0 };
    Look {
        shift: [0.0, time.moved(distance, &rise)],
        opacity: share.clamp(0.0, 1.0),
        color: Some(tint(
            Rgba::opaque(GREY, GREY, GREY),
            Rgba::WHITE,
            0.2 * d,
            0.6 * d,
            Ease::DEFAULT,
            time.now,
        )),
        filters: if blur > 0.0 {
            vec![Filter::Blur(blur as f32)]
        } else {
            Vec::new()
        },
        ..Look::default()
    }
}

fn scale_pop(time: Time, pop: f64, d: f64, bounce: f64, color: bool, shadow: Option<Shadow>) -> Look {
    const YELLOW: Rgba = Rgba::opaque(1.0, 1.0, 0.6);
    let back = Ease::BackOut(2.0);
    let scale = [
        Tween::new(0.0, 0.4 * d, pop, back),
        Tween::new(0.4 * d, 0.6 * d, 1.0, Ease::ElasticOut(bounce, 0.3)),
        Tween::new(0.8 * d, 0.1, 1.1, OUT).back_and_forth(2),
    ];
    let mut look = Look {
        scale: [time.moved(0.0, &scale); 2],
        opacity: back.at(time.now / (0.4 * d).max(1e-9)).clamp(0.0, 1.0),
        ..Look::default()
    };
    if color {
        let lit = tint(Rgba::WHITE, YELLOW, 0.1 * d, 0.2 * d, OUT, time.now);
        look.color = Some(tint(lit, Rgba::WHITE, 0.3 * d, 0.4 * d, OUT, time.now));
        if time.now > 0.1 * d + 1e-9 {
            let share = |start: f64, length: f64| OUT.at((time.now - start) / length.max(1e-9));
            let halo = Shadow {
                dx: 0.0,
                dy: 0.0,
                blur: 10.0,
                color: Rgba { a: 0.8, ..YELLOW },
            };
            let gone = Shadow {
                blur: 0.0,
                color: Rgba { a: 0.0, ..YELLOW },
                ..halo
            };
            let lit = mix_shadow(shadow.unwrap_or(gone), halo, share(0.1 * d, 0.2 * d));
            look.shadows = Some(vec![mix_shadow(lit, gone, share(0.3 * d, 0.4 * d))]);
        }
    }
    look
}

fn elastic(time: Time, bounce: f64, d: f64, start: f64, overshoot: f64, lean: f64, shadow: Option<Shadow>) -> Look {
    const GREY: f32 = 0.4;
    let (first, second) = (Ease::ElasticOut(bounce, 0.3), Ease::ElasticOut(bounce, 0.2));
    let through = |from: f64, top: f64, end: f64| {
        time.moved(
            from,
            &[
                Tween::new(0.0, 0.4 * d, top, first),
                Tween::new(0.4 * d, 0.3 * d, end, second),
            ],
        )
    };
    let glow = Shadow {
        dx: 0.0,
        dy: 2.0,
        blur: 8.0,
        color: Rgba { a: 0.2, ..Rgba::WHITE },
    };
    let gone = Shadow {
        dx: 0.0,
        dy: 0.0,
        blur: 0.0,
        color: Rgba { a: 0.0, ..Rgba::WHITE },
    };
    let shadows = if time.now <= 0.5 * d + 1e-9 {
        None
    } else if time.now < 0.8 * d + 0.5 {
        let share = Ease::DEFAULT.at((time.now - 0.5 * d) / (0.3 * d).max(1e-9));
        Some(vec![mix_shadow(shadow.unwrap_or(gone), glow, share)])
    } else {
        Some(vec![gone])
    };
    Look {
        scale: [through(start, overshoot, 1.0); 2],
        turn: [0.0, 0.0, through(0.0, lean, 0.0)],
        origin: [0.5, 1.0],
        opacity: time.moved(0.0, &[Tween::new(0.0, 0.4 * d, 1.0, first)]).clamp(0.0, 1.0),
        color: Some(tint(
            Rgba::opaque(GREY, GREY, GREY),
            Rgba::WHITE,
            0.2 * d,
            0.6 * d,
            OUT,
            time.now,
        )),
        shadows,
        ..Look::default()
    }
}

/// `jitter` is degrees about x and y.
fn rotation(time: Time, degrees: f64, d: f64, axes: [bool; 3], jitter: [f64; 2]) -> Look {
    let back = Ease::BackOut(1.7);
    let turn = |axis: usize| {
        let mut tweens = Vec::with_capacity(3);
        let mut from = 0.0;
        if axes[axis] {
            from = -degrees / 4.0;
            tweens.push(Tween::new(0.0, 0.7 * d, degrees, OUT));
            tweens.push(Tween::new(0.7 * d, 0.3 * d, 0.0, back));
            let tremble = jitter
                .get(axis)
                .map(|to| Tween::new(0.8 * d, 0.1, *to, Ease::Linear).back_and_forth(3));
            tweens.extend(tremble);
        }
        time.moved(from, &tweens)
    };
    let scale = [
        Tween::new(0.0, 0.7 * d, 1.1, OUT),
        Tween::new(0.7 * d, 0.3 * d, 1.0, back),
    ];
    Look {
        scale: [time.moved(0.5, &scale); 2],
        turn: [turn(0), turn(1), turn(2)],
        opacity: OUT.at(time.now / (0.7 * d).max(1e-9)),
        ..Look::default()
    }
}

fn magnetic(time: Time, d: f64, elasticity: f64, pull: [f64; 3], tremble: [f64; 2]) -> Look {
    let home = Ease::ElasticOut(elasticity, 0.3);
    let through = |to: f64, tremble: Option<f64>| {
        let mut tweens = vec![
            Tween::new(0.0, 0.4 * d, to, OUT),
            Tween::new(0.4 * d, 0.6 * d, 0.0, home),
        ];
        tweens.extend(tremble.map(|to| Tween::new(0.7 * d, 0.1, to, Ease::Linear).back_and_forth(4)));
        time.moved(0.0, &tweens)
    };
    Look {
        shift: [through(pull[0], Some(tremble[0])), through(pull[1], Some(tremble[1]))],
        turn: [0.0, 0.0, through(pull[2], None)],
        ..Look::default()
    }
}
