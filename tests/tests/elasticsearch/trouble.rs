//! Events that are refused, and an index that takes none.

use serde_json::json;
use shipper::event::Event;
use shipper::sink::Outcome;
use shipper_tests::opensearch::OpenSearch;
use shipper_tests::spooled::{Aside, Spooled};

use super::commands::set_up;
use super::documents;
use super::servers::{shared, weak};
use super::sink::{deliver, events, send, settings};

/// Has `process.pid` be of a type that ends at 32,767.
fn spoil(server: &OpenSearch, name: &str) -> anyhow::Result<()> {
    set_up(server, name)?;
    let path = format!("/_index_template/shipper-{name}");
    let answer = server.request("GET", &path, b"")?;
    let mut template = answer["index_templates"][0]["index_template"].clone();
    template["template"]["mappings"]["properties"] =
        json!({ "process": { "properties": { "pid": { "type": "short" } } } });
    server.request("PUT", &path, template.to_string().as_bytes())?;
    Ok(())
}

#[test]
fn an_event_that_conflicts_with_the_mapping_is_put_aside_and_the_others_are_delivered()
-> anyhow::Result<()> {
    let Some(server) = shared() else { return Ok(()) };
    let name = "audit-conflict";
    spoil(server, name)?;
    let mut events = events(1000)?;
    let Event::Exec(exec) = &mut events[700] else { panic!("an execution") };
    exec.process.key.pid = 40_000;
    let spooled = Spooled::new(&events)?;
    let (settings, delivery) = settings(server.url(), name, "")?;
    let delivered = deliver(&spooled, &settings, &delivery)?;
    assert_eq!((delivered.sent, delivered.quarantined), (999, 1));

    let expected = events.iter().filter(|it| it.id() != events[700].id());
    let expected = expected.map(|event| event.id().to_string()).collect();
    assert_eq!(documents::ids(&documents::all(server, name)?), expected);
    let aside = spooled.quarantined()?;
    let [Aside { number: 701, reason, .. }] = &aside[..] else { panic!("{}", aside.len()) };
    let expected = "400 mapper_parsing_exception: failed to parse field [process.pid]";
    assert!(reason.starts_with(expected), "{reason}");
    assert!(reason.contains("shipper setup elasticsearch"), "{reason}");
    assert_eq!(spooled.figure("items_rejected")?, 1);
    Ok(())
}

fn assert_blocked(outcome: Outcome, words: &[&str]) {
    let cause = match outcome {
        Outcome::Blocked { cause } => cause,
        other => format!("not blocked: {other:?}"),
    };
    for words in words {
        assert!(cause.contains(words), "`{words}` is not in: {cause}");
    }
}

#[test]
fn an_index_that_takes_nothing_costs_no_event() -> anyhow::Result<()> {
    let Some(server) = shared() else { return Ok(()) };
    let name = "audit-blocked";
    server.request("PUT", &format!("/{name}"), b"")?;
    let (settings, _) = settings(server.url(), name, "")?;
    let events = events(20)?;
    let block = |set: bool| json!({ "index.blocks.write": set }).to_string();
    let path = format!("/{name}/_settings");
    server.request("PUT", &path, block(true).as_bytes())?;
    let words = ["did not take 20 of 20 events: 403 cluster_block_exception", "index.blocks"];
    assert_blocked(send(&settings, &events)?, &words);
    server.request("PUT", &path, block(false).as_bytes())?;

    server.request("POST", &format!("/{name}/_close"), b"")?;
    assert_blocked(send(&settings, &events)?, &["index_closed_exception", "open audit-blocked"]);
    server.request("POST", &format!("/{name}/_open"), b"")?;

    let pipeline = json!({ "index.final_pipeline": "not-there" }).to_string();
    server.request("PUT", &path, pipeline.as_bytes())?;
    let words = ["pipeline with id [not-there] does not exist", "run `shipper setup"];
    assert_blocked(send(&settings, &events)?, &words);
    server.request("PUT", &path, b"{\"index.final_pipeline\":null}")?;

    assert_eq!(send(&settings, &events)?, Outcome::Sent { position: Vec::new() });
    assert_eq!(documents::count(server, name)?, 20);
    Ok(())
}

#[test]
fn a_cluster_that_makes_no_index_by_itself_holds_the_sink() -> anyhow::Result<()> {
    let Some(server) = weak()? else { return Ok(()) };
    let allow = |set: &str| {
        let body = json!({ "transient": { "action.auto_create_index": set } });
        server.request("PUT", "/_cluster/settings", body.to_string().as_bytes())
    };
    allow("false")?;
    let (settings, _) = settings(server.url(), "audit-none", "")?;
    let outcome = send(&settings, &events(20)?)?;
    allow("true")?;
    let words = ["404 index_not_found_exception", "there is no audit-none", "shipper setup"];
    assert_blocked(outcome, &words);
    Ok(())
}
