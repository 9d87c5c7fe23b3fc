//! RadGraph and RadCliQ.

use std::path::Path;

use serde_json::Value;

use super::{Check, Golden, Largest};
use crate::clinical::radcliq::{COLUMNS, RadCliQ, RadCliQInputs, bleu_2};
use crate::clinical::radgraph::{Casing, RadGraphScores, read_graphs};
use crate::clinical::scores::ScoreTable;
use crate::corpus::Pair;
use crate::evaluation::EvaluationError;
use crate::overlap::score_corpus;

pub(super) fn radgraph(folder: &Path) -> Result<Vec<Check>, EvaluationError> {
    let expected = Golden::read(folder, "expected.json")?;
    let path = folder.join("pred.json");
    let (predictions, references) = (read_graphs(&path)?, read_graphs(&folder.join("ref.json"))?);
    let scores =
        |casing| crate::clinical::radgraph::radgraph(&predictions, &references, casing, &path);
    let (lower, published) = (scores(Casing::Lower)?, scores(Casing::Published)?);
    let quantities: [Quantity<'_>; 9] = [
        ("simple", &lower, |at| at.0.simple),
        ("partial", &lower, |at| at.0.partial),
        ("complete", &lower, |at| at.0.complete),
        ("simple_0118", &published, |at| at.0.simple),
        ("partial_0118", &published, |at| at.0.partial),
        ("complete_0118", &published, |at| at.0.complete),
        ("radgraph_entity", &lower, |at| at.1.entity),
        ("radgraph_relation", &lower, |at| at.1.relation),
        ("radgraph_combined", &lower, |at| at.1.combined),
    ];
    let pairs = expected.list("/pairs")?.len();
    quantities
        .into_iter()
        .map(|(name, scores, of)| {
            let mut check = Largest::new(format!("radgraph: {name}"));
            check.number(
                expected.number(&format!("/means/{name}"))?,
                of((scores.f1, scores.older)),
            );
            check.equal(pairs, scores.per_study.len());
            for at in 0..pairs {
                let id = expected.at(&format!("/pairs/{at}/id"))?.to_string();
                let mut studies = scores.per_study.iter();
                let study = studies.find(|study| study.id == id);
                let found = study.map_or(f64::NAN, |study| of((study.f1, study.older)));
                check.number(expected.number(&format!("/pairs/{at}/{name}"))?, found);
            }
            Ok(check.within(1e-12))
        })
        .collect()
}

type Scores = (
    crate::clinical::radgraph::RadGraphF1,
    crate::clinical::radgraph::RadGraphCombined,
);

/// A name in the file, the scores that it is one of, and which one.
type Quantity<'a> = (&'a str, &'a RadGraphScores, fn(Scores) -> f64);

pub(super) fn radcliq(folder: &Path) -> Result<Vec<Check>, EvaluationError> {
    let expected = Golden::read(folder, "expected.json")?;
    let studies = inputs(&folder.join("scores.csv"))?;
    let mut checks = Vec::new();
    for (name, model) in [
        ("radcliq_v1", RadCliQ::V1),
        ("radcliq_v0", RadCliQ::V0),
        ("radcliq_v1_radeval", RadCliQ::RadEval),
    ] {
        let mut check = Largest::new(format!("radcliq: {name}"));
        let wanted = expected.list("/studies")?;
        check.equal(wanted.len(), studies.len());
        for (wanted, (id, inputs)) in wanted.iter().zip(&studies) {
            check.equal(
                wanted.get("study_id").map(Value::to_string).as_ref(),
                Some(id),
            );
            let number = wanted.get(name).and_then(Value::as_f64);
            check.number(number.unwrap_or(f64::NAN), model.score(inputs));
        }
        checks.push(check.within(1e-9));
    }
    let mean = |model: RadCliQ| {
        let sum: f64 = studies.iter().map(|(_, inputs)| model.score(inputs)).sum();
        sum / studies.len() as f64
    };
    let mut means = Largest::new("radcliq: means");
    for (name, found) in [
        ("radcliq_v1", mean(RadCliQ::V1)),
        ("radcliq_v0", mean(RadCliQ::V0)),
        ("inverse_of_mean_v1", 1.0 / mean(RadCliQ::V1)),
        ("radeval_aggregate", 1.0 / mean(RadCliQ::RadEval)),
    ] {
        means.number(expected.number(&format!("/means/{name}"))?, found);
    }
    checks.push(means.within(1e-9));
    checks.extend(bleu(folder, &expected)?);
    Ok(checks)
}

/// RadCliQ's four columns of a table of scores.
fn inputs(path: &Path) -> Result<Vec<(String, RadCliQInputs)>, EvaluationError> {
    let table = ScoreTable::read(path)?;
    let [radgraph, bertscore, semb, bleu] = COLUMNS.map(|name| {
        table.column(name).ok_or_else(|| EvaluationError::Layout {
            path: path.to_owned(),
            reason: format!("no column '{name}'"),
        })
    });
    let (radgraph, bertscore, semb, bleu) = (radgraph?, bertscore?, semb?, bleu?);
    let rows = table.ids().iter().enumerate();
    Ok(rows
        .map(|(at, id)| {
            let inputs = RadCliQInputs {
                radgraph_combined: radgraph[at],
                bertscore: bertscore[at],
                semb_score: semb[at],
                bleu_score: bleu[at],
            };
            (id.clone(), inputs)
        })
        .collect())
}

fn bleu(folder: &Path, expected: &Golden) -> Result<Vec<Check>, EvaluationError> {
    let pairs = Golden::read(folder, "bleu_pairs.json")?;
    let texts: Vec<(&str, &str)> = (0..pairs.list("/pairs")?.len())
        .map(|at| {
            let text = |side: &str| pairs.text(&format!("/pairs/{at}/{side}"));
            Ok((text("hyp")?, text("ref")?))
        })
        .collect::<Result<_, EvaluationError>>()?;
    let own: Vec<f64> = texts
        .iter()
        .map(|(hyp, r#ref)| bleu_2(hyp, r#ref))
        .collect();
    let mut check = Largest::new("radcliq: BLEU-2");
    compare(&mut check, expected.list("/bleu2/per_pair")?, &own);
    let mean = own.iter().sum::<f64>() / own.len() as f64;
    check.number(expected.number("/bleu2/mean")?, mean);

    let coco = score_corpus(texts.iter().map(|(hyp, r#ref)| Pair::new(hyp, r#ref)))?;
    let mut coco_check = Largest::new("radcliq: BLEU-2 of RadEval (COCO)");
    let per_pair: Vec<f64> = coco.per_study.iter().map(|scores| scores.bleu[1]).collect();
    compare(
        &mut coco_check,
        expected.list("/bleu2/radeval_coco_bleu2_per_pair")?,
        &per_pair,
    );
    coco_check.number(
        expected.number("/bleu2/radeval_coco_bleu2_corpus")?,
        coco.corpus.bleu[1],
    );
    Ok(vec![check.within(1e-12), coco_check.within(1e-9)])
}

fn compare(check: &mut Largest, expected: &[Value], found: &[f64]) {
    check.equal(expected.len(), found.len());
    for (expected, found) in expected.iter().zip(found) {
        check.number(expected.as_f64().unwrap_or(f64::NAN), *found);
    }
}
