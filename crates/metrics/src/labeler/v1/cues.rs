//! The small words that decide whether a finding is asserted.

use super::super::words::Words;

/// Between a negation and a finding, these start a statement that the negation does not reach.
pub(super) const NEW_STATEMENT: Words = Words::new(
    "there is are was were has have which demonstrates shows show with due secondary because \
     despite",
);

/// After a comma or "and", these start a new statement: "no effusion, mild cardiomegaly".
pub(super) const AFTER_COMMA: Words = Words::new(
    "the there stable mild mildly moderate moderately minimal small tiny trace unchanged \
     persistent again low chronic old healed status interval increased left right bilateral \
     heart lungs likely possible probable may",
);

/// Words that negate the words after them in any position; those that need company are in
/// [`assertion`](super::assertion).
pub(super) const DENIALS: Words = Words::new("nor neither denies absent never non");

/// Words after "no" or "not" that make it speak of change rather than of absence.
pub(super) const CHANGE: Words = Words::new(
    "change changes changed increase increased decrease improvement worsening progression longer",
);

/// Words that may occur between "no" or "not" and such a word.
pub(super) const CHANGE_ADVERBS: Words = Words::new(
    "significant significantly interval substantial substantially appreciable appreciably \
     definite",
);

/// After a finding and "not", these negate it: "effusion is not identified".
pub(super) const SEEN: Words = Words::new(
    "seen identified present visualized demonstrated evident appreciated apparent observed noted \
     detected suspected visible found enlarged",
);

/// Before a finding, these make it uncertain.
pub(super) const DOUBTS: Words = Words::new(
    "possible possibly probable probably likely unlikely may might could question questionable \
     questioned suspicious suspicion suspect suspected suggest suggests suggesting suggestive \
     suggested suggestion concern concerning worrisome versus vs exclude excluded equivocal \
     borderline perhaps presumably presumed differential potential potentially considered \
     indeterminate cannot whether rather possibility correlate",
);

/// After a finding and "is", these make it uncertain if nothing follows.
pub(super) const DOUBTED: Words = Words::new(
    "possible probable likely unlikely suspected questionable questioned considered suggested \
     equivocal",
);

/// Inside a `Normal` phrase, these void it: "heart is not normal".
pub(super) const VOID_NORMAL: Words = Words::new(
    "not no without otherwise except but however borderline enlarged enlargement prominent large \
     mildly abnormal opacity opacities",
);

/// Inside a `Finding` or `Hint` phrase, these void it: "heart is normal, aorta enlarged".
pub(super) const VOID_FINDING: Words =
    Words::new("normal unremarkable clear but however with without aorta");
