//! Which batch an acknowledgement is for, whatever the collector forgets.

use tokio::sync::oneshot::error::TryRecvError;

use crate::sink::splunk_hec::channels::{Channels, PAUSE_MAX, PAUSE_MIN, Post, Waiting};

fn proven() -> Channels {
    let channels = Channels::new();
    assert!(channels.begin().is_none(), "nothing is sent before it was looked at");
    channels.prove();
    channels
}

fn post(channels: &Channels) -> Post<'_> {
    channels.begin().expect("a proven collector")
}

fn numbered(channels: &Channels, number: u64) -> Waiting<'_> {
    post(channels).numbered(number).expect("a new number")
}

/// The numbers that are waited for, on all channels.
fn asked(channels: &Channels) -> Vec<Vec<u64>> {
    channels.questions().into_iter().map(|(_, numbers)| numbers).collect()
}

fn is_told(waiting: &mut Waiting<'_>) -> bool {
    waiting.told.try_recv() == Ok(())
}

fn is_given_up(waiting: &mut Waiting<'_>) -> bool {
    waiting.told.try_recv() == Err(TryRecvError::Closed)
}

#[test]
fn each_is_told_of_its_own_number_and_asked_for_no_longer() {
    let channels = proven();
    let mut waiting = [0, 1, 2].map(|number| numbered(&channels, number));
    assert_eq!(asked(&channels), [[0, 1, 2]]);
    channels.acknowledged(channels.current(), &[2, 0, 9]);
    let told = waiting.each_mut().map(is_told);
    assert_eq!(told, [true, false, true]);
    assert_eq!(asked(&channels), [[1]]);
    assert_eq!(channels.waiting(), 1);
}

#[test]
fn who_goes_away_leaves_nothing_behind() {
    let channels = proven();
    drop(post(&channels));
    drop(numbered(&channels, 0));
    let waiting = numbered(&channels, 1);
    channels.leave(channels.current());
    drop(waiting);
    post(&channels).lost();
    assert_eq!(channels.waiting(), 0);
    assert!(channels.questions().is_empty());
    assert!(channels.kept() <= 1, "only the current one");
}

#[test]
fn numbers_that_begin_anew_give_the_channel_up() {
    let channels = proven();
    let before = channels.current();
    let mut old = numbered(&channels, 5);
    assert!(post(&channels).numbered(0).is_none(), "a lower number than one known before");
    assert!(is_given_up(&mut old));
    assert_ne!(channels.current(), before);
    let mut new = numbered(&channels, 0);
    channels.acknowledged(before, &[0, 5]);
    assert!(!is_told(&mut new), "that was told on the old channel");
}

#[test]
fn a_number_that_another_batch_has_gives_the_channel_up() {
    let channels = proven();
    let (first, second) = (post(&channels), post(&channels));
    let mut first = first.numbered(0).expect("a new number");
    assert!(second.numbered(0).is_none(), "two collectors behind one URL");
    assert!(is_given_up(&mut first));
}

#[test]
fn answers_may_come_in_another_order_than_batches_were_taken() {
    let channels = proven();
    let (first, second) = (post(&channels), post(&channels));
    let _second = second.numbered(1).expect("a new number");
    let _first = first.numbered(0).expect("a new number");
    assert_eq!(asked(&channels), [[0, 1]]);
}

#[test]
fn an_answer_that_was_lost_leaves_no_number_that_may_be_its_own() {
    let channels = proven();
    let (mut first, mut second) = (numbered(&channels, 0), numbered(&channels, 1));
    let before = channels.current();
    let (late, lost) = (post(&channels), post(&channels));
    // After a restart that nobody saw, the lost one may have 0 or 1.
    lost.lost();
    assert!(is_given_up(&mut first));
    assert!(is_given_up(&mut second));
    assert_ne!(channels.current(), before);
    assert!(late.numbered(1).is_none());
}

#[test]
fn an_answer_that_was_lost_spares_numbers_that_it_cannot_have() {
    let channels = proven();
    let mut waiting = numbered(&channels, 40);
    let before = channels.current();
    post(&channels).lost();
    assert!(!is_given_up(&mut waiting));
    channels.acknowledged(before, &[40]);
    assert!(is_told(&mut waiting));
}

#[test]
fn a_batch_without_a_number_makes_the_collector_be_looked_at_again() {
    let channels = proven();
    let (before, first) = (channels.current(), post(&channels));
    channels.doubt();
    drop(first);
    assert!(channels.begin().is_none());
    assert_ne!(channels.current(), before, "what is asked there was promised to nobody");
}

#[test]
fn pauses_grow_until_something_is_told() {
    let channels = proven();
    let mut waiting = numbered(&channels, 0);
    assert_eq!(channels.pause(), PAUSE_MIN);
    let mut last = PAUSE_MIN;
    for _ in 0..20 {
        channels.acknowledged(channels.current(), &[]);
        assert!(channels.pause() > last || last == PAUSE_MAX);
        last = channels.pause();
    }
    assert_eq!(last, PAUSE_MAX);
    channels.acknowledged(channels.current(), &[0]);
    assert!(is_told(&mut waiting));
    assert_eq!(channels.pause(), PAUSE_MIN);
}
