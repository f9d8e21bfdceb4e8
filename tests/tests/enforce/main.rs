//! Deny rules (`enforce:`), in guests alone: a rule that goes wrong on the machine of whoever runs the
//! tests would leave them locked out.
//!
//! One boot a kernel goes through `guest.sh`; the tests then look at what came out, each at one
//! behaviour. Which kernels, and how to fetch them, is as in `kernel/main.rs`.

#![allow(clippy::panic, reason = "a failing test panics")]

mod boots;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use boots::{Booted, each_boot};

/// What is tried, and the rule that is for it.
const DENIED: [(&str, &str); 11] = [
    ("user-owned", "exec.user-owned"),
    ("group-writable", "exec.writable"),
    ("world-writable", "exec.writable"),
    ("memfd", "exec.memfd"),
    ("deleted", "exec.deleted"),
    ("below-prefix", "exec.srv"),
    ("script", "exec.user-owned"),
    ("long-path", "exec.user-owned"),
    ("other-user", "exec.user-owned"),
    ("excepted-user-other-rule", "exec.writable"),
    ("other-cgroup", "exec.user-owned"),
];

const LET_GO: [&str; 6] = [
    "plain",
    "beside-prefix",
    "script-of-shell",
    "excepted-user",
    "excepted-cgroup",
    "below-excepted-cgroup",
];

#[test]
fn what_a_rule_is_for_is_refused_with_eperm_and_the_event_says_by_which_rule() -> Result<()> {
    each_boot(|booted| {
        for (name, rule) in DENIED {
            let (code, said) = booted.tried("deny", name)?;
            ensure!(code != 0 && said.contains("not permitted"), "{name}: {code} {said}");
            let event = booted.event("deny", name, "denied")?;
            expect(event, "/event/outcome", "failure")?;
            expect(event, "/event/reason", format!("denied by shipper, rule {rule}").as_str())?;
            expect(event, "/error/code", "EPERM")?;
            expect(event, "/error/message", "denied by shipper")?;
            expect(event, "/rule/id", rule)?;
            expect(event, "/shipper/enforcement/rule", rule)?;
            expect(event, "/shipper/failure/denied_by", "shipper")?;
        }
        Ok(())
    })
}

#[test]
fn what_no_rule_is_for_or_who_is_excepted_is_let_go() -> Result<()> {
    each_boot(|booted| {
        for name in LET_GO {
            let (code, said) = booted.tried("deny", name)?;
            ensure!(code == 0, "{name}: {code} {said}");
            let mut events = booted.events_of("deny", name).peekable();
            ensure!(events.peek().is_some(), "no event of {name}");
            ensure!(events.all(|event| event["shipper"]["enforcement"].is_null()), "{name}");
        }
        Ok(())
    })
}

#[test]
fn a_dry_run_refuses_nothing_and_the_events_say_what_would_have_been() -> Result<()> {
    each_boot(|booted| {
        for (name, rule) in DENIED {
            let (code, said) = booted.tried("dry", name)?;
            ensure!(code == 0, "{name}: {code} {said}");
            let event = booted.event("dry", name, "would_deny")?;
            expect(event, "/event/outcome", "success")?;
            expect(event, "/rule/id", rule)?;
        }
        for name in LET_GO {
            let mut events = booted.events_of("dry", name);
            ensure!(events.all(|event| event["shipper"]["enforcement"].is_null()), "{name}");
        }
        Ok(())
    })
}

#[test]
fn what_cannot_be_judged_is_let_go_and_said() -> Result<()> {
    each_boot(|booted| {
        let (code, said) = booted.tried("deny", "too-deep")?;
        ensure!(code == 0, "{code} {said}");
        let event = booted.event("deny", "too-deep", "not_judged")?;
        expect(event, "/rule/id", "exec.srv")?;
        expect(event, "/shipper/paths_cut/0", "process.executable")?;
        let log = booted.text("deny.log")?;
        ensure!(log.contains("could not be told whether a deny rule is for them"), "{log}");
        Ok(())
    })
}

#[test]
fn an_excepted_cgroup_that_is_made_anew_is_excepted_again() -> Result<()> {
    each_boot(|booted| {
        let tries = booted.text("deny.tries")?;
        ensure!(tries.contains("made-anew allowed"), "{tries}");
        Ok(())
    })
}

#[test]
fn doctor_says_whether_rules_refuse() -> Result<()> {
    each_boot(|booted| {
        for (report, state) in [("deny", "on"), ("pinned-long-killed", "stale"), ("kept", "on")] {
            let doctor: Value = serde_json::from_str(&booted.text(&format!("{report}.doctor"))?)?;
            expect(&doctor, "/enforcement/0/state", state).context(report)?;
            ensure!(
                doctor["enforcement"].as_array().is_some_and(|all| all.len() == 1),
                "{doctor:#}"
            );
        }
        let doctor: Value = serde_json::from_str(&booted.text("deny.doctor")?)?;
        expect(&doctor, "/enforcement/0/denied", DENIED.len() as u64)?;
        expect(&doctor, "/enforcement/0/not_judged", 1)?;
        let stopped: Value = serde_json::from_str(&booted.text("stopped.doctor")?)?;
        ensure!(stopped["enforcement"].as_array().is_some_and(Vec::is_empty), "{stopped:#}");
        Ok(())
    })
}

#[test]
fn pinned_rules_of_a_killed_daemon_refuse_no_more_once_its_heartbeat_is_old() -> Result<()> {
    each_boot(|booted| {
        ensure!(booted.tried("pinned", "at-work")?.0 != 0);
        let tries = booted.text("pinned.tries")?;
        let stood_still = tries.contains("the machine stood still");
        ensure!(stood_still || booted.tried("pinned", "just-killed")?.0 != 0, "{tries}");
        ensure!(tries.contains("long-killed allowed"), "{tries}");
        let waited = booted.event("pinned", "waits", "would_deny")?;
        expect(waited, "/event/outcome", "success")
    })
}

#[test]
fn a_daemon_that_starts_again_takes_the_rules_over() -> Result<()> {
    each_boot(|booted| {
        let log = booted.text("pinned.log")?;
        ensure!(log.contains("is taken over"), "{log}");
        ensure!(booted.tried("pinned", "taken-over")?.0 != 0);
        booted.event("pinned", "taken-over", "denied").map(drop)
    })
}

#[test]
fn rules_that_are_kept_refuse_without_a_daemon_until_they_are_unpinned() -> Result<()> {
    each_boot(|booted| {
        ensure!(booted.tried("kept", "long-killed")?.0 != 0);
        for name in ["kept", "unpinned"] {
            ensure!(booted.tried(name, "unpinned")?.0 == 0);
            let left = booted.text(&format!("{name}.tries"))?;
            ensure!(!left.lines().any(|line| line.trim() == "shipper"), "{left}");
        }
        Ok(())
    })
}

#[test]
fn the_daemon_refuses_to_start_with_rules_that_cannot_be_meant() -> Result<()> {
    each_boot(|booted| {
        for (name, wanted) in [
            ("unowned", "rule exec.user-owned would deny /bin/busybox, which process 1 runs"),
            ("link", "rule r: /var/link leads to /srv"),
            ("nowhere", "there is no /sys/fs/cgroup/not/there"),
        ] {
            let log = booted.text(&format!("{name}.log"))?;
            ensure!(log.contains(wanted) || booted.output.contains(wanted), "{name}: {log}");
            ensure!(booted.text(&format!("{name}.code"))?.trim() == "1", "{name}");
            let validate = booted.text(&format!("{name}.validate"))?;
            // Which cgroups there are when shipper starts, nobody knows before.
            ensure!(name == "nowhere" || validate.contains(wanted), "{name}: {validate}");
        }
        Ok(())
    })
}

#[test]
fn rules_are_refused_where_the_lsm_hook_never_fires() -> Result<()> {
    let Some(booted) = boots::without_lsm() else { return Ok(()) };
    let log = booted.text("no-lsm.log")?;
    ensure!(log.contains("deny rules need capture mode lsm, which does not work here"), "{log}");
    ensure!(log.contains("boot with lsm=...,bpf"), "{log}");
    ensure!(booted.text("no-lsm.code")?.trim() == "1");
    Ok(())
}

fn expect(value: &Value, pointer: &str, wanted: impl Into<Value>) -> Result<()> {
    let wanted = wanted.into();
    let found = value.pointer(pointer).unwrap_or(&Value::Null);
    ensure!(*found == wanted, "{pointer} is {found} and should be {wanted} in {value:#}");
    Ok(())
}

impl Booted {
    /// Exit code of an attempt, and what was said of it.
    fn tried(&self, daemon: &str, name: &str) -> Result<(i32, String)> {
        let tries = self.text(&format!("{daemon}.tries"))?;
        let line = tries.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let line = line.with_context(|| format!("{name} was not tried: {tries}"))?;
        let (code, said) = line.split_once(' ').unwrap_or((line, ""));
        Ok((code.parse().with_context(|| line.to_owned())?, said.to_owned()))
    }

    /// The events of executions with this last argument.
    fn events_of<'a>(&'a self, daemon: &str, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.get(daemon).into_iter().flatten().filter(move |event| {
            event["process"]["args"]
                .as_array()
                .and_then(|args| args.last())
                .is_some_and(|last| last == name)
        })
    }

    /// The one of those that a rule is for, with what became of it; of several attempts the first.
    fn event<'a>(&'a self, daemon: &str, name: &'a str, action: &str) -> Result<&'a Value> {
        let mut of_rules =
            self.events_of(daemon, name).filter(|event| !event["shipper"]["enforcement"].is_null());
        let all = || format!("{:#?}", self.events_of(daemon, name).collect::<Vec<_>>());
        let found = of_rules.find(|event| event["shipper"]["enforcement"]["action"] == action);
        found.with_context(|| format!("no event says {action} of {name}: {}", all()))
    }
}
