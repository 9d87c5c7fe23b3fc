//! `ithn evaluate`: scores anybody's predictions. What files may look like and what each number means:
//! `docs/evaluation.md`; numbers of other tools: `docs/clinical.md`.

mod arguments;
mod clinical;
mod numbers;
mod outputs;
mod page;
mod pairs;
mod systems;
mod tables;

use std::collections::HashMap;
use std::path::Path;

use ithn::metrics::clinical::policies::Policy;
use ithn::metrics::evaluation::formats::{ReadNotes, export};
use ithn::metrics::evaluation::{
    Evaluation, EvaluationOptions, ExternalLabels, MetricInterval, Protocol, ScoredStudy,
    equal_reports_as_hits, evaluate, metric_intervals, rank, read_ranked,
};
use ithn::metrics::{Meteor, Uncertain};

pub(crate) use arguments::Arguments;
use arguments::UncertainArgument;
use clinical::{Clinical, Inputs};
use systems::{Labeler, Labels, Read, protocol, read_systems, retrieval};

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
        let ranking = match retrieval(arguments)? {
            Some(path) => {
                let own = first.studies.iter().filter_map(|study| {
                    Some((study.id.as_str(), study.references.first()?.as_str()))
                });
                let reports: HashMap<&str, &str> = own.collect();
                let report = |id: &str| reports.get(id).copied();
                Some(rank(&equal_reports_as_hits(read_ranked(&path)?, report))?)
            }
            None => None,
        };
        let meteor = match &arguments.meteor_data {
            Some(folder) => Meteor::with_data(folder)?,
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
