//! Proves the collector with raw sockets and curl: nothing here depends on the sinks that it is for.

mod dialects;
mod elasticsearch;
mod faults;
mod hec;
mod tls;

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};

use shipper_tests::collector::Collector;
use shipper_tests::process::LIMIT;

/// An answer as it came.
#[derive(Debug, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("an answer of JSON")
    }
}

fn connect(collector: &Collector) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, collector.port()))?;
    // Nothing here waits so long; it fails instead of hanging.
    socket.set_read_timeout(Some(LIMIT))?;
    Ok(socket)
}

/// Sends bytes on a connection of their own, and reads until it is closed.
fn send(collector: &Collector, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut socket = connect(collector)?;
    socket.write_all(bytes)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    Ok(answer)
}

/// A request that asks for its connection to be closed.
fn request(method: &str, path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: collector\r\nConnection: close\r\n");
    for header in headers {
        text += &format!("{header}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n", body.len());
    [text.as_bytes(), body].concat()
}

fn parse(bytes: &[u8]) -> anyhow::Result<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(bytes)? else {
        anyhow::bail!("an answer that breaks off: {:?}", String::from_utf8_lossy(bytes));
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Answer {
        status: head.code.unwrap_or_default(),
        headers: head.headers.iter().map(|it| (it.name.to_owned(), text(it.value))).collect(),
        body: text(&bytes[length..]),
    })
}

fn call(
    collector: &Collector,
    (method, path): (&str, &str),
    headers: &[&str],
    body: &[u8],
) -> anyhow::Result<Answer> {
    parse(&send(collector, &request(method, path, headers, body))?)
}

const NDJSON: &str = "Content-Type: application/x-ndjson";

fn line(id: &str) -> String {
    format!("{{\"event\":{{\"id\":\"{id}\"}}}}\n")
}

/// A good request with this event, to a generic collector.
fn post(id: &str) -> Vec<u8> {
    request("POST", "/ingest", &[NDJSON], line(id).as_bytes())
}

/// Runs curl, and gives its exit status and what it wrote. `None`: skipped, there is none.
fn curl(args: &[&str], body: &[u8]) -> anyhow::Result<Option<(i32, String)>> {
    let child = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "60"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            shipper_tests::skip("there is no curl");
            return Ok(None);
        }
        other => other?,
    };
    // Closed after that; a curl that does not want it all has its reasons.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(body));
    let output = child.wait_with_output()?;
    let code = output.status.code().unwrap_or(-1);
    Ok(Some((code, String::from_utf8_lossy(&output.stdout).into_owned())))
}
