//! `shipper validate --connect`: what it says of each state of a collector, and that it sends nothing.

use std::process::Command;

use shipper_tests::collector::delivery::http_sink;
use shipper_tests::collector::{Collector, Dialect, Fault, Plan};
use shipper_tests::daemon::{self, run_to_end};
use shipper_tests::http_proxy::HttpProxy;
use shipper_tests::pki::Certificate;
use shipper_tests::ports;

use super::put;

/// Asks about a sink. Gives the exit code and what was said.
fn ask(sink: &str) -> anyhow::Result<(Option<i32>, String)> {
    daemon::build()?;
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("shipper.yaml");
    let spool = dir.path().join("spool");
    std::fs::write(&config, format!("spool:\n  dir: {}\nsinks:\n{sink}", spool.display()))?;
    let mut command = Command::new(daemon::program());
    let output = run_to_end(command.args(["validate", "--connect", "--config"]).arg(&config))?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?))
}

/// Asserts that a URL with these further lines is found to be so, with these words.
fn assert_found(grade: &str, url: &str, more: &str, words: &str) -> anyhow::Result<()> {
    let impatient = "    timeouts: { connect: 300ms, request: 500ms }\n";
    let (code, said) = ask(&http_sink(url, &(impatient.to_owned() + more)))?;
    assert_eq!(code, Some(i32::from(grade == "FAIL")), "{said}");
    let wanted =
        format!("{grade:4}  siem: {url}/ingest{words}").replace("/ingest/ingest", "/ingest");
    assert!(said.contains(&wanted), "`{wanted}` is not in:\n{said}");
    Ok(())
}

#[test]
fn a_collector_that_answers_is_good_and_gets_nothing() -> anyhow::Result<()> {
    let token = Some("Bearer first".to_owned());
    let plan = Plan { tls: Some(Certificate::Valid), token, ..Plan::default() };
    let collector = Collector::start(Dialect::generic(), plan)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("token");
    put(&file, "first")?;
    let url = format!("{}/ingest", collector.url());
    let tls = format!("    tls: {{ ca_file: {} }}\n", collector.ca_file().display());
    let auth = format!("    auth: {{ bearer: {{ file: {} }} }}\n", file.display());
    let taken = " answers, with a token; whether it takes events is seen when the first is sent";
    assert_found("ok", &url, &(tls.clone() + &auth), taken)?;
    // It knows POST alone.
    collector.script([Fault::Status(405)]);
    assert_found("ok", &url, &(tls.clone() + &auth), taken)?;
    collector.script([Fault::Status(404)]);
    assert_found("note", &url, &(tls.clone() + &auth), " answered 404 Not Found to HEAD: ")?;
    assert_eq!(collector.account().events.len(), 0);

    let refused = " answered 401 Unauthorized: it does not accept these credentials";
    put(&file, "wrong")?;
    assert_found("FAIL", &url, &(tls.clone() + &auth), refused)?;
    assert_found("FAIL", &url, &tls, refused)?;
    std::fs::remove_file(&file)?;
    let (code, said) = ask(&http_sink(&url, &(tls + &auth)))?;
    assert_eq!(code, Some(1));
    assert!(
        said.contains("token: No such file or directory (os error 2); the user shipper"),
        "{said}"
    );
    Ok(())
}

#[test]
fn what_is_wrong_with_the_connection_is_told() -> anyhow::Result<()> {
    let plan = Plan { tls: Some(Certificate::Valid), ..Plan::default() };
    let collector = Collector::start(Dialect::generic(), plan)?;
    let url = format!("{}/ingest", collector.url());
    let tls = format!("    tls: {{ ca_file: {} }}\n", collector.ca_file().display());
    for (certificate, words) in [
        (Certificate::Expired, ": its certificate has expired"),
        (Certificate::OtherAuthority, ": its certificate is from an authority that is not trusted"),
        (Certificate::OtherHost, ": its certificate is for another host than the URL"),
    ] {
        collector.present(certificate)?;
        assert_found("FAIL", &url, &tls, words)?;
    }
    collector.present(Certificate::Valid)?;
    assert_found("ok", &url, &tls, " answers;")?;
    let plain = url.replace("https://", "http://");
    assert_found("FAIL", &plain, "", ": it speaks no HTTP, is it `https://`?")?;
    collector.mute(true);
    let slow = ": no connection within 300ms (`timeouts.connect`)";
    assert_found("FAIL", &url, &tls, slow)?;
    collector.die();
    assert_found("FAIL", &url, &tls, ": cannot connect: Connection refused")?;
    assert_found("FAIL", "https://collector.invalid/ingest", &tls, ": cannot connect: ")?;

    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let secure = format!("{}/ingest", collector.url().replace("http://", "https://"));
    assert_found(
        "FAIL",
        &secure,
        &tls,
        ": no TLS connection; what answers there speaks something",
    )?;
    let url = format!("{}/ingest", collector.url());
    collector.always(Fault::Garbage { taken: false });
    assert_found("FAIL", &url, "", ": it speaks no HTTP, is it `https://`?")?;
    collector.always(Fault::Stall { taken: false });
    assert_found("FAIL", &url, "", ": no answer within 500ms (`timeouts.request`)")?;
    collector.always(Fault::Redirect(301, "https://elsewhere/a?b=c".to_owned()));
    let words = " answered 301 Moved Permanently: redirects are not followed, since credentials go \
                 with each request; put the address it names into the configuration: \
                 https://elsewhere/a\n";
    assert_found("FAIL", &url, "", words)?;
    collector.always(Fault::Status(503));
    assert_found("FAIL", &url, "", " answered 503 Service Unavailable")
}

#[test]
fn a_proxy_that_is_away_or_refuses_is_told_from_a_collector() -> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let url = format!("{}/ingest", collector.url());
    let away = format!("http://127.0.0.1:{}", ports::free()?);
    let lines = format!("    proxy: {{ url: \"{away}\" }}\n");
    let words = format!(": cannot connect by the proxy {away}: Connection refused");
    assert_found("FAIL", &url, &lines, &words)?;
    let proxy = HttpProxy::start(Some(("shipper", "right")))?;
    let lines = format!("    proxy: {{ url: \"{}\" }}\n", proxy.url());
    let words = " answered 407 Proxy Authentication Required: the proxy does not accept these";
    assert_found("FAIL", &url, &lines, words)?;
    assert_eq!(collector.account().connections, 0);
    Ok(())
}
