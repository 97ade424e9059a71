//! How alike two pictures look: the structural similarity of Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error
//! visibility to structural similarity", IEEE Transactions on Image Processing 13 (4), 2004, equation 13 and section III-C.
//!
//! With the mean, variance and covariance of the luma in a Gaussian window of 11x11 pixels (standard deviation 1.5) round each pixel:
//! (2 m_a m_b + C1) (2 v_ab + C2) / ((m_a² + m_b² + C1) (v_a + v_b + C2)), C1 = (0.01 · 255)², C2 = (0.03 · 255)².

use nunchi_motiontext::scene::Image;

const WINDOW: usize = 11;
const REACH: usize = WINDOW / 2;
const SIGMA: f64 = 1.5;
const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);

/// A rectangle of pixels, the second corner outside of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    pub x: [usize; 2],
    pub y: [usize; 2],
}

impl Region {
    /// What either picture touches, and as much round it as a window reaches; `None` if that is nothing.
    pub fn touched(a: &Image, b: &Image) -> Option<Self> {
        assert_eq!((a.width, a.height), (b.width, b.height));
        let (width, height) = (a.width as usize, a.height as usize);
        let mut found: Option<Self> = None;
        for (at, (a, b)) in a.pixels.chunks_exact(4).zip(b.pixels.chunks_exact(4)).enumerate() {
            if a[3] == 0 && b[3] == 0 {
                continue;
            }
            let (x, y) = (at % width, at / width);
            let region = found.get_or_insert(Self {
                x: [x, x + 1],
                y: [y, y + 1],
            });
            region.x = [region.x[0].min(x), region.x[1].max(x + 1)];
            region.y = [region.y[0].min(y), region.y[1].max(y + 1)];
        }
        let grown = |[from, to]: [usize; 2], end: usize| [from.saturating_sub(REACH), (to + REACH).min(end)];
        found.map(|Self { x, y }| Self {
            x: grown(x, width),
            y: grown(y, height),
        })
    }

    fn width(&self) -> usize {
        self.x[1] - self.x[0]
    }
}

/// The mean similarity of two pictures of the same size, laid over grey of that level, in what either of them touches: 1 where they are the
/// same. Windows in which both are empty do not count, so that wide gaps between words do not hide what the words look like.
pub fn similarity(a: &Image, b: &Image, ground: u8) -> f64 {
    let Some(region) = Region::touched(a, b) else {
        return 1.0;
    };
    let (left, right) = (luma(a, &region, ground), luma(b, &region, ground));
    let width = region.width();
    let product = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let [mean_a, mean_b, aa, bb, ab] = [
        left.clone(),
        right.clone(),
        product(&left, &left),
        product(&right, &right),
        product(&left, &right),
    ]
    .map(|plane| smooth(&plane, width));
    let seen = smooth(&drawn(a, b, &region), width);
    let (mut sum, mut count) = (0.0, 0);
    for at in (0..seen.len()).filter(|at| seen[*at] > 0.0) {
        let (ma, mb) = (mean_a[at], mean_b[at]);
        let (va, vb, v) = (aa[at] - ma * ma, bb[at] - mb * mb, ab[at] - ma * mb);
        sum += (2.0 * ma * mb + C1) * (2.0 * v + C2) / ((ma * ma + mb * mb + C1) * (va + vb + C2));
        count += 1;
    }
    sum / f64::from(count)
}

fn rows<'a>(image: &'a Image, region: &'a Region) -> impl Iterator<Item = &'a [u8]> {
    let width = image.width as usize;
    (region.y[0]..region.y[1]).flat_map(move |y| {
        let start = (y * width + region.x[0]) * 4;
        image.pixels[start..start + region.width() * 4].chunks_exact(4)
    })
}

/// ITU-R BT.601, of the picture over the ground.
fn luma(image: &Image, region: &Region, ground: u8) -> Vec<f64> {
    let luma = |p: &[u8]| {
        let share = f64::from(p[3]) / 255.0;
        let own = 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
        own * share + f64::from(ground) * (1.0 - share)
    };
    rows(image, region).map(luma).collect()
}

/// 1 where either is not empty.
fn drawn(a: &Image, b: &Image, region: &Region) -> Vec<f64> {
    rows(a, region)
        .zip(rows(b, region))
        .map(|(a, b)| f64::from(u8::from(a[3] > 0 || b[3] > 0)))
        .collect()
}

/// The plane through the window. At its edges only what is inside of it counts.
fn smooth(plane: &[f64], width: usize) -> Vec<f64> {
    let height = plane.len() / width;
    let across = along(plane, height, width, [width, 1]);
    along(&across, width, height, [1, width])
}

/// `lines` of `length`, with the steps from line to line and within a line.
fn along(plane: &[f64], lines: usize, length: usize, [next_line, step]: [usize; 2]) -> Vec<f64> {
    let weights: [f64; WINDOW] = std::array::from_fn(|at| {
        let x = at as f64 - REACH as f64;
        (-x * x / (2.0 * SIGMA * SIGMA)).exp()
    });
    let mut out = vec![0.0; plane.len()];
    for line in 0..lines {
        for at in 0..length {
            let (mut sum, mut all) = (0.0, 0.0);
            for other in at.saturating_sub(REACH)..(at + REACH + 1).min(length) {
                let weight = weights[other + REACH - at];
                sum += weight * plane[line * next_line + other * step];
                all += weight;
            }
            out[line * next_line + at * step] = sum / all;
        }
    }
    out
}
