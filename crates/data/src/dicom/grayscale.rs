use super::header::PixelHeader;
use super::samples::Samples;

/// Maps the least value to 0 and the greatest to 255, truncated; a uniform image becomes 0. Inverts
/// MONOCHROME1. Padding is excluded from the range and black.
pub(super) fn scale(samples: &Samples, header: &PixelHeader) -> Vec<u8> {
    let mut is_used = vec![false; 1 << 16];
    for &word in &samples.words {
        is_used[usize::from(word)] = true;
    }
    let values: Vec<Option<i32>> = (0..=u16::MAX)
        .zip(is_used)
        .map(|(word, is_used)| is_used.then(|| samples.value(word, header)).flatten())
        .collect();
    let least = values.iter().flatten().min().copied().unwrap_or(0);
    let greatest = values.iter().flatten().max().copied().unwrap_or(0);
    let range = f64::from((greatest - least).max(1));
    let level = |value: i32| {
        let level = (f64::from(value - least) / range * 255.0) as u8;
        match header.is_inverted {
            true => 255 - level,
            false => level,
        }
    };
    let levels: Vec<u8> = values.iter().map(|value| value.map_or(0, level)).collect();
    samples
        .words
        .iter()
        .map(|&word| levels[usize::from(word)])
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
    use crate::dicom::samples::film;

    fn scaled(words: &[u16], header: &PixelHeader) -> Vec<u8> {
        let samples = Samples {
            words: words.to_vec(),
            precision: 16,
            is_lossy: false,
        };
        scale(&samples, header)
    }

    #[test]
    fn the_least_value_is_black_the_greatest_white_and_the_rest_truncated() {
        let signed = film::header(true);
        let words = [-100_i16 as u16, 0, 100];
        assert_eq!(scaled(&words, &signed), [0, 127, 255]);
        let inverted = PixelHeader {
            is_inverted: true,
            ..signed.clone()
        };
        assert_eq!(scaled(&words, &inverted), [255, 128, 0]);
        assert_eq!(scaled(&[7, 7], &signed), [0, 0]);
    }

    #[test]
    fn padding_is_black_and_moves_no_value() {
        let padded = |is_inverted| PixelHeader {
            is_inverted,
            padding: Some((u16::MAX.into(), u16::MAX.into())),
            ..film::header(false)
        };
        let words = [u16::MAX, 100, 150, 200];
        assert_eq!(scaled(&words, &padded(false)), [0, 0, 127, 255]);
        assert_eq!(scaled(&words, &padded(true)), [0, 255, 128, 0]);
        assert_eq!(scaled(&[u16::MAX; 2], &padded(true)), [0, 0]);
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
