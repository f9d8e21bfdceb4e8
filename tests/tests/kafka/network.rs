//! A network that cuts, hangs, loses answers; and brokers that hold a user back.

use shipper_tests::kafka::Listener::SaslPlaintext;
use shipper_tests::kafka::PLAIN_USER;
use shipper_tests::process::until;
use shipper_tests::proxy::PRODUCE;
use shipper_tests::site::Plan;

use super::three::{Turn, Work};

#[test]
fn a_network_cut_in_the_middle_of_batches_costs_nothing() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let sink = "    compression: none\n";
    let work = Work::begin(&cluster, SaslPlaintext, "cut", sink, Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    for round in 0..3 {
        for broker in cluster.brokers() {
            // Each time elsewhere: in a head, in an event, between two.
            broker.proxy().cut_after(30_000 + 777 * round);
            until("the connection is cut", || Ok(broker.proxy().is_cut()))?;
            work.stream.await_more(20)?;
            broker.proxy().mend()?;
        }
    }
    work.end_exact(&cluster)
}

#[test]
fn what_was_committed_is_not_doubled_when_the_answers_are_lost() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let work = Work::begin(&cluster, SaslPlaintext, "unanswered", "", Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    for broker in cluster.brokers() {
        broker.proxy().drop_responses(PRODUCE, 5);
    }
    work.stream.await_more(500)?;
    for broker in cluster.brokers() {
        until("answers are lost", || Ok(broker.proxy().dropped_responses() >= 5))?;
    }
    work.end_exact(&cluster)
}

#[test]
fn a_user_who_is_held_back_by_a_quota_gets_everything_through() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let sink = "    options: { statistics.interval.ms: 200 }\n";
    let work = Work::begin(&cluster, SaslPlaintext, "throttled", sink, Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    cluster.admin().set_quota(PLAIN_USER, Some(10_000))?;
    work.stream.await_more(100)?;
    let status = work.delivery.site.dir().join("spool/status/siem.json");
    until("the status tells of the quota", || {
        let status: serde_json::Value = serde_json::from_slice(&std::fs::read(&status)?)?;
        Ok(status["figures"]["throttled_max_ms"].as_u64().is_some_and(|ms| ms > 0))
    })?;
    cluster.admin().set_quota(PLAIN_USER, None)?;
    work.end_exact(&cluster)
}
