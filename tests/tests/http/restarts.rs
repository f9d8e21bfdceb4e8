//! A daemon that is killed or stopped while not everything is taken.

use shipper_tests::collector::delivery::{Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, Fault, Plan};
use shipper_tests::site::Plan as SitePlan;

use super::HELPER;

#[test]
fn a_daemon_killed_while_it_delivers_loses_nothing() -> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    // So that there is always something under way.
    collector.always(Fault::Slow(20));
    // What is executed while there is no daemon stays in the ring.
    let plan = SitePlan { pin: true, ..SitePlan::default() };
    let sink = http_sink(&collector.url(), "");
    let work = Work::begin_with(HELPER, "killed", &sink, plan, |_| {})?;
    let Some(Work { delivery, mut process, mut stream }) = work else { return Ok(()) };
    const KILLS: usize = 5;
    for _ in 0..KILLS {
        let events = collector.look(|account| account.events.len());
        collector.wait("more events", |account| account.events.len() > events + 20)?;
        assert!(process.kill()?.was_killed());
        process = delivery.site.start()?;
        stream.await_more(20)?;
    }
    let count = stream.end()?;
    delivery.site.settle(process, count)?;
    let balance = delivery.balance(&[&collector])?;
    balance.assert_complete();
    assert!(balance.duplicates < balance.events, "{balance:?}");
    Ok(())
}

#[test]
fn a_daemon_stopped_while_the_collector_is_away_ends_and_delivers_the_rest_later()
-> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let sink = http_sink(&collector.url(), "");
    let plan = SitePlan { shutdown_timeout: Some("1s"), ..SitePlan::default() };
    let work = Work::begin_with(HELPER, "stopped", &sink, plan, |_| {})?;
    let Some(Work { delivery, process, mut stream }) = work else { return Ok(()) };
    // One answers with silence, then nobody is there.
    collector.always(Fault::Stall { taken: false });
    stream.await_more(50)?;
    collector.die();
    stream.await_more(50)?;
    let count = stream.end()?;
    let ended = process.stop()?;
    assert!(ended.status.success(), "{}", ended.log);
    assert!(ended.log.contains("the rest waits in the spool"), "{}", ended.log);
    collector.always(Fault::Well);
    collector.revive()?;
    delivery.configure(&sink, SitePlan::default())?;
    let process = delivery.site.start()?;
    delivery.site.settle(process, count)?;
    delivery.balance(&[&collector])?.assert_complete();
    Ok(())
}

#[test]
fn a_daemon_is_stopped_in_time_while_a_collector_never_answers() -> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    collector.always(Fault::Stall { taken: false });
    let sink = http_sink(&collector.url(), "    timeouts: { request: 1h }\n");
    let plan = SitePlan { shutdown_timeout: Some("1s"), ..SitePlan::default() };
    let work = Work::begin_with(HELPER, "silent", &sink, plan, |_| {})?;
    let Some(Work { delivery, process, stream }) = work else { return Ok(()) };
    collector.wait("a request", |account| account.requests > 0)?;
    let count = stream.end()?;
    // Long before the hour that a request may take here.
    let ended = process.stop()?;
    assert!(ended.log.contains("the rest waits in the spool"), "{}", ended.log);
    collector.always(Fault::Well);
    delivery.configure(&sink, SitePlan::default())?;
    delivery.site.settle(delivery.site.start()?, count)?;
    delivery.balance(&[&collector])?.assert_exact();
    Ok(())
}
