//! The templates and the pipeline of `config/siem/elasticsearch/`, installed by its script into a real
//! OpenSearch, which has the same requests and field types.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use shipper::format::ecs::schema::FIELDS;
use shipper::format::reference::Kind;
use shipper_tests::opensearch::OpenSearch;
use shipper_tests::skip;

use crate::{documents, workspace};

const STREAM: &str = "logs-shipper.process-default";

fn folder() -> PathBuf {
    workspace().join("config/siem/elasticsearch")
}

fn install(server: &OpenSearch) -> Result<()> {
    let output = Command::new(folder().join("install.sh")).arg(server.url()).output()?;
    if !output.status.success() {
        bail!("install.sh: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Sends documents as a sink does: `create`, with the event id as the document's.
fn bulk(server: &OpenSearch, index: &str, documents: &[Value]) -> Result<Value> {
    let mut body = String::new();
    for document in documents {
        body += &json!({ "create": { "_id": document["event"]["id"] } }).to_string();
        body += &format!("\n{document}\n");
    }
    server.request("POST", &format!("/{index}/_bulk?refresh=true"), body.as_bytes())
}

/// Sends documents and checks that each is answered with this status.
fn assert_taken(server: &OpenSearch, index: &str, documents: &[Value], status: u64) -> Result<()> {
    let answer = bulk(server, index, documents)?;
    let items = answer["items"].as_array().context("items")?;
    assert_eq!(items.len(), documents.len());
    assert!(items.iter().all(|item| item["create"]["status"] == status), "{answer:#}");
    Ok(())
}

fn search(server: &OpenSearch, query: &Value) -> Result<Vec<Value>> {
    let body = json!({ "query": query }).to_string();
    let answer = server.request("POST", &format!("/{STREAM}/_search"), body.as_bytes())?;
    let hits = answer["hits"]["hits"].as_array().context("hits")?;
    Ok(hits.iter().map(|hit| hit["_source"].clone()).collect())
}

/// Dotted names to types, of a mapping's `properties`.
fn types(properties: &Value) -> BTreeMap<String, String> {
    fn walk(properties: &Value, prefix: &str, types: &mut BTreeMap<String, String>) {
        for (name, field) in properties.as_object().into_iter().flatten() {
            let name = format!("{prefix}{name}");
            if let Some(kind) = field["type"].as_str() {
                types.insert(name.clone(), kind.to_owned());
            }
            walk(&field["properties"], &format!("{name}."), types);
            walk(&field["fields"], &format!("{name}."), types);
        }
    }
    let mut all = BTreeMap::new();
    walk(properties, "", &mut all);
    all
}

fn template(name: &str) -> Result<Value> {
    let path = folder().join(format!("_component_template/{name}.json"));
    let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(serde_json::from_slice(&text)?)
}

fn template_types(name: &str) -> Result<BTreeMap<String, String>> {
    Ok(types(&template(name)?["template"]["mappings"]["properties"]))
}

fn kind(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Keyword | Kind::Keywords => "keyword",
        Kind::Wildcard => "wildcard",
        Kind::Text => "match_only_text",
        Kind::Long => "long",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        // Its fields are mapped, it is not.
        Kind::Objects => return None,
    })
}

#[test]
fn the_templates_map_the_fields_of_our_events_and_no_others() -> Result<()> {
    let mut mapped = template_types("shipper-process-ecs")?;
    let own = template_types("shipper-process-own")?;
    for name in own.keys() {
        assert!(!mapped.contains_key(name), "{name} is in both templates");
    }
    mapped.extend(own);
    // What others add: the pipeline, and the name of the data stream.
    for name in ["event.ingested", "data_stream.type", "data_stream.dataset"] {
        assert!(mapped.remove(name).is_some(), "{name}");
    }
    mapped.retain(|name, _| !name.ends_with(".text"));
    let fields: BTreeMap<String, String> = FIELDS
        .iter()
        .filter_map(|field| Some((field.name.to_owned(), kind(field.kind)?.to_owned())))
        .collect();
    assert_eq!(mapped, fields);
    Ok(())
}

#[test]
fn what_is_in_ecs_is_mapped_as_ecs_has_it_and_the_rest_is_in_the_other_template() -> Result<()> {
    let path = workspace().join("../shared/data/ecs/fields.csv");
    if !path.exists() {
        skip("../shared/data/ecs/fields.csv, the official list of ECS fields, is not there");
        return Ok(());
    }
    let mut reader = csv::Reader::from_path(&path)?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name).context("a column");
    let (name, kind) = (column("Field")?, column("Type")?);
    let mut official = BTreeMap::new();
    for row in reader.records() {
        let row = row?;
        official.insert(row[name].to_owned(), row[kind].to_owned());
    }
    let mapped = template_types("shipper-process-ecs")?;
    assert!(mapped.len() > 80, "only {} fields were read", mapped.len());
    for (name, kind) in &mapped {
        assert_eq!(official.get(name), Some(kind), "{name}");
        // A field that ECS also has as text, we have so too.
        let text = format!("{name}.text");
        assert_eq!(official.get(&text), mapped.get(&text), "{text}");
    }
    for name in template_types("shipper-process-own")?.keys() {
        assert!(!official.contains_key(name), "{name} is in ECS");
    }
    Ok(())
}

#[test]
fn the_sample_events_have_every_field() -> Result<()> {
    fn walk(value: &Value, prefix: &str, names: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(fields) => {
                for (name, inner) in fields {
                    let name = if prefix.is_empty() { name } else { &format!("{prefix}.{name}") };
                    walk(inner, name, names);
                }
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                list.iter().for_each(|item| walk(item, prefix, names));
            }
            _ => {
                names.insert(prefix.to_owned(), value.to_string());
            }
        }
    }
    let mut names = BTreeMap::new();
    for document in documents()? {
        walk(&document, "", &mut names);
    }
    let missing: Vec<&str> = FIELDS
        .iter()
        .filter(|field| field.kind != Kind::Objects && !names.contains_key(field.name))
        .map(|field| field.name)
        .collect();
    assert_eq!(missing, [""; 0], "add them to tests/tests/siem/events.rs");
    Ok(())
}

#[test]
fn a_real_server_takes_our_events_into_a_data_stream_and_finds_them() -> Result<()> {
    let Some(server) = OpenSearch::start()? else {
        return Ok(());
    };
    install(&server)?;
    let documents = documents()?;
    assert_taken(&server, STREAM, &documents, 201)?;
    // A second delivery of the same events changes nothing.
    assert_taken(&server, STREAM, &documents, 409)?;

    let streams = server.request("GET", &format!("/_data_stream/{STREAM}"), b"")?;
    assert_eq!(streams["data_streams"][0]["template"], "logs-shipper.process");

    // The types are the server's own account of them, and no field was added by a guess.
    let answer = server.request("GET", &format!("/{STREAM}/_mapping"), b"")?;
    let index = answer.as_object().and_then(|answer| answer.values().next()).context("an index")?;
    assert_eq!(index["mappings"]["dynamic"], "false");
    let mut mapped = template_types("shipper-process-ecs")?;
    mapped.extend(template_types("shipper-process-own")?);
    assert_eq!(types(&index["mappings"]["properties"]), mapped);

    // Found by each kind of field: keyword, part of a long command line, date, number, boolean, text,
    // and an ancestor.
    let queries = [
        json!({ "term": { "process.args": "python3" } }),
        json!({ "wildcard": { "process.command_line": format!("*{}", "x".repeat(100)) } }),
        json!({ "range": { "@timestamp": { "gte": "2026-11-24T08:00:00.123Z", "lt": "2026-11-24T08:00:00.124Z" } } }),
        json!({ "term": { "process.pid": 4242 } }),
        json!({ "term": { "shipper.file.setuid": true } }),
        json!({ "match": { "process.executable.text": "python3" } }),
        json!({ "term": { "shipper.ancestry.pid": 4200 } }),
    ];
    // Another execution has all but the hashes.
    let is_first = json!({ "term": { "event.id": documents[0]["event"]["id"] } });
    for query in queries {
        let found = search(&server, &json!({ "bool": { "filter": [is_first, query] } }))?;
        assert_eq!(found.len(), 1, "{query}");
        // Stored as sent, but for the stamp.
        let mut stored = found[0].clone();
        let stamp = stored["event"].as_object_mut().and_then(|event| event.remove("ingested"));
        assert!(stamp.as_ref().is_some_and(Value::is_string), "no event.ingested");
        assert_eq!(stored, documents[0]);
    }
    // Not in the events, and found all the same: the data stream says it of all it has.
    let dataset = json!({ "term": { "data_stream.dataset": "shipper.process" } });
    assert_eq!(search(&server, &dataset)?.len(), documents.len());
    // What arrived in the last minutes is how detection rules look for it.
    let recent = json!({ "range": { "event.ingested": { "gte": "now-5m" } } });
    assert_eq!(search(&server, &recent)?.len(), documents.len());
    // How it ended, of the process that an execution was found for.
    let of_process =
        json!({ "term": { "process.entity_id": documents[0]["process"]["entity_id"] } });
    let crashed = json!({ "range": { "process.exit_code": { "gte": 128 } } });
    let ends = search(&server, &json!({ "bool": { "filter": [of_process, crashed] } }))?;
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["shipper"]["exit"]["signal_name"], "SIGSEGV");

    nothing_but_the_templates_is_needed(&server, &documents)?;
    the_stamp_cannot_be_left_out(&server, &documents)?;
    what_the_operator_changed_survives_an_installation(&server)
}

/// With dynamic mapping not off but forbidden, the same events are taken.
fn nothing_but_the_templates_is_needed(server: &OpenSearch, documents: &[Value]) -> Result<()> {
    let strict = json!({
        "index_patterns": ["strict-*"],
        "composed_of": ["shipper-process-ecs", "shipper-process-own"],
        "template": { "mappings": { "dynamic": "strict" } },
    });
    server.request("PUT", "/_index_template/strict", strict.to_string().as_bytes())?;
    assert_taken(server, "strict-1", documents, 201)?;
    let unknown = json!({ "event": { "id": "1" }, "unknown": 1 });
    assert_taken(server, "strict-1", &[unknown], 400)?;
    Ok(())
}

/// A request that names no pipeline at all, as connectors may, gets the stamp as well.
fn the_stamp_cannot_be_left_out(server: &OpenSearch, documents: &[Value]) -> Result<()> {
    let path = format!("/{STREAM}/_create/again?pipeline=_none&refresh=true");
    server.request("PUT", &path, documents[1].to_string().as_bytes())?;
    let by_id = json!({ "ids": { "values": ["again"] } });
    let found = search(server, &by_id)?;
    assert!(found[0]["event"]["ingested"].is_string(), "{}", found[0]);
    Ok(())
}

fn what_the_operator_changed_survives_an_installation(server: &OpenSearch) -> Result<()> {
    let custom = "/_component_template/shipper-process-custom";
    let body = json!({ "template": { "settings": { "index.number_of_replicas": 0 } } });
    server.request("PUT", custom, body.to_string().as_bytes())?;
    install(server)?;
    let answer = server.request("GET", custom, b"")?;
    let settings = &answer["component_templates"][0]["component_template"]["template"]["settings"];
    assert_eq!(settings["index"]["number_of_replicas"], "0");
    Ok(())
}
