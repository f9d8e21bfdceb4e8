//! Several collectors: one stands in for another. Among the first tests, since it mostly waits.

use shipper_tests::collector::delivery::{Work, sink};
use shipper_tests::collector::{Collector, Dialect, GenericPlan, Plan};

use super::HELPER;

#[test]
fn another_collector_stands_in_for_one_that_is_away() -> anyhow::Result<()> {
    let dedup = || Dialect::Generic(GenericPlan { dedup: true, ..GenericPlan::default() });
    let first = Collector::start(dedup(), Plan::default())?;
    let second = Collector::start(dedup(), Plan::default())?;
    let urls = format!("    urls: [\"{}\", \"{}\"]\n", first.url(), second.url());
    let Some(mut work) = Work::begin(HELPER, "failover", &sink("http", &urls))? else {
        return Ok(());
    };
    let events = |collector: &Collector| collector.look(|account| account.events.len());
    first.wait("some events", |account| !account.events.is_empty())?;
    assert_eq!(events(&second), 0, "the first one works");
    first.die();
    work.process.await_log(&format!("cannot deliver: {}/: ", first.url()))?;
    second.wait("what the first does not get", |account| account.events.len() > 100)?;
    first.revive()?;
    let before = events(&first);
    first.wait("events again", |account| account.events.len() > before + 20)?;
    let (balance, ..) = work.end(&[&first, &second])?;
    balance.assert_complete();
    // The answers that the first one owed when it died.
    assert!(balance.duplicates <= 4 * 20, "{balance:?}");
    Ok(())
}
