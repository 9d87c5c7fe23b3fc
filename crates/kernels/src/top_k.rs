/// Scores that are compared with the threshold at once.
const CHUNK: usize = 32;

/// Finds the largest `kept.len()` scores, in no particular order: their indices and values.
///
/// A running threshold lets it skip whole chunks: after the first few hundred scores, few exceed
/// it. A NaN counts as the largest, so that it propagates.
///
/// # Panics
///
/// If there are fewer scores than are to be kept, or `kept` and `values` differ in length.
#[inline(always)]
pub(crate) fn top_k(
    scores: &[f32],
    candidates: &mut Vec<(f32, u32)>,
    kept: &mut [u32],
    values: &mut [f32],
) {
    let k = kept.len();
    assert!(k <= scores.len() && k == values.len());
    candidates.clear();
    let (first, rest) = scores.split_at(k);
    candidates.extend(first.iter().copied().zip(0..));
    let mut threshold = shrink(candidates, k);
    for (index, chunk) in rest.chunks(CHUNK).enumerate() {
        let beats = |score: f32| score > threshold || score.is_nan();
        if !chunk.iter().fold(false, |any, &score| any | beats(score)) {
            continue;
        }
        let start = (k + index * CHUNK) as u32;
        let better = chunk.iter().copied().zip(start..);
        candidates.extend(better.filter(|&(score, _)| beats(score)));
        if candidates.len() >= 2 * k {
            threshold = shrink(candidates, k);
        }
    }
    shrink(candidates, k);
    for ((kept, value), &(score, index)) in kept.iter_mut().zip(values).zip(&*candidates) {
        (*kept, *value) = (index, score);
    }
}

/// Leaves the best `k` candidates and returns the least of them.
fn shrink(candidates: &mut Vec<(f32, u32)>, k: usize) -> f32 {
    let rank = |score: f32| if score.is_nan() { f32::INFINITY } else { score };
    let (_, least, _) =
        candidates.select_nth_unstable_by(k - 1, |a, b| rank(b.0).total_cmp(&rank(a.0)));
    let least = rank(least.0);
    candidates.truncate(k);
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(scores: &[f32], k: usize) -> Vec<u32> {
        let (mut kept, mut values) = (vec![0; k], vec![0.0; k]);
        top_k(scores, &mut Vec::new(), &mut kept, &mut values);
        for (&index, value) in kept.iter().zip(&values) {
            assert_eq!(scores[index as usize].to_bits(), value.to_bits());
        }
        kept.sort_unstable();
        kept
    }

    #[test]
    fn the_largest_are_found_wherever_they_lie() {
        // A permutation of 0..199, so that the largest k are known.
        let scores: Vec<f32> = (0..199).map(|i| ((i * 83 + 17) % 199) as f32).collect();
        for k in [1, 7, 32, 198, 199] {
            let expected: Vec<u32> = (0..199)
                .filter(|&i| scores[i as usize] >= (199 - k) as f32)
                .collect();
            assert_eq!(best(&scores, k), expected, "k = {k}");
        }
    }

    #[test]
    fn equal_scores_still_give_k_rows() {
        assert_eq!(best(&[1.0; 70], 5).len(), 5);
    }

    #[test]
    fn a_nan_is_kept() {
        let mut scores = [0.5; 100];
        scores[77] = f32::NAN;
        assert!(best(&scores, 3).contains(&77));
    }
}
