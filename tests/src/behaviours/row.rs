//! A row, as it stands in the YAML, and what is refused about one before anything is executed.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use saphyr::{LoadableYamlNode as _, Yaml};
use serde::Deserialize;
use serde_json::{Map, Value};
use shipper::format::ecs::schema::FIELDS;

use super::check::MATCHERS;
use super::place::{Cgroups, Place, version};

/// JSON pointers to what is wanted there.
pub type Wanted = Map<String, Value>;

/// One behaviour.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Group and number within its file; names the script's function and the mark.
    #[serde(skip)]
    pub id: String,
    /// The file it stands in, which is its group in the table.
    #[serde(skip)]
    pub group: String,
    /// What is so, as a sentence.
    pub name: String,
    /// What is executed: POSIX sh.
    pub run: String,
    /// What the event must say.
    #[serde(default)]
    pub expect: Wanted,
    /// Where something else is so.
    #[serde(default)]
    differs: Vec<Difference>,
    /// How many events there must be: 1, or 0 for what is no execution.
    #[serde(default = "one")]
    pub events: usize,
}

fn one() -> usize {
    1
}

/// What is not so everywhere. All conditions that are given must hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// In this capture mode.
    mode: Option<String>,
    /// On kernels older than this, `"6.10"`: in quotes, or YAML takes it for 6.1.
    kernel_before: Option<String>,
    /// With such cgroups.
    cgroups: Option<Cgroups>,
    /// In a guest (true) or on this machine (false).
    guest: Option<bool>,
    /// What is missing there, for the table.
    missing: Option<String>,
    /// Why it is not even tried there.
    left_out: Option<String>,
    /// What is wanted there instead.
    #[serde(default)]
    expect: Wanted,
}

impl Difference {
    fn applies(&self, place: &Place) -> bool {
        let older = |than: &String| version(than).is_some_and(|than| place.kernel < than);
        self.mode.as_ref().is_none_or(|mode| *mode == place.mode)
            && self.kernel_before.as_ref().is_none_or(older)
            && self.cgroups.is_none_or(|cgroups| cgroups == place.cgroups)
            && self.guest.is_none_or(|guest| guest == place.guest)
    }
}

impl Row {
    /// The outcome that its event has.
    #[must_use]
    pub fn outcome(&self) -> &str {
        self.expect.get("/event/outcome").and_then(Value::as_str).unwrap_or("success")
    }

    /// What the event must say there.
    #[must_use]
    pub fn wanted(&self, place: &Place) -> Wanted {
        let mut wanted = self.expect.clone();
        for difference in self.differs.iter().filter(|difference| difference.applies(place)) {
            wanted.extend(difference.expect.clone());
        }
        wanted
    }

    /// Of that, what neither the kernel nor its cgroups decide.
    #[must_use]
    pub fn wanted_everywhere(&self, place: &Place) -> Wanted {
        let mut wanted = self.wanted(place);
        let by_kernel = |difference: &&Difference| {
            difference.kernel_before.is_some() || difference.cgroups.is_some()
        };
        for difference in self.differs.iter().filter(by_kernel) {
            wanted.retain(|pointer, _| !difference.expect.contains_key(pointer));
        }
        wanted
    }

    /// What is missing there, in words.
    #[must_use]
    pub fn missing(&self, place: &Place) -> Vec<&str> {
        let here = self.differs.iter().filter(|difference| difference.applies(place));
        here.filter_map(|difference| difference.missing.as_deref()).collect()
    }

    /// Why it is not tried there.
    #[must_use]
    pub fn left_out(&self, place: &Place) -> Option<&str> {
        let here = self
            .differs
            .iter()
            .find(|difference| difference.applies(place) && difference.left_out.is_some());
        here.and_then(|difference| difference.left_out.as_deref())
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.name.len() > 10 && !self.name.contains('|'), "the name is a sentence");
        ensure!(self.events <= 1, "`events` is 0 or 1");
        ensure!(
            self.expect.is_empty() == (self.events == 0),
            "a row expects something of its event, or says `events: 0` and nothing else"
        );
        check_wanted(&self.expect)?;
        for difference in &self.differs {
            check_wanted(&difference.expect)?;
            let says = difference.missing.is_some() || difference.left_out.is_some();
            ensure!(says || !difference.expect.is_empty(), "a difference says what differs");
            if let Some(mode) = &difference.mode {
                let known = ["lsm", "fentry", "tracepoint"].contains(&mode.as_str());
                ensure!(known, "there is no mode {mode}");
            }
            if let Some(before) = &difference.kernel_before {
                version(before).with_context(|| format!("kernel_before: {before}"))?;
            }
            // One that has no condition is no difference.
            let anywhere = difference.mode.is_none()
                && difference.kernel_before.is_none()
                && difference.cgroups.is_none()
                && difference.guest.is_none();
            ensure!(!anywhere, "a difference says where it is");
        }
        Ok(())
    }
}

/// A pointer to no field of ours would find nothing, and `null` would always be right.
fn check_wanted(wanted: &Wanted) -> anyhow::Result<()> {
    for (pointer, value) in wanted {
        let path = pointer.strip_prefix('/').with_context(|| format!("{pointer}: no pointer"))?;
        let names: Vec<&str> =
            path.split('/').filter(|part| part.parse::<usize>().is_err()).collect();
        let name = names.join(".");
        let group = format!("{name}.");
        let known = FIELDS.iter().any(|field| field.name == name || field.name.starts_with(&group));
        ensure!(known, "{pointer}: there is no such field (`shipper schema event`)");
        if let Value::Object(matcher) = value {
            let known =
                matcher.len() == 1 && matcher.keys().all(|key| MATCHERS.contains(&key.as_str()));
            ensure!(known, "{pointer}: {value} is none of {MATCHERS:?}");
        }
    }
    Ok(())
}

/// All rows: the files in the order of their names.
pub fn load() -> anyhow::Result<Vec<Row>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("behaviours");
    let mut files: Vec<_> = std::fs::read_dir(&dir)
        .with_context(|| dir.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    let mut rows = Vec::new();
    for file in &files {
        let group = file.file_stem().and_then(|stem| stem.to_str()).context("a name")?;
        let text = std::fs::read_to_string(file)?;
        rows.extend(parse(group, &text).with_context(|| file.display().to_string())?);
    }
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    ensure!(names.len() == rows.len(), "two rows have one name");
    Ok(rows)
}

fn parse(group: &str, text: &str) -> anyhow::Result<Vec<Row>> {
    let documents = Yaml::load_from_str(text)?;
    let [Yaml::Sequence(list)] = &documents[..] else { bail!("it is no list of rows") };
    let rows = list.iter().enumerate().map(|(index, yaml)| {
        let value = json(yaml)?;
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        let mut row: Row =
            serde_json::from_value(value).with_context(|| format!("row {index}: {name}"))?;
        row.id = format!("{group}_{index:02}");
        group.clone_into(&mut row.group);
        row.check().with_context(|| format!("row {index}: {name}"))?;
        Ok(row)
    });
    rows.collect()
}

fn json(yaml: &Yaml<'_>) -> anyhow::Result<Value> {
    if let Yaml::Sequence(list) = yaml {
        return list.iter().map(json).collect::<anyhow::Result<Vec<Value>>>().map(Value::Array);
    }
    if let Yaml::Mapping(map) = yaml {
        let entries = map.iter().map(|(key, value)| {
            let key = key.as_str().with_context(|| format!("{key:?} is no name"))?;
            Ok((key.to_owned(), json(value)?))
        });
        return entries.collect::<anyhow::Result<Map<_, _>>>().map(Value::Object);
    }
    if let Some(text) = yaml.as_str() {
        return Ok(text.into());
    }
    if let Some(number) = yaml.as_integer() {
        return Ok(number.into());
    }
    if let Some(flag) = yaml.as_bool() {
        return Ok(flag.into());
    }
    if yaml.is_null() {
        return Ok(Value::Null);
    }
    bail!("{yaml:?} is no text, whole number, true, false or null; a version stands in quotes")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failing test panics")]
mod tests {
    use super::*;

    const GOOD: &str =
        "- name: A sentence about it\n  run: 'true'\n  expect: { /file/uid: \"0\" }\n";

    fn refused(text: &str) -> String {
        format!("{:#}", parse("group", text).unwrap_err())
    }

    #[test]
    fn a_row_that_could_not_fail_or_is_not_understood_is_refused_with_a_reason() {
        assert_eq!(parse("group", GOOD).unwrap().len(), 1);
        for (change, to, said) in [
            ("/file/uid", "/file/owner_id", "there is no such field"),
            ("/file/uid", "file.uid", "no pointer"),
            ("\"0\"", "{ is: 0 }", "is none of"),
            ("\"0\"", "{ not: 0, present: true }", "is none of"),
            ("expect: { /file/uid: \"0\" }", "events: 1", "expects something"),
            ("expect", "events: 0\n  expect", "expects something"),
            ("expect", "expected: 1\n  expect", "unknown field `expected`"),
            ("expect", "differs: [{ missing: x }]\n  expect", "says where"),
            ("expect", "differs: [{ mode: lsm }]\n  expect", "says what"),
            ("expect", "differs: [{ mode: all, missing: x }]\n  expect", "no mode all"),
            ("expect", "differs: [{ kernel_before: 6.10, missing: x }]\n  expect", "in quotes"),
        ] {
            let text = GOOD.replace(change, to);
            assert!(refused(&text).contains(said), "{}\n{text}", refused(&text));
        }
    }

    #[test]
    fn what_differs_counts_only_where_it_applies() {
        let text = GOOD.to_owned()
            + "  differs:\n    - { mode: tracepoint, kernel_before: \"6.10\", missing: the owner, expect: { /file/uid: null } }\n";
        let row = &parse("group", &text).unwrap()[0];
        let place = |mode: &str, kernel| Place {
            mode: mode.into(),
            kernel,
            cgroups: Cgroups::V2,
            guest: true,
        };
        for (mode, kernel, uid) in [
            ("tracepoint", (6, 1), Value::Null),
            ("tracepoint", (6, 10), "0".into()),
            ("lsm", (6, 1), "0".into()),
        ] {
            let here = place(mode, kernel);
            assert_eq!(row.wanted(&here)["/file/uid"], uid);
            assert_eq!(row.missing(&here).is_empty(), !uid.is_null());
        }
    }

    #[test]
    fn there_are_many_rows_and_each_is_good() {
        let rows = load().unwrap();
        assert!(rows.len() >= 60, "{}", rows.len());
    }
}
