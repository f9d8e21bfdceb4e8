//! No secret is in anything that is written, whatever fails, and however much is logged.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shipper_tests::collector::delivery::{Work, sink};
use shipper_tests::collector::{Collector, Dialect, Fault, Plan};
use shipper_tests::daemon::{self, run_to_end};
use shipper_tests::http_proxy::HttpProxy;
use shipper_tests::pki::Certificate;
use shipper_tests::process::until;
use shipper_tests::site;

use super::credentials::{encrypt, replace};
use super::{HELPER, put};

/// The secret of this name: it has characters that are another thing in a URL.
fn secret(name: &str) -> String {
    format!("5ecret/{name}+mark")
}

fn percent(text: &str) -> String {
    text.replace('/', "%2F").replace('+', "%2B").replace(':', "%3A")
}

const NAMES: [&str; 10] =
    ["bearer", "query", "key", "basic", "proxy", "header", "env-proxy", "env", "api", "hec"];

/// A secret, and the other forms in which it is sent or may come back.
fn forms(name: &str) -> Vec<String> {
    let secret = secret(name);
    let mut forms = vec![percent(&secret), STANDARD.encode(&secret), secret.clone()];
    if ["basic", "proxy", "env-proxy", "api"].contains(&name) {
        forms.push(STANDARD.encode(format!("shipper:{secret}")));
    }
    forms
}

/// The secrets that come to each of the collectors, in their order.
const SENT: [&[&str]; 5] =
    [&["bearer", "query", "key"], &["basic", "proxy"], &["header"], &["api"], &["hec"]];

/// A page that shows all that was sent to the collector at this place. Of a page only the first words
/// are told, so each comes first at some time.
fn page(place: usize, turn: usize) -> String {
    let mut forms: Vec<String> = SENT[place].iter().flat_map(|name| forms(name)).collect();
    let first = turn % forms.len();
    forms.rotate_left(first);
    format!("you sent {}", forms.join(" "))
}

/// Fails when a secret is in what was written there; says which, and shows nothing.
fn assert_none(place: &str, bytes: &[u8]) {
    let written = String::from_utf8_lossy(bytes);
    for name in NAMES {
        for (form, text) in forms(name).iter().enumerate() {
            assert!(!written.contains(text), "form {form} of the secret of `{name}` is in {place}");
        }
    }
}

fn assert_none_below(directory: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            assert_none_below(&path)?;
        } else {
            assert_none(&path.display().to_string(), &fs::read(&path)?);
        }
    }
    Ok(())
}

/// The environment in which the daemon finds its secrets.
fn environment(command: &mut Command, proxy: &HttpProxy) {
    for name in ["basic", "header", "env", "hec"] {
        command.env(format!("SECRET_{name}"), secret(name));
    }
    command.env("SECRET_api", format!("shipper:{}", secret("api")));
    command.env("HTTPS_PROXY", proxy.url_with("shipper", &percent(&secret("env-proxy"))));
    command.env("NO_PROXY", "").env("SHIPPER_LOG", "trace");
}

/// Collectors of each kind, the proxies, and the sinks that go to them.
struct Places {
    collectors: Vec<Collector>,
    proxy: HttpProxy,
    sink: String,
    more: String,
}

impl Places {
    fn new(dir: &Path) -> anyhow::Result<Places> {
        let secure = || Plan { tls: Some(Certificate::Valid), client_ca: true, ..Plan::default() };
        let proxy = HttpProxy::start(Some(("shipper", "other")))?;
        let start = |dialect, plan| Collector::start(dialect, plan);
        let collectors = vec![
            start(Dialect::generic(), secure())?,
            start(Dialect::generic(), Plan::default())?,
            start(Dialect::generic(), Plan::default())?,
            start(Dialect::elasticsearch(), Plan::default())?,
            start(Dialect::hec(), Plan::default())?,
        ];
        let [siem, basic, header, elastic, hec] = &collectors[..] else { unreachable!("five") };
        let place = dir.display();
        let tls = format!(
            "    tls: {{ ca_file: {}, cert_file: {place}/client.pem, key_file: {place}/client.key, \
             key_password: {{ file: {place}/key }} }}\n",
            siem.ca_file().display()
        );
        put(&dir.join("key"), &secret("key"))?;
        put(&dir.join("proxy"), &secret("proxy"))?;
        put(&dir.join("bearer"), &secret("bearer"))?;
        replace(dir, &siem.client("secrets", Certificate::Valid)?)?;
        encrypt(&dir.join("client.key"), &dir.join("key"))?;
        let query = percent(&secret("query"));
        let bearer =
            format!("    auth: {{ bearer: {{ file: {place}/bearer }} }}\n    proxy: none\n");
        let url = |url: String| format!("    url: \"{url}\"\n");
        let named = |name: &str, kind: &str, lines: String| {
            sink(kind, &lines).replace("name: siem", &format!("name: {name}"))
        };
        let through = format!(
            "    proxy: {{ url: \"{}\", username: shipper, password: {{ file: {place}/proxy }} }}\n",
            proxy.url()
        );
        let more = [
            named("basic", "http", url(basic.url()) + &through
                + "    auth: { basic: { username: shipper, password: { env: SECRET_basic } } }\n"),
            named("header", "http", url(header.url())
                + "    auth: { header: { name: X-Key, value: { env: SECRET_header } } }\n    proxy: none\n"),
            named("env", "http", url(siem.url()) + &tls
                + "    auth: { bearer: { env: SECRET_env } }\n"),
            named("elastic", "elasticsearch", url(elastic.url())
                + "    auth: { api_key: { env: SECRET_api } }\n    proxy: none\n"),
            named("hec", "splunk_hec", url(hec.url()) + "    token: { env: SECRET_hec }\n    proxy: none\n"),
        ]
        .concat();
        let sink = sink("http", &(url(format!("{}/a?t={query}", siem.url())) + &tls + &bearer));
        Ok(Places { collectors, proxy, sink, more })
    }

    /// Has each collector fail in all ways that have to do with what a client sent.
    fn fail(&self, work: &mut Work) -> anyhow::Result<()> {
        for (place, collector) in self.collectors.iter().enumerate() {
            let statuses = [401, 403, 404, 413, 500, 401, 403, 404, 500, 503, 429, 401];
            let mut faults: Vec<Fault> = (0..)
                .zip(statuses)
                .map(|(turn, status)| Fault::StatusWith(status, page(place, turn)))
                .collect();
            let sent = percent(&secret(SENT[place][0]));
            let location = format!("/{sent}?t={sent}");
            faults.push(Fault::Redirect(302, location.clone()));
            faults.push(Fault::Redirect(307, format!("https://elsewhere{location}")));
            faults.push(Fault::Garbage { taken: false });
            collector.script(faults);
        }
        // What is refused is told of with its reason, and perhaps put aside with it.
        work.stream.await_more(50)?;
        for (place, collector) in self.reached() {
            until("all faults", || Ok(collector.script_left() == 0))?;
            collector.always(Fault::StatusWith(400, page(place, place)));
            let requests = collector.look(|account| account.requests);
            collector.wait("refusals", |account| account.requests > requests + 30)?;
            collector.always(Fault::Well);
        }
        Ok(())
    }

    /// Those that are not behind a proxy which lets nobody through.
    fn reached(&self) -> impl Iterator<Item = (usize, &Collector)> {
        self.collectors.iter().enumerate().filter(|(place, _)| *place != 1)
    }
}

/// What a command of the same environment prints has no secret in it.
fn assert_says_none(dir: &Path, proxy: &HttpProxy, args: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(daemon::program());
    environment(&mut command, proxy);
    let output = run_to_end(command.args(args).arg("--config").arg(dir.join("shipper.yaml")))?;
    let what = args.join(" ");
    assert_none(&format!("what `{what}` says"), &output.stdout);
    assert_none(&format!("the log of `{what}`"), &output.stderr);
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn no_secret_is_written_whatever_fails() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let places = Places::new(dir.path())?;
    let siem = &places.collectors[0];
    let plan = site::Plan {
        more: places.more.clone(),
        shutdown_timeout: Some("1s"),
        ..site::Plan::default()
    };
    let prepare = |command: &mut Command| environment(command, &places.proxy);
    let work = Work::begin_with(HELPER, "secrets", &places.sink, plan, prepare)?;
    let Some(mut work) = work else { return Ok(()) };
    until("a proxy refuses", || Ok(places.proxy.served().refused >= 2))?;
    places.fail(&mut work)?;
    work.delivery.await_state("delivering", "")?;
    for certificate in [Certificate::Expired, Certificate::OtherHost] {
        siem.present(certificate)?;
        siem.disconnect();
        work.delivery.await_state("blocked", "its certificate ")?;
    }
    siem.present(Certificate::Valid)?;
    let bearer = dir.path().join("bearer");
    for content in [format!("{}\nmore", secret("bearer")), String::new(), "x".repeat(70_000)] {
        fs::write(&bearer, content)?;
        work.delivery.await_state("blocked", "/bearer ")?;
    }
    fs::remove_file(&bearer)?;
    work.delivery.await_state("blocked", "bearer: No such file or directory")?;
    put(&bearer, &secret("bearer"))?;
    put(&dir.path().join("key"), "another")?;
    work.delivery.await_state("blocked", "the password is wrong (`tls.key_password`)")?;

    let place = work.delivery.site.dir().to_owned();
    let validated = assert_says_none(&place, &places.proxy, &["validate", "--connect"])?;
    assert!(validated.contains("FAIL  siem: "), "{validated}");
    put(&dir.path().join("key"), &secret("key"))?;
    for (place, collector) in places.collectors.iter().enumerate() {
        collector.always(Fault::StatusWith(401, page(place, 1)));
    }
    let validated = assert_says_none(&place, &places.proxy, &["validate", "--connect"])?;
    for name in ["siem", "basic", "header", "env", "elastic", "hec"] {
        assert!(validated.contains(&format!("FAIL  {name}: ")), "{name}: {validated}");
    }
    assert_says_none(&place, &places.proxy, &["spool", "status", "--json"])?;
    for name in ["siem", "header", "elastic", "hec"] {
        assert_says_none(&place, &places.proxy, &["spool", "quarantine", name])?;
    }
    let pid = work.process.pid();
    assert_none("the command line", &fs::read(format!("/proc/{pid}/cmdline"))?);
    work.stream.end()?;
    let ended = work.process.stop()?;
    ensure!(ended.status.success(), "it ended with {}", ended.status);
    assert!(ended.log.contains("TRACE"), "nothing is traced");
    assert_none("the log", ended.log.as_bytes());
    assert_none("the file of events", &fs::read(work.delivery.site.events_path())?);
    assert_none_below(&place.join("spool"))
}
