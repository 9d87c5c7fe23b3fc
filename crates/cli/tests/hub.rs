//! Weights by name from a hub on loopback. The client is that of the feature `hub`.
#![cfg(feature = "hub")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

fn fixture(name: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/old_files");
    fixtures.join(name)
}

/// A hub with one file, `owner/name/best.ithn`; counts its requests.
struct Hub {
    endpoint: String,
    requests: Arc<AtomicUsize>,
}

impl Hub {
    fn serve(content: Vec<u8>, checksum: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::Relaxed);
                // A client that goes away is not the hub's concern.
                let _ = answer(stream.expect("a connection"), &content, &checksum);
            }
        });
        Hub { endpoint, requests }
    }

    fn generate(&self, home: &Path, name: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ithn"))
            .args(["generate", "--checkpoint", name])
            .arg(fixture("films/test-0-0.png"))
            .env("HF_ENDPOINT", &self.endpoint)
            .env("HF_HOME", home)
            .output()
            .expect("it starts")
    }
}

fn answer(mut stream: TcpStream, content: &[u8], checksum: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let known = line.starts_with("GET /owner/name/resolve/main/best.ithn ");
    let mut first = 0;
    let mut last = content.len() - 1;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if let Some(range) = header.strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').expect("a range");
            first = from.parse().expect("a number");
            last = to.parse().unwrap_or(last);
        }
        if header.is_empty() {
            break;
        }
    }
    if !known {
        return stream.write_all(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let part = &content[first..=last];
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {first}-{last}/{}\r\n\
         X-Repo-Commit: 0123456789abcdef\r\nX-Linked-Etag: \"{checksum}\"\r\nConnection: close\r\n\r\n",
        part.len(),
        content.len()
    )?;
    stream.write_all(part)?;
    stream.flush()?;
    // Until the client has read it all.
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.read(&mut [0]).map(drop)
}

fn sha256(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn a_checkpoint_is_fetched_once_and_checked() {
    let content = fs::read(fixture("checkpoints/r2gen.ithn")).expect("a checkpoint");
    let checksum = sha256(&content);
    let hub = Hub::serve(content, checksum);
    let home = tempfile::tempdir().expect("a folder");
    let fetched = hub.generate(home.path(), "hf:owner/name/best.ithn");
    assert!(fetched.status.success(), "{}", text(&fetched.stderr));
    let asked = hub.requests.load(Ordering::Relaxed);
    let kept = hub.generate(home.path(), "hf:owner/name/best.ithn");
    assert!(kept.status.success(), "{}", text(&kept.stderr));
    assert_eq!(text(&fetched.stdout), text(&kept.stdout));
    assert_eq!(hub.requests.load(Ordering::Relaxed), asked);
}

#[test]
fn another_checksum_than_stated_is_refused() {
    let content = fs::read(fixture("checkpoints/r2gen.ithn")).expect("a checkpoint");
    let hub = Hub::serve(content, sha256(b"something else"));
    let home = tempfile::tempdir().expect("a folder");
    let refused = hub.generate(home.path(), "hf:owner/name/best.ithn");
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        text(&refused.stderr).contains("another checksum"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let hub = Hub::serve(vec![0; 4], sha256(&[0; 4]));
    let home = tempfile::tempdir().expect("a folder");
    let refused = hub.generate(home.path(), "hf:owner/name/none.ithn");
    assert_eq!(refused.status.code(), Some(2));
    let error = text(&refused.stderr);
    assert!(
        error.contains("hf:owner/name/none.ithn") && error.contains("404"),
        "{error}"
    );
}
