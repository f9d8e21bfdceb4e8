//! Asking a URL for acknowledgements. Whoever waits asks, one at a time, for all who wait there.

use std::collections::BTreeMap;

use serde::Deserialize;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::Instant;
use uuid::Uuid;

use super::channels::{Channels, Waiting};
use super::reply::{self, Reply};
use super::{ANSWER_BYTES_MAX, JSON, SplunkHecSink, sent};
use crate::sink::Outcome;
use crate::sink::transport::{Answer, Failure, Method, Request};

/// Below the URL, before the channel.
const ACK_PATH: &str = "/services/collector/ack?channel=";

/// What the collector says of the numbers it was asked for.
#[derive(Debug, Deserialize)]
struct Acks {
    acks: BTreeMap<String, bool>,
}

/// What a question came to.
enum Asked {
    /// The numbers that are acknowledged.
    Told(Vec<u64>),
    /// Nothing was told, by a collector or by whoever stands in its place.
    Failed { outcome: Outcome, is_collector: bool },
}

impl SplunkHecSink {
    /// Looks whether the collector acknowledges, before anything is sent to it.
    pub(super) async fn prove(&self, place: usize, channels: &Channels) -> Result<(), Outcome> {
        let _asking = channels.asking.lock().await;
        if channels.is_proven() {
            return Ok(());
        }
        // Nothing was sent on this channel, so nothing is told that somebody waits for.
        match self.ask(place, channels.current(), &[0]).await {
            Asked::Told(_) => {
                channels.prove();
                Ok(())
            }
            Asked::Failed { outcome, .. } => Err(outcome),
        }
    }

    /// Waits until a batch is acknowledged. Gives up when time is over, or when somebody has to mend
    /// something before it can be told.
    pub(super) async fn acknowledged(
        &self,
        place: usize,
        channels: &Channels,
        mut waiting: Waiting<'_>,
    ) -> Outcome {
        let patience_over = Instant::now() + self.patience;
        let mut last = String::new();
        loop {
            let asking = tokio::select! {
                biased;
                told = &mut waiting.told => return self.told(place, told.is_ok()),
                () = tokio::time::sleep_until(patience_over) => return self.in_vain(place, &last),
                asking = channels.asking.lock() => asking,
            };
            // It may have been told by whoever asked before.
            match waiting.told.try_recv() {
                Ok(()) => return sent(),
                Err(TryRecvError::Closed) => return self.told(place, false),
                Err(TryRecvError::Empty) => {}
            }
            tokio::select! {
                biased;
                told = &mut waiting.told => return self.told(place, told.is_ok()),
                () = tokio::time::sleep(channels.pause()) => {}
            }
            for (channel, numbers) in channels.questions() {
                match self.ask(place, channel, &numbers).await {
                    Asked::Told(told) => channels.acknowledged(channel, &told),
                    Asked::Failed { outcome: Outcome::Blocked { cause }, .. } => {
                        return self.stuck(place, waiting, cause);
                    }
                    Asked::Failed { outcome, is_collector } => {
                        if !is_collector {
                            // It may have restarted: the next batch gets no number of before.
                            channels.leave(channel);
                        }
                        channels.acknowledged(channel, &[]);
                        if let Outcome::Retry { cause, .. } = outcome {
                            last = cause;
                        }
                    }
                }
            }
            drop(asking);
        }
    }

    fn told(&self, place: usize, is_acknowledged: bool) -> Outcome {
        if is_acknowledged {
            return sent();
        }
        let cause = format!(
            "{} was restarted, as it seems, and has forgotten what it had taken; it is sent again, \
             with the same event ids",
            self.shown[place]
        );
        Outcome::Retry { cause, after: None }
    }

    fn in_vain(&self, place: usize, last: &str) -> Outcome {
        let mut cause = format!(
            "{} took a batch, but no indexer acknowledged it within {:?}; it is sent again, with \
             the same event ids",
            self.shown[place], self.patience
        );
        if !last.is_empty() {
            cause = format!("{cause}; when it was last asked: {last}");
        }
        Outcome::Retry { cause, after: None }
    }

    /// Asking does not help before something is mended. What was acknowledged until now is.
    fn stuck(&self, place: usize, mut waiting: Waiting<'_>, cause: String) -> Outcome {
        match waiting.told.try_recv() {
            Ok(()) => sent(),
            Err(_) => Outcome::Blocked {
                cause: format!(
                    "{cause}; {} took a batch that it does not acknowledge therefore: it will be \
                     sent again, with the same event ids",
                    self.shown[place]
                ),
            },
        }
    }

    /// Asks once. The outcome of a failure says whether somebody has to mend something.
    async fn ask(&self, place: usize, channel: Uuid, numbers: &[u64]) -> Asked {
        let (answer, reply) = match self.question(place, channel, numbers).await {
            Ok(answered) => answered,
            Err(failure) => {
                return Asked::Failed { outcome: failure.into(), is_collector: false };
            }
        };
        if let Some(told) = told(&answer) {
            return Asked::Told(told);
        }
        let outcome = match reply::outcome(reply.as_ref(), &answer, &self.context(&answer)) {
            // No event is to blame for how a question is answered.
            Outcome::Refused { cause } | Outcome::TooLarge { cause, .. } => {
                Outcome::Blocked { cause }
            }
            outcome => outcome,
        };
        Asked::Failed { outcome, is_collector: reply.is_some() }
    }

    /// Sends a question.
    pub(super) async fn question(
        &self,
        place: usize,
        channel: Uuid,
        numbers: &[u64],
    ) -> Result<(Answer, Option<Reply>), Failure> {
        let body = serde_json::json!({ "acks": numbers }).to_string();
        let request = Request {
            method: Method::POST,
            path: &format!("{ACK_PATH}{channel}"),
            headers: &[(super::CHANNEL, super::header(channel))],
            body: Some((JSON, body.as_bytes())),
            endpoint: Some(place),
            answer_bytes_max: ANSWER_BYTES_MAX,
        };
        let answer = self.transport.request(request).await?;
        let reply = Reply::read(&answer);
        Ok((answer, reply))
    }
}

/// The numbers that are acknowledged; `None` when the answer is none to a question.
pub(super) fn told(answer: &Answer) -> Option<Vec<u64>> {
    if answer.status.as_u16() != 200 || !answer.is_whole {
        return None;
    }
    let Acks { acks } = serde_json::from_slice(&answer.body).ok()?;
    let acknowledged = acks.into_iter().filter(|(_, is_acknowledged)| *is_acknowledged);
    Some(acknowledged.filter_map(|(number, _)| number.parse().ok()).collect())
}
