//! Container ids from cgroup paths.

/// Length of the ids Docker, containerd, CRI-O and Podman give: a SHA-256 in hexadecimal.
const ID_LENGTH: usize = 64;

/// The container id in the deepest component that carries one, as `docker-ID.scope`,
/// `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope` or the bare `ID`.
///
/// `names` are the names of the cgroup path, the leaf first.
pub fn id<'a>(names: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    names.filter_map(|name| std::str::from_utf8(name).ok()).find_map(|name| {
        let name = name.strip_suffix(".scope").unwrap_or(name);
        // `crio-conmon-ID` and `libpod-conmon-ID` hold the monitor, not the container.
        let (prefix, id) = name.rsplit_once(['-', ':']).unwrap_or(("", name));
        let is_id = id.len() == ID_LENGTH
            && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (is_id && !prefix.ends_with("conmon")).then(|| id.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_in_every_runtimes_form_and_nowhere_else() {
        let hex = "0123456789abcdef".repeat(4);
        let cases = [
            (vec![format!("docker-{hex}.scope"), "system.slice".into()], true),
            (vec![hex.clone(), "docker".into()], true),
            (vec![format!("cri-containerd-{hex}.scope"), "kubepods.slice".into()], true),
            (vec!["init.scope".into(), format!("crio-{hex}.scope")], true),
            (vec!["container".into(), format!("libpod-{hex}.scope")], true),
            (vec![format!("kubepods-burstable-pod1.slice:cri-containerd:{hex}")], true),
            (vec![format!("crio-conmon-{hex}.scope")], false),
            (vec![hex[1..].to_owned()], false),
            (vec![hex.to_uppercase()], false),
            (vec!["session-1.scope".into(), "user-0.slice".into()], false),
            (vec![], false),
        ];
        for (names, found) in cases {
            let id = id(names.iter().map(|name: &String| name.as_bytes()));
            assert_eq!(id, found.then(|| hex.clone()), "{names:?}");
        }
    }
}
