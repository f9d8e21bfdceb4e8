//! State directories as the runtimes leave them.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

const ID: &str = "2b7c7451d4f4915c4467d90db3adae670bc9a0ec0b0b612ef36f567189e4bf0a";
const UID: &str = "d5647735-a7fe-4a8f-85a5-28a46ec08802";
const POD: &str = "kubepods-besteffort-podd5647735_a7fe_4a8f_85a5_28a46ec08802.slice";

/// A machine with all runtimes.
struct Machine {
    dir: tempfile::TempDir,
    containers: Containers,
}

impl Machine {
    fn new() -> Machine {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| vec![dir.path().join(name)];
        let dirs = StateDirs {
            docker: at("docker"),
            containerd: at("containerd"),
            storage: vec![dir.path().join("run"), dir.path().join("graph")],
        };
        let containers = Containers::new(dirs);
        Machine { dir, containers }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.replace("ID", ID))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text.replace("ID", ID)).expect("writable");
    }

    /// The container of a cgroup, at a second since boot.
    fn at(&mut self, cgroup: &str, second: u64) -> Container {
        let cgroup = cgroup.replace("ID", ID);
        let names = cgroup.rsplit('/').filter(|name| !name.is_empty()).map(str::as_bytes);
        let known = self.containers.of(names, second * 1_000_000_000).expect("a container");
        assert_eq!(&*known.id, ID);
        known.container.map(|container| (*container).clone()).unwrap_or_default()
    }
}

/// Runtime, name, image with tag, and the pod with namespace and uid, `-` for what is missing.
fn shown(container: &Container) -> String {
    let Container {
        runtime, name, image_name, image_tag, pod_uid, pod_name, pod_namespace, ..
    } = container;
    [runtime, name, image_name, image_tag, pod_namespace, pod_name, pod_uid]
        .map(|text| text.as_deref().unwrap_or("-"))
        .join(" ")
}

const DOCKER: &str = r#"{"StreamConfig":{},"State":{"Running":true,"Pid":4711},"ID":"ID",
  "Created":"2026-11-24T08:00:00Z","Managed":false,"Path":"/docker-entrypoint.sh",
  "Config":{"Hostname":"2b7c7451d4f4","Env":["PATH=/usr/bin"],"Cmd":["nginx"],
    "Image":"registry.example:5000/web/nginx:1.27","Labels":{"maintainer":"x"}},
  "Image":"sha256:00ff","Name":"/front","Driver":"overlay2","RestartCount":0}"#;

const CRI: &str = r#"{"ociVersion":"1.2.0","process":{"args":["/bin/alloy"]},"annotations":{
  "io.kubernetes.cri.container-name":"alloy","io.kubernetes.cri.container-type":"container",
  "io.kubernetes.cri.image-name":"docker.io/grafana/alloy:latest",
  "io.kubernetes.cri.sandbox-id":"80e2","io.kubernetes.cri.sandbox-name":"alloy-ltrr7",
  "io.kubernetes.cri.sandbox-namespace":"monitoring",
  "io.kubernetes.cri.sandbox-uid":"d5647735-a7fe-4a8f-85a5-28a46ec08802"}}"#;

const CRIO: &str = r#"{"ociVersion":"1.2.0","annotations":{"io.container.manager":"cri-o",
  "io.kubernetes.container.name":"proxy","io.kubernetes.pod.name":"proxy-1",
  "io.kubernetes.pod.namespace":"web","io.kubernetes.pod.uid":"d5647735-a7fe-4a8f-85a5-28a46ec08802",
  "io.kubernetes.cri-o.ContainerType":"container",
  "io.kubernetes.cri-o.ImageName":"quay.io/web/proxy@sha256:00ff",
  "io.kubernetes.cri-o.Name":"k8s_proxy_proxy-1_web_d5647735_0"}}"#;

#[test]
fn docker_names_container_and_image_with_both_cgroup_drivers() {
    let mut machine = Machine::new();
    machine.write("docker/containers/ID/config.v2.json", DOCKER);
    for cgroup in ["/system.slice/docker-ID.scope", "/docker/ID", "/actions/ID"] {
        let container = machine.at(cgroup, 1);
        assert_eq!(shown(&container), "docker front registry.example:5000/web/nginx 1.27 - - -");
        assert!(container.from_runtime);
    }
}

#[test]
fn containerd_names_container_image_and_pod() {
    let mut machine = Machine::new();
    let task = "containerd/io.containerd.runtime.v2.task/k8s.io/ID/config.json";
    machine.write(task, CRI);
    machine.write("containerd/io.containerd.runtime.v2.task/moby/other/config.json", "{}");
    let container = machine.at(&format!("/kubepods.slice/{POD}/cri-containerd-ID.scope"), 1);
    let alloy = format!("alloy docker.io/grafana/alloy latest monitoring alloy-ltrr7 {UID}");
    assert_eq!(shown(&container), format!("containerd {alloy}"));
    let mut machine = Machine::new();
    machine.write(task, CRI);
    let container = machine.at(&format!("/kubepods/besteffort/pod{UID}/ID"), 1);
    assert_eq!(shown(&container), format!("containerd {alloy}"), "found by cgroupfs's bare id");
}

#[test]
fn nerdctl_names_its_containers() {
    let mut machine = Machine::new();
    machine.write(
        "containerd/io.containerd.runtime.v2.task/default/ID/config.json",
        r#"{"annotations":{"nerdctl/name":"lab","nerdctl/namespace":"default"}}"#,
    );
    assert_eq!(shown(&machine.at("/system.slice/nerdctl-ID.scope", 1)), "containerd lab - - - - -");
}

#[test]
fn cri_o_names_container_image_and_pod() {
    let mut machine = Machine::new();
    machine.write("run/overlay-containers/ID/userdata/config.json", CRIO);
    let container = machine.at(&format!("/kubepods.slice/{POD}/crio-ID.scope"), 1);
    assert_eq!(shown(&container), format!("cri-o proxy quay.io/web/proxy - web proxy-1 {UID}"));
}

#[test]
fn podman_names_its_containers_also_those_of_run_rm() {
    let list = r#"[{"id":"00","names":["other"]},{"id":"ID","names":["db"],"image":"d7af","layer":"67b0",
      "metadata":"{\"image-name\":\"docker.io/library/postgres:17\",\"name\":\"db\",\"created-at\":1}"}]"#;
    for file in ["containers.json", "volatile-containers.json"] {
        let mut machine = Machine::new();
        machine.write(
            "run/overlay-containers/ID/userdata/config.json",
            r#"{"annotations":{"io.container.manager":"libpod"}}"#,
        );
        machine.write(&format!("graph/overlay-containers/{file}"), list);
        let container = machine.at("/machine.slice/libpod-ID.scope/container", 1);
        let expected = "podman db docker.io/library/postgres 17 - - -";
        assert_eq!(shown(&container), expected, "{file}");
    }
}

#[test]
fn without_any_file_there_is_what_the_cgroup_path_tells_and_no_claim_beyond() {
    let mut machine = Machine::new();
    let container = machine.at(&format!("/kubepods.slice/{POD}/cri-containerd-ID.scope"), 1);
    assert_eq!(shown(&container), format!("containerd - - - - - {UID}"));
    assert!(!container.from_runtime);
    let mut machine = Machine::new();
    assert_eq!(machine.at("/some/ID", 1), Container::default());
}

#[test]
fn labels_of_an_image_make_no_pod() {
    let mut machine = Machine::new();
    let labels =
        r#"{"io.kubernetes.pod.name":"kube-apiserver","io.kubernetes.container.name":"etcd"}"#;
    let text = DOCKER.replace(r#"{"maintainer":"x"}"#, labels);
    machine.write("docker/containers/ID/config.v2.json", &text);
    assert_eq!(
        shown(&machine.at("/docker/ID", 1)),
        "docker front registry.example:5000/web/nginx 1.27 - - -"
    );
}

#[test]
fn a_container_is_read_once_and_one_that_was_not_found_is_sought_again_after_a_pause() {
    let mut machine = Machine::new();
    let cgroup = "/docker/ID";
    assert_eq!(shown(&machine.at(cgroup, 1)), "docker - - - - - -");
    machine.write("docker/containers/ID/config.v2.json", DOCKER);
    assert_eq!(shown(&machine.at(cgroup, 10)), "docker - - - - - -", "not yet");
    assert_eq!(machine.at(cgroup, 11).name.as_deref(), Some("front"));
    fs::remove_file(machine.path("docker/containers/ID/config.v2.json")).expect("it is there");
    assert_eq!(machine.at(cgroup, 10_000).name.as_deref(), Some("front"));
}

#[test]
fn links_fifos_large_files_and_nonsense_are_not_believed_and_hold_up_nothing() {
    let file = "docker/containers/ID/config.v2.json";
    type Prepare = fn(&Path);
    let prepare: [(&str, Prepare); 5] = [
        ("a link", |path| {
            let other = path.with_extension("other");
            fs::write(&other, DOCKER).expect("writable");
            std::os::unix::fs::symlink(other, path).expect("a link");
        }),
        ("a fifo", |path| {
            let mode = rustix::fs::Mode::RWXU;
            let fifo = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, path, fifo, mode, 0).expect("a fifo");
        }),
        ("a directory", |path| fs::create_dir(path).expect("a directory")),
        ("too large", |path| {
            fs::write(path, format!("{DOCKER}{}", " ".repeat(1 << 20))).expect("writable");
        }),
        ("nonsense", |path| fs::write(path, [0xff; 100]).expect("writable")),
    ];
    for (what, prepare) in prepare {
        let mut machine = Machine::new();
        machine.write(file, "");
        fs::remove_file(machine.path(file)).expect("it is there");
        prepare(&machine.path(file));
        assert_eq!(shown(&machine.at("/docker/ID", 1)), "docker - - - - - -", "{what}");
    }
}

#[test]
fn a_link_on_the_way_is_followed_only_where_the_operator_named_it() {
    let mut machine = Machine::new();
    machine.write("elsewhere/containers/ID/config.v2.json", DOCKER);
    std::os::unix::fs::symlink(machine.path("elsewhere"), machine.path("docker")).expect("a link");
    assert_eq!(machine.at("/docker/ID", 1).name.as_deref(), Some("front"), "the data root moved");
    let mut machine = Machine::new();
    machine.write("elsewhere/ID/config.v2.json", DOCKER);
    fs::create_dir(machine.path("docker")).expect("a directory");
    let inner = machine.path("docker/containers");
    std::os::unix::fs::symlink(machine.path("elsewhere"), inner).expect("a link");
    assert_eq!(machine.at("/docker/ID", 1).name, None);
}

#[test]
fn the_oldest_container_is_forgotten_when_there_are_too_many() {
    let mut containers = Containers::new(StateDirs::default());
    containers.containers_max = 3;
    for number in 0..10 {
        let name = format!("docker-{number:064x}.scope");
        containers.of([name.as_bytes()].into_iter(), 1).expect("a container");
        assert!(containers.entries.len() <= 3 && containers.order.len() <= 3);
    }
    let newest = format!("{:064x}", 9);
    assert!(containers.entries.contains_key(newest.as_str()));
}
