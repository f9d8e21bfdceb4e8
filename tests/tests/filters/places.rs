//! Where something is executed: cgroups that are made for it, and processes that wait in namespaces.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use shipper_tests::cgroup::hierarchies;
use shipper_tests::process::until;
use shipper_tests::skip;

/// A cgroup with one below it, in one hierarchy; both are removed when dropped.
pub struct Cgroup {
    hierarchy: PathBuf,
    name: String,
}

/// The mount point that a cgroup is below.
pub fn root_of(cgroup: &Path) -> Result<PathBuf> {
    let roots = hierarchies()?.into_iter().filter(|root| cgroup.starts_with(root));
    roots.max_by_key(|root| root.as_os_str().len()).context("a cgroup is below a mount point")
}

impl Cgroup {
    /// One of this name in each hierarchy. None where none can be made.
    pub fn make_all(name: &str) -> Result<Vec<Cgroup>> {
        let name = format!("shipper-test-{name}-{}", std::process::id());
        let mut made = Vec::new();
        for hierarchy in hierarchies()? {
            let cgroup = Cgroup { hierarchy, name: name.clone() };
            match std::fs::create_dir_all(cgroup.below()) {
                Ok(()) => made.push(cgroup),
                Err(error) => {
                    skip(&format!("no cgroup in {}: {error}", cgroup.hierarchy.display()))
                }
            }
        }
        Ok(made)
    }

    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.hierarchy.join(&self.name)
    }

    /// The directory of the one below.
    pub fn below(&self) -> PathBuf {
        self.dir().join("below")
    }

    /// Its path, as events have it.
    pub fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for dir in [self.below(), self.dir()] {
            // The last process has ended; the kernel may need a moment to see it.
            let _ = until("the cgroup is empty", || Ok(std::fs::remove_dir(&dir).is_ok()));
        }
    }
}

/// A process that waits to be told to go on. Killed when it is dropped.
pub struct Waiting(Child);

impl Waiting {
    /// Starts it, and waits until it says an empty line.
    pub fn start(command: &mut Command) -> Result<Waiting> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut waiting = Waiting(child);
        let mut line = [0];
        waiting.0.stdout.as_mut().context("its output")?.read_exact(&mut line)?;
        ensure!(line == *b"\n", "it said {line:?}");
        Ok(waiting)
    }

    /// A shell that executes `true` with this word, in a new namespace of each kind that can be made
    /// here: kind, inode number, and the process.
    pub fn in_namespaces(word: &str) -> Result<Vec<(&'static str, u64, Waiting)>> {
        let mut all = Vec::new();
        for (kind, entry, flags) in [
            ("pid", "pid_for_children", &["--pid", "--fork"][..]),
            ("mnt", "mnt", &["--mount"]),
            ("net", "net", &["--net"]),
            ("user", "user", &["--user"]),
        ] {
            let script = "echo; read line; /bin/true \"$0\"; :";
            let mut command = Command::new("unshare");
            command.args(flags).args(["sh", "-c", script, word]);
            match Waiting::start(&mut command) {
                Ok(waiting) => all.push((kind, inode_of(waiting.0.id(), entry)?, waiting)),
                Err(error) => skip(&format!("no {kind} namespace can be made: {error}")),
            }
        }
        Ok(all)
    }

    /// Lets it go on, and waits for its end.
    pub fn go_on(mut self) -> Result<()> {
        self.0.stdin.take().context("its input")?.write_all(b"\n")?;
        let status = self.0.wait()?;
        ensure!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It has ended already, mostly.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Inode number of a namespace of a process.
pub fn inode_of(pid: u32, entry: &str) -> Result<u64> {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{entry}"))?;
    let link = link.to_str().context("text")?.to_owned();
    let inode = link.split_once(":[").and_then(|(_, rest)| rest.strip_suffix(']'));
    Ok(inode.with_context(|| link.clone())?.parse()?)
}
