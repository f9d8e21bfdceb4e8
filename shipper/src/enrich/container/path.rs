//! What a cgroup path says of a container: its id, its runtime, the uid of its pod.
//!
//! Runtimes name the cgroup of a container after its id, in one of these forms. With systemd:
//! `docker-ID.scope`, `cri-containerd-ID.scope`, `nerdctl-ID.scope`, `crio-ID.scope`,
//! `libpod-ID.scope`. Without (cgroupfs): `docker/ID`, `crio-ID`, `libpod-ID`, or the bare `ID` below a
//! pod. A pod is `podUID` below `kubepods`, or `kubepods-burstable-podUID.slice` with systemd, which
//! has `_` for `-`. Where systemd was told of no slice, containerd leaves both in one name:
//! `kubepods-burstable-podUID.slice:cri-containerd:ID`.

/// Length of the ids Docker, containerd, CRI-O and Podman give: a SHA-256 in hexadecimal.
const ID_LENGTH: usize = 64;

/// Length of a uid of Kubernetes: a UUID; and of those of static pods: an MD5.
const POD_UID_LENGTHS: [usize; 2] = [36, 32];

/// A container in a cgroup path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Its id: 64 hexadecimal digits.
    pub id: &'a str,
    /// Its runtime, where the name tells.
    pub runtime: Option<&'static str>,
    /// The uid of its pod, with `_` for `-` as systemd has it.
    pub pod: Option<&'a str>,
}

/// The container of the deepest name that carries an id, and the pod around it. `names` are the
/// names of the cgroup path, the leaf first.
pub fn parse<'a>(names: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Named<'a>> {
    let mut names = names.filter_map(|name| std::str::from_utf8(name).ok());
    loop {
        let name = names.next()?;
        let Some((prefix, id)) = container(name) else { continue };
        let parent = names.clone().next();
        let runtime = runtime(prefix).or(match parent {
            Some("docker") if prefix.is_empty() => Some("docker"),
            _ => None,
        });
        let pod = pod(prefix).or_else(|| names.find_map(pod));
        return Some(Named { id, runtime, pod });
    }
}

/// What stands before the id, and the id.
fn container(name: &str) -> Option<(&str, &str)> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (prefix, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
    let is_id = id.len() == ID_LENGTH
        && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    // `crio-conmon-ID` and `libpod-conmon-ID` hold the monitor, not the container.
    (is_id && !prefix.ends_with("conmon")).then_some((prefix, id))
}

/// `container.runtime` by what stands before the id.
fn runtime(prefix: &str) -> Option<&'static str> {
    match prefix.rsplit(':').next() {
        Some("docker") => Some("docker"),
        Some("cri-containerd" | "nerdctl") => Some("containerd"),
        Some("crio") => Some("cri-o"),
        Some("libpod") => Some("podman"),
        _ => None,
    }
}

fn pod(name: &str) -> Option<&str> {
    let name = name.split(':').next().unwrap_or(name);
    let name = name.strip_suffix(".slice").unwrap_or(name);
    let uid = match name.rsplit_once("-pod") {
        Some((before, uid)) if before.contains("kubepods") => uid,
        _ => name.strip_prefix("pod")?,
    };
    let is_uid = POD_UID_LENGTHS.contains(&uid.len())
        && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-' || byte == b'_');
    is_uid.then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "268c2a50-6bf6-443f-8c65-59ebefabd52d";

    /// A path as people write it, `ID`, `UID` and `UXD` (with `_`) filled in.
    fn parsed(path: &str) -> Option<(String, Option<&'static str>, Option<String>)> {
        let path =
            path.replace("UID", UID).replace("UXD", &UID.replace('-', "_")).replace("ID", ID);
        let named = parse(path.rsplit('/').map(str::as_bytes))?;
        Some((named.id.to_owned(), named.runtime, named.pod.map(|uid| uid.replace('_', "-"))))
    }

    #[test]
    fn the_id_the_runtime_and_the_pod_are_found_in_every_runtimes_form() {
        let cases = [
            ("/system.slice/docker-ID.scope", Some("docker"), false),
            ("/docker/ID", Some("docker"), false),
            ("/docker/ID/init.scope", Some("docker"), false),
            ("/system.slice/nerdctl-ID.scope", Some("containerd"), false),
            ("/default/ID", None, false),
            ("/machine.slice/libpod-ID.scope", Some("podman"), false),
            ("/machine.slice/libpod-ID.scope/container", Some("podman"), false),
            ("/libpod_parent/libpod-ID", Some("podman"), false),
            ("/kubepods/besteffort/podUID/ID", None, true),
            ("/kubepods/podUID/ID", None, true),
            ("/kubepods/burstable/podUID/crio-ID", Some("cri-o"), true),
            (
                "/kubepods.slice/kubepods-podUXD.slice/cri-containerd-ID.scope",
                Some("containerd"),
                true,
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUXD.slice/crio-ID.scope",
                Some("cri-o"),
                true,
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podUXD.slice/docker-ID.scope",
                Some("docker"),
                true,
            ),
            (
                "/system.slice/containerd.service/kubepods-burstable-podUXD.slice:cri-containerd:ID",
                Some("containerd"),
                true,
            ),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podUXD.slice/cri-containerd-ID.scope/init.scope",
                Some("containerd"),
                true,
            ),
        ];
        for (path, runtime, in_pod) in cases {
            let expected = (ID.to_owned(), runtime, in_pod.then(|| UID.to_owned()));
            assert_eq!(parsed(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_container_is_taken_for_none() {
        let cases = [
            "/".to_owned(),
            "/machine.slice/libpod-conmon-ID.scope".to_owned(),
            "/system.slice/crio-conmon-ID.scope".to_owned(),
            format!("/docker/{}", &ID[1..]),
            format!("/docker/{}", ID.to_uppercase()),
            "/user.slice/user-0.slice/session-1.scope".to_owned(),
        ];
        for path in &cases {
            assert_eq!(parsed(path), None, "{path}");
        }
    }

    #[test]
    fn of_containers_in_containers_the_innermost_counts() {
        let outer = "f".repeat(64);
        let named = parsed(&format!("/docker/{outer}/kubelet/kubepods/podUID/ID")).expect("one");
        assert_eq!(named, (ID.to_owned(), None, Some(UID.to_owned())));
    }

    #[test]
    fn a_static_pod_has_a_uid_without_dashes_and_what_is_no_uid_is_none() {
        let pod = |name: &str| pod(name).map(str::to_owned);
        let md5 = "0123456789abcdef0123456789abcdef";
        assert_eq!(pod(&format!("pod{md5}")).as_deref(), Some(md5));
        assert_eq!(pod(&format!("kubepods-burstable-pod{md5}.slice")).as_deref(), Some(md5));
        for name in ["pods", "podman", "pod", "machine-libpod_pod_0123.slice", "kubepods.slice"] {
            assert_eq!(pod(name), None, "{name}");
        }
    }
}
