//! Without acknowledgement: what the collector says it took is taken.

use std::collections::BTreeSet;

use shipper_tests::collector::{Fault, HecPlan};

use super::line::{Delivery, Given, change, collector, write_token};

/// Codes that cost nothing but time, and those that somebody must mend.
const PASSING: [u16; 19] = [1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 16, 18, 19, 20, 21, 22, 23, 26, 27];

#[test]
fn no_code_costs_or_doubles_an_event() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    let answers = [
        Fault::OkWith(String::new()),
        Fault::OkWith("<html>you are logged out</html>".to_owned()),
        Fault::OkWith(r#"{"text":"Success"}"#.to_owned()),
        Fault::OkWith(r#"{"text":"Success","code":0"#.to_owned()),
        Fault::StatusWith(503, r#"{"text":"Success","code":0}"#.to_owned()),
        Fault::Status(502),
        Fault::hec(17),
    ];
    let coded = PASSING.into_iter().map(Fault::hec);
    // An event at fault that is not named is searched for: the halves are taken.
    let bad = [5, 6, 12, 13, 15]
        .into_iter()
        .flat_map(|code| [Fault::hec(code), Fault::Well, Fault::Well]);
    collector.script(coded.chain(answers).chain(bad));
    let mut delivery = Delivery::start(&[&collector], &Given::default())?;
    delivery.finish_all()?;
    assert_eq!(collector.script_left(), 0);
    let account = collector.account();
    assert!(account.has_exactly(&delivery.spooled.ids), "{:?}", account.events);
    assert_eq!(account.repeated(), 0);
    assert_eq!(account.complaints, [""; 0]);
    Ok(())
}

#[test]
fn a_bad_event_is_put_aside_and_all_others_are_taken_once() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    let given = Given { events: 50, batch_events: 25, ..Given::default() };
    // The ids of the events follow from their numbers.
    let ids = Delivery::start(&[&collector], &given)?.spooled.ids;
    let bad = [(0, 12), (7, 6), (8, 13), (49, 15)];
    let collector = super::line::collector(HecPlan {
        refused: bad.iter().map(|(place, code)| (ids[*place].clone(), *code)).collect(),
        ..HecPlan::default()
    })?;
    let mut delivery = Delivery::start(&[&collector], &given)?;
    let delivered = delivery.finish()?;
    assert_eq!((delivered.sent, delivered.quarantined), (46, 4));
    let is_bad = |place: usize| bad.iter().any(|(bad, _)| *bad == place);
    let good = (0..).zip(&ids).filter(|(place, _)| !is_bad(*place)).map(|(_, id)| id);
    let account = collector.account();
    assert!(account.has_exactly(good), "{:?}", account.events);
    assert_eq!(account.repeated(), 0);
    Ok(())
}

#[test]
fn an_unknown_index_holds_until_it_is_there() -> anyhow::Result<()> {
    let indexes = BTreeSet::from(["main".to_owned()]);
    let collector = collector(HecPlan { indexes, ..HecPlan::default() })?;
    let mut delivery = Delivery::start(&[&collector], &Given::default())?;
    collector.wait("a few tries", |account| account.statuses.get(&400) > Some(&3))?;
    assert_eq!(collector.account().events, [""; 0]);
    change(&collector, |plan| plan.indexes.extend(["linux".to_owned()]));
    delivery.finish_all()?;
    assert!(collector.account().has_exactly(&delivery.spooled.ids));
    Ok(())
}

#[test]
fn a_token_that_wants_acknowledgement_holds() -> anyhow::Result<()> {
    let collector = collector(HecPlan { ack: true, ..HecPlan::default() })?;
    let mut delivery = Delivery::start(&[&collector], &Given::default())?;
    collector.wait("a few tries", |account| account.statuses.get(&400) > Some(&3))?;
    assert_eq!(collector.account().events, [""; 0]);
    change(&collector, |plan| plan.ack = false);
    delivery.finish_all()
}

#[test]
fn a_token_that_is_changed_in_its_file_is_taken_over() -> anyhow::Result<()> {
    const NEW: &str = "Splunk 99999999-aaaa-bbbb-cccc-1234567890ab";
    let collector = collector(HecPlan::default())?;
    collector.expect_token(NEW);
    let mut delivery = Delivery::start(&[&collector], &Given::default())?;
    collector.wait("a few tries", |account| account.statuses.get(&403) > Some(&3))?;
    assert_eq!(collector.account().events, [""; 0]);
    write_token(&delivery.token_file, NEW)?;
    delivery.finish_all()?;
    assert!(collector.account().has_exactly(&delivery.spooled.ids));
    Ok(())
}

#[test]
fn batches_stay_below_what_splunk_cloud_takes_at_once() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    let given = Given { events: 5_000, batch_events: 100_000, ..Given::default() };
    let mut delivery = Delivery::start(&[&collector], &given)?;
    delivery.finish_all()?;
    assert!(collector.account().has_exactly(&delivery.spooled.ids));
    let sizes: Vec<usize> = collector.requests().iter().map(|seen| seen.body.len()).collect();
    assert!(sizes.iter().all(|bytes| *bytes <= given.batch_bytes), "{sizes:?}");
    assert!(sizes.iter().any(|bytes| *bytes > given.batch_bytes * 9 / 10), "{sizes:?}");
    Ok(())
}

#[test]
fn a_collector_that_takes_less_at_once_gets_smaller_batches() -> anyhow::Result<()> {
    let collector = collector(HecPlan { body_bytes_max: Some(3_000), ..HecPlan::default() })?;
    let mut delivery = Delivery::start(&[&collector], &Given::default())?;
    delivery.finish_all()?;
    let account = collector.account();
    assert!(account.has_exactly(&delivery.spooled.ids), "{:?}", account.statuses);
    assert!(account.statuses.contains_key(&413));
    Ok(())
}
