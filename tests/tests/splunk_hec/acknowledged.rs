//! With acknowledgement: nothing counts as delivered that no indexer has acknowledged.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::Value;
use shipper_tests::collector::{Collector, Fault, HecPlan, Seen};
use shipper_tests::process::{LIMIT, until};

use super::line::{Delivery, Given, change, collector, write_token};

const EVENT_PATH: &str = "/services/collector/event";
const ACK_PATH: &str = "/services/collector/ack";

/// Short, for acknowledgements that never come.
const SOON: Duration = Duration::from_millis(1500);

/// Batches in flight.
const CONCURRENCY: usize = 4;

const ACK: HecPlan = HecPlan {
    ack: true,
    false_polls: 0,
    indexes: std::collections::BTreeSet::new(),
    body_bytes_max: None,
    refused: Vec::new(),
    health: 17,
};

fn given(patience: Duration) -> Given {
    Given { acknowledgement: Some(patience), concurrency: CONCURRENCY, ..Given::default() }
}

/// Those of the ids that none of the collectors has acknowledged.
fn missing(delivery: &Delivery, collectors: &[&Collector]) -> Vec<String> {
    let acked: HashSet<String> =
        collectors.iter().flat_map(|collector| collector.account().acked).collect();
    delivery.spooled.ids.iter().filter(|id| !acked.contains(*id)).cloned().collect()
}

fn requests(collector: &Collector, path: &str) -> Vec<Seen> {
    let mut requests = collector.requests();
    requests.retain(|seen| seen.path.starts_with(path));
    requests
}

#[test]
fn batches_are_acknowledged_together_on_one_channel() -> anyhow::Result<()> {
    let collector = collector(HecPlan { false_polls: 2, ..ACK })?;
    let mut delivery = Delivery::start(&[&collector], &given(LIMIT))?;
    delivery.finish_all()?;
    let account = collector.account();
    assert_eq!(account.repeated(), 0);
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    assert_eq!(account.complaints, [""; 0]);
    let posts = requests(&collector, EVENT_PATH);
    let channels: HashSet<_> =
        posts.iter().map(|seen| seen.header("x-splunk-request-channel")).collect();
    assert_eq!(channels.len(), 1);
    let most = requests(&collector, ACK_PATH).iter().map(numbers).max();
    assert!(most > Some(1), "at most {most:?} numbers were asked for at once");
    Ok(())
}

/// Waits until it is asked for all that may be in flight.
fn await_question(collector: &Collector) -> anyhow::Result<()> {
    until("a question for all that is in flight", || {
        Ok(requests(collector, ACK_PATH).iter().any(|seen| numbers(seen) == CONCURRENCY))
    })
}

/// How many numbers a question asks for.
fn numbers(seen: &Seen) -> usize {
    let body: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    body["acks"].as_array().map_or(0, Vec::len)
}

#[test]
fn nothing_is_sent_to_a_token_without_acknowledgement() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    let mut delivery = Delivery::start(&[&collector], &given(LIMIT))?;
    collector.wait("a few looks", |account| account.statuses.get(&400) > Some(&3))?;
    assert!(requests(&collector, EVENT_PATH).is_empty());
    change(&collector, |plan| plan.ack = true);
    delivery.finish_all()?;
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    assert_eq!(collector.account().repeated(), 0);
    Ok(())
}

#[test]
fn an_answer_without_a_number_is_no_acknowledgement() -> anyhow::Result<()> {
    let collector = collector(ACK)?;
    collector.only(EVENT_PATH);
    collector.script([Fault::OkWith(r#"{"text":"Success","code":0}"#.to_owned())]);
    let mut delivery = Delivery::start(&[&collector], &given(LIMIT))?;
    delivery.finish_all()?;
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    Ok(())
}

#[test]
fn a_batch_that_no_indexer_acknowledges_comes_again() -> anyhow::Result<()> {
    let collector = collector(ACK)?;
    collector.only(EVENT_PATH);
    collector.script([Fault::Well, Fault::Lost]);
    let mut delivery = Delivery::start(&[&collector], &given(SOON))?;
    delivery.finish_all()?;
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    Ok(())
}

#[test]
fn an_acknowledgement_that_was_told_and_lost_makes_the_batch_come_again() -> anyhow::Result<()> {
    let collector = collector(ACK)?;
    collector.only(ACK_PATH);
    collector.script([Fault::Well, Fault::CloseAtAnswerByte(20)]);
    let mut delivery = Delivery::start(&[&collector], &given(SOON))?;
    delivery.finish_all()?;
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    assert!(collector.account().repeated() > 0, "what was told is forgotten there");
    Ok(())
}

#[test]
fn questions_that_fail_cost_nothing() -> anyhow::Result<()> {
    let collector = collector(ACK)?;
    collector.only(ACK_PATH);
    let failures = [
        Fault::hec(9),
        Fault::Status(502),
        Fault::OkWith("<html>".to_owned()),
        Fault::hec(19),
        Fault::CloseBeforeAnswer { taken: false },
    ];
    collector.script([Fault::Well].into_iter().chain(failures));
    let mut delivery = Delivery::start(&[&collector], &given(LIMIT))?;
    delivery.finish_all()?;
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    assert_eq!(collector.account().repeated(), 0);
    Ok(())
}

#[test]
fn a_bad_event_is_put_aside_and_those_before_it_are_not_confirmed_with_it() -> anyhow::Result<()> {
    let before = collector(ACK)?;
    let ids = Delivery::start(&[&before], &given(LIMIT))?.spooled.ids;
    let collector = collector(HecPlan { refused: vec![(ids[5].clone(), 12)], ..ACK })?;
    let mut delivery = Delivery::start(&[&collector], &given(LIMIT))?;
    let delivered = delivery.finish()?;
    assert_eq!((delivered.sent, delivered.quarantined), (99, 1));
    assert_eq!(missing(&delivery, &[&collector]), [ids[5].clone()]);
    Ok(())
}

#[test]
fn what_a_collector_forgets_when_it_dies_comes_again() -> anyhow::Result<()> {
    let collector = collector(HecPlan { false_polls: u32::MAX, ..ACK })?;
    let mut delivery = Delivery::start(&[&collector], &given(SOON))?;
    await_question(&collector)?;
    collector.die();
    assert!(collector.account().acked.is_empty());
    change(&collector, |plan| plan.false_polls = 0);
    collector.revive()?;
    delivery.finish_all()?;
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    Ok(())
}

#[test]
fn a_token_that_is_changed_while_an_acknowledgement_is_waited_for_is_taken_over()
-> anyhow::Result<()> {
    const NEW: &str = "Splunk 99999999-aaaa-bbbb-cccc-1234567890ab";
    let collector = collector(HecPlan { false_polls: u32::MAX, ..ACK })?;
    let mut delivery = Delivery::start(&[&collector], &given(LIMIT))?;
    await_question(&collector)?;
    collector.expect_token(NEW);
    collector.wait("a few tries", |account| account.statuses.get(&403) > Some(&3))?;
    assert!(collector.account().acked.is_empty());
    change(&collector, |plan| plan.false_polls = 0);
    write_token(&delivery.token_file, NEW)?;
    delivery.finish_all()?;
    assert_eq!(missing(&delivery, &[&collector]), [""; 0]);
    Ok(())
}

#[test]
fn another_collector_gets_what_the_first_one_did_not_acknowledge() -> anyhow::Result<()> {
    let first = collector(HecPlan { false_polls: u32::MAX, ..ACK })?;
    let second = collector(ACK)?;
    let mut delivery = Delivery::start(&[&first, &second], &given(SOON))?;
    await_question(&first)?;
    first.die();
    delivery.finish_all()?;
    assert!(first.account().acked.is_empty());
    assert_eq!(missing(&delivery, &[&second]), [""; 0]);
    Ok(())
}
