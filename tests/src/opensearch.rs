//! A real OpenSearch server: started from what `tests/siem.sh` fetched, in a directory of its own, on a
//! port of loopback that stays its own when it is killed and started again. It goes with its value or
//! with the process of the test, however that ends.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::kafka::owned::{self, Directory};
use crate::kafka::ports;
use crate::process::{LIMIT, LOOK_INTERVAL};
use crate::skip;

/// As root the server refuses to start; this is `nobody`.
const NOBODY: u32 = 65534;

/// Where `tests/siem.sh` was told to put things. Fails where the tests were moved out of the workspace.
pub fn fetched(what: &str) -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace")?;
    Ok(root.join("target/siem").join(what))
}

/// A server.
pub struct OpenSearch {
    /// `None` after [`OpenSearch::kill`].
    child: Option<Child>,
    port: u16,
    url: String,
    /// Settings beyond the common, as `name=value`.
    settings: Vec<String>,
    dir: Directory,
}

impl OpenSearch {
    /// Starts one and waits until it answers. `None` where it is not at hand, which has been said then.
    pub fn start() -> anyhow::Result<Option<OpenSearch>> {
        OpenSearch::start_with(&[])
    }

    /// The same with further settings of the node, each `name=value`.
    pub fn start_with(settings: &[&str]) -> anyhow::Result<Option<OpenSearch>> {
        let fetched = fetched("opensearch")?;
        if !fetched.is_dir() {
            skip("OpenSearch is not in target/siem; `tests/siem.sh target/siem` fetches it");
            return Ok(None);
        }
        // A copy, since the server writes beside its configuration and the workspace may lie where
        // another user cannot go.
        let dir = Directory::new()?;
        run(Command::new("cp").arg("-r").arg(&fetched).arg(dir.path().join("home")))?;
        if is_root() {
            let owner = format!("{NOBODY}:{NOBODY}");
            run(Command::new("chown").arg("-R").arg(owner).arg(dir.path()))?;
        }
        let port = ports::free()?;
        let mut server = OpenSearch {
            child: None,
            port,
            url: format!("http://127.0.0.1:{port}"),
            settings: settings.iter().map(|setting| (*setting).to_owned()).collect(),
            dir,
        };
        server.begin()?;
        Ok(Some(server))
    }

    /// Starts it, again after [`OpenSearch::kill`] on the same data and port, and waits until it
    /// answers.
    pub fn begin(&mut self) -> anyhow::Result<()> {
        let home = self.dir.path().join("home");
        let log_path = self.dir.path().join("log");
        let log = File::create(&log_path)?;
        let child = owned::spawn("java", |command| {
            command
                .args(["-Xms384m", "-Xmx384m", "-Djava.security.manager=allow"])
                .arg(format!("-Djava.io.tmpdir={}", self.dir.path().display()))
                .arg(format!("-Dopensearch.path.home={}", home.display()))
                .arg(format!("-Dopensearch.path.conf={}", home.join("config").display()))
                .arg("-cp")
                .arg(home.join("lib/*"))
                .arg("org.opensearch.bootstrap.OpenSearch")
                .args(["-E", "network.host=127.0.0.1", "-E", "transport.port=0"])
                .args(["-E", &format!("http.port={}", self.port)])
                .args(["-E", "discovery.type=single-node"])
                // A full disk of this machine is not what is tested.
                .args(["-E", "cluster.routing.allocation.disk.threshold_enabled=false"])
                .args(self.settings.iter().flat_map(|setting| ["-E", setting]))
                .current_dir(&home)
                .stdin(Stdio::null())
                .stdout(log.try_clone().map_or_else(|_| Stdio::null(), Stdio::from))
                .stderr(log);
            if is_root() {
                command.uid(NOBODY).gid(NOBODY);
            }
        })?;
        self.child = Some(child);
        self.await_start(&log_path)
    }

    fn await_start(&mut self, log_path: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let log = std::fs::read_to_string(log_path)?;
            if log.contains("HttpServerTransport") && log.contains("] started") {
                return Ok(());
            }
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("OpenSearch ended with {status}; its log is:\n{log}");
            }
            if Instant::now() >= deadline {
                bail!("OpenSearch did not start; its log is:\n{log}");
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Whether it was started and not killed since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Where it is, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a request and gives the answer's JSON. Fails on a status of 400 and above, with the answer.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Value> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(body)?;
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "60"])
            .args(["--request", method, "--header", "Content-Type: application/json"])
            .arg("--data-binary")
            .arg(format!("@{}", file.path().display()))
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
        self.kill();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
