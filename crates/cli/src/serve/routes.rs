//! What the server answers under which path.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ithn::data::FileKind;
use ithn::inference::{FilmReader, FilmStudy};
use ithn::models::ContextConfig;
use ithn::page::{ServedContext, ServedPage};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::about::About;
use super::answer::{Answer, NOTICE};
use super::beside::with_prior_films;
use super::desk::{Desk, Job};
use super::guard;
use super::limits::Limits;
use super::refusal::{Refusal, json};
use super::upload::{self, Sent, Upload};

/// Longest identifier of a study, in characters.
const MOST_ID: usize = 200;

/// What hears of requests and failures: a line, and whether it is a detail.
pub(super) type Log = dyn Fn(&str, bool) + Send + Sync;

/// What requests share.
pub(super) struct Shared {
    pub(super) about: About,
    pub(super) films: FilmReader,
    pub(super) views: usize,
    pub(super) reads: Option<ContextConfig>,
    pub(super) limits: Limits,
    pub(super) desk: Desk,
    /// A permit per request for reports.
    pub(super) places: Arc<Semaphore>,
    /// A permit per byte of their bodies.
    pub(super) room: Arc<Semaphore>,
    pub(super) page: String,
    pub(super) log: Arc<Log>,
}

/// The parameters of `POST /v1/report`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Whether images, words and attention of the best report are wanted.
    #[serde(default)]
    explain: bool,
    /// The study's identifier, by which sampling draws; else the name of its first film.
    id: Option<String>,
}

/// The answer to `GET /healthz`.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    checkpoint: &'a str,
    /// Films of a study that are read.
    views: usize,
    /// What is read beside them; null if nothing.
    reads: Option<ContextConfig>,
    /// Requests for reports that are at work or waiting, and how many may be.
    requests: usize,
    queue: usize,
}

/// The page of the checkpoint, as HTML.
pub(super) fn page(
    about: &About,
    (views, reads): (usize, Option<ContextConfig>),
    limits: &Limits,
) -> serde_json::Result<String> {
    let (kinds, accepts) = match FileKind::Dicom.is_read() {
        true => (
            "PNG, JPEG or DICOM",
            ".png,.jpg,.jpeg,.dcm,.dicom,image/png,image/jpeg,application/dicom",
        ),
        false => ("PNG or JPEG", ".png,.jpg,.jpeg,image/png,image/jpeg"),
    };
    let page = ServedPage {
        title: format!("Reports by {}", about.checkpoint),
        notice: NOTICE.to_owned(),
        trained_on: about.trained_on.clone(),
        facts: about.facts.clone(),
        views,
        reads: reads.map(|reads| ServedContext {
            prior_films: reads.prior_views,
            prior_report: reads.prior_report_words > 0,
            indication: reads.indication_words > 0,
        }),
        kinds: kinds.to_owned(),
        accepts: accepts.to_owned(),
        most_bytes: limits.body_bytes,
        most_megapixels: limits.megapixels,
    };
    page.to_html()
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let text = |kind: &'static str, content: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, kind)], content) })
    };
    Router::new()
        .route("/", get(index))
        .route(
            "/page.js",
            text("text/javascript; charset=utf-8", ServedPage::SCRIPT),
        )
        .route(
            "/page.css",
            text("text/css; charset=utf-8", ServedPage::STYLE),
        )
        .route("/healthz", get(health))
        .route("/v1/report", post(report))
        .fallback(|| async {
            let text = "there is GET /, POST /v1/report and GET /healthz, and nothing else";
            Refusal::new(StatusCode::NOT_FOUND, text)
        })
        .method_not_allowed_fallback(|| async {
            let text = "this path has another method: GET /, POST /v1/report, GET /healthz";
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text)
        })
        .layer(from_fn_with_state(Arc::clone(&shared), answer_any))
        .with_state(shared)
}

/// Around every answer: the guard before, security headers and the log after.
async fn answer_any(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let line = format!("{} {}", request.method(), request.uri().path());
    let mut response = match guard::check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    guard::secure(response.headers_mut());
    let took = began.elapsed().as_millis();
    let status = response.status().as_u16();
    (shared.log)(&format!("{line} {status} in {took} ms"), true);
    response
}

async fn index(State(shared): State<Arc<Shared>>) -> ([(HeaderName, &'static str); 1], String) {
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    (kind, shared.page.clone())
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let free = shared.places.available_permits();
    let health = Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        checkpoint: &shared.about.checkpoint,
        views: shared.views,
        reads: shared.reads,
        requests: shared.limits.queue.saturating_sub(free),
        queue: shared.limits.queue,
    };
    json(StatusCode::OK, &health)
}

async fn report(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, Refusal> {
    let (parts, mut body) = request.into_parts();
    let options = Query::<Options>::try_from_uri(&parts.uri)
        .map_err(|error| Refusal::bad_request(error.body_text()));
    let admitted = options.and_then(|Query(options)| Ok((options.checked()?, admit(&shared)?)));
    let received = match admitted {
        Ok((options, place)) => {
            let room = &shared.room;
            let received = upload::receive(&parts.headers, &mut body, &shared.limits, room).await;
            received.map(|received| (options, place, received))
        }
        Err(refusal) => Err(refusal),
    };
    let (options, place, received) = match received {
        Ok(received) => received,
        Err(refusal) => {
            upload::drain(&parts.headers, &mut body, &shared.limits).await;
            return Err(refusal);
        }
    };
    let Sent {
        mut films,
        mut priors,
        beside,
    } = upload::read(&parts.headers, received.bytes, shared.limits.films).await?;
    let context = beside.context(films.len(), priors.len(), shared.reads)?;
    let unused = films.split_off(films.len().min(shared.views));
    let prior_views = shared.reads.map_or(0, |reads| reads.prior_views);
    let unused_priors = priors.split_off(priors.len().min(prior_views));
    let names = |films: Vec<Upload>| films.into_iter().map(|film| film.name);
    let unused: Vec<String> = names(unused).chain(names(unused_priors)).collect();
    let id = options.id.unwrap_or_else(|| films[0].name.clone());
    let (reader, megapixels) = (shared.films, shared.limits.megapixels);
    // The place and the count of bytes go along, since this work goes on if the client has gone.
    let decoding = tokio::task::spawn_blocking(move || {
        let _counted = received.counted;
        let prepare = |films: &[Upload]| upload::prepare(films, reader, megapixels);
        let prepared = prepare(&films)?;
        let context = with_prior_films(context, prepare(&priors)?);
        Ok::<_, Refusal>((prepared, context, [films, priors], place))
    });
    let decoded = decoding.await.map_err(|error| {
        (shared.log)(&format!("decoding a film failed: {error}"), false);
        Refusal::failed("the decoder failed on a film")
    })?;
    let (prepared, context, films, place) = decoded?;
    let [films, priors]: [Vec<String>; 2] = films.map(|films| names(films).collect());
    let (reply, written) = oneshot::channel();
    shared.desk.hand_in(Job {
        study: FilmStudy::new(id.clone(), prepared).with_context(context),
        explain: options.explain,
        reply,
        place,
    })?;
    let written = written.await;
    let written = written.map_err(|_| Refusal::failed("the report was given up"))??;
    let answer = Answer {
        id: &id,
        notice: NOTICE,
        checkpoint: &shared.about.checkpoint,
        films: &films,
        prior_films: &priors,
        unused_films: &unused,
        reports: written.reports.into_iter().map(Into::into).collect(),
        sheet: written.sheet,
    };
    Ok(json(StatusCode::OK, &answer))
}

fn admit(shared: &Shared) -> Result<OwnedSemaphorePermit, Refusal> {
    let place = Arc::clone(&shared.places).try_acquire_owned();
    place.map_err(|_| {
        let queue = shared.limits.queue;
        Refusal::busy(format_args!(
            "{queue} requests are waiting or at work, which is all that this server takes"
        ))
    })
}

impl Options {
    fn checked(self) -> Result<Self, Refusal> {
        match &self.id {
            Some(id) if id.is_empty() || id.chars().count() > MOST_ID => Err(Refusal::bad_request(
                format_args!("the parameter id has 1 to {MOST_ID} characters"),
            )),
            _ => Ok(self),
        }
    }
}
