//! The account of what was left out, without a kernel.

use super::*;

const SECOND: u64 = 1_000_000_000;

const EXEC_OF_USERS: usize = Reason::User as usize * SUBJECTS;
const EXEC_OVER_LIMIT: usize = Reason::RateLimit as usize * SUBJECTS;

fn totals(counter: usize, count: u64) -> [u64; LEFT_OUT_COUNTERS] {
    std::array::from_fn(|each| if each == counter { count } else { 0 })
}

fn bucket(id: u64, execs: u64) -> Bucket {
    Bucket { key: [id, 0], full_at_ns: 0, left_out: [execs, 0], path: format!("c{id}\0").into() }
}

fn told(left_out: &[LeftOut]) -> Vec<(u64, Option<&[u8]>)> {
    left_out.iter().map(|each| (each.count, each.cgroup.as_deref())).collect()
}

#[test]
fn the_first_is_told_at_once_and_more_after_a_while_with_the_exact_count() {
    let mut tallies = Tallies::default();
    let mut look = |count, seconds| {
        tallies.look(&totals(EXEC_OF_USERS, count), &[], seconds * SECOND, Telling::Due)
    };
    assert_eq!(look(0, 1), []);
    let first = look(3, 2);
    assert_eq!(told(&first), [(3, None)]);
    assert_eq!((first[0].reason, first[0].subject), (Reason::User, Subject::Exec));
    assert_eq!((first[0].first_boot_ns, first[0].last_boot_ns), (SECOND, 2 * SECOND));
    assert_eq!(look(10, 3), []);
    assert_eq!(look(20, 61), []);
    let more = look(21, 62);
    assert_eq!(told(&more), [(18, None)]);
    assert_eq!((more[0].first_boot_ns, more[0].last_boot_ns), (2 * SECOND, 62 * SECOND));
    assert_eq!(look(21, 122), []);
    assert_eq!(told(&look(22, 123)), [(1, None)], "it had rested");
}

#[test]
fn at_the_end_everything_is_told() {
    let mut tallies = Tallies::default();
    tallies.look(&totals(EXEC_OF_USERS, 3), &[], SECOND, Telling::Due);
    let last = tallies.look(&totals(EXEC_OF_USERS, 5), &[], 2 * SECOND, Telling::All);
    assert_eq!(told(&last), [(2, None)]);
    assert_eq!(tallies.told[EXEC_OF_USERS], 5);
}

#[test]
fn what_a_limit_left_out_is_told_with_its_cgroup() {
    let mut tallies = Tallies::default();
    let mut look = |buckets: &[Bucket], seconds| {
        let count = buckets.iter().map(|bucket| bucket.left_out[0]).sum();
        tallies.look(&totals(EXEC_OVER_LIMIT, count), buckets, seconds * SECOND, Telling::Due)
    };
    let first = look(&[bucket(1, 4), bucket(2, 0)], 1);
    assert_eq!(told(&first), [(4, Some(&b"c1\0"[..]))]);
    assert_eq!(told(&look(&[bucket(1, 9), bucket(2, 6)], 2)), [(6, Some(&b"c2\0"[..]))]);
    assert_eq!(told(&look(&[bucket(1, 9), bucket(2, 6)], 11)), [(5, Some(&b"c1\0"[..]))]);
    assert_eq!(look(&[bucket(1, 9), bucket(2, 6)], 30), []);
}

#[test]
fn what_no_bucket_has_is_told_once_it_is_missing_twice() {
    let mut tallies = Tallies::default();
    let mut look = |total, buckets: &[Bucket], seconds| {
        tallies.look(&totals(EXEC_OVER_LIMIT, total), buckets, seconds * SECOND, Telling::Due)
    };
    assert_eq!(look(5, &[], 1), [], "its bucket may have been made just now");
    assert_eq!(told(&look(5, &[bucket(1, 5)], 2)), [(5, Some(&b"c1\0"[..]))]);
    assert_eq!(look(8, &[], 3), []);
    assert_eq!(told(&look(8, &[], 4)), [(3, None)]);
    assert_eq!(look(8, &[], 5), []);
}

#[test]
fn a_later_reader_tells_only_what_was_not_told() {
    // Seven were told by a daemon that was killed when the kernel had counted nine.
    let mut tallies = Tallies { told: totals(EXEC_OVER_LIMIT, 7), ..Tallies::default() };
    tallies.buckets.insert([1, 0], [Tally { told: 9, ..Tally::default() }; SUBJECTS]);
    let look = |tallies: &mut Tallies, seconds| {
        let buckets = [bucket(1, 10)];
        tallies.look(&totals(EXEC_OVER_LIMIT, 10), &buckets, seconds * SECOND, Telling::Due)
    };
    assert_eq!(told(&look(&mut tallies, 1)), [(1, Some(&b"c1\0"[..]))]);
    assert_eq!(told(&look(&mut tallies, 2)), [(2, None)]);
    assert_eq!(tallies.told[EXEC_OVER_LIMIT], 10);
    tallies.told = totals(EXEC_OF_USERS, 4);
    let more = tallies.look(&totals(EXEC_OF_USERS, 6), &[], 3 * SECOND, Telling::Due);
    assert_eq!(told(&more), [(2, None)]);
}

#[test]
fn a_bucket_that_rests_and_is_told_is_given_up() {
    let mut tallies = Tallies::default();
    let buckets = [bucket(1, 4), bucket(2, 0)];
    tallies.look(&totals(EXEC_OVER_LIMIT, 4), &buckets, 100 * SECOND, Telling::Due);
    let fresh = Bucket { full_at_ns: 90 * SECOND, ..bucket(3, 0) };
    let behind = bucket(1, 5);
    assert_eq!(tallies.idle(&[behind, bucket(2, 0), fresh], 100 * SECOND), [[2, 0]]);
    assert_eq!(tallies.idle(&[bucket(1, 4)], 110 * SECOND), <[CgroupWords; 0]>::default());
    assert_eq!(tallies.idle(&[bucket(1, 4)], 160 * SECOND), [[1, 0]]);
}

#[test]
fn nothing_is_said_to_have_happened_before_the_last_look_that_saw_none() {
    let mut tallies = Tallies::new(50 * SECOND);
    let none = totals(EXEC_OVER_LIMIT, 0);
    tallies.look(&none, &[], 60 * SECOND, Telling::Due);
    let some = totals(EXEC_OVER_LIMIT, 4);
    let first = tallies.look(&some, &[bucket(1, 4)], 61 * SECOND, Telling::Due);
    assert_eq!(first[0].first_boot_ns, 60 * SECOND);
    tallies.buckets_rest(99 * SECOND);
    let more = totals(EXEC_OVER_LIMIT, 5);
    let again = tallies.look(&more, &[bucket(1, 5)], 100 * SECOND, Telling::Due);
    assert_eq!(again[0].first_boot_ns, 99 * SECOND);
}

#[test]
fn buckets_are_read_only_while_there_is_something_in_them() {
    let mut tallies = Tallies { swept_ns: 100 * SECOND, ..Tallies::default() };
    let none = totals(EXEC_OVER_LIMIT, 0);
    assert!(!tallies.wants_buckets(&none, 101 * SECOND, Telling::Due));
    assert!(tallies.wants_buckets(&none, 160 * SECOND, Telling::Due));
    let some = totals(EXEC_OVER_LIMIT, 4);
    assert!(tallies.wants_buckets(&some, 101 * SECOND, Telling::Due));
    tallies.look(&some, &[bucket(1, 4)], 101 * SECOND, Telling::Due);
    assert!(!tallies.wants_buckets(&some, 102 * SECOND, Telling::Due));
    let more = totals(EXEC_OVER_LIMIT, 5);
    tallies.look(&more, &[bucket(1, 5)], 103 * SECOND, Telling::Due);
    assert!(tallies.wants_buckets(&more, 104 * SECOND, Telling::Due), "one waits to be told");
}
