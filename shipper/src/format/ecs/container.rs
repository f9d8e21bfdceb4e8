//! `container` and, for a pod, `orchestrator`. ECS has no field of its own for a pod: it is the resource
//! of the orchestrator, as Elastic's own agents have it.

use serde::Serialize;

use crate::event::{Container, Exec};

#[derive(Serialize)]
pub(super) struct ContainerFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Image<'a>>,
}

#[derive(Serialize)]
struct Image<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// ECS has a list here.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
pub(super) struct Orchestrator<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    resource: Resource<'a>,
}

#[derive(Serialize)]
struct Resource<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> ContainerFields<'a> {
    /// Of an execution in a container.
    pub(super) fn new(exec: &'a Exec) -> Option<Self> {
        let id = exec.container_id.as_deref();
        let Some(container) = exec.container.as_deref() else {
            return id.map(|id| ContainerFields {
                id: Some(id),
                name: None,
                runtime: None,
                image: None,
            });
        };
        let name = container.image_name.as_deref();
        let tag = container.image_tag.as_deref().map(|tag| [tag]);
        Some(ContainerFields {
            id,
            name: container.name.as_deref(),
            runtime: container.runtime.as_deref(),
            image: (name.is_some() || tag.is_some()).then_some(Image { name, tag }),
        })
    }
}

impl<'a> Orchestrator<'a> {
    /// Of an execution in a pod.
    pub(super) fn new(exec: &'a Exec) -> Option<Self> {
        let Container { pod_uid, pod_name, pod_namespace, .. } = exec.container.as_deref()?;
        (pod_uid.is_some() || pod_name.is_some()).then_some(Orchestrator {
            kind: "kubernetes",
            namespace: pod_namespace.as_deref(),
            resource: Resource { kind: "pod", id: pod_uid.as_deref(), name: pod_name.as_deref() },
        })
    }
}
