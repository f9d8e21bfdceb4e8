//! What a collector is: the protocol it speaks, what it takes, and whom it lets in.

use std::collections::{BTreeMap, BTreeSet};

use crate::pki::Certificate;

/// How a collector is reached, and by whom.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// What it presents over TLS; without one it speaks plain HTTP.
    pub tls: Option<Certificate>,
    /// Over TLS: clients must present a certificate that the authority of the tests signed.
    pub client_ca: bool,
    /// The whole value that `Authorization` must have, such as `Bearer x` or `Splunk x`; anything
    /// else is answered 401 (by Splunk's table where that is spoken). `None` lets everybody in.
    pub token: Option<String>,
}

/// The protocol of a collector, and what it does not take.
#[derive(Debug, Clone)]
pub enum Dialect {
    /// Lines or an array of JSON, posted to any path.
    Generic(GenericPlan),
    /// Splunk's HTTP event collector.
    Hec(HecPlan),
    /// The `_bulk` API of Elasticsearch.
    Elasticsearch(ElasticsearchPlan),
}

impl Dialect {
    /// A generic collector that takes everything.
    #[must_use]
    pub fn generic() -> Dialect {
        Dialect::Generic(GenericPlan::default())
    }

    /// Splunk without acknowledgement, that takes everything.
    #[must_use]
    pub fn hec() -> Dialect {
        Dialect::Hec(HecPlan::default())
    }

    /// Elasticsearch that takes everything.
    #[must_use]
    pub fn elasticsearch() -> Dialect {
        Dialect::Elasticsearch(ElasticsearchPlan::default())
    }
}

/// A request with one event that is refused is refused whole.
#[derive(Debug, Clone, Default)]
pub struct GenericPlan {
    /// A request with an `Idempotency-Key` that was taken before is answered 200 and not taken
    /// again.
    pub dedup: bool,
    /// The largest body after decompression, in bytes; a larger one is answered 413.
    pub body_bytes_max: Option<usize>,
    /// An event that has this text anywhere has its request answered with this status.
    pub refused: Vec<(String, u16)>,
}

/// Splunk as strict as its documentation: unknown keys of an envelope are bad data too.
#[derive(Debug, Clone)]
pub struct HecPlan {
    /// Acknowledgement is on: requests need a channel and are answered an `ackId`. Without it,
    /// asking for acknowledgement is code 14.
    pub ack: bool,
    /// How many polls of an `ackId` are answered `false` before it is told `true`, once.
    pub false_polls: u32,
    /// The indexes that the token may write to; another one is code 7. Empty: any.
    pub indexes: BTreeSet<String>,
    /// The largest body after decompression, in bytes; a larger one is answered 413.
    pub body_bytes_max: Option<usize>,
    /// An event that has this text anywhere is refused with this code (6, 7, 12, 13 or 15); those
    /// before it in the request are indexed.
    pub refused: Vec<(String, u16)>,
    /// What `/services/collector/health` is answered: 17 is well; 18, 19, 20 and 23 are not.
    pub health: u16,
}

impl Default for HecPlan {
    fn default() -> HecPlan {
        HecPlan {
            ack: false,
            false_polls: 0,
            indexes: BTreeSet::new(),
            body_bytes_max: None,
            refused: Vec::new(),
            health: 17,
        }
    }
}

/// Items fare one by one: 201, 409 when the id is there already, or as said here.
#[derive(Debug, Clone, Default)]
pub struct ElasticsearchPlan {
    /// The n-th item of all that ever come, counted from 1, gets this status and is not taken.
    pub items: BTreeMap<u64, u16>,
    /// An event that has this text anywhere gets this status whenever it comes.
    pub refused: Vec<(String, u16)>,
    /// The largest body after decompression, in bytes; a larger one is answered 413.
    pub body_bytes_max: Option<usize>,
}
