//! Everything that is written: text, JSON, tables and the page.

use ithn::metrics::clinical::scores::{ScoreTable, compare_scores};
use ithn::metrics::evaluation::formats::ReadNotes;
use ithn::metrics::evaluation::{
    Evaluation, MetricInterval, Ranking, Versus, compare_evaluations, write_study_scores,
};
use serde::Serialize;

use super::clinical::Clinical;
use super::pairs::{Pair, Tested, of_policies, pairs};
use super::tables::{Table, pair_text};
use super::{Scored, Work, numbers, page};
use crate::failure::Failure;

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

impl Work<'_> {
    /// Output for one system, perhaps with another to compare with.
    pub(super) fn finish_one(
        &self,
        scored: &[Scored],
        ranking: Option<&Ranking>,
    ) -> Result<(), Failure> {
        let arguments = self.arguments;
        let this = &scored[0];
        let clinical = vec![(this.name.clone(), numbers::clinical(this))];
        let clinical = Table::new(clinical, Vec::new(), Vec::new());
        let mut text = this.evaluation.to_string();
        text += &format!("\n{}", clinical.text());
        if let Some(ranking) = ranking {
            text += &format!("\n{ranking}");
        }
        let compared = match scored.get(1) {
            Some(other) => Some(self.versus(this, other)?),
            None => None,
        };
        if let Some((versus, clinical)) = &compared {
            if let Some(other) = scored.get(1) {
                text += &format!("\nthis: {}; other: {}", this.name, other.name);
            }
            text += &format!("\n{versus}\n{}", pair_text("this", "other", clinical));
        }
        let versus_scores = self.versus_scores(this)?;
        if let Some(tested) = &versus_scores {
            text += &format!("\nscores given: {}", pair_text("this", "other", tested));
        }
        if let Some(file) = &arguments.csv {
            let mut table = Vec::new();
            let columns = this.clinical.table.columns();
            write_study_scores(&mut table, &this.studies, &this.evaluation, columns)
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
        if arguments.shows_intervals() {
            self.write_tables(scored, self.pairs_of_one(scored, compared, versus_scores))?;
        }
        self.talk.result(text.trim_end())
    }

    /// The tests of one system, as one pair of systems.
    fn pairs_of_one(
        &self,
        scored: &[Scored],
        compared: Option<(Versus, Vec<Tested>)>,
        versus_scores: Option<Vec<Tested>>,
    ) -> Vec<Pair> {
        let this = &scored[0];
        match scored.get(1) {
            Some(other) => vec![self.as_pair(this, other, compared, versus_scores)],
            None => match versus_scores {
                Some(metrics) => vec![Pair {
                    other: "scores of the other".to_owned(),
                    this: this.name.clone(),
                    metrics,
                }],
                None => Vec::new(),
            },
        }
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
        let versus = compare_evaluations(&this.evaluation, &other.evaluation, draws, seed)?;
        let mut tested = of_policies(other, this, &arguments.policies(), draws, seed)?;
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
    pub(super) fn finish_many(&self, scored: Vec<Scored>) -> Result<(), Failure> {
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
        self.write_table(&scored, &table)?;
        self.talk.result(text.trim_end())
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
}
