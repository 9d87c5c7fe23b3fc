//! Which words name the lungs, heart and pleura, and which another part of the body.

use super::super::words::Words;
use super::text::Text;

/// The part of the body that a word names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Lungs, pleura, mediastinum.
    Chest,
    /// Anything else.
    Elsewhere,
}

const CHEST: Words = Words::new(
    "lung lungs pulmonary lobe lobes base bases basilar bibasilar basal apex apices apical hilum \
     hila hilar perihilar suprahilar infrahilar hemithorax hemithoraces zone zones field fields \
     retrocardiac lingula lingular airspace alveolar interstitial interstitium pleural pleura \
     subpleural parenchyma parenchymal bronchus bronchial peribronchial endobronchial bronchogenic \
     mediastinum mediastinal fissure rul rml rll lul lll costophrenic intrapulmonary chest thorax",
);

/// Organs, whole words.
const ORGANS: Words = Words::new(
    "abdomen abdominal ankle ankles arm arms axilla axillae axillary bladder bone bones bony bowel \
     brain breast breasts buttock calf cecum clavicle clavicles clavicular colon colonic cord \
     cutaneous dental dermal duodenal duodenum ear elbow extremities extremity eye face facial feet \
     flank foot gallbladder glottic groin hand hands head hip hips humeral humerus hypopharynx joint \
     joints kidney kidneys knee knees leg legs limb limbs liver lymphatic muscle muscles muscular \
     nasal neck nipple nipples nodal node nodes oral osseous ovarian ovary pedal pelvic pelvis penis \
     peripheral rectal rectum renal rib ribs sacral scalp scapula scapular scrotal shoulder sinus \
     sinuses skeletal skeleton skin skull spinal spine spleen splenic sternal sternum stomach \
     subglottic supraglottic testis thigh throat tongue tonsil tract umbilical urinary uterine \
     uterus vertebra vertebrae vertebral viscera wound wrist",
);

/// Beginnings of the names of organs.
const STEMS: [&str; 39] = [
    "acromio",
    "adren",
    "biliar",
    "cerebr",
    "cholecyst",
    "epigastr",
    "esophag",
    "gastri",
    "gastro",
    "genit",
    "glenohum",
    "hepat",
    "intestin",
    "intraabdom",
    "intracran",
    "laryn",
    "mammar",
    "mesenter",
    "myocard",
    "oesophag",
    "orbit",
    "pancrea",
    "papillar",
    "parathyr",
    "paroti",
    "pericard",
    "periorbit",
    "peripancrea",
    "periton",
    "pharyn",
    "prostat",
    "retroperiton",
    "saliv",
    "subcut",
    "subdur",
    "submandib",
    "suprapatell",
    "synov",
    "thyr",
];

/// Words of organs that also say where in the lung something is, as in "peripheral opacity".
const MARGINS: Words = Words::new("peripheral node nodes tract bone cord");

/// After such a word, these belong to the organ nevertheless.
const OF_ORGANS: Words = Words::new(
    "edema oedema metastases metastasis metastatic infection lesion lesions tumor mass collapse \
     densities",
);

/// The part of the body that the word at a position names, if any.
pub(super) fn place(text: &Text, at: usize) -> Option<Place> {
    let (this, next) = (text.word(at), text.word(at + 1));
    let is_wall = matches!(this, "chest" | "body" | "abdominal" | "bowel") && next == "wall";
    let is_soft_tissue = this == "soft" && matches!(next, "tissue" | "tissues");
    // "thyroid lobe"
    let is_lobe_of_organ = matches!(this, "lobe" | "lobes") && is_organ(text.before(at, 1));
    // "lobe of the thyroid": the organ comes later.
    let is_part = matches!(this, "lobe" | "lobes" | "base") && next == "of";
    if is_wall || is_soft_tissue || is_lobe_of_organ {
        Some(Place::Elsewhere)
    } else if is_part {
        None
    } else if CHEST.has(this) {
        Some(Place::Chest)
    } else if is_organ(this) {
        Some(Place::Elsewhere)
    } else {
        None
    }
}

fn is_organ(word: &str) -> bool {
    ORGANS.has(word) || STEMS.iter().any(|stem| word.starts_with(stem))
}

/// Whether the word at a position places a finding at the margin of the lung rather than in an organ.
pub(super) fn is_margin(text: &Text, at: usize) -> bool {
    MARGINS.has(text.word(at)) && !OF_ORGANS.has(text.word(at + 1))
}
