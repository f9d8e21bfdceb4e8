//! Configuration: YAML in, validated settings out, with every mistake named at once.
//!
//! `document` reads the text into a `tree` that knows line and column; `check` holds the tree to
//! the JSON Schema of the `model`, `sinks` to what no schema can say. Only a tree without a problem
//! becomes a model and then `settings`. Secrets stand elsewhere (`secret`); where one is expected,
//! and somebody wrote it down all the same, no message repeats what is there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use schemars::generate::SchemaSettings;

mod address;
mod check;
mod document;
mod enforce;
mod http;
mod kafka;
pub mod model;
mod notes;
mod problem;
mod redact;
pub mod rules;
mod scalar;
pub mod secret;
pub mod settings;
mod sinks;
pub mod tls;
mod tree;
pub mod units;

pub(crate) use check::nearest;
pub use problem::{Position, Problem};
pub use rules::TestedRule;
pub use settings::Settings;

use problem::Problems;

/// The configuration of `shipper run --local`.
const LOCAL: &str = include_str!("../../../config/local.yaml");

/// Why there are no settings. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error(
        "{}: no such file. Copy config/shipper.example.yaml there and edit it, name another file \
         with --config, or try `shipper run --local`, which needs none",
        .0.display()
    )]
    Missing(PathBuf),
    /// There are no rules.
    #[error("{}: no such file or directory; name files of rules, or directories of them", .0.display())]
    NoRules(PathBuf),
    /// It is a directory.
    #[error("{}: this is a directory; name the configuration file in it", .0.display())]
    Directory(PathBuf),
    /// The user may not read it.
    #[error("{}: permission denied; run shipper as root, or give this user the right to read it", .0.display())]
    Denied(PathBuf),
    /// It could not be read for another reason.
    #[error("{}: cannot be read: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was read and something in it is wrong: everything that is, in the order of the file, and
    /// at least one. Shown one a line.
    #[error("{}", lines(.0))]
    Invalid(Vec<Problem>),
}

/// Reads and checks a configuration file.
///
/// # Errors
///
/// When the file cannot be read or anything in it is wrong.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    load_with_rules(path).map(|(settings, _)| settings)
}

/// The same, with the rules as they stand there and their tests.
///
/// # Errors
///
/// As [`load`].
pub fn load_with_rules(path: &Path) -> Result<(Settings, Vec<TestedRule>), ConfigError> {
    let bytes = read(path)?;
    let name = path.to_string_lossy();
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse_with_rules(&name, text),
        Err(error) => {
            let mut problems = Problems::new(&name);
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            let byte = rest.first().copied().unwrap_or_default();
            let message = format!("byte 0x{byte:02x} is not UTF-8; save the file as UTF-8 text");
            let lines = problem::line_lengths(&String::from_utf8_lossy(valid));
            let column = lines.last().copied().unwrap_or_default() + 1;
            problems.add(Position { line: lines.len(), column }, message);
            Err(ConfigError::Invalid(problems.into_sorted()))
        }
    }
}

/// Checks a configuration that was read already. `source_name` stands in messages for the file.
///
/// # Errors
///
/// When anything is wrong: always [`ConfigError::Invalid`].
pub fn parse(source_name: &str, text: &str) -> Result<Settings, ConfigError> {
    parse_with_rules(source_name, text).map(|(settings, _)| settings)
}

fn parse_with_rules(
    source_name: &str,
    text: &str,
) -> Result<(Settings, Vec<TestedRule>), ConfigError> {
    let mut problems = Problems::new(source_name);
    let mut elsewhere = Vec::new();
    if let Some(root) = document::read(text, &mut problems) {
        check::check(&root, &schema(), &mut problems);
        sinks::check(&root, &mut problems);
        enforce::check(&root, &mut problems);
        let source = rules::Text { name: source_name, text };
        let mut gathered = rules::Gathered::default();
        elsewhere = gathered.configuration(&root, &source, &mut problems);
        let whens = rules::of_sinks(&root, &source, &mut problems);
        if problems.is_empty() && elsewhere.is_empty() {
            match serde_json::from_value(root.to_json()) {
                Ok(config) => {
                    let tested = gathered.rules;
                    let rules = tested.iter().map(|tested| tested.rule.clone()).collect();
                    return Ok((Settings::from_checked(config, rules, whens), tested));
                }
                // Only if the check let through what the model refuses; then at least its words.
                Err(error) => problems.add(root.at, error.to_string()),
            }
        }
    }
    let mut found = problems.into_sorted();
    found.extend(elsewhere);
    Err(ConfigError::Invalid(found))
}

/// The configuration that is built in: a console and files below `./run`.
#[must_use]
pub fn local() -> Settings {
    parse("config/local.yaml", LOCAL).expect("a test parses the embedded configuration")
}

/// The JSON Schema (draft 2020-12) of the configuration, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    schema_of::<model::Config>()
}

/// The JSON Schema (draft 2020-12) of a file of rules, for editors.
#[must_use]
pub fn rules_schema() -> serde_json::Value {
    schema_of::<model::RulesFile>()
}

fn schema_of<T: schemars::JsonSchema>() -> serde_json::Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let schema = generator.into_root_schema_for::<T>();
    // Serialized, not converted: that puts title and description first and the definitions last.
    serde_json::to_value(&schema).expect("a schema is JSON already")
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ConfigError::Missing(path.into()),
        io::ErrorKind::PermissionDenied => ConfigError::Denied(path.into()),
        io::ErrorKind::IsADirectory => ConfigError::Directory(path.into()),
        _ => ConfigError::Unreadable { path: path.into(), source },
    };
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that there are too many; /dev/zero would never end.
    let limit = document::FILE_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(bytes)
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
