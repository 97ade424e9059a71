//! Which anchors score above the threshold for which class.
//!
//! Nearly all anchors of a picture show nothing. So a bound that costs a maximum only comes first: with a softmax over the
//! background b and a class c, p(c) <= 1 / (1 + e^(b - c)). Only anchors that pass it are exponentiated.

use super::family::{Activation, Heads};
use super::lanes::{exp, larger, row_exp_sum, row_max};

/// An anchor that may show an object of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub score: f32,
    pub anchor: u32,
}

/// Anchors that are looked at together where classes are planes: their rows of all classes stay in the first cache.
const BLOCK: usize = 64;
/// Logits closer than this to the limit are calculated exactly.
const MARGIN: f32 = 1e-3;

/// Least logit that is worth a look for scores above the threshold: above the background's for a softmax.
#[inline(always)]
pub(super) fn least_logit(activation: Activation, threshold: f32) -> f32 {
    match activation {
        Activation::Softmax | Activation::Sigmoid => (threshold / (1.0 - threshold)).ln() - MARGIN,
        Activation::None => threshold,
    }
}

/// What is scanned, and what for.
pub(super) struct Scan<'a> {
    pub heads: &'a Heads,
    /// As many as anchors times classes.
    pub scores: &'a [f32],
    pub anchors: usize,
    /// For each class that is not the background, whether it is looked for.
    pub wanted: &'a [bool],
    pub threshold: f32,
}

impl Scan<'_> {
    /// Adds to `found` (a list for each class that is not the background) what scores above the threshold, in the order of
    /// anchors, and marks anchors in `broken` whose scores are not finite.
    #[inline(always)]
    pub fn run(&self, found: &mut [Vec<Candidate>], broken: &mut [bool]) {
        if self.heads.scores.planes {
            let mut start = 0;
            while start < self.anchors {
                self.block(start, (self.anchors - start).min(BLOCK), found, broken);
                start += BLOCK;
            }
        } else {
            let rows = self.scores.chunks_exact(self.heads.scores.width.max(1));
            for ((anchor, row), broken) in rows.enumerate().zip(broken) {
                self.row(anchor, row, found, broken);
            }
        }
    }

    #[inline(always)]
    fn limit(&self) -> f32 {
        least_logit(self.heads.activation, self.threshold)
    }

    #[inline(always)]
    fn row(&self, anchor: usize, row: &[f32], found: &mut [Vec<Candidate>], broken: &mut bool) {
        let first = usize::from(self.heads.background);
        let mut unsound = 0.0;
        let most = row_max(&row[first..], &mut unsound);
        let background = if first == 1 { row[0] } else { f32::NEG_INFINITY };
        if first == 1 {
            unsound += background * 0.0;
        }
        if unsound != 0.0 || unsound.is_nan() {
            *broken = true;
            return;
        }
        let softmax = self.heads.activation == Activation::Softmax;
        let against = if softmax { background } else { 0.0 };
        if most - against < self.limit() {
            return;
        }
        let all = larger(most, background);
        let (sum, least) = if softmax {
            let sum = row_exp_sum(row, all);
            (sum, all + (self.threshold * sum).ln() - MARGIN)
        } else {
            (1.0, self.limit())
        };
        for (class, &logit) in row[first..].iter().enumerate() {
            if logit >= least && self.wanted[class] {
                self.admit(class, anchor, self.score(logit, all, sum), found);
            }
        }
    }

    #[inline(always)]
    fn score(&self, logit: f32, most: f32, sum: f32) -> f32 {
        match self.heads.activation {
            Activation::Softmax => exp(logit - most) / sum,
            Activation::Sigmoid => 1.0 / (1.0 + exp(-logit)),
            Activation::None => logit,
        }
    }

    #[inline(always)]
    fn admit(&self, class: usize, anchor: usize, score: f32, found: &mut [Vec<Candidate>]) {
        if score > self.threshold {
            found[class].push(Candidate {
                score,
                anchor: anchor as u32,
            });
        }
    }

    /// Anchors `start..start + count`, where classes are planes.
    #[inline(always)]
    fn block(&self, start: usize, count: usize, found: &mut [Vec<Candidate>], broken: &mut [bool]) {
        let head = &self.heads.scores;
        let plane = |class: usize| &self.scores[class * self.anchors + start..][..count];
        let first = usize::from(self.heads.background);
        let mut most = [f32::NEG_INFINITY; BLOCK];
        let mut unsound = [0.0f32; BLOCK];
        let mut background = [f32::NEG_INFINITY; BLOCK];
        for class in first..head.width {
            let lanes = most.iter_mut().zip(&mut unsound);
            for ((most, unsound), &value) in lanes.zip(plane(class)) {
                *most = larger(*most, value);
                *unsound += value * 0.0;
            }
        }
        if first == 1 {
            background[..count].copy_from_slice(plane(0));
            let lanes = unsound.iter_mut().zip(plane(0));
            lanes.for_each(|(unsound, &value)| *unsound += value * 0.0);
        }
        let softmax = self.heads.activation == Activation::Softmax;
        let limit = self.limit();
        let mut passing = [false; BLOCK];
        let mut any = false;
        for lane in 0..count {
            let sound = unsound[lane] == 0.0;
            broken[start + lane] |= !sound;
            let against = if softmax { background[lane] } else { 0.0 };
            passing[lane] = sound && most[lane] - against >= limit;
            any |= passing[lane];
        }
        if !any {
            return;
        }
        let mut all = [0.0f32; BLOCK];
        let mut sum = [0.0f32; BLOCK];
        let mut least = [f32::INFINITY; BLOCK];
        for lane in 0..count {
            all[lane] = larger(most[lane], background[lane]);
        }
        if softmax {
            for class in 0..head.width {
                for ((sum, &all), &value) in sum.iter_mut().zip(&all).zip(plane(class)) {
                    *sum += exp(value - all);
                }
            }
        }
        for lane in (0..count).filter(|&lane| passing[lane]) {
            least[lane] = if softmax {
                all[lane] + (self.threshold * sum[lane]).ln() - MARGIN
            } else {
                limit
            };
        }
        for class in (first..head.width).filter(|class| self.wanted[class - first]) {
            let plane = plane(class);
            let any = plane
                .iter()
                .zip(&least)
                .fold(false, |any, (value, least)| any | (value >= least));
            for lane in (0..count).filter(|_| any) {
                if plane[lane] >= least[lane] {
                    let score = self.score(plane[lane], all[lane], sum[lane]);
                    self.admit(class - first, start + lane, score, found);
                }
            }
        }
    }
}
