//! `shipper setup elasticsearch` and `shipper validate --connect`: what they do, what they say.

use std::process::Command;

use serde_json::json;
use shipper_tests::collector::{Collector, Dialect, Fault, Plan};
use shipper_tests::daemon::{self, run_to_end};
use shipper_tests::kafka::ports;
use shipper_tests::opensearch::OpenSearch;

use super::servers::shared;
use super::sink::{events, send, settings, yaml};

/// Runs a command with a configuration whose one sink writes to this name. The exit code, and what was
/// said.
pub fn ask(url: &str, name: &str, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    daemon::build()?;
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("shipper.yaml");
    let spool = dir.path().join("spool");
    let sink = yaml(url, name, "");
    std::fs::write(&config, format!("spool:\n  dir: {}\nsinks:\n{sink}", spool.display()))?;
    let mut command = Command::new(daemon::program());
    let output = run_to_end(command.args(arguments).arg("--config").arg(&config))?;
    let said = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    Ok((output.status.code(), said))
}

pub fn set_up(server: &OpenSearch, name: &str) -> anyhow::Result<()> {
    assert_said(ask(server.url(), name, &["setup", "elasticsearch"])?, 0, &["ok    siem: PUT "]);
    Ok(())
}

fn validate(server: &OpenSearch, name: &str) -> anyhow::Result<(Option<i32>, String)> {
    ask(server.url(), name, &["validate", "--connect"])
}

fn assert_said((code, said): (Option<i32>, String), wanted: i32, words: &[&str]) {
    assert_eq!(code, Some(wanted), "{said}");
    for words in words {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
}

#[test]
fn a_cluster_is_found_wanting_until_it_is_set_up() -> anyhow::Result<()> {
    let Some(server) = shared() else { return Ok(()) };
    let name = "audit-commands";
    let template = "/_index_template/shipper-audit-commands";
    let words = ["FAIL  siem: not in the cluster: ", template, "run `shipper setup elasticsearch`"];
    assert_said(validate(server, name)?, 1, &words);

    let dry = ask(server.url(), name, &["setup", "elasticsearch", "--dry-run"])?;
    assert_said(dry, 0, &["# siem\n", &format!("PUT {template}\n{{"), "\"audit-commands\""]);
    assert_said(validate(server, name)?, 1, &words);

    set_up(server, name)?;
    let good = [
        " is OpenSearch 2.",
        "pipeline and templates are those of this version",
        "there is no audit-commands yet; it is made with the first event",
    ];
    assert_said(validate(server, name)?, 0, &good);
    let again = ask(server.url(), name, &["setup", "elasticsearch", "--sink", "siem"])?;
    assert_said(again, 0, &["shipper-process-custom is there already and is left as it is"]);

    // What is said is so: the first event makes a data stream with the stamp of the pipeline.
    let (settings, _) = settings(server.url(), name, "")?;
    send(&settings, &events(1)?)?;
    assert_said(validate(server, name)?, 0, &["the data stream audit-commands is there"]);
    let documents = super::documents::all(server, name)?;
    assert!(documents[0]["event"]["ingested"].is_string(), "{}", documents[0]);
    let again = ask(server.url(), name, &["setup", "elasticsearch"])?;
    assert_said(again, 0, &["counts from its next rollover on (POST /audit-commands/_rollover)"]);
    server.request("POST", &format!("/{name}/_rollover"), b"")?;
    Ok(())
}

#[test]
fn a_template_that_was_changed_and_an_index_that_is_closed_to_writing_are_named()
-> anyhow::Result<()> {
    let Some(server) = shared() else { return Ok(()) };
    let name = "audit-changed";
    set_up(server, name)?;
    let (settings, _) = settings(server.url(), name, "")?;
    send(&settings, &events(1)?)?;
    let template = json!({ "index_patterns": [name], "data_stream": {}, "priority": 200 });
    let path = "/_index_template/shipper-audit-changed";
    server.request("PUT", path, template.to_string().as_bytes())?;
    let changed = ["note  siem: /_index_template/shipper-audit-changed is not the one of this"];
    assert_said(validate(server, name)?, 0, &changed);
    set_up(server, name)?;

    let blocks = |set: bool| json!({ "index.blocks.write": set }).to_string();
    let path = format!("/{name}/_settings");
    server.request("PUT", &path, blocks(true).as_bytes())?;
    let closed = [".ds-audit-changed-000001 is closed to writing (`index.blocks.write`)"];
    assert_said(validate(server, name)?, 1, &closed);
    server.request("PUT", &path, blocks(false).as_bytes())?;
    assert_said(validate(server, name)?, 0, &["pipeline and templates are those"]);
    Ok(())
}

#[test]
fn an_index_and_an_alias_are_told_from_a_data_stream() -> anyhow::Result<()> {
    let Some(server) = shared() else { return Ok(()) };
    server.request("PUT", "/audit-plain", b"{\"aliases\":{\"audit-alias\":{}}}")?;
    let setup = ["setup", "elasticsearch"];
    let said = ask(server.url(), "audit-plain", &setup)?;
    assert_said(said, 0, &["note  siem: audit-plain is an index and no data stream"]);
    let made = server.request("GET", "/_index_template/shipper-audit-plain", b"")?;
    let made = &made["index_templates"][0]["index_template"];
    assert!(made.get("data_stream").is_none(), "{made}");
    assert_said(validate(server, "audit-plain")?, 0, &["it takes events, and does not roll over"]);
    assert_said(
        ask(server.url(), "audit-alias", &setup)?,
        0,
        &["note  siem: audit-alias is an alias"],
    );
    assert_said(validate(server, "audit-alias")?, 0, &["note  siem: audit-alias is an alias"]);
    for name in ["audit-plain", "audit-alias"] {
        let (settings, _) = settings(server.url(), name, "")?;
        send(&settings, &events(10)?)?;
        // The alias is of the index, which has them already.
        assert_eq!(super::documents::count(server, name)?, 10);
    }
    Ok(())
}

#[test]
fn a_server_that_is_away_and_a_sink_that_is_not_there_are_said() -> anyhow::Result<()> {
    let nobody = format!("http://127.0.0.1:{}", ports::free()?);
    let refused = ["FAIL  siem: ", "Connection refused"];
    assert_said(ask(&nobody, "x", &["validate", "--connect"])?, 1, &refused);
    assert_said(ask(&nobody, "x", &["setup", "elasticsearch"])?, 1, &refused);
    let other = ask(&nobody, "x", &["setup", "elasticsearch", "--sink", "other"])?;
    assert_said(other, 1, &["no sink of type elasticsearch is called other; there is siem"]);
    Ok(())
}

#[test]
fn what_is_no_cluster_is_told_before_and_while_it_is_set_up() -> anyhow::Result<()> {
    let other = Collector::start(Dialect::generic(), Plan::default())?;
    let words = ["FAIL  siem: ", " answers, but not as Elasticsearch or OpenSearch do"];
    for page in ["<html>Welcome</html>", "{\"ok\":true}"] {
        other.always(Fault::OkWith(page.to_owned()));
        let command = ["setup", "elasticsearch"];
        assert_said(ask(&other.url(), "audit", &command)?, 1, &words);
        assert_said(ask(&other.url(), "audit", &["validate", "--connect"])?, 1, &words);
    }
    Ok(())
}
