use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use super::attributes::{Side, Size};
use super::findings::{FindingKind, PhantomFinding, PhantomFindings};
use super::history::{Change, FindingPlace, PhantomChanges, compared, gone_phrase};

/// Wordings of one statement, with how often each is chosen.
pub(super) type Phrases = &'static [(u32, &'static str)];

/// Findings that a report negates: on a normal film, and next to a positive finding.
struct Denial {
    alone: Phrases,
    beside: Phrases,
}

const HEART_NORMAL: Denial = Denial {
    alone: &[
        (88, "heart size is normal"),
        (10, "the heart is normal in size"),
        (2, "the cardiac silhouette is within normal limits"),
    ],
    beside: &[
        (88, "the cardiac silhouette is within normal limits"),
        (10, "the heart is normal in size"),
        (2, "heart size is normal"),
    ],
};
const MEDIASTINUM_NORMAL: Denial = Denial {
    alone: &[
        (88, "the mediastinal contours are unremarkable"),
        (12, "the mediastinum is normal"),
    ],
    beside: &[(100, "the mediastinum is normal")],
};
const LUNGS_CLEAR: Denial = Denial {
    alone: &[
        (88, "the lungs are clear"),
        (10, "both lungs are clear"),
        (2, "the lungs are well expanded and clear"),
    ],
    beside: &[
        (88, "the lungs are otherwise clear"),
        (12, "otherwise both lungs are clear"),
    ],
};
const NO_CONSOLIDATION: Denial = Denial {
    alone: &[(100, "no focal consolidation is identified")],
    beside: &[
        (88, "no focal consolidation is identified"),
        (12, "there is no focal consolidation"),
    ],
};
const NO_PLEURAL_DISEASE: Denial = Denial {
    alone: &[
        (88, "no pleural effusion or pneumothorax is seen"),
        (10, "there is no pneumothorax or pleural effusion"),
        (2, "the pleural spaces are clear"),
    ],
    beside: &[
        (88, "there is no pneumothorax or pleural effusion"),
        (10, "the pleural spaces are clear"),
        (2, "no pleural effusion or pneumothorax is seen"),
    ],
};
const NO_EFFUSION: Denial = Denial {
    alone: &[(100, "there is no pleural effusion")],
    beside: &[
        (88, "there is no pleural effusion"),
        (12, "no pleural effusion is seen"),
    ],
};
const NO_PNEUMOTHORAX: Denial = Denial {
    alone: &[(100, "there is no pneumothorax")],
    beside: &[
        (88, "there is no pneumothorax"),
        (12, "no pneumothorax is seen"),
    ],
};
const NO_EDEMA: Denial = Denial {
    alone: &[(100, "no evidence of pulmonary edema")],
    beside: &[
        (88, "there is no pulmonary edema"),
        (12, "no evidence of pulmonary edema"),
    ],
};
const BONES_NORMAL: Denial = Denial {
    alone: &[
        (88, "no acute osseous abnormality is identified"),
        (12, "the osseous structures are intact"),
    ],
    beside: &[
        (88, "the osseous structures are intact"),
        (12, "no acute fracture is seen"),
    ],
};
/// Sentences of abnormal films only.
const NOTHING_ELSE: Denial = Denial {
    alone: &[(100, "no acute disease")],
    beside: &[
        (
            88,
            "the remainder of the examination is without acute abnormality",
        ),
        (10, "the study is otherwise unremarkable"),
        (2, "no other acute abnormality"),
    ],
};

/// Wordings of a finding of this kind.
fn phrases(kind: FindingKind) -> Phrases {
    match kind {
        FindingKind::EndotrachealTube => &[
            (90, "an endotracheal tube is in place"),
            (10, "an endotracheal tube terminates above the carina"),
        ],
        FindingKind::PiccLine => &[
            (
                90,
                "a {side} picc line terminates in the superior vena cava",
            ),
            (10, "there is a {side} picc line"),
        ],
        FindingKind::Pacemaker => &[
            (90, "a pacemaker projects over the chest wall"),
            (10, "a pacemaker is in place"),
        ],
        FindingKind::Cardiomegaly => &[
            (88, "the heart is {degree} enlarged"),
            (10, "the cardiac silhouette is {degree} enlarged"),
            (2, "heart size is {degree} increased"),
        ],
        FindingKind::Effusion => &[
            (88, "there is a {size} {side} pleural effusion"),
            (10, "a {size} {side} pleural effusion is present"),
            (2, "{size} {side} pleural effusion is noted"),
        ],
        FindingKind::Pneumothorax => &[
            (88, "there is a {size} {side} pneumothorax"),
            (10, "a {size} {side} pneumothorax is present"),
            (2, "{size} {side} pneumothorax is noted"),
        ],
        FindingKind::Consolidation => &[
            (88, "there is consolidation in the {side} {lobe} lobe"),
            (10, "{side} {lobe} lobe consolidation is present"),
            (
                2,
                "an airspace consolidation is noted in the {side} {lobe} lobe",
            ),
        ],
        FindingKind::Nodule => &[
            (88, "a nodule projects over the {side} {lobe} lobe"),
            (10, "there is a nodule in the {side} {lobe} lobe"),
            (2, "a rounded nodule is noted in the {side} {lobe} lobe"),
        ],
        FindingKind::Atelectasis => &[
            (88, "linear atelectasis is seen at the {side} lung base"),
            (10, "there is {side} basilar atelectasis"),
        ],
        FindingKind::Edema => &[
            (
                88,
                "diffuse perihilar opacities are compatible with pulmonary edema",
            ),
            (10, "there is pulmonary edema"),
            (2, "pulmonary edema is present"),
        ],
        FindingKind::RibFracture => &[
            (88, "a displaced fracture of a {side} rib is seen"),
            (10, "there is a {side} rib fracture"),
        ],
    }
}

/// Wording of two equal findings on both sides in one statement, for the kinds that have one.
fn bilateral_phrases(kind: FindingKind) -> Option<Phrases> {
    match kind {
        FindingKind::Effusion => Some(&[
            (90, "there are {size} bilateral pleural effusions"),
            (10, "{size} bilateral pleural effusions are present"),
        ]),
        FindingKind::Atelectasis => Some(&[
            (90, "linear atelectasis is seen at both lung bases"),
            (10, "there is bilateral basilar atelectasis"),
        ]),
        _ => None,
    }
}

/// Of a heart: how much enlarged.
pub(super) fn degree_word(size: Size) -> &'static str {
    match size {
        Size::Small => "mildly",
        Size::Moderate => "moderately",
        Size::Large => "severely",
    }
}

/// Writes the findings section of a report in sentence case, as one paragraph.
///
/// Every finding is stated. Absent findings are negated in the usual places, less often the more
/// findings there are. Wording, omissions and order depend on `rng` alone, topic by topic, so
/// near-twins written from the same generator state have the same wording.
/// [`read_findings`](super::read_findings) reads the findings back exactly.
pub fn write_report<R: Rng + ?Sized>(findings: &PhantomFindings, rng: &mut R) -> String {
    write_compared_report(findings, None, rng)
}

/// [`write_report`] that says of every finding what has changed since the previous study, if `changes` are given. They
/// are those [between](PhantomChanges::between) the previous study and `findings`.
pub fn write_compared_report<R: Rng + ?Sized>(
    findings: &PhantomFindings,
    changes: Option<&PhantomChanges>,
    rng: &mut R,
) -> String {
    let draft = Draft {
        changes,
        ..Draft::new(findings, rng.next_u64())
    };
    let mut sentences = draft.sentences();
    swap_neighbours(&mut sentences, rng);
    let sentences: Vec<String> = sentences.iter().map(|text| sentence_case(text)).collect();
    sentences.join(" ")
}

/// One report in twelve has two neighbouring sentences exchanged.
fn swap_neighbours<R: Rng + ?Sized>(sentences: &mut [String], rng: &mut R) {
    let (swaps, place) = (rng.random_bool(0.08), rng.random::<u32>() as usize);
    if swaps && sentences.len() > 1 {
        let first = place % (sentences.len() - 1);
        sentences.swap(first, first + 1);
    }
}

fn sentence_case(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .map(|c| c.to_uppercase().collect())
        .unwrap_or_default();
    first + &letters.as_str().replace("picc", "PICC") + "."
}

/// A report in the making.
struct Draft<'a> {
    findings: &'a PhantomFindings,
    changes: Option<&'a PhantomChanges>,
    seed: u64,
    topics: u64,
    sentences: Vec<String>,
}

impl<'a> Draft<'a> {
    fn new(findings: &'a PhantomFindings, seed: u64) -> Self {
        Self {
            findings,
            changes: None,
            seed,
            topics: 0,
            sentences: Vec::new(),
        }
    }

    fn sentences(mut self) -> Vec<String> {
        use FindingKind::*;
        for device in [EndotrachealTube, PiccLine, Pacemaker] {
            self.state(device);
        }
        self.state_or_deny(Cardiomegaly, HEART_NORMAL, [1.0, 0.96, 0.92]);
        self.deny(MEDIASTINUM_NORMAL, [0.95, 0.04, 0.02]);
        self.lungs();
        self.pleura();
        self.state_or_deny(Edema, NO_EDEMA, [0.03, 0.04, 0.02]);
        self.state_or_deny(RibFracture, BONES_NORMAL, [0.94, 0.05, 0.03]);
        self.deny(NOTHING_ELSE, [0.0, 0.08, 0.04]);
        self.resolved();
        self.sentences
    }

    fn lungs(&mut self) {
        use FindingKind::*;
        let kinds = [Consolidation, Nodule, Atelectasis];
        let clear = !kinds
            .iter()
            .chain(&[Edema])
            .any(|&kind| self.findings.has(kind));
        if clear {
            self.deny(LUNGS_CLEAR, [1.0, 0.96, 0.92]);
        } else {
            self.topics += 1;
        }
        let denied = if clear { [0.0; 3] } else { [0.0, 0.06, 0.03] };
        self.state_or_deny(Consolidation, NO_CONSOLIDATION, denied);
        self.state(Nodule);
        self.state(Atelectasis);
    }

    fn pleura(&mut self) {
        use FindingKind::*;
        let present = [Effusion, Pneumothorax].map(|kind| self.findings.has(kind));
        if present == [false, false] {
            self.deny(NO_PLEURAL_DISEASE, [1.0, 0.95, 0.9]);
            self.topics += 2;
        } else {
            self.topics += 1;
            self.state_or_deny(Effusion, NO_EFFUSION, [0.0, 0.1, 0.05]);
            self.state_or_deny(Pneumothorax, NO_PNEUMOTHORAX, [0.0, 0.1, 0.05]);
        }
    }

    fn state_or_deny(&mut self, kind: FindingKind, denial: Denial, chances: [f64; 3]) {
        if self.findings.has(kind) {
            self.state(kind);
        } else {
            self.deny(denial, chances);
        }
    }

    /// Denies something with a chance that depends on whether there are no, one or more findings.
    fn deny(&mut self, denial: Denial, chances: [f64; 3]) {
        let mut rng = self.topic_rng();
        let said = rng.random_bool(chances[self.findings.len().min(2)]);
        let normal = self.findings.is_empty();
        let phrase = choose(if normal { denial.alone } else { denial.beside }, &mut rng);
        if said {
            self.sentences.push(phrase.to_owned());
        }
    }

    fn state(&mut self, kind: FindingKind) {
        let mut rng = self.topic_rng();
        let (one, both) = (choose(phrases(kind), &mut rng), bilateral_phrases(kind));
        let found: Vec<PhantomFinding> = self.findings.of(kind).collect();
        if let (Some(both), [left, right]) = (both, found.as_slice())
            && left.size() == right.size()
            && self.change_of(*left) == self.change_of(*right)
        {
            let statement = fill(choose(both, &mut rng), *left);
            let change = self.change_of(*left);
            self.sentences.push(compared(statement, change, &mut rng));
        } else {
            for finding in found {
                let change = self.change_of(finding);
                self.sentences
                    .push(compared(fill(one, finding), change, &mut rng));
            }
        }
    }

    fn change_of(&self, finding: PhantomFinding) -> Option<Change> {
        self.changes?.get(&FindingPlace::of(finding))
    }

    /// States what is no longer there.
    fn resolved(&mut self) {
        let changes = self.changes.into_iter().flat_map(PhantomChanges::iter);
        let gone = changes.filter(|(_, change)| *change == Change::Resolved);
        self.sentences.extend(gone.map(|(place, _)| {
            gone_phrase(place.kind)
                .replace("{side}", place.side.map_or("", Side::word))
                .replace("{lobe}", place.lobe.map_or("", |lobe| lobe.word()))
        }));
    }

    /// A generator for the next topic, untouched by what other topics have drawn.
    fn topic_rng(&mut self) -> Xoshiro256PlusPlus {
        self.topics += 1;
        Xoshiro256PlusPlus::seed_from_u64(self.seed.wrapping_add(self.topics << 32))
    }
}

fn fill(phrase: &str, finding: PhantomFinding) -> String {
    phrase
        .replace("{side}", finding.side().map_or("", Side::word))
        .replace("{lobe}", finding.lobe().map_or("", |lobe| lobe.word()))
        .replace("{size}", finding.size().map_or("", Size::word))
        .replace("{degree}", finding.size().map_or("", degree_word))
}

pub(super) fn choose(phrases: Phrases, rng: &mut impl Rng) -> &'static str {
    let total: u32 = phrases.iter().map(|(weight, _)| weight).sum();
    let mut draw = rng.random_range(0..total);
    for (weight, phrase) in phrases {
        if draw < *weight {
            return phrase;
        }
        draw -= weight;
    }
    unreachable!("a draw below the total falls on a phrase")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_film_is_denied_everything_in_a_few_sentences() {
        for seed in 0..200 {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let report = write_report(&PhantomFindings::normal(), &mut rng);
            let sentences = report.matches('.').count();
            assert!((3..=6).contains(&sentences), "{report}");
            assert!(report.to_lowercase().contains("clear"), "{report}");
        }
    }

    #[test]
    fn near_twins_are_worded_alike() {
        for finding in PhantomFinding::all() {
            for twin in finding.near_twins() {
                let write = |finding| {
                    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
                    write_report(&[finding].into_iter().collect(), &mut rng)
                };
                let (one, other) = (write(finding), write(twin));
                let different = one
                    .split(' ')
                    .zip(other.split(' '))
                    .filter(|(a, b)| a != b)
                    .count();
                assert_eq!(different, 1, "{one}\n{other}");
                assert_eq!(one.split(' ').count(), other.split(' ').count());
            }
        }
    }
}
