//! One broker as a process: killed, stopped, paused, started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::properties::{Listener, Node, Plan};
use super::{Admin, Pki, log_tail, open_log, owned};
use crate::process::{LIMIT, LOOK_INTERVAL};
use crate::proxy::Proxy;

/// One broker. It stays this broker while it is down: same id, same ports, same data.
pub struct Broker {
    node: Node,
    jars: PathBuf,
    harness_address: String,
    /// None while it is down.
    child: Mutex<Option<Child>>,
}

/// What every virtual machine of the harness is started with: quick to be there, small.
pub(super) fn java_options(jars: &Path) -> [String; 5] {
    [
        "-XX:TieredStopAtLevel=1".into(),
        "-XX:+UseSerialGC".into(),
        "-Xshare:auto".into(),
        "-cp".into(),
        format!("{0}/classes:{0}/libs/*", jars.display()),
    ]
}

impl Broker {
    /// Starts the process and does not wait.
    pub(super) fn launch(
        node: Node,
        plan: &Plan,
        jars: &Path,
        pki: &Pki,
    ) -> anyhow::Result<Broker> {
        fs::write(&node.properties, node.server_properties(plan, pki))?;
        let harness_address = format!("127.0.0.1:{}", node.harness_port);
        let broker = Broker { node, jars: jars.into(), harness_address, child: Mutex::new(None) };
        broker.relaunch()?;
        Ok(broker)
    }

    pub(super) fn relaunch(&self) -> anyhow::Result<()> {
        let mut child = self.lock();
        ensure!(child.is_none(), "broker {} is already running", self.node.id);
        let log = open_log(&self.node.log)?;
        *child = Some(owned::spawn("java", |command| {
            command
                .args(java_options(&self.jars))
                .args(["-Xms64m", "-Xmx320m", "Node", &self.node.cluster_id])
                .args([&self.node.data, &self.node.properties])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log);
        })?);
        Ok(())
    }

    /// Waits until it serves clients.
    pub(super) fn await_serving(&self, admin: &Admin) -> anyhow::Result<()> {
        admin
            .await_broker(self.node.id, &self.harness_address)
            .with_context(|| format!("broker {} does not serve:\n{}", self.node.id, self.log()))
    }

    /// Its id, from 1.
    #[must_use]
    pub fn id(&self) -> u16 {
        self.node.id
    }

    /// `host:port` for clients of this listener.
    ///
    /// # Panics
    ///
    /// When the plan has no such listener.
    #[must_use]
    pub fn address(&self, listener: Listener) -> String {
        let port = self.node.client_port(listener);
        format!("127.0.0.1:{}", port.expect("a listener of the plan"))
    }

    pub(super) fn harness_address(&self) -> &str {
        &self.harness_address
    }

    pub(super) fn tls_listeners(&self) -> impl Iterator<Item = Listener> {
        self.node.listeners.iter().map(|(listener, _)| *listener).filter(|it| it.has_tls())
    }

    /// The proxy before the listener that the plan names.
    ///
    /// # Panics
    ///
    /// When the plan asks for none.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.node.proxy.as_ref().expect("a plan with proxies").1
    }

    /// Whether it was started and neither killed nor stopped since; it may be paused.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().is_some()
    }

    /// SIGKILL; it is gone when this returns. The others notice after two seconds.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut child = self.lock().take().context("the broker is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM: it hands over its leaderships and ends. One alone in its cluster, or in one whose
    /// majority is gone, cannot hand anything over and may take long.
    pub fn stop(&self) -> anyhow::Result<()> {
        let mut child = self.lock().take().context("the broker is not running")?;
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        let deadline = Instant::now() + LIMIT;
        while child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                bail!("broker {} did not stop:\n{}", self.node.id, self.log());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    /// SIGSTOP: its connections stay open and nothing answers.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.lock();
        let child = child.as_ref().context("the broker is not running")?;
        Ok(kill_process(Pid::from_child(child), signal)?)
    }

    /// The end of its log: warnings and errors.
    #[must_use]
    pub fn log(&self) -> String {
        log_tail(&self.node.log)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
