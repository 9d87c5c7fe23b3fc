/// The least value to 0, the greatest to 255, truncated; a uniform image is 0.
pub(super) fn scale(values: &[i32]) -> Vec<u8> {
    let least = values.iter().min().copied().unwrap_or(0);
    let greatest = values.iter().max().copied().unwrap_or(0);
    let range = f64::from((greatest - least).max(1));
    values
        .iter()
        .map(|&value| (f64::from(value - least) / range * 255.0) as u8)
        .collect()
}

/// OpenCV's `equalizeHist`, rounding and single precision included.
pub(super) fn equalise_histogram(pixels: &mut [u8]) {
    let mut histogram = [0usize; 256];
    for &value in pixels.iter() {
        histogram[usize::from(value)] += 1;
    }
    let Some(first) = histogram.iter().position(|&count| count > 0) else {
        return;
    };
    if histogram[first] == pixels.len() {
        return;
    }
    let scale = 255.0 / (pixels.len() - histogram[first]) as f32;
    let mut table = [0u8; 256];
    let mut below = 0usize;
    for value in first + 1..256 {
        below += histogram[value];
        table[value] = (below as f32 * scale).round_ties_even().clamp(0.0, 255.0) as u8;
    }
    pixels
        .iter_mut()
        .for_each(|value| *value = table[usize::from(*value)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_value_is_black_the_greatest_white_and_the_rest_truncated() {
        assert_eq!(scale(&[-100, 0, 100]), [0, 127, 255]);
        assert_eq!(scale(&[7, 7]), [0, 0]);
    }

    /// By hand: of 8 pixels 2 are darkest, so the scale is 255 / 6; 3 · 42.5 = 127.5 goes to 128,
    /// 5 · 42.5 = 212.5 to 212.
    #[test]
    fn histograms_are_equalised_as_opencv_rounds() {
        let mut pixels = [10, 10, 20, 20, 20, 30, 30, 40];
        equalise_histogram(&mut pixels);
        assert_eq!(pixels, [0, 0, 128, 128, 128, 212, 212, 255]);
        let mut uniform = [9, 9];
        equalise_histogram(&mut uniform);
        assert_eq!(uniform, [9, 9]);
    }
}
