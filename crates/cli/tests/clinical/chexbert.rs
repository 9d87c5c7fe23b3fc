//! CheXbert's labels, its judgement and negatives by meaning.

use super::*;

#[test]
fn chexbert_writes_its_own_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let reports = json_of(&chexbert_fixture("reports.json"));
    let expected = json_of(&chexbert_fixture("expected.json"));
    let chosen: Vec<Value> = expected["reports"]
        .as_array()
        .expect("reports")
        .iter()
        .enumerate()
        .filter(|(_, report)| report["in_label_csv"] == true)
        .map(|(at, _)| json!({"id": at.to_string(), "report": reports[at]["text"]}))
        .collect();
    let (input, out) = (folder.path().join("in.json"), folder.path().join("out.csv"));
    fs::write(&input, json!(chosen).to_string()).expect("writable");
    let mut arguments = vec!["label".to_owned(), text(&input)];
    arguments.extend(words("--labeler chexbert"));
    arguments.extend(small("--weights", "--vocab", "--config"));
    arguments.extend(["--csv".to_owned(), text(&out)]);
    let said = succeeds(&arguments);
    assert!(said.contains("reports labelled by CheXbert"), "{said}");
    let written = fs::read_to_string(&out).expect("a table");
    let golden =
        fs::read_to_string(chexbert_fixture("labeled_reports.csv")).expect("the golden table");
    assert!(written == golden, "{written}");
    // The header is one of ours as well.
    let again = succeeds(&["label".to_owned(), text(&out)]);
    assert!(again.contains("rules-14"), "{again}");
}

#[test]
fn chexbert_judges_reports_and_policies_say_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, _] = systems(folder.path());
    let mut arguments = vec![first];
    arguments.extend(small("--chexbert", "--vocabulary", "--chexbert-config"));
    arguments.extend(words(
        "--policy f1chexbert --policy cxrmate --policy chexbert",
    ));
    let report = evaluated(&arguments);
    assert_eq!(report["findings"]["labeler"], "CheXbert");
    let policies = report["clinical"]["policies"].as_array().expect("policies");
    let names: Vec<&Value> = policies.iter().map(|policy| &policy["policy"]).collect();
    assert_eq!(names, ["f1chexbert", "cxrmate", "chexbert"]);
    for policy in policies {
        assert_eq!(policy["labeler"], "CheXbert");
        assert!(policy["numbers"][0]["value"].is_number());
    }
    let semb = score(&report, "semb_score");
    assert!(
        semb["mean"]
            .as_f64()
            .is_some_and(|mean| (-1.0..=1.0).contains(&mean))
    );
}

#[test]
fn negatives_are_mined_by_meaning() {
    let folder = tempfile::tempdir().expect("a folder");
    let reports = [
        "Heart is large.",
        "No effusion.",
        "Lungs are clear.",
        "New edema.",
    ];
    let entries: Vec<Value> = reports
        .iter()
        .enumerate()
        .map(|(at, report)| {
            json!({"id": format!("CXR{at}_IM-1"), "report": report, "split": "train",
                   "image_path": [format!("CXR{at}_IM-1/0.png")]})
        })
        .collect();
    let (input, out) = (
        folder.path().join("in.json"),
        folder.path().join("out.json"),
    );
    let annotation = json!({"train": entries, "val": [], "test": []});
    fs::write(&input, annotation.to_string()).expect("writable");
    let mut arguments = words("mine --embedding chexbert --cleaning iu-xray --annotation");
    arguments.extend([text(&input), "--out".to_owned(), text(&out)]);
    arguments.extend(small("--weights", "--vocab", "--config"));
    succeeds(&arguments);
    let mined = json_of(&out);
    for entry in mined["train"].as_array().expect("entries") {
        assert!(entry["neg_report"][0].is_string(), "{entry}");
        assert_ne!(entry["neg_report"][0], entry["report"]);
    }
}
