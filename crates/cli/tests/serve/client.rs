//! A small HTTP client over `TcpStream`: one request per connection.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// After this long a request counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer of the server.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A folder of the fixtures.
pub fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/old_files")
        .join(folder)
}

/// The bytes of a film of the fixtures.
pub fn film(name: &str) -> Vec<u8> {
    fs::read(fixtures("films").join(name)).expect("a film")
}

/// A field of a form.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A name, a file's name and its content.
    File(&'a str, &'a str, &'a [u8]),
    /// A name and a text.
    Text(&'a str, &'a str),
}

/// Files as multipart/form-data: its content type and the body.
pub fn multipart(files: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let parts: Vec<Part> = files
        .iter()
        .map(|(name, content)| Part::File("film", name, content))
        .collect();
    form(&parts)
}

/// Fields as multipart/form-data: its content type and the body.
pub fn form(parts: &[Part]) -> (String, Vec<u8>) {
    let boundary = "a-boundary-27";
    let mut body = Vec::new();
    for part in parts {
        let (head, content) = match part {
            Part::File(field, name, content) => (
                format!(
                    "name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream"
                ),
                *content,
            ),
            Part::Text(field, text) => (format!("name=\"{field}\""), text.as_bytes()),
        };
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// The head of a request; `headers` take the place of those of the same name.
pub fn head(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    length: Option<usize>,
) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        head += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(length) = length {
        head += &format!("Content-Length: {length}\r\n");
    }
    head + "\r\n"
}

/// Opens a connection and sends bytes.
pub fn send(address: SocketAddr, parts: &[&[u8]]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for part in parts {
        stream.write_all(part).expect("sent");
    }
    stream
}

/// One request and its answer.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let length = (method == "POST").then_some(body.len());
    let head = head(address, method, path, headers, length);
    let mut stream = send(address, &[head.as_bytes(), body]);
    read(&mut stream).expect("an answer")
}

/// The answer on a connection that the server closes; `None` if it says nothing.
pub fn read(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the answer ends");
    if bytes.is_empty() {
        return None;
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = bytes[end + 4..].to_vec();
    Some(Answer {
        status,
        headers,
        body,
    })
}
