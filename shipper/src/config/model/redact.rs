//! Secrets that are taken out of events.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::secret::Secret;

/// Most patterns: each is looked for in each command line.
const PATTERNS_MAX: usize = 32;

/// Longest regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 1024;

/// Value of `format` in the schema by which the check knows the name of a kind of secret.
pub const KIND_NAME_FORMAT: &str = "kind-name";

/// Value of `format` in the schema by which the check knows a regular expression for secrets. Not
/// `regex`, which for editors is one of JavaScript.
pub const REGEX_FORMAT: &str = "secret-regex";

/// What `kind-name` allows, for editors.
const KIND_NAME_PATTERN: &str = "^[a-z0-9_]{1,32}$";

/// Secrets in the arguments of programs, and in the environment variables that are recorded, are replaced
/// by a mark before anything is stored.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Redact {
    /// Whether they are.
    pub enabled: bool,
    /// Patterns beside those that are built in, at most 32.
    #[schemars(length(max = PATTERNS_MAX))]
    pub patterns: Vec<Pattern>,
    /// With a key, of at least 16 bytes, each mark has a hash of what was removed (HMAC-SHA-256, 64 bits),
    /// so that the same secret is known again. It is read when shipper starts. Who has it can try passwords
    /// against the hashes. Left out: no hashes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Secret")]
    pub hash_key: Option<Secret>,
}

impl Default for Redact {
    fn default() -> Self {
        Redact { enabled: true, patterns: Vec::new(), hash_key: None }
    }
}

/// What a secret looks like.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// What marks and events call it: 1 to 32 lower-case letters, digits or `_`.
    #[schemars(extend("format" = KIND_NAME_FORMAT, "pattern" = KIND_NAME_PATTERN))]
    pub name: String,
    /// A regular expression (crate `regex`, on bytes), looked for in all arguments joined by blanks. What
    /// the group `(?<secret>...)` matches is removed, or, without that group, the whole match.
    #[schemars(extend("format" = REGEX_FORMAT, "minLength" = 1, "maxLength" = REGEX_BYTES_MAX))]
    pub regex: String,
}
