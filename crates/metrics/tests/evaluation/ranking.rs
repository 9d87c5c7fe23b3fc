//! Files of ranked studies.

use super::*;
use ithn_metrics::evaluation::*;

fn ranked(id: &str, task: RankingTask, own: f64, others: &[(&str, f64)]) -> RankedStudy {
    RankedStudy {
        id: id.to_owned(),
        task,
        own,
        others: others
            .iter()
            .map(|&(id, score)| (id.to_owned(), score))
            .collect(),
    }
}

#[test]
fn ranked_studies_survive_their_file_and_rank_by_task() {
    let studies = [
        ranked(
            "a",
            RankingTask::Retrieval,
            0.1 + 0.2,
            &[("b", 0.3), ("c,\"d", -1e-9)],
        ),
        ranked(
            "b",
            RankingTask::Retrieval,
            0.5,
            &[("a", 0.75), ("c,\"d", 0.1)],
        ),
        ranked("a", RankingTask::NearTwin, 1.0, &[("b", 1.0)]),
        ranked("b", RankingTask::NearTwin, 2.0, &[("a", 1.0)]),
    ];
    let folder = Folder::new();
    let path = folder.file("retrieval.csv", ranked_table(&studies).unwrap());
    assert_eq!(read_ranked(&path).unwrap(), studies);

    let ranking = rank(&studies).unwrap();
    let found = ranking.retrieval.unwrap();
    assert_eq!(
        (found.queries, found.recall_at_1, found.median_rank),
        (2, 0.5, 1.5)
    );
    let twins = ranking.near_twin.unwrap();
    assert_eq!((twins.studies, twins.accuracy), (2, 0.75));
    assert_eq!(ranking.near_twin_likelihood, None);

    // A spreadsheet's mark and line ends, rows in another order, a column more.
    let path = folder.file(
        "turned.csv",
        "\u{feff}score,split,candidate,task,id\r\n0.75,test,a,retrieval,b\r\n0.5,test,b,retrieval,b\r\n",
    );
    let turned = read_ranked(&path).unwrap();
    assert_eq!(
        turned,
        [ranked("b", RankingTask::Retrieval, 0.5, &[("a", 0.75)])]
    );
}

#[test]
fn broken_files_of_scores_are_named_with_their_row() {
    let folder = Folder::new();
    let header = "id,task,candidate,score\n";
    for (body, expected) in [
        (
            "a,retrieval,a,1\na,retrieval,b,high\n",
            "row 3: score 'high'",
        ),
        ("a,retrieval,a,1\na,retrieval,b,NaN\n", "row 3: score 'NaN'"),
        ("a,guessing,a,1\n", "row 2: task 'guessing'"),
        ("a,retrieval,a,1\na,retrieval,b\n", "row 3: 3 fields"),
        (
            "a,retrieval,b,1\n",
            "row 2: study 'a' has no score of its own",
        ),
        (
            "a,retrieval,a,1\n",
            "row 2: study 'a' has no score of another",
        ),
        (
            "a,retrieval,a,1\na,retrieval,b,1\na,retrieval,b,2\n",
            "row 4: candidate 'b'",
        ),
        (",retrieval,a,1\n", "row 2: no id"),
        ("", "no scores"),
    ] {
        let path = folder.file("scores.csv", format!("{header}{body}"));
        let error = read_ranked(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("scores.csv"), "{error}");
    }
    let path = folder.file("scores.csv", "id,task,score\na,retrieval,1\n");
    let error = read_ranked(&path).unwrap_err().to_string();
    assert!(error.contains("candidate"), "{error}");
}

#[test]
fn equal_texts_count_as_hits() {
    let reports = [
        ("a", "lungs are clear ."),
        ("b", "lungs  are clear ."),
        ("c", "there is edema ."),
    ];
    let report = |id: &str| Some(reports.iter().find(|(known, _)| *known == id)?.1);
    let task = RankingTask::Retrieval;
    let studies = vec![
        ranked("a", task, 0.1, &[("b", 0.9), ("c", 0.5)]),
        ranked("b", task, 0.4, &[("a", 0.2), ("unknown", 0.6)]),
        ranked("c", task, 0.1, &[("b", 0.9)]),
        ranked("a", RankingTask::NearTwin, 0.1, &[("b", 0.9)]),
    ];
    let merged = equal_reports_as_hits(studies, report);
    let expected = [
        ranked("a", task, 0.9, &[("c", 0.5)]),
        ranked("b", task, 0.4, &[("unknown", 0.6)]),
        ranked("c", task, 0.1, &[("b", 0.9)]),
    ];
    assert_eq!(merged, expected);
    assert_eq!(
        rank(&merged).unwrap().retrieval.unwrap().recall_at_1,
        1.0 / 3.0
    );
}
