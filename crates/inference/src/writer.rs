//! Generates reports from a trained checkpoint.

mod studies;

pub use studies::{FoundStudies, find_studies};

use std::fmt::Debug;
use std::path::Path;

use burn::tensor::Device;
use ithn_checkpoint::SavedModel;
use ithn_checkpoint::card::ModelCard;
use ithn_checkpoint::config::GeneratorTask;
use ithn_data::{ImageBlock, ImageTransform, Tokenizer};
use ithn_generator::{StudyBatch, TrainableGenerator};
use ithn_kernels::on_worker;
use ithn_models::{ContextConfig, LibraryGenerator};
use ithn_search::{Hypothesis, SearchConfig, SearchError, search};
use serde::Serialize;

use crate::InferenceError;
use crate::context::{ContextReader, FilmContext};
use crate::film::{Film, FilmReader};
use crate::sheet::{SheetMaker, StudySheet};
use crate::tensors::study_batch;

/// A trained generator of any kind with its vocabulary and search options.
///
/// ```no_run
/// use ithn_inference::{ReportWriter, device::DeviceName};
///
/// let device = DeviceName::Cpu.open()?;
/// let writer = ReportWriter::from_checkpoint("best.ithn", &device)?;
/// let report = writer.report(["frontal.png", "lateral.dcm"])?;
/// println!("{}", report.text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReportWriter {
    generator: Box<dyn Writes>,
    tokenizer: Tokenizer,
    search: SearchConfig,
    films: FilmReader,
    views: usize,
    reads: Option<ContextConfig>,
    card: ModelCard,
    device: Device,
}

/// A study to write a report for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilmStudy {
    /// Identifier: messages name it, and sampling draws by it, so that a study's reports do not
    /// depend on the batch that it came in.
    pub id: String,
    /// Its films, one per view, at least one. Those beyond the model's
    /// [views](ReportWriter::views) are not used.
    pub films: Vec<Film>,
    /// What is known of it beside its films.
    pub context: FilmContext,
}

impl FilmStudy {
    /// A study by its identifier and films.
    pub fn new<F: Into<Film>>(id: impl Into<String>, films: impl IntoIterator<Item = F>) -> Self {
        FilmStudy {
            id: id.into(),
            films: films.into_iter().map(Into::into).collect(),
            context: FilmContext::default(),
        }
    }

    /// Sets [`context`](Self::context).
    #[must_use]
    pub fn with_context(mut self, context: FilmContext) -> Self {
        self.context = context;
        self
    }

    /// A study whose identifier is the file name of its first film, without the folder.
    pub fn of_films<F: Into<Film>>(films: impl IntoIterator<Item = F>) -> Self {
        let films: Vec<Film> = films.into_iter().map(Into::into).collect();
        let first = films.first().map_or(Path::new("study"), Film::name);
        let name = first.file_name().unwrap_or(first.as_os_str());
        FilmStudy {
            id: name.to_string_lossy().into_owned(),
            films,
            context: FilmContext::default(),
        }
    }
}

/// One of a study's reports.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WrittenReport {
    /// Its words.
    pub text: String,
    /// What search ranks by: the sum of log-probabilities in nats, after penalties.
    pub score: f64,
    /// Whether it ended by itself; otherwise it was cut at the greatest length.
    pub finished: bool,
}

/// Methods of a generator that the writer calls, with the generator's type erased.
trait Writes: Debug + Send {
    fn search(
        &self,
        studies: StudyBatch,
        ids: &[&str],
        config: &SearchConfig,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError>;

    /// The best report of a study with its attention and memory rows, under the options of
    /// `writer`.
    fn sheet(
        &self,
        writer: &ReportWriter,
        id: &str,
        films: ImageBlock,
    ) -> Result<StudySheet, InferenceError>;
}

impl<G: TrainableGenerator> Writes for G {
    fn search(
        &self,
        studies: StudyBatch,
        ids: &[&str],
        config: &SearchConfig,
    ) -> Result<Vec<Vec<Hypothesis>>, SearchError> {
        on_worker(|| search(self, self.start(studies), ids, config))
    }

    fn sheet(
        &self,
        writer: &ReportWriter,
        id: &str,
        films: ImageBlock,
    ) -> Result<StudySheet, InferenceError> {
        let maker = SheetMaker {
            generator: self,
            tokenizer: &writer.tokenizer,
            search: &writer.search,
            device: &writer.device,
        };
        maker.sheet(id, films, None)
    }
}

/// A saved model whose generator is still to be built.
struct Loading<'a> {
    saved: SavedModel,
    device: &'a Device,
}

impl Loading<'_> {
    fn finish<G: TrainableGenerator + 'static>(
        self,
        generator: G,
    ) -> Result<ReportWriter, InferenceError> {
        let header = &self.saved.header;
        let (tokenizer, config) = (header.tokenizer.clone(), header.config.clone());
        let card = ModelCard::of(header);
        let generator = self.saved.restore_generator(generator)?;
        Ok(ReportWriter {
            generator: Box::new(generator.valid()),
            search: config.search(&tokenizer),
            tokenizer,
            films: FilmReader {
                transform: ImageTransform::evaluation(config.images.size),
            },
            card,
            views: config.model.views,
            reads: config.model.generator.context(),
            device: self.device.clone(),
        })
    }
}

impl GeneratorTask for Loading<'_> {
    type Output = Result<ReportWriter, InferenceError>;

    fn run<G: LibraryGenerator>(self, generator: G) -> Self::Output {
        self.finish(generator)
    }
}

impl ReportWriter {
    /// Loads a checkpoint of any generator of this library onto `device`. Only the model is read, not
    /// the optimiser state.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a checkpoint, or holds a custom generator.
    pub fn from_checkpoint(
        checkpoint: impl AsRef<Path>,
        device: &Device,
    ) -> Result<Self, InferenceError> {
        let saved = SavedModel::load(checkpoint.as_ref())?;
        let vocabulary = saved.header.tokenizer.vocabulary();
        let model = saved.header.config.model.clone();
        model.build(vocabulary, device, Loading { saved, device })?
    }

    /// Loads a checkpoint of a generator from outside this library: `build` creates it as it was
    /// created for training, for a vocabulary of that many logits.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a checkpoint, or does not fit what `build` creates.
    pub fn from_checkpoint_with<G: TrainableGenerator + 'static>(
        checkpoint: impl AsRef<Path>,
        device: &Device,
        build: impl FnOnce(usize, &Device) -> G,
    ) -> Result<Self, InferenceError> {
        let saved = SavedModel::load(checkpoint.as_ref())?;
        let generator = build(saved.header.tokenizer.vocabulary(), device);
        Loading { saved, device }.finish(generator)
    }

    /// Films per study that the model reads.
    pub fn views(&self) -> usize {
        self.views
    }

    /// What the model reads beside a study's films; `None` if nothing.
    pub fn reads(&self) -> Option<ContextConfig> {
        self.reads
    }

    /// What the checkpoint says about itself, for people and programs.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Whether `<unk>` may be written: never, or as any other word.
    pub fn with_unknown_forbidden(mut self, forbid: bool) -> Self {
        let unknown = self.tokenizer.unknown();
        self.search.forbidden.retain(|&token| token != unknown);
        if forbid {
            self.search.forbidden.push(unknown);
        }
        self
    }

    /// Decodes and resizes films for this writer, on any thread; the result is a [`Film`] as well.
    pub fn film_reader(&self) -> FilmReader {
        self.films
    }

    /// Search options: those of the run's evaluation unless changed.
    pub fn search(&self) -> &SearchConfig {
        &self.search
    }

    /// Replaces the search options.
    ///
    /// # Errors
    ///
    /// The first option that is out of its range.
    pub fn with_search(mut self, search: SearchConfig) -> Result<Self, InferenceError> {
        search.validate()?;
        self.search = search;
        Ok(self)
    }

    /// Searches with beam width `width` (as evaluated if `None`) and returns `reports` per study.
    /// Beams narrower than `reports` are widened to it.
    ///
    /// # Errors
    ///
    /// A number that is 0, or a width for diverse beams or sampling, which have none: see
    /// [`SearchConfig::with_beam_width`] and [`SearchConfig::with_reports`].
    pub fn with_beams(self, width: Option<usize>, reports: usize) -> Result<Self, InferenceError> {
        // The strategy as evaluated may return more reports than `width` beams keep.
        let mut search = self.search.clone().with_reports(1)?;
        if let Some(width) = width {
            search = search.with_beam_width(width)?;
        }
        self.with_search(search.with_reports(reports)?)
    }

    /// The best report of one study, given its films: paths, file contents or decoded images.
    ///
    /// # Errors
    ///
    /// If there is no film, or one cannot be read.
    pub fn report<F: Into<Film>>(
        &self,
        films: impl IntoIterator<Item = F>,
    ) -> Result<WrittenReport, InferenceError> {
        let study = FilmStudy::of_films(films);
        let reports = self.reports(std::slice::from_ref(&study))?;
        let best = reports.into_iter().flatten().next();
        best.ok_or(InferenceError::NoReport(study.id))
    }

    /// Reports of several studies in one batch: per study as many as the search returns, best first.
    ///
    /// # Errors
    ///
    /// If a study has no film, or one cannot be read; [`InferenceError::Unread`] if it has context that the model does
    /// not read.
    pub fn reports(
        &self,
        studies: &[FilmStudy],
    ) -> Result<Vec<Vec<WrittenReport>>, InferenceError> {
        if studies.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = studies.iter().map(|study| study.id.as_str()).collect();
        self.reports_of(study_batch(self.load(studies)?, &self.device), &ids)
    }

    /// Reports of studies that are tensors on the writer's device already, normalised as
    /// [`StudyBatch`] says; `ids` name its rows.
    ///
    /// # Errors
    ///
    /// If the generator returns values that are no log-probabilities.
    ///
    /// # Panics
    ///
    /// If there are not as many ids as studies, or images of another size than the model's.
    pub fn reports_of(
        &self,
        studies: StudyBatch,
        ids: &[&str],
    ) -> Result<Vec<Vec<WrittenReport>>, InferenceError> {
        assert_eq!(studies.len(), ids.len(), "every study has an id");
        let found = self.generator.search(studies, ids, &self.search)?;
        let written = |hypothesis: Hypothesis| WrittenReport {
            text: self.tokenizer.decode(&hypothesis.tokens),
            score: hypothesis.score,
            finished: hypothesis.finished,
        };
        Ok(found
            .into_iter()
            .map(|hypotheses| hypotheses.into_iter().map(written).collect())
            .collect())
    }

    /// The best report of a study, with the attention and memory rows of each word.
    ///
    /// # Errors
    ///
    /// If the study has no film, or one cannot be read.
    pub fn explain(&self, study: &FilmStudy) -> Result<StudySheet, InferenceError> {
        let films = self.load(std::slice::from_ref(study))?;
        self.generator.sheet(self, &study.id, films)
    }

    /// Films of studies as the model reads them; a study with fewer films than views has its last
    /// views missing, as in training.
    fn load(&self, studies: &[FilmStudy]) -> Result<ImageBlock, InferenceError> {
        let size = self.films.transform.size();
        let dims = [studies.len(), self.views, 3, size, size];
        let mut pixels = Vec::with_capacity(dims.iter().product());
        let mut present = Vec::with_capacity(studies.len() * self.views);
        for (index, study) in studies.iter().enumerate() {
            if study.films.is_empty() {
                return Err(InferenceError::NoFilm(study.id.clone()));
            }
            for film in study.films.iter().take(self.views) {
                pixels.extend_from_slice(self.films.prepare(film)?.pixels());
            }
            present.extend((0..self.views).map(|view| view < study.films.len()));
            pixels.resize((index + 1) * self.views * 3 * size * size, 0);
        }
        let reader = ContextReader {
            reads: self.reads,
            tokenizer: &self.tokenizer,
            films: self.films,
        };
        let contexts = studies.iter();
        let contexts = contexts.map(|study| (study.id.as_str(), &study.context));
        Ok(ImageBlock {
            context: reader.read(contexts)?,
            dims,
            pixels,
            features: None,
            present,
        })
    }
}
