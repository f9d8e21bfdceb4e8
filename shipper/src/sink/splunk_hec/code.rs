//! The codes of Splunk's HTTP event collector: what each means for what was sent, and what to do
//! (Splunk, "Troubleshoot HTTP Event Collector", possible error codes).

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It was taken.
    Done,
    /// Trying again may help.
    Again,
    /// Somebody has to mend something, and how.
    Hold(&'static str),
    /// The collector is asked for something of which it has nothing.
    NoData,
    /// An event cannot be taken. Those before it are.
    BadEvent,
}

/// A code that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// In Splunk's words.
    pub name: &'static str,
    /// What follows.
    pub meaning: Meaning,
}

/// Code of a batch that was taken.
pub const SUCCESS: u64 = 0;

/// Code of an index that does not exist, or that the token may not write to.
pub const INCORRECT_INDEX: u64 = 7;

/// Code of a request without a channel, to a token that wants acknowledgement.
pub const CHANNEL_MISSING: u64 = 10;

/// Code of a token without acknowledgement.
pub const ACK_DISABLED: u64 = 14;

/// Code of a collector in good health.
pub const HEALTHY: u64 = 17;

/// What is known of a code; `None` for one that is new, and for that of a healthy collector, which
/// answers no events.
#[must_use]
pub fn known(code: u64) -> Option<Code> {
    use Meaning::{Again, BadEvent, Done, Hold, NoData};
    let (name, meaning) = match code {
        SUCCESS => ("success", Done),
        1 => (
            "token disabled",
            Hold("enable the token in Splunk, or put another one where `token` of the sink says"),
        ),
        2 => (
            "token is required",
            Hold("no token arrived there; does a proxy take the header Authorization away?"),
        ),
        3 => (
            "invalid authorization",
            Hold(
                "what arrived is not `Splunk TOKEN`; does a proxy change the header Authorization?",
            ),
        ),
        4 => (
            "invalid token",
            Hold(
                "Splunk does not know the token; create it there, or put the right one where `token` of the sink says",
            ),
        ),
        5 => ("no data", NoData),
        6 => ("invalid data format", BadEvent),
        INCORRECT_INDEX => (
            "incorrect index",
            Hold("create it in Splunk, allow it at the token, or change `index` of the sink"),
        ),
        8 => ("internal server error", Again),
        9 => ("server is busy", Again),
        CHANNEL_MISSING => (
            "data channel is missing",
            Hold("the token wants acknowledgement: set `acknowledgement: true` at the sink"),
        ),
        11 => (
            "invalid data channel",
            Hold("something on the way changes the header X-Splunk-Request-Channel"),
        ),
        12 => ("event field is required", BadEvent),
        13 => ("event field cannot be blank", BadEvent),
        ACK_DISABLED => (
            "ACK is disabled",
            Hold(
                "switch on indexer acknowledgement at the token in Splunk, or set `acknowledgement: false` at the sink",
            ),
        ),
        15 => ("error in handling indexed fields", BadEvent),
        16 => (
            "query string authorization is not enabled",
            Hold("take the token out of the URL; it belongs into `token` of the sink"),
        ),
        18 => ("unhealthy, queues are full", Again),
        19 => ("unhealthy, the service for acknowledgement is unavailable", Again),
        20 => ("unhealthy, queues are full, no acknowledgement", Again),
        21 => (
            "invalid token",
            Hold(
                "Splunk does not know the token; create it there, or put the right one where `token` of the sink says",
            ),
        ),
        22 => (
            "token disabled",
            Hold("enable the token in Splunk, or put another one where `token` of the sink says"),
        ),
        23 => ("server is shutting down", Again),
        26 => ("the queue of the collector is full", Again),
        27 => ("the channel for acknowledgement is full", Again),
        _ => return None,
    };
    Some(Code { name, meaning })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_meaning() {
        for code in 0..=30 {
            let meaning = known(code).map(|code| code.meaning);
            match code {
                0 => assert_eq!(meaning, Some(Meaning::Done)),
                5 => assert_eq!(meaning, Some(Meaning::NoData)),
                6 | 12 | 13 | 15 => assert_eq!(meaning, Some(Meaning::BadEvent)),
                8 | 9 | 18 | 19 | 20 | 23 | 26 | 27 => assert_eq!(meaning, Some(Meaning::Again)),
                1 | 2 | 3 | 4 | 7 | 10 | 11 | 14 | 16 | 21 | 22 => {
                    assert!(matches!(meaning, Some(Meaning::Hold(_))), "{code}: {meaning:?}");
                }
                _ => assert_eq!(meaning, None, "{code}"),
            }
        }
    }
}
