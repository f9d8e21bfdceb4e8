//! Containers by name: a cgroup and state files as a container runtime makes them, and a process in it.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::json;
use shipper_tests::cgroup::hierarchies;
use shipper_tests::daemon::{Daemon, config, has_arg};
use shipper_tests::process::until;
use shipper_tests::skip;

const UID: &str = "268c2a50-6bf6-443f-8c65-59ebefabd52d";

/// The cgroup of a container in every hierarchy; it is removed when dropped.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    fn make(id: &str) -> Result<Option<Cgroups>> {
        let slice = format!("kubepods-besteffort-pod{}.slice", UID.replace('-', "_"));
        let mut made = Cgroups(Vec::new());
        for hierarchy in hierarchies()? {
            let path = hierarchy.join(&slice).join(format!("cri-containerd-{id}.scope"));
            if let Err(error) = std::fs::create_dir_all(&path) {
                skip(&format!("no cgroup can be made: {}: {error}", path.display()));
                return Ok(None);
            }
            made.0.push(path);
        }
        if made.0.is_empty() {
            skip("neither cgroup v2 nor the pids controller of v1 is mounted");
            return Ok(None);
        }
        Ok(Some(made))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for path in &self.0 {
            // The last process has ended; the kernel may need a moment to see it.
            let _ = until("the cgroup is empty", || Ok(std::fs::remove_dir(path).is_ok()));
            if let Some(slice) = path.parent() {
                let _ = std::fs::remove_dir(slice);
            }
        }
    }
}

#[test]
fn a_process_in_a_container_of_a_pod_is_told_with_all_names_and_as_its_own_entry() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        skip("cgroups and capture need root");
        return Ok(());
    }
    let id = format!("{:064x}", u128::from(std::process::id()) << 64 | 0xc0ffee);
    let Some(cgroups) = Cgroups::make(&id)? else { return Ok(()) };
    let daemon = Daemon::start_or_skip(|dir| {
        let state = dir.join("containerd");
        let dirs = format!(
            "enrich:\n  container_dirs: {{ docker: [], containerd: [{}], storage: [] }}\n",
            state.display()
        );
        config(dir, &dirs, "")
    })?;
    let Some(daemon) = daemon else { return Ok(()) };
    let word = format!("container-{}", std::process::id());
    // Into the cgroup first, as a runtime does it, then a session of its own.
    let enter = r#"for procs in "$@"; do echo $$ > "$procs"; done; eval "$ENTER""#;
    let run = |script: &str| -> Result<()> {
        let enter_session = format!("unshare --pid --fork setsid sh -c '{script}; :'");
        let status = Command::new("sh")
            .args(["-c", enter, "sh"])
            .args(cgroups.0.iter().map(|path| path.join("cgroup.procs")))
            .env("ENTER", enter_session)
            .status()?;
        assert!(status.success());
        Ok(())
    };
    // Nothing is known of it yet but what the cgroup path tells.
    run(&format!("/bin/true {word}-early"))?;
    let early = daemon.await_event(|event| {
        event["file"]["name"] == "true" && has_arg(event, &format!("{word}-early"))
    })?;
    assert_eq!(early["container"], json!({ "id": id, "runtime": "containerd" }));
    assert_eq!(
        early["orchestrator"],
        json!({ "type": "kubernetes", "resource": { "type": "pod", "id": UID } })
    );
    assert!(early["shipper"]["container_source"].is_null());

    let state = daemon.dir().join("containerd/io.containerd.runtime.v2.task/k8s.io").join(&id);
    std::fs::create_dir_all(&state)?;
    let bundle = json!({ "ociVersion": "1.2.0", "annotations": {
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.image-name": "registry.example:5000/shop/web:v7",
        "io.kubernetes.cri.sandbox-name": "web-74d9c7d6f5-b6tvr",
        "io.kubernetes.cri.sandbox-namespace": "shop",
    } });
    std::fs::write(state.join("config.json"), bundle.to_string())?;
    // It is looked for again after a pause: until then names are missing, never wrong.
    let mut round = 0;
    until("the names are known", || {
        round += 1;
        let word = format!("{word}-{round}-");
        run(&format!("/bin/true {word}"))?;
        let event =
            daemon.await_event(|event| event["file"]["name"] == "true" && has_arg(event, &word))?;
        if event["shipper"]["container_source"].is_null() {
            std::thread::sleep(std::time::Duration::from_millis(500));
            return Ok(false);
        }
        assert_eq!(
            event["container"],
            json!({ "id": id, "runtime": "containerd", "name": "web",
                    "image": { "name": "registry.example:5000/shop/web", "tag": ["v7"] } })
        );
        assert_eq!(
            event["orchestrator"],
            json!({ "type": "kubernetes", "namespace": "shop", "resource":
                    { "type": "pod", "id": UID, "name": "web-74d9c7d6f5-b6tvr" } })
        );
        let entry = &event["process"]["entry_leader"];
        assert_eq!(entry["entry_meta"]["type"], "container");
        assert_eq!(entry["args"][0], "sh");
        assert_eq!(entry["entity_id"], event["process"]["session_leader"]["entity_id"]);
        Ok(true)
    })?;
    daemon.stop()?;
    Ok(())
}
