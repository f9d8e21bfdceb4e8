//! `shipper rules` and `shipper test-rules` as somebody runs them who writes rules.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tempfile::TempDir;

const RULES: &str = "\
rules:
  - id: test.tmp
    name: Execution below /tmp
    when: event.action == 'exec' && file.path.startsWith('/tmp/')
    suppress: file.path == '/tmp/known'
    severity: high
    tags: [attack.t1204]
    tests:
      - { matches: true, event: { file.path: /tmp/x } }
      - { matches: false, event: { file.path: /usr/bin/x } }
";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(TempDir::new().expect("a directory"))
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

/// Standard output, standard error and the exit code.
fn shipper(args: &[&Path], input: &str) -> (String, String, Option<i32>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_shipper"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may have refused its arguments, and be gone.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(stdout), text(stderr), status.code())
}

/// The words of a command, and the files they speak of.
fn words<'a>(text: &'a str, files: &[&'a Path]) -> Vec<&'a Path> {
    text.split(' ').map(Path::new).chain(files.iter().copied()).collect()
}

fn exec(path: &str) -> String {
    let event = json!({
        "@timestamp": "2026-11-24T10:00:00Z",
        "event": { "action": "exec" },
        "process": { "command_line": format!("{path} --now") },
        "file": { "path": path },
    });
    format!("{event}\n")
}

#[test]
fn recorded_events_are_told_with_the_rules_that_match_and_what_is_no_event_with_its_line() {
    let place = Place::new();
    let rules = place.file("rules.yaml", RULES);
    let report = json!({ "event": { "action": "events-lost" }, "shipper": { "loss": {} } });
    let ocsf = r#"{"class_uid":1007,"metadata":{"product":{"name":"shipper"},"version":"1.8.0"}}"#;
    let lines = [
        exec("/tmp/new"),
        exec("/usr/bin/ls"),
        "\n".to_owned(),
        exec("/tmp/known"),
        format!("{report}\nno JSON\n[1]\n{ocsf}\n"),
        "again\n".repeat(9),
    ]
    .concat();
    let events = place.file("events.ndjson", &lines);
    let args = words("test-rules --rules", &[&rules, &events]);
    let (stdout, stderr, code) = shipper(&args, "");
    assert_eq!(
        stdout,
        "1: 2026-11-24T10:00:00Z high test.tmp: /tmp/new --now\n\
         \n\
         3 events, 1 reports of what was lost or left out, 12 unreadable\n  \
         test.tmp  1 matched, 1 suppressed\n"
    );
    let told: Vec<&str> = stderr.lines().collect();
    assert_eq!(told.len(), 11, "{stderr}");
    let at = |number: u32| format!("warning: {}:{number}: ", events.display());
    assert!(told[0].starts_with(&format!("{}this is no JSON object", at(6))), "{stderr}");
    assert_eq!(told[1], format!("{}this is no event of shipper", at(7)));
    assert_eq!(told[2], format!("{}this is in format ocsf; test-rules reads ecs", at(8)));
    assert_eq!(told[10], "warning: 2 more such lines are not told");
    assert_eq!(code, Some(1));
}

#[test]
fn events_may_come_by_standard_input_and_all_read_is_success() {
    let place = Place::new();
    let rules = place.file("rules.yaml", RULES);
    let input = [exec("/tmp/new"), exec("/tmp/new")].concat();
    let (stdout, stderr, code) = shipper(&words("test-rules - --rules", &[&rules]), &input);
    assert!(stdout.ends_with(
        "\n2 events, 0 reports of what was lost or left out, 0 unreadable\n  test.tmp  2 matched\n"
    ));
    assert_eq!((&*stderr, code), ("", Some(0)));
}

#[test]
fn lint_tries_the_tests_of_rules_and_says_which_fail() {
    let place = Place::new();
    let good = place.file("good.yaml", RULES);
    let (stdout, _, code) = shipper(&words("rules lint", &[&good]), "");
    assert_eq!((&*stdout, code), ("rules that are valid: 1; of 2 tests 0 failed\n", Some(0)));

    let failing = place.file("failing.yaml", &RULES.replace("/usr/bin/x", "/tmp/x"));
    let (stdout, _, code) = shipper(&words("rules lint", &[&failing]), "");
    assert!(stdout.starts_with("FAIL  ") && stdout.contains("test.tmp: "), "{stdout}");
    assert!(stdout.ends_with("of 2 tests 1 failed\n"), "{stdout}");
    assert_eq!(code, Some(1));

    let wrong = place.file("wrong.yaml", &RULES.replace("event.action ==", "event.action ="));
    let (stdout, stderr, code) = shipper(&words("rules lint", &[&wrong]), "");
    assert!(stderr.contains(":4:24: ") && stderr.contains("write `==`"), "{stderr}");
    assert_eq!((&*stdout, code), ("", Some(2)));
}

#[test]
fn list_shows_each_rule_in_a_line() {
    let place = Place::new();
    let rules = place.file("rules.yaml", RULES);
    let (stdout, _, code) = shipper(&words("rules list", &[&rules]), "");
    assert_eq!(stdout, "high          test.tmp  Execution below /tmp  attack.t1204\n");
    assert_eq!(code, Some(0));
}
