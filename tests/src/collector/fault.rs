//! What a collector does wrong with a request.

use serde_json::json;

use super::hec;

/// What happens to one request. "Taken" is as without the fault: what the dialect refuses, it still
/// refuses; a client that is not let in is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// None: the request is answered well.
    Well,
    /// Answers this status and no body. From 200 to 299 the request is taken, else it is not.
    Status(u16),
    /// The same with a body.
    StatusWith(u16, String),
    /// Answers this status with `Retry-After`; nothing is taken.
    RetryAfter(u16, RetryAfter),
    /// Sends the client to this location with this status; nothing is taken.
    Redirect(u16, String),
    /// Answers 200 with this body; nothing is taken.
    OkWith(String),
    /// Answers as if the request were taken, and takes nothing. Only of Splunk with acknowledgement
    /// is that no lie: the `ackId` never becomes `true`.
    Lost,
    /// Reads so many bytes of the request, head included, and closes; a shorter request is read
    /// whole. Nothing is taken.
    CloseAtRequestByte(usize),
    /// Reads so many bytes of the request, then nothing more, and keeps the connection. Nothing is
    /// taken.
    StallAtRequestByte(usize),
    /// Reads the request, and closes.
    CloseBeforeAnswer {
        /// Whether it is taken first.
        taken: bool,
    },
    /// Reads the request, and resets the connection.
    Reset {
        /// Whether it is taken first.
        taken: bool,
    },
    /// Reads the request and never answers; until the client goes, or the collector dies.
    Stall {
        /// Whether it is taken first.
        taken: bool,
    },
    /// Takes the request, sends so many bytes of the answer, head included, and closes.
    CloseAtAnswerByte(usize),
    /// Takes the request and answers well, a byte each so many milliseconds.
    Trickle(u32),
    /// Takes the request and answers well, after so many milliseconds.
    Slow(u32),
    /// Answers with bytes that are no HTTP, and closes.
    Garbage {
        /// Whether the request is taken first.
        taken: bool,
    },
    /// Answers with a body of so many bytes, in chunks, so that no length is told beforehand. From
    /// 200 to 299 the request is taken.
    HugeAnswer {
        /// The status.
        status: u16,
        /// The length of the body in bytes.
        bytes: u64,
    },
    /// Answers 200 and headers without end: 1 GiB of them, if the client reads so long. Nothing is
    /// taken.
    EndlessHeaders,
}

/// The two forms of `Retry-After`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// After so many seconds.
    Seconds(u64),
    /// At the time so many seconds after it is answered, as a date; a negative one is past.
    Date(i64),
}

impl Fault {
    /// Splunk's answer with this code, with the status of its table; nothing is taken.
    #[must_use]
    pub fn hec(code: u16) -> Fault {
        let (status, text) = hec::code(code);
        let body = json!({"text": text, "code": code}).to_string();
        if status == 200 { Fault::OkWith(body) } else { Fault::StatusWith(status, body) }
    }

    /// After how many bytes of the request it strikes, where it does not let all come.
    pub(super) fn request_bytes(&self) -> Option<usize> {
        match self {
            Fault::CloseAtRequestByte(bytes) | Fault::StallAtRequestByte(bytes) => Some(*bytes),
            _ => None,
        }
    }

    /// Whether the request is still at work while it is answered.
    pub(super) fn answer_lasts(&self) -> bool {
        matches!(
            self,
            Fault::Stall { .. }
                | Fault::Trickle(_)
                | Fault::HugeAnswer { .. }
                | Fault::EndlessHeaders
        )
    }

    /// Whether the dialect gets the request.
    pub(super) fn takes(&self) -> bool {
        match self {
            Fault::Well
            | Fault::CloseAtAnswerByte(_)
            | Fault::Trickle(_)
            | Fault::Slow(_)
            // The dialect answers; it takes nothing.
            | Fault::Lost => true,
            Fault::Status(status)
            | Fault::StatusWith(status, _)
            | Fault::HugeAnswer { status, .. } => (200..300).contains(status),
            Fault::CloseBeforeAnswer { taken }
            | Fault::Reset { taken }
            | Fault::Stall { taken }
            | Fault::Garbage { taken } => *taken,
            Fault::RetryAfter(..)
            | Fault::Redirect(..)
            | Fault::OkWith(_)
            | Fault::CloseAtRequestByte(_)
            | Fault::StallAtRequestByte(_)
            | Fault::EndlessHeaders => false,
        }
    }
}
