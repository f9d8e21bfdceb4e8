//! What is left out in the kernel: by each rule, with a limit, while it is counted exactly; and what
//! nothing can leave out.

#![allow(clippy::panic, reason = "a failing test panics")]

mod places;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use places::{Cgroup, Waiting, inode_of};
use serde_json::Value;
use shipper_tests::daemon::{Daemon, config, directory, has_arg, program};
use shipper_tests::skip;
use shipper_tests::tracefs::Tracefs;

const HELPER: &str = env!("CARGO_BIN_EXE_exec_helper");

/// Users that nobody else is.
const USER: u32 = 54321;
const USER_IN_RANGE: u32 = 60_005;
const OTHER_USER: u32 = 54322;
/// For one test each: the tests run at once, and what a user does is counted whoever asked for it.
const USER_WITH_ANCESTOR: u32 = 54323;
const USER_WITH_ATTEMPT: u32 = 54324;
const USER_OF_ALL: u32 = 54325;

/// Words nobody else on this machine has among their arguments.
fn mark(name: &str) -> String {
    format!("filters-{name}-{}", std::process::id())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

/// Executes `true` as this user, once.
fn run_as(user: u32, word: &str) -> Result<()> {
    run(Command::new(HELPER).args(["as", &user.to_string(), "/bin/true", word]))
}

/// Executes `true` with this word in a cgroup, so often.
fn run_in(cgroup: &Path, word: &str, count: u32) -> Result<()> {
    let script = r#"echo $$ > "$1"; n=0; while [ $n -lt $3 ]; do /bin/true "$2"; n=$((n+1)); done"#;
    let procs = cgroup.join("cgroup.procs");
    // The shell itself goes out again, so that its end is none of the cgroup's.
    let script = format!("{script}; echo $$ > \"$4\"");
    let out = places::root_of(cgroup)?.join("cgroup.procs");
    run(Command::new("sh").args(["-c", &script, "sh"]).args([
        procs.as_os_str(),
        word.as_ref(),
        count.to_string().as_ref(),
        out.as_os_str(),
    ]))
}

/// Executions of `true` with this word that were recorded.
fn recorded(events: &[Value], word: &str) -> usize {
    let is = |event: &&Value| {
        event["event"]["action"] == "exec"
            && event["file"]["name"] == "true"
            && has_arg(event, word)
    };
    events.iter().filter(is).count()
}

/// What is told to have been left out for this reason: executions, and ends.
fn left_out(events: &[Value], stage: &str) -> (u64, u64) {
    let count = |kind: &str| {
        let of = |event: &&Value| {
            event["event"]["action"] == "events-left-out"
                && event["shipper"]["loss"]["stage"] == stage
                && event["shipper"]["loss"]["kind"] == kind
        };
        let all = events.iter().filter(of);
        all.map(|event| event["shipper"]["loss"]["count"].as_u64().unwrap_or(0)).sum()
    };
    (count("exec"), count("exit"))
}

#[test]
fn what_is_excluded_is_not_recorded_and_every_one_is_counted_by_its_reason() -> Result<()> {
    let programs = directory()?;
    let root = programs.path().join("tree-root");
    std::fs::copy("/bin/sh", &root)?;
    let cgroups = Cgroup::make_all("excluded")?;
    let namespaces = Waiting::in_namespaces(&mark("namespace"))?;
    // A tree that lives already, and a descendant in it.
    let script = "sh -c 'echo; read line; /bin/true \"$0\"; :' \"$0\"; :";
    let old_tree = Waiting::start(Command::new(&root).args(["-c", script, &mark("tree")]))?;

    let mut excluded = format!(
        "  exit: true\n  exclude:\n    uids: [{USER}, 60000-60010]\n    trees: [{}]\n",
        root.display()
    );
    if let Some(path) = cgroups.first().map(Cgroup::path) {
        excluded += &format!("    cgroups: [{path}]\n");
    }
    let rules = namespaces.iter().map(|(kind, inode, _)| format!("{{ {kind}: {inode} }}"));
    let rules: Vec<String> = rules.collect();
    excluded += &format!("    namespaces: [{}]\n", rules.join(", "));
    let daemon = Daemon::start_or_skip(|dir| config(dir, &excluded, ""))?;
    let Some(daemon) = daemon else { return Ok(()) };

    run_as(USER, &mark("user"))?;
    run_as(USER_IN_RANGE, &mark("user"))?;
    for cgroup in &cgroups {
        run_in(&cgroup.dir(), &mark("cgroup"), 2)?;
        run_in(&cgroup.below(), &mark("cgroup"), 1)?;
    }
    let kinds = namespaces.len() as u64;
    for (_, _, waiting) in namespaces {
        waiting.go_on()?;
    }
    // The root, true, a shell, and true in that.
    let script = "/bin/true \"$0\"; sh -c '/bin/true \"$0\"; :' \"$0\"; :";
    run(Command::new(&root).args(["-c", script, &mark("tree")]))?;
    old_tree.go_on()?;
    run_as(OTHER_USER, &mark("other"))?;
    run(Command::new("/bin/true").arg(mark("other")))?;

    let stopped = daemon.stop()?;
    let events = stopped.events()?;
    for word in ["user", "cgroup", "namespace", "tree"] {
        assert_eq!(recorded(&events, &mark(word)), 0, "{word}");
    }
    assert_eq!(recorded(&events, &mark("other")), 2);
    assert_eq!(left_out(&events, "excluded_user"), (2, 2));
    let in_cgroups = 3 * cgroups.len() as u64;
    assert_eq!(left_out(&events, "excluded_cgroup"), (in_cgroups, in_cgroups));
    // true in each, and its shell, which was executed before.
    assert_eq!(left_out(&events, "excluded_namespace"), (kinds, 2 * kinds));
    assert_eq!(left_out(&events, "excluded_tree"), (4 + 1, 4 + 3));
    ensure!(stopped.log.contains("not recorded, and counted: effective uid 54321, 60000-60010"));
    ensure!(stopped.log.contains(" left out: their user is excluded"), "{}", stopped.log);
    Ok(())
}

/// What is recorded names what its ancestors run, also where nobody recorded that they executed it.
#[test]
fn an_ancestor_whose_execution_was_left_out_is_not_taken_for_what_it_ran_before() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let capture = format!("  exclude: {{ uids: [{USER_WITH_ANCESTOR}] }}\n");
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, &capture, ""))? else {
        return Ok(());
    };
    let raised = daemon.dir().join("true");
    std::fs::copy("/bin/true", &raised)?;
    std::fs::set_permissions(&raised, std::fs::Permissions::from_mode(0o4755))?;
    let word = mark("ancestor");
    let script = format!("'{}' {word}; :", raised.display());
    run(Command::new(HELPER).args([
        "as",
        &USER_WITH_ANCESTOR.to_string(),
        "/bin/sh",
        "-c",
        &script,
    ]))?;
    let event =
        daemon.await_event(|event| event["file"]["name"] == "true" && has_arg(event, &word))?;
    daemon.stop()?;
    let parent = &event["shipper"]["ancestry"][0];
    assert_eq!(parent["name"], "sh", "{parent}");
    assert_ne!(parent["source"], "event", "{parent}");
    Ok(())
}

#[test]
fn an_attempt_that_fails_is_left_out_as_an_execution_is() -> Result<()> {
    let _tracefs = Tracefs::mounted()?;
    let capture = format!(
        "  failures: all\n  syscall_tracepoints: true\n  exclude: {{ uids: [{USER_WITH_ATTEMPT}] }}\n"
    );
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, &capture, ""))? else {
        return Ok(());
    };
    let attempt = |user: u32| {
        let word = mark("attempt");
        let script = format!("/ {word} 2> /dev/null; :");
        run(Command::new(HELPER).args(["as", &user.to_string(), "/bin/sh", "-c", &script]))
    };
    attempt(OTHER_USER)?;
    attempt(USER_WITH_ATTEMPT)?;
    let events = daemon.stop()?.events()?;
    let failed = |event: &&Value| {
        event["event"]["outcome"] == "failure" && event["process"]["args"][1] == mark("attempt")
    };
    let failed: Vec<&Value> = events.iter().filter(failed).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["user"]["id"], OTHER_USER.to_string());
    assert_eq!(left_out(&events, "excluded_user"), (2, 0), "the shell and its attempt");
    Ok(())
}

#[test]
fn what_a_cgroup_executes_beyond_its_limit_is_announced_and_adds_up_to_all() -> Result<()> {
    const ALL: u32 = 600;
    let cgroups = Cgroup::make_all("limited")?;
    let Some(cgroup) = cgroups.first() else {
        skip("no cgroup can be made here");
        return Ok(());
    };
    let limit = "  exit: true\n  rate_limit_per_cgroup: { per_second: 1, burst: 100 }\n";
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, limit, ""))? else {
        return Ok(());
    };
    let word = mark("limited");
    let is_of_cgroup = |event: &Value| {
        event["event"]["action"] == "events-left-out"
            && event["shipper"]["loss"]["cgroup"] == cgroup.path()
    };
    // In two goes: the limit is announced while it lasts.
    run_in(&cgroup.dir(), &word, ALL / 2)?;
    let first = daemon.await_event(|event| is_of_cgroup(event))?;
    assert_eq!(first["event"]["kind"], "metric");
    assert_eq!(first["shipper"]["loss"]["stage"], "rate_limited");
    run_in(&cgroup.dir(), &word, ALL / 2)?;
    let stopped = daemon.stop()?;
    let events = stopped.events()?;
    let of_cgroup: Vec<Value> =
        events.iter().filter(|event| is_of_cgroup(event)).cloned().collect();
    let (execs, ends) = left_out(&of_cgroup, "rate_limited");
    let recorded_execs = recorded(&events, &word) as u64;
    assert_eq!(recorded_execs + execs, u64::from(ALL));
    ensure!((100..200).contains(&recorded_execs), "{recorded_execs} of a burst of 100");
    // A process whose execution was left out has no arguments any more; the shell that forked it has.
    let is_end = |event: &&Value| {
        let parent = &event["shipper"]["ancestry"][0]["args"];
        event["event"]["action"] == "end"
            && parent.as_array().is_some_and(|args| args.iter().any(|arg| *arg == word))
    };
    let cgroup_ends = events.iter().filter(is_end).count() as u64;
    assert_eq!(cgroup_ends + ends, u64::from(ALL));
    ensure!((100..200).contains(&cgroup_ends), "{cgroup_ends} of a burst of 100");
    ensure!(stopped.log.contains("left out of cgroup"), "{}", stopped.log);
    Ok(())
}

#[test]
fn nothing_can_leave_out_the_test_exec_that_proves_capture() -> Result<()> {
    let inode = inode_of(std::process::id(), "pid")?;
    let capture = format!(
        "  exclude:\n    uids: [0, 1-4294967295]\n    namespaces: [{{ pid: {inode} }}]\n    trees: [{}]\n  \
         rate_limit_per_cgroup: {{ per_second: 1, burst: 1 }}\n",
        program().display()
    );
    // It begins only once its test exec was seen.
    let Some(daemon) = Daemon::start_or_skip(|dir| config(dir, &capture, ""))? else {
        return Ok(());
    };
    run_as(USER_OF_ALL, &mark("all"))?;
    let events = daemon.stop()?.events()?;
    assert_eq!(recorded(&events, &mark("all")), 0);
    let execs = events.iter().filter(|event| event["event"]["action"] == "exec").count();
    assert_eq!(execs, 0, "everybody is excluded");
    ensure!(left_out(&events, "excluded_user").0 >= 2);
    Ok(())
}
