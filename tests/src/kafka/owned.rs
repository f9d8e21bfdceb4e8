//! Processes and directories that do not outlive the process of the test, however it ends.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};

use anyhow::Context as _;

/// Starts `program` so that the kernel kills it, even a stopped one, when this process ends.
///
/// `setpriv` asks for that and becomes the program, so the child's pid is the program's. The kernel
/// looks at the end of the thread that started it, and the threads of tests end early: one thread
/// that never ends starts them all.
pub fn spawn(program: &str, arrange: impl FnOnce(&mut Command)) -> anyhow::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                // Nobody waits for the answer any more: then the child is dropped with it.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    // Not in the group that a Ctrl-C at the terminal goes to: the test ends them.
    command.process_group(0);
    arrange(&mut command);
    let (answer, child) = mpsc::channel();
    spawner
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .send((command, answer))
        .context("the thread that starts processes has ended")?;
    child
        .recv()
        .context("the thread that starts processes has ended")?
        .with_context(|| format!("setpriv (of util-linux) or {program} cannot be started"))
}

/// A temporary directory. Dropping it removes it; so does the end of this process, where nothing is
/// dropped: a shell waits for the end of its input, which is held here, and removes it then.
pub struct Directory {
    path: PathBuf,
    remover: Child,
    input: Option<ChildStdin>,
}

impl Directory {
    /// Makes one.
    pub fn new() -> anyhow::Result<Directory> {
        let path = tempfile::Builder::new().prefix("shipper-kafka-").tempdir()?.keep();
        let mut remover = Command::new("sh")
            // Brokers that are just being killed may still add a file.
            .args(["-c", "read -r _; until rm -rf \"$1\"; do sleep 0.1; done", "sh"])
            .arg(&path)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sh cannot be started")?;
        let input = remover.stdin.take();
        Ok(Directory { path, remover, input })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.remover.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() -> anyhow::Result<()> {
        let started = std::thread::spawn(|| {
            spawn("cat", |command| {
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
            })
        });
        // A kill at the end of that thread would have come before this is written.
        let mut child = started.join().expect("no panic")?;
        io::Write::write_all(&mut child.stdin.take().context("input")?, b"still here")?;
        let output = child.wait_with_output()?;
        assert_eq!(output.stdout, b"still here");
        Ok(())
    }

    #[test]
    fn a_directory_goes_when_it_is_dropped() -> anyhow::Result<()> {
        let directory = Directory::new()?;
        let path = directory.path().to_owned();
        std::fs::create_dir_all(path.join("deep/er"))?;
        drop(directory);
        assert!(!path.exists());
        Ok(())
    }
}
