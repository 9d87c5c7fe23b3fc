//! Which requests are answered at all, and the headers of every answer.
//!
//! A web page from elsewhere can make a browser send requests to this server. Such requests are refused. They are
//! recognised by the header `Host`, which holds the page's host name after DNS rebinding, or by the header `Origin`,
//! which names the page.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::refusal::Refusal;

/// Names under which this computer reaches itself. The port may differ, as through a tunnel.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Films and reports stay out of the browser's cache on disk.
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// Refuses a request that names another host, or that a page of another origin sent.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    let host = only(request.headers(), header::HOST)?.unwrap_or_default();
    let target = request.uri().authority().map_or(host, |it| it.as_str());
    for named in [host, target] {
        if !is_this_computer(named) {
            return Err(forbidden(format_args!(
                "this server answers to 127.0.0.1 and localhost alone, not to '{named}'"
            )));
        }
    }
    match only(request.headers(), header::ORIGIN)? {
        Some(origin) if !is_own_origin(origin, host) => Err(forbidden(format_args!(
            "this server answers its own page alone, not one of '{origin}'"
        ))),
        _ => Ok(()),
    }
}

/// Adds the headers that every answer has.
pub(super) fn secure(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn forbidden(text: std::fmt::Arguments<'_>) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, text)
}

/// The value of a header that may stand once, if it is there.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(&name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(text), None) => Ok(Some(text)),
        _ => Err(forbidden(format_args!("the header {name} is not one name"))),
    }
}

fn is_this_computer(authority: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    NAMES.iter().any(|name| {
        let rest = authority
            .get(..name.len())
            .filter(|start| start.eq_ignore_ascii_case(name))
            .map(|_| &authority[name.len()..]);
        match rest {
            Some("") => true,
            Some(rest) => rest.strip_prefix(':').is_some_and(is_port),
            None => false,
        }
    })
}

fn is_own_origin(origin: &str, host: &str) -> bool {
    origin
        .strip_prefix("http://")
        .is_some_and(|named| named.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn status(headers: &[(&str, &str)], uri: &str) -> Option<StatusCode> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        check(&request).err().map(|refusal| refusal.status)
    }

    #[test]
    fn own_names_pass_under_any_port() {
        for host in ["127.0.0.1:8000", "localhost", "LocalHost:9000", "[::1]:80"] {
            assert_eq!(status(&[("Host", host)], "/"), None, "{host}");
            let origin = format!("http://{host}");
            let both = [("Host", host), ("Origin", origin.as_str())];
            assert_eq!(status(&both, "/"), None, "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        let refused = Some(StatusCode::FORBIDDEN);
        for host in [
            "",
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8000",
            "127.0.0.1:8000@evil.example",
            "127.0.0.1:",
            "192.168.0.7:8000",
            "löcalhost",
        ] {
            assert_eq!(status(&[("Host", host)], "/"), refused, "{host}");
        }
        let twice = [("Host", "localhost"), ("Host", "localhost")];
        assert_eq!(status(&twice, "/"), refused);
        assert_eq!(status(&[], "/"), refused);
        let absolute = "http://evil.example/v1/report";
        assert_eq!(status(&[("Host", "localhost")], absolute), refused);
        for origin in [
            "null",
            "http://evil.example",
            "https://localhost:8000",
            "http://localhost:9000",
            "http://127.0.0.1:8000",
        ] {
            let both = [("Host", "localhost:8000"), ("Origin", origin)];
            assert_eq!(status(&both, "/"), refused, "{origin}");
        }
    }
}
