//! Shortened events: within their budget, marked where something was cut, else as they were.

use std::sync::Arc;

use proptest::prelude::*;
use shipper::event::{Args, Event, codec, shorten};

use super::{events, line};

/// No event has fewer arguments than this leaves.
fn shortest(event: &Event) -> Event {
    let mut event = event.clone();
    let cut = |args: &mut Args, kept: usize| {
        args.truncated |= args.list.len() > kept;
        args.list.truncate(kept);
    };
    let ancestry = match &mut event {
        Event::Exec(exec) => {
            cut(&mut exec.process.args, 1);
            &mut exec.ancestry
        }
        Event::Exit(exit) => {
            if let Some(args) = &mut exit.process.args {
                cut(Arc::make_mut(args), 1);
            }
            &mut exit.ancestry
        }
        Event::Loss(_) => return event,
    };
    for args in ancestry.iter_mut().filter_map(|ancestor| ancestor.args.as_mut()) {
        cut(Arc::make_mut(args), 0);
    }
    event
}

/// The arguments of the process and its ancestors, and the event without them.
fn taken_apart(event: &Event) -> Option<(Vec<Option<Args>>, Event)> {
    let mut event = event.clone();
    let take = |args: &mut Option<Arc<Args>>| args.take().map(Arc::unwrap_or_clone);
    let (own, ancestry) = match &mut event {
        Event::Exec(exec) => (Some(std::mem::take(&mut exec.process.args)), &mut exec.ancestry),
        Event::Exit(exit) => (take(&mut exit.process.args), &mut exit.ancestry),
        Event::Loss(_) => return None,
    };
    let ancestors = ancestry.iter_mut().map(|ancestor| take(&mut ancestor.args));
    Some((std::iter::once(own).chain(ancestors).collect(), event))
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
        prop_assert_eq!(rest_of_short, rest_of_long, "nothing but arguments is cut");
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
