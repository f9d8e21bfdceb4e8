//! The account of what was left out in the kernel: how much of what and why, told so that all that is
//! told adds up to what the kernel counted.
//!
//! The kernel counts by reason, and what a limit leaves out also in the cgroup's bucket. The first of a
//! reason, or of a cgroup, is told at the next look, more after a while. What no bucket has (it was
//! taken away, or the daemon before this one had not told it) is told without a cgroup.

use std::collections::HashMap as Known;

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use common::filters::{
    BUCKET_WORDS, LEFT_OUT_WORDS, LIMITED_CGROUPS_MAX, REASONS, Reason, SUBJECTS, Subject,
};

use super::CaptureError;

/// Counters by reason and subject.
pub const LEFT_OUT_COUNTERS: usize = REASONS * SUBJECTS;

/// How often more of the same exclusion is told. It is wanted, and goes on for good.
const EXCLUDED_EVERY_NS: u64 = 60_000_000_000;

/// How often more of the same cgroup's limit is told. It is news.
const LIMITED_EVERY_NS: u64 = 10_000_000_000;

/// How long a bucket that is full again, and told, is kept: its cgroup may be gone.
const BUCKET_IDLE_NS: u64 = 60_000_000_000;

/// `common::filters::CgroupKey`, `Bucket` and `LeftOut` as aya can read them.
type CgroupWords = [u64; 2];
type BucketWords = [u64; BUCKET_WORDS];
type LeftOutWords = [u64; LEFT_OUT_WORDS];

/// Words of a bucket before its path.
const BUCKET_NUMBERS: usize = 2 * SUBJECTS + 1;

/// What was left out since the last time it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Why.
    pub reason: Reason,
    /// What.
    pub subject: Subject,
    /// How many, at least 1.
    pub count: u64,
    /// Not before this moment, nanoseconds since boot.
    pub first_boot_ns: u64,
    /// Not after this moment.
    pub last_boot_ns: u64,
    /// Of a limit, the cgroup: names from the leaf to the root, each ended by NUL. `None` when it is
    /// not known any more.
    pub cgroup: Option<Vec<u8>>,
}

/// How much of what is left is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// What is due.
    Due,
    /// Everything: this process ends, and the programs go on.
    All,
    /// Everything, and nothing more comes: the programs are detached.
    Last,
}

/// The account of one set of programs.
pub struct Account {
    counts: Array<MapData, LeftOutWords>,
    limits: HashMap<MapData, CgroupWords, BucketWords>,
    tallies: Tallies,
    /// Told of it once.
    is_full_told: bool,
}

/// What the kernel shows of a limited cgroup.
struct Bucket {
    key: CgroupWords,
    full_at_ns: u64,
    left_out: [u64; SUBJECTS],
    path: Vec<u8>,
}

impl Account {
    /// From the maps of the programs, of which nothing before this moment is to be told.
    ///
    /// # Errors
    /// They are others.
    pub fn new(
        counts: MapData,
        limits: MapData,
        since_boot_ns: u64,
    ) -> Result<Account, CaptureError> {
        let counts = Map::from_map_data(counts).and_then(Array::try_from).map_err(unreadable)?;
        let limits = Map::from_map_data(limits).and_then(HashMap::try_from).map_err(unreadable)?;
        let tallies = Tallies::new(since_boot_ns);
        Ok(Account { counts, limits, tallies, is_full_told: false })
    }

    /// What the buckets show now was told by the daemon before this one, or is told without a cgroup:
    /// which of both, the totals say.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn take_over(&mut self) -> Result<(), CaptureError> {
        let since_ns = self.tallies.looked_ns;
        for bucket in self.buckets()? {
            let tallies = bucket.left_out.map(|told| Tally { told, since_ns, ..Tally::default() });
            self.tallies.buckets.insert(bucket.key, tallies);
        }
        Ok(())
    }

    /// What was told, by reason and subject.
    #[must_use]
    pub fn told(&self) -> [u64; LEFT_OUT_COUNTERS] {
        self.tallies.told
    }

    /// So much was told by an earlier reader.
    pub fn already_told(&mut self, told: [u64; LEFT_OUT_COUNTERS]) {
        for (own, told) in self.tallies.told.iter_mut().zip(told) {
            *own = told.max(*own);
        }
    }

    /// What is to be told now.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn tell(
        &mut self,
        now_boot_ns: u64,
        telling: Telling,
    ) -> Result<Vec<LeftOut>, CaptureError> {
        // First the totals: each is counted in its bucket before, so that the buckets never have less.
        let words = self.counts.get(&0, 0).map_err(unreadable)?;
        let totals = std::array::from_fn(|counter| words[counter]);
        let buckets = if self.tallies.wants_buckets(&totals, now_boot_ns, telling) {
            self.buckets()?
        } else {
            self.tallies.buckets_rest(now_boot_ns);
            Vec::new()
        };
        if !self.is_full_told && words[LEFT_OUT_COUNTERS..].iter().any(|count| *count > 0) {
            self.is_full_told = true;
            tracing::warn!(
                processes = words[LEFT_OUT_COUNTERS],
                events = words[LEFT_OUT_COUNTERS + 1],
                "there are more processes in excluded trees, or more cgroups with a limit, than the \
                 kernel programs can note: those beyond are recorded"
            );
        }
        let left_out = self.tallies.look(&totals, &buckets, now_boot_ns, telling);
        for key in self.tallies.idle(&buckets, now_boot_ns) {
            // What comes in between is in the totals.
            let _ = self.limits.remove(&key);
        }
        Ok(left_out)
    }

    fn buckets(&self) -> Result<Vec<Bucket>, CaptureError> {
        // A key that is found twice is looked at twice, and an iteration never goes on for ever.
        let keys: Vec<CgroupWords> = self
            .limits
            .keys()
            .take(LIMITED_CGROUPS_MAX as usize)
            .collect::<Result<_, _>>()
            .map_err(unreadable)?;
        let mut buckets = Vec::with_capacity(keys.len());
        for key in keys {
            match self.limits.get(&key, 0) {
                Ok(words) => buckets.push(Bucket::of(key, &words)),
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(buckets)
    }
}

fn unreadable(error: MapError) -> CaptureError {
    CaptureError::Ring(format!("what was left out: {error}"))
}

impl Bucket {
    fn of(key: CgroupWords, words: &BucketWords) -> Bucket {
        let path: Vec<u8> =
            words[BUCKET_NUMBERS..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let bytes = usize::try_from(words[BUCKET_NUMBERS - 1]).unwrap_or(0);
        Bucket {
            key,
            full_at_ns: words[..SUBJECTS].iter().copied().max().unwrap_or(0),
            left_out: std::array::from_fn(|subject| words[SUBJECTS + subject]),
            path: path.get(..bytes).unwrap_or_default().to_vec(),
        }
    }
}

/// What was told of one counter.
#[derive(Clone, Copy, Default)]
struct Tally {
    told: u64,
    /// When, while it goes on.
    told_at_ns: Option<u64>,
    /// Until then nothing was left out that is not told.
    since_ns: u64,
}

impl Tally {
    /// How many are to be told, and since when they were left out.
    fn due(&mut self, count: u64, now_ns: u64, every_ns: u64, all: bool) -> Option<(u64, u64)> {
        let more = count.saturating_sub(self.told);
        let rested = self.told_at_ns.is_none_or(|at| now_ns.saturating_sub(at) >= every_ns);
        if more == 0 {
            if rested {
                self.told_at_ns = None;
            }
            self.since_ns = now_ns;
            return None;
        }
        if !rested && !all {
            return None;
        }
        self.told = count;
        self.told_at_ns = Some(now_ns);
        Some((more, std::mem::replace(&mut self.since_ns, now_ns)))
    }
}

/// What was told, and what is not yet.
#[derive(Default)]
struct Tallies {
    told: [u64; LEFT_OUT_COUNTERS],
    by_counter: [Tally; LEFT_OUT_COUNTERS],
    buckets: Known<CgroupWords, [Tally; SUBJECTS]>,
    /// What no bucket had at the last look.
    rest: [u64; SUBJECTS],
    /// Totals of limits at the last look.
    limited: [u64; SUBJECTS],
    /// Something of a bucket waits to be told.
    waits: bool,
    /// The last look.
    looked_ns: u64,
    swept_ns: u64,
}

impl Tallies {
    fn new(since_ns: u64) -> Tallies {
        let tally = Tally { since_ns, ..Tally::default() };
        Tallies {
            by_counter: [tally; LEFT_OUT_COUNTERS],
            looked_ns: since_ns,
            swept_ns: since_ns,
            ..Tallies::default()
        }
    }

    /// Whether the buckets have to be read for this.
    fn wants_buckets(
        &self,
        totals: &[u64; LEFT_OUT_COUNTERS],
        now_ns: u64,
        telling: Telling,
    ) -> bool {
        let limited = Subject::ALL.map(|subject| totals[counter(Reason::RateLimit, subject)]);
        let is_told = Subject::ALL.map(|subject| {
            let counter = counter(Reason::RateLimit, subject);
            self.told[counter] >= totals[counter]
        });
        limited != self.limited
            || self.waits
            || is_told.contains(&false)
            || telling != Telling::Due
            || now_ns.saturating_sub(self.swept_ns) >= BUCKET_IDLE_NS
    }

    /// Nothing was taken from a bucket since the last look.
    fn buckets_rest(&mut self, now_ns: u64) {
        for tally in self.buckets.values_mut().flatten() {
            tally.since_ns = now_ns;
        }
    }

    fn look(
        &mut self,
        totals: &[u64; LEFT_OUT_COUNTERS],
        buckets: &[Bucket],
        now_ns: u64,
        telling: Telling,
    ) -> Vec<LeftOut> {
        let all = telling != Telling::Due;
        let unseen = Tally { since_ns: self.looked_ns, ..Tally::default() };
        self.looked_ns = now_ns;
        let mut left_out = Vec::new();
        let mut tell = |told: &mut u64, reason, subject, (count, first): (u64, u64), cgroup| {
            *told += count;
            left_out.push(LeftOut {
                reason,
                subject,
                count,
                first_boot_ns: first,
                last_boot_ns: now_ns,
                cgroup,
            });
        };
        for (reason, subject) in every().filter(|(reason, _)| *reason != Reason::RateLimit) {
            let counter = counter(reason, subject);
            let tally = &mut self.by_counter[counter];
            tally.told = tally.told.max(self.told[counter]);
            if let Some(due) = tally.due(totals[counter], now_ns, EXCLUDED_EVERY_NS, all) {
                tell(&mut self.told[counter], reason, subject, due, None);
            }
        }
        for subject in Subject::ALL {
            let counter = counter(Reason::RateLimit, subject);
            // Of the buckets, told or not.
            let mut waits = 0;
            for bucket in buckets {
                let count = bucket.left_out[subject as usize];
                let tallies = self.buckets.entry(bucket.key).or_insert([unseen; SUBJECTS]);
                let tally = &mut tallies[subject as usize];
                match tally.due(count, now_ns, LIMITED_EVERY_NS, all) {
                    Some(due) => {
                        let path = Some(bucket.path.clone());
                        tell(&mut self.told[counter], Reason::RateLimit, subject, due, path);
                    }
                    None => waits += count.saturating_sub(tally.told),
                }
            }
            let rest = totals[counter].saturating_sub(self.told[counter] + waits);
            // A bucket that was just made may be missing from one look, not from two.
            let sure = match telling {
                Telling::Last => rest,
                Telling::Due | Telling::All => rest.min(self.rest[subject as usize]),
            };
            self.rest[subject as usize] = rest;
            let tally = &mut self.by_counter[counter];
            let count = tally.told + sure;
            if let Some(due) = tally.due(count, now_ns, LIMITED_EVERY_NS, all) {
                tell(&mut self.told[counter], Reason::RateLimit, subject, due, None);
                self.rest[subject as usize] = 0;
            }
            self.limited[subject as usize] = totals[counter];
            self.waits = (subject != Subject::Exec && self.waits) || waits > 0;
        }
        left_out
    }

    /// Buckets that nobody needs any longer.
    fn idle(&mut self, buckets: &[Bucket], now_ns: u64) -> Vec<CgroupWords> {
        if now_ns.saturating_sub(self.swept_ns) < BUCKET_IDLE_NS {
            return Vec::new();
        }
        self.swept_ns = now_ns;
        let mut idle = Vec::new();
        for bucket in buckets {
            let is_told = self.buckets.get(&bucket.key).is_none_or(|tallies| {
                tallies.iter().zip(bucket.left_out).all(|(tally, count)| tally.told == count)
            });
            if is_told && now_ns.saturating_sub(bucket.full_at_ns) >= BUCKET_IDLE_NS {
                self.buckets.remove(&bucket.key);
                idle.push(bucket.key);
            }
        }
        idle
    }
}

fn counter(reason: Reason, subject: Subject) -> usize {
    reason as usize * SUBJECTS + subject as usize
}

fn every() -> impl Iterator<Item = (Reason, Subject)> {
    Reason::ALL
        .into_iter()
        .flat_map(|reason| Subject::ALL.into_iter().map(move |subject| (reason, subject)))
}

#[cfg(test)]
mod tests;
