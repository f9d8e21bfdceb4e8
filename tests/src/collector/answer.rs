//! Answers, and how they go wrong on their way.

use std::io::{self, Write as _};
use std::time::{Duration, SystemTime};

use super::fault::{Fault, RetryAfter};
use super::stream::{Ended, Stream};

/// Much more than a client should read, and it ends all the same, in bytes.
const ENDLESS_BYTES: u64 = 1 << 30;
/// How much of a long answer is written at once, in bytes.
const CHUNK_BYTES: usize = 16 << 10;

/// An answer that is whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Answer {
    /// With a body of JSON, or none.
    pub fn new(status: u16, body: impl Into<String>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into() }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn head(&self) -> String {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    /// As it goes over the network.
    pub fn bytes(&self, method: &str, keep_alive: bool) -> Vec<u8> {
        let mut text = self.head();
        if !keep_alive {
            text += "Connection: close\r\n";
        }
        if !self.body.is_empty() {
            text += "Content-Type: application/json\r\n";
        }
        // A status that has no body has no length either.
        let bodiless = matches!(self.status, 204 | 304);
        if !bodiless {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        if !bodiless && method != "HEAD" {
            text += &self.body;
        }
        text.into_bytes()
    }
}

/// What is answered with the fault, given how the dialect would. `None` where no status is told.
pub fn with_fault(fault: &Fault, well: Answer) -> Option<Answer> {
    let or_refusal = |answer: Answer| {
        // What the dialect refuses is not made good by the fault.
        if answer.is_good() && !well.is_good() { well.clone() } else { answer }
    };
    Some(match fault {
        Fault::Well
        | Fault::Lost
        | Fault::CloseAtAnswerByte(_)
        | Fault::Trickle(_)
        | Fault::Slow(_) => well,
        Fault::Status(status) | Fault::HugeAnswer { status, .. } => {
            or_refusal(Answer::new(*status, ""))
        }
        Fault::StatusWith(status, body) => or_refusal(Answer::new(*status, body)),
        Fault::RetryAfter(status, after) => {
            Answer::new(*status, "").with("Retry-After", after.value())
        }
        Fault::Redirect(status, location) => Answer::new(*status, "").with("Location", location),
        Fault::OkWith(body) => Answer::new(200, body),
        Fault::EndlessHeaders => Answer::new(200, ""),
        Fault::CloseAtRequestByte(_)
        | Fault::StallAtRequestByte(_)
        | Fault::CloseBeforeAnswer { .. }
        | Fault::Reset { .. }
        | Fault::Stall { .. }
        | Fault::Garbage { .. } => return None,
    })
}

impl RetryAfter {
    fn value(self) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::Date(seconds) => {
                let distance = Duration::from_secs(seconds.unsigned_abs());
                let now = SystemTime::now();
                let at = if seconds < 0 { now - distance } else { now + distance };
                httpdate::fmt_http_date(at)
            }
        }
    }
}

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// With another request.
    Request,
    /// It ends as the protocol wants.
    Finish,
    /// It is closed.
    Close,
}

/// Sends the answer as the fault wants it.
pub fn send(
    stream: &mut Stream,
    fault: &Fault,
    answer: Option<&Answer>,
    (method, keep_alive): (&str, bool),
) -> io::Result<Next> {
    let next = if keep_alive { Next::Request } else { Next::Finish };
    let Some(answer) = answer else {
        return send_no_answer(stream, fault).map(|()| Next::Close);
    };
    match fault {
        Fault::CloseAtAnswerByte(count) => {
            let bytes = answer.bytes(method, keep_alive);
            write(stream, &bytes[..bytes.len().min(*count)])?;
            Ok(Next::Close)
        }
        Fault::Trickle(millis) => {
            for byte in answer.bytes(method, keep_alive) {
                write(stream, &[byte])?;
                if stream.await_end(Some(Duration::from_millis((*millis).into())))? == Ended::Yes {
                    return Ok(Next::Close);
                }
            }
            Ok(next)
        }
        Fault::HugeAnswer { bytes, .. } => {
            let head = answer.head() + "Transfer-Encoding: chunked\r\n\r\n";
            write(stream, head.as_bytes())?;
            repeat(stream, "x", *bytes, |piece| format!("{:x}\r\n{piece}\r\n", piece.len()))?;
            write(stream, b"0\r\n\r\n")?;
            Ok(next)
        }
        Fault::EndlessHeaders => {
            write(stream, answer.head().as_bytes())?;
            repeat(stream, "X-More: and more\r\n", ENDLESS_BYTES, str::to_owned)?;
            Ok(Next::Close)
        }
        _ => {
            write(stream, &answer.bytes(method, keep_alive))?;
            Ok(next)
        }
    }
}

fn send_no_answer(stream: &mut Stream, fault: &Fault) -> io::Result<()> {
    match fault {
        Fault::Garbage { .. } => write(stream, b"\x16\x03 this is no HTTP \xff\xfe\r\n\r\n\0\0"),
        Fault::Stall { .. } | Fault::StallAtRequestByte(_) => {
            stream.await_end(None)?;
            Ok(())
        }
        Fault::Reset { .. } => stream.reset_at_close(),
        _ => Ok(()),
    }
}

/// Writes the text again and again, up to so many bytes, each piece as `frame` makes it.
fn repeat(
    stream: &mut Stream,
    text: &str,
    bytes: u64,
    frame: impl Fn(&str) -> String,
) -> io::Result<()> {
    let piece = text.repeat(CHUNK_BYTES / text.len());
    let framed = frame(&piece);
    let pieces = bytes / piece.len() as u64;
    for _ in 0..pieces {
        write(stream, framed.as_bytes())?;
    }
    let rest = (bytes % piece.len() as u64) as usize;
    if rest > 0 {
        write(stream, frame(&piece[..rest]).as_bytes())?;
    }
    Ok(())
}

fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// What stands behind a status, which nobody reads but people.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "As Scripted",
    }
}
