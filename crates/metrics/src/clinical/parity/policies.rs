use std::path::Path;

use serde_json::Value;

use super::{Check, Golden, Largest};
use crate::clinical::policies::{
    Averages, CheXbertAgreement, CxrMateScores, chexbert, cxrmate1, cxrmate2, f1chexbert,
};
use crate::evaluation::{EvaluationError, Statuses};
use crate::findings::Prf;
use crate::labeler::{FindingClass, Status};

const TOLERANCE: f64 = 1e-12;

pub(super) fn run(folder: &Path) -> Result<Vec<Check>, EvaluationError> {
    let classes = Golden::read(folder, "classes.json")?;
    let expected = Golden::read(folder, "expected.json")?;
    let order = order(&expected)?;
    let cases = expected.at("/cases")?.as_object();
    let cases = cases.ok_or_else(|| expected.layout("/cases is no object".to_owned()))?;
    let mut checks = Vec::new();
    for case in cases.keys() {
        let labels = Labels {
            references: statuses(&classes, &format!("/{case}/ref"), &order)?,
            predictions: statuses(&classes, &format!("/{case}/pred"), &order)?,
        };
        let golden = Case {
            golden: &expected,
            case,
        };
        checks.push(golden.f1chexbert(&labels)?);
        checks.push(golden.cxrmate2(&labels)?);
        checks.push(golden.cxrmate1(&labels)?);
        checks.push(golden.chexbert(&labels)?);
    }
    Ok(checks)
}

struct Labels {
    references: Vec<Statuses>,
    predictions: Vec<Statuses>,
}

/// The class of each column.
fn order(expected: &Golden) -> Result<Vec<FindingClass>, EvaluationError> {
    let names = expected.list("/label_order")?.iter();
    let classes: Option<Vec<FindingClass>> = names
        .map(|name| {
            let mut classes = FindingClass::all().into_iter();
            classes.find(|class| Some(class.name()) == name.as_str())
        })
        .collect();
    classes
        .filter(|classes| classes.len() == FindingClass::COUNT)
        .ok_or_else(|| expected.layout("/label_order does not name the 14 classes".to_owned()))
}

fn statuses(
    golden: &Golden,
    pointer: &str,
    order: &[FindingClass],
) -> Result<Vec<Statuses>, EvaluationError> {
    let malformed = || {
        golden.layout(format!(
            "{pointer}: expected rows of 14 classes from 0 to 3"
        ))
    };
    let study = |row: &Value| {
        let row = row.as_array().filter(|row| row.len() == order.len())?;
        let mut statuses = [None; FindingClass::COUNT];
        for (class, code) in order.iter().zip(row) {
            statuses[class.index()] = match code.as_u64()? {
                0 => None,
                1 => Some(Status::Positive),
                2 => Some(Status::Negative),
                3 => Some(Status::Uncertain),
                _ => return None,
            };
        }
        Some(statuses)
    };
    let rows = golden.list(pointer)?.iter();
    rows.map(|row| study(row).ok_or_else(malformed)).collect()
}

/// The golden numbers of one case.
struct Case<'a> {
    golden: &'a Golden,
    case: &'a str,
}

impl Case<'_> {
    fn check(&self, policy: &str) -> Largest {
        Largest::new(format!("policies/{}: {policy}", self.case))
    }

    fn number(&self, place: &str) -> Result<f64, EvaluationError> {
        let pointer = format!("/cases/{}/{place}", self.case);
        self.golden.number(&pointer)
    }

    /// Numbers of a list, one per study.
    fn per_study(
        &self,
        check: &mut Largest,
        place: &str,
        found: impl ExactSizeIterator<Item = f64>,
    ) -> Result<(), EvaluationError> {
        let list = self.golden.list(&format!("/cases/{}/{place}", self.case))?;
        check.equal(list.len(), found.len());
        for (expected, found) in list.iter().zip(found) {
            check.number(expected.as_f64().unwrap_or(f64::NAN), found);
        }
        Ok(())
    }

    fn f1chexbert(&self, labels: &Labels) -> Result<Check, EvaluationError> {
        let found = f1chexbert(&labels.references, &labels.predictions)?;
        let mut check = self.check("f1chexbert");
        let mut scores = |place: String, scores: &Prf, support: u64| {
            let number = |key: &str| self.number(&format!("radeval_rrg/{place}/{key}"));
            check.number(number("precision")?, scores.precision);
            check.number(number("recall")?, scores.recall);
            check.number(number("f1-score")?, scores.f1);
            check.number(number("support")?, support as f64);
            Ok::<(), EvaluationError>(())
        };
        for (report, averages, classes) in [
            ("report_14", &found.all, &FindingClass::all()[..]),
            ("report_5", &found.five, &FindingClass::FIVE),
        ] {
            for class in classes {
                let class_scores = &found.per_class[class.index()];
                let place = format!("{report}/{}", class.name());
                scores(place, &class_scores.scores, class_scores.support)?;
            }
            let Averages {
                micro,
                macro_average,
                weighted,
                samples,
                support,
                ..
            } = averages;
            for (name, average) in [
                ("micro", micro),
                ("macro", macro_average),
                ("weighted", weighted),
                ("samples", samples),
            ] {
                scores(format!("{report}/{name} avg"), average, *support)?;
            }
        }
        for (name, averages) in [("5", &found.five), ("all", &found.all)] {
            for (kind, average) in [
                ("micro", averages.micro),
                ("macro", averages.macro_average),
                ("weighted", averages.weighted),
            ] {
                let place = format!("radeval_rrg/adapter/f1chexbert_{name}_{kind}_f1");
                check.number(self.number(&place)?, average.f1);
            }
        }
        check.number(
            self.number("radeval_rrg/subset_accuracy_5")?,
            found.five.exact,
        );
        let studies = found.per_study.iter();
        let exact = studies
            .clone()
            .map(|study| f64::from(u8::from(study.exact_5)));
        self.per_study(&mut check, "radeval_rrg/per_study_exact_5", exact)?;
        let all = studies.clone().map(|study| study.accuracy_14);
        self.per_study(&mut check, "radeval_rrg/per_study_label_accuracy_14", all)?;
        let five = studies.map(|study| study.accuracy_5);
        self.per_study(&mut check, "radeval_rrg/per_study_label_accuracy_5", five)?;
        Ok(check.within(TOLERANCE))
    }

    fn cxrmate2(&self, labels: &Labels) -> Result<Check, EvaluationError> {
        let found = cxrmate2(&labels.references, &labels.predictions)?;
        let mut check = self.check("cxrmate2");
        let mut scores = |suffix: &str, scores: &CxrMateScores, has_alternate: bool| {
            let number = |key: &str| self.number(&format!("cxrmate2/{key}_{suffix}"));
            check.number(number("accuracy")?, scores.accuracy);
            check.number(number("precision")?, scores.precision);
            check.number(number("recall")?, scores.recall);
            check.number(number("f1")?, scores.f1);
            if has_alternate {
                check.number(number("f1_alternate")?, scores.f1_alternate);
            }
            Ok::<(), EvaluationError>(())
        };
        scores("macro", &found.macro_average, true)?;
        scores("micro", &found.micro, false)?;
        for class in FindingClass::all() {
            let suffix = class.name().to_lowercase().replace(' ', "_");
            scores(&suffix, &found.per_class[class.index()], true)?;
        }
        Ok(check.within(TOLERANCE))
    }

    fn cxrmate1(&self, labels: &Labels) -> Result<Check, EvaluationError> {
        let found = cxrmate1(&labels.references, &labels.predictions)?;
        let mut check = self.check("cxrmate1");
        for (kind, scores) in [
            ("macro", found.macro_average),
            ("micro", found.micro),
            ("example", found.example),
        ] {
            let number = |key: &str| self.number(&format!("cxrmate1/ce_{key}_{kind}"));
            check.number(number("precision")?, scores.precision);
            check.number(number("recall")?, scores.recall);
            check.number(number("f1")?, scores.f1);
        }
        Ok(check.within(TOLERANCE))
    }

    fn chexbert(&self, labels: &Labels) -> Result<Check, EvaluationError> {
        let found = chexbert(&labels.references, &labels.predictions)?;
        let mut check = self.check("chexbert");
        type Part = fn(&CheXbertAgreement) -> f64;
        let parts: [(&str, Part); 7] = [
            ("mention", |class| class.mention),
            ("blank", |class| class.blank),
            ("negation", |class| class.negation),
            ("uncertain", |class| class.uncertain),
            ("positive", |class| class.positive),
            ("weighted", |class| class.weighted),
            ("kappa", |class| class.kappa),
        ];
        for class in FindingClass::all() {
            let agreement = &found.per_class[class.index()];
            for (name, part) in parts {
                let place = format!("chexbert/per_condition/{name}/{}", class.name());
                check.number(self.number(&place)?, part(agreement));
            }
            for (at, weight) in agreement.weights.into_iter().enumerate() {
                let place = format!("chexbert/weights_neg_unc_pos/{}/{at}", class.name());
                check.number(self.number(&place)?, weight);
            }
        }
        for (name, average) in [
            ("mention_macro", found.mention),
            ("negation_macro_13", found.negation),
            ("uncertain_macro_12", found.uncertain),
            ("positive_macro", found.positive),
            ("blank_macro", found.blank),
            ("weighted_mean", found.weighted),
            ("kappa_mean", found.kappa),
        ] {
            check.number(self.number(&format!("chexbert/averages/{name}"))?, average);
        }
        Ok(check.within(TOLERANCE))
    }
}
