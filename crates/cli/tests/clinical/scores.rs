//! Scores of RadGraph and RadCliQ, and scores made elsewhere.

use super::*;

#[test]
fn radgraph_and_radcliq_equal_their_golden_means() {
    let folder = tempfile::tempdir().expect("a folder");
    let graphs = ["pred.json", "ref.json"].map(|name| fixture("radgraph").join(name));
    let [predicted, wanted] = [json_of(&graphs[0]), json_of(&graphs[1])];
    let studies: Vec<Value> = (0..wanted.as_object().expect("graphs").len())
        .map(|at| {
            let key = at.to_string();
            json!({"id": format!("study {at}"), "prediction": predicted[&key]["text"], "reference": wanted[&key]["text"]})
        })
        .collect();
    let path = folder.path().join("studies.json");
    fs::write(&path, json!(studies).to_string()).expect("writable");
    let mut arguments = vec![text(&path), "--radgraph".to_owned()];
    arguments.extend(graphs.iter().map(|path| text(path)));
    let expected = json_of(&fixture("radgraph/expected.json"));
    let published = evaluated(&arguments);
    let means = &expected["means"];
    for (name, golden) in [
        ("simple", "simple_0118"),
        ("complete", "complete_0118"),
        ("combined", "radgraph_combined"),
    ] {
        close(
            &published["clinical"]["radgraph"][name],
            &means[golden],
            1e-12,
        );
        let mean = &score(&published, &format!("radgraph_{name}"))["mean"];
        close(mean, &means[golden], 1e-12);
    }
    arguments.extend(words("--radgraph-case lower"));
    let lower = evaluated(&arguments);
    close(
        &lower["clinical"]["radgraph"]["simple"],
        &means["simple"],
        1e-12,
    );

    let table = fixture("radcliq/scores.csv");
    let rows = fs::read_to_string(&table).expect("scores");
    let studies: Vec<Value> = rows
        .lines()
        .skip(1)
        .filter_map(|row| row.split(',').next())
        .map(|id| json!({"id": id, "prediction": "clear .", "reference": "clear ."}))
        .collect();
    fs::write(&path, json!(studies).to_string()).expect("writable");
    let report = evaluated(&[text(&path), "--scores".to_owned(), text(&table)]);
    let expected = json_of(&fixture("radcliq/expected.json"));
    for name in ["radcliq_v1", "radcliq_v0"] {
        close(
            &score(&report, name)["mean"],
            &expected["means"][name],
            1e-9,
        );
    }
    assert_eq!(
        report["clinical"]["lower_is_better"],
        json!(["radcliq_v1", "radcliq_v0"])
    );
}

#[test]
fn scores_made_elsewhere_are_summarised_and_tested() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, _] = systems(folder.path());
    let [ours, theirs] = ["ours.csv", "theirs.csv"].map(|name| folder.path().join(name));
    fs::write(&ours, "id,green\ns0,0.5\ns1,0.7\ns2,0.9\ns3,0.6\n").expect("writable");
    fs::write(&theirs, "id,green\ns3,0.1\ns2,0.4\ns1,0.2\n").expect("writable");
    let mut arguments = vec![first.clone(), "--scores".to_owned(), text(&ours)];
    let report = evaluated(
        &[
            arguments.clone(),
            vec!["--versus-scores".to_owned(), text(&theirs)],
        ]
        .concat(),
    );
    close(&score(&report, "green")["mean"], &json!(0.675), 1e-12);
    let versus = &report["versus_scores"][0];
    assert_eq!(versus["studies"], 3);
    close(&versus["difference"], &json!(0.5), 1e-12);

    fs::write(&ours, "id,green\nelsewhere,0.5\n").expect("writable");
    arguments.insert(0, "evaluate".to_owned());
    let output = run(&arguments);
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("ours.csv: study 'elsewhere' is not among"),
        "{error}"
    );
}
