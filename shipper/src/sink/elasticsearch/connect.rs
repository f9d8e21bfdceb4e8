//! What `shipper validate --connect` says of a cluster. Nothing is written to it.

use serde_json::{Value, json};

use super::answer::missing_privilege;
use super::cluster::{Cluster, Reply, Target, foreign};
use super::setup;
use crate::config::settings::ElasticsearchSettings;
use crate::sink::transport::{Failure, Method, Transport};
use crate::sink::{Finding, Grade};

/// Asks each URL of the sink who it is, and the first that answers for the rest. Takes as long as the
/// timeouts of the sink allow.
pub async fn check(settings: &ElasticsearchSettings) -> Vec<Finding> {
    let transport = match Transport::new(&settings.transport) {
        Ok(transport) => transport,
        Err(error) => return vec![Finding::bad(error.to_string())],
    };
    let mut findings = Vec::new();
    let mut first = None;
    for (endpoint, shown) in transport.shown().enumerate() {
        let cluster = Cluster::new(&transport, endpoint);
        match who(&cluster, &shown, &mut findings).await {
            Ok(true) => first = first.or(Some(cluster)),
            Ok(false) => {}
            Err(failure) => findings.push(Finding::bad(failure.cause)),
        }
    }
    if let Some(cluster) = first
        && let Err(failure) = look(&cluster, &settings.data_stream, &mut findings).await
    {
        findings.push(Finding::bad(failure.cause));
    }
    findings
}

/// Which server it is; whether there is more to ask it.
async fn who(
    cluster: &Cluster<'_>,
    shown: &str,
    findings: &mut Vec<Finding>,
) -> Result<bool, Failure> {
    let reply = cluster.get("/").await?;
    let version = &reply.body["version"];
    let finding = match (reply.status, version["number"].as_str()) {
        (200, Some(number)) => {
            let is_opensearch = version["distribution"] == "opensearch";
            let server = if is_opensearch { "OpenSearch" } else { "Elasticsearch" };
            Finding::good(format!("{shown} is {server} {number}"))
        }
        // Credentials that may only write, or a proxy that lets through nothing else.
        (403..=405, _) => Finding::good(format!("{shown} answers, and does not tell its version")),
        (200, None) => Finding::bad(foreign(shown)),
        _ => Finding::bad(reply.words.clone()),
    };
    let is_one = finding.grade == Grade::Good;
    findings.push(finding);
    Ok(is_one)
}

async fn look(
    cluster: &Cluster<'_>,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let target = cluster.target(name).await?;
    findings.push(rights(cluster, name, &target).await?);
    findings.extend(installed(cluster, name, &target).await?);
    findings.push(match &target {
        Target::DataStream(_) => Finding::good(format!("the data stream {name} is there")),
        Target::Missing => {
            Finding::good(format!("there is no {name} yet; it is made with the first event"))
        }
        Target::Index => Finding::note(format!(
            "{name} is an index and no data stream: it takes events, and does not roll over"
        )),
        Target::Alias => Finding::note(format!("{name} is an alias")),
        Target::Hidden => Finding::note(format!(
            "whether there is a {name} these credentials may not know (`view_index_metadata`)"
        )),
    });
    findings.extend(blocks(cluster, name, &target).await?);
    Ok(())
}

/// Whether these credentials may write.
async fn rights(cluster: &Cluster<'_>, name: &str, target: &Target) -> Result<Finding, Failure> {
    let body = json!({
        "index": [{ "names": [name], "privileges": ["create_doc", "auto_configure"] }],
    });
    let path = "/_security/user/_has_privileges";
    let reply = cluster.request(Method::POST, path, Some(&body.to_string())).await?;
    Ok(granted(&reply, name, target))
}

fn granted(reply: &Reply, name: &str, target: &Target) -> Finding {
    let granted = &reply.body["index"][name];
    match (granted["create_doc"].as_bool(), granted["auto_configure"].as_bool()) {
        (Some(true), made) if made == Some(true) || *target != Target::Missing => {
            Finding::good(format!("may write to {name}"))
        }
        (Some(_), _) => {
            Finding::bad(format!("may not write to {name}: {}", missing_privilege(name)))
        }
        (None, _) if reply.status == 401 => Finding::bad(reply.words.clone()),
        // OpenSearch, or an Elasticsearch without users.
        (None, _) => Finding::note(format!(
            "this server does not tell who may write to {name}: that is seen with the first event"
        )),
    }
}

/// Whether the pipeline and the templates are there, and are those of this version.
async fn installed(
    cluster: &Cluster<'_>,
    name: &str,
    target: &Target,
) -> Result<Vec<Finding>, Failure> {
    let (mut findings, mut missing, mut hidden) = (Vec::new(), Vec::new(), None);
    for step in setup::steps(name, target) {
        let reply = cluster.get(&step.path).await?;
        if reply.status == 404 {
            missing.push(step.path);
        } else if !reply.is_good() {
            hidden = hidden.or(Some(reply.words));
        } else if !step.is_operators {
            let ours: Value = serde_json::from_str(&step.body).expect("our own JSON");
            if !found(&reply.body).is_some_and(|theirs| has(theirs, &ours)) {
                findings.push(Finding::note(format!(
                    "{} is not the one of this version of shipper; run `shipper setup elasticsearch`",
                    step.path
                )));
            }
        }
    }
    if !missing.is_empty() {
        let text = format!(
            "not in the cluster: {}; run `shipper setup elasticsearch`",
            missing.join(", ")
        );
        // An index of the operator's may have mappings of its own; a data stream has none without.
        let is_needed = matches!(target, Target::Missing | Target::DataStream(_));
        findings.push(if is_needed { Finding::bad(text) } else { Finding::note(text) });
    }
    if let Some(words) = hidden {
        findings.push(Finding::note(format!(
            "whether pipeline and templates are there is not told to these credentials: {words}"
        )));
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            "pipeline and templates are those of this version of shipper".to_owned(),
        ));
    }
    Ok(findings)
}

/// The one pipeline or template in an answer.
fn found(body: &Value) -> Option<&Value> {
    let first = |list: &str, inner: &str| body.get(list)?.get(0)?.get(inner);
    first("component_templates", "component_template")
        .or_else(|| first("index_templates", "index_template"))
        // A pipeline is named by its id.
        .or_else(|| body.as_object()?.values().next())
}

/// Whether all of ours is in theirs, which a cluster completes with defaults. It may write numbers and
/// truth values as text.
fn has(theirs: &Value, ours: &Value) -> bool {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match ours {
        Value::Object(ours) => ours.iter().all(|(key, ours)| match theirs.get(key) {
            Some(theirs) => has(theirs, ours),
            None => ours.as_object().is_some_and(serde_json::Map::is_empty),
        }),
        Value::Array(ours) => theirs.as_array().is_some_and(|theirs| {
            theirs.len() == ours.len() && theirs.iter().zip(ours).all(|(t, o)| has(t, o))
        }),
        ours => text(theirs) == text(ours),
    }
}

/// What keeps the cluster or the index from being written to.
async fn blocks(
    cluster: &Cluster<'_>,
    name: &str,
    target: &Target,
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    // Older indices of a data stream may well be closed to writing.
    let written = match target {
        Target::DataStream(newest) => Some(newest.as_str()),
        Target::Index => Some(name),
        _ => None,
    };
    if let Some(index) = written.filter(|index| !index.is_empty()) {
        let path = format!("/{index}/_settings?filter_path=*.settings.index.blocks");
        let reply = cluster.get(&path).await?;
        for block in set(&reply.body[index]["settings"]["index"]["blocks"]) {
            if ["write", "read_only", "read_only_allow_delete"].contains(&block) {
                findings.push(Finding::bad(format!(
                    "{index} is closed to writing (`index.blocks.{block}`); a disk that is nearly full does that, or somebody did"
                )));
            }
        }
    }
    let path = "/_cluster/settings?filter_path=*.cluster.blocks";
    let reply = cluster.get(path).await?;
    for level in ["persistent", "transient"] {
        for block in set(&reply.body[level]["cluster"]["blocks"]) {
            findings.push(Finding::bad(format!(
                "the cluster is closed to writing (`cluster.blocks.{block}`)"
            )));
        }
    }
    Ok(findings)
}

/// The names that are set to true.
fn set(blocks: &Value) -> Vec<&str> {
    let is_set = |value: &Value| *value == true || *value == "true";
    let all = blocks.as_object().into_iter().flatten();
    all.filter(|(_, value)| is_set(value)).map(|(name, _)| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_completes_is_still_ours_and_what_it_changed_is_not() {
        let ours = json!({ "a": { "b": [1, { "c": false }] }, "empty": {} });
        for same in [
            json!({ "a": { "b": [1, { "c": false }] }, "empty": {} }),
            json!({ "a": { "b": ["1", { "c": "false", "more": 1 }], "d": 2 } }),
        ] {
            assert!(has(&same, &ours), "{same}");
        }
        for other in [
            json!({}),
            json!([]),
            json!({ "a": { "b": [1] } }),
            json!({ "a": { "b": [1, { "c": true }] } }),
            json!({ "a": { "b": [1, { "c": false }, 3] } }),
        ] {
            assert!(!has(&other, &ours), "{other}");
        }
    }

    #[test]
    fn rights_are_told_as_elasticsearch_grants_them() {
        let grade = |create: Value, auto: Value, target: Target| {
            let body = json!({
                "username": "writer",
                "has_all_requested": false,
                "index": { "logs-x": { "create_doc": create, "auto_configure": auto } },
            });
            let reply = Reply { status: 200, body, words: String::new() };
            granted(&reply, "logs-x", &target).grade
        };
        let there = || Target::DataStream(String::new());
        assert_eq!(grade(json!(true), json!(true), Target::Missing), Grade::Good);
        assert_eq!(grade(json!(true), json!(false), Target::Missing), Grade::Bad);
        assert_eq!(grade(json!(true), json!(false), there()), Grade::Good);
        assert_eq!(grade(json!(false), json!(true), there()), Grade::Bad);
        let unknown = |status, body| {
            let reply = Reply { status, body, words: "it answered".to_owned() };
            granted(&reply, "logs-x", &Target::Missing).grade
        };
        let no_handler = json!({ "error": "no handler found for uri [/_security/...]" });
        assert_eq!(unknown(400, no_handler), Grade::Note);
        assert_eq!(unknown(200, Value::Null), Grade::Note);
        assert_eq!(unknown(401, Value::Null), Grade::Bad);
    }
}
