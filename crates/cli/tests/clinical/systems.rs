//! Several systems, other tools' files, and what is refused.

use super::*;

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
    let weights = fs::read(chexbert_fixture("chexbert.pth")).expect("weights");
    fs::write(&cut, &weights[..weights.len() / 2]).expect("writable");
    let vocabulary = text(&chexbert_fixture("vocab.txt"));
    let small = text(&chexbert_fixture("chexbert.pth"));
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
