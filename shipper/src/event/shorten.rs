//! Shortening of an event that is larger than the other side takes: arguments are cut and environment
//! variables left out, with a mark, until it fits. All else stays, the id too.

use std::sync::Arc;

use super::{Args, Environment, Event};

/// Arguments of the process that are never cut: without its name a command says nothing.
const KEPT: usize = 1;

/// The event with so many of its arguments that `length` is at most `bytes_max`. First those of the
/// leaders go, which are mostly ancestors as well, then those of the farthest ancestors, then its own
/// environment variables, last its own arguments, from the end; `argv[0]` of the process stays,
/// and `count` and `bytes_total` go on to tell what there was. `None` when that is not enough.
///
/// `length` is how many bytes an event has as it is sent; it is asked about twenty times.
pub fn shorten(
    event: &Event,
    bytes_max: usize,
    mut length: impl FnMut(&Event) -> usize,
) -> Option<Event> {
    let mut fits = |event: &Event| length(event) <= bytes_max;
    if fits(event) {
        return Some(event.clone());
    }
    // A report of a loss has nothing that could be left out.
    if matches!(event, Event::Loss(_)) {
        return None;
    }
    let all = cuttable(event);
    let mut shortest = keep(event, 0);
    if !fits(&shortest) {
        return None;
    }
    // Keeping `kept` bytes fits, keeping `over` does not. A mark that is gained can make the event
    // longer than the bytes that are cut make it shorter; what is returned was measured itself.
    let (mut kept, mut over) = (0, all);
    while over - kept > 1 {
        let middle = kept + (over - kept) / 2;
        let candidate = keep(event, middle);
        if fits(&candidate) {
            (kept, shortest) = (middle, candidate);
        } else {
            over = middle;
        }
    }
    Some(shortest)
}

/// What can be cut in all, each argument with its NUL.
fn cuttable(event: &Event) -> usize {
    let bytes = |args: &Args, from: usize| -> usize {
        args.list.iter().skip(from).map(|arg| arg.len() + 1).sum()
    };
    let own = match event {
        Event::Exec(exec) => Some(&exec.process.args),
        Event::Exit(exit) => exit.process.args.as_deref(),
        Event::Loss(_) => None,
    };
    let others = others(event).into_iter().map(|args| bytes(args, 0)).sum::<usize>();
    let variables: usize = match event {
        Event::Exec(exec) => exec.process.env.list.iter().map(|variable| variable.len() + 1).sum(),
        Event::Exit(_) | Event::Loss(_) => 0,
    };
    own.map_or(0, |args| bytes(args, KEPT)) + variables + others
}

/// The arguments of all but the process itself, those that are kept longest first.
fn others(event: &Event) -> Vec<&Arc<Args>> {
    let (ancestry, leaders) = match event {
        Event::Exec(exec) => {
            let process = &exec.process;
            let entry = exec.entry_leader.as_ref().map(|entry| &entry.leader);
            let leaders = [Some(&process.session_leader), Some(&process.group_leader), entry];
            (&exec.ancestry, leaders)
        }
        Event::Exit(exit) => {
            let member = &exit.member;
            let entry = member.entry_leader.as_ref().map(|entry| &entry.leader);
            (&exit.ancestry, [Some(&member.session_leader), Some(&member.group_leader), entry])
        }
        Event::Loss(_) => return Vec::new(),
    };
    let leaders = leaders.into_iter().flatten().map(|leader| &leader.args);
    ancestry.iter().map(|ancestor| &ancestor.args).chain(leaders).flatten().collect()
}

/// The same, to be changed.
fn others_mut(event: &mut Event) -> Vec<&mut Arc<Args>> {
    let (ancestry, leaders) = match event {
        Event::Exec(exec) => {
            let process = &mut exec.process;
            let entry = exec.entry_leader.as_mut().map(|entry| &mut entry.leader);
            let leaders =
                [Some(&mut process.session_leader), Some(&mut process.group_leader), entry];
            (&mut exec.ancestry, leaders)
        }
        Event::Exit(exit) => {
            let member = &mut exit.member;
            let entry = member.entry_leader.as_mut().map(|entry| &mut entry.leader);
            let leaders = [Some(&mut member.session_leader), Some(&mut member.group_leader), entry];
            (&mut exit.ancestry, leaders)
        }
        Event::Loss(_) => return Vec::new(),
    };
    let leaders = leaders.into_iter().flatten().map(|leader| &mut leader.args);
    ancestry.iter_mut().map(|ancestor| &mut ancestor.args).chain(leaders).flatten().collect()
}

/// The event with so many bytes of what can be cut.
fn keep(event: &Event, bytes: usize) -> Event {
    let mut event = event.clone();
    let mut left = bytes;
    match &mut event {
        Event::Exec(exec) => {
            if let Some(args) = cut(&exec.process.args, KEPT, &mut left) {
                exec.process.args = args;
            }
            if let Some(env) = leave_out(&exec.process.env, &mut left) {
                exec.process.env = env;
            }
        }
        Event::Exit(exit) => {
            if let Some(args) = &mut exit.process.args
                && let Some(short) = cut(args, KEPT, &mut left)
            {
                *args = Arc::new(short);
            }
        }
        Event::Loss(_) => {}
    }
    for args in others_mut(&mut event) {
        if let Some(short) = cut(args, 0, &mut left) {
            *args = Arc::new(short);
        }
    }
    event
}

/// The arguments cut to what is left, which is taken from `left`; `None` when that is enough for all.
fn cut(args: &Args, from: usize, left: &mut usize) -> Option<Args> {
    for (place, arg) in args.list.iter().enumerate().skip(from) {
        if arg.len() < *left {
            *left -= arg.len() + 1;
            continue;
        }
        let mut list = args.list[..place].to_vec();
        let head = head(arg, left.saturating_sub(1));
        if !head.is_empty() {
            list.push(head.into());
        }
        *left = 0;
        return Some(Args { list, truncated: true, redacted: args.redacted.clone(), ..*args });
    }
    None
}

/// The variables that fit whole into what is left, which is taken from `left`; `None` when all do.
fn leave_out(env: &Environment, left: &mut usize) -> Option<Environment> {
    for (place, variable) in env.list.iter().enumerate() {
        if variable.len() >= *left {
            *left = 0;
            let list = env.list[..place].to_vec();
            let redacted = env.redacted.clone();
            return Some(Environment { list, truncated: true, redacted, ..*env });
        }
        *left -= variable.len() + 1;
    }
    None
}

/// At most so many bytes from the start. Text is not cut within a character: what is no text any
/// more costs a format more than it saves.
fn head(arg: &[u8], bytes: usize) -> &[u8] {
    match std::str::from_utf8(arg) {
        Ok(text) => &arg[..text.floor_char_boundary(bytes)],
        Err(_) => &arg[..bytes.min(arg.len())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EntryKind, EntryLeader, Exec, Leader, testing};

    /// One byte each argument costs beside its own, as in the list of the spool.
    fn length(event: &Event) -> usize {
        let bytes = |args: &Args| args.list.iter().map(|arg| arg.len() + 1).sum::<usize>();
        if matches!(event, Event::Loss(_)) { 10 } else { lists(event).into_iter().map(bytes).sum() }
    }

    /// The arguments of the process and its ancestors.
    fn lists(event: &Event) -> Vec<&Args> {
        let (own, ancestry) = match event {
            Event::Exec(exec) => (Some(&exec.process.args), &exec.ancestry),
            Event::Exit(exit) => (exit.process.args.as_deref(), &exit.ancestry),
            Event::Loss(_) => unreachable!("it has none"),
        };
        let ancestors = ancestry.iter().filter_map(|ancestor| ancestor.args.as_deref());
        own.into_iter().chain(ancestors).collect()
    }

    /// The arguments of the process and its ancestors, `+` where something was cut.
    fn shown(event: &Event) -> Vec<String> {
        let shown = |args: &Args| {
            let list: Vec<_> = args.list.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
            format!("{}{}", list.join(" "), if args.truncated { "+" } else { "" })
        };
        lists(event).into_iter().map(shown).collect()
    }

    #[test]
    fn the_farthest_ancestor_is_cut_first_and_the_process_last() {
        let event = testing::exec();
        let all = length(&event);
        assert_eq!(shown(&event), ["ls -l", "sh -c ls -l", "sshd -D", "init splash"]);
        assert_eq!(shown(&testing::exit()), shown(&event));
        let cases: [(usize, [&str; 4]); 9] = [
            (all, ["ls -l", "sh -c ls -l", "sshd -D", "init splash"]),
            (all - 1, ["ls -l", "sh -c ls -l", "sshd -D", "init splas+"]),
            (all - 7, ["ls -l", "sh -c ls -l", "sshd -D", "init+"]),
            (all - 12, ["ls -l", "sh -c ls -l", "sshd -D", "+"]),
            (all - 13, ["ls -l", "sh -c ls -l", "sshd -+", "+"]),
            (all - 20, ["ls -l", "sh -c ls -l", "+", "+"]),
            (all - 23, ["ls -l", "sh -c ls+", "+", "+"]),
            (6, ["ls -l", "+", "+", "+"]),
            (3, ["ls+", "+", "+", "+"]),
        ];
        for (bytes_max, expected) in cases {
            for event in [&event, &testing::exit()] {
                let short = shorten(event, bytes_max, length).expect("can be made that short");
                assert_eq!(shown(&short), expected, "{bytes_max}");
            }
        }
        assert_eq!(shorten(&event, 2, length), None);
        assert_eq!(shorten(&testing::exit(), 2, length), None);
    }

    #[test]
    fn leaders_are_cut_before_any_ancestor() {
        let Event::Exec(mut exec) = testing::exec() else { unreachable!("an execution") };
        let leader = Leader { args: Some(Arc::new(testing::args(["bash"]))), ..Leader::default() };
        exec.process.session_leader = leader.clone();
        exec.entry_leader = Some(EntryLeader { leader, kind: EntryKind::Sshd });
        let all = |event: &Event| {
            let Event::Exec(exec) = event else { return 0 };
            let entry = exec.entry_leader.as_ref().map(|entry| &entry.leader);
            let leaders = [entry, Some(&exec.process.session_leader)].into_iter().flatten();
            let args = leaders.filter_map(|leader| leader.args.as_deref());
            length(event)
                + args
                    .map(|args| args.list.iter().map(|arg| arg.len()).sum::<usize>())
                    .sum::<usize>()
        };
        let event = Event::Exec(exec);
        let short = shorten(&event, all(&event) - 8, all).expect("can be made that short");
        assert_eq!(shown(&short), shown(&event));
        let Event::Exec(short) = short else { unreachable!("an execution") };
        let entry = short.entry_leader.expect("an entry leader").leader.args.expect("arguments");
        assert!(entry.truncated && entry.list.is_empty() && entry.count == 1);
    }

    #[test]
    fn environment_variables_are_left_out_whole_before_any_argument_of_the_process_is_cut() {
        let Event::Exec(mut exec) = testing::exec() else { unreachable!("an execution") };
        exec.ancestry.clear();
        exec.process.env.list = ["A=12345", "LD_PRELOAD=x"].map(|v| v.as_bytes().into()).into();
        let event = Event::Exec(exec);
        let all = |event: &Event| {
            let Event::Exec(exec) = event else { return 0 };
            length(event) + exec.process.env.list.iter().map(|v| v.len() + 1).sum::<usize>()
        };
        assert_eq!(all(&event), 27);
        for (bytes_max, args, variables, truncated) in [
            (27, "ls -l", 2, false),
            (26, "ls -l", 1, true),
            (14, "ls -l", 1, true),
            (13, "ls -l", 0, true),
            (6, "ls -l", 0, true),
            (5, "ls -+", 0, true),
        ] {
            let short = shorten(&event, bytes_max, all).expect("can be made that short");
            assert_eq!(shown(&short), [args], "{bytes_max}");
            let Event::Exec(short) = short else { unreachable!("an execution") };
            let env = &short.process.env;
            assert_eq!((env.list.len(), env.truncated), (variables, truncated), "{bytes_max}");
        }
    }

    #[test]
    fn what_there_was_is_still_told() {
        let short = shorten(&testing::exec(), 3, length).expect("can be made that short");
        let (Event::Exec(long), Event::Exec(short)) = (testing::exec(), short) else {
            unreachable!("executions")
        };
        assert_eq!(short.id, long.id);
        assert_eq!((short.process.args.count, short.process.args.bytes_total), (2, 6));
        let args = short.ancestry[0].args.as_ref().expect("arguments");
        assert_eq!((args.count, args.bytes_total, args.list.len()), (3, 12, 0));
        let uncut =
            Exec { process: long.process.clone(), ancestry: long.ancestry.clone(), ..*short };
        assert_eq!(uncut, *long, "nothing but arguments is cut");
    }

    #[test]
    fn text_is_not_cut_within_a_character() {
        let Event::Exec(mut exec) = testing::exec() else { unreachable!("an execution") };
        exec.ancestry.clear();
        exec.process.args = testing::args(["x", "ééé"]);
        let event = Event::Exec(exec);
        let short = |bytes_max| shown(&shorten(&event, bytes_max, length).expect("fits")).remove(0);
        assert_eq!([short(8), short(7), short(6), short(5)], ["x éé+", "x éé+", "x é+", "x é+"]);
    }

    #[test]
    fn a_report_of_a_loss_stays_as_it_is() {
        assert_eq!(shorten(&testing::loss(), 9, length), None);
        assert_eq!(shorten(&testing::loss(), 10, length), Some(testing::loss()));
    }
}
