//! Whether a collector can be reached, knows the token and acknowledges: what
//! `shipper validate --connect` says. Nothing is written there.

use uuid::Uuid;

use super::acknowledgement::told;
use super::code::{self, Meaning};
use super::reply::{Reply, words};
use super::{ANSWER_BYTES_MAX, CHANNEL, EVENT_PATH, SplunkHecSink, header};
use crate::config::settings::SplunkHecSettings;
use crate::sink::transport::{Answer, Failure, HeaderName, HeaderValue, Method, Request};
use crate::sink::{Finding, Grade};

const HEALTH_PATH: &str = "/services/collector/health";

const CONTENT_LENGTH: HeaderName = HeaderName::from_static("content-length");

/// Asks each URL of the sink. Takes as long as the timeouts of the sink allow.
pub async fn check(settings: &SplunkHecSettings) -> Vec<Finding> {
    let sink = match SplunkHecSink::new(settings) {
        Ok(sink) => sink,
        Err(error) => return vec![Finding::bad(error.to_string())],
    };
    let mut findings = Vec::new();
    for place in 0..sink.shown.len() {
        let look = Look { sink: &sink, place };
        match look.all(settings).await {
            Ok(found) => findings.extend(found),
            Err(failure) => findings.push(Finding::bad(failure.cause)),
        }
    }
    let index = match &settings.index {
        Some(index) => format!("whether the index {index} exists"),
        None => "whether the default index of the token exists".to_owned(),
    };
    findings.push(Finding::note(format!(
        "{index} and takes events of this token is seen when the first is sent"
    )));
    findings
}

/// Looks at one URL.
struct Look<'a> {
    sink: &'a SplunkHecSink,
    place: usize,
}

impl Look<'_> {
    async fn all(&self, settings: &SplunkHecSettings) -> Result<Vec<Finding>, Failure> {
        let mut findings = vec![self.health().await?];
        let channel = settings.acknowledgement.then(Uuid::new_v4);
        let token = self.token(channel).await?;
        let is_known = token.grade == Grade::Good;
        // Whatever is no collector says the same to both.
        if !findings.contains(&token) {
            findings.push(token);
        }
        // To a token that is not known nothing else is said of acknowledgement.
        if let Some(channel) = channel.filter(|_| is_known) {
            findings.push(self.acknowledgement(channel).await?);
        }
        Ok(findings)
    }

    async fn health(&self) -> Result<Finding, Failure> {
        let (answer, reply) = self.ask(Method::GET, HEALTH_PATH, None).await?;
        let is_healthy = reply.as_ref().is_some_and(|reply| reply.code == code::HEALTHY);
        Ok(if answer.status.as_u16() == 200 && is_healthy {
            Finding::good(format!("{} is healthy", self.shown()))
        } else {
            Finding::bad(self.words(&answer, reply.as_ref()))
        })
    }

    /// A request without events: a good token is told that there are none.
    async fn token(&self, channel: Option<Uuid>) -> Result<Finding, Failure> {
        let (answer, reply) = self.ask(Method::POST, EVENT_PATH, channel).await?;
        let known = reply.as_ref().and_then(|reply| code::known(reply.code));
        Ok(match known.map(|code| code.meaning) {
            Some(Meaning::NoData) => Finding::good(format!("{} accepts the token", self.shown())),
            _ => Finding::bad(self.words(&answer, reply.as_ref())),
        })
    }

    async fn acknowledgement(&self, channel: Uuid) -> Result<Finding, Failure> {
        let (answer, reply) = self.sink.question(self.place, channel, &[0]).await?;
        Ok(if told(&answer).is_some() {
            Finding::good(format!("{} acknowledges what it takes", self.shown()))
        } else {
            Finding::bad(self.words(&answer, reply.as_ref()))
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        channel: Option<Uuid>,
    ) -> Result<(Answer, Option<Reply>), Failure> {
        let mut headers: Vec<_> =
            channel.map(|channel| (CHANNEL, header(channel))).into_iter().collect();
        if method == Method::POST {
            // The client library says nothing about a body that is not there; some servers insist.
            headers.push((CONTENT_LENGTH, HeaderValue::from_static("0")));
        }
        let request = Request {
            method,
            path,
            headers: &headers,
            body: None,
            endpoint: Some(self.place),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = self.sink.transport.request(request).await?;
        let reply = Reply::read(&answer);
        Ok((answer, reply))
    }

    fn shown(&self) -> &str {
        &self.sink.shown[self.place]
    }

    fn words(&self, answer: &Answer, reply: Option<&Reply>) -> String {
        words(reply, answer, &self.sink.context(answer))
    }
}
