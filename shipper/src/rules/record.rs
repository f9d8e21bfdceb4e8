//! Fields that were read back: from an event as ECS has it, or from the test of a rule. The other thing
//! that expressions are evaluated over, beside a captured event.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::field::{Field, FlagField, ListField, NumberField, TextField};
use super::subject::{List, Subject};
use crate::event::{Ancestor, Args, Bytes, Id, ProcessKey, Severity, Source, WallTime, basename};

/// Most ancestors that are read: more than an event has.
const ANCESTORS_MAX: usize = 64;

/// Fields whose exact bytes stand elsewhere when they are not UTF-8.
const RAW: [(TextField, &str); 5] = [
    (TextField::ProcessName, "/shipper/raw/name"),
    (TextField::ProcessExecutable, "/shipper/raw/executable"),
    (TextField::ProcessWorkingDirectory, "/shipper/raw/working_directory"),
    (TextField::FilePath, "/shipper/raw/file_path"),
    (TextField::CgroupPath, "/shipper/raw/cgroup_path"),
];

/// An event by its fields.
#[derive(Debug)]
pub struct Record {
    texts: Vec<Option<Bytes>>,
    numbers: Vec<Option<i64>>,
    flags: Vec<Option<bool>>,
    lists: Vec<Option<Vec<Bytes>>>,
    ancestors: Vec<Ancestor>,
}

impl Record {
    fn empty() -> Self {
        Record {
            texts: vec![None; TextField::TABLE.len()],
            numbers: vec![None; NumberField::TABLE.len()],
            flags: vec![None; FlagField::TABLE.len()],
            lists: vec![None; ListField::TABLE.len()],
            ancestors: Vec::new(),
        }
    }

    /// From an event of ours in ECS; `None` for what is no exec and no end of a process.
    #[must_use]
    pub fn of_ecs(event: &Value) -> Option<Self> {
        let action = event.pointer("/event/action")?.as_str()?;
        if !matches!(action, "exec" | "end") {
            return None;
        }
        let mut record = Record::empty();
        for row in TextField::TABLE {
            let text = at(event, row.ecs).and_then(Value::as_str);
            // An empty path is one that could not be had.
            record.texts[row.field as usize] = text.filter(|text| !text.is_empty()).map(bytes);
        }
        for (field, raw) in RAW {
            let exact = event.pointer(raw).and_then(Value::as_str);
            if let Some(exact) = exact.and_then(|exact| STANDARD.decode(exact).ok()) {
                record.texts[field as usize] = Some(exact.into());
            }
        }
        for row in NumberField::TABLE {
            record.numbers[row.field as usize] = at(event, row.ecs).and_then(number);
        }
        for row in FlagField::TABLE {
            record.flags[row.field as usize] = at(event, row.ecs).and_then(Value::as_bool);
        }
        for row in ListField::TABLE {
            record.lists[row.field as usize] = at(event, row.ecs).and_then(list);
        }
        if let Some(exact) = event.pointer("/shipper/raw/args").and_then(list) {
            let decoded = exact.iter().map(|arg| STANDARD.decode(arg).ok().map(Bytes::from));
            record.lists[ListField::ProcessArgs as usize] = decoded.collect();
        }
        let ancestry = event.pointer("/shipper/ancestry").and_then(Value::as_array);
        let ancestry = ancestry.map_or(&[][..], Vec::as_slice);
        record.ancestors = ancestry.iter().take(ANCESTORS_MAX).map(ancestor).collect();
        record.derive(action);
        Some(record)
    }

    /// From the fields of a test; what follows from one of them need not be given.
    ///
    /// # Errors
    /// The first field that there is not, or whose value is of another type.
    pub fn made<'a>(
        fields: impl IntoIterator<Item = (&'a String, &'a Value)>,
    ) -> Result<Self, String> {
        let mut record = Record::empty();
        for (name, value) in fields {
            record.set(name, value)?;
        }
        let action =
            record.texts[TextField::EventAction as usize].get_or_insert_with(|| bytes("exec"));
        let action = String::from_utf8_lossy(action).into_owned();
        record.derive(&action);
        Ok(record)
    }

    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        if name == "ancestors" {
            let list = value.as_array().ok_or("`ancestors` must be a list of mappings")?;
            list.iter().try_for_each(check_ancestor)?;
            self.ancestors = list.iter().take(ANCESTORS_MAX).map(ancestor).collect();
            return Ok(());
        }
        let wrong = |expected: &str| format!("`{name}` must be {expected}");
        match Field::of_name(name) {
            Some(Field::Text(field)) => {
                let text = value.as_str().ok_or_else(|| wrong("text; put it in quotes"))?;
                self.texts[field as usize] = Some(bytes(text));
            }
            Some(Field::Number(field)) => {
                let number = value.as_i64().ok_or_else(|| wrong("a whole number"))?;
                self.numbers[field as usize] = Some(number);
            }
            Some(Field::Flag(field)) => {
                let flag = value.as_bool().ok_or_else(|| wrong("`true` or `false`"))?;
                self.flags[field as usize] = Some(flag);
            }
            Some(Field::List(field)) => {
                let list = list(value).ok_or_else(|| wrong("a list of texts"))?;
                self.lists[field as usize] = Some(list);
            }
            None => return Err(format!("there is no field `{name}`")),
        }
        Ok(())
    }

    /// What follows from other fields, where it is not there by itself.
    fn derive(&mut self, action: &str) {
        let is_exec = action == "exec";
        if is_exec {
            self.texts[TextField::EventOutcome as usize].get_or_insert_with(|| bytes("success"));
            self.flags[FlagField::NoNewPrivs as usize].get_or_insert(false);
        } else {
            self.flags[FlagField::ExitCoreDumped as usize].get_or_insert(false);
        }
        let derived = self.texts[TextField::FilePath as usize].as_deref().map(basename);
        if let Some(name) = derived.map(Bytes::from) {
            self.texts[TextField::FileName as usize].get_or_insert(name);
        }
        for (list, line) in [
            (ListField::ProcessArgs, TextField::ProcessCommandLine),
            (ListField::ParentArgs, TextField::ParentCommandLine),
        ] {
            if let Some(args) = &self.lists[list as usize] {
                self.texts[line as usize].get_or_insert_with(|| args.join(&b' ').into());
            }
        }
        if let Some(args) = &self.lists[ListField::ProcessArgs as usize] {
            let count = i64::try_from(args.len()).unwrap_or(i64::MAX);
            self.numbers[NumberField::ProcessArgsCount as usize].get_or_insert(count);
        }
        if let Some(uid) = self.numbers[NumberField::FileUid as usize] {
            self.flags[FlagField::FileNotRootOwned as usize].get_or_insert(uid != 0);
        }
        let mode = self.texts[TextField::FileMode as usize].as_deref();
        let mode =
            mode.and_then(|mode| u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok());
        for (field, bit) in [
            (FlagField::FileSetuid, 0o4000),
            (FlagField::FileSetgid, 0o2000),
            (FlagField::FileGroupWritable, 0o020),
            (FlagField::FileWorldWritable, 0o002),
        ] {
            if let Some(mode) = mode {
                self.flags[field as usize].get_or_insert(mode & bit != 0);
            }
        }
        self.derive_parent();
    }

    /// The parent is the first ancestor, whichever of the two is there.
    fn derive_parent(&mut self) {
        let (name, executable) = (TextField::ParentName, TextField::ParentExecutable);
        match self.ancestors.first() {
            Some(parent) => {
                if !parent.comm.is_empty() {
                    self.texts[name as usize].get_or_insert_with(|| parent.comm.clone());
                }
                if let Some(path) = &parent.executable {
                    self.texts[executable as usize].get_or_insert_with(|| path.clone());
                }
                if let Some(args) = &parent.args {
                    let line = TextField::ParentCommandLine as usize;
                    self.texts[line].get_or_insert_with(|| args.list.join(&b' ').into());
                    self.lists[ListField::ParentArgs as usize]
                        .get_or_insert_with(|| args.list.clone());
                }
                if parent.key.pid != 0 {
                    self.numbers[NumberField::ParentPid as usize]
                        .get_or_insert(parent.key.pid.into());
                }
            }
            None => {
                let text = |field: TextField| self.texts[field as usize].clone();
                let args = self.lists[ListField::ParentArgs as usize].clone();
                if text(name).is_some() || text(executable).is_some() || args.is_some() {
                    let parent = made_ancestor(
                        self.numbers[NumberField::ParentPid as usize].unwrap_or(0),
                        text(name).unwrap_or_default(),
                        text(executable),
                        args,
                    );
                    self.ancestors.push(parent);
                }
            }
        }
    }
}

fn bytes(text: &str) -> Bytes {
    text.as_bytes().into()
}

/// By a dotted name.
fn at<'a>(event: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(event, |at, part| at.get(part))
}

/// A number, or an id, which ECS has as text.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn list(value: &Value) -> Option<Vec<Bytes>> {
    value.as_array()?.iter().map(|item| item.as_str().map(bytes)).collect()
}

/// That the ancestor of a test has what ancestors have, and nothing else.
fn check_ancestor(value: &Value) -> Result<(), String> {
    let known = "an ancestor is a mapping of name, executable, args and pid";
    let entries = value.as_object().ok_or(known)?;
    for (key, value) in entries {
        let is_right = match key.as_str() {
            "name" | "executable" => value.is_string(),
            "args" => list(value).is_some(),
            "pid" => value.as_u64().is_some_and(|pid| u32::try_from(pid).is_ok()),
            _ => return Err(format!("there is no `{key}` here; {known}")),
        };
        if !is_right {
            return Err(format!(
                "`{key}` has no such value; {known}, where args is a list of texts"
            ));
        }
    }
    Ok(())
}

fn ancestor(value: &Value) -> Ancestor {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(bytes);
    made_ancestor(
        value.get("pid").and_then(number).unwrap_or(0),
        text("name").unwrap_or_default(),
        text("executable"),
        value.get("args").and_then(list),
    )
}

fn made_ancestor(
    pid: i64,
    comm: Bytes,
    executable: Option<Bytes>,
    args: Option<Vec<Bytes>>,
) -> Ancestor {
    Ancestor {
        key: ProcessKey { pid: u32::try_from(pid).unwrap_or(0), start_ticks: 0 },
        entity_id: Id([0; 16]),
        start: WallTime(0),
        comm,
        executable,
        args: args.map(|list| Args { list, ..Args::default() }.into()),
        source: Source::Unknown,
    }
}

impl Subject for Record {
    fn text(&self, field: TextField) -> Option<Cow<'_, [u8]>> {
        self.texts[field as usize].as_deref().map(Cow::Borrowed)
    }

    fn number(&self, field: NumberField) -> Option<i64> {
        self.numbers[field as usize]
    }

    fn flag(&self, field: FlagField) -> Option<bool> {
        self.flags[field as usize]
    }

    fn list(&self, field: ListField) -> Option<List<'_>> {
        self.lists[field as usize].as_deref().map(List::Bytes)
    }

    fn ancestors(&self) -> &[Ancestor] {
        &self.ancestors
    }

    fn severity(&self) -> Option<Severity> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::event::testing::{exec, exit, facts, loss};
    use crate::event::{Event, FileFacts};
    use crate::format::ecs;
    use crate::rules::Recorded;

    fn read_back(event: &Event) -> Option<Record> {
        let mut line = Vec::new();
        ecs::encode(event, &mut line);
        Record::of_ecs(&serde_json::from_slice(&line).expect("JSON"))
    }

    /// So that a rule tried on recorded events says what it would have said of them then.
    #[test]
    fn an_event_read_back_from_ecs_has_the_same_fields() {
        let Event::Exec(mut full) = exec() else { unreachable!("an exec") };
        full.file.facts = Some(FileFacts { uid: 7, mode: 0o106_722, memfd: true, ..facts() });
        full.process.comm = b"a\xff".as_slice().into();
        full.process.args.list.push(b"\xfe".as_slice().into());
        full.process.args.count += 1;
        full.process.env.list = vec![b"A=b".as_slice().into()];
        full.process.loginuid = Some(5);
        full.process.tty = Some((1, 2));
        full.container_id = Some("c0ffee".to_owned());
        let matched = [exec(), Event::Exec(full), exit()];
        for event in matched {
            let record = read_back(&event).expect("an event");
            let recorded = Recorded::new(&event).expect("an event");
            for row in TextField::TABLE {
                // Joined before bytes that are no UTF-8 are replaced.
                let is_lossy = row.field == TextField::ProcessCommandLine;
                if !is_lossy && row.field != TextField::ParentEntityId {
                    let seen = (record.text(row.field), recorded.text(row.field));
                    assert_eq!(seen.0, seen.1, "{}", row.name);
                }
            }
            for row in NumberField::TABLE {
                assert_eq!(record.number(row.field), recorded.number(row.field), "{}", row.name);
            }
            for row in FlagField::TABLE {
                assert_eq!(record.flag(row.field), recorded.flag(row.field), "{}", row.name);
            }
            let items = |list: Option<List<'_>>| {
                let mut items = Vec::new();
                list.into_iter().for_each(|list| {
                    list.any(|item| {
                        items.push(item.to_vec());
                        false
                    });
                });
                items
            };
            for row in ListField::TABLE {
                let seen = (items(record.list(row.field)), items(recorded.list(row.field)));
                assert_eq!(seen.0, seen.1, "{}", row.name);
            }
            let names = |ancestors: &[Ancestor]| -> Vec<(u32, Bytes, Option<Vec<Bytes>>)> {
                let args =
                    |ancestor: &Ancestor| ancestor.args.as_ref().map(|args| args.list.clone());
                let told =
                    |ancestor: &Ancestor| (ancestor.key.pid, ancestor.comm.clone(), args(ancestor));
                ancestors.iter().map(told).collect()
            };
            assert_eq!(names(record.ancestors()), names(recorded.ancestors()));
        }
        assert!(read_back(&loss()).is_none());
    }

    #[test]
    fn the_first_ancestor_of_a_made_up_event_is_its_parent() {
        let fields = serde_json::json!({
            "ancestors": [{"name": "java", "args": ["java", "-Dx=tomcat"], "pid": 7}, {"name": "init"}],
        });
        let fields: BTreeMap<String, Value> = serde_json::from_value(fields).expect("a map");
        let record = Record::made(&fields).expect("valid");
        let line = record.text(TextField::ParentCommandLine);
        assert_eq!(line.as_deref(), Some(&b"java -Dx=tomcat"[..]));
        assert_eq!(record.number(NumberField::ParentPid), Some(7));
        assert_eq!(record.list(ListField::ParentArgs).map(List::count), Some(2));
    }

    #[test]
    fn a_made_up_event_says_what_is_wrong_with_it() {
        let made = |fields: Value| {
            let fields: BTreeMap<String, Value> = serde_json::from_value(fields).expect("a map");
            Record::made(&fields).map(|_| ())
        };
        use serde_json::json;
        assert_eq!(made(json!({"file.uid": 7, "process.args": ["a"]})), Ok(()));
        let wrong = [
            (json!({"file.uid": "7"}), "`file.uid` must be a whole number"),
            (json!({"file.pth": "7"}), "there is no field `file.pth`"),
            (json!({"file.memfd": 1}), "`file.memfd` must be `true` or `false`"),
            (json!({"process.args": "a"}), "`process.args` must be a list of texts"),
            (json!({"ancestors": "a"}), "`ancestors` must be a list of mappings"),
            (
                json!({"ancestors": [{"nmae": "a"}]}),
                "there is no `nmae` here; an ancestor is a mapping of name, executable, args and pid",
            ),
            (
                json!({"ancestors": [{"name": 7}]}),
                "`name` has no such value; an ancestor is a mapping of name, executable, args and \
                 pid, where args is a list of texts",
            ),
            (json!({"file.mode": 755}), "`file.mode` must be text; put it in quotes"),
        ];
        for (fields, message) in wrong {
            assert_eq!(made(fields), Err(message.to_owned()));
        }
    }
}
