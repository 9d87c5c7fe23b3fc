use std::fs;
use std::path::Path;

use ithn_data::OnBadStudy;
use ithn_data::prepare::{IuXrayOptions, IuXraySource, prepare_iu_xray};

use crate::sound::sound_tables;
use crate::text_target;

fn prepare(root: &Path, source: &IuXraySource) {
    let out = root.join("out");
    if out.is_dir() {
        fs::remove_dir_all(&out).expect("removed");
    }
    let mut options = IuXrayOptions::default();
    options.on_bad_study = OnBadStudy::Skip;
    // Skipped, prepared or refused: all are answers.
    let _summary = prepare_iu_xray(source, &root.join("images"), &out, &options);
}

#[test]
fn citations() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    sound_tables(root);
    let seeds = vec![
        fs::read(root.join("xml/1.xml")).expect("written"),
        b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<eCitation>\n<!-- c --><uId id=\"CXR1\"/><a b='c'><![CDATA[x]]></a>\
          <AbstractText Label=\"IMPRESSION\">A &lt; B &#x41;</AbstractText><AbstractText Label=\"FINDINGS\"/>\
          <parentImage id=\"CXR1_1_IM-0001-1001\"><url>/x</url></parentImage></eCitation>"
            .to_vec(),
    ];
    let words = [
        "<!DOCTYPE a [<!ENTITY b \"b\">]>",
        "&b;",
        "<AbstractText Label=\"FINDINGS\">",
        "</AbstractText>",
        "<eCitation>",
        "<uId id=\"",
        "<parentImage id=\"",
        "/>",
        "<a>",
        "</a>",
        "xmlns=\"x\"",
        "<?xml",
        "<![CDATA[",
        "]]>",
        "../..",
    ];
    let source = IuXraySource::Xml(root.join("xml"));
    text_target("open-i", "1.xml", seeds, &words)
        .run(&root.join("xml"), |_, _| prepare(root, &source));
}

#[test]
fn tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    sound_tables(root);
    let source = IuXraySource::Tables {
        reports: root.join("reports.csv"),
        projections: root.join("projections.csv"),
    };
    let words = [
        "uid",
        "findings",
        "impression",
        "filename",
        "projection",
        "Frontal",
        "Lateral",
        "1",
        "2",
        "\n",
        "CXR1_1_IM-0001-1001.png",
        "nan",
        ";",
        "sep=;\n",
        "../",
    ];
    for (name, table) in [
        ("indiana-reports", "reports.csv"),
        ("indiana-projections", "projections.csv"),
    ] {
        let sound = fs::read(root.join(table)).expect("written");
        text_target(name, table, vec![sound.clone()], &words)
            .run(root, |_, _| prepare(root, &source));
        fs::write(root.join(table), sound).expect("written");
    }
}
