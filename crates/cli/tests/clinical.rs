//! Clinical numbers, other tools' files and submissions, as the program reads and writes them. All texts, graphs and
//! weights are invented.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> PathBuf {
    repository()
        .join("crates/metrics/tests/fixtures/clinical")
        .join(name)
}

fn chexbert(name: &str) -> PathBuf {
    repository()
        .join("crates/chexbert/tests/fixtures")
        .join(name)
}

fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

fn json_of(path: &Path) -> Value {
    let content = fs::read_to_string(path).expect("a file");
    serde_json::from_str(&content).expect("JSON")
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ithn"));
    command.args(arguments).output().expect("it starts")
}

fn error_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Runs what must succeed, and returns standard output.
fn succeeds(arguments: &[String]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        error_of(&output)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// `evaluate` with few draws and its JSON.
fn evaluated(arguments: &[String]) -> Value {
    let mut all = vec!["evaluate".to_owned()];
    all.extend_from_slice(arguments);
    all.extend(["--draws", "50", "--json", "-"].map(str::to_owned));
    serde_json::from_str(&succeeds(&all)).expect("JSON alone")
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn score<'a>(report: &'a Value, name: &str) -> &'a Value {
    let scores = report["clinical"]["scores"].as_array().expect("scores");
    let found = scores.iter().find(|score| score["score"] == name);
    found.unwrap_or_else(|| panic!("{name}: {scores:#?}"))
}

fn close(found: &Value, expected: &Value, tolerance: f64) {
    let difference = found.as_f64().expect("a number") - expected.as_f64().expect("a number");
    assert!(difference.abs() <= tolerance, "{found} {expected}");
}

/// The options of CheXbert's small weights.
fn small(weights: &str, vocabulary: &str, config: &str) -> Vec<String> {
    vec![
        weights.to_owned(),
        text(&chexbert("chexbert.pth")),
        vocabulary.to_owned(),
        text(&chexbert("vocab.txt")),
        config.to_owned(),
        text(&chexbert("config.json")),
    ]
}

/// Two systems' predictions, with references.
fn systems(folder: &Path) -> [String; 2] {
    let references = [
        "Small left pleural effusion. No pneumothorax.",
        "Heart is enlarged. New edema.",
        "Lungs are clear. Stable tubes.",
        "Right lower lobe consolidation.",
    ];
    let predictions = [
        [
            "No pleural effusion.",
            "The lungs are clear.",
            "Lungs are clear.",
            "Atelectasis.",
        ],
        [
            "Small left pleural effusion.",
            "Heart is enlarged. New edema.",
            "Lungs are clear.",
            "Right lower lobe consolidation.",
        ],
    ];
    [0, 1].map(|system| {
        let studies: Vec<Value> = (0..4)
            .map(|at| {
                json!({"id": format!("s{at}"), "prediction": predictions[system][at], "reference": references[at]})
            })
            .collect();
        let path = folder.join(format!("system{system}.json"));
        fs::write(&path, json!(studies).to_string()).expect("writable");
        text(&path)
    })
}

#[test]
fn chexbert_writes_its_own_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let reports = json_of(&chexbert("reports.json"));
    let expected = json_of(&chexbert("expected.json"));
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
    let golden = fs::read_to_string(chexbert("labeled_reports.csv")).expect("the golden table");
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
fn several_systems_make_one_table_with_corrected_tests() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = systems(folder.path());
    let third = folder.path().join("third.json");
    fs::copy(&second, &third).expect("a copy");
    let [page, latex, markdown] =
        ["page.html", "table.tex", "table.md"].map(|name| folder.path().join(name));
    let mut arguments = vec![first, second, text(&third)];
    for (option, path) in [
        ("--page", &page),
        ("--latex", &latex),
        ("--markdown", &markdown),
    ] {
        arguments.extend([option.to_owned(), text(path)]);
    }
    arguments.extend(words("--policy f1chexbert"));
    let report = evaluated(&arguments);
    assert_eq!(report["systems"].as_array().map(Vec::len), Some(3));
    let pairs = report["pairs"].as_array().expect("pairs");
    assert_eq!(pairs.len(), 3);
    for pair in pairs {
        let metrics = pair["metrics"].as_array().expect("metrics");
        let names: Vec<&str> = metrics
            .iter()
            .filter_map(|metric| metric["metric"].as_str())
            .collect();
        for name in ["bleu_4", "temporal_f1", "f1chexbert.micro_14.f1"] {
            assert!(names.contains(&name), "{names:?}");
        }
        for metric in metrics {
            let p = |key: &str| metric[key].as_f64().expect("a p-value");
            assert!(p("holm_p_value") >= p("p_value"), "{metric}");
        }
    }
    let same = pairs
        .iter()
        .find(|pair| pair["other"] == "system1" && pair["this"] == "third");
    let metrics = same.expect("the pair")["metrics"]
        .as_array()
        .expect("metrics");
    assert!(metrics.iter().all(|metric| metric["difference"] == 0.0));
    let html = fs::read_to_string(&page).expect("a page");
    assert!(html.contains("Evaluation of system0, system1, third"));
    assert!(html.contains("\"contradicts\""));
    let latex = fs::read_to_string(&latex).expect("a table");
    assert_eq!(latex.matches("\\begin{tabular}").count(), 4);
    let markdown = fs::read_to_string(&markdown).expect("a table");
    assert!(markdown.starts_with("|  | system0 | system1 | third |\n"));
    assert!(markdown.contains("protocol r2gen") && markdown.contains("policy f1chexbert"));
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

#[test]
fn files_of_rexrank_have_a_protocol_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = text(&fixture("formats/rexrank_prediction.json"));
    let report = evaluated(std::slice::from_ref(&path));
    assert_eq!(report["protocol"], "rexrank");
    assert!(score(&report, "bleu_2_per_study")["mean"].is_number());
    let impressions = evaluated(&[
        path.clone(),
        "--section".to_owned(),
        "impression".to_owned(),
    ]);
    assert_eq!(impressions["protocol"], "full");
    assert!(impressions["files"]["without_section"].as_u64() > Some(0));
    let out = folder.path().join("exported");
    let mut arguments = vec![path];
    for tool in ["rexrank", "cxr-report-metric", "radeval"] {
        arguments.extend(["--export".to_owned(), tool.to_owned()]);
    }
    arguments.extend(["--export-to".to_owned(), text(&out)]);
    evaluated(&arguments);
    let again = evaluated(&[text(&out.join("predictions.json"))]);
    assert_eq!(again["bleu_4"], report["bleu_4"]);
    assert_eq!(again["protocol"], "rexrank");
    for name in ["radeval.json", "gt_reports.csv", "predicted_reports.csv"] {
        assert!(out.join(name).is_file(), "{name}");
    }
}

#[test]
fn what_does_not_go_together_is_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = systems(folder.path());
    let missing = text(&folder.path().join("none/x"));
    let cut = folder.path().join("cut.pth");
    let weights = fs::read(chexbert("chexbert.pth")).expect("weights");
    fs::write(&cut, &weights[..weights.len() / 2]).expect("writable");
    let vocabulary = text(&chexbert("vocab.txt"));
    let small = text(&chexbert("chexbert.pth"));
    for (arguments, reason) in [
        (
            vec![&*first, &second, "--versus", &first],
            "--versus is for one system",
        ),
        (vec![&*first, "--protocol", "rexrank"], "ReXrank's form"),
        (vec![&*first, "--page", &missing], "there is no folder"),
        (vec![&*first, "--latex", &missing], "there is no folder"),
        (vec![&*first, "--markdown", &missing], "there is no folder"),
        (
            vec![&*first, "--latex", "-", "--json", "-"],
            "standard output",
        ),
        (
            vec![
                &*first,
                "--chexbert",
                cut.to_str().expect("UTF-8"),
                "--vocabulary",
                &vocabulary,
            ],
            "cut.pth",
        ),
        (
            vec![&*first, "--chexbert", &small, "--vocabulary", &vocabulary],
            "(--chexbert-config)",
        ),
    ] {
        let output = run(["evaluate"].iter().chain(&arguments));
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error.contains(reason), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
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

#[test]
fn a_submission_resumes_and_survives_a_bad_film() {
    let folder = tempfile::tempdir().expect("a folder");
    let fixtures = repository().join("tests/fixtures/old_files");
    let root = folder.path().join("root");
    fs::create_dir_all(root.join("images")).expect("a folder");
    let film = fixtures.join("films/test-0-0.png");
    fs::copy(&film, root.join("images/a.png")).expect("a film");
    fs::write(root.join("images/bad.png"), b"no film").expect("writable");
    let input = folder.path().join("input.json");
    // As Python writes it.
    let studies = r#"{
        "1": {"image_path": ["images/a.png"], "key_image_path": "images/a.png", "section_impression": NaN},
        "2": {"image_path": ["/images/bad.png"], "section_impression": "Clear."},
        "3": {"image_path": ["/images/a.png"], "section_impression": "Clear."}
    }"#;
    fs::write(&input, studies).expect("writable");
    let out = folder.path().join("out.json");
    let mut arguments = words("generate --batch-size 2 --checkpoint");
    arguments.push(text(&fixtures.join("checkpoints/r2gen.ithn")));
    // The checkpoint's own search draws by study.
    arguments.extend(["--strategy", r#"{"method":"greedy"}"#].map(str::to_owned));
    for (option, path) in [
        ("--rexrank", &input),
        ("--image-root", &root),
        ("--out", &out),
    ] {
        arguments.extend([option.to_owned(), text(path)]);
    }
    let output = run(&arguments);
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("left empty: study '2'"), "{error}");
    let written = json_of(&out);
    let first = written["1"]["model_prediction"].as_str().expect("a report");
    assert!(!first.is_empty());
    assert_eq!(written["3"]["model_prediction"], first);
    assert_eq!(written["2"]["model_prediction"], "");
    assert_eq!(written["1"]["section_impression"], Value::Null);

    fs::copy(&film, root.join("images/bad.png")).expect("a film");
    let output = run(&arguments);
    let error = error_of(&output);
    assert!(output.status.success(), "{error}");
    assert!(
        error.contains("2 of 3 studies were written before"),
        "{error}"
    );
    assert_eq!(json_of(&out)["2"]["model_prediction"], first);
    assert!(!folder.path().join("out.json.progress").exists());

    fs::write(&input, r#"{"1": {"image_path": ["images/../../a.png"]}}"#).expect("writable");
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    let error = error_of(&output);
    assert!(
        error.contains("study '1': the path 'images/../../a.png' leads out"),
        "{error}"
    );
}
