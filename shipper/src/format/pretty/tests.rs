//! Lines as people see them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn pretty(columns: usize, colour: bool) -> Pretty {
    Pretty { zone: TimeZone::fixed(jiff::tz::offset(1)), columns, colour }
}

fn now() -> Timestamp {
    "2026-11-24T20:00:00Z".parse().expect("a timestamp")
}

fn plain(event: &Value) -> String {
    pretty(4096, false).line(event, now())
}

fn script() -> Value {
    json!({
        "@timestamp": "2026-11-24T09:15:00.123456789Z",
        "event": {"kind": "event", "action": "exec"},
        "process": {
            "pid": 4242, "name": "deploy.sh", "executable": "/usr/bin/bash",
            "args": ["/bin/sh", "./deploy.sh", "x", "y z"],
            "parent": {"pid": 100, "name": "bash"},
        },
        "user": {"id": "1000", "name": "alice"},
        "file": {"path": "/home/alice/deploy.sh", "owner": "alice", "uid": "1000", "mode": "0755"},
        "container": {"id": "1a2b3c4d5e6f77889900"},
        "shipper": {
            "file_not_root_owned": true,
            "interpreter": {"path": "/usr/bin/bash"},
            "args_truncated": true,
        },
    })
}

fn set(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = event.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
    parent.insert(key.to_owned(), value);
    event
}

#[test]
fn a_line_tells_when_who_under_what_which_file_and_what_is_unusual() {
    assert_eq!(
        plain(&script()),
        "10:15:00.123 alice       4242       bash › /home/alice/deploy.sh x 'y z'  \
         [not root-owned: alice 0755] [argv cut] [container 1a2b3c4d5e6f] \
         [interpreter /usr/bin/bash]"
    );
}

#[test]
fn a_container_is_shown_by_its_name_where_that_is_known_within_its_pod() {
    let named = set(script(), "/container/name", json!("front"));
    assert!(plain(&named).contains("[container front]"), "{}", plain(&named));
    let mut in_pod = named.clone();
    in_pod["orchestrator"] = json!({"resource": {"type": "pod", "name": "web-74d9"}});
    assert!(plain(&in_pod).contains("[container web-74d9/front]"), "{}", plain(&in_pod));
    in_pod["container"] = json!({"id": "1a2b3c4d5e6f77889900"});
    assert!(plain(&in_pod).contains("[container 1a2b3c4d5e6f]"), "{}", plain(&in_pod));
}

#[test]
fn an_event_of_another_day_shows_its_date() {
    let event = set(script(), "/@timestamp", json!("2026-11-23T22:59:59Z"));
    assert!(plain(&event).starts_with("2026-11-23 23:59:59.000 alice"), "{}", plain(&event));
    // Midnight is that of the zone shown, not that of UTC.
    let event = set(script(), "/@timestamp", json!("2026-11-23T23:00:00Z"));
    assert!(plain(&event).starts_with("00:00:00.000 alice"), "{}", plain(&event));
}

#[test]
fn the_arguments_of_a_script_are_those_it_was_given() {
    for (args, shown) in [
        (json!(["/bin/sh", "./deploy.sh"]), "deploy.sh  ["),
        (json!(["/usr/bin/env", "-S bash -x", "/home/alice/deploy.sh", "a"]), "deploy.sh a  ["),
        (json!(["/bin/sh", "/dev/fd/5", "a"]), "deploy.sh a  ["),
        (json!(["/bin/sh", "deploy.sh", "deploy.sh"]), "deploy.sh deploy.sh  ["),
        // The script cannot be told in argv: nothing is left out but argv[0].
        (json!(["sh", "-c", "true"]), "deploy.sh -c true  ["),
        (json!([]), "deploy.sh  ["),
    ] {
        let line = plain(&set(script(), "/process/args", args));
        assert!(line.contains(&format!("› /home/alice/{shown}")), "{line}");
    }
}

#[test]
fn another_name_in_argv_0_is_shown() {
    let binary = json!({
        "process": {"executable": "/usr/bin/dash", "args": ["sh", "-c", "ls | wc"]},
        "file": {"path": "/usr/bin/dash"},
    });
    let line = plain(&binary);
    assert!(line.ends_with("› /usr/bin/dash -c 'ls | wc'  [as sh]"), "{line}");
    let same = set(binary, "/process/args", json!(["dash", "-c", "ls"]));
    assert!(plain(&same).ends_with("› /usr/bin/dash -c ls"), "{}", plain(&same));
}

#[test]
fn a_login_under_another_name_and_a_setuid_file_are_marked() {
    let event = json!({
        "user": {"id": "0", "name": "root", "audit": {"id": "1000", "name": "alice"}},
        "file": {"path": "/usr/bin/sudo", "mode": "4755"},
    });
    assert!(plain(&event).ends_with("/usr/bin/sudo  [setuid 4755] [login alice]"));
}

#[test]
fn missing_or_wrong_keys_show_as_a_dash() {
    for event in [
        json!({}),
        json!({"process": [], "user": 7, "file": {"path": 1}, "@timestamp": "yesterday"}),
        json!([]),
        json!(null),
    ] {
        assert_eq!(plain(&event), "-            -              -          - › -");
        assert_eq!(pretty(80, false).ancestor_line(&event).below("").trim_start(), "- -");
    }
}

#[test]
fn a_loss_says_what_was_lost() {
    let mut event = json!({
        "@timestamp": "2026-11-24T09:15:00Z",
        "event": {"kind": "pipeline_error", "action": "events-lost",
                  "reason": "12 exec records were lost: the ring buffer was full"},
        "shipper": {"loss": {"count": 12}},
    });
    let shown = "10:15:00.000 LOSS 12 exec records were lost: the ring buffer was full";
    assert_eq!(plain(&event), shown);
    event["event"]["reason"] = Value::Null;
    assert_eq!(plain(&event), "10:15:00.000 LOSS 12 records were lost");
    assert!(pretty(4096, true).line(&event, now()).contains("\x1b[1m\x1b[31mLOSS"));
}

#[test]
fn an_end_tells_how_and_after_how_long_before_what_it_was() {
    let end = json!({
        "@timestamp": "2026-11-24T09:15:01.374Z",
        "event": {"kind": "event", "action": "end"},
        "process": {
            "pid": 4242, "name": "sh", "executable": "/usr/bin/dash", "args": ["sh", "-c", "a b"],
            "exit_code": 3, "parent": {"pid": 100, "name": "bash"},
        },
        "shipper": {"exit": {"duration_ns": 1_250_000_000_u64}},
    });
    let shown = "10:15:01.374 -           4242       bash › exit 3 after 1.25s: sh -c 'a b'";
    assert_eq!(plain(&end), shown);
    let styled = pretty(4096, true).line(&end, now());
    assert!(styled.contains("\x1b[1m\x1b[31mexit 3 after 1.25s"), "{styled:?}");
    let well = pretty(4096, true).line(&set(end.clone(), "/process/exit_code", json!(0)), now());
    assert!(!well.contains("\x1b[31m"), "{well:?}");
    // Without arguments there is its binary, or its name.
    let bare = set(end, "/process/args", json!([]));
    assert!(plain(&bare).ends_with("1.25s: /usr/bin/dash"), "{}", plain(&bare));
    let unknown = set(bare, "/process", json!({"pid": 4242}));
    assert!(plain(&unknown).ends_with("› ended after 1.25s: -"), "{}", plain(&unknown));
}

#[test]
fn root_running_a_file_of_somebody_else_is_red() {
    let yellow = pretty(4096, true).line(&script(), now());
    assert!(yellow.contains("\x1b[33m[not root-owned: alice 0755]"), "{yellow:?}");
    let red = pretty(4096, true).line(&set(script(), "/user/id", json!("0")), now());
    assert!(red.contains("\x1b[1m\x1b[31m[not root-owned: alice 0755]"), "{red:?}");
}

#[test]
fn a_long_command_is_cut_and_the_marks_stay() {
    let event = set(script(), "/process/args", json!(["/bin/sh", "deploy.sh", "x".repeat(60_000)]));
    let line = pretty(200, false).line(&event, now());
    assert!(line.contains("xxx…  [not root-owned"), "{line}");
    assert!(columns(&line) <= 200, "{}", columns(&line));
    // Too narrow for both: the command keeps enough to tell what it was.
    let line = pretty(20, false).line(&event, now());
    assert!(line.contains("› /home/alice/deploy.sh xxx"), "{line}");
}

#[test]
fn what_is_no_event_is_shown_with_a_mark() {
    let line = pretty(80, false).unreadable(b"\x1b]0;pwned\x07 \xff", "not JSON");
    assert_eq!(line, "\\x1b]0;pwned\\x07 \\xff  [not JSON]");
    let line = pretty(80, false).unreadable(&[b'a'; 1 << 20], "not JSON");
    assert!(line.len() < 90, "{line}");
}

/// Any text where an event has text.
fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        "\\PC*[\u{0}-\u{1f}\u{7f}-\u{9f}\u{200b}-\u{200f}\u{202a}-\u{202e}]+\\PC*"
            .prop_map(Value::from),
        Just(Value::from("\x1b[2J\x1b]52;c;aGk=\x07")),
    ]
}

prop_compose! {
    fn hostile_event()(
        texts in proptest::collection::vec(hostile(), 15),
        args in proptest::collection::vec(hostile(), 0..6),
        loss in any::<bool>(),
        (script, end) in any::<(bool, bool)>(),
    ) -> Value {
        let mut event = json!({
            "@timestamp": texts[0],
            "event": {"kind": if loss { "pipeline_error" } else { "event" }, "reason": texts[1]},
            "process": {
                "pid": 1, "name": texts[2], "executable": texts[3], "args": args,
                "parent": {"name": texts[4]},
            },
            "user": {"id": texts[5], "name": texts[6], "audit": {"id": "1", "name": texts[7]}},
            "file": {"path": texts[8], "owner": texts[9], "mode": texts[10]},
            "container": {"id": texts[11]},
            "shipper": {"file_not_root_owned": true},
        });
        if script {
            event["shipper"]["interpreter"] = json!({"path": texts[12]});
            event["container"]["name"] = texts[13].clone();
            event["orchestrator"] = json!({"resource": {"name": texts[14]}});
        }
        if end {
            event["event"]["action"] = json!("end");
            event["shipper"]["exit"] = json!({"signal_name": texts[13]});
        }
        event
    }
}

proptest! {
    #[test]
    fn no_event_can_drive_the_terminal(event in hostile_event(), width in 1_usize..300) {
        let plain = pretty(width, false);
        let styled = pretty(width, true);
        let process = &event["process"];
        let lines = |pretty: &Pretty| [
            pretty.line(&event, now()),
            pretty.tree_line(&event, now(), 5).below("│ └─ "),
            pretty.ancestor_line(process).below("└─ "),
        ];
        for (plain, styled) in lines(&plain).into_iter().zip(lines(&styled)) {
            let control = |c: char| {
                c.is_control() || "\u{200b}\u{200e}\u{202a}\u{202b}\u{202d}\u{202e}".contains(c)
            };
            prop_assert!(!plain.contains(control), "{plain:?}");
            // Without the styles it is the same text, so the styles are all that was added.
            prop_assert_eq!(anstream::adapter::strip_str(&styled).to_string(), plain);
        }
    }
}

#[test]
fn rules_that_matched_come_first_the_gravest_before_others() {
    let rule = |id: &str, severity: &str| json!({"id": id, "name": "n", "severity": severity});
    let rules = json!([
        rule("a", "low"),
        rule("b\u{1b}[2J", "critical"),
        rule("c", "medium"),
        rule("d", "of a later version"),
    ]);
    let event = set(script(), "/shipper/rules", rules);
    let shown = plain(&event);
    assert!(shown.contains("  [critical: $'b\\x1b[2J'] [medium: c] [low: a] [not root"), "{shown}");
    let styled = pretty(4096, true).line(&event, now());
    assert!(styled.contains("\x1b[33m[medium: c]"), "{styled:?}");
}
