//! Which container a process is in, and what that container is called: from its cgroup path, and from
//! the files in which container runtimes keep their state. No runtime is asked over its socket: one
//! that hangs would hold up capture.

mod names;
mod path;
mod state;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::event::Container;
use names::split_image;

pub use state::StateDirs;

/// Most containers remembered, some 500 bytes each. A host has tens or hundreds; one that starts
/// thousands of short ones has the oldest read again, if they still execute something.
const CONTAINERS_MAX: usize = 4096;

/// After a container was not found in any file, when it is looked for again. Runtimes write their
/// files before the first process of a container executes, so this is for containers that no
/// configured directory knows: they cost a few failed calls every so often, and none in between.
const RETRY_NS: u64 = 10_000_000_000;

/// Id of the container of a cgroup, whose names are given, the leaf first.
#[must_use]
pub fn id<'a>(names: impl Iterator<Item = &'a [u8]> + Clone) -> Option<&'a str> {
    path::parse(names).map(|named| named.id)
}

/// A container as events have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: Arc<str>,
    /// What else is known of it; `None` when that is nothing.
    pub container: Option<Arc<Container>>,
}

struct Entry {
    known: Known,
    /// When it is looked for again, in nanoseconds since boot; `None` once it was found.
    retry_ns: Option<u64>,
}

/// The containers seen lately. Each is read once.
pub struct Containers {
    dirs: StateDirs,
    entries: HashMap<Arc<str>, Entry>,
    /// Ids of all entries, the oldest first.
    order: VecDeque<Arc<str>>,
    containers_max: usize,
}

impl Containers {
    /// Whose runtimes keep their state there.
    #[must_use]
    pub fn new(dirs: StateDirs) -> Self {
        Containers {
            dirs,
            entries: HashMap::new(),
            order: VecDeque::new(),
            containers_max: CONTAINERS_MAX,
        }
    }

    /// The container of a cgroup, whose names are given, the leaf first. `now_ns` is the time since
    /// boot.
    pub fn of<'a>(
        &mut self,
        names: impl Iterator<Item = &'a [u8]> + Clone,
        now_ns: u64,
    ) -> Option<Known> {
        let named = path::parse(names)?;
        if let Some(Entry { known, retry_ns }) = self.entries.get(named.id)
            && retry_ns.is_none_or(|retry_ns| now_ns < retry_ns)
        {
            return Some(known.clone());
        }
        let found = self.dirs.look_up(named.id, named.runtime);
        let retry_ns = found.is_none().then(|| now_ns.saturating_add(RETRY_NS));
        let container = container(&named, found);
        let id = match self.entries.remove_entry(named.id) {
            Some((id, _)) => id,
            None => {
                let id: Arc<str> = Arc::from(named.id);
                if self.order.len() >= self.containers_max
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.entries.remove(&oldest);
                }
                self.order.push_back(id.clone());
                id
            }
        };
        let known = Known {
            id: id.clone(),
            container: (container != Container::default()).then(|| Arc::new(container)),
        };
        self.entries.insert(id, Entry { known: known.clone(), retry_ns });
        Some(known)
    }
}

fn container(named: &path::Named<'_>, found: Option<names::Names>) -> Container {
    let shared = |text: String| Arc::<str>::from(text);
    let pod_uid = named.pod.map(|uid| Arc::from(uid.replace('_', "-")));
    let Some(found) = found else {
        let runtime = named.runtime.map(Arc::from);
        return Container { runtime, pod_uid, ..Container::default() };
    };
    // Labels come from whoever made an image, too: only what the kubelet put below its own cgroup is
    // believed to be of a pod.
    let pod = if named.pod.is_some() { found.pod } else { names::Pod::default() };
    let image = found.image.as_deref().map(split_image);
    Container {
        runtime: named.runtime.or(found.runtime).map(Arc::from),
        name: pod.container.or(found.name).map(shared),
        image_name: image.and_then(|(name, _)| name).map(Arc::from),
        image_tag: image.and_then(|(_, tag)| tag).map(Arc::from),
        pod_uid,
        pod_name: pod.name.map(shared),
        pod_namespace: pod.namespace.map(shared),
        from_runtime: true,
    }
}

#[cfg(test)]
mod tests;
