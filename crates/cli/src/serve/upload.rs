//! From a request's body to films: read within the limits, judged by content, decoded and resized.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{HeaderMap, StatusCode, header};
use ithn::data::{DataError, FileKind, inspect_image_bytes};
use ithn::inference::{FilmReader, InferenceError, PreparedFilm};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::beside::{Beside, Field};
use super::limits::Limits;
use super::refusal::Refusal;

/// Longest boundary of a multipart body (RFC 2046).
const MOST_BOUNDARY: usize = 70;

/// Characters of a film's name that are kept.
const MOST_NAME: usize = 120;

/// Time for which the body of a refused request is read and dropped: a client that still sends would
/// otherwise see a broken connection in place of the answer.
const DRAIN: Duration = Duration::from_secs(5);

/// A body in memory, counted among [`Limits::all_bodies_bytes`] as long as `counted` lives.
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) counted: Option<OwnedSemaphorePermit>,
}

/// A file of a request.
pub(super) struct Upload {
    pub(super) name: String,
    bytes: Bytes,
}

/// Reads a body within the limits of its size and time.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: &mut Body,
    limits: &Limits,
    room: &Arc<Semaphore>,
) -> Result<Received, Refusal> {
    let too_large = || {
        Refusal::too_large(format_args!(
            "the request is larger than the {} that this server takes",
            limits.body_words()
        ))
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0));
    let mut counted: Option<OwnedSemaphorePermit> = None;
    let reading = async {
        while let Some(chunk) = next_chunk(body).await? {
            if bytes.len() + chunk.len() > limits.body_bytes {
                return Err(too_large());
            }
            // A chunk is far below 4 GiB, since a body is.
            let taken = Arc::clone(room).try_acquire_many_owned(chunk.len() as u32);
            let taken = taken.map_err(|_| {
                Refusal::busy("the films of other requests fill the memory set aside for them")
            })?;
            match &mut counted {
                Some(counted) => counted.merge(taken),
                None => counted = Some(taken),
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match timeout(limits.patience, reading).await {
        Ok(Ok(())) => Ok(Received {
            bytes: Bytes::from(bytes),
            counted,
        }),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format_args!(
                "the request did not arrive within {} seconds",
                limits.patience.as_secs_f32()
            ),
        )),
    }
}

/// Reads and drops what a refused request still sends, for a while, unless the client waits to be asked.
pub(super) async fn drain(headers: &HeaderMap, body: &mut Body, limits: &Limits) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let most = limits.body_bytes.saturating_mul(4);
    let reading = async {
        let mut dropped = 0;
        while let Ok(Some(chunk)) = next_chunk(body).await {
            dropped += chunk.len();
            if dropped > most {
                break;
            }
        }
    };
    // Running out of time is as good an end as any.
    let _ = timeout(DRAIN, reading).await;
}

async fn next_chunk(body: &mut Body) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(Refusal::bad_request(format_args!(
                    "the request broke off: {error}"
                )));
            }
            // Trailers are no part of a film.
            Some(Ok(frame)) => {
                if let Ok(chunk) = frame.into_data() {
                    return Ok(Some(chunk));
                }
            }
        }
    }
}

/// What a request sends of a study.
#[derive(Default)]
pub(super) struct Sent {
    /// Its films, at least one.
    pub(super) films: Vec<Upload>,
    /// Films of the previous study.
    pub(super) priors: Vec<Upload>,
    /// Texts of the form.
    pub(super) beside: Beside,
}

/// The films of a body, and what comes beside them: the body itself if it is a film, or the parts of a multipart body. Its
/// content decides; the header Content-Type only gives a boundary that does not open the body.
pub(super) async fn read(headers: &HeaderMap, body: Bytes, most: usize) -> Result<Sent, Refusal> {
    if body.is_empty() {
        return Err(Refusal::bad_request(
            "the request has no body: send a film, or films as multipart/form-data",
        ));
    }
    let kind = FileKind::of_bytes(&body);
    if matches!(kind, FileKind::Other(_))
        && let Some(boundary) = boundary(headers, &body)
    {
        return parts(&boundary, body, most).await;
    }
    Ok(Sent {
        films: vec![Upload {
            name: "film".to_owned(),
            bytes: body,
        }],
        ..Sent::default()
    })
}

/// The boundary of a multipart body: its first line, or what Content-Type names.
fn boundary(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let opening = body
        .strip_prefix(b"--")
        .and_then(|rest| rest.split(|&byte| byte == b'\r').next());
    let named = || {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let (kind, parameters) = value.split_once(';')?;
        if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
            return None;
        }
        let mut parameters = parameters.split(';').map(str::trim);
        let value = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("boundary").then_some(value)
        })?;
        Some(value.trim_matches('"').as_bytes())
    };
    let boundary = opening.or_else(named)?;
    let is_sound = (1..=MOST_BOUNDARY).contains(&boundary.len())
        && boundary.iter().all(|&byte| {
            byte == b' ' || (byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        });
    let text = std::str::from_utf8(boundary).ok()?;
    is_sound.then(|| text.trim_end().to_owned())
}

async fn parts(boundary: &str, body: Bytes, most: usize) -> Result<Sent, Refusal> {
    let content_type = format!("multipart/form-data; boundary=\"{boundary}\"");
    let mut request = Request::new(Body::from(body));
    let malformed = |reason: &str| {
        Refusal::bad_request(format_args!("the multipart body cannot be read: {reason}"))
    };
    let content_type = content_type
        .parse()
        .map_err(|_| malformed("its boundary is malformed"))?;
    request
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    // The body has been measured already.
    DefaultBodyLimit::disable().apply(&mut request);
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| malformed(&error.body_text()))?;
    let mut sent = Sent::default();
    loop {
        let field = form.next_field().await;
        let Some(field) = field.map_err(|error| malformed(&error.body_text()))? else {
            break;
        };
        let known = Field::of(field.name());
        let given = field.file_name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await;
        let bytes = bytes.map_err(|error| malformed(&error.body_text()))?;
        let films = match known {
            None => &mut sent.films,
            // A form sends an empty file where none was chosen.
            Some(Field::PriorFilm) if bytes.is_empty() => continue,
            Some(Field::PriorFilm) => &mut sent.priors,
            Some(text) => {
                sent.beside.add(text, &bytes)?;
                continue;
            }
        };
        if films.len() == most {
            return Err(Refusal::too_large(format_args!(
                "the request has more than {most} files; send studies one by one"
            )));
        }
        let name = file_name(&given, films.len() + 1);
        films.push(Upload { name, bytes });
    }
    match sent.films.is_empty() {
        true => Err(Refusal::bad_request("the multipart body has no film")),
        false => Ok(sent),
    }
}

/// A file's name without folders and control characters, or `film N`.
fn file_name(given: &str, number: usize) -> String {
    let name = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MOST_NAME)
        .collect();
    match name.trim() {
        "" => format!("film {number}"),
        name => name.to_owned(),
    }
}

/// Decodes the films of a study and resizes them for the model.
pub(super) fn prepare(
    films: &[Upload],
    reader: FilmReader,
    megapixels: usize,
) -> Result<Vec<PreparedFilm>, Refusal> {
    films
        .iter()
        .map(|film| prepare_one(film, reader, megapixels))
        .collect()
}

fn prepare_one(
    film: &Upload,
    reader: FilmReader,
    megapixels: usize,
) -> Result<PreparedFilm, Refusal> {
    let path = Path::new(&film.name);
    if let Some(reason) = FileKind::of_bytes(&film.bytes).refusal() {
        let text = format!("{}: {reason}", film.name);
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let broken = |error: &dyn std::fmt::Display| {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    };
    let (width, height) =
        inspect_image_bytes(&film.bytes, path).map_err(|error: DataError| broken(&error))?;
    if width.saturating_mul(height) > megapixels * 1_000_000 {
        return Err(Refusal::too_large(format_args!(
            "{}: {width}×{height} pixels are more than the {megapixels} million that this server reads",
            film.name
        )));
    }
    reader
        .prepare_bytes(&film.bytes, path)
        .map_err(|error: InferenceError| broken(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_folders_and_control_characters() {
        assert_eq!(file_name("../../etc/passwd", 1), "passwd");
        assert_eq!(file_name("C:\\films\\a\u{7}.png", 1), "a.png");
        assert_eq!(file_name("", 2), "film 2");
        assert_eq!(file_name("folder/", 3), "film 3");
        let long = "x".repeat(1000);
        assert_eq!(file_name(&long, 1).len(), MOST_NAME);
    }

    #[test]
    fn the_boundary_comes_from_the_body_or_the_header() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().expect("a value"));
            headers
        };
        let none = HeaderMap::new();
        let body = b"--abc\r\nContent-Disposition";
        assert_eq!(boundary(&none, body).as_deref(), Some("abc"));
        let wrong = with("multipart/form-data; boundary=other");
        assert_eq!(boundary(&wrong, body).as_deref(), Some("abc"));
        let preamble = b"This is a message.\r\n--b c\r\n";
        let named = with("Multipart/Form-Data; charset=x; Boundary=\"b c\"");
        assert_eq!(boundary(&named, preamble).as_deref(), Some("b c"));
        assert_eq!(boundary(&none, preamble), None);
        assert_eq!(boundary(&with("text/plain; boundary=b"), preamble), None);
        let long = format!("--{}\r\n", "x".repeat(71));
        assert_eq!(boundary(&none, long.as_bytes()), None);
    }
}
