//! Deny rules: what the operator asks for, in the form in which the kernel programs take it.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use common::enforce::{
    DENY_ANY, DENY_DELETED, DENY_MEMFD, DENY_NOT_ROOT_OWNED, DENY_WRITABLE_BY_OTHERS,
    RULE_ID_BYTES, Rule, TAIL_WORDS, Tail,
};
use common::limits::ENFORCE_TAIL_BYTES;
use sha2::{Digest as _, Sha256};

/// What is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforce {
    /// 1 to `ENFORCE_RULES_MAX`, each with an id of its own. The first that is for an exec decides.
    pub rules: Vec<DenyRule>,
    /// Nothing is refused; events say what would have been.
    pub dry_run: bool,
    /// Pinned programs refuse also when the daemon is gone.
    pub keep: bool,
}

/// One deny rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DenyRule {
    /// What events call it, at most `ENFORCE_RULE_ID_BYTES_MAX` bytes.
    pub id: String,
    /// Which files.
    pub deny: Deny,
    /// Only what has this path or lies below it: absolute, plain, at most `ENFORCE_PREFIX_BYTES_MAX`.
    pub path_prefix: Option<PathBuf>,
    /// Not for callers with one of these effective user ids, at most `ENFORCE_EXCEPTIONS_MAX`.
    pub except_uids: Vec<u32>,
    /// Not in these cgroups or below, paths in the unified hierarchy, at most
    /// `ENFORCE_EXCEPTIONS_MAX`.
    pub except_cgroups: Vec<PathBuf>,
}

/// Which files a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deny {
    /// Every one.
    Any,
    /// Those that root does not own.
    NotRootOwned,
    /// Those that their group or all others may write to.
    WritableByOthers,
    /// Anonymous files in memory.
    Memfd,
    /// Those that have no name any more.
    Deleted,
}

impl Deny {
    /// As the kernel programs know it.
    #[must_use]
    pub fn word(self) -> u32 {
        match self {
            Deny::Any => DENY_ANY,
            Deny::NotRootOwned => DENY_NOT_ROOT_OWNED,
            Deny::WritableByOthers => DENY_WRITABLE_BY_OTHERS,
            Deny::Memfd => DENY_MEMFD,
            Deny::Deleted => DENY_DELETED,
        }
    }

    /// Fields of the kernel without which it cannot be told, as `struct.member`.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Deny::Deleted => &["dentry.d_hash.pprev"],
            _ => &[],
        }
    }
}

/// Fields of the kernel without which it cannot be told in which cgroup a process is.
const CGROUP_NEEDS: [&str; 5] = [
    "task_struct.cgroups",
    "css_set.dfl_cgrp",
    "cgroup.kn",
    "kernfs_node.id",
    "kernfs_node.__parent",
];

impl Enforce {
    /// The global of the kernel programs, as words: `EnforceSettings`.
    #[must_use]
    pub fn words(&self) -> [u32; 4] {
        let rules = u32::try_from(self.rules.len()).expect("a few rules");
        let by_cgroup = self.set_of(|rule| !rule.except_cgroups.is_empty());
        [rules, by_cgroup, self.dry_run.into(), self.keep.into()]
    }

    /// The rules that are like that, bit n for rule n.
    #[must_use]
    pub fn set_of(&self, test: impl Fn(&DenyRule) -> bool) -> u32 {
        (0..)
            .zip(&self.rules)
            .filter(|(_, rule)| test(rule))
            .fold(0, |set, (bit, _)| set | 1 << bit)
    }

    /// Of the fields that this kernel lacks, those that its rules cannot do without.
    #[must_use]
    pub fn lacks<'a>(&self, missing: &'a [String]) -> Vec<&'a str> {
        let mut needed: Vec<&str> =
            self.rules.iter().flat_map(|rule| rule.deny.needs()).copied().collect();
        if self.rules.iter().any(|rule| !rule.except_cgroups.is_empty()) {
            needed.extend(CGROUP_NEEDS);
        }
        missing.iter().map(String::as_str).filter(|field| needed.contains(field)).collect()
    }

    /// Other rules, or others that are excepted, give another.
    pub fn fingerprint(&self, hash: &mut Sha256) {
        for word in self.words() {
            hash.update(word.to_le_bytes());
        }
        for rule in &self.rules {
            let Rule { deny, by_path, prefix, id, .. } = rule.entry();
            hash.update(id);
            for word in [deny.into(), by_path.into()].into_iter().chain(prefix) {
                hash.update(word.to_le_bytes());
            }
            for uid in &rule.except_uids {
                hash.update(uid.to_le_bytes());
            }
            for cgroup in &rule.except_cgroups {
                hash.update([0]);
                hash.update(cgroup.as_os_str().as_bytes());
            }
            hash.update([0, 0]);
        }
    }
}

impl DenyRule {
    /// As the kernel programs take it.
    #[must_use]
    pub fn entry(&self) -> Rule {
        let mut rule = Rule {
            deny: self.deny.word(),
            by_path: u32::from(self.path_prefix.is_some()),
            prefix: [0; TAIL_WORDS],
            mask: [0; TAIL_WORDS],
            id: [0; RULE_ID_BYTES],
        };
        for (target, byte) in rule.id.iter_mut().zip(self.id.bytes().take(RULE_ID_BYTES - 1)) {
            *target = byte;
        }
        if let Some(prefix) = &self.path_prefix {
            // The NUL of the name below it, so that whole names are compared.
            let names = [vec![0], names_of(prefix)].concat();
            rule.prefix = tail_of(&names);
            rule.mask = tail_of(&vec![0xff; names.len()]);
        }
        rule
    }
}

/// The end of a path as the kernel programs compare it.
#[must_use]
pub fn tail(path: &Path) -> Tail {
    tail_of(&names_of(path))
}

/// As the kernel walks it: from the leaf to the root, each name ended by NUL.
fn names_of(path: &Path) -> Vec<u8> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.as_bytes()),
        _ => None,
    });
    names.flat_map(|name| name.iter().copied().chain([0])).collect()
}

/// The last bytes, with zeros before what is shorter.
fn tail_of(bytes: &[u8]) -> Tail {
    let mut last = [0; ENFORCE_TAIL_BYTES];
    for (target, byte) in last.iter_mut().rev().zip(bytes.iter().rev()) {
        *target = *byte;
    }
    let (words, _) = last.as_chunks::<8>();
    std::array::from_fn(|index| u64::from_ne_bytes(words[index]))
}

#[cfg(test)]
mod tests {
    use common::enforce::is_below;
    use common::limits::{ENFORCE_PREFIX_BYTES_MAX, ENFORCE_RULE_ID_BYTES_MAX};

    use super::*;

    fn rule(prefix: Option<&str>) -> DenyRule {
        DenyRule {
            id: "r".to_owned(),
            deny: Deny::Any,
            path_prefix: prefix.map(PathBuf::from),
            except_uids: Vec::new(),
            except_cgroups: Vec::new(),
        }
    }

    #[test]
    fn a_prefix_is_compared_by_whole_names_from_the_root() {
        let below = |prefix: &str, path: &str| {
            is_below(&rule(Some(prefix)).entry(), &tail(Path::new(path)))
        };
        for path in ["/tmp/x", "/tmp", "/tmp/a/b/c"] {
            assert!(below("/tmp", path), "{path}");
        }
        for path in ["/tmpfoo", "/tmpfoo/x", "/var/tmp/x", "/x", "/x/tmp", "/"] {
            assert!(!below("/tmp", path), "{path}");
        }
        assert!(below("/home/build/bin", "/home/build/bin/cc"));
        assert!(!below("/home/build/bin", "/home/build/cc"));
        assert!(!below("/home/build/bin", "/home/other/build/bin/cc"));
        let deep = format!("/opt/{}/x", "d".repeat(4000));
        assert!(below("/opt", &deep));
    }

    #[test]
    fn the_longest_prefix_is_compared_to_its_last_byte() {
        let longest = format!("/{}", "p".repeat(ENFORCE_PREFIX_BYTES_MAX - 1));
        let entry = rule(Some(&longest)).entry();
        assert!(is_below(&entry, &tail(&Path::new(&longest).join("x"))));
        assert!(!is_below(&entry, &tail(Path::new(&format!("{longest}q/x")))));
        assert!(!is_below(
            &entry,
            &tail(Path::new(&format!("{}/x", &longest[..longest.len() - 1])))
        ));
    }

    #[test]
    fn a_rule_without_a_path_is_for_every_path() {
        assert!(is_below(&rule(None).entry(), &tail(Path::new("/anywhere"))));
        assert!(is_below(&rule(None).entry(), &[0; TAIL_WORDS]));
    }

    #[test]
    fn the_longest_id_keeps_the_nul_behind_it() {
        let id = "i".repeat(ENFORCE_RULE_ID_BYTES_MAX);
        let entry = DenyRule { id: id.clone(), ..rule(None) }.entry();
        assert_eq!(entry.id.iter().position(|&byte| byte == 0), Some(id.len()));
    }
}
