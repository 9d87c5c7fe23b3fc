//! Runs that describe themselves: what `train`, `report`, `evaluate`, `card` and `generate` need to be told.

use std::fs;
use std::path::Path;

mod support;

use support::{refused, run, studies, succeed, tiny};

/// The run's description.
fn description(folder: &Path, out: &str) -> serde_json::Value {
    let text = fs::read_to_string(folder.join(out).join("run.json")).expect("written");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_run_goes_on_and_is_judged_by_its_folder_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    studies(folder, "studies", 5);
    let elsewhere = folder.join("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    let mut fresh = tiny("studies", "run");
    fresh.extend(["--limit", "16", "--epochs", "1"]);
    let said = succeed(folder, &fresh);
    assert!(said.out.contains("1-λ: hardness"), "{}", said.out);
    assert!(said.out.contains("*: best findings F1"), "{}", said.out);
    assert!(said.out.contains("side errors: findings on the wrong side"));
    let described = description(folder, "run");
    let data = folder.join("studies").display().to_string();
    assert_eq!(described["source"]["folder"], data.as_str());
    assert_eq!(described["limit"], 16);

    // From another folder, with nothing but the run: every override is said, and nothing is drawn.
    let go_on = ["train", "--resume", "--out", "../run"];
    let longer = [&go_on[..], &["--epochs", "2", "--learning-rate", "0.00005"]].concat();
    let said = succeed(&elsewhere, &longer).out;
    for line in [
        "resume: training.epochs 1 → 2",
        "resume: training.optimizer.learning_rate 0.001 → 0.00005",
        "the learning rates (cosine) and the hardness of negatives depend on the number of epochs",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("resume: data"), "{said}");
    assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 0);

    // Its other tools.
    let page = succeed(&elsewhere, &["report", "../run"]).out;
    assert_eq!(page.trim(), "../run/report.html");
    let scores = succeed(&elsewhere, &["evaluate", "../run", "--draws", "50"]).out;
    assert!(
        scores.contains("BLEU-4") && scores.contains("recall@1"),
        "{scores}"
    );
    let error = refused(&elsewhere, &["evaluate", "."]);
    assert!(error.contains("without predictions.csv"), "{error}");
    let predictions = "../run/predictions.csv";
    let labelled = succeed(&elsewhere, &["label", predictions]).out;
    assert!(labelled.contains("3 reports labelled"), "{labelled}");

    its_card(&elsewhere);
    moved_data(folder, &elsewhere, &go_on);
}

/// What its best checkpoint says of itself, and of itself on a film.
fn its_card(folder: &Path) {
    let card = succeed(folder, &["card", "../run", "--json", "card.json"]).out;
    for part in [
        "phantom studies (films and reports drawn by ithn): 16 training, 3 validation, 3 test studies",
        "random weights",
        "model, 3 test studies: BLEU-1",
        "floor: nearest image, 3 test studies: BLEU-1",
        "findings by phantom",
        "not for clinical use",
    ] {
        assert!(card.contains(part), "{part}: {card}");
    }
    let text = fs::read_to_string(folder.join("card.json")).expect("written");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["card"]["data"]["kind"], "phantom");
    // Validation, test, and the test scores of five floors.
    assert_eq!(json["card"]["scores"].as_array().map(Vec::len), Some(7));
    // Of the newest checkpoint validation scores alone are known.
    let last = succeed(folder, &["card", "../run/last.ithn"]).out;
    assert!(
        last.contains("model, 3 validation studies") && !last.contains("floor"),
        "{last}"
    );

    let film = support::fixture("old_files/films/test-0-0.png");
    let film = film.to_str().expect("Unicode");
    let said = succeed(folder, &["generate", "-q", "--checkpoint", "../run", film]);
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    assert!(
        said.err
            .starts_with("warning: this checkpoint was trained on drawn films"),
        "{}",
        said.err
    );
}

fn moved_data(folder: &Path, elsewhere: &Path, go_on: &[&str]) {
    let with = |more: &[&'static str]| [go_on, more].concat();
    let error = refused(elsewhere, &with(&["--limit", "5"]));
    assert!(
        error.contains("same limit") && error.contains("--limit"),
        "{error}"
    );

    fs::rename(folder.join("studies"), folder.join("moved")).expect("movable");
    for arguments in [go_on.to_vec(), vec!["report", "../run"]] {
        let error = refused(elsewhere, &arguments);
        assert!(
            error.contains("no longer at") && error.contains("--data"),
            "{error}"
        );
    }
    studies(folder, "others", 6);
    let error = refused(elsewhere, &with(&["--data", "../others"]));
    assert!(error.contains("trained on other studies"), "{error}");

    // A run of an earlier version says what to give, and then describes itself.
    fs::remove_file(folder.join("run/run.json")).expect("there");
    let error = refused(elsewhere, go_on);
    assert!(
        error.contains("name the data") && error.contains("--annotation"),
        "{error}"
    );
    let said = succeed(elsewhere, &with(&["--data", "../moved", "--limit", "16"])).out;
    assert!(!said.contains("resume: "), "{said}");
    let data = folder.join("elsewhere/../moved").display().to_string();
    assert_eq!(
        description(folder, "run")["source"]["folder"],
        data.as_str()
    );
    assert!(!elsewhere.join("runs").exists());
}

#[test]
fn what_cannot_work_is_said_before_anything_is_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    fs::write(folder.join("a_file"), "").expect("writable");
    for (arguments, part) in [
        (&["--out", "a_file/run"][..], "it is a file"),
        (&["--cache", "a_file"], "it is a file"),
        (&["--start-from", "absent.ithn"], "absent.ithn"),
        (&["--backbone-weights", "absent.pth"], "absent.pth"),
        (&["--limit", "0"], "at least 1"),
        (&["--resume", "--out", "absent"], "no run to resume"),
        (&["--set", "training.betas=1"], "betas"),
    ] {
        let said = run(folder, &[&["train"], arguments].concat());
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(part), "{arguments:?}: {}", said.err);
    }
    let left: Vec<_> = fs::read_dir(folder).expect("a folder").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_quiet_run_names_what_it_skips() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    studies(folder, "studies", 5);
    let mut films = Vec::new();
    let mut folders = vec![folder.join("studies/files")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("readable") {
            let path = entry.expect("readable").path();
            match path.is_dir() {
                true => folders.push(path),
                false => films.extend(
                    path.extension()
                        .is_some_and(|it| it == "jpg")
                        .then_some(path),
                ),
            }
        }
    }
    films.sort();
    fs::write(&films[0], "no image").expect("writable");
    let mut arguments = tiny("studies", "run");
    arguments.extend(["-q", "--on-bad-study", "skip", "--epochs", "1"]);
    let said = succeed(folder, &arguments).out;
    let first = said.lines().next().expect("a line");
    assert!(
        first.starts_with("warning: left out, bad_image: 1"),
        "{said}"
    );
}

#[test]
fn unknown_words_are_never_written_where_they_are_forbidden() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    studies(folder, "studies", 5);
    // Words that occur less than sixty times are unknown: nearly all of them.
    let train = |out: &str, option: Option<&'static str>| {
        let mut arguments = tiny("studies", out);
        arguments.extend(["--set", "text.minimum_occurrences=60"]);
        arguments.extend(["--epochs", "6", "--learning-rate", "0.01"]);
        arguments.extend(option);
        succeed(folder, &arguments);
        fs::read_to_string(folder.join(out).join("config.json")).expect("written")
    };
    let allowed = train("allowed", Some("--forbid-unknown=false"));
    assert!(allowed.contains("\"forbid_unknown\": false"), "{allowed}");
    let forbidden = train("forbidden", None);
    assert!(
        forbidden.contains("\"forbid_unknown\": true"),
        "{forbidden}"
    );
    let writes_unknown = |run: &str, option: Option<&'static str>| {
        let film = support::fixture("old_files/films/test-0-0.png");
        let film = film.to_str().expect("Unicode").to_owned();
        let mut arguments = vec!["generate", "--checkpoint", run];
        arguments.extend(option);
        arguments.extend(["--", &film]);
        succeed(folder, &arguments).out.contains("<unk>")
    };
    assert!(writes_unknown("allowed", None));
    assert!(!writes_unknown("forbidden", None));
    assert!(!writes_unknown("allowed", Some("--forbid-unknown")));
    assert!(writes_unknown("forbidden", Some("--forbid-unknown=false")));
    let predictions = fs::read_to_string(folder.join("forbidden/predictions.csv")).expect("there");
    let mut rows = predictions.lines().skip(1);
    assert!(rows.all(|row| {
        !row.split(',')
            .nth(2)
            .expect("a prediction")
            .contains("<unk>")
    }));
}

#[test]
fn the_version_names_what_the_program_was_built_with() {
    let folder = Path::new(".");
    let long = succeed(folder, &["--version"]).out;
    assert!(long.starts_with(concat!("ithn ", env!("CARGO_PKG_VERSION"), "\n")));
    assert!(
        long.contains("backends: ") && long.contains("films: PNG"),
        "{long}"
    );
    let short = succeed(folder, &["-V"]).out;
    assert_eq!(short, concat!("ithn ", env!("CARGO_PKG_VERSION"), "\n"));
}
