//! By which way: a proxy, another name.

use std::process::Command;

use shipper_tests::collector::delivery::{Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, Plan};
use shipper_tests::http_proxy::{HttpProxy, Served};
use shipper_tests::pki::Certificate;
use shipper_tests::site;

use super::{HELPER, put};

fn collector(tls: Option<Certificate>) -> anyhow::Result<Collector> {
    Collector::start(Dialect::generic(), Plan { tls, ..Plan::default() })
}

/// The line `tls` of a sink that trusts this collector.
fn tls(collector: &Collector) -> String {
    format!("    tls: {{ ca_file: {} }}\n", collector.ca_file().display())
}

#[test]
fn a_proxy_of_the_configuration_passes_requests_on_and_makes_tunnels() -> anyhow::Result<()> {
    let proxy = HttpProxy::start(None)?;
    let plain = collector(None)?;
    let lines = format!("    proxy: {{ url: \"{}\" }}\n", proxy.url());
    let Some(work) = Work::begin(HELPER, "proxied", &http_sink(&plain.url(), &lines))? else {
        return Ok(());
    };
    work.end_exact(&[&plain])?;
    let forwarded = plain.account().requests;
    assert_eq!(proxy.served(), Served { forwarded, ..Served::default() });

    let secure = collector(Some(Certificate::Valid))?;
    let lines = lines + &tls(&secure);
    let Some(work) = Work::begin(HELPER, "tunnel", &http_sink(&secure.url(), &lines))? else {
        return Ok(());
    };
    work.end_exact(&[&secure])?;
    assert_eq!(proxy.served().tunnels, secure.account().connections);
    assert!(proxy.served().tunnels > 0);
    Ok(())
}

#[test]
fn a_proxy_that_does_not_know_the_password_holds_the_sink_until_it_is_right() -> anyhow::Result<()>
{
    let refused = "the proxy does not accept these credentials; see `proxy`";
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("password");
    for (mark, presented) in [("login", None), ("login-tls", Some(Certificate::Valid))] {
        let proxy = HttpProxy::start(Some(("shipper", "right")))?;
        let collector = collector(presented)?;
        put(&file, "wrong")?;
        let mut lines = format!(
            "    proxy: {{ url: \"{}\", username: shipper, password: {{ file: {} }} }}\n",
            proxy.url(),
            file.display()
        );
        if presented.is_some() {
            lines += &tls(&collector);
        }
        let sink = http_sink(&collector.url(), &lines);
        let Some(mut work) = Work::begin(HELPER, mark, &sink)? else { return Ok(()) };
        work.process.await_log(refused)?;
        work.delivery.await_state("blocked", refused)?;
        assert_eq!(collector.account().requests, 0);
        put(&file, "right")?;
        work.delivery.await_state("delivering", "")?;
        work.end_exact(&[&collector])?;
        assert!(proxy.served().refused > 0);
    }
    Ok(())
}

#[test]
fn a_proxy_of_the_environment_is_used_unless_the_host_is_excepted() -> anyhow::Result<()> {
    let proxy = HttpProxy::start(Some(("shipper", "right")))?;
    let collector = collector(Some(Certificate::Valid))?;
    let sink = http_sink(&collector.url(), &tls(&collector));
    let mut tunnels = 0;
    for (mark, exception, is_used) in [("env", "", true), ("no-proxy", "127.0.0.1", false)] {
        let environment = |command: &mut Command| {
            let url = proxy.url_with("shipper", "right");
            command.env("HTTPS_PROXY", url).env("NO_PROXY", exception);
        };
        let plan = site::Plan::default();
        let work = Work::begin_with(HELPER, mark, &sink, plan, environment)?;
        let Some(work) = work else { return Ok(()) };
        let (balance, ..) = work.end(&[&collector])?;
        assert_eq!((balance.missing, balance.duplicates), (0, 0), "{balance:?}");
        let now = proxy.served().tunnels;
        assert_eq!(now > tunnels, is_used, "{:?}", proxy.served());
        tunnels = now;
    }
    assert_eq!(proxy.served().refused, 0);
    let wrong = |command: &mut Command| {
        command.env("HTTPS_PROXY", proxy.url_with("shipper", "wrong"));
    };
    let brief = site::Plan { shutdown_timeout: Some("100ms"), ..site::Plan::default() };
    let Some(work) = Work::begin_with(HELPER, "env-wrong", &sink, brief, wrong)? else {
        return Ok(());
    };
    let words = "the proxy does not accept these credentials; see `proxy`, or HTTPS_PROXY";
    work.delivery.await_state("blocked", words)?;
    assert!(work.process.stop()?.status.success());
    Ok(())
}

#[test]
fn a_certificate_may_be_for_another_name_where_that_is_configured() -> anyhow::Result<()> {
    let collector = collector(Some(Certificate::OtherHost))?;
    let lines = format!(
        "    tls: {{ ca_file: {}, server_name: other.example.com }}\n",
        collector.ca_file().display()
    );
    // By address, and by a name that is resolved to it.
    for (mark, url) in [("address", collector.url()), ("name", collector.localhost_url())] {
        let Some(work) = Work::begin(HELPER, mark, &http_sink(&url, &lines))? else {
            return Ok(());
        };
        let (balance, ..) = work.end(&[&collector])?;
        assert_eq!((balance.missing, balance.duplicates), (0, 0), "{balance:?}");
    }
    Ok(())
}
