//! Events that a collector does not take: for their size, for what is in them, or all of them.

use std::process::Command;

use anyhow::ensure;
use serde_json::Value;
use shipper_tests::collector::Fault::{Status, Well};
use shipper_tests::collector::delivery::{Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, GenericPlan, Plan};
use shipper_tests::daemon::{self, run_to_end};
use shipper_tests::site::Pace;

use super::HELPER;

fn collector(plan: GenericPlan) -> anyhow::Result<Collector> {
    Collector::start(Dialect::Generic(plan), Plan::default())
}

/// Has the collector refuse whatever has one of these texts.
fn refuse(collector: &Collector, texts: &[&str]) {
    collector.change(|dialect| {
        if let Dialect::Generic(plan) = dialect {
            plan.refused = texts.iter().map(|text| ((*text).to_owned(), 400)).collect();
        }
    });
}

/// What was put aside of the sink, as an operator sees it.
fn put_aside(work_dir: &std::path::Path) -> anyhow::Result<Vec<Value>> {
    let mut command = Command::new(daemon::program());
    command.args(["spool", "quarantine", "siem", "--json", "--dir"]).arg(work_dir.join("spool"));
    let output = run_to_end(&mut command)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn what_is_too_large_is_halved_sent_alone_and_cut() -> anyhow::Result<()> {
    let collector = collector(GenericPlan { body_bytes_max: Some(40_000), ..Default::default() })?;
    let sink = http_sink(&collector.url(), "    batch: { events: 100, linger: 100ms }\n");
    let Some(mut work) = Work::begin(HELPER, "large", &sink)? else { return Ok(()) };
    work.stream.end()?;
    let pace = Pace { in_a_row: 1, pause_ms: 20, padding_bytes: 60_000 };
    work.stream = work.delivery.site.stream(HELPER, pace)?;
    work.stream.await_more(20)?;
    work.process.await_log_times("too large for the other side: arguments were cut", 10)?;
    work.stream.end()?;
    let ended = work.process.stop()?;
    ensure!(ended.status.success(), "{}", ended.log);
    work.delivery.balance(&[&collector])?.assert_exact();
    assert!(!ended.log.contains("put aside"), "{}", ended.log);
    let requests = collector.requests();
    let taken = requests.iter().filter(|request| request.status == Some(200));
    let largest = taken.map(|request| request.body.len()).max();
    assert!(largest.is_some_and(|bytes| (20_000..=40_000).contains(&bytes)), "{largest:?}");
    Ok(())
}

#[test]
fn one_event_that_is_refused_is_put_aside_and_all_others_are_delivered() -> anyhow::Result<()> {
    let collector = collector(GenericPlan::default())?;
    let mark = format!("one-{}", std::process::id());
    let texts = [77, 177, 178].map(|number| format!("\"{mark}\",\"{number}\","));
    refuse(&collector, &texts.each_ref().map(String::as_str));
    let sink = http_sink(&collector.url(), "    batch: { events: 100, linger: 300ms }\n");
    let Some(mut work) = Work::begin(HELPER, "one", &sink)? else { return Ok(()) };
    work.stream.await_more(200)?;
    let words = "put aside: http://127.0.0.1:";
    work.process.await_log_times(words, 3)?;
    let (balance, _, delivery) = work.end(&[&collector])?;
    assert_eq!((balance.missing, balance.unknown, balance.duplicates), (3, 0, 0), "{balance:?}");
    let entries = put_aside(delivery.site.dir())?;
    assert_eq!(entries.len(), 3);
    let told = "answered 400 Bad Request: {\"error\":\"an event that is refused\"}";
    for entry in &entries {
        assert!(
            entry["reason"].as_str().is_some_and(|reason| reason.contains(told)),
            "{}",
            entry["reason"]
        );
    }
    Ok(())
}

#[test]
fn a_collector_that_refuses_everything_holds_the_sink_and_nothing_is_put_aside()
-> anyhow::Result<()> {
    let collector = collector(GenericPlan::default())?;
    collector.always(Status(503));
    let sink = http_sink(&collector.url(), "    batch: { events: 50, linger: 20s }\n");
    let Some(mut work) = Work::begin(HELPER, "all", &sink)? else { return Ok(()) };
    work.process.await_log("answered 503 Service Unavailable")?;
    refuse(&collector, &[""]);
    collector.always(Well);
    work.delivery.await_state("blocked", "which looks like the configuration")?;
    work.stream.await_more(100)?;
    refuse(&collector, &[]);
    work.delivery.await_state("delivering", "")?;
    let (balance, log, delivery) = work.end(&[&collector])?;
    balance.assert_exact();
    assert!(!log.contains("put aside"), "{log}");
    assert_eq!(put_aside(delivery.site.dir())?.len(), 0);
    Ok(())
}
