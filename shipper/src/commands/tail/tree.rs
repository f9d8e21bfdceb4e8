//! The process tree of a file that is read to its end: children under parents, in the order in
//! which they were seen.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::Value;

use super::lineage::{Lineage, is_loss};
use crate::format::pretty::{Pretty, TreeLine};

/// Events of one tree. More would not be looked at, and each keeps up to some kilobytes in memory.
pub const EVENTS_MAX: usize = 10_000;
/// Levels that are drawn one further in than their parents. Deeper ones begin
/// again at the left.
const DEPTH_DRAWN_MAX: usize = 24;
/// Columns of one level.
const LEVEL_COLUMNS: usize = 3;

/// A tree that grows by events and is printed once.
#[derive(Default)]
pub struct Tree {
    nodes: Vec<Node>,
    by_id: HashMap<String, usize>,
    losses: Vec<String>,
}

/// A process.
#[derive(Default)]
struct Node {
    parent: Option<usize>,
    children: Vec<usize>,
    /// One for each program it became, and one for its end.
    execs: Vec<TreeLine>,
    /// What its descendants say of it.
    described: Option<TreeLine>,
}

impl Tree {
    /// Adds an event; the caller adds at most [`EVENTS_MAX`].
    pub fn add(&mut self, event: &Value, pretty: &Pretty, now: Timestamp) {
        if is_loss(event) {
            self.losses.push(pretty.line(event, now));
            return;
        }
        let lineage = Lineage::of(event);
        let mut parent = None;
        for (id, ancestor) in &lineage.ancestors {
            let node = self.node(Some(id), parent);
            if self.nodes[node].described.is_none() {
                self.nodes[node].described = Some(pretty.ancestor_line(ancestor));
            }
            parent = Some(node);
        }
        let depth = lineage.ancestors.len().min(DEPTH_DRAWN_MAX);
        let node = self.node(lineage.id, parent);
        self.nodes[node].execs.push(pretty.tree_line(event, now, depth * LEVEL_COLUMNS));
    }

    /// The node of the process, hung below `parent` where it has none yet.
    fn node(&mut self, id: Option<&str>, parent: Option<usize>) -> usize {
        let known = id.and_then(|id| self.by_id.get(id)).copied();
        let node = known.unwrap_or_else(|| {
            self.nodes.push(Node::default());
            let node = self.nodes.len() - 1;
            if let Some(id) = id {
                self.by_id.insert(id.to_owned(), node);
            }
            node
        });
        if let Some(parent) = parent
            && self.nodes[node].parent.is_none()
            && !self.descends(parent, node)
        {
            self.nodes[node].parent = Some(parent);
            self.nodes[parent].children.push(node);
        }
        node
    }

    /// Whether `node` is `above` or below it. A damaged file must not make a circle.
    fn descends(&self, node: usize, above: usize) -> bool {
        std::iter::successors(Some(node), |node| self.nodes[*node].parent).any(|node| node == above)
    }

    /// Prints the tree, then the losses, a line at a time.
    pub fn print(&self, print: &mut impl FnMut(&str)) {
        let roots = (0..self.nodes.len()).filter(|node| self.nodes[*node].parent.is_none());
        for root in roots {
            self.print_below(root, print);
        }
        self.losses.iter().for_each(|loss| print(loss));
    }

    fn print_below(&self, root: usize, print: &mut impl FnMut(&str)) {
        // No recursion: a file decides how deep this goes.
        let mut open = vec![(root, String::new(), String::new())];
        while let Some((node, first, rest)) = open.pop() {
            let node = &self.nodes[node];
            match node.execs.split_first() {
                None => node.described.iter().for_each(|line| print(&line.below(&first))),
                Some((exec, later)) => {
                    print(&exec.below(&first));
                    later.iter().for_each(|exec| print(&exec.below(&format!("{rest}=> "))));
                }
            }
            let deep = rest.chars().count() >= DEPTH_DRAWN_MAX * LEVEL_COLUMNS;
            let rest = if deep { "" } else { rest.as_str() };
            for (at, child) in node.children.iter().enumerate().rev() {
                let last = at + 1 == node.children.len();
                let (branch, beside) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                open.push((*child, format!("{rest}{branch}"), format!("{rest}{beside}")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tail::lineage::fixture::{end, exec, loss, pretty};

    fn printed(events: &[Value]) -> String {
        let mut tree = Tree::default();
        for event in events {
            tree.add(event, &pretty(), Timestamp::UNIX_EPOCH);
        }
        let mut text = String::new();
        tree.print(&mut |line| {
            text.push('\n');
            text.push_str(line);
        });
        text
    }

    #[test]
    fn children_stand_under_their_parents_whatever_came_between() {
        let mut bash = exec("bash", &["systemd", "sshd"]);
        bash["file"]["path"] = "/bin/rbash".into();
        let events = [
            exec("bash", &["systemd", "sshd"]),
            exec("make", &["systemd", "sshd", "bash"]),
            exec("run-parts", &["systemd", "cron"]),
            loss(),
            exec("cc", &["systemd", "sshd", "bash", "make"]),
            bash,
            exec("ls", &["systemd", "sshd", "bash"]),
        ];
        assert_eq!(
            printed(&events),
            "
                            1 systemd -x
                            2 ├─ sshd -x
00:00:00.000 alice          3 │  └─ /bin/bash -x
00:00:00.000 alice          3 │     => /bin/rbash -x  [as bash]
00:00:00.000 alice          4 │     ├─ /bin/make -x
00:00:00.000 alice          5 │     │  └─ /bin/cc -x
00:00:00.000 alice          4 │     └─ /bin/ls -x
                            2 └─ cron -x
00:00:00.000 alice          3    └─ /bin/run-parts -x
00:00:00.000 LOSS 12 records were lost"
        );
    }

    #[test]
    fn an_end_stands_with_the_process_that_ended() {
        let events = [
            exec("bash", &["init"]),
            exec("ls", &["init", "bash"]),
            end("ls", &["init", "bash"], 2),
            end("old", &["init"], 0),
            end("bash", &["init"], 0),
        ];
        assert_eq!(
            printed(&events),
            "
                            1 init -x
00:00:00.000 alice          2 ├─ /bin/bash -x
00:00:00.000 -              2 │  => exit 0: bash -x
00:00:00.000 alice          3 │  └─ /bin/ls -x
00:00:00.000 -              3 │     => exit 2: ls -x
00:00:00.000 -              2 └─ exit 0: old -x"
        );
    }

    #[test]
    fn a_parent_that_is_heard_of_later_takes_its_children() {
        let events = [exec("b", &["a"]), exec("a", &["init"])];
        assert_eq!(
            printed(&events),
            "
                            1 init -x
00:00:00.000 alice          2 └─ /bin/a -x
00:00:00.000 alice          2    └─ /bin/b -x"
        );
    }

    #[test]
    fn a_circle_in_a_damaged_file_is_cut_open() {
        let text = printed(&[exec("a", &["b"]), exec("b", &["a"]), exec("c", &["c"])]);
        assert_eq!(text.lines().filter(|line| line.contains("/bin/")).count(), 3, "{text}");
    }

    #[test]
    fn a_chain_deeper_than_the_screen_is_printed_whole() {
        let mut events = Vec::new();
        let mut parent = "p0".to_owned();
        for number in 1..EVENTS_MAX {
            let name = format!("p{number}");
            events.push(exec(&name, &[&parent]));
            parent = name;
        }
        let text = printed(&events);
        assert_eq!(text.lines().count(), EVENTS_MAX + 1);
        assert!(text.lines().all(|line| line.chars().count() < 150));
    }
}
