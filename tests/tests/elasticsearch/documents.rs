//! What is in an index or data stream.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use shipper_tests::opensearch::OpenSearch;

/// Documents of one request.
const PAGE: usize = 10_000;

/// All documents, by their ids, which are those of the events. Fails when an event is there twice.
pub fn all(server: &OpenSearch, name: &str) -> anyhow::Result<Vec<Value>> {
    server.request("POST", &format!("/{name}/_refresh"), b"")?;
    let mut documents = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut query = json!({ "size": PAGE, "sort": [{ "event.id": "asc" }] });
        if !after.is_null() {
            query["search_after"] = after;
        }
        let path = format!("/{name}/_search");
        let answer = server.request("POST", &path, query.to_string().as_bytes())?;
        let hits = answer["hits"]["hits"].as_array().context("hits")?;
        let Some(last) = hits.last() else { break };
        after = last["sort"].clone();
        for hit in hits {
            ensure!(hit["_id"] == hit["_source"]["event"]["id"], "the id is another: {hit}");
            documents.push(hit["_source"].clone());
        }
    }
    ensure!(ids(&documents).len() == documents.len(), "an event is there twice");
    Ok(documents)
}

/// Number of documents.
pub fn count(server: &OpenSearch, name: &str) -> anyhow::Result<u64> {
    server.request("POST", &format!("/{name}/_refresh"), b"")?;
    server.request("GET", &format!("/{name}/_count"), b"")?["count"].as_u64().context("count")
}

/// Ids of the events.
pub fn ids(documents: &[Value]) -> BTreeSet<String> {
    documents.iter().map(|it| it["event"]["id"].as_str().unwrap_or_default().to_owned()).collect()
}
