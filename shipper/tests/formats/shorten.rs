//! Shortened events: within their budget, marked where something was cut, else as they were.

use std::sync::Arc;

use proptest::prelude::*;
use shipper::event::{Ancestor, Args, EntryLeader, Environment, Event, Leader, codec, shorten};

use super::events;
use shipper::format::Format;

fn line(event: &Event) -> Vec<u8> {
    super::line(Format::Ecs, event)
}

/// No event has fewer arguments and variables than this leaves.
fn shortest(event: &Event) -> Event {
    let mut event = event.clone();
    let cut = |args: &mut Args, kept: usize| {
        args.truncated |= args.list.len() > kept;
        args.list.truncate(kept);
    };
    match &mut event {
        Event::Exec(exec) => {
            cut(&mut exec.process.args, 1);
            exec.process.env.truncated |= !exec.process.env.list.is_empty();
            exec.process.env.list.clear();
        }
        Event::Exit(exit) => {
            if let Some(args) = &mut exit.process.args {
                cut(Arc::make_mut(args), 1);
            }
        }
        Event::Loss(_) => return event,
    }
    for args in others(&mut event).into_iter().flatten() {
        cut(Arc::make_mut(args), 0);
    }
    event
}

/// The arguments of the process, its environment variables, and the arguments of all others, those that
/// are kept longest first, and the event without them.
fn taken_apart(event: &Event) -> Option<(Vec<Option<Args>>, Event)> {
    let mut event = event.clone();
    let take = |args: &mut Option<Arc<Args>>| args.take().map(Arc::unwrap_or_clone);
    let own = match &mut event {
        Event::Exec(exec) => {
            let Environment { list, truncated, faulted, redacted } =
                std::mem::take(&mut exec.process.env);
            let env = Args { list, truncated, faulted, redacted, ..Args::default() };
            [Some(std::mem::take(&mut exec.process.args)), Some(env)]
        }
        Event::Exit(exit) => [take(&mut exit.process.args), None],
        Event::Loss(_) => return None,
    };
    let others: Vec<_> = others(&mut event).into_iter().map(take).collect();
    Some((own.into_iter().chain(others).collect(), event))
}

/// The arguments of all but the process, those that are kept longest first.
fn others(event: &mut Event) -> Vec<&mut Option<Arc<Args>>> {
    match event {
        Event::Exec(exec) => {
            let process = &mut exec.process;
            let leaders = [&mut process.session_leader, &mut process.group_leader];
            args_of(&mut exec.ancestry, leaders, &mut exec.entry_leader)
        }
        Event::Exit(exit) => {
            let member = &mut exit.member;
            let leaders = [&mut member.session_leader, &mut member.group_leader];
            args_of(&mut exit.ancestry, leaders, &mut member.entry_leader)
        }
        Event::Loss(_) => Vec::new(),
    }
}

fn args_of<'e>(
    ancestry: &'e mut [Ancestor],
    leaders: [&'e mut Leader; 2],
    entry: &'e mut Option<EntryLeader>,
) -> Vec<&'e mut Option<Arc<Args>>> {
    let entry = entry.iter_mut().map(|entry| &mut entry.leader);
    let leaders = leaders.into_iter().chain(entry).map(|leader| &mut leader.args);
    ancestry.iter_mut().map(|ancestor| &mut ancestor.args).chain(leaders).collect()
}

/// Both are the same but for what was cut, which is marked.
fn is_cut_of(short: &Args, long: &Args) -> bool {
    let whole = short.list.len().saturating_sub(1);
    let is_head = short.list.len() <= long.list.len()
        && short.list[..whole] == long.list[..whole]
        && short.list.last().is_none_or(|last| long.list[whole].starts_with(last));
    let is_marked = short.truncated == (long.truncated || short.list != long.list);
    is_head
        && is_marked
        && Args { list: Vec::new(), truncated: false, ..short.clone() }
            == Args { list: Vec::new(), truncated: false, ..long.clone() }
}

fn codec_length(event: &Event) -> usize {
    let mut bytes = Vec::new();
    codec::encode(event, &mut bytes);
    bytes.len()
}

proptest! {
    #[test]
    fn any_event_fits_any_budget_from_its_shortest_on(
        event in events::event(),
        share in 0..=1000_usize,
        is_json in any::<bool>(),
    ) {
        let length: fn(&Event) -> usize =
            if is_json { |event| line(event).len() } else { codec_length };
        let least = length(&shortest(&event));
        let whole = length(&event);
        let budget = least + whole.saturating_sub(least) * share / 1000;
        let short = shorten(&event, budget, length).expect("from the shortest on");
        prop_assert!(length(&short) <= budget);
        if budget >= whole {
            prop_assert_eq!(&short, &event, "nothing is cut that fits");
        }
        if least > 0 && least < whole {
            prop_assert_eq!(shorten(&event, least - 1, length), None);
        }
        let (Some((long, rest_of_long)), Some((short, rest_of_short))) =
            (taken_apart(&event), taken_apart(&short))
        else {
            return Ok(());
        };
        prop_assert_eq!(rest_of_short, rest_of_long, "nothing but arguments and variables is cut");
        let mut all_cut = false;
        for (place, (of_short, of_long)) in short.iter().zip(&long).enumerate() {
            prop_assert_eq!(of_short.is_some(), of_long.is_some());
            let (Some(of_short), Some(of_long)) = (of_short, of_long) else { continue };
            prop_assert!(is_cut_of(of_short, of_long), "{:?} of {:?}", of_short, of_long);
            if place == 0 {
                prop_assert_eq!(of_short.list.first(), of_long.list.first(), "argv[0] is kept");
            } else {
                prop_assert!(!all_cut || of_short.list.is_empty(), "the farthest are cut first");
            }
            all_cut |= of_short.list != of_long.list;
        }
    }
}
