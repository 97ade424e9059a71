//! Arithmetic on many numbers at once, in plain Rust that the compiler turns into vector instructions.

/// Numbers that are treated alike.
pub(super) const LANES: usize = 16;

/// e^x within 2e-7 of its value, for x from -87 to 88; beyond it the value there. NaN stays NaN.
///
/// Cephes `expf` (Moshier): 2^n times a polynomial on ±ln(2)/2. Without a call and without a branch.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Added, it leaves the nearest whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the difference is exact.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    let power = (rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23;
    y * f32::from_bits(power)
}

/// The larger one; of NaN and a number, `b`.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Largest value of a row, -inf of none. Sums the values times 0 into `sound`, which stays 0 while all are finite.
#[inline(always)]
pub(super) fn row_max(row: &[f32], sound: &mut f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut most = [f32::NEG_INFINITY; LANES];
    let mut zero = [0.0f32; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            most[lane] = larger(most[lane], chunk[lane]);
            zero[lane] += chunk[lane] * 0.0;
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        most[lane] = larger(most[lane], value);
        zero[lane] += value * 0.0;
    }
    *sound += zero.iter().sum::<f32>();
    most.into_iter().fold(f32::NEG_INFINITY, larger)
}

/// Sum of e^(value - most) over a row.
#[inline(always)]
pub(super) fn row_exp_sum(row: &[f32], most: f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sum = [0.0f32; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sum[lane] += exp(chunk[lane] - most);
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        sum[lane] += exp(value - most);
    }
    sum.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        for step in -870..=880 {
            for fine in 0..10 {
                let x = step as f32 / 10.0 + fine as f32 * 0.009_7;
                let (found, expected) = (f64::from(exp(x)), f64::from(x.min(88.0)).exp());
                assert!(
                    (found - expected).abs() <= 2.4e-7 * expected,
                    "e^{x} = {found}, expected {expected}"
                );
            }
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn exp_of_far_or_broken_numbers_is_finite() {
        for x in [f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, 88.1, -87.1] {
            let value = exp(x);
            assert!(value.is_finite() && value > 0.0, "e^{x} = {value}");
        }
        assert_eq!(exp(1000.0), exp(88.0));
    }

    #[test]
    fn rows_of_every_length_have_their_maximum_and_sum() {
        for length in 0..70 {
            let row: Vec<f32> = (0..length).map(|i| ((i * 37) % 19) as f32 / 7.0).collect();
            let mut sound = 0.0;
            let most = row_max(&row, &mut sound);
            let expected = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!((most, sound), (expected, 0.0));
            if length > 0 {
                let expected: f64 = row.iter().map(|v| f64::from(v - most).exp()).sum();
                assert!((f64::from(row_exp_sum(&row, most)) - expected).abs() < 1e-5 * expected);
            }
        }
    }

    #[test]
    fn a_row_that_is_not_finite_is_noticed_wherever_it_is() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in 0..40 {
                let mut row = vec![1.0; 40];
                row[at] = bad;
                let mut sound = 0.0;
                row_max(&row, &mut sound);
                assert!(sound.is_nan(), "{bad} at {at}");
            }
        }
    }
}
