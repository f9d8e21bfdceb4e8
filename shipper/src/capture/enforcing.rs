//! Deny rules at work: their maps, the heartbeat without which nothing is refused, and the cgroups
//! that are excepted, whose ids change when they are made anew.
#![allow(unsafe_code)]

use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData, MapError, loaded_maps};
use common::enforce::{
    Rule, WORD_DENIED, WORD_DRY_RUN, WORD_HEARTBEAT_NS, WORD_KEEP, WORD_NOT_JUDGED, WORD_RULES,
    WORD_WOULD_DENY,
};
use common::limits::ENFORCE_HEARTBEAT_MAX_NS;
use common::names;

use super::enforce::Enforce;
use super::error::EnforceError;

/// Maps that are looked at for those of deny rules: a machine has some hundreds.
const MAPS_LOOKED_AT_MAX: usize = 100_000;

/// Names of the pins.
const WORDS_PIN: &str = "enforcement";
const CGROUPS_PIN: &str = "except-cgroups";

/// The rules of the programs at work.
pub struct Enforcing {
    words: Array<MapData, u64>,
    cgroups: HashMap<MapData, u64, u32>,
    excepted: Vec<Excepted>,
    /// Counts as they were said last.
    said: Counts,
    /// An error was said, and is not said again until it has gone.
    is_failing: bool,
}

/// A cgroup that rules except.
struct Excepted {
    dir: PathBuf,
    /// The rules, bit n for rule n.
    rules: u32,
    /// Its id; nothing while it is not there.
    id: Option<u64>,
}

/// What became of executions that rules are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Refused.
    pub denied: u64,
    /// Let go: dry run, or no heartbeat.
    pub would_deny: u64,
    /// Let go since it could not be told whether a rule is for them.
    pub not_judged: u64,
}

/// Deny rules in the kernel, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnforcementSeen {
    /// How many rules.
    pub rules: u64,
    /// What they do now.
    pub state: EnforcementState,
    /// What became of executions.
    pub counts: Counts,
}

/// What deny rules do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnforcementState {
    /// They refuse.
    On,
    /// They refuse nothing, as asked.
    DryRun,
    /// They refuse nothing, since the daemon is gone or hangs.
    Stale,
}

impl EnforcementState {
    /// The word in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EnforcementState::On => "on",
            EnforcementState::DryRun => "dry_run",
            EnforcementState::Stale => "stale",
        }
    }
}

/// A rule as an entry of a map.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Entry(Rule);

// SAFETY: `Rule` is numbers and bytes without padding (its size is asserted beside it), so that every
// bit pattern is a value.
unsafe impl aya::Pod for Entry {}

impl Enforcing {
    /// Fills the maps of programs that are not attached yet, and pins in this directory those that a
    /// later process needs.
    ///
    /// # Errors
    /// A cgroup is not there, or the kernel refuses.
    pub fn begin(
        ebpf: &mut Ebpf,
        enforce: &Enforce,
        pins: Option<&Path>,
    ) -> Result<Enforcing, EnforceError> {
        let excepted = excepted(enforce)?;
        {
            let mut rules: Array<_, Entry> = Array::try_from(map(ebpf, names::RULES)?)?;
            for (index, rule) in (0..).zip(&enforce.rules) {
                rules.set(index, Entry(rule.entry()), 0)?;
            }
        }
        {
            let mut uids: HashMap<_, u32, u32> = HashMap::try_from(map(ebpf, names::EXCEPT_UIDS)?)?;
            for uid in enforce.rules.iter().flat_map(|rule| &rule.except_uids) {
                uids.insert(uid, enforce.set_of(|rule| rule.except_uids.contains(uid)), 0)?;
            }
        }
        let take = |ebpf: &mut Ebpf, name: &'static str| {
            ebpf.take_map(name).ok_or(EnforceError::NoMap(name))
        };
        let (words, cgroups) =
            (take(ebpf, names::ENFORCEMENT)?, take(ebpf, names::EXCEPT_CGROUPS)?);
        if let Some(dir) = pins {
            words.pin(dir.join(WORDS_PIN))?;
            cgroups.pin(dir.join(CGROUPS_PIN))?;
        }
        let (mut words, cgroups) = (Array::try_from(words)?, HashMap::try_from(cgroups)?);
        let [rules, _, dry_run, keep] = enforce.words();
        for (word, value) in [(WORD_RULES, rules), (WORD_DRY_RUN, dry_run), (WORD_KEEP, keep)] {
            words.set(word, u64::from(value), 0)?;
        }
        let mut begun =
            Enforcing { words, cgroups, excepted, said: Counts::default(), is_failing: false };
        begun.beat()?;
        Ok(begun)
    }

    /// Takes over the maps that [`Enforcing::begin`] pinned for the same rules.
    ///
    /// # Errors
    /// They cannot be opened, or a cgroup is not there.
    pub fn adopt(dir: &Path, enforce: &Enforce) -> Result<Enforcing, EnforceError> {
        let open = |name: &str| MapData::from_pin(dir.join(name));
        let words = Array::try_from(Map::Array(open(WORDS_PIN)?))?;
        let cgroups = HashMap::try_from(Map::HashMap(open(CGROUPS_PIN)?))?;
        let mut adopted = Enforcing {
            said: counts(&words)?,
            words,
            cgroups,
            excepted: excepted(enforce)?,
            is_failing: false,
        };
        adopted.beat()?;
        // Of cgroups that have gone since.
        let known: Vec<u64> = adopted.cgroups.keys().flatten().collect();
        for id in known {
            if adopted.excepted.iter().all(|each| each.id != Some(id)) {
                adopted.cgroups.remove(&id)?;
            }
        }
        Ok(adopted)
    }

    /// Tells the kernel programs that the daemon is there, and says in the log what was not judged. To
    /// be called about once a second.
    pub fn tick(&mut self) {
        let beaten = self.beat();
        if let Err(error) = &beaten
            && !self.is_failing
        {
            tracing::error!("deny rules are not kept up: {error}");
        }
        self.is_failing = beaten.is_err();
        let Ok(now) = counts(&self.words) else { return };
        if now.not_judged > self.said.not_judged {
            tracing::warn!(
                executions = now.not_judged - self.said.not_judged,
                "it could not be told whether a deny rule is for them, so they were let go"
            );
        }
        self.said = now;
    }

    fn beat(&mut self) -> Result<(), EnforceError> {
        for each in &mut self.excepted {
            // Asked for again each time: a service that is restarted has another cgroup.
            let id = cgroup_id(&each.dir);
            if id == each.id && id.is_none_or(|id| self.cgroups.get(&id, 0).is_ok()) {
                continue;
            }
            if let Some(old) = each.id.filter(|old| Some(*old) != id) {
                self.cgroups.remove(&old)?;
            }
            if let Some(id) = id {
                self.cgroups.insert(id, each.rules, 0)?;
            }
            each.id = id;
        }
        Ok(self.words.set(WORD_HEARTBEAT_NS, monotonic_ns(), 0)?)
    }
}

/// Deny rules that are in the kernel now, of whatever process or pins: newest last.
#[must_use]
pub fn seen() -> Vec<EnforcementSeen> {
    let maps = loaded_maps().take(MAPS_LOOKED_AT_MAX).flatten();
    let ours = maps.filter(|map| map.name_as_str() == Some(names::ENFORCEMENT));
    let words = ours.filter_map(|map| {
        Array::<MapData, u64>::try_from(Map::Array(MapData::from_id(map.id()).ok()?)).ok()
    });
    words.filter_map(|words| look(&words).ok()).filter(|seen| seen.rules > 0).collect()
}

fn look(words: &Array<MapData, u64>) -> Result<EnforcementSeen, MapError> {
    let word = |index| words.get(&index, 0);
    let age = monotonic_ns().saturating_sub(word(WORD_HEARTBEAT_NS)?);
    let state = if word(WORD_DRY_RUN)? != 0 {
        EnforcementState::DryRun
    } else if word(WORD_KEEP)? != 0 || age < ENFORCE_HEARTBEAT_MAX_NS {
        EnforcementState::On
    } else {
        EnforcementState::Stale
    };
    Ok(EnforcementSeen { rules: word(WORD_RULES)?, state, counts: counts(words)? })
}

fn counts(words: &Array<MapData, u64>) -> Result<Counts, MapError> {
    Ok(Counts {
        denied: words.get(&WORD_DENIED, 0)?,
        would_deny: words.get(&WORD_WOULD_DENY, 0)?,
        not_judged: words.get(&WORD_NOT_JUDGED, 0)?,
    })
}

fn map<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Map, EnforceError> {
    ebpf.map_mut(name).ok_or(EnforceError::NoMap(name))
}

/// The cgroups that rules except, each of which must be there now.
fn excepted(enforce: &Enforce) -> Result<Vec<Excepted>, EnforceError> {
    let mut paths: Vec<&PathBuf> =
        enforce.rules.iter().flat_map(|rule| &rule.except_cgroups).collect();
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let root = unified_root(&mounts).ok_or(EnforceError::NoUnifiedCgroups)?;
    let find = |path: &PathBuf| {
        let dir = root.join(path.strip_prefix("/").unwrap_or(path));
        if cgroup_id(&dir).is_none() {
            return Err(EnforceError::NoCgroup { path: path.clone(), dir });
        }
        let rules = enforce.set_of(|rule| rule.except_cgroups.contains(path));
        Ok(Excepted { dir, rules, id: None })
    };
    paths.into_iter().map(find).collect()
}

/// Where the unified hierarchy is mounted.
fn unified_root(mounts: &str) -> Option<PathBuf> {
    // "36 35 98:0 /root /mount/point options ... - type source options"
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?;
        (after.split(' ').next()? == "cgroup2").then(|| PathBuf::from(point))
    })
}

/// The kernel's id of a cgroup is the inode number of its directory (5.5 and later, 64 bits).
fn cgroup_id(dir: &Path) -> Option<u64> {
    let facts = std::fs::metadata(dir).ok()?;
    facts.is_dir().then(|| facts.st_ino())
}

/// What the kernel programs compare the heartbeat with.
fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_among_the_mounts() {
        let hybrid = "25 20 0:22 / /sys rw,nosuid - sysfs sysfs rw\n\
            30 25 0:26 / /sys/fs/cgroup/pids rw shared:9 - cgroup cgroup rw,pids\n\
            31 25 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n";
        assert_eq!(unified_root(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(unified_root(hybrid.split_once("\n31").expect("two").0), None);
    }
}
