//! Rules as they are written: in the configuration, or in files of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::super::units::Span;
use super::enforce::{RULE_ID_FORMAT, RULE_ID_PATTERN};
use crate::rules::EXPRESSION_BYTES_MAX;

/// Value of `format` in the schema by which the check knows an expression.
pub const EXPRESSION_FORMAT: &str = "expression";

/// Value of `format` in the schema by which the check knows text for people.
pub const PROSE_FORMAT: &str = "prose";

/// Value of `format` in the schema by which the check knows a tag.
pub const TAG_FORMAT: &str = "tag";

/// Value of `format` in the schema by which the check knows a place where rules are.
pub const RULES_PATH_FORMAT: &str = "rules-path";

/// Value of `format` in the schema by which the check knows the value of a field in a test.
pub const FIELD_VALUE_FORMAT: &str = "field-value";

/// Most rules of one file; each is tried on every event.
pub const RULES_MAX: usize = 512;

/// Most places where rules are.
pub const RULES_PATHS_MAX: usize = 64;

/// Most tags of a rule: they are in each event that it matches.
const TAGS_MAX: usize = 16;

/// Most fields by which matches are alike.
const DEDUP_FIELDS_MAX: usize = 8;

/// Most tests of a rule.
const TESTS_MAX: usize = 64;

/// Longest text for people, in bytes.
pub const PROSE_BYTES_MAX: usize = 4096;

/// Rules in a file of their own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(title = "shipper rules")]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// The rules, at most 512.
    #[schemars(length(max = RULES_MAX))]
    pub rules: Vec<EventRule>,
}

/// A file of rules, or a directory of them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = RULES_PATH_FORMAT, "pattern" = "."))]
pub struct RulesPath(pub PathBuf);

/// A rule: what is said of an event for which its expression holds. Nothing is kept back for it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// What events call it: 1 to 64 letters, digits, `-`, `_` or `.`; unique among all rules.
    #[schemars(extend("format" = RULE_ID_FORMAT, "pattern" = RULE_ID_PATTERN))]
    pub id: String,
    /// Its name for people. Left out: its id.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = PROSE_FORMAT))]
    pub name: Option<String>,
    /// Why it is there, and what it may take for more than it is.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = PROSE_FORMAT))]
    pub description: Option<String>,
    /// When it matches: an expression (CEL) over the fields that `shipper rules fields` lists. A
    /// comparison with an absent field is false.
    #[schemars(extend("format" = EXPRESSION_FORMAT, "maxLength" = EXPRESSION_BYTES_MAX))]
    pub when: String,
    /// How grave a match is.
    pub severity: Grade,
    /// Its tags, at most 16, such as `attack.t1059.004` for a technique of MITRE ATT&CK.
    #[serde(default)]
    #[schemars(length(max = TAGS_MAX))]
    pub tags: Vec<Tag>,
    /// When a match is not counted as one: an expression. The event stays, without the match; how many
    /// there were is told once a minute.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = EXPRESSION_FORMAT, "maxLength" = EXPRESSION_BYTES_MAX))]
    pub suppress: Option<String>,
    /// Matches that are alike are one. The other events stay, without the match; how many there were
    /// is told once a minute.
    #[serde(default)]
    #[schemars(with = "DedupRule")]
    pub dedup: Option<DedupRule>,
    /// Made-up events that the rule must match or must not, for `shipper rules lint`.
    #[serde(default)]
    #[schemars(length(max = TESTS_MAX))]
    pub tests: Vec<RuleTest>,
}

/// How grave a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Worth knowing, nothing more.
    Informational,
    /// Seldom a trouble.
    Low,
    /// To be looked at.
    Medium,
    /// To be looked at soon.
    High,
    /// To be looked at now.
    Critical,
}

/// A tag: 1 to 64 letters, digits, `-`, `_` or `.`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = TAG_FORMAT, "pattern" = RULE_ID_PATTERN))]
pub struct Tag(pub String);

/// Matches with equal fields within a window are one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DedupRule {
    /// The fields that are alike, 1 to 8. An absent one is like an absent one.
    #[schemars(length(min = 1, max = DEDUP_FIELDS_MAX))]
    pub by: Vec<FieldName>,
    /// How long, from the match that stands: 1s to 24h.
    #[schemars(extend("x-minimum" = "1s", "x-maximum" = "24h"))]
    pub window: Span,
}

/// The name of a field.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = PROSE_FORMAT))]
pub struct FieldName(pub String);

/// A made-up event and whether the rule matches it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleTest {
    /// What it shows.
    #[serde(default)]
    #[schemars(with = "String", extend("format" = PROSE_FORMAT))]
    pub name: Option<String>,
    /// Whether the rule matches.
    pub matches: bool,
    /// Fields by their names; all others are absent. `ancestors` is a list of mappings with name,
    /// executable and args. `event.action` is exec unless it is given.
    pub event: BTreeMap<String, FieldValue>,
}

/// The value of a field in a test.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct FieldValue(pub serde_json::Value);

impl JsonSchema for FieldValue {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FieldValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "format": FIELD_VALUE_FORMAT,
            "description": "Text, a number, true or false, or a list."
        })
    }
}
