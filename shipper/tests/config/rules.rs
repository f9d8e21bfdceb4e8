//! Rules as a user meets them: in the configuration, in files of their own, and those that come along.

use std::collections::BTreeSet;

use shipper::config::{self, TestedRule};

use super::{SINKS, config_file, problems, read};

fn pack() -> Vec<TestedRule> {
    config::rules::load(&[config_file("rules")]).expect("rules without a mistake")
}

/// Each test of each rule, and that a rule cannot pass by saying nothing or everything.
#[test]
fn the_rules_that_come_along_say_what_their_tests_say() {
    let pack = pack();
    assert!(pack.len() >= 20, "{} rules", pack.len());
    let mut wrong = Vec::new();
    for tested in &pack {
        let id = &tested.rule.id;
        wrong.extend(tested.failures().into_iter().map(|failure| format!("{id}: {failure}")));
        for wanted in [true, false] {
            if tested.tests.iter().all(|test| test.matches != wanted) {
                wrong.push(format!("{id}: no test where it matches is {wanted}"));
            }
        }
        if !tested.rule.tags.iter().any(|tag| tag.starts_with("attack.")) {
            wrong.push(format!("{id}: no tag of MITRE ATT&CK"));
        }
        if tested.rule.name == tested.rule.id {
            wrong.push(format!("{id}: no name for people"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What cannot be tested on made-up events: each rule asks first whether it is an exec.
#[test]
fn no_rule_that_comes_along_matches_an_end_or_an_exec_of_nothing_known() {
    let none = std::collections::BTreeMap::new();
    let end = [("event.action".to_owned(), serde_json::json!("end"))].into();
    for fields in [none, end] {
        let record = shipper::rules::Record::made(&fields).expect("known fields");
        for tested in pack() {
            assert!(!tested.rule.matches(&record), "{}", tested.rule.id);
        }
    }
}

#[test]
fn the_committed_schema_of_rules_is_the_one_of_the_model() {
    let committed: serde_json::Value =
        serde_json::from_str(&read("shipper.rules.schema.json")).expect("the schema is JSON");
    assert!(
        committed == config::rules_schema(),
        "config/shipper.rules.schema.json is not current; run: \
         shipper schema rules > config/shipper.rules.schema.json"
    );
}

#[test]
fn rules_stand_in_the_configuration_and_in_files_and_each_id_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, "rules: [{ id: b, severity: high, when: file.memfd }]\n")
        .expect("written");
    std::fs::write(dir.path().join("notes.txt"), "no rules").expect("written");
    let text = |id: &str| {
        format!(
            "{SINKS}rules: [{{ id: {id}, severity: low, when: file.deleted, tags: [t] }}]\n\
             rules_files: [{}]\n",
            dir.path().display()
        )
    };
    let settings = config::parse("f", &text("a")).expect("valid");
    let ids: BTreeSet<&str> = settings.rules.iter().map(|rule| rule.id.as_ref()).collect();
    assert_eq!(ids, BTreeSet::from(["a", "b"]));
    let expected = format!(
        "{}:1:15: `rules[0].id` must be unique, but the rule in f:2 is `b` too",
        file.display()
    );
    assert_eq!(problems(&text("b")), [expected]);
    assert_eq!(
        problems(&format!("{SINKS}rules_files: [/no/such]\n")),
        ["2:15: `rules_files[0]` cannot be read: /no/such: No such file or directory (os error 2)"]
    );
}

#[test]
fn what_is_wrong_in_any_expression_is_said_together_with_the_rest() {
    let text = "sinks: [{ name: a, type: console, when: severity > 3 }]\n\
                rules:\n\
                - id: a\n  severity: low\n  when: severity >= high\n\
                - id: b\n  severity: low\n  when: file.uid == 0\n  dedup: { by: [], window: 1m }\n\
                spool: { bytes_max: 1 }\n";
    assert_eq!(
        problems(text),
        [
            "1:50: `sinks[0].when`, character 10: a severity cannot be compared with a number",
            "5:9: `rules[0].when`, character 1: `severity` is known once the rules have been tried; it can stand in `when` of a sink",
            "9:16: `rules[1].dedup.by` must have from 1 to 8 entries, but has 0",
            "10:21: `spool.bytes_max` must be from 16MiB to 1024TiB, but is `1`",
        ]
    );
}

/// What is said of this configuration although it is valid.
fn notes(text: &str) -> Vec<String> {
    config::parse("f", text).expect("valid").notes()
}

#[test]
fn a_rule_that_asks_for_what_is_not_recorded_is_named() {
    let text = |when: &str, more: &str| {
        format!("{SINKS}{more}rules: [{{ id: a, severity: low, when: \"{when}\" }}]\n")
    };
    let variables = "env.LD_PRELOAD == 'x' || has(env.B)";
    let env = |names: &str| notes(&text(variables, &format!("capture: {{ env: [{names}] }}\n")));
    assert_eq!(
        env("B"),
        ["rule a looks at the variable LD_PRELOAD, which is not recorded; name it in capture.env"]
    );
    assert_eq!(env("LD_PRELOAD, B"), [""; 0]);
    for (when, enough, said) in [
        (
            "has(file.hash.sha256)",
            "enrich: { hash: sha256 }\n",
            "looks at file.hash.sha256, which is not recorded; set `enrich.hash: sha256`",
        ),
        (
            "process.exit_code == 139",
            "capture: { exit: true }\n",
            "looks at process.exit_code, which is not recorded; set `capture.exit: true`",
        ),
        (
            "event.action == 'end'",
            "capture: { exit: true }\n",
            "is about the ends of processes, which are not recorded; set `capture.exit: true`",
        ),
    ] {
        assert_eq!(notes(&text(when, "capture: { exit: false }\n")), [format!("rule a {said}")]);
        assert_eq!(notes(&text(when, enough)), [""; 0], "{when}");
    }
    // A rule about what is denied may be there before anything is.
    assert_eq!(notes(&text("enforcement.action in ['denied']", "")), [""; 0]);
    let failures = text("failure.errno == 13", "capture: { failures: none }\n");
    assert_eq!(
        notes(&failures),
        [
            "rule a looks at failure.errno, which is not recorded; set `capture.failures: denied` or \
          `all`"
        ]
    );
}

#[test]
fn a_sink_that_asks_for_a_rule_or_tag_that_there_is_not_is_named() {
    let text = |when: &str, rules: &str| {
        format!("sinks: [{{ name: s, type: console, when: \"{when}\" }}]\n{rules}")
    };
    let rules = "rules: [{ id: gen.one, severity: low, tags: [attack.t1036], when: 'true' }]\n";
    assert_eq!(
        notes(&text("'gen.onne' in rules || 'other' in tags", rules)),
        [
            "sink s: its `when` asks for the id `gen.onne`, which no rule has; did you mean `gen.one`?",
            "sink s: its `when` asks for the tag `other`, which no rule has; `shipper rules list` \
             lists all",
        ]
    );
    assert_eq!(notes(&text("'gen.one' in rules && 'attack.t1036' in tags", rules)), [""; 0]);
    let none = "sink s: its `when` asks for what rules say, but there are no rules; name some in \
                `rules_files`";
    for when in ["severity >= high", "'x' in rules"] {
        assert_eq!(notes(&text(when, "")), [none]);
    }
    assert_eq!(
        notes(&text("env.A == 'x'", rules)),
        [
            "sink s: its `when` looks at the variable A, which is not recorded; name it in capture.env"
        ]
    );
}
