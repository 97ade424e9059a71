//! The parameters of effects, read once.

use crate::ease::Ease;
use crate::scene::Rgba;

/// An effect and its parameters. Lengths are px, times seconds of the effect's own time line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plugin {
    Spin {
        turns: f64,
    },
    Pulse {
        scale: f64,
        cycles: f64,
    },
    BobY {
        amplitude: f64,
        cycles: f64,
    },
    /// `letter` is the share of the whole that one letter moves for.
    CwiBouncing {
        wave: f64,
        letter: f64,
    },
    /// `mixes` is false for colours that upstream cannot mix: they appear at the end of a letter.
    CwiColor {
        target: Rgba,
        mixes: bool,
        bulk: bool,
    },
    CwiLoud {
        scale: f64,
        lift: f64,
        tremble: Shake,
    },
    CwiWhisper {
        scale: f64,
        drop: f64,
        flutter: Shake,
    },
    /// `cwi@1.0.0`; times from the start of the window.
    Cwi {
        kind: CwiKind,
        target: Rgba,
        from: f64,
        to: f64,
        pop: f64,
        tremble: Shake,
    },
    FadeIn {
        stagger: f64,
        length: f64,
        opacity: f64,
        scale: f64,
        ease: Ease,
    },
    SlideUp {
        distance: f64,
        length: f64,
        stagger: f64,
        ease: Ease,
        settles: bool,
        blur: bool,
    },
    ScalePop {
        scale: f64,
        length: f64,
        stagger: f64,
        bounce: f64,
        color: bool,
    },
    Elastic {
        bounce: f64,
        length: f64,
        stagger: f64,
        scale: f64,
        overshoot: f64,
    },
    Rotation {
        degrees: f64,
        length: f64,
        stagger: f64,
        perspective: f64,
        axes: [bool; 3],
    },
    Magnetic {
        strength: f64,
        length: f64,
        delay: f64,
        elasticity: f64,
    },
    Glitch {
        intensity: f64,
        length: f64,
        separation: bool,
        noise: bool,
    },
    Glow(Glow),
    Flames {
        opacity: f64,
        flicker: f64,
        cycles: f64,
    },
    /// `speed` is the time of a letter.
    Typewriter {
        speed: f64,
        cursor: Option<String>,
        blink: bool,
    },
    /// `speed` in letters a second.
    FlipType {
        speed: f64,
        delay: f64,
    },
    /// What `amount` and `other` are is said at the kind.
    Builtin {
        kind: BuiltinKind,
        ease: Ease,
        amount: f64,
        other: f64,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Glow {
    pub(crate) color: Rgba,
    pub(crate) intensity: f64,
    pub(crate) pulse: bool,
    pub(crate) cycles: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shake {
    pub(crate) amplitude: f64,
    pub(crate) frequency: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CwiKind {
    Color,
    Pop,
    Loud,
    Whisper,
}

/// What the first versions had built in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BuiltinKind {
    FadeIn,
    FadeOut,
    /// `amount` px from this direction.
    SlideIn([f64; 2]),
    SlideOut([f64; 2]),
    /// From the scale `amount` to the scale `other`.
    ScaleIn,
    ScaleOut,
    /// To the scale `amount`; `other` is how much it swings.
    Pop,
    /// `amount` px along x or y, `other` times.
    Wave([f64; 2]),
    Shake([f64; 2]),
    Bounce,
    /// About the axis x, or y.
    Flip {
        vertical: bool,
    },
}
