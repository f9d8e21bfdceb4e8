//! The connectors of `config/siem/kafka-connect/`: what is Kafka Connect's in them by Kafka Connect's
//! own classes, and the traps of the rest by name.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use shipper_tests::opensearch::fetched;
use shipper_tests::skip;

use crate::{documents, workspace};

const CONNECTORS: [&str; 3] = ["elasticsearch", "splunk", "splunk-hec-envelope"];

fn path(connector: &str) -> PathBuf {
    workspace().join(format!("config/siem/kafka-connect/{connector}.json"))
}

fn read(connector: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&std::fs::read(path(connector))?)?)
}

#[test]
fn kafka_connect_takes_each_configuration_and_hands_on_our_events_unchanged() -> Result<()> {
    let jars = fetched("connect")?;
    if !jars.is_dir() {
        skip("Kafka Connect is not in target/siem; `tests/siem.sh target/siem` fetches it");
        return Ok(());
    }
    let documents = documents()?;
    let lines: String = documents.iter().map(|document| format!("{document}\n")).collect();
    let events = tempfile::NamedTempFile::new()?;
    std::fs::write(events.path(), lines)?;
    for connector in CONNECTORS {
        let output = Command::new("java")
            .arg("-cp")
            .arg(jars.join("*"))
            .arg(workspace().join("tests/tests/siem/Connect.java"))
            .arg(path(connector))
            .arg(events.path())
            .env("ELASTICSEARCH_URL", "https://es:9200")
            .env("SPLUNK_HEC_URL", "https://splunk:8088")
            .env("SPLUNK_HEC_TOKEN", "3d5f0f0a-6ee5-4a2b-9f5e-0d1d35c0a1f7")
            .env("SPLUNK_HEC_VALIDATE_CERTS", "true")
            .output()
            .context("java cannot be started")?;
        if !output.status.success() {
            bail!("{connector}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let received = String::from_utf8(output.stdout)?;
        let received: Vec<Value> =
            received.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        assert_eq!(received, documents, "{connector}");
    }
    Ok(())
}

#[test]
fn no_configuration_holds_a_secret_and_each_has_its_own_name() -> Result<()> {
    for connector in CONNECTORS {
        let settings = read(connector)?;
        assert_eq!(settings["name"], connector);
        for (name, value) in settings.as_object().context("an object")? {
            let value = value.as_str().with_context(|| format!("{name} is not text"))?;
            let is_secret = ["token", "password", "api.key"].iter().any(|what| name.contains(what));
            assert!(!is_secret || value.starts_with("${env:"), "{connector}: {name}");
        }
    }
    Ok(())
}

/// Each of these loses, doubles or misdates events when it is left at its default.
#[test]
fn the_settings_whose_defaults_harm_are_set() -> Result<()> {
    let elasticsearch = read("elasticsearch")?;
    assert_eq!(elasticsearch["key.ignore"], "true", "one event per host would be kept");
    assert_eq!(elasticsearch["data.stream.timestamp.field"], "@timestamp");
    assert_eq!(elasticsearch["value.converter.schemas.enable"], "false");
    let dataset = &elasticsearch["data.stream.dataset"];
    assert_eq!(*dataset, documents()?[0]["event"]["dataset"]);
    for connector in ["splunk", "splunk-hec-envelope"] {
        let splunk = read(connector)?;
        assert_eq!(splunk["splunk.hec.ack.enabled"], "true");
        let is_text = "org.apache.kafka.connect.storage.StringConverter";
        assert_eq!(splunk["value.converter"], is_text, "the envelope is read from its text");
    }
    Ok(())
}
