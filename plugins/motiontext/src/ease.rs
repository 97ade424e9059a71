//! How motions run over their time, and motions that follow each other.
//!
//! The curves are those of CSS and GSAP, as both document them.

use std::f64::consts::{PI, TAU};

/// From progress 0..=1 to a share of the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ease {
    Linear,
    /// x^n: 2 quad, 3 cubic, 4 quart, 5 quint.
    In(i32),
    Out(i32),
    InOut(i32),
    SineIn,
    SineOut,
    SineInOut,
    ExpoOut,
    CircOut,
    BackIn(f64),
    BackOut(f64),
    BackInOut(f64),
    BounceOut,
    /// Amplitude and period.
    ElasticOut(f64, f64),
}

impl Ease {
    /// What GSAP does where nothing is said.
    pub(crate) const DEFAULT: Self = Ease::Out(2);

    /// The share of the way at progress `x`, which is taken into 0..=1.
    pub(crate) fn at(self, x: f64) -> f64 {
        let x = x.clamp(0.0, 1.0);
        match self {
            Ease::Linear => x,
            Ease::In(n) => x.powi(n),
            Ease::Out(n) => 1.0 - (1.0 - x).powi(n),
            Ease::InOut(n) if x < 0.5 => (2.0 * x).powi(n) / 2.0,
            Ease::InOut(n) => 1.0 - (2.0 - 2.0 * x).powi(n) / 2.0,
            Ease::SineIn => 1.0 - (x * PI / 2.0).cos(),
            Ease::SineOut => (x * PI / 2.0).sin(),
            Ease::SineInOut => 0.5 - 0.5 * (PI * x).cos(),
            Ease::ExpoOut if x >= 1.0 => 1.0,
            Ease::ExpoOut => 1.0 - 2.0_f64.powf(-10.0 * x),
            Ease::CircOut => (1.0 - (x - 1.0).powi(2)).sqrt(),
            Ease::BackIn(s) => back_in(x, s),
            Ease::BackOut(s) => 1.0 - back_in(1.0 - x, s),
            Ease::BackInOut(s) if x < 0.5 => back_in(2.0 * x, s) / 2.0,
            Ease::BackInOut(s) => 1.0 - back_in(2.0 - 2.0 * x, s) / 2.0,
            Ease::BounceOut => bounce_out(x),
            Ease::ElasticOut(_, _) if x >= 1.0 => 1.0,
            Ease::ElasticOut(amplitude, period) => {
                let a = amplitude.max(1.0);
                let p = (period / if amplitude < 1.0 { amplitude.max(0.01) } else { 1.0 }).max(0.01);
                let s = p / TAU * (1.0 / a).asin();
                a * 2.0_f64.powf(-10.0 * x) * ((x - s) * TAU / p).sin() + 1.0
            }
        }
    }

    /// By its GSAP or CSS name: `power2.out`, `back.out(1.7)`, `elastic.out(1, 0.3)`, `ease-in`, `linear`, …
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let name = name.trim();
        let (name, arguments) = name.split_once('(').unwrap_or((name, ""));
        let arguments = arguments.trim_end_matches(')').split(',');
        let numbers: Vec<f64> = arguments
            .filter_map(|text| text.trim().parse().ok())
            .filter(|value: &f64| value.abs() < 100.0)
            .collect();
        let number = |index: usize, or: f64| numbers.get(index).copied().unwrap_or(or);
        let (family, direction) = name.split_once('.').unwrap_or((name, "out"));
        let power = match family {
            "power1" | "quad" => 2,
            "power2" | "cubic" => 3,
            "power3" | "quart" => 4,
            "power4" | "quint" | "strong" => 5,
            _ => 0,
        };
        Some(match (family, direction) {
            ("none" | "linear" | "power0", _) => Ease::Linear,
            ("ease" | "easeInOut" | "ease-in-out", _) => Ease::InOut(3),
            ("easeIn" | "ease-in", _) => Ease::In(3),
            ("easeOut" | "ease-out", _) => Ease::Out(3),
            ("sine", "in") => Ease::SineIn,
            ("sine", "out") => Ease::SineOut,
            ("sine", "inOut") => Ease::SineInOut,
            ("expo", "out") => Ease::ExpoOut,
            ("circ", "out") => Ease::CircOut,
            ("back", "in") => Ease::BackIn(number(0, BACK)),
            ("back", "out") => Ease::BackOut(number(0, BACK)),
            ("back", "inOut") => Ease::BackInOut(number(0, BACK)),
            ("bounce", "out") => Ease::BounceOut,
            ("elastic", "out") => Ease::ElasticOut(number(0, 1.0), number(1, 0.3)),
            (_, "in") if power > 0 => Ease::In(power),
            (_, "out") if power > 0 => Ease::Out(power),
            (_, "inOut") if power > 0 => Ease::InOut(power),
            _ => return None,
        })
    }
}

const BACK: f64 = 1.70158;

fn back_in(x: f64, s: f64) -> f64 {
    x * x * ((s + 1.0) * x - s)
}

fn bounce_out(x: f64) -> f64 {
    const N: f64 = 7.5625;
    const D: f64 = 2.75;
    if x < 1.0 / D {
        N * x * x
    } else if x < 2.0 / D {
        N * (x - 1.5 / D).powi(2) + 0.75
    } else if x < 2.5 / D {
        N * (x - 2.25 / D).powi(2) + 0.9375
    } else {
        N * (x - 2.625 / D).powi(2) + 0.984375
    }
}

/// One motion of a value: from what it is when the motion begins to `to`, and back again with every even cycle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tween {
    /// Seconds on the effect's own time line.
    pub(crate) start: f64,
    /// Seconds of one cycle.
    pub(crate) length: f64,
    pub(crate) to: f64,
    pub(crate) ease: Ease,
    pub(crate) cycles: u32,
}

impl Tween {
    pub(crate) fn new(start: f64, length: f64, to: f64, ease: Ease) -> Self {
        Self {
            start,
            length,
            to,
            ease,
            cycles: 1,
        }
    }

    pub(crate) fn back_and_forth(self, cycles: u32) -> Self {
        Self { cycles, ..self }
    }

    fn end(&self) -> f64 {
        self.start + self.length * f64::from(self.cycles)
    }

    fn at(&self, from: f64, time: f64) -> f64 {
        let cycles = ((time - self.start) / self.length.max(1e-9)).clamp(0.0, f64::from(self.cycles));
        let whole = cycles.floor().min(f64::from(self.cycles) - 1.0);
        let mut progress = cycles - whole;
        if whole as u32 % 2 == 1 {
            progress = 1.0 - progress;
        }
        from + (self.to - from) * self.ease.at(progress)
    }
}

/// When a time line is looked at. A browser does so in ticks, and a motion begins from what the value is at the first tick after its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    /// Ticks of the scenario for one second of the time line; none where it is looked at all the time.
    rate: Option<f64>,
    /// The tick at which the time line begins; may lie between two.
    origin: f64,
}

impl Ticks {
    /// The pace at which the existing renderer was measured, ticks a second.
    const PACE: f64 = 240.0;

    pub(crate) const NONE: Self = Self {
        rate: None,
        origin: 0.0,
    };

    /// A time line that begins at `start` of the scenario and takes `seconds` of it for each of its own.
    pub(crate) fn new(start: f64, seconds: f64) -> Self {
        let rate = seconds * Self::PACE;
        Self {
            rate: (rate > 1e-6).then_some(rate),
            origin: start * Self::PACE,
        }
    }

    /// When a motion that begins at `time` is first seen.
    fn first(self, time: f64) -> f64 {
        match self.rate {
            Some(rate) => ((self.origin + time * rate - 1e-6).ceil() - self.origin) / rate,
            None => time,
        }
    }
}

/// A value that is `initial` and then moved by tweens, listed in the order of their starts. While tweens overlap the later one in the list
/// wins; where none runs the value stays where the last one left it. A tween begins from what the value is at its start.
pub(crate) fn moved(initial: f64, tweens: &[Tween], time: f64, ticks: Ticks) -> f64 {
    let mut value = initial;
    let mut last_end = f64::NEG_INFINITY;
    for (index, tween) in tweens.iter().enumerate() {
        let first = ticks.first(tween.start);
        if time < first {
            break;
        }
        let running = time < tween.end();
        if running || tween.end() >= last_end {
            let from = moved(initial, &tweens[..index], first, ticks);
            value = tween.at(from, time);
            last_end = if running { f64::INFINITY } else { tween.end() };
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn curves_begin_and_end_where_they_should() {
        for name in [
            "linear",
            "ease",
            "power1.in",
            "power2.out",
            "power3.inOut",
            "sine.inOut",
            "sine.in",
            "sine.out",
            "expo.out",
            "circ.out",
            "back.in",
            "back.out(1.7)",
            "back.inOut(2)",
            "bounce.out",
            "elastic.out(1,0.3)",
            "elastic.out(0.6, 0.3)",
        ] {
            let ease = Ease::parse(name).unwrap_or_else(|| panic!("{name}"));
            assert!(ease.at(0.0).abs() < 1e-3 && close(ease.at(1.0), 1.0), "{name}");
            assert!((0..=100).all(|x| ease.at(f64::from(x) / 100.0).is_finite()), "{name}");
            assert!(
                close(ease.at(7.0), ease.at(1.0)) && close(ease.at(-7.0), ease.at(0.0)),
                "{name}"
            );
        }
        assert!(close(Ease::BackOut(1.7).at(0.5), 1.0 + 2.7 * -0.125 + 1.7 * 0.25));
    }

    #[test]
    fn names_that_mean_nothing() {
        for name in ["", "power9.out", "power2.sideways", "out", "steps(3)"] {
            assert_eq!(Ease::parse(name), None, "{name}");
        }
        // Numbers out of all measure are not taken.
        assert_eq!(Ease::parse("back.out(1e300)"), Some(Ease::BackOut(BACK)));
        assert!(Ease::parse("elastic.out(0,0)").is_some_and(|ease| ease.at(0.4).is_finite()));
    }

    #[test]
    fn a_later_tween_starts_from_where_the_value_is() {
        let tweens = [
            Tween::new(0.0, 1.0, 1.0, Ease::Linear),
            Tween::new(0.6, 0.2, 2.0, Ease::Linear).back_and_forth(2),
        ];
        for (time, value) in [
            (-1.0, 0.0),
            (0.5, 0.5),
            (0.6, 0.6),
            (0.7, 1.3),
            (0.8, 2.0),
            (0.9, 1.3),
            (1.0, 0.6),
            (9.0, 0.6),
        ] {
            assert!(
                close(moved(0.0, &tweens, time, Ticks::NONE), value),
                "{time}: {}",
                moved(0.0, &tweens, time, Ticks::NONE)
            );
        }
    }

    #[test]
    fn an_earlier_tween_that_ends_later_has_the_last_word() {
        let tweens = [
            Tween::new(0.0, 1.0, 1.0, Ease::Linear),
            Tween::new(0.2, 0.1, 9.0, Ease::Linear),
        ];
        assert!(close(moved(0.0, &tweens, 0.25, Ticks::NONE), 4.6));
        assert!(close(moved(0.0, &tweens, 0.5, Ticks::NONE), 0.5));
        assert!(close(moved(0.0, &tweens, 2.0, Ticks::NONE), 1.0));
        assert!(moved(0.0, &[Tween::new(0.0, 0.0, 1.0, Ease::Linear)], 0.0, Ticks::NONE).is_finite());
    }
}
