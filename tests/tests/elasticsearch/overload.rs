//! A server that cannot keep up, and one that dies.

use shipper_tests::process::until;
use shipper_tests::spooled::Spooled;

use super::commands::set_up;
use super::documents;
use super::servers::{Weak, shared, weak};
use super::sink::{deliver, events, settings};

/// Writes that the server has refused since its queue was full.
fn refused(server: &Weak) -> anyhow::Result<u64> {
    let path = "/_nodes/stats/thread_pool?filter_path=nodes.*.thread_pool.write.rejected";
    let stats = server.request("GET", path, b"")?;
    let nodes = stats["nodes"].as_object().into_iter().flatten();
    Ok(nodes.filter_map(|(_, node)| node["thread_pool"]["write"]["rejected"].as_u64()).sum())
}

#[test]
fn a_full_queue_costs_no_event_and_doubles_none() -> anyhow::Result<()> {
    let Some(server) = weak()? else { return Ok(()) };
    let name = "audit-queue";
    set_up(&server, name)?;
    let events = events(2000)?;
    let spooled = Spooled::new(&events)?;
    let more = "    batch: { events: 50 }\n    concurrency: 8\n";
    let (settings, delivery) = settings(server.url(), name, more)?;
    let delivered = deliver(&spooled, &settings, &delivery)?;
    assert_eq!(delivered.sent, 2000);
    assert!(refused(&server)? > 0, "the queue was never full");
    assert_eq!(documents::all(&server, name)?.len(), 2000);
    Ok(())
}

#[test]
fn a_server_that_is_killed_and_comes_back_has_each_event_once() -> anyhow::Result<()> {
    let Some(mut server) = weak()? else { return Ok(()) };
    let name = "audit-killed";
    set_up(&server, name)?;
    let events = events(8000)?;
    let spooled = Spooled::new(&events)?;
    let more = "    batch: { events: 50 }\n    rate_limit: { requests: 40 }\n";
    let (settings, delivery) = settings(server.url(), name, more)?;
    let delivered = std::thread::scope(|scope| {
        let line = scope.spawn(|| deliver(&spooled, &settings, &delivery));
        until("some are there", || {
            // Until the first event there is no index.
            Ok(documents::count(&server, name).is_ok_and(|count| count > 500))
        })?;
        server.kill();
        let is_over = line.is_finished();
        server.begin()?;
        anyhow::ensure!(!is_over, "all was delivered before");
        line.join().expect("no panic")
    })?;
    assert_eq!(delivered.sent, 8000);
    assert_eq!(documents::all(&server, name)?.len(), 8000);
    Ok(())
}

#[test]
fn five_thousand_events_delivered_twice_are_five_thousand_documents() -> anyhow::Result<()> {
    let Some(server) = shared() else { return Ok(()) };
    let name = "audit-twice";
    set_up(server, name)?;
    let spooled = Spooled::new(&events(5000)?)?;
    let (settings, delivery) = settings(server.url(), name, "")?;
    deliver(&spooled, &settings, &delivery)?;
    spooled.rewind()?;
    assert_eq!(deliver(&spooled, &settings, &delivery)?.sent, 5000);
    assert_eq!(spooled.figure("items_duplicate")?, 5000);
    assert_eq!(documents::all(server, name)?.len(), 5000);
    Ok(())
}
