use super::*;

fn table(text: &str) -> Result<ScoreTable, EvaluationError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.csv");
    std::fs::write(&path, text).unwrap();
    ScoreTable::read(&path)
}

#[test]
fn columns_of_numbers_are_scores() {
    let table =
        table("study_id,report,green,bertscore\n1,clear,0.5,\n2,,1e-1,nan\n3,x,-2,0.25\n").unwrap();
    assert_eq!(table.ids(), ["1", "2", "3"]);
    assert_eq!(table.left_out, ["report"]);
    assert_eq!(
        table.columns()[0].scores,
        [Some(0.5), Some(0.1), Some(-2.0)]
    );
    assert_eq!(table.columns()[1].scores, [None, None, Some(0.25)]);
    let summaries = table.summaries(100, 0).unwrap();
    assert_eq!((summaries[1].studies, summaries[1].missing), (1, 2));
    assert!((summaries[0].mean + 1.4 / 3.0).abs() < 1e-12);
    assert_eq!(
        summaries[1].interval,
        Interval {
            low: 0.25,
            high: 0.25
        }
    );
}

#[test]
fn what_is_no_table_of_scores_is_named() {
    let message = |text: &str| table(text).unwrap_err().to_string();
    assert!(
        message("study_id,green\n1,0.5\n2,half\n").contains("row 3: column 'green' holds 'half'")
    );
    assert!(message("study_id,green\n1,0.5\n2,inf\n").contains("no finite number"));
    assert!(message("study_id,green\n1,0.5\n1,0.5\n").contains("already in row 2"));
    assert!(message("green\n0.5\n").contains("study ids"));
    assert!(message("id,report\n1,clear\n").contains("scores"));
    assert!(message("").contains("no reports"));
}

#[test]
fn systems_are_compared_on_common_studies() {
    let a = table("id,green\n1,0.1\n2,0.4\n3,0.3\n4,0.2\n5,\n").unwrap();
    let b = table("id,extra,GREEN\n4,1,0.4\n3,1,0.3\n2,1,0.5\n1,1,0.2\n6,1,9\n").unwrap();
    let c = table("id,green\n1,0.9\n2,0.9\n3,0.9\n4,0.9\n").unwrap();
    let pairs = compare_scores(&[("a", &a), ("b", &b), ("c", &c)], 2_000, 1).unwrap();
    assert_eq!(pairs.len(), 3);
    assert_eq!((pairs[0].score.as_str(), pairs[0].studies), ("green", 4));
    assert!((pairs[0].comparison.test.difference - 0.1).abs() < 1e-12);
    let raw: Vec<f64> = pairs
        .iter()
        .map(|pair| pair.comparison.test.p_value)
        .collect();
    let corrected: Vec<f64> = pairs.iter().map(|pair| pair.holm_p_value).collect();
    assert_eq!(corrected, holm(&raw));
    let apart = table("id,green\n9,0.9\n").unwrap();
    assert!(compare_scores(&[("a", &a), ("apart", &apart)], 10, 1).is_err());
}

#[test]
fn holm_by_hand() {
    assert_eq!(holm(&[0.5, 0.6]), [1.0, 1.0]);
    assert_eq!(holm(&[]), [0.0; 0]);
}
