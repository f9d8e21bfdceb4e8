//! The Splunk add-on and the configurations of Logstash and Filebeat: that they name fields our events
//! have. Their own programs are not to be had here.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use saphyr::{LoadableYamlNode as _, Yaml};
use shipper::event::LossStage;
use shipper::format::ecs::schema::FIELDS;
use shipper::format::{Format, reference};

use crate::workspace;

/// Stanzas of a Splunk .conf file: name to settings.
type Stanzas = BTreeMap<String, BTreeMap<String, String>>;

fn read(path: &str) -> Result<String> {
    let path = workspace().join("config/siem").join(path);
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

fn stanzas(name: &str) -> Result<Stanzas> {
    let mut stanzas = Stanzas::new();
    let mut current = None;
    for line in read(&format!("splunk/TA-shipper/default/{name}.conf"))?.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            assert!(!stanzas.contains_key(name), "[{name}] is there twice");
            current = Some(stanzas.entry(name.to_owned()).or_default());
            continue;
        }
        let (key, value) = line.split_once('=').with_context(|| format!("{name}.conf: {line}"))?;
        let stanza = current.as_mut().with_context(|| format!("{name}.conf: {line}"))?;
        let before = stanza.insert(key.trim().to_owned(), value.trim().to_owned());
        assert!(before.is_none(), "{name}.conf: {key} is there twice");
    }
    Ok(stanzas)
}

fn is_ours(field: &str) -> bool {
    FIELDS.iter().any(|known| known.name == field)
}

#[test]
fn the_splunk_add_on_reads_fields_that_our_events_have() -> Result<()> {
    let props = stanzas("props")?;
    let settings = props.get("shipper:exec").context("the source type")?;
    let mut evals = 0;
    for (key, value) in settings.iter().filter(|(key, _)| key.starts_with("EVAL-")) {
        evals += 1;
        // A name with dots stands in single quotes.
        for name in value.split('\'').skip(1).step_by(2) {
            assert!(is_ours(name), "{key} reads {name}");
        }
    }
    assert!(evals > 15, "only {evals} were read");
    Ok(())
}

/// By the names of the data model Endpoint.Processes in the Common Information Model.
#[test]
fn the_splunk_add_on_gives_what_the_data_model_wants_of_an_execution() -> Result<()> {
    let props = stanzas("props")?;
    let settings = props.get("shipper:exec").context("the source type")?;
    let wanted = "action dest os parent_process parent_process_exec parent_process_guid \
        parent_process_id parent_process_name parent_process_path process \
        process_current_directory process_exec process_guid process_hash process_id process_name \
        process_path user user_id vendor_product severity signature signature_id";
    for name in wanted.split_whitespace() {
        assert!(settings.contains_key(&format!("EVAL-{name}")), "{name}");
    }
    let action = settings.get("EVAL-action").context("an action")?;
    for refused in ["'shipper.failure.denied_by'", "\"EACCES\"", "\"EPERM\""] {
        assert!(action.contains(refused), "{refused}: {action}");
    }
    let types = stanzas("eventtypes")?;
    let tags = stanzas("tags")?;
    for (event_type, wanted) in
        [("shipper_exec", &["process", "report"][..]), ("shipper_match", &["alert"])]
    {
        assert!(types.contains_key(event_type), "{event_type}");
        let tags = tags.get(&format!("eventtype={event_type}")).context("tags")?;
        assert!(wanted.iter().all(|tag| tags.contains_key(*tag)), "{tags:?}");
    }
    for (name, settings) in types {
        let search = settings.get("search").context("a search")?;
        assert!(search.contains("sourcetype=\"shipper:exec\""), "{name}: {search}");
    }
    Ok(())
}

#[test]
fn the_splunk_add_on_knows_every_format_and_reads_fields_of_cim_that_are_there() -> Result<()> {
    let props = stanzas("props")?;
    for format in Format::ALL {
        let settings = props.get(format.sourcetype()).context(format.sourcetype())?;
        for name in ["LINE_BREAKER", "TIME_PREFIX", "TIME_FORMAT", "TRUNCATE", "KV_MODE"] {
            assert!(settings.contains_key(name), "{}: {name}", format.sourcetype());
        }
    }
    let rows = reference::rows(Format::Cim);
    for (name, settings) in stanzas("eventtypes")? {
        let search = settings.get("search").context("a search")?;
        let (_, cim) = search.split_once("sourcetype=\"shipper:cim\"").context(name)?;
        let words = cim.split([' ', '=', '(', ')']).filter(|word| word.starts_with("shipper."));
        for field in words {
            assert!(rows.iter().any(|row| row.name == field), "{field}");
        }
    }
    Ok(())
}

/// In the format cim, the stage alone tells the one from the other.
#[test]
fn the_splunk_add_on_calls_lost_what_we_call_lost() -> Result<()> {
    let types = stanzas("eventtypes")?;
    let lists = [
        ("shipper_loss", "NOT shipper.loss.stage IN ("),
        ("shipper_left_out", "shipper.kind=\"loss\" shipper.loss.stage IN ("),
    ];
    for (name, start) in lists {
        let search = types.get(name).and_then(|settings| settings.get("search")).context(name)?;
        let (_, rest) = search.split_once(start).context(name)?;
        let (list, _) = rest.split_once(')').context(name)?;
        let patterns: Vec<_> = list.split(", ").map(|item| item.trim_matches('"')).collect();
        for stage in LossStage::ALL {
            let word = stage.as_str();
            let is_listed = patterns.iter().any(|pattern| {
                pattern
                    .strip_suffix('*')
                    .map_or(*pattern == word, |prefix| word.starts_with(prefix))
            });
            assert_eq!(is_listed, stage.is_wanted(), "{name}: {word}");
        }
    }
    Ok(())
}

#[test]
fn filebeat_leaves_the_fields_of_our_events_as_they_are() -> Result<()> {
    for file in ["filebeat/file.yml", "filebeat/kafka.yml"] {
        let text = read(file)?;
        let document = Yaml::load_from_str(&text)?.pop().context("a document")?;
        let index = document.as_mapping_get("output.elasticsearch").context("an output")?;
        let index = index.as_mapping_get("index").and_then(Yaml::as_str);
        assert_eq!(index, Some("logs-shipper.process-default"), "{file}");
        assert!(text.contains("overwrite_keys: true"), "{file}: Filebeat's own would win");
    }
    Ok(())
}
