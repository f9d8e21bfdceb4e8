//! Reads requests from a connection, byte for byte as HTTP/1.1 wants them.

use std::io::{self, Read, Write as _};

use super::stream::Stream;

/// The longest head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest body as it comes, and decompressed, in bytes.
const BODY_BYTES_MAX: usize = 256 << 20;
const HEADERS_MAX: usize = 100;
const READ_BYTES: usize = 64 << 10;

/// Why a request did not come whole.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// So many bytes came as were to be read.
    #[error("enough of it was read")]
    Enough,
    /// The client closed before the end. Nothing is wrong with that between requests.
    #[error("the client closed")]
    Closed,
    /// The network, or TLS, or the connection was closed here.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is no HTTP, or no body.
    #[error("{0}")]
    Malformed(String),
}

fn malformed<T>(what: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Malformed(what.into()))
}

/// A request that came whole.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came.
    pub body_bytes: usize,
    /// Decompressed.
    pub body: Vec<u8>,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

impl Request {
    /// The path without its query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// A value in the query, as it stands there.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The value of the first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The media type without its parameters.
    pub fn content_type(&self) -> Option<&str> {
        self.header("content-type").map(|value| value.split(';').next().unwrap_or(value).trim())
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// What came on a connection and was not used yet.
pub struct Inbox<'a> {
    stream: &'a mut Stream,
    buffer: Vec<u8>,
    /// How many bytes of the present request came, and at how many to stop.
    came: usize,
    stop_at: Option<usize>,
}

impl<'a> Inbox<'a> {
    pub fn new(stream: &'a mut Stream) -> Inbox<'a> {
        Inbox { stream, buffer: Vec::new(), came: 0, stop_at: None }
    }

    pub fn stream(&mut self) -> &mut Stream {
        self.stream
    }

    /// Waits for the first line of a request, and gives its target; empty where there is none.
    pub fn await_request(&mut self) -> Result<String, ReadError> {
        self.came = self.buffer.len();
        self.stop_at = None;
        if self.buffer.is_empty() {
            self.fill()?;
        }
        // Such as a handshake of TLS: servers do not wait for the end of its line.
        if !self.buffer[0].is_ascii_graphic() {
            return malformed("no HTTP");
        }
        let end = self.find(b"\r\n")?;
        let line = String::from_utf8_lossy(&self.buffer[..end]);
        Ok(line.split(' ').nth(1).unwrap_or_default().to_owned())
    }

    /// Reads the rest of the request whose first line came, but at most so many bytes of it all.
    pub fn read_request(&mut self, stop_at: Option<usize>) -> Result<Request, ReadError> {
        self.stop_at = stop_at;
        let head_end = self.find(b"\r\n\r\n")? + 4;
        let mut request = parse_head(&self.buffer[..head_end])?;
        self.buffer.drain(..head_end);
        let expects = request.header("expect");
        if expects.is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.stream.flush()?;
        }
        let body = self.read_body(&request)?;
        // Of a request that is shorter than what was to be read, all was read.
        if self.stop_at.is_some() {
            return Err(ReadError::Enough);
        }
        request.body_bytes = body.len();
        request.body = decode(body, request.header("content-encoding"))?;
        Ok(request)
    }

    fn read_body(&mut self, request: &Request) -> Result<Vec<u8>, ReadError> {
        let length = request.header("content-length");
        match (request.header("transfer-encoding"), length) {
            (None, None) => Ok(Vec::new()),
            (None, Some(length)) => match length.parse::<usize>() {
                Ok(length) if length <= BODY_BYTES_MAX => self.take(length),
                _ => malformed(format!("Content-Length: {length}")),
            },
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => self.read_chunks(),
            (Some(coding), _) => malformed(format!("Transfer-Encoding: {coding}, {length:?}")),
        }
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>, ReadError> {
        let mut body = Vec::new();
        loop {
            let line_end = self.find(b"\r\n")? + 2;
            let line: Vec<u8> = self.buffer.drain(..line_end).collect();
            let Ok(httparse::Status::Complete((_, length))) = httparse::parse_chunk_size(&line)
            else {
                return malformed("the size of a chunk");
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > BODY_BYTES_MAX - body.len() {
                return malformed("chunks without end");
            }
            if length == 0 {
                break;
            }
            body.extend(self.take(length)?);
            if self.take(2)? != b"\r\n" {
                return malformed("a chunk longer than it says");
            }
        }
        // Trailers, up to an empty line.
        loop {
            let line_end = self.find(b"\r\n")? + 2;
            self.buffer.drain(..line_end);
            if line_end == 2 {
                return Ok(body);
            }
        }
    }

    /// Takes so many bytes.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, ReadError> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// Where these bytes begin, which end a line or the head.
    fn find(&mut self, what: &[u8]) -> Result<usize, ReadError> {
        let mut from = 0;
        loop {
            let found = self.buffer[from..].windows(what.len()).position(|bytes| bytes == what);
            if let Some(at) = found {
                return Ok(from + at);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return malformed("a head without end");
            }
            from = self.buffer.len().saturating_sub(what.len() - 1);
            self.fill()?;
        }
    }

    /// Reads more.
    fn fill(&mut self) -> Result<(), ReadError> {
        let wanted = match self.stop_at {
            None => READ_BYTES,
            Some(stop_at) => READ_BYTES.min(stop_at.saturating_sub(self.came)),
        };
        if wanted == 0 {
            return Err(ReadError::Enough);
        }
        let held = self.buffer.len();
        self.buffer.resize(held + wanted, 0);
        let count = self.stream.read(&mut self.buffer[held..]);
        self.buffer.truncate(held + *count.as_ref().unwrap_or(&0));
        match count {
            Ok(0) => Err(ReadError::Closed),
            Ok(count) => {
                self.came += count;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn parse_head(head: &[u8]) -> Result<Request, ReadError> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return malformed("no head"),
        Err(error) => return malformed(format!("no HTTP: {error}")),
    }
    let mut headers = Vec::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = field.name.to_ascii_lowercase();
        let Ok(value) = str::from_utf8(field.value) else {
            return malformed(format!("the value of {name}"));
        };
        headers.push((name, value.to_owned()));
    }
    let connection = header(&headers, "connection").unwrap_or_default().to_ascii_lowercase();
    let keep_alive = parsed.version == Some(1) && !connection.contains("close");
    if parsed.version == Some(1) && header(&headers, "host").is_none() {
        return malformed("no Host");
    }
    Ok(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        headers,
        body_bytes: 0,
        body: Vec::new(),
        keep_alive,
    })
}

fn decode(body: Vec<u8>, encoding: Option<&str>) -> Result<Vec<u8>, ReadError> {
    let decoder: Box<dyn Read + '_> = match encoding {
        None | Some("identity") => return Ok(body),
        Some("gzip") => Box::new(flate2::read::MultiGzDecoder::new(body.as_slice())),
        Some("zstd") => match zstd::Decoder::new(body.as_slice()) {
            Ok(decoder) => Box::new(decoder),
            Err(error) => return malformed(format!("zstd: {error}")),
        },
        Some(other) => return malformed(format!("Content-Encoding: {other}")),
    };
    let mut decoded = Vec::new();
    match decoder.take(BODY_BYTES_MAX as u64).read_to_end(&mut decoded) {
        Ok(_) if decoded.len() < BODY_BYTES_MAX => Ok(decoded),
        Ok(_) => malformed("a body that grows without end"),
        Err(error) => malformed(format!("{}: {error}", encoding.unwrap_or_default())),
    }
}
