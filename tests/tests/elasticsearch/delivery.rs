//! The real daemon with real executions.

use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::Value;
use shipper_tests::daemon::read_events;
use shipper_tests::site::{Pace, Plan, Site};

use super::HELPER;
use super::commands::set_up;
use super::documents;
use super::servers::shared;
use super::sink::yaml;

#[test]
fn what_is_in_the_data_stream_is_what_is_in_the_file() -> anyhow::Result<()> {
    let Some(server) = shared() else { return Ok(()) };
    let name = "logs-shipper.process-test";
    set_up(server, name)?;
    let plan = Plan {
        local: "    rotate: { bytes: 1TiB }\n".to_owned(),
        more: yaml(server.url(), name, ""),
        ..Plan::default()
    };
    let Some(site) = Site::new("elastic", &plan)? else { return Ok(()) };
    let Some(process) = site.start_or_skip()? else { return Ok(()) };
    let pace = Pace { in_a_row: 10, pause_ms: 20, padding_bytes: 100 };
    let mut stream = site.stream(HELPER, pace)?;
    stream.await_more(1000)?;
    let count = stream.end()?;
    site.settle(process, count)?;

    let mut there = HashMap::new();
    for mut document in documents::all(server, name)? {
        let stamp = document["event"].as_object_mut().and_then(|event| event.remove("ingested"));
        assert!(stamp.is_some_and(|stamp| stamp.is_string()), "{document}");
        there.insert(document["event"]["id"].to_string(), document);
    }
    let written: Vec<Value> = read_events(&site.events_path())?;
    assert_eq!(there.len(), written.len());
    for event in written {
        let document = there.get(&event["event"]["id"].to_string()).context("a missing event")?;
        assert_eq!(*document, event);
    }
    let stream = server.request("GET", &format!("/_data_stream/{name}"), b"")?;
    assert_eq!(stream["data_streams"][0]["template"], "logs-shipper.process");
    Ok(())
}
