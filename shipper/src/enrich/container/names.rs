//! Names from the JSON in which runtimes keep them. What is missing, of another type or too long is
//! left out.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Longest name or image reference taken over. Names of Kubernetes have at most 253 bytes.
const NAME_BYTES_MAX: usize = 1024;

/// What a runtime's files say of a container. Nothing in it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The runtime, where the file tells.
    pub runtime: Option<&'static str>,
    /// Name of the container.
    pub name: Option<String>,
    /// Reference of its image, as it was asked for.
    pub image: Option<String>,
    /// What it says of a pod.
    pub pod: Pod,
}

/// A pod, and what the container is called in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Name of the container within the pod.
    pub container: Option<String>,
    /// Name of the pod.
    pub name: Option<String>,
    /// Its namespace.
    pub namespace: Option<String>,
}

impl Names {
    /// The container has a name, of its own or within its pod.
    pub fn has_name(&self) -> bool {
        self.name.is_some() || self.pod.container.is_some()
    }

    /// What is missing here, from the other.
    pub fn or(self, other: Names) -> Names {
        Names {
            runtime: self.runtime.or(other.runtime),
            name: self.name.or(other.name),
            image: self.image.or(other.image),
            pod: if self.pod == Pod::default() { other.pod } else { self.pod },
        }
    }
}

type Texts = BTreeMap<String, serde_json::Value>;

fn text(texts: &Texts, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| usable(texts.get(*key)?.as_str()?))
}

fn usable(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= NAME_BYTES_MAX).then(|| text.to_owned())
}

/// What the kubelet writes onto each container: labels of Docker, annotations of CRI-O.
fn pod_of_labels(labels: &Texts) -> Pod {
    Pod {
        container: text(labels, &["io.kubernetes.container.name"]),
        name: text(labels, &["io.kubernetes.pod.name"]),
        namespace: text(labels, &["io.kubernetes.pod.namespace"]),
    }
}

/// `config.v2.json` of Docker.
pub fn docker(bytes: &[u8]) -> Option<Names> {
    #[derive(Deserialize)]
    struct State {
        #[serde(rename = "Name")]
        name: Option<String>,
        #[serde(rename = "Config")]
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Image")]
        image: Option<String>,
        #[serde(rename = "Labels")]
        labels: Option<Texts>,
    }
    let State { name, config } = serde_json::from_slice(bytes).ok()?;
    let Config { image, labels } = config.unwrap_or(Config { image: None, labels: None });
    Some(Names {
        runtime: Some("docker"),
        name: name.and_then(|name| usable(name.strip_prefix('/').unwrap_or(&name))),
        image: image.and_then(|image| usable(&image)),
        pod: labels.as_ref().map(pod_of_labels).unwrap_or_default(),
    })
}

/// `config.json` of an OCI bundle, by the annotations that containerd, nerdctl, CRI-O and Podman put
/// into it.
pub fn oci(bytes: &[u8]) -> Option<Names> {
    #[derive(Deserialize)]
    struct Bundle {
        annotations: Option<Texts>,
    }
    let bundle: Bundle = serde_json::from_slice(bytes).ok()?;
    let texts = bundle.annotations.unwrap_or_default();
    let runtime = match texts.get("io.container.manager").and_then(serde_json::Value::as_str) {
        Some("cri-o") => Some("cri-o"),
        Some("libpod") => Some("podman"),
        _ => None,
    };
    let of_containerd = Pod {
        container: text(&texts, &["io.kubernetes.cri.container-name"]),
        name: text(&texts, &["io.kubernetes.cri.sandbox-name"]),
        namespace: text(&texts, &["io.kubernetes.cri.sandbox-namespace"]),
    };
    let pod = if of_containerd == Pod::default() { pod_of_labels(&texts) } else { of_containerd };
    Some(Names {
        runtime,
        name: text(&texts, &["nerdctl/name"]),
        image: text(&texts, &["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"]),
        pod,
    })
}

/// A container in `containers.json` of the storage that Podman and CRI-O share.
pub fn storage_list(bytes: &[u8], id: &str) -> Option<Names> {
    #[derive(Deserialize)]
    struct Stored {
        id: String,
        names: Option<Vec<String>>,
        /// JSON of the one who made it.
        metadata: Option<String>,
    }
    #[derive(Default, Deserialize)]
    struct Metadata {
        name: Option<String>,
        #[serde(rename = "image-name")]
        image: Option<String>,
    }
    let list: Vec<Stored> = serde_json::from_slice(bytes).ok()?;
    let stored = list.into_iter().find(|stored| stored.id == id)?;
    let metadata: Metadata =
        stored.metadata.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let first = stored.names.into_iter().flatten().next();
    Some(Names {
        name: metadata.name.or(first).and_then(|name| usable(&name)),
        image: metadata.image.and_then(|image| usable(&image)),
        ..Names::default()
    })
}

/// Name and tag of an image reference: `HOST:PORT/NAME:TAG@DIGEST`, of which all but the name may be
/// missing. No name where an image was asked for by its digest alone.
pub fn split_image(reference: &str) -> (Option<&str>, Option<&str>) {
    let named = reference.split('@').next().unwrap_or(reference);
    if named.starts_with("sha256:") {
        return (None, None);
    }
    // A colon before the last slash is that of a port.
    let (name, tag) = match named.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (named, None),
    };
    (Some(name).filter(|name| !name.is_empty()), tag.filter(|tag| !tag.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_reference_falls_into_name_and_tag() {
        let cases = [
            ("nginx", Some("nginx"), None),
            ("nginx:1.27", Some("nginx"), Some("1.27")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b"), None),
            ("localhost:5000/a/b:v1@sha256:00ff", Some("localhost:5000/a/b"), Some("v1")),
            ("quay.io/a@sha256:00ff", Some("quay.io/a"), None),
            ("sha256:00ff", None, None),
            ("", None, None),
            (":x", None, Some("x")),
        ];
        for (reference, name, tag) in cases {
            assert_eq!(split_image(reference), (name, tag), "{reference}");
        }
    }

    #[test]
    fn what_is_no_such_file_says_nothing_and_wrong_types_are_left_out() {
        for bytes in [&b""[..], b"[]", b"{", b"null", b"\xff", b"\"x\""] {
            assert_eq!((docker(bytes), oci(bytes)), (None, None), "{bytes:?}");
            assert_eq!(storage_list(bytes, "x"), None);
        }
        let mixed = br#"{"annotations":{"nerdctl/name":7,"io.kubernetes.cri.sandbox-name":"p"}}"#;
        let names = oci(mixed).expect("a bundle");
        assert_eq!((names.name, names.pod.name.as_deref()), (None, Some("p")));
        let long = format!(r#"{{"Name":"/{}"}}"#, "x".repeat(NAME_BYTES_MAX + 1));
        assert_eq!(docker(long.as_bytes()).expect("a container").name, None);
    }
}
