//! Deny rules: what is not executed.

use std::path::PathBuf;

use common::limits::{ENFORCE_EXCEPTIONS_MAX, ENFORCE_RULES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exclude::CgroupPath;

/// Value of `format` in the schema by which the check knows the id of a rule.
pub const RULE_ID_FORMAT: &str = "rule-id";

/// Value of `format` in the schema by which the check knows the path that a rule is for.
pub const PATH_PREFIX_FORMAT: &str = "path-prefix";

/// What `rule-id` allows, for editors.
pub(super) const RULE_ID_PATTERN: &str = "^[A-Za-z0-9._-]{1,64}$";

/// What `path-prefix` allows, for editors: absolute, and not the root.
const BELOW_ROOT_PATTERN: &str = "^/.*[^/]$";

/// Largest user id: the one above it says that there is none.
const UID_MAX: u32 = u32::MAX - 1;

/// Executions that are refused (EPERM). Only in capture mode `lsm`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Enforce {
    /// Nothing is refused; the events say what would have been.
    pub dry_run: bool,
    /// What pinned programs (`capture.pin`) do when the daemon has been gone for 10 s.
    pub without_daemon: WithoutDaemon,
    /// The rules, at most 16; none: nothing is refused. The first that is for an exec decides.
    #[schemars(length(max = ENFORCE_RULES_MAX))]
    pub rules: Vec<Rule>,
}

impl Default for Enforce {
    fn default() -> Self {
        Enforce { dry_run: true, without_daemon: WithoutDaemon::Allow, rules: Vec::new() }
    }
}

/// What pinned programs do without the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WithoutDaemon {
    /// They refuse nothing any more.
    Allow,
    /// They go on refusing.
    Keep,
}

/// A deny rule. It is for the file that was asked for: the script, not its interpreter.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What events call it: 1 to 64 letters, digits, `-`, `_` or `.`; unique.
    #[schemars(extend("format" = RULE_ID_FORMAT, "pattern" = RULE_ID_PATTERN))]
    pub id: String,
    /// Which files.
    pub deny: Deny,
    /// Only files with this path or below it, by whole names: `/tmp` is for `/tmp/x` and not for
    /// `/tmpfoo`. Absolute, at most 127 bytes, without links; `deny: any` needs one.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = PATH_PREFIX_FORMAT, "pattern" = BELOW_ROOT_PATTERN))]
    pub path_prefix: Option<PathBuf>,
    /// Who may all the same.
    #[serde(default)]
    pub except: Except,
}

/// Which files are not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deny {
    /// Those that root does not own.
    NotRootOwned,
    /// Those that their group or all others may write to.
    WritableByOthers,
    /// Anonymous files in memory (`memfd_create`).
    Memfd,
    /// Those that have no name any more.
    Deleted,
    /// Every one below `path_prefix`.
    Any,
}

/// Whom a rule is not for.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Except {
    /// Callers with one of these effective user ids, as the host numbers them; at most 16.
    #[schemars(length(max = ENFORCE_EXCEPTIONS_MAX))]
    pub uids: Vec<Uid>,
    /// What runs in these cgroups or below, at most 16: paths in the unified hierarchy (cgroup v2), such
    /// as `/system.slice/build.service`. Each must be there when shipper starts.
    #[schemars(length(max = ENFORCE_EXCEPTIONS_MAX))]
    pub cgroups: Vec<CgroupPath>,
}

/// A user id.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("minimum" = 0, "maximum" = UID_MAX))]
pub struct Uid(pub u32);
