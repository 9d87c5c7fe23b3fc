//! The small words of version 2.

use super::super::words::Words;

/// Verbs that begin a predicate.
pub(super) const AUXILIARIES: Words =
    Words::new("is are was were be been being has have had isn't aren't wasn't weren't hasn't");

/// Words that assert the finding before them on their own.
pub(super) const PERSISTING: Words = Words::new(
    "remains remain persists persist unchanged stable increased decreased improved worsened \
     terminates terminating ends projects overlies",
);

/// "not" and its short forms.
pub(super) const NOT: Words =
    Words::new("not isn't aren't wasn't weren't doesn't don't didn't hasn't haven't cannot can't");

/// Between a negation and a finding, these start a statement that the negation does not reach.
pub(super) const NEW_STATEMENT: Words = Words::new(
    "there is are was were has have which demonstrates shows show with due secondary because \
     despite after following placement insertion reveals remains persists",
);

/// After a comma or "and", these start a new statement: "no effusion, mild cardiomegaly".
pub(super) const AFTER_COMMA: Words = Words::new(
    "the there stable mild mildly moderate moderately minimal small tiny trace unchanged \
     persistent again low chronic old healed status interval increased left right bilateral \
     heart lungs likely possible probable may bibasilar bibasal biapical improved improving \
     worsening worsened known placement insertion new",
);

/// Words that negate the words after them in any position.
pub(super) const DENIALS: Words =
    Words::new("nor neither denies absent never nothing nil lacks lacking devoid");

/// After "no" or "not" these speak of change or degree rather than of absence.
pub(super) const CHANGE: Words = Words::new(
    "change changes changed increase increased decrease improvement worsening progression \
     resolution resolved clearing cleared removal removed difference larger smaller bigger \
     greater worse better less doubt question yet only necessarily just merely exclude excluded \
     excluding rule ruled",
);

/// Words that may occur between "no" or "not" and such a word.
pub(super) const CHANGE_ADVERBS: Words = Words::new(
    "significant significantly interval substantial substantially appreciable appreciably \
     definite evidence sign signs of any complete completely entirely fully further been real",
);

/// After a finding and "not" or "no longer", these negate it: "effusion is not identified".
pub(super) const SEEN: Words = Words::new(
    "seen identified present visualized visualised demonstrated evident appreciated apparent \
     observed noted detected suspected visible found there discernible detectable \
     recognized recognised recognizable perceptible evidenced discerned delineated \
     distinguishable shown imaged noticeable",
);

/// After "no longer" these negate as well: "the effusion no longer exists".
pub(super) const EXISTING: Words = Words::new(
    "exists exist persists persist a an concern existent existing remains remain active",
);

/// Verbs whose negated object is a list: "does not show edema, effusion or pneumothorax".
pub(super) const SHOW: Words = Words::new(
    "show demonstrate see identify reveal have suggest contain detect appreciate find visualize \
     note confirm indicate support depict",
);

/// Adverbs between "not" or "no longer" and the participle.
pub(super) const CLEARLY: Words = Words::new(
    "clearly definitely well readily definitively really convincingly confidently \
     radiographically currently distinctly at all be longer any even now appreciably",
);

/// Participles and verbs that end a finding.
pub(super) const CEASED: Words = Words::new(
    "resolved cleared disappeared vanished subsided abated dissipated normalized normalised \
     evacuated resorbed reabsorbed",
);

/// Nouns that end the finding after their "of".
pub(super) const CESSATION: Words =
    Words::new("resolution clearing clearance disappearance resorption reabsorption evacuation");

/// Before a word for ceasing, these leave something of the finding.
pub(super) const IN_PART: Words = Words::new(
    "not incompletely incomplete partially partly partial almost nearly near mostly largely some \
     somewhat significantly significant substantially substantial considerably markedly slightly \
     minimally moderately never hasn't haven't yet failed fails failure only no without ongoing \
     continued continuing progressive gradual slow lack delayed further",
);

/// Right after a word for ceasing, these leave something as well.
pub(super) const IN_PART_AFTER: Words =
    Words::new("somewhat partially partly slightly considerably substantially mostly largely");

/// Before a word for ceasing or for removal, these speak of what is still to come.
pub(super) const PROSPECTIVE: Words = Words::new(
    "will should until expected would must if when once before hopefully unless ensure document \
     confirm pending await awaiting consider considered recommend recommended planned for assess \
     evaluate verify follow anticipated can need needs scheduled",
);

/// Before a finding, these make it uncertain.
pub(super) const DOUBTS: Words = Words::new(
    "possible possibly probable probably likely unlikely may might could question questionable \
     questionably questioned suspicious suspicion suspect suspected suggest suggests suggesting \
     suggestive suggested suggestion concern concerning worrisome versus vs exclude excluded \
     excluding equivocal borderline perhaps presumably presumed presumptive differential potential \
     potentially considered indeterminate cannot whether rather possibility correlate \
     correlation doubt doubtful doubted query queried queries unsure uncertain favor favors favored \
     favoring favour favours favoured favouring if unless wonder wondering consideration",
);

/// Words before "is" or "there is" that make a clause of doubt rather than a statement.
pub(super) const CONDITIONS: Words =
    Words::new("if whether unless doubt doubtful unsure unclear uncertain wonder suspect question");

/// After a finding and a verb, these make it uncertain.
pub(super) const DOUBTED: Words = Words::new(
    "possible probable likely unlikely suspected questionable questioned considered suggested \
     equivocal doubtful doubted improbable favored favoured uncertain queried dubious",
);

/// Of [`DOUBTED`], these stay with the finding before them even if more words follow.
pub(super) const OPPOSED: Words =
    Words::new("unlikely doubtful doubted improbable questionable questioned equivocal dubious");

/// Nouns of doubt after "is a" or "remains a".
pub(super) const CONSIDERATION: Words =
    Words::new("consideration possibility concern question doubt");

/// Verbs and nouns whose "for" names what is looked for, there or not.
pub(super) const PURPOSE: Words = Words::new(
    "evaluate evaluated evaluating evaluation eval reevaluate reassess recheck assess assessed assessing assessment look \
     looking check checking screen screening search searching investigate investigation examine \
     examination workup monitor monitoring watch surveillance sensitive sensitivity insensitive \
     test testing exclusion inspect inspection",
);

/// Between such a verb and the finding, these say that the finding is known.
pub(super) const PRESUPPOSING: Words = Words::new(
    "change changes progression resolution improvement worsening size interval stability position \
     placement cause source extent etiology clearing response increase decrease growth evolution \
     follow persistent residual persistence stable location course known this these",
);

/// Nouns and verbs of harm that has not happened.
pub(super) const RISK: Words = Words::new("risk prevent preventing prevention prophylaxis avoid");

/// Treatments whose "for" or "of" names a former disease.
pub(super) const TREATMENT: Words = Words::new(
    "treated treatment surgery resection resected radiation radiotherapy chemotherapy therapy \
     antibiotics operation operated excision",
);

/// Words of a heading that asks for the film rather than describing it.
pub(super) const REQUEST_HEADINGS: Words = Words::new(
    "indication indications history hx reason request requisition question clinical rule",
);

/// Words of a heading under which the film is described.
pub(super) const FINDINGS_HEADINGS: Words = Words::new(
    "findings finding impression conclusion report result results interpretation opinion",
);

/// Inside a `Normal` phrase, these void it: "heart is not normal".
pub(super) const VOID_NORMAL: Words = Words::new(
    "not no without otherwise except but however borderline enlarged enlargement prominent large \
     mildly abnormal opacity opacities partially partly nearly almost mostly incompletely",
);

/// Inside a `Finding` or `Hint` phrase, these void it: "heart is normal, aorta enlarged".
pub(super) const VOID_FINDING: Words =
    Words::new("normal unremarkable clear but however with without aorta");

/// Before a removal, these speak of a wish or a plan.
pub(super) const ADVICE: Words =
    Words::new("suggest suggested advise advised please would could request requested plan ready");

/// After a removal, these say that it has not happened yet.
pub(super) const PLANNED: Words = Words::new(
    "recommended planned suggested considered pending advised consider scheduled anticipated \
     attempted unsuccessful",
);

/// Words before a removal ("status post tube removal") that mark it as completed.
///
/// They outrank an earlier "prior" or "follow" in the sentence.
pub(super) const DONE: Words = Words::new("post following after interval since");
