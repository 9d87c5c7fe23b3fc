//! `ithn serve` over real connections on loopback, with a small checkpoint of the fixtures.

#[path = "serve/client.rs"]
mod client;
#[path = "serve/context.rs"]
mod context;
#[path = "serve/running.rs"]
mod running;

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ithn::inference::{FilmStudy, WrittenReport};
use ithn_cli::serve::Limits;
use serde_json::Value;

use client::{Answer, film, multipart};
use running::{Gate, Panicky, Program, Running, Serving, writer};

/// Posts a body without any header but what HTTP needs.
fn post(server: &impl Serving, body: &[u8]) -> Answer {
    server.request("POST", "/v1/report", &[], body)
}

fn post_as(server: &impl Serving, content_type: &str, body: &[u8]) -> Answer {
    let headers = [("Content-Type", content_type)];
    server.request("POST", "/v1/report", &headers, body)
}

/// Texts, scores and ends of an answer are those of the writer.
#[track_caller]
fn assert_reports(answer: &Answer, expected: &[WrittenReport]) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reports = answer.json()["reports"].as_array().expect("a list").clone();
    assert_eq!(reports.len(), expected.len());
    for (found, expected) in reports.iter().zip(expected) {
        assert_eq!(found["text"], expected.text.as_str());
        assert_eq!(found["finished"], expected.finished);
        let score = found["score"].as_f64().expect("a number");
        assert!((score - expected.score).abs() < 1e-5 * expected.score.abs().max(1.0));
    }
}

#[track_caller]
fn assert_error(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json = answer.json();
    let text = json["error"].as_str().expect("a sentence");
    assert!(text.contains(words), "{text}");
}

#[test]
fn reports_equal_those_of_the_writer_however_films_arrive() {
    let server = Running::start("r2gen_cmn.ithn", Limits::default());
    let direct = writer("r2gen_cmn.ithn", 3);
    for name in ["test-0-0.png", "test-1-0.png"] {
        let bytes = film(name);
        let study = FilmStudy::new(name, [bytes.clone()]);
        let expected = direct.reports(&[study]).expect("a sound film").remove(0);
        assert_eq!(expected.len(), 3);
        assert_reports(&post(&server, &bytes), &expected);
        for content_type in [
            "image/jpeg",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=nothing",
        ] {
            assert_reports(&post_as(&server, content_type, &bytes), &expected);
        }
        let (content_type, form) = multipart(&[(name, &bytes)]);
        let answer = post_as(&server, &content_type, &form);
        assert_reports(&answer, &expected);
        assert_eq!(answer.json()["id"], name);
        // The boundary stands in the body too.
        assert_reports(&post_as(&server, "text/plain", &form), &expected);
        assert_reports(&post(&server, &form), &expected);
    }
}

#[test]
fn films_beyond_the_views_are_named_and_the_views_make_one_study() {
    let server = Running::start("r2gen.ithn", Limits::default());
    let direct = writer("r2gen.ithn", 3);
    assert_eq!(direct.views(), 2);
    let films = ["test-0-0.png", "test-0-1.png", "test-1-0.png"].map(|name| (name, film(name)));
    let named: Vec<(&str, &[u8])> = films
        .iter()
        .map(|(name, film)| (*name, &film[..]))
        .collect();
    let (content_type, form) = multipart(&named);
    let answer = post_as(&server, &content_type, &form);
    let study = FilmStudy::new("test-0-0.png", [films[0].1.clone(), films[1].1.clone()]);
    let expected = direct.reports(&[study]).expect("sound films").remove(0);
    assert_reports(&answer, &expected);
    let json = answer.json();
    assert_eq!(
        json["films"],
        serde_json::json!(["test-0-0.png", "test-0-1.png"])
    );
    assert_eq!(json["unused_films"], serde_json::json!(["test-1-0.png"]));
}

#[test]
fn findings_and_attention_come_with_the_report() {
    let server = Running::start("r2gen_cmn.ithn", Limits::default());
    let bytes = film("test-0-0.png");
    let plain = post(&server, &bytes).json();
    assert!(plain.get("sheet").is_none());
    let path = "/v1/report?explain=true&id=study%207";
    let answer = server.request("POST", path, &[], &bytes).json();
    assert_eq!(answer["id"], "study 7");
    assert_eq!(answer["notice"], "Research software, not for clinical use.");
    assert_eq!(answer["checkpoint"], "r2gen_cmn.ithn");
    assert_eq!(answer["reports"], plain["reports"]);
    let best = &answer["reports"][0];
    let text = best["text"].as_str().expect("a text");
    let labels = ithn::metrics::label(text);
    assert_eq!(best["findings"]["labeler"], ithn::metrics::LABELER);
    let found = best["findings"]["mentions"].as_array().expect("a list");
    assert_eq!(found.len(), labels.mentions.len());
    for (found, mention) in found.iter().zip(&labels.mentions) {
        assert_eq!(found["words"], text[mention.span.clone()]);
        assert_eq!(found["status"], serde_json::json!(mention.status));
    }
    let listed = best["findings"]["labels"].as_array().expect("a list");
    let spoken = labels.statuses.iter().flatten().count();
    assert_eq!(listed.len(), spoken);

    let study = FilmStudy::new("study 7", [bytes]);
    let sheet = writer("r2gen_cmn.ithn", 3).explain(&study).expect("sound");
    let words: Vec<&str> = sheet.words.iter().map(String::as_str).collect();
    assert_eq!(answer["sheet"]["words"], serde_json::json!(words));
    let maps = sheet.attention.expect("it has attention");
    assert_eq!(answer["sheet"]["attention"]["rows"], maps.rows);
    assert_eq!(answer["sheet"]["images"].as_array().map(Vec::len), Some(1));
}

#[test]
fn bad_films_are_refused_in_words_and_the_server_goes_on() {
    let server = Running::start("r2gen_cmn.ithn", Limits::default());
    let good = film("test-0-0.png");
    assert_error(&post(&server, b""), 400, "no body");
    assert_error(&post(&server, b"<html>sign in"), 415, "web page");
    assert_error(&post(&server, b"GIF89a..."), 415, "GIF");
    assert_error(
        &post(&server, &good[..good.len() / 2]),
        422,
        "cannot decode",
    );
    assert_error(&post(&server, &bomb()), 422, "limits");
    let (content_type, form) = multipart(&[("folder/broken.png", &good[..40])]);
    let answer = post_as(&server, &content_type, &form);
    assert_error(&answer, 422, "image broken.png");
    let (content_type, form) = multipart(&[("notes.txt", b"to do")]);
    assert_error(
        &post_as(&server, &content_type, &form),
        415,
        "notes.txt: it is a text",
    );
    let (content_type, form) = multipart(&[("a.png", b"")]);
    assert_error(
        &post_as(&server, &content_type, &form),
        415,
        "an empty file",
    );
    let cut = &form[..form.len() - 8];
    assert_error(&post_as(&server, &content_type, cut), 400, "multipart");
    assert_error(
        &post_as(&server, &content_type, b"--boundary--\r\n"),
        400,
        "",
    );
    if !cfg!(feature = "dicom") {
        let dicom = [&[0; 128], &b"DICM"[..]].concat();
        assert_error(&post(&server, &dicom), 415, "cargo feature `dicom`");
    }
    let unknown = server.request("POST", "/v1/report?beam=3", &[], &good);
    assert_error(&unknown, 400, "beam");
    let empty = server.request("POST", "/v1/report?id=", &[], &good);
    assert_error(&empty, 400, "id");
    assert_error(&server.request("GET", "/v1/report", &[], b""), 405, "POST");
    assert_error(&server.request("GET", "/v2", &[], b""), 404, "GET /");
    assert_eq!(post(&server, &good).status, 200);
}

/// A PNG whose header claims more pixels than are ever decoded.
fn bomb() -> Vec<u8> {
    let mut bytes = film("test-0-0.png");
    bytes[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

#[test]
fn more_than_the_limits_is_refused() {
    let mut limits = Limits::default();
    limits.body_bytes = 64 << 10;
    limits.films = 3;
    limits.megapixels = 1;
    let server = Running::start("r2gen_cmn.ithn", limits);
    let large = vec![b'x'; (64 << 10) + 1];
    assert_error(&post(&server, &large), 413, "65536 bytes");
    let chunked = server.chunked("/v1/report", &large);
    assert_error(&chunked, 413, "larger than");
    let mut png = std::io::Cursor::new(Vec::new());
    let image = image::GrayImage::new(1001, 1000);
    image
        .write_to(&mut png, image::ImageFormat::Png)
        .expect("written");
    assert_error(&post(&server, png.get_ref()), 413, "1001×1000 pixels");
    let good = film("test-0-0.png");
    let (content_type, form) = multipart(&[("film.png", &good[..]); 4]);
    assert_error(&post_as(&server, &content_type, &form), 413, "3 files");
    assert_eq!(server.chunked("/v1/report", &good).status, 200);
}

#[test]
fn foreign_hosts_and_origins_are_refused_and_answers_are_guarded() {
    let server = Running::start("r2gen_cmn.ithn", Limits::default());
    let good = film("test-0-0.png");
    let foreign = server.request("POST", "/v1/report", &[("Host", "evil.example")], &good);
    assert_error(&foreign, 403, "evil.example");
    for origin in ["http://evil.example", "null"] {
        let answer = server.request("POST", "/v1/report", &[("Origin", origin)], &good);
        assert_error(&answer, 403, origin);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let own = format!("http://{}", server.address());
    let answer = server.request("POST", "/v1/report", &[("Origin", &own)], &good);
    assert_eq!(answer.status, 200);
    let page = server.request("GET", "/", &[], b"");
    assert_eq!(page.status, 200);
    assert!(
        page.text()
            .contains("Research software, not for clinical use.")
    );
    assert!(page.text().contains("r2gen_cmn.ithn"));
    for answer in [
        page,
        answer,
        foreign,
        server.request("GET", "/page.js", &[], b""),
    ] {
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let health = server.request("GET", "/healthz", &[], b"").json();
    assert_eq!(health["status"], "ok");
    assert_eq!(
        (&health["requests"], &health["views"]),
        (&Value::from(0), &Value::from(1))
    );
}

#[test]
fn a_full_queue_answers_503_and_loses_nothing() {
    let mut limits = Limits::default();
    limits.queue = 2;
    let gate = Gate::closed();
    let server = Running::with(limits, gate.writer());
    let good = film("test-0-0.png");
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| post(&server, &good)))
            .collect();
        server.wait_for_requests(2);
        let refused = post(&server, &good);
        assert_error(&refused, 503, "2 requests");
        assert_eq!(refused.header("retry-after"), Some("1"));
        gate.open();
        for request in waiting {
            assert_eq!(request.join().expect("no panic").status, 200);
        }
    });
    server.wait_for_requests(0);
    assert_eq!(post(&server, &good).status, 200);
}

#[test]
fn films_that_fill_the_memory_set_aside_are_refused() {
    let mut limits = Limits::default();
    limits.body_bytes = 4096;
    limits.all_bodies_bytes = 4096;
    limits.patience = Duration::from_secs(60);
    let server = Running::start("r2gen_cmn.ithn", limits);
    let half = server.begin("/v1/report", 4096, &[b'x'; 3600]);
    server.wait_for_requests(1);
    let good = film("test-0-0.png");
    // The first request's bytes are counted once they have been read.
    let refused = (0..500).map(|_| post(&server, &good)).find(|answer| {
        std::thread::sleep(Duration::from_millis(5));
        answer.status != 200
    });
    assert_error(&refused.expect("it fills"), 503, "memory");
    drop(half);
    server.wait_for_requests(0);
    assert_eq!(post(&server, &good).status, 200);
}

#[test]
fn a_body_that_does_not_arrive_is_given_up() {
    let mut limits = Limits::default();
    limits.patience = Duration::from_millis(200);
    let server = Running::start("r2gen_cmn.ithn", limits);
    let mut half = server.begin("/v1/report", 4096, b"half");
    let answer = client::read(&mut half).expect("an answer");
    assert_error(&answer, 408, "did not arrive");
    // A connection that never sends a request ends too.
    let mut silent = TcpStream::connect(server.address()).expect("it listens");
    silent.write_all(b"GET / HTT").expect("sent");
    assert!(client::read(&mut silent).is_none_or(|answer| answer.status == 408));
    server.wait_for_requests(0);
}

#[test]
fn a_panic_in_inference_answers_500_and_fails_alone() {
    let server = Running::with(Limits::default(), Panicky(writer("r2gen_cmn.ithn", 1)));
    let good = film("test-0-0.png");
    let ask = |id: &str| server.request("POST", &format!("/v1/report?id={id}"), &[], &good);
    std::thread::scope(|scope| {
        let ids = ["a", "panic", "b", "panic", "c", "d", "panic"];
        let answers = ids.map(|id| (id, scope.spawn(move || ask(id))));
        for (id, answer) in answers {
            let answer = answer.join().expect("no panic");
            match id {
                "panic" => assert_error(&answer, 500, "as asked"),
                _ => assert_eq!(answer.status, 200, "{}", answer.text()),
            }
        }
    });
    assert_eq!(ask("after").status, 200);
}

/// 200 requests of 16 clients, every fifth of them bad: each gets its answer, and memory stays.
#[test]
fn a_load_of_good_and_bad_requests_loses_nothing_and_keeps_its_memory() {
    let server = Program::start("r2gen_cmn.ithn");
    let direct = writer("r2gen_cmn.ithn", 3);
    let names = ["test-0-0.png", "test-1-0.png", "val-0-0.png", "val-1-0.png"];
    let films = names.map(film);
    let texts = films.clone().map(|film| {
        let study = FilmStudy::new("film", [film]);
        let reports = direct.reports(&[study]).expect("sound");
        reports[0][0].text.clone()
    });
    let load = |requests: usize| {
        let next = AtomicUsize::new(0);
        let answered = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= requests {
                            break;
                        }
                        let which = number % films.len();
                        let film = &films[which];
                        let (answer, expected) = match number % 10 {
                            4 => (post(&server, b"no film at all"), 415),
                            9 => (post(&server, &film[..film.len() / 2]), 422),
                            7 => {
                                let (content_type, form) = multipart(&[("film.png", film)]);
                                (post_as(&server, &content_type, &form), 200)
                            }
                            _ => (post(&server, film), 200),
                        };
                        assert_eq!(answer.status, expected, "{}", answer.text());
                        if expected == 200 {
                            assert_eq!(answer.json()["reports"][0]["text"], texts[which].as_str());
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        answered.load(Ordering::Relaxed)
    };
    assert_eq!(load(100), 100);
    let before = server.resident_megabytes();
    assert_eq!(load(200), 200);
    if let (Some(before), Some(after)) = (before, server.resident_megabytes()) {
        println!("resident: {before} MB after 100 requests, {after} MB after 300");
        assert!(after < before + 32, "{before} MB, then {after} MB");
    }
    server.wait_for_requests(0);
}

#[test]
fn an_interruption_lets_requests_at_work_end() {
    let gate = Gate::closed();
    let mut server = Running::with(Limits::default(), gate.writer());
    let good = film("test-0-0.png");
    let address = server.address();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client::request(address, "POST", "/v1/report", &[], &good));
        server.wait_for_requests(1);
        server.interrupt();
        server.wait_until_closed();
        gate.open();
        assert_eq!(waiting.join().expect("no panic").status, 200);
    });
    assert!(server.ended().is_ok());
    assert!(TcpStream::connect(address).is_err());
}

/// SIGTERM and Ctrl-C.
#[cfg(unix)]
#[test]
fn a_signal_ends_the_program_with_code_0() {
    for signal in ["TERM", "INT"] {
        let server = Program::start("r2gen_cmn.ithn");
        assert_eq!(post(&server, &film("test-0-0.png")).status, 200);
        assert_eq!(server.end_by(signal), Some(0), "{signal}");
    }
}

#[test]
fn a_taken_port_is_an_error() {
    let server = Running::start("r2gen_cmn.ithn", Limits::default());
    let port = server.address().port();
    assert!(ithn_cli::serve::Server::bind(port, Limits::default()).is_err());
}
