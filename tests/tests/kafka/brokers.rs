//! Brokers that are killed, away, hanging, or lead something else from now on.
//!
//! All of it is exact: a producer that lives does not double what it repeats, and none is given up
//! for a broker that is away.

use shipper_tests::kafka::Listener::Plaintext;
use shipper_tests::site::Plan;

use super::three::{IMPATIENT, Turn, Work};

#[test]
fn a_broker_that_is_killed_and_comes_back_costs_nothing() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let work = Work::begin(&cluster, Plaintext, "killed", "", Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    for id in [1, 2, 3] {
        work.stream.await_more(100)?;
        cluster.broker(id).kill()?;
        work.stream.await_more(100)?;
        cluster.start_broker(id)?;
    }
    work.end_exact(&cluster)
}

#[test]
fn a_leader_that_moves_costs_nothing() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let work = Work::begin(&cluster, Plaintext, "moved", "", Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    for leader in [1, 2, 3, 1] {
        for partition in 0..3 {
            work.stream.await_more(20)?;
            cluster.admin().move_leader("moved", partition, leader)?;
        }
    }
    work.end_exact(&cluster)
}

#[test]
fn too_few_replicas_are_said_to_be_and_waited_for() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let work = Work::begin(&cluster, Plaintext, "few", "", Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    // Two of three brokers are also the majority that takes note of who is away: without it nobody
    // could say. So one is away, and all three are asked for.
    cluster.admin().alter_topic("few", "min.insync.replicas", Some("3"))?;
    cluster.broker(2).kill()?;
    work.process
        .await_log("partitions have fewer than 3 replicas in sync (min.insync.replicas)")?;
    cluster.start_broker(2)?;
    work.process.await_log("delivering again")?;
    work.end_exact(&cluster)
}

#[test]
fn brokers_without_a_majority_are_waited_for() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let work = Work::begin(&cluster, Plaintext, "minority", IMPATIENT, Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    cluster.broker(1).kill()?;
    cluster.broker(2).kill()?;
    work.process.await_log("Connection refused")?;
    cluster.start_all()?;
    work.process.await_log("delivering again")?;
    work.end_exact(&cluster)
}

#[test]
fn brokers_away_for_longer_than_every_timeout_are_waited_for() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let work = Work::begin(&cluster, Plaintext, "away", IMPATIENT, Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    cluster.kill_all()?;
    work.process.await_log_times("Connection refused", 2)?;
    cluster.start_all()?;
    work.process.await_log("delivering again")?;
    work.end_exact(&cluster)
}

#[test]
fn brokers_that_hang_for_longer_than_every_timeout_are_waited_for() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    let work = Work::begin(&cluster, Plaintext, "hanging", IMPATIENT, Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    for broker in cluster.brokers() {
        broker.pause()?;
    }
    work.process.await_log("cannot deliver: the brokers do not answer")?;
    for broker in cluster.brokers() {
        broker.resume()?;
    }
    work.process.await_log("delivering again")?;
    work.end_exact(&cluster)
}

#[test]
fn a_broker_that_is_not_there_from_the_start_costs_nothing() -> anyhow::Result<()> {
    let Some(cluster) = Turn::take()? else { return Ok(()) };
    cluster.make_topic("absent")?;
    // The first in `brokers`.
    cluster.broker(1).kill()?;
    let work = Work::begin_with_topic(&cluster, Plaintext, "absent", "", Plan::default())?;
    let Some(mut work) = work else { return Ok(()) };
    work.stream.await_more(300)?;
    work.end_exact(&cluster)
}
