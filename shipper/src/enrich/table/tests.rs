//! The table of processes, held to what forks, executions and ends make of it.

use super::*;

fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, start_ticks: u64::from(pid) * 10 }
}

fn program(table: &Table, name: &str) -> Arc<Program> {
    table.program(name.as_bytes().into(), Some(format!("/bin/{name}").into_bytes().into()), None)
}

fn name(table: &Table, pid: u32) -> Option<String> {
    let (_, program, _) = table.get(key(pid))?;
    Some(String::from_utf8_lossy(&program?.name).into_owned())
}

#[test]
fn a_child_runs_what_its_parent_ran_until_it_executes() {
    let mut table = Table::new(10);
    table.exec(key(1), None, program(&table, "sh"));
    table.fork(key(1), key(2));
    assert_eq!(name(&table, 2).as_deref(), Some("sh"));
    table.exec(key(2), None, program(&table, "ls"));
    assert_eq!((name(&table, 1).as_deref(), name(&table, 2).as_deref()), (Some("sh"), Some("ls")));
    assert_eq!(table.get(key(2)).and_then(|(parent, ..)| parent), Some(key(1)));
}

#[test]
fn a_child_stands_where_its_parent_stood_and_a_new_session_is_learnt_from_whoever_is_in_it() {
    let mut table = Table::new(10);
    let standing = Standing {
        sid: Some(1),
        pgid: Some(1),
        tty: Some((136, 0)),
        euid: Some(7),
        container: None,
    };
    table.exec(key(1), None, program(&table, "sh"));
    table.stand(key(1), standing.clone());
    table.fork(key(1), key(2));
    assert_eq!(table.standing(key(2)), Some(&standing));
    table.leads_session(key(2), None);
    let alone = Standing { sid: Some(2), pgid: Some(2), tty: None, ..standing.clone() };
    assert_eq!(table.standing(key(2)), Some(&alone));
    table.leads_session(key(2), Some((136, 1)));
    table.leads_session(key(2), None);
    let with_terminal = Standing { tty: Some((136, 1)), ..alone };
    assert_eq!(table.standing(key(2)), Some(&with_terminal), "one in it may have given it up");
    assert_eq!(table.standing(key(1)), Some(&standing));
    assert_eq!(table.standing(key(3)), None);
}

#[test]
fn a_group_of_its_own_is_learnt_from_whoever_is_in_it() {
    let mut table = Table::new(10);
    table.exec(key(1), None, program(&table, "sh"));
    let standing = Standing { sid: Some(1), pgid: Some(1), ..Standing::default() };
    table.stand(key(1), standing.clone());
    table.fork(key(1), key(2));
    table.leads_group(key(2));
    table.fork(key(2), key(3));
    let job = Standing { pgid: Some(2), ..standing.clone() };
    assert_eq!(table.standing(key(2)), Some(&job));
    assert_eq!(table.standing(key(3)), Some(&job), "as it was when it was made");
    assert_eq!(table.standing(key(1)), Some(&standing));
}

#[test]
fn a_start_is_as_fine_as_it_was_told() {
    let mut table = Table::new(10);
    let clock = Clock::now();
    table.fork(key(1), key(2));
    assert_eq!(table.start(key(2), clock), clock.wall(200_000_000));
    table.started(key(2), 200_000_007);
    assert_eq!(table.start(key(2), clock), clock.wall(200_000_007));
}

#[test]
fn a_parent_that_ended_is_kept_as_long_as_a_descendant_lives() {
    let mut table = Table::new(10);
    table.exec(key(1), None, program(&table, "a"));
    table.fork(key(1), key(2));
    table.fork(key(2), key(3));
    table.exit(key(1));
    table.exit(key(2));
    assert_eq!((name(&table, 1).as_deref(), table.len()), (Some("a"), 3));
    table.exit(key(3));
    assert_eq!(table.len(), 0);
    assert_eq!(table.evicted(), 0);
}

#[test]
fn a_parent_found_after_its_child_is_kept_as_well() {
    let mut table = Table::new(10);
    table.found(key(2), Some(key(7)), Some(program(&table, "child")));
    table.found(key(7), None, Some(program(&table, "parent")));
    table.exit(key(7));
    assert_eq!(name(&table, 7).as_deref(), Some("parent"), "its child lives");
    table.exit(key(2));
    assert_eq!((table.len(), table.absent.len()), (0, 0));
    // Nor is anything left of parents that never came, or were evicted.
    table.fork(key(8), key(3));
    table.exit(key(3));
    assert_eq!((table.len(), table.absent.len()), (0, 0));
}

#[test]
fn the_fork_names_the_parent_even_when_proc_was_asked_first() {
    let mut table = Table::new(10);
    table.exec(key(1), None, program(&table, "init"));
    table.exec(key(5), Some(key(1)), program(&table, "cron"));
    table.found(key(6), Some(key(1)), Some(program(&table, "job")));
    table.fork(key(5), key(6));
    table.exit(key(5));
    assert_eq!(table.get(key(6)).and_then(|(parent, ..)| parent), Some(key(5)));
    assert_eq!(name(&table, 5).as_deref(), Some("cron"), "its child lives");
    table.exit(key(6));
    assert_eq!((table.len(), table.absent.len()), (1, 0));
    table.exit(key(1));
    assert!(table.is_empty(), "the adopter is not held by the child it never had");
}

#[test]
fn a_child_that_had_ended_when_proc_was_asked_ran_what_its_parent_ran() {
    let mut table = Table::new(10);
    table.exec(key(5), None, program(&table, "cron"));
    assert!(table.found(key(6), Some(key(1)), None));
    assert_eq!(name(&table, 6), None);
    table.fork(key(5), key(6));
    assert_eq!(name(&table, 6).as_deref(), Some("cron"));
    assert_eq!(table.get(key(6)).map(|(.., source)| source), Some(Source::Event));
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let mut table = Table::new(10);
    table.exec(key(5), None, program(&table, "old"));
    let again = ProcessKey { pid: 5, start_ticks: 999 };
    table.fork(key(1), again);
    assert_eq!(table.newest(5), Some(again));
    assert!(table.get(key(5)).is_none(), "its exit was lost, it is gone all the same");
}

#[test]
fn a_full_table_forgets_the_ended_first_and_counts() {
    let mut table = Table::new(3);
    table.exec(key(1), None, program(&table, "a"));
    table.fork(key(1), key(2));
    table.exit(key(1));
    table.fork(key(2), key(3));
    table.fork(key(2), key(4));
    assert!(table.get(key(1)).is_none());
    assert_eq!((table.len(), table.evicted()), (3, 1));
    table.fork(key(2), key(6));
    assert!(table.get(key(6)).is_none(), "nothing has ended: no room");
    assert_eq!((table.len(), table.evicted()), (3, 2));
    for pid in [2, 3, 4] {
        table.exit(key(pid));
    }
    assert_eq!((table.len(), table.absent.len()), (0, 0));
}

#[test]
fn a_full_table_keeps_the_programs_of_as_many_processes_as_it_may_have() {
    let mut table = Table::new(2 * ENTRIES_MIN);
    let args = Args { list: vec![vec![b'x'; 4000].into()], count: 1, ..Args::default() };
    let pids = 1..2 * ENTRIES_MIN as u32;
    for pid in pids.clone() {
        let program = table.program(b"x".as_slice().into(), None, Some(&args));
        table.exec(key(pid), None, program);
    }
    let bytes = table.budget.load(Ordering::Relaxed);
    assert!(bytes < 2 * ENTRIES_MIN * (PROGRAM_BYTES_EACH + 20), "{bytes} bytes");
    let kept = pids.filter(|pid| {
        let args = table.get(key(*pid)).and_then(|(_, program, _)| program?.args.clone());
        args.is_some_and(|args| !args.truncated)
    });
    assert_eq!(kept.count(), 2 * ENTRIES_MIN * PROGRAM_BYTES_EACH / 4017);
    assert_eq!(table.evicted(), 0);
}

#[test]
fn what_lived_when_executions_were_lost_has_no_program_until_it_is_seen_anew() {
    let mut table = Table::new(10);
    let sh = program(&table, "sh");
    for pid in 1..=5 {
        table.exec(key(pid), None, sh.clone());
    }
    table.fork(key(5), key(6));
    table.exit(key(5));
    table.doubt();
    let names = |table: &Table| (1..=7).map(|pid| name(table, pid)).collect::<Vec<_>>();
    let sh = Some("sh".to_owned());
    let known = [None, None, None, None, sh.clone(), None, None];
    assert_eq!(names(&table), known, "one had ended before");
    assert_eq!(table.in_doubt(10).len(), 5);
    assert_eq!(table.in_doubt(2).len(), 2);
    table.exec(key(1), None, program(&table, "ls"));
    assert!(table.found(key(2), None, Some(program(&table, "vi"))));
    assert!(!table.found(key(1), None, Some(program(&table, "other"))), "an event says it already");
    table.fork(key(3), key(7));
    table.exit(key(3));
    let (ls, vi) = (Some("ls".to_owned()), Some("vi".to_owned()));
    assert_eq!(names(&table), [ls, vi, None, None, sh, None, None], "3 and its child are in doubt");
    assert_eq!(table.in_doubt(10).len(), 3, "4, 6 and 7");
    table.doubt_one(key(2));
    assert_eq!(name(&table, 2), None);
}

#[test]
fn lost_exits_are_made_good_by_a_look_at_proc() {
    let mut table = Table::new(10);
    for pid in 1..5 {
        table.exec(key(pid), None, program(&table, "x"));
    }
    table.reconcile(|key| key.pid % 2 == 0);
    assert_eq!(table.len(), 2);
}

#[test]
fn arguments_are_cut_to_what_the_table_keeps_and_the_budget_is_given_back() {
    let mut table = Table::new(10);
    let args = Args {
        list: vec![b"a".as_slice().into(), vec![b'x'; 10_000].into()],
        count: 2,
        bytes_total: 10_003,
        ..Args::default()
    };
    let program = table.program(b"x".as_slice().into(), None, Some(&args));
    let kept = program.args.clone().expect("arguments");
    assert!(kept.truncated && kept.count == 2);
    assert_eq!(kept.list.iter().map(|arg| arg.len()).sum::<usize>(), ARGS_BYTES_MAX - 1);
    table.exec(key(1), None, program);
    assert!(table.budget.load(Ordering::Relaxed) > 0);
    table.exit(key(1));
    assert_eq!(table.budget.load(Ordering::Relaxed), 0);
}

#[test]
fn chains_that_end_from_the_middle_leave_nothing_behind() {
    let mut table = Table::new(1000);
    table.exec(key(1), None, program(&table, "init"));
    // A daemon that forks and exits, over and over.
    for pid in 2..500 {
        table.fork(key(pid - 1), key(pid));
        table.exit(key(pid - 1));
    }
    assert_eq!(table.len(), 499);
    table.exit(key(499));
    assert_eq!(table.len(), 0);
    assert!(table.ended.len() <= 64);
}
