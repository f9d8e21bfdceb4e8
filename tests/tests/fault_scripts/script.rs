//! What goes wrong, drawn from a seed.

use shipper_tests::collector::{Fault, RetryAfter};

/// How an answer of Splunk has a code that nobody knows.
const UNKNOWN_CODE: &str = "\"code\":99";

/// Which sink is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The generic one, over TLS or not, with arrays or lines.
    Http { tls: bool, array: bool },
    /// The one for Elasticsearch.
    Elasticsearch,
    /// The one for Splunk.
    Splunk { acknowledgement: bool },
}

/// A life of a sink.
#[derive(Debug)]
pub struct Script {
    pub kind: Kind,
    /// Events in the spool.
    pub events: u64,
    /// Most events of a batch.
    pub batch_events: usize,
    /// Most batches in flight.
    pub concurrency: usize,
    /// The collector takes no request twice that has the same idempotency key.
    pub dedup: bool,
    /// One life of the daemon after the other; after the last one all is well.
    pub lives: Vec<Stretch>,
}

/// What happens until the daemon is killed, or the end comes.
#[derive(Debug)]
pub struct Stretch {
    /// To the requests, one after the other.
    pub faults: Vec<Fault>,
    /// After so many requests of this life the collector dies, and comes back.
    pub dies_after: Option<usize>,
    /// After so many requests of this life the daemon is gone.
    pub killed_after: usize,
}

/// Splitmix64.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// One of `0..end`.
    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

impl Script {
    pub fn new(kind: Kind, seed: u64) -> Script {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let lives = 1 + dice.below(3);
        Script {
            kind,
            events: 1 + dice.below(60),
            batch_events: 1 + dice.below(9) as usize,
            concurrency: dice.pick(&[1, 1, 2, 4]),
            dedup: dice.one_in(2),
            lives: (0..lives).map(|_| Stretch::new(&mut dice, kind)).collect(),
        }
    }

    /// A fault of it refuses what is in a request: that comes again in parts, and what seems to be
    /// at fault later than the rest.
    pub fn refuses(&self) -> bool {
        self.lives.iter().flat_map(|stretch| &stretch.faults).any(|fault| match fault {
            Fault::Status(status) | Fault::HugeAnswer { status, .. } => {
                matches!(status, 400 | 413 | 422)
            }
            Fault::StatusWith(400, body) => body.contains(UNKNOWN_CODE),
            _ => false,
        })
    }
}

impl Stretch {
    fn new(dice: &mut Dice, kind: Kind) -> Stretch {
        let faults = dice.below(25);
        Stretch {
            faults: (0..faults).map(|_| fault(dice, kind)).collect(),
            dies_after: dice.one_in(4).then(|| dice.below(10) as usize),
            killed_after: 1 + dice.below(30) as usize,
        }
    }
}

fn fault(dice: &mut Dice, kind: Kind) -> Fault {
    let taken = dice.one_in(2);
    if matches!(kind, Kind::Http { .. }) || dice.one_in(2) {
        return any_fault(dice, taken);
    }
    match (kind, dice.below(5)) {
        (_, 0) => Fault::OkWith(
            dice.pick(&["", "{}", "null", "{\"errors\":true}", "{\"code\":1}"]).into(),
        ),
        (Kind::Elasticsearch, _) => Fault::OkWith(
            dice.pick(&[
                "{\"errors\":false,\"items\":[]}",
                "{\"errors\":false,\"items\":[{\"create\":{\"status\":503}}]}",
                "{\"errors\":true,\"items\":[{\"create\":{\"status\":429}}]}",
            ])
            .into(),
        ),
        // Without acknowledgement nobody could know.
        (Kind::Splunk { acknowledgement: true }, 1) => Fault::Lost,
        _ => Fault::hec(
            dice.pick(&[1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 16, 18, 19, 20, 21, 22, 23, 26, 27, 99]),
        ),
    }
}

/// One that any collector may have.
fn any_fault(dice: &mut Dice, taken: bool) -> Fault {
    match dice.below(20) {
        0 | 1 => Fault::Status(dice.pick(&[408, 409, 425, 429, 500, 502, 503, 504, 507, 599])),
        2 => Fault::Status(dice.pick(&[401, 403, 404, 405, 406, 410, 415, 418, 431, 499])),
        3 => Fault::Status(dice.pick(&[400, 413, 422])),
        4 => Fault::Status(dice.pick(&[200, 201, 202, 204])),
        5 => Fault::RetryAfter(dice.pick(&[429, 503]), RetryAfter::Seconds(0)),
        6 => Fault::RetryAfter(503, RetryAfter::Date(-3)),
        7 => Fault::Redirect(dice.pick(&[301, 302, 307, 308]), "https://example.invalid/".into()),
        8 => Fault::CloseAtRequestByte(dice.below(3_000) as usize),
        9 => Fault::CloseBeforeAnswer { taken },
        10 => Fault::Reset { taken },
        11 => Fault::CloseAtAnswerByte(dice.below(120) as usize),
        12 => Fault::Garbage { taken },
        13 => Fault::HugeAnswer { status: dice.pick(&[200, 400, 401, 503]), bytes: 1 << 20 },
        14 => Fault::Trickle(0),
        15 if dice.one_in(4) => Fault::Stall { taken },
        16 if dice.one_in(4) => Fault::StallAtRequestByte(dice.below(3_000) as usize),
        17 => Fault::EndlessHeaders,
        _ => Fault::Well,
    }
}
