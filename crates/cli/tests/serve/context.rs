//! A checkpoint that reads context: in the form, in a submission to ReXrank, and on the page that explains.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ithn::data::phantom::{PhantomHistoryConfig, write_phantom_histories};
use ithn::inference::{FilmContext, FilmStudy, PriorFilmStudy};
use ithn_cli::serve::Limits;
use serde_json::{Value, json};

use crate::client::{Part, film, form};
use crate::running::{Running, Serving, writer_at};
use crate::{assert_error, assert_reports, post_as};

fn ithn(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_ithn"))
        .args(arguments)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A model that has taken a few steps on patients with histories, and writes.
fn checkpoint(folder: &Path) -> PathBuf {
    let studies = folder.join("histories");
    let patients = PhantomHistoryConfig::new(8, 1, 1).with_image_size(32);
    write_phantom_histories(&studies, &patients).expect("drawn");
    let run = folder.join("run");
    ithn(&[
        "train",
        "--quiet",
        "--preset",
        "phantom-history",
        "--data",
        text(&studies),
        "--out",
        text(&run),
        "--epochs",
        "1",
        "--batch-size",
        "4",
        "--set",
        "images.size=32",
        "--set",
        "text.minimum_occurrences=1",
        "--set",
        "model.generator.backbone.width=4",
        "--set",
        "decoding={\"strategy\":{\"method\":\"greedy\"},\"max_tokens\":12}",
    ]);
    run.join("last.ithn")
}

#[test]
fn context_goes_through_the_form_a_submission_and_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = checkpoint(folder.path());
    the_form(&checkpoint);
    the_submission(folder.path(), &checkpoint);
    the_page(folder.path(), &checkpoint);
}

fn the_form(checkpoint: &Path) {
    let server = Running::of(checkpoint, Limits::default());
    let direct = writer_at(checkpoint, 3);
    let [own, prior] = ["test-0-0.png", "test-1-0.png"].map(|name| (name, film(name)));
    let films = [Part::File("film", own.0, &own.1)];
    let context = [
        Part::File("prior_film", prior.0, &prior.1),
        Part::File("prior_film", "beyond.png", &prior.1),
        Part::Text("prior_report", "There is pulmonary edema."),
        Part::Text("prior_days", "5"),
        Part::Text("indication", "orthopnea"),
        Part::Text("projections", "AP"),
    ];
    let study = FilmStudy::new(own.0, [own.1.clone()]).with_context(FilmContext {
        projections: vec![ithn::data::Projection::AnteroPosterior],
        indication: Some("orthopnea".to_owned()),
        prior: Some(PriorFilmStudy {
            films: vec![prior.1.clone().into()],
            projections: Vec::new(),
            report: Some("There is pulmonary edema.".to_owned()),
            interval_days: 5,
        }),
    });
    let expected = direct.reports(std::slice::from_ref(&study));
    let expected = expected.expect("a sound study").remove(0);
    let (content_type, body) = form(&[&films[..], &context[..]].concat());
    let path = "/v1/report?explain=true";
    let headers = [("Content-Type", content_type.as_str())];
    let answer = server.request("POST", path, &headers, &body);
    assert_reports(&answer, &expected);
    let answer = answer.json();
    assert_eq!(answer["prior_films"], json!([prior.0]));
    assert_eq!(answer["unused_films"], json!(["beyond.png"]));
    let sheet = &answer["sheet"];
    assert_eq!(sheet["images"].as_array().map(Vec::len), Some(2));
    assert_eq!(sheet["prior_images"], 1);
    assert_eq!(sheet["beside"][1][0], "Previous study, 5 days before");
    assert!(!sheet["attention"].is_null(), "{sheet}");
    let alone = FilmStudy::new(own.0, [own.1.clone()]);
    let without = direct.reports(&[alone]).expect("a sound film").remove(0);
    assert_ne!(without[0].score, expected[0].score);

    let page = server.request("GET", "/", &[], b"").text();
    assert!(page.contains("\"reads\":{\"prior_films\":1"), "{page}");
    let health = server.request("GET", "/healthz", &[], b"").json();
    assert_eq!(health["reads"]["prior_views"], 1);

    let with = |part: Part| {
        let (content_type, body) = form(&[films[0], part]);
        post_as(&server, &content_type, &body)
    };
    let days = with(Part::Text("prior_report", "There is pulmonary edema."));
    assert_error(&days, 400, "prior_days");
    assert_error(
        &with(Part::Text("projections", "AP,PA")),
        400,
        "projections",
    );
    let broken = [
        films[0],
        Part::File("prior_film", "old.png", b"no film"),
        Part::Text("prior_days", "5"),
    ];
    let (content_type, body) = form(&broken);
    assert_error(&post_as(&server, &content_type, &body), 415, "old.png");

    let other = Running::start("r2gen_cmn.ithn", Limits::default());
    for part in [
        Part::Text("indication", "cough"),
        Part::Text("projections", "PA"),
        Part::File("prior_film", prior.0, &prior.1),
    ] {
        let (content_type, body) = form(&[films[0], part]);
        let answer = post_as(&other, &content_type, &body);
        assert_error(&answer, 400, "this checkpoint does not read");
    }
    // A blank field is a missing one.
    let (content_type, body) = form(&[films[0], Part::Text("indication", " ")]);
    assert_eq!(post_as(&other, &content_type, &body).status, 200);
}

fn the_submission(folder: &Path, checkpoint: &Path) {
    fs::write(folder.join("a.png"), film("test-0-0.png")).expect("written");
    fs::write(folder.join("b.png"), film("test-1-0.png")).expect("written");
    let line = "Age:60-70.Gender:F.Indication: orthopnea.Comparison: None.";
    let input = json!({
        "1": {"image_path": ["a.png"], "context": line},
        "2": {"image_path": ["a.png"], "frontal_lateral": ["Frontal"], "context": line, "subject_id": 7, "prior":
            {"id": "old", "subject_id": 7, "image_path": ["b.png"], "report": "There is edema.", "interval_days": 3}},
        "3": {"image_path": ["a.png"], "context": "Indication:nanComparison: None."},
    });
    let (given, out) = (folder.join("input.json"), folder.join("out.json"));
    fs::write(&given, input.to_string()).expect("written");
    ithn(&[
        "generate",
        "--quiet",
        "--checkpoint",
        text(checkpoint),
        "--rexrank",
        text(&given),
        "--image-root",
        text(folder),
        "--out",
        text(&out),
    ]);
    let written: Value =
        serde_json::from_str(&fs::read_to_string(&out).expect("written")).expect("JSON");
    assert_eq!(written["2"]["prior"], input["2"]["prior"]);
    assert_eq!(written["1"]["context"], line);
    let direct = writer_at(checkpoint, 1);
    let reads = direct.reads();
    for id in ["1", "2", "3"] {
        let study = ithn::data::RexrankStudy::read(id, &input[id], folder, &given).expect("sound");
        let study = FilmStudy::new(id, study.images.clone())
            .with_context(FilmContext::from(&study.context).readable_by(reads));
        let expected = direct.reports(&[study]).expect("sound films").remove(0);
        assert_eq!(written[id]["model_prediction"], expected[0].text.as_str());
    }
}

fn the_page(folder: &Path, checkpoint: &Path) {
    let page = folder.join("page.html");
    let (film, prior) = (folder.join("a.png"), folder.join("b.png"));
    ithn(&[
        "generate",
        "--quiet",
        "--checkpoint",
        text(checkpoint),
        "--prior-image",
        text(&prior),
        "--prior-days",
        "1",
        "--explain",
        text(&page),
        text(&film),
    ]);
    let html = fs::read_to_string(&page).expect("written");
    assert!(html.contains("\"prior_images\":1"));
    assert!(html.contains("Previous study, 1 day before"));
}
