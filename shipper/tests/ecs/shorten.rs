//! Shortened events: within their budget, marked where something was cut, else as they were.

use std::sync::Arc;

use proptest::prelude::*;
use shipper::event::{Args, Event, Exec, codec, shorten};

use super::{events, line};

/// No event has fewer arguments than this leaves.
fn shortest(event: &Event) -> Event {
    let Event::Exec(exec) = event else { return event.clone() };
    let mut exec = exec.clone();
    let cut = |args: &mut Args, kept: usize| {
        args.truncated |= args.list.len() > kept;
        args.list.truncate(kept);
    };
    cut(&mut exec.process.args, 1);
    for args in others(&mut exec).into_iter().flatten() {
        cut(Arc::make_mut(args), 0);
    }
    Event::Exec(exec)
}

/// The arguments of all but the process, those that are kept longest first.
fn others(exec: &mut Exec) -> Vec<&mut Option<Arc<Args>>> {
    let mut all: Vec<_> = exec.ancestry.iter_mut().map(|ancestor| &mut ancestor.args).collect();
    all.push(&mut exec.process.session_leader.args);
    all.push(&mut exec.process.group_leader.args);
    all.extend(exec.entry_leader.as_mut().map(|entry| &mut entry.leader.args));
    all
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
        let (Event::Exec(mut long), Event::Exec(mut short)) = (event, short) else { return Ok(()) };
        let (of_long, of_short) = (&long.process.args, &short.process.args);
        prop_assert_eq!(of_short.list.first(), of_long.list.first(), "argv[0] is kept");
        prop_assert!(is_cut_of(of_short, of_long), "{:?} of {:?}", of_short, of_long);
        let mut all_cut = of_short.list != of_long.list;
        let mut restored = short.clone();
        restored.process.args = of_long.clone();
        for (of_short, of_long) in others(&mut short).into_iter().zip(others(&mut long)) {
            let (Some(of_short), Some(of_long)) = (of_short, of_long) else { continue };
            prop_assert!(is_cut_of(of_short, of_long), "{:?} of {:?}", of_short, of_long);
            prop_assert!(!all_cut || of_short.list.is_empty(), "leaders and the farthest go first");
            all_cut |= of_short.list != of_long.list;
        }
        for (restored, of_long) in others(&mut restored).into_iter().zip(others(&mut long)) {
            restored.clone_from(of_long);
        }
        prop_assert_eq!(restored, long, "nothing but arguments is cut");
    }
}
