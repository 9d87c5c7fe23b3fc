//! Preparing changes nothing but the layout, and may be interrupted.

use std::fs;
use std::io::Write;
use std::path::Path;

use ithn_data::phantom::{
    PhantomConfig, PhantomHistoryConfig, write_phantom_dataset, write_phantom_histories,
};
use ithn_data::prepare::{
    IuXrayOptions, IuXraySource, PrepareSummary, prepare_iu_xray, prepare_mimic,
};
use ithn_data::{
    DataError, ExclusionReason, MimicOptions, ReportSection, Split, Study, read_annotation,
    read_mimic,
};

const SMALL: PhantomConfig = PhantomConfig::new(9, 2, 3)
    .with_near_twin_share(0.5)
    .with_image_size(24)
    .with_seed(5);

fn prepare(data: &Path, out: &Path, options: &MimicOptions) -> Result<PrepareSummary, DataError> {
    prepare_mimic(data, out, options, |_, _| {})
}

fn outputs(out: &Path) -> [Vec<u8>; 2] {
    ["annotation.json", "sections.csv"].map(|name| fs::read(out.join(name)).expect("written"))
}

#[test]
fn the_prepared_file_holds_what_the_raw_layout_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    write_phantom_dataset(&data, &SMALL).expect("written");
    let options = MimicOptions::default();
    let summary = prepare(&data, &out, &options).expect("sound");
    assert_eq!((summary.studies, summary.images), ([9, 2, 3], [9, 2, 3]));
    assert!(summary.excluded.is_empty() && !summary.reused);

    let raw = read_mimic(&data, &options).expect("sound").studies;
    assert!(raw.iter().any(|study| study.labels.is_some()));
    let images = data.join("files");
    let mut prepared = read_annotation(&out.join("annotation.json"), &images).expect("sound");
    prepared.sort_by(|a, b| a.id.cmp(&b.id));
    // R2Gen writes a subject's number without the letter.
    let named = |study: Study| Study {
        patient: format!("p{}", study.patient),
        ..study
    };
    let prepared: Vec<Study> = prepared.into_iter().map(named).collect();
    assert_eq!(prepared, raw);

    assert!(prepare(&data, &out, &options).expect("there").reused);
    let mut other = options.clone();
    other.section = ReportSection::Impression;
    assert!(matches!(
        prepare(&data, &out, &other),
        Err(DataError::PreparedOtherwise { .. })
    ));
}

#[test]
fn previous_studies_are_prepared_as_they_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let config = PhantomHistoryConfig::new(9, 2, 3).with_image_size(24);
    write_phantom_histories(&data, &config).expect("written");
    let mut options = MimicOptions::default();
    (options.views, options.prior_views) = (3, Some(2));
    let summary = prepare(&data, &out, &options).expect("sound");
    let raw = read_mimic(&data, &options).expect("sound").studies;
    let priors = |studies: &[Study]| {
        let has = studies.iter().filter(|it| it.context.prior.is_some());
        has.count()
    };
    assert!(priors(&raw) > 0);
    assert_eq!(summary.context.priors.iter().sum::<usize>(), priors(&raw));
    assert_eq!(summary.context.priors, summary.context.prior_reports);
    assert!(summary.to_string().contains("prior study"));
    let images = data.join("files");
    let mut prepared = read_annotation(&out.join("annotation.json"), &images).expect("sound");
    prepared.sort_by(|a, b| a.id.cmp(&b.id));
    for (prepared, raw) in prepared.iter().zip(&raw) {
        assert_eq!(prepared.context, raw.context);
    }
    assert_eq!(prepared.len(), raw.len());
}

#[test]
fn an_interrupted_preparation_ends_as_an_uninterrupted_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let [whole, broken] = ["whole", "broken"].map(|name| folder.path().join(name));
    write_phantom_dataset(&data, &SMALL).expect("written");
    let options = MimicOptions::default();
    prepare(&data, &whole, &options).expect("sound");

    // The journal of an earlier start, with half a record at its end.
    let summary = fs::read_to_string(whole.join("summary.json")).expect("written");
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("JSON");
    let annotation = fs::read_to_string(whole.join("annotation.json")).expect("written");
    let annotation: serde_json::Value = serde_json::from_str(&annotation).expect("JSON");
    let sections = serde_json::json!({"findings": "as it was kept"});
    let kept = serde_json::json!({"kept": {"entry": annotation["test"][0], "sections": sections}});
    let journal = format!("{}\n{kept}\n{{\"kept\":{{\"ent", summary["prepared_from"]);
    fs::create_dir(&broken).expect("created");
    fs::write(broken.join("preparing.jsonl"), journal).expect("written");

    let resumed = prepare(&data, &broken, &options).expect("sound");
    assert_eq!(resumed.studies, [9, 2, 3]);
    let [table, text] = [&broken, &whole].map(|out| {
        let [annotation, sections] = outputs(out);
        let lists: serde_json::Value = serde_json::from_slice(&annotation).expect("JSON");
        (lists["test"].as_array().map(Vec::len), sections)
    });
    assert_eq!(table.0, text.0);
    let sections = String::from_utf8(table.1).expect("text");
    assert!(sections.contains("as it was kept"), "it was read again");
    assert!(!broken.join("preparing.jsonl").exists());
}

#[test]
fn reports_in_their_archive_read_as_in_their_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    write_phantom_dataset(&data, &SMALL).expect("written");
    let [plain, zipped] = ["plain", "zipped"].map(|name| folder.path().join(name));
    prepare(&data, &plain, &MimicOptions::default()).expect("sound");

    let studies = read_mimic(&data, &MimicOptions::default())
        .expect("sound")
        .studies;
    let file = fs::File::create(data.join("mimic-cxr-reports.zip")).expect("created");
    let mut archive = zip::ZipWriter::new(file);
    for study in studies {
        let path = study.images[0]
            .parent()
            .expect("a folder")
            .with_extension("txt");
        let name = path.strip_prefix(&data).expect("below").to_string_lossy();
        archive
            .start_file(name, zip::write::SimpleFileOptions::default())
            .expect("started");
        archive
            .write_all(&fs::read(&path).expect("readable"))
            .expect("written");
        fs::remove_file(path).expect("removed");
    }
    archive.finish().expect("finished");
    prepare(&data, &zipped, &MimicOptions::default()).expect("sound");
    assert_eq!(outputs(&plain), outputs(&zipped));
}

#[test]
fn both_forms_of_the_indiana_collection_come_to_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let images = root.join("images");
    for path in [&images, &root.join("xml")] {
        fs::create_dir(path).expect("created");
    }
    let mut reports = "uid,MeSH,indication,comparison,findings,impression\n".to_owned();
    let mut projections = "uid,filename,projection\n".to_owned();
    for uid in 1..=12 {
        let [frontal, lateral] = [1001, 2001].map(|it| format!("CXR{uid}_1_IM-{uid:04}-{it}"));
        for image in [&frontal, &lateral] {
            let film = image::GrayImage::new(8, 8);
            film.save(images.join(format!("{image}.png")))
                .expect("written");
        }
        // The third lacks findings.
        let findings = if uid == 3 { "" } else { "Clear, XXXX." };
        let label = |name: &str, text: &str| {
            format!("<AbstractText Label=\"{name}\">{text}</AbstractText>")
        };
        let citation = format!(
            "<eCitation><uId id=\"CXR{uid}\"/>{}{}{}<parentImage id=\"{frontal}\"/>\
             <parentImage id=\"{lateral}\"/></eCitation>",
            label("INDICATION", "Cough."),
            label("FINDINGS", findings),
            label("IMPRESSION", "Normal."),
        );
        fs::write(root.join(format!("xml/{uid}.xml")), citation).expect("written");
        reports += &format!("{uid},normal,Cough.,,\"{findings}\",Normal.\n");
        projections += &format!("{uid},{lateral}.png,Lateral\n{uid},{frontal}.png,Frontal\n");
    }
    fs::write(root.join("reports.csv"), reports).expect("written");
    fs::write(root.join("projections.csv"), projections).expect("written");
    let tables = IuXraySource::Tables {
        reports: root.join("reports.csv"),
        projections: root.join("projections.csv"),
    };
    let options = IuXrayOptions::default();
    let [of_xml, of_tables, split] = ["of_xml", "of_tables", "split"].map(|name| root.join(name));
    let xml = IuXraySource::Xml(root.join("xml"));
    let summary = prepare_iu_xray(&xml, &images, &of_xml, &options).expect("sound");
    let with_views = prepare_iu_xray(&tables, &images, &of_tables, &options).expect("sound");
    // Only the tables know projections.
    let [annotation, sections] = outputs(&of_tables);
    let annotation = String::from_utf8(annotation).expect("text");
    let views = "\"view_position\":[\"FRONTAL\",\"LATERAL\"],";
    assert_eq!(annotation.matches(views).count(), 11);
    let annotation = annotation.replace(views, "").into_bytes();
    assert_eq!(outputs(&of_xml), [annotation, sections]);
    let total = |counts: [usize; 3]| counts.iter().sum::<usize>();
    let counts = with_views.context;
    assert_eq!(
        [total(counts.projections), total(counts.indications)],
        [11, 11]
    );
    assert_eq!([total(counts.comparisons), total(counts.priors)], [0, 0]);
    assert_eq!(total(summary.context.projections), 0);
    assert_eq!(summary.studies.iter().sum::<usize>(), 11);
    assert_eq!(summary.excluded.values().sum::<usize>(), 1);

    let given = root.join("annotation.json");
    let entry = |uid: u32, split: &str| {
        format!(
            "{{\"id\":\"CXR{uid}_IM-9\",\"report\":\"r\",\"image_path\":[\"x\"],\"split\":\"{split}\"}}"
        )
    };
    let first = entry(1, "test").replace("CXR1_IM-9", "CXR1_1_IM-0001");
    let lists = (
        entry(7, "train"),
        entry(5, "val"),
        first + "," + &entry(99, "test"),
    );
    let text = format!(
        "{{\"train\":[{}],\"val\":[{}],\"test\":[{}]}}",
        lists.0, lists.1, lists.2
    );
    fs::write(&given, text).expect("written");
    let mut options = options;
    options.split_from = Some(given);
    let summary = prepare_iu_xray(&tables, &images, &split, &options).expect("sound");
    assert_eq!(summary.studies, [1, 1, 1]);
    assert_eq!(summary.excluded[&ExclusionReason::NotInData], 1);
    let table = fs::read_to_string(split.join("exclusions.csv")).expect("written");
    assert!(table.contains("\nCXR99_IM-9,not_in_data,"), "{table}");
    let studies = read_annotation(&split.join("annotation.json"), &images).expect("sound");
    assert!(studies.iter().any(|study| study.id == "CXR1_1_IM-0001"));
    let one = studies.iter().find(|study| study.id == "CXR5_IM-9");
    let one = one.expect("the id is taken over");
    assert_eq!((one.split, one.images.len()), (Split::Validation, 2));
    assert!(
        one.images[0].ends_with("CXR5_1_IM-0005-1001.png"),
        "frontal first"
    );
}
