//! A collector that takes less than the daemon would send.

use shipper_tests::collector::delivery::{Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, Fault, Plan};
use shipper_tests::process::until;

use super::HELPER;

#[test]
fn a_collector_that_takes_two_requests_at_once_is_not_sent_sixteen_for_long() -> anyhow::Result<()>
{
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    collector.in_flight_limit(2);
    // While it is at work on one, others come.
    collector.always(Fault::Slow(100));
    let more = "    concurrency: 16\n    batch: { events: 5, linger: 10ms }\n";
    let sink = http_sink(&collector.url(), more);
    let Some(mut work) = Work::begin(HELPER, "pressure", &sink)? else { return Ok(()) };
    work.process.await_log("answered 429 Too Many Requests")?;
    until("few at once", || {
        let limit = work.delivery.status()?["figures"]["concurrency_limit"].as_u64();
        Ok(limit.is_some_and(|limit| limit <= 2))
    })?;
    let requests = collector.look(|account| account.requests);
    collector.wait("more requests", |account| account.requests > requests + 100)?;
    let most = work.delivery.status()?["figures"]["concurrency_limit"].as_u64();
    assert!(most.is_some_and(|most| most <= 4), "{most:?}");
    collector.always(Fault::Well);
    work.end_exact(&[&collector])?;
    let account = collector.account();
    let busy = account.statuses.get(&429).copied().unwrap_or_default();
    assert!(busy * 4 < account.requests, "{busy} of {} were too many", account.requests);
    Ok(())
}
