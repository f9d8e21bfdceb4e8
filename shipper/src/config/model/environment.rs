//! Environment variables that are recorded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most variables: the list is gone through for each variable of each exec.
pub const ENV_NAMES_MAX: usize = 32;

/// Value of `format` in the schema by which the check knows the name of a variable to record.
pub const RECORDED_VARIABLE_FORMAT: &str = "recorded-variable";

/// What `recorded-variable` allows, for editors: printable ASCII without blanks and `=`. More than the
/// letters, digits and `_` of a shell, since `BASH_FUNC_ls%%` is one too; no `*`, which would be meant as
/// a pattern and be none.
const RECORDED_VARIABLE_PATTERN: &str = "^[!-)+-<>-~]{1,128}$";

/// The name of an environment variable.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend(
    "format" = RECORDED_VARIABLE_FORMAT,
    "pattern" = RECORDED_VARIABLE_PATTERN
))]
pub struct Variable(pub String);

/// Whether an environment can have a variable of this name that is worth a name.
#[must_use]
pub fn is_recorded_variable(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'=' | b'*');
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}
