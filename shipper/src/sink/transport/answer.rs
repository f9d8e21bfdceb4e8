//! What came back, and what its status means (RFC 9110, RFC 6585).

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};

use super::credentials::Credentials;
use crate::format::visible;
use crate::sink::Outcome;

/// Most characters of an answer that a message repeats.
const QUOTED_CHARS_MAX: usize = 300;

/// What to do about a proxy that wants another login.
pub const PROXY_REFUSES: &str = "the proxy does not accept these credentials; see `proxy`, or HTTPS_PROXY and HTTP_PROXY in the environment of shipper";

/// An answer, read to its end.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body, or as much of it as was asked for.
    pub body: Vec<u8>,
    /// All of the body is there.
    pub is_whole: bool,
    /// Not before this long, if it says so.
    pub after: Option<Duration>,
    /// Place of the URL that answered.
    pub endpoint: usize,
    /// Who answered what, in words, without anything secret.
    pub words: String,
}

/// What a status means for what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It was taken.
    Done,
    /// Trying again may help.
    Again,
    /// Somebody has to mend something.
    Blocked,
    /// It is too much at once.
    TooLarge,
    /// Something in it is not taken.
    Refused,
}

/// An answer of which it is not yet said who gave it.
pub struct Anonymous {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    is_whole: bool,
}

impl Answer {
    /// What the status says.
    #[must_use]
    pub fn class(&self) -> Class {
        class(self.status)
    }

    /// What became of a batch of `count` events and `bytes` bytes, for a status that is not
    /// [`Class::Done`].
    #[must_use]
    pub fn outcome(&self, count: usize, bytes: usize) -> Outcome {
        let cause = self.words.clone();
        match self.class() {
            Class::Done | Class::Again => Outcome::Retry { cause, after: self.after },
            Class::Blocked => Outcome::Blocked { cause },
            // How much would be taken is not said: a single event is tried shorter and shorter.
            Class::TooLarge => {
                Outcome::TooLarge { cause, bytes_max: (count == 1).then_some(bytes / 2) }
            }
            Class::Refused => Outcome::Refused { cause },
        }
    }
}

impl Anonymous {
    /// Reads the body, at most so many bytes of it.
    ///
    /// # Errors
    /// When the connection ends before the body does, or time is over.
    pub async fn read(
        mut response: reqwest::Response,
        bytes_max: usize,
    ) -> Result<Anonymous, reqwest::Error> {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let mut is_whole = true;
        while let Some(chunk) = response.chunk().await? {
            let room = bytes_max - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                is_whole = false;
                break;
            }
        }
        Ok(Anonymous { status, headers, body, is_whole })
    }

    /// The answer of the URL at this place, shown like this.
    pub fn of(self, endpoint: usize, shown: &str, credentials: &Credentials) -> Answer {
        let Anonymous { status, headers, body, is_whole } = self;
        let mut words = format!("{shown} answered {status}");
        if let Some(advice) = advice(status) {
            words = format!("{words}: {advice}");
        }
        if status.is_redirection()
            && let Some(location) = headers.get(LOCATION)
        {
            let location = String::from_utf8_lossy(location.as_bytes());
            let location = location.split(['?', '#']).next().unwrap_or_default();
            words = format!("{words}: {}", visible::escape(&credentials.without(location)));
        }
        if let Some(quoted) = quote(&body, credentials)
            && !status.is_success()
        {
            words = format!("{words}: {quoted}");
        }
        let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        Answer {
            after: after.and_then(|text| retry_after(text, SystemTime::now())),
            status,
            body,
            is_whole,
            endpoint,
            words,
        }
    }
}

/// The first words of a body on one line, without anything secret; `None` when there are none.
fn quote(body: &[u8], credentials: &Credentials) -> Option<String> {
    // Enough for the characters that are shown, and for a secret that begins just before their end.
    let text = String::from_utf8_lossy(&body[..body.len().min(16 * QUOTED_CHARS_MAX)]);
    let text = credentials.without(&text);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut quoted: String = words.join(" ").chars().take(QUOTED_CHARS_MAX).collect();
    if quoted.is_empty() {
        return None;
    }
    if quoted.chars().count() == QUOTED_CHARS_MAX {
        quoted.push('…');
    }
    Some(visible::escape(&quoted))
}

fn class(status: StatusCode) -> Class {
    match status.as_u16() {
        200..300 => Class::Done,
        // 409 answers an Idempotency-Key whose first request is still under way.
        408 | 409 | 425 | 429 | 500..600 => Class::Again,
        413 => Class::TooLarge,
        400 | 422 => Class::Refused,
        // 401, 403, 404, redirects and everything else: no event is to blame, so none is put aside.
        _ => Class::Blocked,
    }
}

/// What to do, where the status is about the configuration.
fn advice(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        300..=399 => {
            "redirects are not followed, since credentials go with each request; put the address it names into the configuration"
        }
        401 => {
            "it does not accept these credentials; once they are changed where they stand, shipper takes the new ones"
        }
        403 => "these credentials may not write there; grant the right, or change them",
        404 | 410 => "there is nothing at this address; mend the URL, or what should answer there",
        405 => "it takes no such requests at this address; mend the URL",
        406 | 415 => {
            "it does not take this encoding or compression; change `encoding` or `compression`"
        }
        407 => PROXY_REFUSES,
        _ => return None,
    })
}

/// `Retry-After` in either form: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    // A date that has passed asks for no pause.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

    #[test]
    fn a_status_never_costs_an_event_that_is_not_to_blame() {
        for code in 100..1000 {
            let expected = match code {
                200..=299 => Class::Done,
                400 | 422 => Class::Refused,
                413 => Class::TooLarge,
                408 | 409 | 425 | 429 | 500..=599 => Class::Again,
                _ => Class::Blocked,
            };
            assert_eq!(class(status(code)), expected, "{code}");
        }
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let after = |text| retry_after(text, now);
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after(" 0 "), Some(Duration::ZERO));
        assert_eq!(after("Sun, 06 Nov 1994 08:51:07 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(after("Sunday, 06-Nov-94 08:51:07 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        for text in ["", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(after(text), None, "{text}");
        }
    }

    #[test]
    fn an_answer_is_told_in_short_on_one_line_and_without_secrets() {
        let credentials = Credentials::knowing(&["hunter2"]);
        let body = b"<html>\n <b>no\x1b[31m</b>\thunter2 hunter2</html>";
        assert_eq!(quote(body, &credentials).unwrap(), "<html> <b>no\\x1b[31m</b> *** ***</html>");
        assert_eq!(quote(b" \n", &credentials), None);
        let long = quote("é".repeat(10_000).as_bytes(), &credentials).unwrap();
        assert_eq!(long.chars().count(), QUOTED_CHARS_MAX + 1);
        let mut late = vec![b'x'; QUOTED_CHARS_MAX - 3];
        late.extend_from_slice(b"hunter2");
        assert!(!quote(&late, &credentials).unwrap().contains("hun"));
    }

    #[test]
    fn where_a_redirect_leads_is_told_without_its_query() {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, "https://elsewhere/login?token=hunter2".parse().unwrap());
        let read = Anonymous { status: status(302), headers, body: Vec::new(), is_whole: true };
        let answer = read.of(0, "https://here/", &Credentials::knowing(&[]));
        assert_eq!(answer.class(), Class::Blocked);
        assert!(answer.words.ends_with("https://elsewhere/login"), "{}", answer.words);
    }
}
