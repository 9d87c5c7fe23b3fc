//! `ithn evaluate`: scores anybody's predictions. What files may look like and what each number means:
//! `docs/evaluation.md`; numbers of other tools: `docs/clinical.md`.

mod arguments;
mod clinical;
mod numbers;
mod page;
mod pairs;
mod systems;
mod tables;

use std::path::Path;

use ithn::metrics::clinical::policies::Policy;
use ithn::metrics::clinical::scores::{ScoreTable, compare_scores};
use ithn::metrics::evaluation::formats::{ReadNotes, export};
use ithn::metrics::evaluation::{
    Evaluation, EvaluationOptions, ExternalLabels, MetricInterval, Protocol, Ranking, ScoredStudy,
    Versus, evaluate, metric_intervals, rank, read_ranked, write_study_scores,
};
use ithn::metrics::{Meteor, Uncertain};
use serde::Serialize;

pub(crate) use arguments::Arguments;
use arguments::UncertainArgument;
use clinical::{Clinical, Inputs};
use pairs::{Pair, Tested, pairs};
use systems::{Labeler, Labels, Read, protocol, read_systems};
use tables::{Table, pair_text};

use crate::failure::Failure;
use crate::output::{Talk, check_all};

/// A system with its numbers.
pub(crate) struct Scored {
    name: String,
    studies: Vec<ScoredStudy>,
    notes: ReadNotes,
    evaluation: Evaluation,
    /// Intervals of its corpus scores, where a table shows them.
    intervals: Option<Vec<MetricInterval>>,
    /// Labels of references and predictions, where something needs them.
    labels: Option<Labels>,
    clinical: Clinical,
}

/// What `--json` writes of a system.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    /// How the files were read.
    files: ReadNotes,
    clinical: &'a Clinical,
    #[serde(skip_serializing_if = "Option::is_none")]
    intervals: Option<&'a [MetricInterval]>,
}

/// What `--json` writes of one system.
#[derive(Serialize)]
struct OneReport<'a> {
    #[serde(flatten)]
    report: Report<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranking: Option<&'a Ranking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    versus: Option<&'a Versus>,
    /// Clinical numbers against the other system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    versus_clinical: Option<&'a [Tested]>,
    /// Scores made elsewhere against the other system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    versus_scores: Option<&'a [Tested]>,
}

/// What `--json` writes of several systems.
#[derive(Serialize)]
struct ManyReports<'a> {
    systems: Vec<NamedReport<'a>>,
    pairs: &'a [Pair],
}

#[derive(Serialize)]
struct NamedReport<'a> {
    name: &'a str,
    #[serde(flatten)]
    report: Report<'a>,
}

impl Scored {
    fn report(&self) -> Report<'_> {
        Report {
            evaluation: &self.evaluation,
            files: self.notes,
            clinical: &self.clinical,
            intervals: self.intervals.as_deref(),
        }
    }
}

impl Arguments {
    pub(crate) fn run(&self, talk: Talk) -> Result<(), Failure> {
        let outputs = self.outputs();
        check_all(outputs)?;
        self.check()?;
        let work = Work {
            arguments: self,
            talk: talk.beside(outputs),
        };
        work.run()
    }

    fn draws(&self) -> usize {
        self.draws as usize
    }

    /// The policies asked for; CheXbert's labels have the usual one.
    fn policies(&self) -> Vec<Policy> {
        let mut policies: Vec<Policy> = Vec::new();
        for policy in &self.policy {
            if !policies.contains(policy) {
                policies.push(*policy);
            }
        }
        if policies.is_empty() && self.chexbert.is_some() {
            policies.push(Policy::F1CheXbert);
        }
        policies
    }

    /// Whether something shows the intervals of corpus scores.
    fn shows_intervals(&self) -> bool {
        self.page.is_some() || self.latex.is_some() || self.markdown.is_some()
    }
}

/// An evaluation under way.
struct Work<'a> {
    arguments: &'a Arguments,
    talk: Talk,
}

impl Work<'_> {
    fn run(&self) -> Result<(), Failure> {
        let arguments = self.arguments;
        let systems = read_systems(arguments)?;
        let Some(first) = systems.first() else {
            return Err(Failure::Said("no predictions".to_owned()));
        };
        self.say_left_out(&systems);
        let protocol = protocol(arguments, &first.notes)?;
        let ranking = match &arguments.retrieval {
            Some(path) => Some(rank(&read_ranked(path)?)?),
            None => None,
        };
        let meteor = match &arguments.meteor_data {
            Some(folder) => {
                Meteor::with_data(folder).map_err(|error| Failure::Said(error.to_string()))?
            }
            None => Meteor::exact_and_stem(),
        };
        let labeler = Labeler::open(arguments, &first.studies)?;
        let mut scored = Vec::with_capacity(systems.len());
        for (at, system) in systems.into_iter().enumerate() {
            scored.push(self.score(at, system, protocol, &meteor, &labeler)?);
        }
        self.export(&scored[0])?;
        match arguments.predictions.len() {
            1 => self.finish_one(&scored, ranking.as_ref()),
            _ => self.finish_many(scored),
        }
    }

    /// All numbers of the system at a place.
    fn score(
        &self,
        at: usize,
        system: Read,
        protocol: Protocol,
        meteor: &Meteor,
        labeler: &Labeler<'_>,
    ) -> Result<Scored, Failure> {
        let arguments = self.arguments;
        let policies = arguments.policies();
        let by_rules = matches!(labeler, Labeler::Rules(_));
        let labels = match by_rules && policies.is_empty() {
            true => None,
            false => Some(labeler.labels(&system.studies)),
        };
        let mut options = EvaluationOptions::new(meteor);
        options.protocol = protocol;
        options.uncertain = match arguments.uncertain {
            UncertainArgument::Positive => Uncertain::AsPositive,
            UncertainArgument::Negative => Uncertain::AsNegative,
        };
        options.labeler = arguments.labeler_version;
        options.labels = labels
            .as_ref()
            .filter(|_| !by_rules)
            .map(|labels| ExternalLabels {
                labeler: labeler.name(),
                references: &labels.references,
                predictions: &labels.predictions,
            });
        options.draws = arguments.draws();
        options.seed = arguments.seed;
        let evaluation = evaluate(&system.studies, &options)?;
        let is_one = arguments.predictions.len() == 1;
        let scores = match (is_one, at) {
            (true, 0) => arguments.scores.as_slice(),
            // The system of --versus; its own scores are compared apart.
            (true, _) => &[],
            (false, at) => arguments.scores.get(at..=at).unwrap_or_default(),
        };
        let inputs = Inputs {
            arguments,
            policies: &policies,
            labeler: labeler.name(),
            studies: &system.studies,
            labels: labels.as_ref(),
            scores,
            with_graphs: at == 0,
        };
        let clinical = inputs.compute()?;
        let intervals = match arguments.shows_intervals() {
            true => Some(metric_intervals(
                &evaluation,
                arguments.draws(),
                arguments.seed,
            )?),
            false => None,
        };
        Ok(Scored {
            name: system.name,
            studies: system.studies,
            notes: system.notes,
            evaluation,
            intervals,
            labels,
            clinical,
        })
    }

    /// Output for one system, perhaps with another to compare with.
    fn finish_one(&self, scored: &[Scored], ranking: Option<&Ranking>) -> Result<(), Failure> {
        let arguments = self.arguments;
        let this = &scored[0];
        let own_table = |pairs| {
            let numbers = vec![(this.name.clone(), numbers::clinical(this))];
            Table::new(numbers, Vec::new(), pairs)
        };
        let mut text = this.evaluation.to_string();
        text += &format!("\n{}", own_table(Vec::new()).text());
        if let Some(ranking) = ranking {
            text += &format!("\n{ranking}");
        }
        let compared = match scored.get(1) {
            Some(other) => Some(self.versus(this, other)?),
            None => None,
        };
        if let Some((versus, clinical)) = &compared {
            text += &format!("\n{versus}\n{}", pair_text("this", "other", clinical));
        }
        let versus_scores = self.versus_scores(this)?;
        if let Some(tested) = &versus_scores {
            text += &format!("\nscores given: {}", pair_text("this", "other", tested));
        }
        self.talk.result(text.trim_end())?;
        if let Some(file) = &arguments.csv {
            let mut table = Vec::new();
            write_study_scores(&mut table, &this.studies, &this.evaluation)
                .map_err(|error| Failure::Said(format!("cannot write {file}: {error}")))?;
            file.write(&table)?;
        }
        if let Some(file) = &arguments.json {
            file.write_json(&OneReport {
                report: this.report(),
                ranking,
                versus: compared.as_ref().map(|(versus, _)| versus),
                versus_clinical: compared.as_ref().map(|(_, tested)| tested.as_slice()),
                versus_scores: versus_scores.as_deref(),
            })?;
        }
        if !arguments.shows_intervals() {
            return Ok(());
        }
        let pairs = match scored.get(1) {
            // The other system first: it is what is subtracted.
            Some(other) => vec![self.as_pair(this, other, compared, versus_scores)],
            None => match versus_scores {
                Some(metrics) => vec![Pair {
                    other: "scores of the other".to_owned(),
                    this: this.name.clone(),
                    metrics,
                }],
                None => Vec::new(),
            },
        };
        self.write_tables(scored, pairs)
    }

    fn as_pair(
        &self,
        this: &Scored,
        other: &Scored,
        compared: Option<(Versus, Vec<Tested>)>,
        versus_scores: Option<Vec<Tested>>,
    ) -> Pair {
        let mut metrics: Vec<Tested> = Vec::new();
        if let Some((versus, clinical)) = compared {
            let studies = this.evaluation.studies;
            metrics.extend(versus.metrics.into_iter().map(|compared| Tested {
                metric: compared.metric,
                studies,
                other: compared.other,
                this: compared.this,
                difference: compared.difference,
                p_value: compared.p_value,
                holm_p_value: compared.p_value,
                interval: compared.interval,
            }));
            metrics.extend(clinical);
        }
        metrics.extend(versus_scores.into_iter().flatten());
        Pair {
            other: other.name.clone(),
            this: this.name.clone(),
            metrics,
        }
    }

    /// One system against the other: the usual metrics, and the clinical ones.
    fn versus(&self, this: &Scored, other: &Scored) -> Result<(Versus, Vec<Tested>), Failure> {
        let arguments = self.arguments;
        let (draws, seed) = (arguments.draws(), arguments.seed);
        let versus = ithn::metrics::evaluation::compare_evaluations(
            &this.evaluation,
            &other.evaluation,
            draws,
            seed,
        )?;
        let mut tested = pairs::of_policies(other, this, &arguments.policies(), draws, seed)?;
        let tables = [
            ("other", &other.clinical.table),
            ("this", &this.clinical.table),
        ];
        let compared = compare_scores(&tables, draws, seed)?;
        tested.extend(compared.into_iter().map(Tested::from));
        Ok((versus, tested))
    }

    /// Scores given of this system against those of another.
    fn versus_scores(&self, this: &Scored) -> Result<Option<Vec<Tested>>, Failure> {
        let arguments = self.arguments;
        if arguments.versus_scores.is_empty() {
            return Ok(None);
        }
        let mut tested = Vec::new();
        for path in &arguments.versus_scores {
            let other = ScoreTable::read(path)?;
            let tables = [("other", &other), ("this", &this.clinical.table)];
            let compared = compare_scores(&tables, arguments.draws(), arguments.seed)?;
            tested.extend(compared.into_iter().map(Tested::from));
        }
        Ok(Some(tested))
    }

    /// Output for several systems.
    fn finish_many(&self, scored: Vec<Scored>) -> Result<(), Failure> {
        let arguments = self.arguments;
        let policies = arguments.policies();
        let pairs = pairs(&scored, &policies, arguments.draws(), arguments.seed)?;
        if let Some(file) = &arguments.json {
            let systems = scored.iter().map(|system| NamedReport {
                name: &system.name,
                report: system.report(),
            });
            file.write_json(&ManyReports {
                systems: systems.collect(),
                pairs: &pairs,
            })?;
        }
        let table = self.table(&scored, pairs);
        let mut text = format!(
            "{} studies\n\n{}",
            scored[0].evaluation.studies,
            table.text()
        );
        for note in &table.notes {
            text += &format!("\n{note}");
        }
        self.talk.result(text.trim_end())?;
        self.write_table(&scored, &table)
    }

    fn table(&self, scored: &[Scored], pairs: Vec<Pair>) -> Table {
        let arguments = self.arguments;
        let systems = scored.iter().map(|system| {
            let groups = numbers::groups(system);
            (system.name.clone(), groups)
        });
        let mut notes = vec![format!(
            "{} studies; 95 % bootstrap intervals over studies, {} draws, seed {}",
            scored[0].evaluation.studies, arguments.draws, arguments.seed
        )];
        if !pairs.is_empty() {
            notes.push(
                "p: two-sided paired approximate randomisation; Holm: corrected over the pairs of systems, metric by \
                 metric"
                    .to_owned(),
            );
        }
        if scored
            .iter()
            .any(|system| !system.clinical.lower_is_better.is_empty())
        {
            notes.push("RadCliQ: lower is better".to_owned());
        }
        Table::new(systems.collect(), notes, pairs)
    }

    fn write_tables(&self, scored: &[Scored], pairs: Vec<Pair>) -> Result<(), Failure> {
        let table = self.table(scored, pairs);
        self.write_table(scored, &table)
    }

    fn write_table(&self, scored: &[Scored], table: &Table) -> Result<(), Failure> {
        let arguments = self.arguments;
        if let Some(file) = &arguments.markdown {
            file.write(table.markdown().as_bytes())?;
        }
        if let Some(file) = &arguments.latex {
            file.write(table.latex().as_bytes())?;
        }
        if let Some(file) = &arguments.page {
            let page = page::page(scored, table, arguments.page_studies);
            let html = page
                .to_html()
                .map_err(|error| Failure::Said(format!("cannot write {file}: {error}")))?;
            file.write(html.as_bytes())?;
        }
        Ok(())
    }

    fn export(&self, scored: &Scored) -> Result<(), Failure> {
        let Some(folder) = &self.arguments.export_to else {
            return Ok(());
        };
        for tool in &self.arguments.export {
            for file in export(*tool, folder, &scored.studies)? {
                self.talk
                    .note(format_args!("{tool}: {}", Path::display(&file)));
            }
        }
        Ok(())
    }

    /// Says what of the files is not scored.
    fn say_left_out(&self, systems: &[Read]) {
        for system in systems {
            let notes = &system.notes;
            for (count, what) in [
                (
                    notes.predictions_left_out,
                    "predictions left out: no reference has their id",
                ),
                (
                    notes.references_left_out,
                    "references left out: no prediction has their id",
                ),
                (
                    notes.without_section,
                    "studies left out: their reference lacks the section",
                ),
            ] {
                if count > 0 {
                    self.talk
                        .note(format_args!("{}: {count} {what}", system.name));
                }
            }
        }
    }
}
