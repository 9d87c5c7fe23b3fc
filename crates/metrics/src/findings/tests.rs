use super::*;

/// Three studies over three classes; the third is never true nor predicted.
fn table() -> FindingCounts {
    let mut counts = FindingCounts::new(["a", "b", "c"]).unwrap();
    counts
        .add(&[true, true, false], &[true, false, false])
        .unwrap();
    counts
        .add(&[true, false, false], &[true, true, false])
        .unwrap();
    counts
        .add(&[false, false, false], &[false, false, false])
        .unwrap();
    counts
}

#[test]
fn counts_by_hand() {
    let [a, b, c] = table().per_class()[..] else {
        panic!("three classes")
    };
    let confusion = |true_positives, false_positives, false_negatives, true_negatives| Confusion {
        true_positives,
        false_positives,
        false_negatives,
        true_negatives,
    };
    assert_eq!(a, confusion(2, 0, 0, 1));
    assert_eq!(b, confusion(0, 1, 1, 1));
    assert_eq!(c, confusion(0, 0, 0, 3));
    assert_eq!(b.support(), 1);
}

#[test]
fn averages_by_hand() {
    let table = table();
    assert_eq!(table.micro(&[0, 1, 2]).unwrap().f1, 2.0 / 3.0);
    let macro_f1 = |undefined| table.macro_average(&[0, 1, 2], undefined).unwrap().f1;
    assert_eq!(macro_f1(Undefined::Zero), 1.0 / 3.0);
    assert_eq!(macro_f1(Undefined::One), 2.0 / 3.0);
    assert_eq!(macro_f1(Undefined::Skip), 0.5);
    // Within studies: F1 2/3, 2/3 and undefined; precision 1, 1/2; recall 1/2, 1.
    let example = table.example_based(&[0, 1, 2], Undefined::Skip).unwrap();
    assert_eq!(
        (example.precision, example.recall, example.f1),
        (0.75, 0.75, 2.0 / 3.0)
    );
}

#[test]
fn subsets_ignore_the_rest() {
    let table = table();
    assert_eq!(table.micro(&[0]).unwrap().f1, 1.0);
    assert_eq!(table.micro(&[0, 0]), table.micro(&[0]));
    assert_eq!(
        table.micro(&[3]).unwrap_err(),
        MetricsError::UnknownClass {
            index: 3,
            classes: 3
        }
    );
    assert!(table.micro(&[]).is_err());
}

#[test]
fn interval_holds_the_estimate() {
    let mut counts = FindingCounts::new(["a"]).unwrap();
    for study in 0..60 {
        counts.add(&[study % 3 == 0], &[study % 4 == 0]).unwrap();
    }
    let f1 = counts.class(0).unwrap().prf().f1;
    let interval = counts.f1_interval(0, 1000, 5).unwrap();
    assert!(interval.low < f1 && f1 < interval.high);
    assert_eq!(counts.f1_interval(0, 1000, 5).unwrap(), interval);
}

#[test]
fn intervals_of_averages_hold_the_estimates_and_ignore_other_classes() {
    let mut counts = FindingCounts::new(["a", "b", "never"]).unwrap();
    for study in 0..60 {
        let truth = [study % 3 == 0, study % 5 == 0, false];
        let predicted = [study % 4 == 0, study % 2 == 0, false];
        counts.add(&truth, &predicted).unwrap();
    }
    let both = [0, 1];
    let micro = counts.micro(&both).unwrap().f1;
    let Interval { low, high } = counts.micro_f1_interval(&both, 1000, 5).unwrap();
    assert!(low < micro && micro < high, "{low} {micro} {high}");
    let zero = Undefined::Zero;
    let mean = counts.macro_average(&both, zero).unwrap().f1;
    let interval = counts.macro_f1_interval(&both, zero, 1000, 5).unwrap();
    assert!(interval.low < mean && mean < interval.high);
    let single = counts.macro_f1_interval(&[0], zero, 500, 1).unwrap();
    assert_eq!(single, counts.f1_interval(0, 500, 1).unwrap());
    assert_eq!(single, counts.micro_f1_interval(&[0], 500, 1).unwrap());
    assert!(counts.micro_f1_interval(&[], 10, 0).is_err());
}

#[test]
fn intervals_from_one_pass_are_those_of_each() {
    // So many studies that 16 bits do not hold their counts.
    for (studies, draws) in [(50, 300), (70_000, 12)] {
        let mut counts = FindingCounts::new(["a", "b", "never"]).unwrap();
        for study in 0..studies {
            let truth = [study % 3 == 0, study % 5 == 0, false];
            counts
                .add(&truth, &[study % 4 != 0, study % 2 == 0, false])
                .unwrap();
        }
        let ends = |interval: Interval| [interval.low, interval.high].map(f64::to_bits);
        for undefined in [Undefined::Zero, Undefined::One, Undefined::Skip] {
            let found = counts.f1_intervals(&[0, 2], undefined, draws, 3).unwrap();
            let micro = counts.micro_f1_interval(&[0, 2], draws, 3).unwrap();
            let mean = counts
                .macro_f1_interval(&[0, 2], undefined, draws, 3)
                .unwrap();
            assert_eq!(ends(found.micro), ends(micro));
            assert_eq!(ends(found.macro_average), ends(mean));
            for (class, interval) in found.per_class.into_iter().enumerate() {
                let alone = counts.f1_interval(class, draws, 3).unwrap();
                assert_eq!(ends(interval), ends(alone));
            }
        }
    }
    let none = FindingCounts::new(["a"]).unwrap();
    assert!(none.f1_intervals(&[0], Undefined::Zero, 10, 0).is_err());
}

#[test]
fn survives_json() {
    let json = serde_json::to_string(&table()).unwrap();
    assert_eq!(
        serde_json::from_str::<FindingCounts>(&json).unwrap(),
        table()
    );
}

#[test]
fn rows_must_match_the_classes() {
    assert!(table().add(&[true], &[true, false, true]).is_err());
    assert!(FindingCounts::new(vec!["x"; 65]).is_err());
    assert!(FindingCounts::new(vec!["x"; 64]).is_ok());
}
