//! Loss, counted exactly: the kernel numbers records per CPU and kind, and numbers that are missing
//! here were lost there.

use common::wire::{RECORD_KINDS, RecordKind};

/// Records that were lost, of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What was lost.
    pub kind: RecordKind,
    /// How many.
    pub count: u64,
    /// Not before this moment, nanoseconds since boot.
    pub first_boot_ns: u64,
    /// Not after this moment.
    pub last_boot_ns: u64,
}

/// Records that were lost, and where.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// Kind, count, time.
    pub gap: Gap,
    /// Where.
    pub stage: LostStage,
}

/// Where the kernel loses records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostStage {
    /// The ring had no room.
    RingFull,
    /// The kernel skipped our program, which was already running on that CPU.
    Recursion,
    /// The program could not read the task.
    Unreadable,
}

/// Numbers of one CPU and kind.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// Highest number seen or given up.
    last: u64,
    /// Time of that record.
    last_boot_ns: u64,
    /// What the kernel's counter showed at the last look.
    head: u64,
}

/// Words of an [`Account`] and of a [`Lane`] that outlive a process.
const ACCOUNT_WORDS: usize = 4;
const LANE_WORDS: usize = 2;

/// How the ring was left before a look at the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Records may still be in it: what is missing may be among them.
    Backlog,
    /// It was read until empty. A record may be on its way for microseconds.
    Empty,
    /// It was read until empty after capture was detached: nothing is on its way.
    Settled,
}

/// What was lost of one kind.
#[derive(Clone, Copy, Default)]
struct Account {
    /// Since the numbers began.
    lost: u64,
    /// Of these, what was reported. More than `lost` after a restart that forgot a loss already
    /// reported: it will be found again.
    reported: u64,
    /// Bounds in time of what was not reported yet.
    first_boot_ns: u64,
    last_boot_ns: u64,
}

/// The numbers seen so far, and the gaps not yet reported.
pub struct Sequences {
    lanes: [Vec<Lane>; RECORD_KINDS],
    accounts: [Account; RECORD_KINDS],
}

impl Sequences {
    /// For CPUs `0..cpus`, capture begun at this moment since boot.
    #[must_use]
    pub fn new(cpus: usize, begun_boot_ns: u64) -> Self {
        let lane = Lane { last_boot_ns: begun_boot_ns, ..Lane::default() };
        Sequences {
            lanes: std::array::from_fn(|_| vec![lane; cpus]),
            accounts: [Account::default(); RECORD_KINDS],
        }
    }

    /// How many words [`Sequences::words`] gives.
    #[must_use]
    pub fn words_count(cpus: usize) -> usize {
        RECORD_KINDS * (ACCOUNT_WORDS + LANE_WORDS * cpus)
    }

    /// Everything a later reader of the same ring has to know, for [`Sequences::restore`].
    pub fn words(&self) -> impl Iterator<Item = u64> {
        let accounts = self.accounts.iter().flat_map(|account| {
            [account.lost, account.reported, account.first_boot_ns, account.last_boot_ns]
        });
        let lanes = self.lanes.iter().flatten().flat_map(|lane| [lane.last, lane.last_boot_ns]);
        accounts.chain(lanes)
    }

    /// Goes on from [`Sequences::words`] of an earlier reader, for as many CPUs. What does not arrive
    /// from now on is known only after two looks, as at the beginning.
    pub fn restore(&mut self, words: &[u64]) {
        let (accounts, lanes) = words.split_at(RECORD_KINDS * ACCOUNT_WORDS);
        let (accounts, _) = accounts.as_chunks::<ACCOUNT_WORDS>();
        for (account, &[lost, reported, first_boot_ns, last_boot_ns]) in
            self.accounts.iter_mut().zip(accounts)
        {
            *account = Account { lost, reported, first_boot_ns, last_boot_ns };
        }
        let (lanes, _) = lanes.as_chunks::<LANE_WORDS>();
        for (lane, &[last, last_boot_ns]) in self.lanes.iter_mut().flatten().zip(lanes) {
            *lane = Lane { last, last_boot_ns, head: 0 };
        }
    }

    /// A record arrived. Numbers of one CPU and kind arrive in ascending order.
    pub fn seen(&mut self, kind: RecordKind, cpu: u32, number: u64, boot_ns: u64) {
        let Some(lane) = self.lanes[kind as usize].get_mut(cpu as usize) else { return };
        let missing = number.saturating_sub(lane.last + 1);
        let since = lane.last_boot_ns;
        if number > lane.last {
            lane.last = number;
            lane.last_boot_ns = boot_ns;
        }
        self.lose(kind, missing, since, boot_ns);
    }

    /// Looks at the kernel's counters (`heads[kind][cpu]`).
    ///
    /// Numbers that an earlier look already showed and that did not arrive although the ring was
    /// read until empty since are lost: a record is on its way for microseconds, looks are a second
    /// apart. With a backlog nothing can be said, and nothing is.
    pub fn look(&mut self, heads: &[Vec<u64>; RECORD_KINDS], now_boot_ns: u64, reading: Reading) {
        if reading == Reading::Backlog {
            return;
        }
        for kind in RecordKind::ALL {
            for cpu in 0..self.lanes[kind as usize].len() {
                let head = heads[kind as usize].get(cpu).copied().unwrap_or(0);
                let lane = &mut self.lanes[kind as usize][cpu];
                let due = if reading == Reading::Settled { head } else { lane.head };
                lane.head = head;
                let missing = due.saturating_sub(lane.last);
                let since = lane.last_boot_ns;
                if missing > 0 {
                    lane.last = due;
                    lane.last_boot_ns = now_boot_ns;
                }
                self.lose(kind, missing, since, now_boot_ns);
            }
        }
    }

    /// What was lost since the last call.
    pub fn take_gaps(&mut self) -> impl Iterator<Item = Gap> {
        RecordKind::ALL.into_iter().filter_map(|kind| {
            let account = &mut self.accounts[kind as usize];
            let count = account.lost.saturating_sub(account.reported);
            account.reported += count;
            (count > 0).then_some(Gap {
                kind,
                count,
                first_boot_ns: account.first_boot_ns,
                last_boot_ns: account.last_boot_ns,
            })
        })
    }

    /// How many of a kind are known to be lost, reported or not.
    #[must_use]
    pub fn lost(&self, kind: RecordKind) -> u64 {
        self.accounts[kind as usize].lost
    }

    /// How many of each kind were ever reported by [`Sequences::take_gaps`].
    #[must_use]
    pub fn reported(&self) -> [u64; RECORD_KINDS] {
        self.accounts.map(|account| account.reported)
    }

    /// So many were reported by an earlier reader. Returns how many more that is than was known here.
    pub fn already_reported(&mut self, reported: [u64; RECORD_KINDS]) -> [u64; RECORD_KINDS] {
        std::array::from_fn(|kind| {
            let account = &mut self.accounts[kind];
            let more = reported[kind].saturating_sub(account.reported);
            account.reported += more;
            more
        })
    }

    fn lose(&mut self, kind: RecordKind, count: u64, first: u64, last: u64) {
        if count == 0 {
            return;
        }
        let account = &mut self.accounts[kind as usize];
        if account.lost <= account.reported {
            (account.first_boot_ns, account.last_boot_ns) = (first, last);
        }
        account.lost += count;
        account.first_boot_ns = account.first_boot_ns.min(first);
        account.last_boot_ns = account.last_boot_ns.max(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(sequences: &mut Sequences) -> Vec<(RecordKind, u64)> {
        sequences.take_gaps().map(|gap| (gap.kind, gap.count)).collect()
    }

    fn execs(count: u64) -> [u64; RECORD_KINDS] {
        std::array::from_fn(|kind| if kind == RecordKind::Exec as usize { count } else { 0 })
    }

    fn heads(exec: u64) -> [Vec<u64>; RECORD_KINDS] {
        let mut heads = std::array::from_fn(|_| vec![0]);
        heads[RecordKind::Exec as usize] = vec![exec];
        heads
    }

    #[test]
    fn numbers_in_a_row_are_no_loss() {
        let mut sequences = Sequences::new(2, 0);
        for number in 1..=5 {
            sequences.seen(RecordKind::Exec, 0, number, number);
            sequences.seen(RecordKind::Exec, 1, number, number);
        }
        assert_eq!(counts(&mut sequences), []);
    }

    #[test]
    fn a_gap_counts_what_is_missing_per_kind_and_says_when() {
        let mut sequences = Sequences::new(1, 0);
        sequences.seen(RecordKind::Exec, 0, 1, 100);
        sequences.seen(RecordKind::Exec, 0, 5, 500);
        sequences.seen(RecordKind::Fork, 0, 3, 600);
        let gaps: Vec<Gap> = sequences.take_gaps().collect();
        assert_eq!(gaps.iter().map(|gap| gap.count).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((gaps[1].first_boot_ns, gaps[1].last_boot_ns), (100, 500));
        assert_eq!(counts(&mut sequences), []);
    }

    #[test]
    fn the_end_of_a_storm_is_lost_only_at_the_second_look() {
        let mut sequences = Sequences::new(1, 0);
        for number in 1..=10 {
            sequences.seen(RecordKind::Exec, 0, number, 1);
        }
        sequences.look(&heads(14), 2, Reading::Empty);
        assert_eq!(counts(&mut sequences), [], "may still be on its way");
        sequences.seen(RecordKind::Exec, 0, 12, 3);
        sequences.look(&heads(14), 4, Reading::Empty);
        assert_eq!(counts(&mut sequences), [(RecordKind::Exec, 1 + 2)]);
        sequences.look(&heads(14), 5, Reading::Empty);
        assert_eq!(counts(&mut sequences), []);
        sequences.seen(RecordKind::Exec, 0, 15, 6);
        assert_eq!(counts(&mut sequences), []);
    }

    #[test]
    fn what_waits_in_the_ring_behind_a_slow_sink_is_no_loss() {
        let mut sequences = Sequences::new(1, 0);
        sequences.look(&heads(100), 1, Reading::Empty);
        for number in 1..=3 {
            sequences.seen(RecordKind::Exec, 0, number, number);
            sequences.look(&heads(100), 10 + number, Reading::Backlog);
        }
        assert_eq!(counts(&mut sequences), []);
        for number in 4..=99 {
            sequences.seen(RecordKind::Exec, 0, number, number);
        }
        sequences.look(&heads(100), 200, Reading::Empty);
        assert_eq!(counts(&mut sequences), [(RecordKind::Exec, 1)]);
    }

    #[test]
    fn once_detached_one_look_settles_it() {
        let mut sequences = Sequences::new(1, 0);
        sequences.look(&heads(7), 1, Reading::Settled);
        assert_eq!(counts(&mut sequences), [(RecordKind::Exec, 7)]);
    }

    /// What the next reader of a pinned ring begins with.
    fn restored(words: &[u64]) -> Sequences {
        let mut sequences = Sequences::new(1, 0);
        sequences.restore(words);
        sequences
    }

    #[test]
    fn the_next_reader_counts_what_was_lost_while_nobody_read() {
        let mut sequences = Sequences::new(1, 0);
        sequences.seen(RecordKind::Exec, 0, 1, 100);
        sequences.seen(RecordKind::Exec, 0, 4, 400);
        assert_eq!(counts(&mut sequences), [(RecordKind::Exec, 2)]);
        let words: Vec<u64> = sequences.words().collect();
        assert_eq!(words.len(), Sequences::words_count(1));
        let mut next = restored(&words);
        next.seen(RecordKind::Exec, 0, 7, 700);
        let gaps: Vec<Gap> = next.take_gaps().collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!((gaps[0].count, gaps[0].first_boot_ns, gaps[0].last_boot_ns), (2, 400, 700));
        next.look(&heads(9), 900, Reading::Empty);
        assert_eq!(counts(&mut next), [], "may still be on its way");
        next.look(&heads(9), 1000, Reading::Empty);
        assert_eq!(counts(&mut next), [(RecordKind::Exec, 2)]);
    }

    #[test]
    fn a_loss_that_was_found_and_not_handed_out_is_handed_out_by_the_next_reader() {
        let mut sequences = Sequences::new(1, 0);
        sequences.seen(RecordKind::Exec, 0, 5, 100);
        let mut next = restored(&sequences.words().collect::<Vec<_>>());
        assert_eq!(counts(&mut next), [(RecordKind::Exec, 4)]);
        assert_eq!(counts(&mut next), []);
    }

    #[test]
    fn a_loss_that_was_stored_is_not_handed_out_again_when_it_is_found_again() {
        let words: Vec<u64> = Sequences::new(1, 0).words().collect();
        // Killed after four of six were stored as lost and before this was written down here.
        let mut next = restored(&words);
        assert_eq!(next.already_reported(execs(4)), execs(4));
        next.seen(RecordKind::Exec, 0, 5, 100);
        assert_eq!(counts(&mut next), []);
        next.seen(RecordKind::Exec, 0, 8, 200);
        let gaps: Vec<Gap> = next.take_gaps().collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!((gaps[0].count, gaps[0].first_boot_ns), (2, 100), "of the new loss alone");
        assert_eq!(next.reported(), execs(6));
    }
}
