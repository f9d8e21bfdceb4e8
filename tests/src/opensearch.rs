//! A real OpenSearch server for one test: started from what `tests/siem.sh` fetched, in a directory of
//! its own, on ports of loopback that the system picks, killed when dropped.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{LIMIT, LOOK_INTERVAL};
use crate::skip;

/// As root the server refuses to start; this is `nobody`.
const NOBODY: u32 = 65534;

/// Where `tests/siem.sh` was told to put things. Fails where the tests were moved out of the workspace.
pub fn fetched(what: &str) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    Ok(root.join("target/siem").join(what))
}

/// A running server.
pub struct OpenSearch {
    child: Child,
    url: String,
    dir: TempDir,
}

impl OpenSearch {
    /// Starts one and waits until it answers. `None` where it is not at hand, which has been said then.
    pub fn start() -> anyhow::Result<Option<OpenSearch>> {
        let fetched = fetched("opensearch")?;
        if !fetched.is_dir() {
            skip("OpenSearch is not in target/siem; `tests/siem.sh target/siem` fetches it");
            return Ok(None);
        }
        // A copy, since the server writes beside its configuration and the workspace may lie where
        // another user cannot go.
        let dir = tempfile::Builder::new().prefix("shipper-opensearch-").tempdir()?;
        let home = dir.path().join("home");
        run(Command::new("cp").arg("-r").arg(&fetched).arg(&home))?;
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            let owner = format!("{NOBODY}:{NOBODY}");
            run(Command::new("chown").arg("-R").arg(owner).arg(dir.path()))?;
        }
        let log_path = dir.path().join("log");
        let log = File::create(&log_path)?;
        let mut command = Command::new("java");
        command
            .args(["-Xms384m", "-Xmx384m", "-Djava.security.manager=allow"])
            .arg(format!("-Djava.io.tmpdir={}", dir.path().display()))
            .arg(format!("-Dopensearch.path.home={}", home.display()))
            .arg(format!("-Dopensearch.path.conf={}", home.join("config").display()))
            .arg("-cp")
            .arg(home.join("lib/*"))
            .arg("org.opensearch.bootstrap.OpenSearch")
            .args(["-E", "network.host=127.0.0.1", "-E", "http.port=0", "-E", "transport.port=0"])
            .args(["-E", "discovery.type=single-node"])
            // A full disk of this machine is not what is tested.
            .args(["-E", "cluster.routing.allocation.disk.threshold_enabled=false"])
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = command.spawn().context("java cannot be started")?;
        let mut server = OpenSearch { child, url: String::new(), dir };
        server.url = server.await_address(&log_path)?;
        Ok(Some(server))
    }

    /// The address it says it serves HTTP at, last of its two.
    fn await_address(&mut self, log_path: &Path) -> anyhow::Result<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let log = std::fs::read_to_string(log_path)?;
            let http = log.lines().find(|line| line.contains("HttpServerTransport"));
            let address = http.and_then(|line| line.split("publish_address {").nth(1));
            if let Some((address, _)) = address.and_then(|rest| rest.split_once('}'))
                && log.contains("] started")
            {
                return Ok(format!("http://{address}"));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("OpenSearch ended with {status}; its log is:\n{log}");
            }
            if Instant::now() >= deadline {
                bail!("OpenSearch did not start; its log is:\n{log}");
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Where it is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request and gives the answer's JSON. Fails on a status of 400 and above, with the answer.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Value> {
        let body_path = self.dir.path().join("body");
        std::fs::write(&body_path, body)?;
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60"])
            .args(["--request", method, "--header", "Content-Type: application/json"])
            .arg("--data-binary")
            .arg(format!("@{}", body_path.display()))
            .arg(format!("{}{path}", self.url))
            .output()
            .context("curl cannot be started")?;
        let answer = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{method} {path}: {answer}{}", String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_str(&answer).with_context(|| format!("{method} {path}: {answer}"))
    }
}

impl Drop for OpenSearch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
