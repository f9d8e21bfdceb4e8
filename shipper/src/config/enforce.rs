//! What must hold between deny rules and the rest, and no schema can say.

use std::collections::HashMap;
use std::path::PathBuf;

use common::limits::{ENFORCE_PREFIX_BYTES_MAX, ENFORCE_RULE_ID_BYTES_MAX};

use super::model::{Deny, Enforce, WithoutDaemon};
use super::problem::{Position, Problems, quote};
use super::tree::{Node, Value};

/// Deny rules, valid: 1 to 16, each with an id of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnforceSettings {
    /// Nothing is refused.
    pub dry_run: bool,
    /// Pinned programs go on refusing without the daemon.
    pub keep: bool,
    /// The rules.
    pub rules: Vec<RuleSettings>,
}

/// A deny rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSettings {
    /// Its id.
    pub id: String,
    /// Which files.
    pub deny: Deny,
    /// Where they are: absolute, plain, at most `ENFORCE_PREFIX_BYTES_MAX` bytes.
    pub path_prefix: Option<PathBuf>,
    /// Effective users that it is not for.
    pub except_uids: Vec<u32>,
    /// Cgroups that it is not for.
    pub except_cgroups: Vec<PathBuf>,
}

impl EnforceSettings {
    /// `None` for no rules.
    pub(super) fn from_checked(enforce: Enforce) -> Option<Self> {
        let rules: Vec<RuleSettings> = enforce
            .rules
            .into_iter()
            .map(|rule| RuleSettings {
                id: rule.id,
                deny: rule.deny,
                path_prefix: rule.path_prefix,
                except_uids: rule.except.uids.into_iter().map(|uid| uid.0).collect(),
                except_cgroups: rule.except.cgroups.into_iter().map(|path| path.0).collect(),
            })
            .collect();
        (!rules.is_empty()).then_some(EnforceSettings {
            dry_run: enforce.dry_run,
            keep: enforce.without_daemon == WithoutDaemon::Keep,
            rules,
        })
    }
}

/// Adds what is wrong with the rules. It looks at the document, as `sinks` does.
pub(super) fn check(root: &Node, problems: &mut Problems) {
    let Some(enforce) = root.get("enforce") else { return };
    let Some(Value::List(rules)) = enforce.get("rules").map(|rules| &rules.value) else { return };
    if rules.is_empty() {
        return;
    }
    let mut ids: HashMap<&str, Position> = HashMap::new();
    for (index, rule) in rules.iter().enumerate() {
        if let Some((node, id)) = text(rule, "id") {
            match ids.get(id) {
                Some(first) => problems.add(
                    node.at,
                    format!(
                        "`enforce.rules[{index}].id` must be unique, but the rule in line {} is {} too",
                        first.line,
                        quote(id)
                    ),
                ),
                None => {
                    ids.insert(id, node.at);
                }
            }
        }
        match (text(rule, "deny"), rule.get("path_prefix")) {
            (Some((node, "any")), None) => problems.add(
                node.at,
                format!(
                    "`enforce.rules[{index}]` would deny every file; give it a `path_prefix`"
                ),
            ),
            (Some((_, "memfd")), Some(prefix)) => problems.add(
                prefix.at,
                format!(
                    "`enforce.rules[{index}].path_prefix` has no meaning with `deny: memfd`: such a \
                     file is in no directory; leave it out"
                ),
            ),
            _ => {}
        }
    }
    let capture = root.get("capture");
    let set = |key| capture.and_then(|capture| text(capture, key));
    if let Some((node, mode @ ("fentry" | "tracepoint"))) = set("mode") {
        problems.add(
            node.at,
            format!(
                "`capture.mode` must be lsm or auto with rules in `enforce`, but is `{mode}`: no \
                 other mode can refuse"
            ),
        );
    }
    if let Some((node, "none")) = set("failures") {
        problems.add(
            node.at,
            "`capture.failures` must be denied or all with rules in `enforce`, but is `none`: what \
             they refuse would not be reported",
        );
    }
    let keeps = text(enforce, "without_daemon").filter(|(_, word)| *word == "keep");
    let pin = capture.and_then(|capture| capture.get("pin"));
    let is_pinned = pin.is_some_and(|pin| matches!(pin.value, Value::Bool(true)));
    if let (Some((node, _)), false) = (keeps, is_pinned) {
        problems.add(
            node.at,
            "`enforce.without_daemon: keep` needs `capture.pin: true`: programs that are not pinned \
             go with the daemon",
        );
    }
}

/// Whether it can be the id of a rule.
pub(super) fn is_rule_id(id: &str) -> bool {
    (1..=ENFORCE_RULE_ID_BYTES_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whether the kernel can compare the end of paths with it.
pub(super) fn is_path_prefix(path: &str) -> bool {
    path.len() <= ENFORCE_PREFIX_BYTES_MAX && is_below_root(path)
}

/// Whether it is absolute, of plain names, and not the root itself.
fn is_below_root(path: &str) -> bool {
    let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
    path.strip_prefix('/').is_some_and(|names| names.split('/').all(plain))
}

fn text<'a>(node: &'a Node, key: &str) -> Option<(&'a Node, &'a str)> {
    let node = node.get(key)?;
    Some((node, node.text()?))
}
