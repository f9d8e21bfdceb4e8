//! The real program in guests of several kernels, in each capture mode.
//!
//! One boot a kernel goes through all modes (`guest.sh` is what the guest runs); the tests then look
//! at what came out, each at one behaviour in all kernels and modes. To run it, as any user:
//!
//!     tests/kernels.sh target/guest-kernels 6.1 5.10      # once; as root where QEMU is missing
//!     cargo test --package shipper-tests --test kernel
//!
//! `SHIPPER_GUEST_KERNEL_SERIES="5.10 6.12 newest"` says which kernels; without it 6.1 and 5.10, and
//! 6.12 where it was fetched. One that is named and not there is a skip, which fails in CI. `newest`
//! is run only when named: 7.3 skips a kernel program now and then (`Capture::allowed_to_lose`),
//! and where that hits a marked exec a test fails for the lost event.

#![allow(clippy::panic, reason = "a failing test panics")]

mod boots;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use boots::{Capture, Daemon, boots, expect, in_every_mode, is_marked};

/// Marks of the programs that each mode runs once, with the file that was asked for and its owner.
const PROGRAMS: [(&str, &str, u32); 15] = [
    ("user-owned-script", "/opt/alice/wait", 1000),
    ("quick-script", "/opt/alice/quick", 1000),
    ("root-owned-script", "/opt/root-script", 0),
    ("root-owned-binary", "/opt/root-binary", 0),
    ("user-owned-binary", "/opt/alice/binary", 1000),
    ("script-run-by-script", "/opt/alice/outer", 1000),
    ("root-after-failures", "/opt/root-script", 0),
    ("user-after-failures", "/opt/alice/wait", 1000),
    ("script-by-descriptor", "/opt/alice/wait", 1000),
    ("binary-by-descriptor", "/opt/alice/binary", 1000),
    ("script-by-thread", "/opt/alice/wait", 1000),
    ("setuid", "/opt/setuid", 0),
    ("arguments", "/opt/root-binary", 0),
    ("relative-name", "/opt/alice/quick", 1000),
    ("last", "/opt/root-binary", 0),
];

/// How many programs the storm runs.
const STORM: usize = 500;

#[test]
fn doctor_says_which_modes_work_and_why_the_others_do_not() -> Result<()> {
    for booted in boots() {
        let doctor = &booted.doctor;
        let look = || -> Result<()> {
            expect(doctor, "/mode", booted.boot.auto)?;
            expect(doctor, "/missing_privileges", Value::Null)?;
            expect(doctor, "/btf/usable", true)?;
            expect(doctor, "/btf/missing_fields", json!([]))?;
            for (index, mode) in ["lsm", "fentry", "tracepoint"].into_iter().enumerate() {
                let works = mode != "lsm" || booted.lsm_works();
                expect(doctor, &format!("/modes/{index}/mode"), mode)?;
                expect(doctor, &format!("/modes/{index}/works"), works)?;
                let reason = doctor["modes"][index]["reason"].as_str().unwrap_or_default();
                ensure!(works == reason.is_empty(), "{reason}");
                ensure!(works || reason.contains("did not run for a test exec"), "{reason}");
                ensure!(works || reason.contains("boot with lsm=...,bpf"), "{reason}");
            }
            let text = &booted.doctor_text;
            ensure!(text.contains(&format!("would use {}", booted.boot.auto)), "{text}");
            ensure!(text.contains("did not run for a test exec") != booted.lsm_works(), "{text}");
            Ok(())
        };
        look().with_context(|| booted.name())?;
    }
    Ok(())
}

#[test]
fn auto_takes_the_best_mode_that_fires_and_says_why_not_a_better_one() -> Result<()> {
    for booted in boots() {
        let (auto, log) = (booted.boot.auto, &booted.daemons["auto"].log);
        let name = booted.name();
        ensure!(log.contains(&format!("capture has begun mode=\"{auto}\"")), "{name}: {log}");
        let says_why = log.contains("capture mode lsm is not used: the program was attached and");
        ensure!(says_why != booted.lsm_works(), "{name}: {log}");
        let capture = Capture { booted, mode: auto, daemon: &booted.daemons["auto"] };
        capture.event("auto").with_context(|| name)?;
    }
    Ok(())
}

#[test]
fn lsm_is_refused_where_its_hook_never_fires() -> Result<()> {
    for booted in boots().iter().filter(|booted| !booted.lsm_works()) {
        let Daemon { exit_code, log, events } = &booted.daemons["lsm"];
        ensure!(*exit_code == 1, "exit code {exit_code}: {log}");
        ensure!(log.contains("did not run for a test exec"), "{log}");
        ensure!(events.is_empty(), "{events:?}");
    }
    Ok(())
}

#[test]
fn each_exec_gives_one_event_with_the_file_asked_for_and_its_owner() -> Result<()> {
    in_every_mode(|capture| {
        for (mark, path, owner) in PROGRAMS {
            let event = capture.event(mark)?;
            expect(event, "/file/path", path)?;
            expect(event, "/file/uid", owner.to_string())?;
            expect(event, "/file/gid", owner.to_string())?;
            expect(event, "/file/owner", if owner == 0 { "root" } else { "alice" })?;
            expect(event, "/shipper/file_not_root_owned", owner != 0)?;
            let is_script = !event["shipper"]["interpreter"].is_null();
            let by_hook = capture.has_hook() || !is_script;
            expect(event, "/shipper/file_source", if by_hook { "kernel" } else { "procfs" })?;
        }
        Ok(())
    })
}

#[test]
fn the_interpreter_of_a_script_is_told_apart_with_its_own_owner() -> Result<()> {
    in_every_mode(|capture| {
        for mark in ["user-owned-script", "script-run-by-script", "script-by-descriptor"] {
            let event = capture.event(mark)?;
            expect(event, "/shipper/interpreter/path", "/bin/busybox")?;
            expect(event, "/shipper/interpreter/uid", "0")?;
            expect(event, "/shipper/interpreter/source", "kernel")?;
            expect(event, "/process/executable", "/bin/busybox")?;
        }
        for mark in ["root-owned-binary", "user-owned-binary", "binary-by-descriptor"] {
            let event = capture.event(mark)?;
            expect(event, "/shipper/interpreter", Value::Null)?;
            expect(event, "/process/executable", event["file"]["path"].clone())?;
        }
        let chain = ["/bin/sh", "/opt/inner", "/opt/alice/outer", "script-run-by-script"];
        expect(capture.event("script-run-by-script")?, "/process/args", json!(chain))
    })
}

#[test]
fn failed_attempts_are_no_events() -> Result<()> {
    in_every_mode(|capture| {
        for event in &capture.daemon.events {
            let path = event.pointer("/file/path").and_then(Value::as_str).unwrap_or_default();
            for failed in ["nonexistent", "not-executable", "garbage", "no-interpreter"] {
                ensure!(!path.contains(failed), "{event:#}");
            }
        }
        Ok(())
    })
}

#[test]
fn an_exec_from_another_thread_keeps_the_pid_of_the_process() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("script-by-thread")?;
        let (pid, tid) = (&event["process"]["pid"], &event["process"]["thread"]["id"]);
        ensure!(pid.is_u64() && tid.is_u64() && pid != tid, "{event:#}");
        Ok(())
    })
}

#[test]
fn an_exec_in_another_pid_namespace_has_its_pid_there_and_here() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("pid-namespace")?;
        expect(event, "/process/vpid", 1)?;
        ensure!(event["process"]["pid"] != json!(1), "{event:#}");
        let here = capture.booted.namespaces["pid"];
        ensure!(event["shipper"]["namespaces"]["pid"] != json!(here), "{event:#}");
        if capture.has_hook() {
            expect(event, "/file/path", "/opt/alice/quick")?;
            expect(event, "/file/uid", "1000")?;
        }
        Ok(())
    })
}

#[test]
fn a_setuid_program_shows_the_credentials_before_and_after() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("setuid")?;
        expect(event, "/user/id", "0")?;
        expect(event, "/process/user/id", "0")?;
        expect(event, "/process/real_user/id", "1000")?;
        expect(event, "/process/real_user/name", "alice")?;
        expect(event, "/shipper/file/setuid", true)?;
        // The tracepoint that comes before the new credentials is as new as 6.10.
        let known =
            capture.has_hook() || capture.booted.doctor["btf"]["sched_prepare_exec"] == true;
        if known {
            expect(event, "/shipper/credentials_before/uid", "1000")?;
            expect(event, "/shipper/credentials_before/euid", "1000")?;
            let none = "0000000000000000";
            expect(event, "/shipper/credentials_before/capabilities/effective", none)?;
            ensure!(event["shipper"]["credentials"]["capabilities"]["effective"] != none);
        } else {
            expect(event, "/shipper/credentials_before", Value::Null)?;
        }
        Ok(())
    })
}

#[test]
fn arguments_arrive_exactly_as_given() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("arguments")?;
        let args = ["/opt/root-binary", "", "two  words", "a\nb\tc\u{1b}[1m\"\\", "é", "arguments"];
        expect(event, "/process/args", json!(args))?;
        expect(event, "/process/args_count", args.len())
    })
}

#[test]
fn the_ancestors_are_named_from_the_parent_up_to_the_first_process() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("root-owned-binary")?;
        expect(event, "/process/parent/executable", "/bin/busybox")?;
        expect(event, "/process/parent/args", json!(["sh", "/script"]))?;
        let ancestry = event["shipper"]["ancestry"].as_array().context("ancestry")?;
        ensure!(ancestry.len() == 2, "{event:#}");
        expect(&ancestry[1], "/pid", 1)?;
        expect(event, "/process/working_directory", "/")?;
        expect(capture.event("relative-name")?, "/process/working_directory", "/opt/alice")
    })
}

#[test]
fn the_container_is_known_by_its_cgroup() -> Result<()> {
    in_every_mode(|capture| {
        let id = "0123456789abcdef".repeat(4);
        let event = capture.event("container")?;
        expect(event, "/container/id", id.as_str())?;
        expect(event, "/container/runtime", "docker")?;
        expect(event, "/shipper/cgroup/path", format!("/docker-{id}.scope"))?;
        expect(capture.event("last")?, "/container", Value::Null)
    })
}

#[test]
fn the_login_user_is_told_where_there_is_one() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("loginuid")?;
        expect(event, "/user/audit/id", "1000")?;
        expect(event, "/user/audit/name", "alice")?;
        expect(event, "/user/id", "0")?;
        ensure!(event["shipper"]["audit_session"].is_string(), "{event:#}");
        let event = capture.event("last")?;
        expect(event, "/user/audit", Value::Null)?;
        expect(event, "/shipper/audit_session", Value::Null)
    })
}

#[test]
fn namespaces_are_those_that_proc_shows_and_no_terminal_is_made_up() -> Result<()> {
    in_every_mode(|capture| {
        let event = capture.event("root-owned-binary")?;
        ensure!(capture.booted.namespaces.len() == 8, "{:?}", capture.booted.namespaces);
        for (kind, number) in &capture.booted.namespaces {
            expect(event, &format!("/shipper/namespaces/{kind}"), *number)?;
        }
        expect(event, "/process/interactive", false)?;
        expect(event, "/process/tty", Value::Null)
    })
}

#[test]
fn a_storm_repeats_nothing_and_loses_nothing_that_is_not_reported() -> Result<()> {
    in_every_mode(|capture| {
        let mut times = vec![0; STORM];
        for event in &capture.daemon.events {
            let last = event["process"]["args"].as_array().and_then(|args| args.last());
            let number = last.and_then(Value::as_str).and_then(|arg| arg.strip_prefix("storm-"));
            if let Some(number) = number {
                times[number.parse::<usize>()?] += 1;
            }
        }
        ensure!(times.iter().all(|&count| count <= 1), "{times:?}");
        let missing = times.iter().filter(|&&count| count == 0).count();
        ensure!(u64::try_from(missing)? <= capture.allowed_to_lose()?, "{missing} are missing");
        Ok(())
    })
}

/// Programs run while capture begins, so that records come in before the test exec's.
#[test]
fn nothing_is_reported_as_lost_when_everything_arrived_from_begin_to_end() -> Result<()> {
    in_every_mode(|capture| {
        let Daemon { exit_code, log, events } = capture.daemon;
        ensure!(*exit_code == 0, "exit code {exit_code}: {log}");
        let execs = events.iter().filter(|event| event["event"]["kind"] == "event").count();
        let lost = capture.allowed_to_lose()?;
        ensure!(log.contains(&format!("execs={execs} lost={lost}")), "{log}");
        Ok(())
    })
}

#[test]
fn pinned_programs_outlive_a_killed_daemon_and_leave_nothing_once_removed() -> Result<()> {
    in_every_mode(|capture| {
        let booted = capture.booted;
        let name = format!("{}-pinned", capture.mode);
        let daemon = booted.daemons.get(&name).context("capture could not be pinned")?;
        ensure!(daemon.exit_code == 0, "{}", daemon.log);
        ensure!(daemon.log.contains("is taken over"), "{}", daemon.log);
        let pinned = Capture { booted, mode: capture.mode, daemon };
        let lost = pinned.allowed_to_lose()?;
        let mut missing = 0;
        for number in 0..80 {
            let mark = format!("pinned-{number}");
            match daemon.events.iter().filter(|event| is_marked(event, &mark)).count() {
                0 => missing += 1,
                1 => {}
                _ => bail!("{mark} came more than once"),
            }
        }
        ensure!(missing <= lost, "{missing} are missing, {lost} are reported as lost");
        let said = &booted.unpinned[capture.mode];
        ensure!(said.contains("removed the pinned programs"), "{said}");
        let left: Vec<&str> = said.lines().filter(|line| line.contains("shipper")).collect();
        ensure!(left.is_empty(), "{said}");
        Ok(())
    })
}
