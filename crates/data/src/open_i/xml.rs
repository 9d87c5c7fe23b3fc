use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use roxmltree::{Document, Node, ParsingOptions};

use super::{IndianaStudy, on_one_line};
use crate::error::DataError;
use crate::exclusion::{ExclusionReason, Exclusions};

/// Maximum file size in bytes; Open-i's largest has under 10,000.
const MAX_BYTES: u64 = 1 << 20;

/// Maximum number of XML nodes.
const MAX_NODES: u32 = 10_000;

/// Reads all `*.xml` of a folder, in the order of their uids.
///
/// # Errors
///
/// If the folder has none; if one cannot be read, unless such studies are skipped.
pub(crate) fn read_open_i_folder(
    folder: &Path,
    exclusions: &mut Exclusions,
) -> Result<Vec<IndianaStudy>, DataError> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(DataError::io("cannot read folder", folder))?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "xml"));
    if files.is_empty() {
        return Err(DataError::Layout {
            path: folder.to_owned(),
            layout: "Open-i XML",
            missing: "*.xml".to_owned(),
        });
    }
    files.sort();
    let read: Vec<_> = files.par_iter().map(|file| read_file(file)).collect();
    let mut studies: Vec<IndianaStudy> = Vec::with_capacity(files.len());
    let mut seen = std::collections::HashSet::new();
    for (file, study) in files.iter().zip(read) {
        let study = study.and_then(|study| match seen.insert(study.uid.clone()) {
            true => Ok(study),
            false => Err(xml_error(
                file,
                format!("the uid {} occurs twice", study.uid),
            )),
        });
        match study {
            Ok(study) => studies.push(study),
            Err(error) => {
                let name = file.file_stem().unwrap_or_default().to_string_lossy();
                exclusions.broken(&name, ExclusionReason::BadReport, error)?;
            }
        }
    }
    studies.sort_by(|a, b| (a.uid.len(), &a.uid).cmp(&(b.uid.len(), &b.uid)));
    Ok(studies)
}

fn read_file(path: &Path) -> Result<IndianaStudy, DataError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(DataError::io("cannot read", path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(xml_error(path, format!("more than {MAX_BYTES} bytes")));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| xml_error(path, format!("it is not UTF-8 ({error})")))?;
    read_text(text).map_err(|reason| xml_error(path, reason))
}

/// Reads one citation. Rejects document type definitions, and with them entities.
fn read_text(text: &str) -> Result<IndianaStudy, String> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: MAX_NODES,
        ..ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
    let named = |name: &'static str| {
        document
            .descendants()
            .filter(move |node| node.has_tag_name(name))
    };
    let uid = named("uId")
        .find_map(|node| node.attribute("id"))
        .ok_or("it has no uId with an id")?;
    let mut study = IndianaStudy {
        uid: identifier(uid)?.to_owned(),
        images: Vec::new(),
        projections: Vec::new(),
        sections: Default::default(),
    };
    for node in named("AbstractText") {
        let place = match node.attribute("Label") {
            Some("INDICATION") => &mut study.sections.indication,
            Some("COMPARISON") => &mut study.sections.comparison,
            Some("FINDINGS") => &mut study.sections.findings,
            Some("IMPRESSION") => &mut study.sections.impression,
            _ => continue,
        };
        *place = text_of(node);
    }
    for node in named("parentImage") {
        let id = node.attribute("id").ok_or("a parentImage has no id")?;
        study.images.push(format!("{}.png", identifier(id)?));
    }
    Ok(study)
}

fn text_of(node: Node<'_, '_>) -> String {
    let texts: Vec<&str> = node
        .descendants()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect();
    on_one_line(&texts.concat())
}

/// Identifiers become file names: letters, digits, `-` and `_` alone.
fn identifier(id: &str) -> Result<&str, String> {
    let fits =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    if !id.is_empty() && id.chars().all(fits) {
        Ok(id)
    } else {
        Err(format!("'{id}' is no identifier"))
    }
}

fn xml_error(path: &Path, reason: String) -> DataError {
    DataError::Xml {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_citation_is_read_by_labels() {
        let study = read_text(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><eCitation><uId id=\"CXR9\"/><Abstract>\
             <AbstractText Label=\"COMPARISON\"/>\
             <AbstractText Label=\"FINDINGS\">Clear &amp;\n calm <i>XXXX</i>.</AbstractText>\
             </Abstract><parentImage id=\"CXR9_1_IM-0002-1001\"/>\
             <parentImage id=\"CXR9_1_IM-0002-2001\"/></eCitation>",
        )
        .expect("well formed");
        assert_eq!(study.sections.findings, "Clear & calm XXXX.");
        assert_eq!(study.sections.comparison, "");
        assert_eq!(study.images.len(), 2);
        assert_eq!(study.id(), "CXR9_IM-0002");
    }

    #[test]
    fn entities_are_never_expanded() {
        let error = read_text(
            "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><x><uId id=\"CXR1\"/>&b;</x>",
        )
        .unwrap_err();
        assert!(error.to_lowercase().contains("dtd"), "{error}");
    }
}
