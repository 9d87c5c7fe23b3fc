use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Seconds after which a client may try a full server again.
const RETRY_SECONDS: u16 = 1;

/// An answer that is no report: a status and one sentence, `{"error": …}`.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Display) -> Self {
        Refusal {
            status,
            text: text.to_string(),
        }
    }

    /// A request that is not understood.
    pub(super) fn bad_request(text: impl Display) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, text)
    }

    /// More than a limit.
    pub(super) fn too_large(text: impl Display) -> Self {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    /// No room at present; the client is told when to try again.
    pub(super) fn busy(text: impl Display) -> Self {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// A fault of the server.
    pub(super) fn failed(text: impl Display) -> Self {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Content<'a> {
            error: &'a str,
        }
        let mut response = json(self.status, &Content { error: &self.text });
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from(RETRY_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

/// A value as the JSON of an answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let content = [(header::CONTENT_TYPE, "application/json")];
    match serde_json::to_vec(value) {
        Ok(text) => (status, content, text).into_response(),
        Err(error) => {
            // Strings and numbers always have a JSON form; this is for completeness.
            let text = format!("{{\"error\":\"cannot write the answer: {error}\"}}");
            (StatusCode::INTERNAL_SERVER_ERROR, content, text).into_response()
        }
    }
}
