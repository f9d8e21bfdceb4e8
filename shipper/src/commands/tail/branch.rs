//! The process tree as it happens: each exec, and each end, stands below its ancestors, which are printed, dim,
//! when they were not shown yet or when other branches have come between.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;

use super::lineage::{Lineage, is_loss};
use crate::format::pretty::Pretty;

/// Processes remembered as shown. A busy host has some hundred; one that is forgotten is only
/// shown once more.
const SHOWN_MAX: usize = 4096;
/// Branches drawn in front of a line. Deeper processes are drawn at this depth: a chain that long
/// is a loop of something, and the line must keep room for its command.
const DEPTH_DRAWN_MAX: usize = 24;

/// What of the tree is on the screen.
#[derive(Default)]
pub struct Branch {
    /// Depth of each process that was shown, and when it was last of use.
    shown: HashMap<String, (usize, u64)>,
    /// The process on the lowest line of each depth, down to the last line printed.
    path: Vec<String>,
    uses: u64,
}

impl Branch {
    /// Prints the event, ancestors first, a line at a time.
    pub fn show(
        &mut self,
        event: &Value,
        pretty: &Pretty,
        now: Timestamp,
        print: &mut impl FnMut(&str),
    ) {
        if is_loss(event) {
            return print(&pretty.line(event, now));
        }
        let lineage = Lineage::of(event);
        let mut depths = Vec::with_capacity(lineage.ancestors.len());
        for (id, _) in &lineage.ancestors {
            let below = depths.last().map_or(0, |depth| depth + 1);
            depths.push(self.shown.get(*id).map_or(below, |(depth, _)| *depth));
        }
        let ancestors = lineage.ancestors.iter().zip(&depths);

        // From the first that was not shown; and one above it, when that is not the line it would
        // seem to hang from.
        let mut from = lineage
            .ancestors
            .iter()
            .position(|(id, _)| !self.shown.contains_key(*id))
            .unwrap_or(depths.len());
        if let Some(above) = from.checked_sub(1) {
            let (id, _) = lineage.ancestors[above];
            if self.path.get(depths[above]).is_none_or(|on_path| on_path != id) {
                from = above;
            }
        }
        for ((id, ancestor), depth) in ancestors.skip(from) {
            print(&pretty.ancestor_line(ancestor).below(&glyphs(*depth)));
            self.mark(id, *depth);
        }
        let depth = depths.last().map_or(0, |depth| depth + 1);
        let glyphs = glyphs(depth);
        print(&pretty.tree_line(event, now, glyphs.chars().count()).below(&glyphs));
        self.mark(lineage.id.unwrap_or_default(), depth);
        for (id, _) in &lineage.ancestors {
            self.touch(id);
        }
    }

    /// Notes that a line for the process was printed.
    fn mark(&mut self, id: &str, depth: usize) {
        self.path.resize(depth, String::new());
        self.path.push(id.to_owned());
        if id.is_empty() {
            return;
        }
        if self.shown.len() >= SHOWN_MAX {
            self.forget();
        }
        self.shown.insert(id.to_owned(), (depth, self.uses));
        self.touch(id);
    }

    fn touch(&mut self, id: &str) {
        self.uses += 1;
        if let Some((_, used)) = self.shown.get_mut(id) {
            *used = self.uses;
        }
    }

    /// Forgets the half that was of no use for longest, so that this happens seldom.
    fn forget(&mut self) {
        let mut used: Vec<u64> = self.shown.values().map(|(_, used)| *used).collect();
        let (_, middle, _) = used.select_nth_unstable(SHOWN_MAX / 2);
        let middle = *middle;
        self.shown.retain(|_, (_, used)| *used > middle);
    }
}

fn glyphs(depth: usize) -> String {
    match depth.min(DEPTH_DRAWN_MAX) {
        0 => String::new(),
        depth => "│ ".repeat(depth - 1) + "└─ ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tail::lineage::fixture::{end, exec, loss, pretty};

    fn shown(events: &[Value]) -> String {
        let mut branch = Branch::default();
        let mut text = String::new();
        for event in events {
            branch.show(event, &pretty(), Timestamp::UNIX_EPOCH, &mut |line| {
                text.push('\n');
                text.push_str(line);
            });
        }
        text
    }

    #[test]
    fn an_exec_stands_below_its_ancestors_and_each_is_printed_once() {
        let events = [
            exec("make", &["systemd", "sshd", "bash"]),
            exec("cc", &["systemd", "sshd", "bash", "make"]),
            exec("ld", &["systemd", "sshd", "bash", "make", "cc"]),
            exec("ls", &["systemd", "sshd", "bash"]),
        ];
        assert_eq!(
            shown(&events),
            "
                            1 systemd -x
                            2 └─ sshd -x
                            3 │ └─ bash -x
00:00:00.000 alice          4 │ │ └─ /bin/make -x
00:00:00.000 alice          5 │ │ │ └─ /bin/cc -x
00:00:00.000 alice          6 │ │ │ │ └─ /bin/ld -x
00:00:00.000 alice          4 │ │ └─ /bin/ls -x"
        );
    }

    #[test]
    fn a_parent_is_repeated_when_another_branch_came_between() {
        let events = [
            exec("ls", &["systemd", "bash"]),
            exec("run-parts", &["systemd", "cron"]),
            exec("wc", &["systemd", "bash"]),
            exec("sort", &["systemd", "bash"]),
        ];
        assert_eq!(
            shown(&events),
            "
                            1 systemd -x
                            2 └─ bash -x
00:00:00.000 alice          3 │ └─ /bin/ls -x
                            2 └─ cron -x
00:00:00.000 alice          3 │ └─ /bin/run-parts -x
                            2 └─ bash -x
00:00:00.000 alice          3 │ └─ /bin/wc -x
00:00:00.000 alice          3 │ └─ /bin/sort -x"
        );
    }

    #[test]
    fn an_end_stands_where_its_process_stood() {
        let events = [
            exec("make", &["init"]),
            exec("cc", &["init", "make"]),
            end("cc", &["init", "make"], 1),
            end("make", &["init"], 2),
        ];
        assert_eq!(
            shown(&events),
            "
                            1 init -x
00:00:00.000 alice          2 └─ /bin/make -x
00:00:00.000 alice          3 │ └─ /bin/cc -x
00:00:00.000 -              3 │ └─ exit 1: cc -x
00:00:00.000 -              2 └─ exit 2: make -x"
        );
    }

    #[test]
    fn losses_and_events_without_ancestors_stand_at_the_root() {
        let mut orphan = exec("ls", &[]);
        orphan["process"]["entity_id"] = Value::Null;
        assert_eq!(
            shown(&[exec("a", &["init"]), loss(), orphan]),
            "
                            1 init -x
00:00:00.000 alice          2 └─ /bin/a -x
00:00:00.000 LOSS 12 records were lost
00:00:00.000 alice          1 /bin/ls -x"
        );
    }

    #[test]
    fn memory_stays_bounded_and_deep_chains_stay_readable() {
        let mut branch = Branch::default();
        let mut widest = 0;
        let mut parent = "p0".to_owned();
        for number in 1..3 * SHOWN_MAX {
            let name = format!("p{number}");
            branch.show(&exec(&name, &[&parent]), &pretty(), Timestamp::UNIX_EPOCH, &mut |line| {
                widest = widest.max(line.chars().count());
            });
            parent = name;
            assert!(branch.shown.len() <= SHOWN_MAX);
        }
        assert!(widest < 120, "{widest}");
    }
}
