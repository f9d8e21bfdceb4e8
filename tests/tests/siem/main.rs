//! What `config/siem/` and `docker-compose.yml` give an operator, loaded into the real thing where it
//! can be had: templates and pipeline into OpenSearch, connectors into Kafka Connect's own checks, the
//! compose file into docker-compose. Splunk, Logstash, Filebeat and the two connectors' own classes
//! cannot be had here: of their files is checked that they name fields which our events have.

mod compose;
mod connect;
mod elasticsearch;
mod events;
mod readers;

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use shipper::format::ecs;

/// The folder that holds Cargo.toml and docker-compose.yml.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".."))
}

/// The sample events as ECS documents.
fn documents() -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for event in events::events() {
        ecs::encode(&event, &mut lines);
    }
    let lines = lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).context("an event")).collect()
}
