//! What is left out in the kernel: the operator's rules, as the kernel programs know them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use aya::maps::{HashMap, MapData};
use aya::{Ebpf, EbpfLoader};
use common::filters::{
    EXCLUDED_NAMESPACES_MAX, EXCLUDED_UIDS_MAX, FILTER_CGROUPS, FILTER_ENDS, FILTER_NAMESPACES,
    FILTER_RATE_LIMIT, FILTER_TREES, FILTER_UIDS, FILTER_WORDS, KNOWN_CGROUPS_MAX,
    LIMITED_CGROUPS_MAX, NAMESPACE_KINDS, NAMESPACE_MNT, NAMESPACE_NET, NAMESPACE_PID,
    NAMESPACE_USER, TREE_PROCESSES_MAX, WALKERS,
};
use common::limits::NAME_BYTES_MAX;
use common::names;

use super::CaptureError;
use super::trees::{self, TreeFile};

const SECOND_NS: u64 = 1_000_000_000;

/// `common::filters::CgroupName` as aya can write it: the place, then the name.
type StepWords = [u64; 1 + NAME_BYTES_MAX as usize / 8];

/// What is left out. Empty: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Effective users.
    pub uids: Vec<RangeInclusive<u32>>,
    /// Cgroups with all below, as paths from the root of their hierarchy.
    pub cgroups: Vec<PathBuf>,
    /// Namespaces, by inode number.
    pub namespaces: Vec<(Namespace, u32)>,
    /// Programs whose processes are left out with all their descendants.
    pub trees: Vec<PathBuf>,
    /// Most that a cgroup may execute.
    pub rate_limit: Option<RateLimit>,
    /// Ends of processes are events, so that they are left out as well.
    pub ends: bool,
}

/// Kinds of namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Of pids.
    Pid,
    /// Of mounts.
    Mnt,
    /// Of the network.
    Net,
    /// Of users.
    User,
}

impl Namespace {
    /// The word in the configuration and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Namespace::Pid => "pid",
            Namespace::Mnt => "mnt",
            Namespace::Net => "net",
            Namespace::User => "user",
        }
    }

    fn index(self) -> usize {
        match self {
            Namespace::Pid => NAMESPACE_PID,
            Namespace::Mnt => NAMESPACE_MNT,
            Namespace::Net => NAMESPACE_NET,
            Namespace::User => NAMESPACE_USER,
        }
    }
}

/// Most that a cgroup may execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// In a second, at least 1.
    pub per_second: u32,
    /// At once, at least 1.
    pub burst: u32,
}

impl Filters {
    /// Each that is active, in words.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let list = |words: Vec<String>| words.join(", ");
        let paths =
            |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
        let mut said = Vec::new();
        if !self.trees.is_empty() {
            said.push(format!(
                "what descends from {}, where that is there",
                list(paths(&self.trees))
            ));
        }
        if !self.uids.is_empty() {
            let uids = self.uids.iter().map(|range| match (range.start(), range.end()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}-{last}"),
            });
            said.push(format!("effective uid {}", list(uids.collect())));
        }
        if !self.namespaces.is_empty() {
            let each = self.namespaces.iter();
            let each = each.map(|(kind, inode)| format!("{}:[{inode}]", kind.as_str()));
            said.push(format!("namespace {}", list(each.collect())));
        }
        if !self.cgroups.is_empty() {
            said.push(format!("cgroup {} and below", list(paths(&self.cgroups))));
        }
        if let Some(RateLimit { per_second, burst }) = self.rate_limit {
            said.push(format!("more than {per_second} a second and {burst} at once of one cgroup"));
        }
        said
    }
}

/// The rules, ready for the kernel.
pub struct Rules {
    words: Vec<u64>,
    /// Steps to excluded cgroups, and where each leads.
    steps: BTreeMap<(u64, Vec<u8>), Place>,
    /// Held open, so that no other file gets their number.
    files: Vec<TreeFile>,
}

#[derive(Clone, Copy)]
struct Place {
    number: u64,
    excluded: bool,
}

impl Rules {
    /// Prepares the rules. A program that is not there is left out of them, and said in the log.
    ///
    /// # Errors
    /// There are more than the kernel programs take.
    pub fn prepare(filters: &Filters) -> Result<Rules, CaptureError> {
        let files = trees::open_all(&filters.trees);
        let steps = steps(&filters.cgroups);
        let words = words(filters, !files.is_empty()).ok_or_else(|| CaptureError::Load {
            reason: "there are more rules in capture.exclude than fit".to_owned(),
            hint: String::new(),
        })?;
        Ok(Rules { words, steps, files })
    }

    /// Tells the loader about them.
    pub fn configure<'a>(&'a self, loader: &mut EbpfLoader<'a>, cpus: u32) {
        let has = |filter: u64| self.words[0] & filter != 0;
        let sized = |filter: u64, entries: u32| if has(filter) { entries } else { 1 };
        let count = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX).max(1);
        loader
            .override_global(names::FILTERS, self.words.as_slice(), true)
            .map_max_entries(names::TREE_FILES, count(self.files.len()))
            .map_max_entries(names::TREES, sized(FILTER_TREES, TREE_PROCESSES_MAX))
            .map_max_entries(names::CGROUP_NAMES, count(self.steps.len()))
            .map_max_entries(names::CGROUPS, sized(FILTER_CGROUPS, KNOWN_CGROUPS_MAX))
            .map_max_entries(names::LIMITS, sized(FILTER_RATE_LIMIT, LIMITED_CGROUPS_MAX))
            .map_max_entries(
                names::WALKS,
                sized(FILTER_CGROUPS | FILTER_RATE_LIMIT, WALKERS.saturating_mul(cpus)),
            );
    }

    /// Puts into the maps what the programs look up. To be done before they are attached.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn fill(&self, ebpf: &mut Ebpf) -> Result<(), CaptureError> {
        if !self.files.is_empty() {
            let mut map = hash::<[u64; 2], u32>(ebpf, names::TREE_FILES)?;
            for file in &self.files {
                map.insert(file.key(), 1, 0).map_err(refused(names::TREE_FILES))?;
            }
        }
        if !self.steps.is_empty() {
            let mut map = hash::<StepWords, [u64; 2]>(ebpf, names::CGROUP_NAMES)?;
            for ((place, name), next) in &self.steps {
                let value = [next.number, next.excluded.into()];
                map.insert(step_words(*place, name), value, 0)
                    .map_err(refused(names::CGROUP_NAMES))?;
            }
        }
        Ok(())
    }

    /// Marks the processes of excluded trees that live already. To be done once the programs are
    /// attached, which mark their children.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn mark_running(&self, ebpf: &mut Ebpf) -> Result<(), CaptureError> {
        if self.files.is_empty() {
            return Ok(());
        }
        trees::mark_running(&mut hash(ebpf, names::TREES)?, &self.files)
    }

    /// What tells these rules from others, the daemon left aside.
    pub fn identity(&self) -> impl Iterator<Item = u64> {
        // Which file a path leads to is not in the words.
        let files = self.files.iter().flat_map(TreeFile::key);
        let steps = self.steps.iter().flat_map(|((place, name), next)| {
            step_words(*place, name).into_iter().chain([next.number, next.excluded.into()])
        });
        let own = 1..3;
        let words = self.words.iter().enumerate();
        let words = words.filter(move |(at, _)| !own.contains(at)).map(|(_, word)| *word);
        words.chain(files).chain(steps)
    }

    /// Scripts among the programs of trees: the file asked for tells them, which only the hook sees.
    pub fn scripts(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().filter(|file| file.is_script()).map(TreeFile::path)
    }
}

/// `common::filters::Filters`; `None` when something does not fit.
fn words(filters: &Filters, trees: bool) -> Option<Vec<u64>> {
    let active = [
        (FILTER_UIDS, !filters.uids.is_empty()),
        (FILTER_CGROUPS, !filters.cgroups.is_empty()),
        (FILTER_NAMESPACES, !filters.namespaces.is_empty()),
        (FILTER_TREES, trees),
        (FILTER_RATE_LIMIT, filters.rate_limit.is_some()),
    ];
    let mut flags = active.iter().fold(0, |set, (flag, on)| if *on { set | flag } else { set });
    if flags != 0 && filters.ends {
        flags |= FILTER_ENDS;
    }
    let (own_tgid, own_start_ticks) = trees::own_process();
    let (interval, burst) = match filters.rate_limit {
        Some(RateLimit { per_second, burst }) => {
            let interval = SECOND_NS / u64::from(per_second.max(1));
            (interval, interval * u64::from(burst))
        }
        None => (0, 0),
    };
    let mut words = vec![flags, own_tgid.into(), own_start_ticks, interval, burst];
    let mut by_kind: [Vec<u64>; NAMESPACE_KINDS] = std::array::from_fn(|_| Vec::new());
    for (kind, inode) in &filters.namespaces {
        by_kind[kind.index()].push((*inode).into());
    }
    let fits = filters.uids.len() <= EXCLUDED_UIDS_MAX
        && by_kind.iter().all(|inodes| inodes.len() <= EXCLUDED_NAMESPACES_MAX);
    words.push(filters.uids.len() as u64);
    words.extend(by_kind.iter().map(|inodes| inodes.len() as u64));
    let mut uids: Vec<u64> = filters
        .uids
        .iter()
        .flat_map(|range| [*range.start(), *range.end()])
        .map(u64::from)
        .collect();
    uids.resize(2 * EXCLUDED_UIDS_MAX, 0);
    words.extend(uids);
    for mut inodes in by_kind {
        inodes.resize(EXCLUDED_NAMESPACES_MAX, 0);
        words.extend(inodes);
    }
    (fits && words.len() == FILTER_WORDS).then_some(words)
}

/// The names from the root to each cgroup, as steps from place to place.
fn steps(cgroups: &[PathBuf]) -> BTreeMap<(u64, Vec<u8>), Place> {
    use std::os::unix::ffi::OsStrExt as _;
    let mut steps = BTreeMap::new();
    for path in cgroups {
        let mut names = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
        let mut names = names.by_ref().filter(|name| !name.is_empty()).peekable();
        let mut place = 0;
        while let Some(name) = names.next() {
            let number = steps.len() as u64 + 1;
            let next =
                steps.entry((place, name.to_vec())).or_insert(Place { number, excluded: false });
            next.excluded |= names.peek().is_none();
            place = next.number;
        }
    }
    steps
}

fn step_words(place: u64, name: &[u8]) -> StepWords {
    let mut words = [0; 1 + NAME_BYTES_MAX as usize / 8];
    words[0] = place;
    for (word, bytes) in words[1..].iter_mut().zip(name.chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    words
}

fn hash<'a, K: aya::Pod, V: aya::Pod>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<HashMap<&'a mut MapData, K, V>, CaptureError> {
    let map = ebpf.map_mut(name).ok_or_else(|| refused(name)("the object does not have it"))?;
    HashMap::try_from(map).map_err(refused(name))
}

/// A map that cannot be used.
pub fn refused<E: std::fmt::Display>(name: &str) -> impl Fn(E) -> CaptureError + '_ {
    move |error| CaptureError::Load {
        reason: format!("map {name} cannot be filled: {error}"),
        hint: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_name_by_name_and_what_is_below_needs_no_step() {
        let steps = steps(&["/a/b".into(), "/a/c/d".into(), "/a/c".into()]);
        let follow = |names: &[&[u8]]| {
            let mut place = 0;
            for name in names {
                match steps.get(&(place, name.to_vec())) {
                    None => return false,
                    Some(next) if next.excluded => return true,
                    Some(next) => place = next.number,
                }
            }
            false
        };
        assert!(follow(&[b"a", b"b"]));
        assert!(follow(&[b"a", b"b", b"below"]));
        assert!(follow(&[b"a", b"c"]), "the shorter of two paths holds for both");
        for other in [&[&b"a"[..]][..], &[b"b"], &[b"a", b"d"], &[b"c", b"d"], &[]] {
            assert!(!follow(other), "{other:?}");
        }
    }

    #[test]
    fn the_daemon_is_no_part_of_what_tells_rules_apart() {
        let rules = |filters: &Filters| Rules::prepare(filters).expect("they fit");
        let filters = Filters { uids: vec![7..=7], ..Filters::default() };
        let one = rules(&filters);
        let mut other = rules(&filters);
        (other.words[1], other.words[2]) = (1, 2);
        assert!(one.identity().eq(other.identity()));
        let uids = rules(&Filters { uids: vec![7..=8], ..Filters::default() });
        assert!(!one.identity().eq(uids.identity()));
        let cgroups = |path: &str| Filters { cgroups: vec![path.into()], ..filters.clone() };
        assert!(!rules(&cgroups("/a")).identity().eq(rules(&cgroups("/b")).identity()));
    }

    #[test]
    fn what_is_active_is_said_in_words() {
        let filters = Filters {
            uids: vec![997..=997, 1000..=1999],
            cgroups: vec!["/system.slice/build.service".into()],
            namespaces: vec![(Namespace::Pid, 4_026_532_500)],
            trees: vec!["/usr/bin/buildd".into()],
            rate_limit: Some(RateLimit { per_second: 1000, burst: 5000 }),
            ends: false,
        };
        assert_eq!(
            filters.describe(),
            [
                "what descends from /usr/bin/buildd, where that is there",
                "effective uid 997, 1000-1999",
                "namespace pid:[4026532500]",
                "cgroup /system.slice/build.service and below",
                "more than 1000 a second and 5000 at once of one cgroup",
            ]
        );
        assert!(Filters::default().describe().is_empty());
    }

    #[test]
    fn a_limit_is_told_in_nanoseconds() {
        let rate_limit = Some(RateLimit { per_second: 1000, burst: 5000 });
        let filters = Filters { rate_limit, ..Filters::default() };
        let words = words(&filters, false).expect("it fits");
        assert_eq!((words[0], words[3], words[4]), (FILTER_RATE_LIMIT, 1_000_000, 5_000_000_000));
    }
}
