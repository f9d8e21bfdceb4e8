//! A delivery to a cluster that asks who comes, by a daemon that logs all it can; no secret may be
//! in anything that it writes where others read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shipper_tests::kafka::delivery::{Account, Delivery};
use shipper_tests::kafka::{
    Acl, CLIENT_ID, CLIENT_SECRET, Cluster, Listener, Mechanism, PLAIN_PASSWORD, Plan, Resource,
    Topic,
};
use shipper_tests::process::{Process, until};
use shipper_tests::site::{Site, Stream};

use super::HELPER;

/// Part of every password that a test makes up.
pub const MARK: &str = "5ecret-mark";

/// How each token of the harness begins: its header, in base64.
const TOKEN: &str = "eyJhbGciOi";

/// One broker for all cases that leave it as it was, on topics and users of their own. It would make
/// a topic for anybody who may, and asks for one.
pub fn shared() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || {
        let plan = Plan::new(1)
            .listener(Listener::Ssl)
            .listener(Listener::Mtls)
            .listener(Listener::SaslPlaintext)
            .listener(Listener::SaslSsl)
            .server("auto.create.topics.enable", "true")
            .authorizer();
        Cluster::start(plan).expect("a broker")
    };
    CLUSTER.get_or_init(start).as_ref()
}

/// One broker whose TLS connections are broken and whose certificate is changed; by one test at a
/// time, which holds [`alone`].
pub fn breakable() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let start = || {
        // Each network thread takes up a new certificate by itself, one after the other.
        let plan = Plan::new(1).proxied(Listener::SaslSsl).authorizer();
        Cluster::start(plan.server("num.network.threads", "1")).expect("a broker")
    };
    CLUSTER.get_or_init(start).as_ref()
}

/// Held by whoever changes the broker of [`breakable`].
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Breaks the connections to the broker of [`breakable`]; new ones are taken at once.
pub fn reconnect(cluster: &Cluster) -> anyhow::Result<()> {
    let proxy = cluster.broker(1).proxy();
    proxy.cut();
    proxy.mend()
}

/// A topic of four partitions which this user may write to.
pub fn topic_for(cluster: &Cluster, user: &str, topic: &str) -> anyhow::Result<()> {
    cluster.admin().create_topic(&Topic::new(topic).partitions(4))?;
    cluster.admin().add_acl(&may_write(user, topic))
}

/// That this user may write to that topic.
pub fn may_write(user: &str, topic: &str) -> Acl {
    Acl::allow(user, "write", Resource::Topic(topic.into()))
}

/// The line `tls` of a sink that trusts this authority.
pub fn tls(ca_file: &Path) -> String {
    format!("    tls: {{ ca_file: {} }}\n", ca_file.display())
}

/// The line `sasl` of a sink whose password is in this file.
pub fn sasl(mechanism: Mechanism, user: &str, file: &Path) -> String {
    let (name, file) = (mechanism.name(), file.display());
    format!("    sasl: {{ mechanism: {name}, username: {user}, password: {{ file: {file} }} }}\n")
}

/// The line `sasl` of a sink that gets tokens there.
pub fn bearer(token_url: &str, file: &Path) -> String {
    format!(
        "    sasl: {{ mechanism: OAUTHBEARER, token_url: \"{token_url}\", client_id: {CLIENT_ID}, \
         client_secret: {{ file: {} }} }}\n",
        file.display()
    )
}

/// Puts a secret into a file as an operator does: at once, readable for nobody else.
pub fn put(file: &Path, secret: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let written = file.with_extension("new");
    fs::write(&written, format!("{secret}\n"))?;
    fs::set_permissions(&written, fs::Permissions::from_mode(0o600))?;
    fs::rename(written, file)?;
    Ok(())
}

/// Fails when a secret of any test is in a text.
pub fn assert_no_secret(what: &str, text: &str) {
    let basic = STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    for secret in [MARK, PLAIN_PASSWORD, CLIENT_SECRET, &basic, TOKEN] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "a secret is in {what}: {}", line.unwrap_or_default());
    }
}

/// A delivery whose secrets are looked for at its end.
pub struct Guarded {
    delivery: Delivery,
    topic: String,
}

impl Guarded {
    /// `None`, and the test is skipped, where capture is not allowed. `sink` has further lines of the
    /// sink. The topic, which is there, is the mark too.
    pub fn new(
        cluster: &Cluster,
        listener: Listener,
        topic: &str,
        sink: &str,
    ) -> anyhow::Result<Option<Guarded>> {
        let sink = format!("    key: event_id\n{sink}");
        let delivery = Delivery::new(topic, cluster, listener, topic, &sink)?;
        Ok(delivery.map(|delivery| Guarded { delivery, topic: topic.to_owned() }))
    }

    /// Starts a daemon; `None`, and the test is skipped, where this machine allows no capture.
    pub fn start_or_skip(&self) -> anyhow::Result<Option<Process>> {
        Site::begin_or_skip(self.delivery.site.command().env("SHIPPER_LOG", "debug"))
    }

    /// Numbered executions from now on.
    pub fn stream(&self) -> anyhow::Result<Stream> {
        self.delivery.stream(HELPER)
    }

    /// Waits until the status that an operator reads says this of the sink, and of why.
    pub fn await_state(&self, state: &str, words: &str) -> anyhow::Result<()> {
        let mut last = Value::Null;
        let seen = until("a state", || {
            let Ok(text) = fs::read(self.status_path()) else { return Ok(false) };
            last = serde_json::from_slice(&text)?;
            let error = last["last_error"].as_str().unwrap_or_default();
            Ok(last["state"] == state && error.contains(words))
        });
        seen.with_context(|| format!("not {state} by `{words}`; the status is {last}"))
    }

    fn status_path(&self) -> PathBuf {
        self.delivery.site.dir().join("spool/status/siem.json")
    }

    /// Ends the stream and the daemon, which delivers what is left, and looks for secrets in all it
    /// shows. Gives the account of the topic.
    pub fn settle(
        &self,
        stream: Stream,
        process: Process,
        cluster: &Cluster,
    ) -> anyhow::Result<Account> {
        let count = stream.end()?;
        let command_line = fs::read(format!("/proc/{}/cmdline", process.pid()))?;
        let ended = process.stop()?;
        assert_no_secret("the log", &ended.log);
        assert_no_secret("the command line", &String::from_utf8_lossy(&command_line));
        assert_no_secret("the status", &fs::read_to_string(self.status_path())?);
        ensure!(ended.status.success(), "it ended with {}", ended.status);
        self.delivery.site.outcome()?.assert_all(count);
        self.delivery.account(&cluster.consume(&self.topic)?)
    }
}
