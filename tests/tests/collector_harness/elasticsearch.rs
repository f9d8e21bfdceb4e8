//! The `_bulk` stub, by its documentation.

use shipper_tests::collector::{Collector, Dialect, ElasticsearchPlan, Plan};

use crate::{Answer, NDJSON, call};

fn start(plan: ElasticsearchPlan) -> anyhow::Result<Collector> {
    Collector::start(Dialect::Elasticsearch(plan), Plan::default())
}

fn bulk(collector: &Collector, body: &str) -> anyhow::Result<Answer> {
    call(collector, ("POST", "/logs/_bulk?filter_path=errors"), &[NDJSON], body.as_bytes())
}

fn create(ids: &[&str]) -> String {
    let one = |id: &&str| format!("{{\"create\":{{\"_id\":\"{id}\"}}}}\n{{\"text\":\"<{id}>\"}}\n");
    ids.iter().map(one).collect()
}

/// `errors`, and the status of each item.
fn outcome(answer: &Answer) -> (bool, Vec<u64>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let status = |item: &serde_json::Value| item["create"]["status"].as_u64().expect("a status");
    let items = json["items"].as_array().expect("items");
    (json["errors"].as_bool().expect("errors"), items.iter().map(status).collect())
}

#[test]
fn each_item_has_a_status_of_its_own() -> anyhow::Result<()> {
    let collector = start(ElasticsearchPlan {
        items: [(2, 429), (4, 503)].into(),
        refused: vec![("<bad>".into(), 400)],
        ..ElasticsearchPlan::default()
    })?;
    let answer = bulk(&collector, &create(&["a", "b", "bad", "c"]))?;
    assert_eq!(outcome(&answer), (true, vec![201, 429, 400, 503]));
    let error = &answer.json()["items"][1]["create"]["error"]["type"];
    assert_eq!(error, "es_rejected_execution_exception");
    // Again, as who does not know what was done.
    let answer = bulk(&collector, &create(&["a", "b", "bad", "c"]))?;
    assert_eq!(outcome(&answer), (true, vec![409, 201, 400, 201]));
    assert_eq!(outcome(&bulk(&collector, &create(&["d"]))?), (false, vec![201]));
    let account = collector.account();
    assert!(account.has_exactly(["a", "b", "c", "d"]));
    assert_eq!((account.repeated(), account.malformed), (0, 0));
    Ok(())
}

#[test]
fn what_a_bulk_request_must_not_be_is_refused_whole() -> anyhow::Result<()> {
    let collector = start(ElasticsearchPlan { body_bytes_max: Some(200), ..Default::default() })?;
    let long = create(&["a", "b", "c", "d", "e", "f", "g"]);
    let good = create(&["a"]);
    let bad = [
        good.trim_end(),
        "",
        "\n",
        "{\"index\":{\"_id\":\"a\"}}\n{}\n",
        "{\"create\":{}}\n{}\n",
        "{\"create\":{\"_id\":\"a\"}}\n",
        "{\"create\":{\"_id\":\"a\"}}\nno\n",
    ];
    for body in bad {
        assert_eq!(bulk(&collector, body)?.status, 400, "{body:?}");
    }
    assert_eq!(bulk(&collector, &long)?.status, 413);
    let text = "Content-Type: text/plain";
    let post = |path, header| call(&collector, ("POST", path), &[header], good.as_bytes());
    assert_eq!(post("/logs/_bulk", text)?.status, 406);
    // No index anywhere.
    assert_eq!(post("/_bulk", NDJSON)?.status, 400);
    assert_eq!(post("/logs/_doc", NDJSON)?.status, 404);
    assert_eq!(call(&collector, ("GET", "/logs/_bulk"), &[], b"")?.status, 405);
    assert_eq!(call(&collector, ("GET", "/"), &[], b"")?.status, 200);
    let account = collector.account();
    assert_eq!((account.malformed, account.events.len()), (bad.len() + 2, 0));
    Ok(())
}
