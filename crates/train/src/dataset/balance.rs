use ithn_metrics::{FindingClass, Uncertain, label};

use crate::ranks::slice_of;

/// Repetitions of each study in an epoch, so that rare findings are as frequent as common ones.
///
/// A study is repeated `f_max / f` times, rounded, where `f` counts the studies that share its
/// rarest class (of `rules-14`, "no finding" among them) and `f_max` those of the most common
/// class; at least once and at most `at_most` times. With `at_most` 1 every study occurs once.
pub(crate) fn repeats<'a>(reports: impl Iterator<Item = &'a str>, at_most: usize) -> Vec<usize> {
    if at_most <= 1 {
        return reports.map(|_| 1).collect();
    }
    let classes: Vec<[bool; FindingClass::COUNT]> = reports
        .map(|report| label(report).positives(Uncertain::AsPositive))
        .collect();
    let count = |class: usize| classes.iter().filter(|positive| positive[class]).count();
    let counts: Vec<usize> = (0..FindingClass::COUNT).map(count).collect();
    let most_common = counts.iter().copied().max().unwrap_or(0) as f64;
    classes
        .iter()
        .map(|positive| {
            let rarest = counts
                .iter()
                .zip(positive)
                .filter_map(|(&count, positive)| positive.then_some(count))
                .min();
            let times = rarest.map_or(1.0, |rarest| most_common / rarest as f64);
            (times.round() as usize).clamp(1, at_most)
        })
        .collect()
}

/// Cuts an order of studies into batches none of which holds a study twice: a pair of a study with
/// itself would count as a negative in the contrastive loss.
///
/// A repeated study trades places with one of another batch, the next that can take it. Where no
/// batch can, it is left out. An order without repeated studies is cut as it stands.
pub(crate) fn distinct_batches(mut order: Vec<usize>, batch_size: usize) -> Vec<Vec<usize>> {
    let total = order.len();
    let batch_of = |place: usize| {
        let first = place - place % batch_size;
        first..(first + batch_size).min(total)
    };
    let holds = |order: &[usize], place: usize, study: usize, but: usize| {
        batch_of(place).any(|other| other != but && order[other] == study)
    };
    let mut left_out = vec![false; total];
    for place in 0..total {
        let study = order[place];
        if !batch_of(place)
            .take_while(|&other| other < place)
            .any(|other| order[other] == study)
        {
            continue;
        }
        let after = batch_of(place).end;
        let partner = (after..total)
            .chain(0..batch_of(place).start)
            .find(|&other| {
                !left_out[other]
                    && !holds(&order, other, study, other)
                    && !holds(&order, place, order[other], place)
            });
        match partner {
            Some(other) => order.swap(place, other),
            None => left_out[place] = true,
        }
    }
    let mut places = order.into_iter().zip(left_out);
    (0..total.div_ceil(batch_size))
        .map(|_| {
            let batch = places.by_ref().take(batch_size);
            batch
                .filter_map(|(study, out)| (!out).then_some(study))
                .collect()
        })
        .collect()
}

/// Like [`distinct_batches`] for several processes that contrast their studies with one another: no study is
/// twice in a group of `ranks` successive batches. A group is cut into batches of equal size, give or take one. The
/// last can have fewer batches than `ranks`.
///
/// A group that repeated studies leave with fewer studies than `ranks` is left out, unless it is the last: every
/// other group gives each process a batch.
pub(crate) fn distinct_groups(
    order: Vec<usize>,
    batch_size: usize,
    ranks: usize,
) -> Vec<Vec<usize>> {
    let mut groups = distinct_batches(order, batch_size * ranks);
    let last = groups.pop();
    groups.retain(|group| group.len() >= ranks);
    let cut = |group: Vec<usize>| {
        let batches = ranks.min(group.len());
        (0..batches).map(move |batch| group[slice_of(group.len(), batch, batches)].to_vec())
    };
    groups.into_iter().chain(last).flat_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn_data::shuffled_order;
    use std::collections::HashSet;

    #[test]
    fn no_batch_holds_a_study_twice_and_no_study_is_lost() {
        for seed in 0..50 {
            let turns: Vec<usize> = (0..40)
                .flat_map(|study| std::iter::repeat_n(study, if study % 10 == 0 { 6 } else { 1 }))
                .collect();
            let order: Vec<usize> = shuffled_order(turns.len(), seed, 1)
                .into_iter()
                .map(|turn| turns[turn])
                .collect();
            let batches = distinct_batches(order.clone(), 8);
            assert_eq!(batches.len(), order.len().div_ceil(8));
            for batch in &batches {
                let studies: HashSet<&usize> = batch.iter().collect();
                assert_eq!(studies.len(), batch.len(), "{batch:?}");
            }
            let mut seen = batches.concat();
            seen.sort_unstable();
            assert_eq!(seen, turns);
        }
    }

    #[test]
    fn no_group_of_batches_holds_a_study_twice_and_each_has_a_batch_for_every_rank() {
        for (ranks, batch_size) in [(1, 8), (2, 4), (3, 2), (3, 1)] {
            for seed in 0..20 {
                let turns: Vec<usize> = (0..25)
                    .flat_map(|study| std::iter::repeat_n(study, if study == 3 { 4 } else { 1 }))
                    .collect();
                let order: Vec<usize> = shuffled_order(turns.len(), seed, 1)
                    .into_iter()
                    .map(|turn| turns[turn])
                    .collect();
                let whole = distinct_batches(order.clone(), batch_size * ranks);
                let batches = distinct_groups(order, batch_size, ranks);
                assert_eq!(batches.len().div_ceil(ranks), whole.len());
                for (group, whole) in batches.chunks(ranks).zip(whole) {
                    assert_eq!(group.concat(), whole);
                    let studies: HashSet<usize> = group.concat().into_iter().collect();
                    assert_eq!(studies.len(), whole.len());
                }
            }
        }
        // 5 studies for 3 ranks, then 2.
        let cut = |order| distinct_groups(order, 2, 3);
        assert_eq!(cut(vec![4, 2, 0, 1, 3]), [vec![4], vec![2, 0], vec![1, 3]]);
        assert_eq!(cut(vec![4, 2]), [[4], [2]]);
        // Nothing else can fill the first group.
        assert_eq!(distinct_groups(vec![7, 7, 7, 1], 1, 2), [[7], [1]]);
    }

    #[test]
    fn an_order_without_repeats_is_cut_as_it_stands() {
        assert_eq!(
            distinct_batches(vec![4, 2, 0, 1, 3], 2),
            [vec![4, 2], vec![0, 1], vec![3]]
        );
    }

    #[test]
    fn a_study_that_fits_no_batch_is_left_out() {
        assert_eq!(distinct_batches(vec![7, 7, 7, 1], 4), [vec![7, 1]]);
    }

    #[test]
    fn rare_findings_come_up_as_often_as_common_ones() {
        let normal = "The lungs are clear.";
        let effusion = "There is a left pleural effusion.";
        let both = "There is a left pleural effusion and a pneumothorax.";
        let reports = [[normal; 9].as_slice(), &[effusion, effusion, both]].concat();
        let times = |at_most| repeats(reports.iter().copied(), at_most);
        assert_eq!(times(20)[8..], [1, 3, 3, 9]);
        assert_eq!(times(4)[8..], [1, 3, 3, 4]);
        assert_eq!(times(1), [1; 12]);
    }
}
