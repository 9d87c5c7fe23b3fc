//! Scores as a checkpoint's card holds them.

use ithn_checkpoint::card::CardScore;

use crate::evaluation::SplitScores;

/// The main scores of `name` on a split.
pub(crate) fn card_score(name: &str, split: &str, scores: &SplitScores) -> CardScore {
    let findings = &scores.findings;
    let abnormal = findings.findings_by_class.as_ref();
    let abnormal = abnormal.map(|classes| ("findings_f1_13_micro", classes.f1_13_micro));
    let values = [
        ("bleu_1", scores.bleu_1),
        ("bleu_4", scores.bleu_4),
        ("rouge_l", scores.rouge_l),
        ("cider", scores.cider),
        ("findings_f1_micro", findings.findings_f1_micro),
    ];
    CardScore::new(
        name,
        split,
        scores.studies,
        findings.findings_reader.as_str(),
        values.into_iter().chain(abnormal),
    )
}
