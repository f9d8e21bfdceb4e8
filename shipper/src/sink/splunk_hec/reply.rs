//! What the collector answered to a batch, and what became of the batch.

use serde::Deserialize;

use super::code::{self, Meaning};
use crate::sink::Outcome;
use crate::sink::transport::{Answer, Class};

/// The body of an answer, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub struct Reply {
    /// What happened.
    pub code: u64,
    /// By which the acknowledgement is asked for.
    #[serde(rename = "ackId")]
    pub ack_id: Option<u64>,
    /// Place in the batch of the event at fault.
    #[serde(rename = "invalid-event-number")]
    pub invalid_event_number: Option<u64>,
}

/// What was sent and whereto, as far as the meaning of the answer depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Events of the batch; 0 for a request without any.
    pub events: usize,
    /// Its bytes before compression.
    pub bytes: usize,
    /// Its index; `None` leaves it to the token.
    pub index: Option<&'a str>,
    /// Only acknowledged events count as taken.
    pub acknowledgement: bool,
    /// The URL that answered, without what may be secret.
    pub shown: &'a str,
}

impl Reply {
    /// The body as the collector writes it; `None` when somebody else answered, or not all is there.
    #[must_use]
    pub fn read(answer: &Answer) -> Option<Reply> {
        if !answer.is_whole {
            return None;
        }
        serde_json::from_slice(&answer.body).ok()
    }

    /// Whether it says, with its status, that all was taken.
    #[must_use]
    pub fn is_success(&self, answer: &Answer) -> bool {
        self.code == code::SUCCESS && answer.status.as_u16() == 200
    }
}

/// What the answer says, in words with what to do.
#[must_use]
pub fn words(reply: Option<&Reply>, answer: &Answer, context: &Context<'_>) -> String {
    let shown = context.shown;
    let Some(reply) = reply else {
        return if answer.class() == Class::Done {
            format!(
                "{}, but not in the words of a Splunk collector; is there something else at this address?",
                answer.words
            )
        } else if answer.status.is_redirection() {
            format!(
                "{}; is it Splunk's web interface? The event collector has a port of its own, usually 8088",
                answer.words
            )
        } else {
            answer.words.clone()
        };
    };
    let number = reply.code;
    let Some(code) = code::known(number).filter(|code| code.meaning != Meaning::Done) else {
        return format!("{} (code {number})", answer.words);
    };
    let mut words = format!("{shown} answered {}, code {number}, {}", answer.status, code.name);
    if number == code::INCORRECT_INDEX {
        words = match context.index {
            Some(index) => format!("{words}, which is {index:?}"),
            None => format!("{words}, which is the default index of the token"),
        };
    }
    if let Meaning::Hold(advice) = code.meaning {
        words = format!("{words}: {advice}");
    }
    words
}

/// What became of a batch that was not taken as a whole: by the code of the answer, and where there
/// is none that is known, by its status.
#[must_use]
pub fn outcome(reply: Option<&Reply>, answer: &Answer, context: &Context<'_>) -> Outcome {
    let cause = words(reply, answer, context);
    let known = reply.and_then(|reply| code::known(reply.code));
    // What is too large says so by its status, whatever stands beside it.
    let known = known.filter(|_| answer.class() != Class::TooLarge);
    match known.map(|code| code.meaning) {
        Some(Meaning::Again) => Outcome::Retry { cause, after: answer.after },
        Some(Meaning::Hold(_)) => Outcome::Blocked { cause },
        Some(Meaning::NoData) => Outcome::Refused { cause },
        Some(Meaning::BadEvent) => match reply.and_then(|reply| place(reply, context)) {
            Some(place) => without(place, cause, context),
            None => Outcome::Refused { cause },
        },
        // Success with another status than 200 is none.
        Some(Meaning::Done) | None => match answer.outcome(context.events, context.bytes) {
            Outcome::Retry { after, .. } => Outcome::Retry { cause, after },
            Outcome::Blocked { .. } => Outcome::Blocked { cause },
            Outcome::TooLarge { bytes_max, .. } => Outcome::TooLarge { cause, bytes_max },
            Outcome::Refused { .. } => Outcome::Refused { cause },
            other => other,
        },
    }
}

/// The place of the event at fault, if it is one of the batch.
fn place(reply: &Reply, context: &Context<'_>) -> Option<usize> {
    let place = usize::try_from(reply.invalid_event_number?).ok()?;
    (place < context.events).then_some(place)
}

/// The event at this place is refused. The collector has taken those before it, but has given
/// nothing by which an acknowledgement of them could be asked for.
fn without(place: usize, cause: String, context: &Context<'_>) -> Outcome {
    let after = place + 1..context.events;
    let again: Vec<usize> =
        if context.acknowledgement { (0..place).chain(after).collect() } else { after.collect() };
    Outcome::Mixed { rejected: vec![(place, cause)], again, cause: None, after: None }
}
