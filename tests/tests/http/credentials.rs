//! Who may deliver, and to whom: tokens and certificates that are wrong, and are replaced while the
//! daemon runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use shipper_tests::collector::delivery::{Delivery, Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, GenericPlan, Plan};
use shipper_tests::pki::{Certificate, Pair};
use shipper_tests::site::{self, Site};

use super::{HELPER, put};

#[test]
fn a_token_that_is_refused_holds_the_sink_until_it_is_replaced() -> anyhow::Result<()> {
    let plan = Plan { token: Some("Bearer first".to_owned()), ..Plan::default() };
    let collector = Collector::start(Dialect::generic(), plan)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("token");
    let sink = http_sink(
        &collector.url(),
        &format!("    auth: {{ bearer: {{ file: {} }} }}\n", file.display()),
    );
    let Some(mut work) = Work::begin(HELPER, "tokens", &sink)? else { return Ok(()) };
    work.delivery.await_state("blocked", "token: No such file or directory")?;
    put(&file, "old")?;
    work.process.await_log("ERROR cannot deliver: http://127.0.0.1")?;
    work.delivery.await_state("blocked", "answered 401 Unauthorized: it does not accept these")?;
    assert_eq!(collector.account().events.len(), 0);
    put(&file, "first")?;
    work.process.await_log("delivering again")?;
    // The status is written a moment later, and would be taken for the next one.
    work.delivery.await_state("delivering", "")?;
    work.stream.await_more(50)?;
    collector.expect_token("Bearer again");
    work.delivery.await_state("blocked", "answered 401 Unauthorized")?;
    // In place, by one who does not know of renaming.
    fs::write(&file, "again\n")?;
    work.process.await_log_times("delivering again", 2)?;
    work.delivery.await_state("delivering", "")?;
    let (balance, log, _) = work.end(&[&collector])?;
    balance.assert_exact();
    assert!(!log.contains("put aside"), "{log}");
    Ok(())
}

#[test]
fn a_password_or_a_header_of_its_own_lets_the_daemon_in() -> anyhow::Result<()> {
    // shipper:pass word
    let token = Some("Basic c2hpcHBlcjpwYXNzIHdvcmQ=".to_owned());
    let collector = Collector::start(Dialect::generic(), Plan { token, ..Plan::default() })?;
    let auth =
        "    auth: { basic: { username: shipper, password: { env: SHIPPER_TEST_SECRET } } }\n";
    let sink = http_sink(&collector.url(), auth);
    let secret = |command: &mut Command| {
        command.env("SHIPPER_TEST_SECRET", "pass word");
    };
    let plan = site::Plan::default();
    let work = Work::begin_with(HELPER, "basic", &sink, plan.clone(), secret)?;
    let Some(work) = work else { return Ok(()) };
    work.end_exact(&[&collector])?;

    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let auth = "    auth: { header: { name: X-Key, value: { env: SHIPPER_TEST_SECRET } } }\n";
    let sink = http_sink(&collector.url(), auth);
    let work = Work::begin_with(HELPER, "header", &sink, plan, secret)?;
    let Some(work) = work else { return Ok(()) };
    work.end_exact(&[&collector])?;
    let requests = collector.requests();
    assert!(requests.iter().all(|request| request.header("x-key") == Some("pass word")));
    Ok(())
}

#[test]
fn authorities_that_are_replaced_count_without_a_restart() -> anyhow::Result<()> {
    let plan = Plan { tls: Some(Certificate::OtherAuthority), ..Plan::default() };
    let collector = Collector::start(Dialect::generic(), plan)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("ca.pem");
    fs::copy(collector.ca_file(), &file)?;
    let tls = format!("    tls: {{ ca_file: {} }}\n", file.display());
    let Some(work) = Work::begin(HELPER, "authorities", &http_sink(&collector.url(), &tls))? else {
        return Ok(());
    };
    work.delivery
        .await_state("blocked", "from an authority that is not trusted (`tls.ca_file`)")?;
    fs::write(&file, "no certificate\n")?;
    work.delivery
        .await_state("blocked", "ca.pem: there is no certificate in it; it must be PEM")?;
    fs::remove_file(&file)?;
    work.delivery.await_state("blocked", "ca.pem: cannot be read: No such file or directory")?;
    fs::copy(collector.other_ca_file(), &file)?;
    work.delivery.await_state("delivering", "")?;
    work.end_exact(&[&collector])
}

/// Puts a certificate and its key where the daemon looks for them.
pub fn replace(dir: &Path, pair: &Pair) -> anyhow::Result<()> {
    fs::copy(&pair.key_file, dir.join("client.key"))?;
    fs::copy(&pair.cert_file, dir.join("client.pem"))?;
    Ok(())
}

/// Encrypts the key there with the password in this file.
pub fn encrypt(key_file: &Path, password_file: &Path) -> anyhow::Result<()> {
    let written = key_file.with_extension("new");
    let status = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in"])
        .arg(key_file)
        .arg("-out")
        .arg(&written)
        .arg("-passout")
        .arg(format!("file:{}", password_file.display()))
        .status()?;
    ensure!(status.success(), "openssl {status}");
    Ok(fs::rename(written, key_file)?)
}

#[test]
fn a_collector_that_asks_for_a_certificate_gets_the_one_of_the_sink() -> anyhow::Result<()> {
    let dialect = Dialect::Generic(GenericPlan { dedup: true, ..GenericPlan::default() });
    let plan = Plan { tls: Some(Certificate::Valid), client_ca: true, ..Plan::default() };
    let collector = Collector::start(dialect, plan)?;
    let dir = tempfile::tempdir()?;
    let ca = collector.ca_file();
    let without = format!("    tls: {{ ca_file: {} }}\n", ca.display());
    let brief = site::Plan { shutdown_timeout: Some("1s"), ..site::Plan::default() };
    let sink = http_sink(&collector.url(), &without);
    let work = Work::begin_with(HELPER, "mutual", &sink, brief, |_| {})?;
    let Some(Work { delivery, process, mut stream }) = work else { return Ok(()) };
    let wanted = "does not accept the certificate of this client, or wants one (`tls.cert_file`)";
    delivery.await_state("blocked", wanted)?;
    assert!(process.stop()?.status.success());
    assert_eq!(collector.account().requests, 0);

    let password = dir.path().join("password");
    let place = dir.path().display();
    let with = format!(
        "    tls: {{ ca_file: {}, cert_file: {place}/client.pem, key_file: {place}/client.key, \
         key_password: {{ file: {} }} }}\n",
        ca.display(),
        password.display()
    );
    delivery.configure(&http_sink(&collector.url(), &with), site::Plan::default())?;
    replace(dir.path(), &collector.client("mutual", Certificate::Expired)?)?;
    put(&password, "first")?;
    let mut process = Site::begin(&mut delivery.site.command())?;
    delivery.await_state("blocked", wanted)?;
    process.await_log(wanted)?;
    replace(dir.path(), &collector.client("mutual", Certificate::Valid)?)?;
    delivery.await_state("delivering", "")?;
    // Renewed, with a key that is encrypted; its password comes late.
    encrypt(&dir.path().join("client.key"), &password)?;
    put(&password, "second")?;
    delivery.await_state("blocked", "the password is wrong (`tls.key_password`)")?;
    put(&password, "first")?;
    delivery.await_state("delivering", "")?;
    stream.await_more(50)?;
    finish(delivery, process, stream, &collector)
}

/// As [`Work::end`], without the numbers: what was executed between two daemons nobody saw.
fn finish(
    delivery: Delivery,
    process: shipper_tests::process::Process,
    stream: site::Stream,
    collector: &Collector,
) -> anyhow::Result<()> {
    stream.end()?;
    let ended = process.stop()?;
    ensure!(ended.status.success(), "{}", ended.log);
    delivery.balance(&[collector])?.assert_exact();
    Ok(())
}
