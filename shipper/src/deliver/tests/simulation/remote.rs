//! The other side of a sink: it outlives the daemon, has moods, and keeps what it was given.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::dice::Dice;
use super::record::{self, Key, REPORTS};
use crate::config::settings::{DeliverySettings, RateLimit};
use crate::deliver::gate;
use crate::event::{Event, Loss};
use crate::sink::{Batch, Outcome, Sink};
use crate::spool::disk::sim::SimDisk;

/// Calls of one simulation, far above any that makes progress.
const CALLS_MAX: u64 = 200_000;

/// What it does with a batch, for some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Up,
    Down,
    /// It says when to come again.
    Busy,
    Blocked,
    /// Half of the batches, and for some of these it has the batch all the same.
    Flaky,
    /// No more than so many events at once.
    Limit(usize),
    /// Some events it refuses, without saying which.
    Picky,
    /// Some events it refuses, some it wants again, and says which.
    Mixed,
}

/// How it keeps what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As they come.
    Plain,
    /// Behind a position, as a file: what comes after the position that is resumed is cut off.
    Positioned,
}

/// The other side of one sink.
pub struct Remote {
    kind: Kind,
    is_choosy: bool,
    /// The number of the last record of the ring that was read.
    read: Arc<AtomicU64>,
    disk: SimDisk,
    begun: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    dice: Dice,
    /// Each until a moment since the beginning; afterwards it is up.
    moods: Vec<(Duration, Mood)>,
    /// Only where it takes batches as a whole: a position within one cannot be saved.
    asks_for_checkpoints: bool,
    /// Longest time that an answer takes, in ms.
    slow_ms: u64,
    connected: Option<Connected>,
    /// What it has, in order.
    has: Vec<Key>,
    seen: BTreeSet<Key>,
    /// The highest record of the ring, whether they came in order, repeats left out.
    highest: Key,
    is_ordered: bool,
    /// The first number of each call that is under way.
    under_way: BTreeSet<u64>,
    /// Numbers of records that it did not take and that have not come again.
    turned_away: BTreeSet<u64>,
    calls: u64,
    /// Sums up all that happened, in order.
    digest: u64,
}

/// A daemon that is connected, and what it has sent.
struct Connected {
    name: &'static str,
    settings: DeliverySettings,
    since: Instant,
    calls: u64,
    bytes: u64,
}

impl Remote {
    pub fn new(kind: Kind, mut dice: Dice, read: Arc<AtomicU64>, disk: SimDisk) -> Arc<Remote> {
        let moods = moods(kind, &mut dice);
        let slow_ms = dice.pick(&[0, 0, 5, 300, 20_000]);
        let is_choosy = moods.iter().any(|(_, m)| matches!(m, Mood::Picky | Mood::Mixed));
        let is_whole = |(_, mood): &(_, Mood)| !matches!(mood, Mood::Limit(_) | Mood::Picky);
        let asks_for_checkpoints = kind == Kind::Positioned && moods.iter().all(is_whole);
        let inner = Inner {
            asks_for_checkpoints,
            dice,
            moods,
            slow_ms,
            connected: None,
            has: Vec::new(),
            seen: BTreeSet::new(),
            highest: 0,
            is_ordered: true,
            under_way: BTreeSet::new(),
            turned_away: BTreeSet::new(),
            calls: 0,
            digest: 0,
        };
        let begun = Instant::now();
        Arc::new(Remote { kind, is_choosy, read, disk, begun, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// A daemon connects.
    pub fn begin(&self, name: &'static str, settings: &DeliverySettings) {
        let inner = &mut *self.inner();
        let (settings, since) = (settings.clone(), Instant::now());
        inner.connected = Some(Connected { name, settings, since, calls: 0, bytes: 0 });
        inner.under_way.clear();
        inner.turned_away.clear();
    }

    /// Everything is mended: from now on it takes what comes.
    pub fn mend(&self) {
        let inner = &mut *self.inner();
        inner.moods.clear();
        inner.slow_ms = 0;
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn has(&self) -> Vec<Key> {
        self.inner().has.clone()
    }

    pub fn digest(&self) -> u64 {
        self.inner().digest
    }

    pub fn is_ordered(&self) -> bool {
        self.inner().is_ordered
    }

    /// Whether it refuses single events at times: those it takes later come out of order.
    pub fn is_choosy(&self) -> bool {
        self.is_choosy
    }
}

fn moods(kind: Kind, dice: &mut Dice) -> Vec<(Duration, Mood)> {
    let mut at = Duration::ZERO;
    let mut moods = Vec::new();
    for _ in 0..dice.below(7) {
        at += Duration::from_millis(dice.pick(&[100, 2_000, 30_000, 600_000, 10_800_000]));
        let limit = Mood::Limit(1 + dice.below(6) as usize);
        let mood = dice.pick(&[
            Mood::Up,
            Mood::Up,
            Mood::Down,
            Mood::Busy,
            Mood::Blocked,
            Mood::Flaky,
            limit,
            Mood::Picky,
            Mood::Mixed,
        ]);
        // A file does not answer for each event.
        let is_possible = kind == Kind::Plain || mood != Mood::Mixed;
        moods.push((at, if is_possible { mood } else { Mood::Picky }));
    }
    moods
}

impl Inner {
    fn mood(&self, now: Duration) -> Mood {
        self.moods.iter().find(|(until, _)| now < *until).map_or(Mood::Up, |(_, mood)| *mood)
    }

    /// What it answers, and the places in the batch of what it keeps.
    fn decide(&mut self, kind: Kind, mood: Mood, batch: &[Key]) -> (Outcome, Vec<usize>) {
        let all = || (0..batch.len()).collect();
        let sent = || Outcome::Sent { position: Vec::new() };
        let retry = |after| Outcome::Retry { cause: "away".to_owned(), after };
        match mood {
            Mood::Up if self.asks_for_checkpoints && self.dice.percent(10) => {
                (Outcome::Checkpoint { position: Vec::new() }, Vec::new())
            }
            Mood::Up => (sent(), all()),
            Mood::Down => (retry(None), Vec::new()),
            Mood::Busy => {
                let after = Duration::from_secs(self.dice.within(1..=900));
                (retry(Some(after)), Vec::new())
            }
            Mood::Blocked => (Outcome::Blocked { cause: "no right".to_owned() }, Vec::new()),
            Mood::Flaky if self.dice.percent(50) => (sent(), all()),
            Mood::Flaky => {
                // The answer got lost; a file takes back what it wrote.
                let is_kept = kind == Kind::Plain && self.dice.percent(50);
                (retry(None), if is_kept { all() } else { Vec::new() })
            }
            Mood::Limit(most) if batch.len() > most => {
                let cause = "too large".to_owned();
                (Outcome::TooLarge { cause, bytes_max: None }, Vec::new())
            }
            Mood::Limit(_) => (sent(), all()),
            Mood::Picky if batch.iter().any(|&key| record::is_poison(key)) => {
                (Outcome::Refused { cause: "mapping".to_owned() }, Vec::new())
            }
            Mood::Picky => (sent(), all()),
            Mood::Mixed => {
                let (mut rejected, mut again, mut kept) = (Vec::new(), Vec::new(), Vec::new());
                for (place, &key) in batch.iter().enumerate() {
                    if record::is_poison(key) {
                        rejected.push((place, "mapping".to_owned()));
                    } else if self.dice.percent(20) {
                        again.push(place);
                    } else {
                        kept.push(place);
                    }
                }
                let is_failure = rejected.is_empty() || self.dice.percent(50);
                let cause = is_failure.then(|| "busy".to_owned());
                (Outcome::Mixed { rejected, again, cause, after: None }, kept)
            }
        }
    }

    fn keep(&mut self, key: Key) {
        let is_new = self.seen.insert(key);
        if is_new && key < REPORTS {
            self.is_ordered &= key > self.highest;
            self.highest = self.highest.max(key);
        }
        self.has.push(key);
    }

    fn check(&mut self, batch: &Batch<'_>) {
        let connected = self.connected.as_mut().expect("a daemon is connected");
        let Connected { name, settings, since, .. } = connected;
        // Only the oldest needs no free place.
        let (under_way, limit) = (self.under_way.len(), gate::tests::told(name));
        let is_oldest = self.under_way.first().copied() == batch.numbers().next();
        assert!(limit <= settings.concurrency.max(), "the limit is {limit}");
        assert!(under_way <= limit || is_oldest, "{under_way} calls, the limit is {limit}");
        assert!(under_way <= settings.concurrency.max(), "more calls than allowed");
        // One second's worth is saved up, and the last batch may leave a debt.
        let seconds = 1.0 + since.elapsed().as_secs_f64();
        let is_within = |count: u64, rate: f64| count as f64 <= rate * seconds + 1.0;
        let RateLimit { requests, bytes } = settings.rate_limit;
        connected.calls += 1;
        assert!(requests.is_none_or(|rate| is_within(connected.calls, rate.into())));
        assert!(bytes.is_none_or(|rate| is_within(connected.bytes, rate as f64)));
        connected.bytes += batch.bytes().len() as u64;
        assert!(batch.len() <= settings.batch_events_max, "{} events", batch.len());
        let bytes = batch.bytes().len();
        assert!(batch.len() == 1 || bytes <= settings.batch_bytes_max, "{bytes} bytes");
        assert!(self.calls < CALLS_MAX, "it is called again and again");
    }

    fn note(&mut self, what: u64) {
        self.digest = Dice::new(self.digest ^ what).next();
    }
}

/// The end of the daemon that speaks to it.
pub struct Near(pub Arc<Remote>);

#[async_trait::async_trait]
impl Sink for Near {
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let key = match event {
            Event::Exec(exec) => {
                let key = record::key(exec.id);
                assert!(key <= self.0.read.load(Ordering::Relaxed), "{key} was never there");
                assert_eq!(*event, record::exec(key), "{key} was changed");
                key
            }
            Event::Exit(_) => unreachable!("not one of ours"),
            Event::Loss(Loss { id, .. }) => record::key(*id),
        };
        out.extend_from_slice(&key.to_be_bytes());
        out.resize(out.len() + (key % 90) as usize, b' ');
    }

    async fn resume(&self, position: &[u8]) {
        let inner = &mut *self.0.inner();
        if self.0.kind == Kind::Positioned {
            let has = position.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            tracing::debug!(has, of = inner.has.len(), "resumed");
            inner.note(has);
            assert!(has <= inner.has.len() as u64, "a position that was never given");
            let cut = inner.has.split_off(has as usize);
            cut.iter().for_each(|key| {
                inner.seen.remove(key);
            });
            inner.highest = inner.seen.range(..REPORTS).next_back().copied().unwrap_or(0);
        }
    }

    async fn send(&self, batch: Batch<'_>) -> Outcome {
        let Remote { kind, disk, begun, .. } = &*self.0;
        let keys: Vec<Key> = batch
            .events()
            .map(|(item, bytes)| {
                let key = u64::from_be_bytes(*bytes.first_chunk().unwrap());
                assert_eq!(item.id, record::id(key));
                assert_eq!(bytes.len(), 8 + (key % 90) as usize);
                key
            })
            .collect();
        let (mut outcome, kept, is_early, takes) = {
            let inner = &mut *self.0.inner();
            inner.under_way.extend(batch.numbers().next());
            inner.calls += 1;
            inner.check(&batch);
            for number in batch.numbers() {
                inner.turned_away.remove(&number);
            }
            // What has to come again comes before all that is behind it, however many are under way.
            let earlier = inner.turned_away.first().copied().min(batch.numbers().next());
            let is_turn = inner.turned_away.is_empty() || earlier == batch.numbers().next();
            assert!(self.0.is_choosy || is_turn, "{earlier:?} waits, and {keys:?} comes");
            let mood = inner.mood(begun.elapsed());
            let (outcome, kept) = inner.decide(*kind, mood, &keys);
            tracing::debug!(?kind, ?mood, ?keys, ?outcome, "called");
            let takes = inner.dice.within(0..=inner.slow_ms);
            let is_early = *kind == Kind::Plain && inner.dice.percent(50);
            inner.note(begun.elapsed().as_nanos() as u64);
            keys.iter().for_each(|&key| inner.note(key));
            (outcome, kept, is_early, takes)
        };
        let keep = || kept.iter().for_each(|&place| self.0.inner().keep(keys[place]));
        if disk.is_stopped() {
            std::future::pending::<()>().await;
        }
        if is_early {
            keep();
        }
        tokio::time::sleep(Duration::from_millis(takes)).await;
        if disk.is_stopped() {
            std::future::pending::<()>().await;
        }
        if !is_early {
            keep();
        }
        let inner = &mut *self.0.inner();
        inner.under_way.retain(|&number| Some(number) != batch.numbers().next());
        if !matches!(outcome, Outcome::Sent { .. } | Outcome::Mixed { .. }) {
            inner.turned_away.extend(batch.numbers());
        }
        if let (Kind::Positioned, Outcome::Sent { position } | Outcome::Checkpoint { position }) =
            (kind, &mut outcome)
        {
            *position = (inner.has.len() as u64).to_be_bytes().to_vec();
        }
        outcome
    }
}
