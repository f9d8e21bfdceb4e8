//! What a collector that works gets: every event once, in the form that was asked for.

use std::collections::HashSet;

use shipper_tests::collector::delivery::{Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, Fault, GenericPlan, Plan, Seen};
use shipper_tests::pki::Certificate;
use shipper_tests::process::until;

use super::HELPER;

/// Each form of a body, plain or over TLS: everything arrives once, with headers that say what it is.
fn assert_taken(
    mark: &str,
    is_tls: bool,
    (encoding, content_type): (&str, &str),
    (compression, coding): (&str, Option<&str>),
) -> anyhow::Result<()> {
    let plan = Plan { tls: is_tls.then_some(Certificate::Valid), ..Plan::default() };
    let collector = Collector::start(Dialect::generic(), plan)?;
    let mut more = format!(
        "    encoding: {encoding}\n    compression: {compression}\n    concurrency: 1\n    \
         headers: {{ X-Tenant: prod, X-Event: \"{{event.kind}}/{{event.action}}\" }}\n"
    );
    if is_tls {
        more += &format!("    tls: {{ ca_file: {} }}\n", collector.ca_file().display());
    }
    let url = format!("{}/ingest?tenant=a%20b", collector.url());
    let Some(mut work) = Work::begin(HELPER, mark, &http_sink(&url, &more))? else {
        return Ok(());
    };
    work.stream.await_more(200)?;
    let (balance, ..) = work.end(&[&collector])?;
    balance.assert_exact();
    assert!(balance.in_order, "one request at a time keeps the order");
    let requests = collector.requests();
    let keys: HashSet<_> =
        requests.iter().map(|request| request.header("idempotency-key")).collect();
    assert_eq!(keys.len(), requests.len(), "a key of its own each");
    for request in &requests {
        assert_eq!((&*request.method, &*request.path), ("POST", "/ingest?tenant=a%20b"));
        assert_eq!(request.header("content-type"), Some(content_type));
        assert_eq!(request.header("content-encoding"), coding);
        assert_eq!(
            request.header("user-agent"),
            Some(&*format!("shipper/{}", env!("CARGO_PKG_VERSION")))
        );
        assert_eq!(request.header("x-tenant"), Some("prod"));
        assert!(request.header("idempotency-key").is_some_and(|key| key.len() == 36));
        assert!(events_are(request, encoding == "json"), "events that do not fit the header");
        let is_compressed = request.body_bytes < request.body.len();
        assert_eq!(is_compressed, coding.is_some());
    }
    Ok(())
}

/// Whether each event of the request is what the header made from it says.
fn events_are(request: &Seen, is_array: bool) -> bool {
    let events: Vec<serde_json::Value> = if is_array {
        serde_json::from_slice(&request.body).unwrap_or_default()
    } else {
        let lines = request.body.split_inclusive(|byte| *byte == b'\n');
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    };
    let text = |event: &serde_json::Value| {
        let field = |name: &str| event["event"][name].as_str().unwrap_or_default().to_owned();
        format!("{}/{}", field("kind"), field("action"))
    };
    !events.is_empty() && events.iter().all(|event| request.header("x-event") == Some(&text(event)))
}

const NDJSON: (&str, &str) = ("ndjson", "application/x-ndjson");
const JSON: (&str, &str) = ("json", "application/json");

#[test]
fn lines_arrive_as_they_are() -> anyhow::Result<()> {
    assert_taken("lines", false, NDJSON, ("none", None))
}

#[test]
fn lines_arrive_over_tls_with_gzip() -> anyhow::Result<()> {
    assert_taken("lines-tls", true, NDJSON, ("gzip", Some("gzip")))
}

#[test]
fn arrays_arrive_with_zstd() -> anyhow::Result<()> {
    assert_taken("arrays", false, JSON, ("zstd", Some("zstd")))
}

#[test]
fn arrays_arrive_over_tls_as_they_are() -> anyhow::Result<()> {
    assert_taken("arrays-tls", true, JSON, ("none", None))
}

#[test]
fn a_collector_that_knows_the_key_gets_nothing_twice_when_answers_are_lost() -> anyhow::Result<()> {
    let dialect = Dialect::Generic(GenericPlan { dedup: true, ..GenericPlan::default() });
    let collector = Collector::start(dialect, Plan::default())?;
    let Some(mut work) = Work::begin(HELPER, "keys", &http_sink(&collector.url(), ""))? else {
        return Ok(());
    };
    for _ in 0..3 {
        collector.script([
            Fault::CloseBeforeAnswer { taken: true },
            Fault::Well,
            Fault::CloseAtAnswerByte(9),
            Fault::Reset { taken: true },
            Fault::Status(503),
            Fault::CloseBeforeAnswer { taken: false },
        ]);
        work.stream.await_more(100)?;
        until("all faults", || Ok(collector.script_left() == 0))?;
    }
    work.end_exact(&[&collector])?;
    let account = collector.account();
    let repeated = account.keys.values().filter(|times| **times > 1).count();
    assert!(repeated >= 3, "{repeated} keys came again");
    Ok(())
}
