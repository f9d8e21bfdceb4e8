//! A daemon that is killed or stopped while not everything is acknowledged.
//!
//! Its producer goes with it, so what was on its way comes again: that may be there twice.

use std::collections::HashMap;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;
use shipper_tests::daemon;
use shipper_tests::kafka::Listener::Plaintext;
use shipper_tests::kafka::Message;
use shipper_tests::kafka::delivery::Delivery;
use shipper_tests::site::{Plan, Site};

use super::three::{Turn, Work, command};

#[test]
fn a_daemon_killed_while_it_delivers_loses_nothing_and_repeats_only_what_was_on_its_way()
-> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    // What is executed while there is no daemon stays in the ring.
    let plan = Plan { pin: true, ..Plan::default() };
    let work = Work::begin(&cluster, Plaintext, "daemon-killed", "", plan)?;
    let Some(Work { delivery, mut process, mut stream }) = work else { return Ok(()) };
    let mut kills = Vec::new();
    for _ in 0..4 {
        stream.await_more(60)?;
        assert!(process.kill()?.was_killed());
        let noted = noted(&delivery)?;
        kills.push((noted, ends(&cluster.consume("daemon-killed")?)));
        process = Site::begin(&mut command(&delivery))?;
    }
    let count = stream.end()?;
    let account = delivery.settle(process, count, &cluster)?;
    account.assert_complete();

    let places = places(&delivery)?;
    let messages = cluster.consume("daemon-killed")?;
    for (noted, ends) in kills {
        let later =
            messages.iter().filter(|it| it.offset > *ends.get(&it.partition).unwrap_or(&-1));
        for message in later {
            let id = message.header("event-id").context("an event without an id")?;
            let place = places.get(id).context("an event that is not in the file")?;
            assert!(*place >= noted, "{place} was delivered before, up to {noted} all was");
        }
    }
    Ok(())
}

/// How many events at the beginning of the spool the sink is known to have, as the next daemon
/// finds it.
fn noted(delivery: &Delivery) -> anyhow::Result<usize> {
    let mut status = Command::new(daemon::program());
    status.args(["spool", "status", "--json", "--dir"]).arg(delivery.site.dir().join("spool"));
    let status: Value = serde_json::from_slice(&daemon::run_to_end(&mut status)?.stdout)?;
    let sinks = status["sinks"].as_array().context("sinks")?;
    let sink = sinks.iter().find(|sink| sink["name"] == "siem").context("the sink")?;
    // They are numbered from 1.
    Ok(usize::try_from(sink["next"].as_u64().context("a number")?)? - 1)
}

/// The last offset of each partition.
fn ends(messages: &[Message]) -> HashMap<i32, i64> {
    messages.iter().map(|message| (message.partition, message.offset)).collect()
}

/// The place of each event in the spool, by its id.
fn places(delivery: &Delivery) -> anyhow::Result<HashMap<Vec<u8>, usize>> {
    let events = daemon::read_events(&delivery.site.events_path())?;
    let ids = events.iter().enumerate().map(|(place, event)| {
        Ok((event["event"]["id"].as_str().context("an id")?.as_bytes().to_vec(), place))
    });
    ids.collect()
}

#[test]
fn a_daemon_stopped_while_brokers_are_away_ends_and_delivers_the_rest_later() -> anyhow::Result<()>
{
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let plan = Plan { shutdown_timeout: Some("2s"), ..Plan::default() };
    let work = Work::begin(&cluster, Plaintext, "stopped", "", plan)?;
    let Some(Work { delivery, process, mut stream }) = work else { return Ok(()) };
    cluster.kill_all()?;
    stream.await_more(100)?;
    let count = stream.end()?;
    let ended = process.stop()?;
    assert!(ended.status.success(), "{}", ended.log);
    assert!(ended.log.contains("the rest waits in the spool"), "{}", ended.log);
    cluster.start_all()?;
    delivery.configure(Plan::default())?;
    let process = delivery.site.start()?;
    delivery.settle(process, count, &cluster)?.assert_complete();
    Ok(())
}
