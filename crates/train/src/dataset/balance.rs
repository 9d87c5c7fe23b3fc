use ithn_metrics::{FindingClass, Uncertain, label};

/// How often an epoch sees each study, so that rare findings are seen as often as common ones.
///
/// A study comes up `f_max / f` times, rounded, where `f` counts the studies that share its rarest
/// class (of `rules-14`, "no finding" among them) and `f_max` those of the most common class; at
/// least once and at most `at_most` times. With `at_most` 1 every study comes up once.
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

#[cfg(test)]
mod tests {
    use super::*;

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
